// What a publish costs: signing and serialising a collection, and the whole publish to a directory with its dry runs.
// node bench/tuf-publish.mjs [targets …]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const counts = process.argv.slice(2).map(Number);
const scratch = await mkdtemp(join(tmpdir(), "tuf-publish-"));
try {
  const outfile = join(scratch, "tuf.mjs");
  const src = join(import.meta.dirname, "..", "src");
  const modules = [
    "keys/private-key",
    "tuf/keys",
    "tuf/create",
    "tuf/draft",
    "tuf/editor",
    "tuf/pending",
    "tuf/publish",
    "tuf/signing-keys",
    "node/tuf-directory-publisher",
  ];
  await build({
    stdin: { contents: modules.map((name) => `export * from "${src}/${name}.ts";`).join("\n"), resolveDir: src },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    logLevel: "error",
  });
  const tuf = await import(pathToFileURL(outfile).href);
  for (const count of counts.length > 0 ? counts : [1_000, 10_000, 100_000]) await measure(tuf, count);
} finally {
  await rm(scratch, { recursive: true, force: true });
}

async function measure(tuf, count) {
  const signer = await tuf.PrivateKey.generate("ed25519");
  const key = await tuf.tufKeyOf(signer.publicKey);
  const role = { keys: [key] };
  const signing = tuf.openSigningKeys([signer]);
  const now = () => new Date();
  const changes = Array.from({ length: count }, (_, index) => ({
    action: "add",
    role: "targets",
    name: `team${index % 10}/module-${index % 100}/1.2.${index}/module.wasm`,
    content: { length: 1000 + index, hashes: { sha256: index.toString(16).padStart(64, "0") } },
  }));
  const roles = { root: role, targets: role, snapshot: role, timestamp: role };
  const times = [];
  // processor time beside the clock: other work on the machine does not count
  const start = () => ({ clock: performance.now(), cpu: process.cpuUsage() });
  const lap = (name, { clock, cpu }) => {
    const used = process.cpuUsage(cpu);
    const milliseconds = (used.user + used.system) / 1000;
    times.push(`${name} ${(performance.now() - clock).toFixed(0)} ms (processor ${milliseconds.toFixed(0)} ms)`);
  };

  let since = start();
  const draft = tuf.newCollection({ roles });
  await tuf.applyChanges(draft, changes);
  lap("edit", since);
  since = start();
  const { pending } = await tuf.signPending(undefined, tuf.pendingOf(draft, now), signing);
  const bytes = tuf.bytesOf(pending.get("targets"));
  lap("sign and serialise", since);

  const dir = await mkdtemp(join(scratch, "repository-"));
  const store = tuf.openTufDirectory(dir);
  since = start();
  const { files } = await tuf.publishNew({ store }, draft, { signing, now });
  lap("publish new", since);
  const anchor = files.find(({ role: name }) => name === "root").bytes;
  since = start();
  await tuf.publishChanges({ store, anchor }, () => [{ ...changes[0], name: "one/more" }], { signing, now });
  lap("publish one more", since);
  console.log(`${count} targets, ${bytes.length} bytes: ${times.join(", ")}`);
}

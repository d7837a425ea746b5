// The story of the article without a trust server: push a signed module, tamper with it, see it refused; copy module and
// trust to a second registry, shut the first one down, verify there; then take both in one file to a machine without a
// network, and into the third registry, which is its own. No key but the publisher's is ever used, and no server but registries.
// Usage: npm run -s build:cli && node examples/trust-in-the-registry.mjs
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CLI = join(import.meta.dirname, "..", "dist", "bin", "wasm-to-oci.js");
const TAMPERED = 10; // the exit status for content that is not what was signed
const NETWORK = 5; // the one for a server that cannot be reached

const folder = await mkdtemp(join(tmpdir(), "wasm-to-oci-story-"));
const { NODE_EXTRA_CA_CERTS: _slowsEveryStart, ...inherited } = process.env;
const env = { ...inherited, HOME: folder, WASM_TO_OCI_PASSPHRASE: "a passphrase for the story" };

/** Shows a command, runs it in the story's folder and shows those lines that it is about. */
async function run(args, show) {
  console.log(`\n$ wasm-to-oci ${args.join(" ")}`);
  const result = await new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { cwd: folder, env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, stdout, stderr });
    });
  });
  const lines = `${result.stderr}${result.stdout}`.split("\n").filter((line) => show.test(line));
  for (const line of lines) console.log(`  ${line.trim()}`);
  if (lines.length === 0 || process.env.DEBUG !== undefined) console.log(result.stderr.trim());
  return result;
}

function check(condition, what) {
  if (!condition) throw new Error(`the story went wrong: not true that ${what}`);
  console.log(`  ✓ ${what}`);
}

/** Starts a registry on a port that the system picks. Its trust server is not used. */
async function startRegistry(data) {
  const args = ["serve", "--data", data, "--registry-port", "0", "--trust-port", "0", "--format", "json"];
  const child = spawn(process.execPath, [CLI, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let text = "";
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.endsWith("}\n")) break;
  }
  const host = `localhost:${new URL(JSON.parse(text).registry).port}`;
  const stop = async () => {
    if (child.kill("SIGTERM")) await ended;
  };
  return { host, stop };
}

/** A module with nothing in it but a line of text. */
function moduleOf(text) {
  const line = Buffer.from(text);
  const section = Buffer.concat([Buffer.from([4]), Buffer.from("text"), line]);
  return Buffer.concat([Buffer.from("\0asm\u0001\0\0\0", "latin1"), Buffer.from([0, section.length]), section]);
}

const registries = [];
try {
  const [first, second] = [await startRegistry("first"), await startRegistry("second")];
  registries.push(first, second);
  const reference = `${first.host}/acme/app:v1`;
  const good = moduleOf("good");
  await writeFile(join(folder, "app.wasm"), good);
  await writeFile(join(folder, "evil.wasm"), moduleOf("evil"));

  const pushed = await run(["push", "app.wasm", reference, "--sign"], /^(Created|Pushed)/);
  check(pushed.status === 0, "the module is pushed and signed, with a registry alone");
  const key = /fingerprint ([0-9a-f]{64})/.exec(pushed.stderr)[1];
  const pin = ["--collection", "acme/app", "--root-fingerprint", key];

  const consumer = ["--dir", "consumer"];
  await run([...consumer, "trust", "pin", `${first.host}/acme/app`, "--trust", "oci:", ...pin], /^Pinned/);
  const pulled = await run([...consumer, "pull", reference, "-o", "pulled.wasm"], /^(Pulled:|The SHA sums)/);
  check(pulled.status === 0, "a consumer who knows the publisher's key pulls it, verified");

  console.log("\n# Somebody who may write to the registry moves the tag to another module.");
  const nobody = ["--dir", "attacker"];
  await run([...nobody, "push", "evil.wasm", reference], /^Pushed/);
  const refused = await run([...consumer, "pull", reference, "-o", "refused.wasm"], /^(error|hint)/);
  check(refused.status === TAMPERED, `the consumer's pull refuses, exit status ${TAMPERED}`);
  check(!existsSync(join(folder, "refused.wasm")), "no file appears");
  const stopped = await run(["copy", reference, `${second.host}/mirror/app`], /^(error|hint)/);
  check(stopped.status === TAMPERED, "nor is it copied anywhere");

  console.log(
    "\n# The publisher pushes again, which puts the tag back, and a mirror is made. Then the first registry is gone.",
  );
  await run(["push", "app.wasm", reference, "--sign"], /^Pushed/);
  const copied = await run(["copy", reference, `${second.host}/mirror/app`], /^(Copied|Trust data)/);
  check(copied.status === 0, "module and trust data are copied");
  const saved = await run(["bundle", "save", reference, "-o", "app.tar"], /^Saved/);
  check(saved.status === 0, "and saved in one file");
  await first.stop();
  const gone = await run([...consumer, "pull", reference, "-o", "gone.wasm"], /^error/);
  check(gone.status === NETWORK, "the first registry is gone");

  await run([...consumer, "trust", "pin", `${second.host}/mirror/app`, "--trust", "oci:", ...pin], /^Pinned/);
  const mirrored = await run(
    [...consumer, "pull", `${second.host}/mirror/app:v1`, "-o", "mirrored.wasm"],
    /^(Pulled:|The SHA)/,
  );
  check(mirrored.status === 0, "from the mirror it verifies all the same: the pin says that it is acme/app");
  await second.stop();

  console.log("\n# A machine without a network, with the file and the publisher's key.");
  await mkdir(join(folder, "island"));
  const island = ["--dir", "island"];
  const root = ["--root-fingerprint", key];
  const verified = await run([...island, "bundle", "verify", "app.tar", ...root], /^(Verified|As of)/);
  check(verified.status === 0, "the bundle is verified, and says how fresh that is");
  const taken = await run(
    [...island, "bundle", "extract", "app.tar", reference, "-o", "island.wasm", ...root],
    /^(Extracted|Digest)/,
  );
  check(taken.status === 0, "the module is taken out of it");
  const third = await startRegistry("third");
  registries.push(third);
  const loaded = await run([...island, "bundle", "load", "app.tar", `${third.host}/{rest}`, ...root], /app:v1/);
  check(loaded.status === 0, "and loaded into the registry of that machine, verified");
  await run([...island, "trust", "pin", `${third.host}/acme/app`, "--trust", "oci:", ...pin], /^Pinned/);
  const there = await run([...island, "pull", `${third.host}/acme/app:v1`, "-o", "third.wasm"], /^(Pulled:|The SHA)/);
  check(there.status === 0, "where it verifies like anywhere");
  const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
  const results = await Promise.all(
    ["pulled", "mirrored", "island", "third"].map((name) => readFile(join(folder, `${name}.wasm`))),
  );
  check(
    results.every((bytes) => digest(bytes) === digest(good)),
    "all of them have what the publisher pushed",
  );
  console.log();
} finally {
  await Promise.all(registries.map((registry) => registry.stop()));
  await rm(folder, { recursive: true, force: true });
}

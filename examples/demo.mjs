// The story of the 2019 article, live: push a signed module, pull it verified, run it; then own the registry's disk,
// replace blob and manifest, and see the unverified pull take the evil module and the verified one refuse.
// Usage: npm run demo
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WASI } from "node:wasi";
import wabt from "wabt";

const CLI = join(import.meta.dirname, "..", "dist", "bin", "wasm-to-oci.js");
const TAMPERED = 10; // the exit status for content that is not what was signed
const REPOSITORY = "demo/hello";

const folder = await mkdtemp(join(tmpdir(), "wasm-to-oci-demo-"));
const { NODE_EXTRA_CA_CERTS: _slowsEveryStart, ...inherited } = process.env;
const env = { ...inherited, HOME: folder, WASM_TO_OCI_PASSPHRASE: "a passphrase for the demo" };
const stopped = new AbortController();
process.once("SIGINT", () => stopped.abort(new Error("interrupted")));

/** Shows a command, runs it in the demo's folder and shows those lines that it is about. */
async function run(args, show) {
  console.log(`\n$ wasm-to-oci ${args.join(" ")}`);
  const result = await new Promise((resolve) => {
    const options = { cwd: folder, env, signal: stopped.signal };
    execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, stdout, stderr });
    });
  });
  const lines = result.stderr.split("\n").filter((line) => show.test(line));
  for (const line of lines) console.log(`  ${line.trim()}`);
  if (lines.length === 0 || process.env.DEBUG !== undefined) console.log(result.stderr.trim());
  return result;
}

function check(condition, what) {
  if (!condition) throw new Error(`the demo went wrong: not true that ${what}`);
  console.log(`  ✓ ${what}`);
}

/** Assembles a WASI module that prints a line. */
async function assemble(file, line) {
  const source = await readFile(new URL("hello.wat", import.meta.url), "utf8");
  const text = source
    .replace("hello from wasm\\n", `${line}\\n`)
    .replace("(i32.const 4) (i32.const 16)", `(i32.const 4) (i32.const ${line.length + 1})`);
  const module = (await wabt()).parseWat("hello.wat", text);
  await writeFile(join(folder, file), module.toBinary({}).buffer);
  module.destroy();
}

/** Runs a module in this process; its line goes to stdout like ours. */
async function start(file) {
  console.log(`\n$ wasmtime ${file}   (here: node:wasi)`);
  const wasi = new WASI({ version: "preview1" });
  const module = await WebAssembly.compile(await readFile(join(folder, file)));
  return wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
}

/** Starts registry and trust server, in one process, on ports that the system picks. */
async function startServers() {
  const args = ["serve", "--data", "server", "--registry-port", "0", "--trust-port", "0", "--format", "json"];
  const child = spawn(process.execPath, [CLI, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let text = "";
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.endsWith("}\n")) break;
  }
  const { registry, trust } = JSON.parse(text);
  const stop = () => (child.kill("SIGTERM") ? ended : undefined);
  return { registry: new URL(registry).port, trust: new URL(trust).port, stop };
}

/** What anybody with the registry's disk can do: no key, only files. All digests of the forgery are consistent. */
async function tamper(evil, oldModule) {
  const registry = join(folder, "server", "registry");
  const name = REPOSITORY.replace("/", "+");
  const put = async (bytes, link) => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    await writeFile(join(registry, "blobs", "sha256", digest), bytes);
    await mkdir(join(registry, "links", "sha256", digest), { recursive: true });
    await writeFile(join(registry, "links", "sha256", digest, link), "");
    return digest;
  };
  const manifests = join(registry, "repositories", name, "manifests");
  const [record] = await readdir(manifests);
  const manifest = JSON.parse(
    await readFile(join(registry, "blobs", "sha256", record.slice("sha256-".length)), "utf8"),
  );
  const replaceModule = (document, digest) => JSON.stringify(document).replaceAll(oldModule, digest);

  const digest = await put(evil, name);
  const oldConfig = manifest.config.digest.slice("sha256:".length);
  const config = JSON.parse(await readFile(join(registry, "blobs", "sha256", oldConfig), "utf8"));
  const newConfig = await put(Buffer.from(replaceModule(config, digest)), name);
  manifest.layers[0].size = evil.length;
  const forged = Buffer.from(replaceModule(manifest, digest).replace(oldConfig, newConfig));
  const forgedDigest = await put(forged, `${name}@manifest`);
  await writeFile(join(manifests, `sha256-${forgedDigest}`), await readFile(join(manifests, record)));
  await writeFile(join(registry, "repositories", name, "tags", "v1+"), `sha256:${forgedDigest}`);
  return digest;
}

let servers;
try {
  servers = await startServers();
  const reference = `localhost:${servers.registry}/${REPOSITORY}:v1`;
  const server = ["--server", `https://localhost:${servers.trust}`];
  await assemble("hello.wasm", "hello from wasm");
  await assemble("evil.wasm", "your files are mine now");
  const good = createHash("sha256")
    .update(await readFile(join(folder, "hello.wasm")))
    .digest("hex");

  const push = await run(["push", "hello.wasm", reference, ...server], /^(Pushed|Digest)/);
  check(push.status === 0, "the module is pushed and signed");

  const pull = await run(["pull", reference, ...server, "-o", "pulled.wasm"], /^(Pulled:|The SHA sums)/);
  check(pull.status === 0, "the module is pulled and verified");
  await start("pulled.wasm");

  console.log("\n# Somebody with the registry's disk replaces blob and manifest.");
  const evil = await tamper(await readFile(join(folder, "evil.wasm")), good);

  const fresh = ["--dir", "nobody-told-me"]; // a consumer who has never heard of the signer
  const unverified = await run(["pull", reference, ...fresh, "-o", "unverified.wasm"], /^(Pulled:|warning)/);
  check(unverified.status === 0, "an unverified pull takes the evil module");
  await start("unverified.wasm");

  const refused = await run(["pull", reference, ...server, "-o", "refused.wasm"], /^(error|hint)/);
  check(refused.status === TAMPERED, `the verified pull refuses, exit status ${TAMPERED}`);
  check(refused.stderr.includes(good) && refused.stderr.includes(evil), "it names the signed digest and the evil one");
  check(!existsSync(join(folder, "refused.wasm")), "no file appears");
  console.log();
} finally {
  await servers?.stop();
  await rm(folder, { recursive: true, force: true });
}

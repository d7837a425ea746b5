// Fifty publishers at once, each a process of its own with nothing but keys, publish to one collection in
// docker-registry; then somebody new must see all fifty. Ten times, or as often as the first argument says.
// node bench/oci-concurrency.mjs [runs] [publishers]
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:net";
import { build } from "esbuild";

const [runs = 10, publishers = 50] = process.argv.slice(2).map(Number);
const dir = mkdtempSync(join(tmpdir(), "oci-concurrency-"));
const module = join(dir, "app.wasm");
const cli = join(dir, "dist", "bin", "wasm-to-oci.js");
await build({
  entryPoints: { "wasm-to-oci": join(import.meta.dirname, "..", "src", "cli", "main.ts") },
  outdir: join(dir, "dist", "bin"),
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  external: ["@photostructure/sqlite", "pg-native"],
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
  },
  logLevel: "error",
});
cpSync(join(import.meta.dirname, "..", "package.json"), join(dir, "package.json"));
writeFileSync(module, new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));

const program = "docker-registry";
const port = await freePort();
const registry = startRegistry(port);
try {
  await waitFor(`http://127.0.0.1:${port}/v2/`);
  let lost = 0;
  for (let run = 1; run <= runs; run++) lost += await oneRun(run);
  console.log(lost === 0 ? `no update lost in ${runs} runs` : `${lost} updates LOST`);
  process.exitCode = lost === 0 ? 0 : 1;
} finally {
  registry.kill();
  rmSync(dir, { recursive: true, force: true });
}

async function oneRun(run) {
  const repository = `127.0.0.1:${port}/acme/app${run}`;
  const home = join(dir, `home${run}`);
  mkdirSync(home);
  const first = await cliRun(home, ["push", module, `${repository}:v0`, "--sign"]);
  if (first.status !== 0) throw new Error(first.output);
  const names = Array.from({ length: publishers }, (_, index) => `m${index}`);
  for (const name of names) cpSync(home, join(dir, `${run}-${name}`), { recursive: true });
  const from = Date.now();
  const ended = await Promise.all(
    names.map((name) => cliRun(join(dir, `${run}-${name}`), ["push", module, `${repository}:${name}`, "--sign"])),
  );
  const seconds = ((Date.now() - from) / 1000).toFixed(1);
  const failed = ended.filter(({ status }) => status !== 0);
  const fresh = join(dir, `fresh${run}`);
  mkdirSync(fresh);
  const listed = await cliRun(fresh, ["list", repository, "--sign", "--format", "json"]);
  if (listed.status !== 0) throw new Error(listed.output);
  const seen = new Set(
    JSON.parse(listed.stdout)
      .tags.filter(({ state }) => state === "signed")
      .map(({ tag }) => tag),
  );
  const missing = names.filter((name) => !seen.has(name));
  console.log(`run ${run}: ${publishers - failed.length} exit 0, ${publishers - missing.length} seen, ${seconds} s`);
  for (const { status, output } of failed.slice(0, 2))
    console.log(`  exit ${status}: ${output.trim().split("\n").at(-2)}`);
  return missing.length + failed.length;
}

function cliRun(home, args) {
  const env = { PATH: process.env.PATH, HOME: home, WASM_TO_OCI_PASSPHRASE: "a passphrase for the bench" };
  const child = spawn(process.execPath, [cli, ...args], { env });
  let stdout = "";
  let output = "";
  child.stdout.on("data", (chunk) => ((stdout += chunk), (output += chunk)));
  child.stderr.on("data", (chunk) => (output += chunk));
  return new Promise((resolve) => {
    child.on("close", (status) => resolve({ status, stdout, output }));
  });
}

function startRegistry(at) {
  const config = join(dir, "config.yml"); // JSON is YAML
  const storage = { filesystem: { rootdirectory: join(dir, "storage") }, delete: { enabled: true } };
  writeFileSync(
    config,
    JSON.stringify({ version: "0.1", log: { level: "error" }, storage, http: { addr: `127.0.0.1:${at}` } }),
  );
  return spawn(program, ["serve", config], {
    stdio: "ignore",
    env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: "none" },
  });
}

async function waitFor(url) {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      if ((await fetch(url)).ok) return;
    } catch {
      // not there yet
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url} does not answer`);
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(address.port));
    });
  });
}

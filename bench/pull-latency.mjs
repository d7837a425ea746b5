// Pulls a small module with a delay added to every request, verified and unverified in turn, and prints the medians of
// both and their ratio. Registry and trust server are ours, each in a process of its own, as they are two services in
// the world. Fails where verifying costs more than a tenth.
//   node bench/pull-latency.mjs [milliseconds per request, 50 unless told] [pulls of each kind, 15 unless told]
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const LIMIT = 1.1;
/** The eight bytes that every core module begins with, and nothing else. */
const MODULE = Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
const NAMES = [
  "download",
  "node/hasher",
  "node/key-dir",
  "node/module-cache",
  "node/notary-source",
  "node/oci-source",
  "node/transport",
  "oci/registry-client",
  "pull",
  "push",
  "read-module",
  "server/log",
  "server/serve",
];

const [delay, pulls] = [Number(process.argv[2] ?? 50), Number(process.argv[3] ?? 15)];
if (process.env.BENCH_PART === "server") await serve();
else await main();

async function bundle(scratch) {
  const { build } = await import("esbuild");
  const src = join(import.meta.dirname, "..", "src");
  const outfile = join(scratch, "bundle.mjs");
  const contents = NAMES.map((name) => `export * from "${src}/${name}.ts";`).join("\n");
  await build({
    stdin: { contents, resolveDir: src },
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    external: ["@photostructure/sqlite", "pg-native"],
    banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
    logLevel: "error",
  });
  return pathToFileURL(outfile).href;
}

async function serve() {
  const { serve: start, createLog } = await import(process.env.BENCH_BUNDLE);
  const dir = join(process.env.BENCH_DIR, String(process.pid));
  const log = createLog({ level: "fatal" });
  const ports = { registryPort: 0, trustPort: 0 };
  const servers = await start({ dataDir: join(dir, "data"), trustDir: join(dir, "trust"), log, ...ports });
  process.send({ registryUrl: servers.registryUrl, trustUrl: servers.trustUrl, ca: servers.caPem });
  process.on("disconnect", () => process.exit(0));
}

async function main() {
  const scratch = mkdtempSync(join(import.meta.dirname, "..", "node_modules", ".pull-latency-"));
  const data = mkdtempSync(join(tmpdir(), "pull-latency-"));
  const url = await bundle(scratch);
  const env = { ...process.env, BENCH_PART: "server", BENCH_BUNDLE: url, BENCH_DIR: data };
  const children = [fork(import.meta.filename, [], { env }), fork(import.meta.filename, [], { env })];
  try {
    const started = children.map((child) => new Promise((resolve) => void child.once("message", resolve)));
    const [registry, trust] = await Promise.all(started);
    const servers = { registryUrl: registry.registryUrl, trustUrl: trust.trustUrl, ca: [registry.ca, trust.ca] };
    await measure(await import(url), servers, data);
  } finally {
    for (const child of children) child.disconnect();
    rmSync(scratch, { recursive: true, force: true });
    rmSync(data, { recursive: true, force: true });
  }
}

async function measure(library, servers, data) {
  const host = new URL(servers.registryUrl).host;
  const direct = library.createNodeTransport({ env: {}, ca: servers.ca, onlyCa: true });
  const slow = async (request) => {
    await new Promise((resolve) => setTimeout(resolve, delay));
    return direct(request);
  };
  const runtimeOf = (transport) => ({ transport, createHasher: library.nodeHasher, now: () => new Date() });
  const opened = (kind, transport, dir) => {
    const runtime = runtimeOf(transport);
    const registry = new library.RegistryClient({ runtime });
    const passphrases = async () => "benchmark";
    const repository = { registry: host, repository: `acme/${kind}` };
    const options = { dir, runtime, registry, repository, passphrases, server: servers.trustUrl };
    const source = kind === "oci" ? library.openOciSource(options).source : library.openNotarySource(options);
    const collection = kind === "oci" ? "acme/oci" : `${host}/acme/notary`;
    return { runtime, registry, trust: { source, collection, reason: "flags", firstUse: "accept" } };
  };
  const reference = (kind) => `${host}/acme/${kind}:v1`;
  const timed = async (work) => {
    const start = performance.now();
    const cpu = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(cpu);
    return { wall: performance.now() - start, cpu: (user + system) / 1000 };
  };
  let fresh = 0;
  for (const kind of ["oci", "notary"]) {
    const { trust, ...publisher } = opened(kind, direct, join(data, `publisher-${kind}`));
    const module = library.moduleFromBytes("bench.wasm", MODULE);
    await library.push({ ...publisher, reference: reference(kind), module, sign: trust });
    const times = { unverified: [], cold: [], warm: [] };
    const pull = (options, more) =>
      library.pull({ ...options, reference: reference(kind), output: new library.MemoryOutput(), ...more });
    for (let at = 0; at < pulls + 2; at++) {
      const dir = join(data, `consumer-${fresh++}`);
      const cache = library.openModuleCache({ dir: join(dir, "cache") });
      const { trust: _, ...plain } = opened(kind, slow, dir);
      const unverified = await timed(() => pull(plain, {}));
      const cold = await timed(() => pull(opened(kind, slow, dir), { cache }));
      const warm = await timed(() => pull(opened(kind, slow, dir), { cache }));
      if (at < 2) continue; // what is compiled only once
      times.unverified.push(unverified);
      times.cold.push(cold);
      times.warm.push(warm);
    }
    const [plain, cold, warm] = [times.unverified, times.cold, times.warm].map(medians);
    const ratio = cold.wall / plain.wall;
    const shown = ({ wall, cpu }) => `${wall.toFixed(0)} ms (${cpu.toFixed(0)} ms of processor)`;
    console.log(
      `${kind}, ${delay} ms per request: unverified ${shown(plain)}, verified ${shown(cold)}, ratio ${ratio.toFixed(3)}; ` +
        `again with what is known and cached ${shown(warm)}`,
    );
    if (ratio > LIMIT) process.exitCode = 1;
  }
  direct.close();
}

function medians(measures) {
  const median = (key) => measures.map((one) => one[key]).toSorted((a, b) => a - b)[Math.floor(measures.length / 2)];
  return { wall: median("wall"), cpu: median("cpu") };
}

// Pulls one large module from docker-registry with the built command line, verified and unverified, and with skopeo, in
// turn, and prints the medians of wall clock and processor time. Fails where verifying costs more than a twentieth.
//   npm run build:cli && node bench/pull-throughput.mjs [MiB, 256 unless told] [rounds, 5 unless told]
import { spawn, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdtempSync, openSync, closeSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const LIMIT = 1.05;
const MIB = 1024 * 1024;
const [size, rounds] = [Number(process.argv[2] ?? 256), Number(process.argv[3] ?? 5)];
const cli = process.env.BENCH_CLI ?? join(import.meta.dirname, "..", "dist", "bin", "wasm-to-oci.js");
const dir = mkdtempSync(join(tmpdir(), "pull-throughput-"));
const env = { PATH: process.env.PATH, HOME: dir, WASM_TO_OCI_PASSPHRASE: "benchmark", WASM_TO_OCI_CACHE_SIZE: "0" };

const registry = await startRegistry();
try {
  writeModule(join(dir, "large.wasm"));
  const reference = `${registry.host}/acme/large:v1`;
  run([process.execPath, cli, "push", join(dir, "large.wasm"), reference, "--sign"]);
  const pull = [process.execPath, cli, "pull", reference, "-o", join(dir, "out.wasm")];
  const contestants = {
    unverified: [...pull, "--dir", join(dir, "stranger")],
    verified: pull,
    skopeo: ["skopeo", "copy", "-q", "--src-tls-verify=false", `docker://${reference}`, `dir:${join(dir, "skopeo")}`],
  };
  const times = { unverified: [], verified: [], skopeo: [] };
  for (let round = -1; round < rounds; round++) {
    for (const [name, words] of Object.entries(contestants)) {
      const time = run(words);
      if (round >= 0) times[name].push(time);
    }
  }
  const found = {};
  for (const [name, all] of Object.entries(times)) {
    const [wall, cpu] = ["wall", "cpu"].map((key) => median(all.map((one) => one[key])));
    found[name] = wall;
    const rate = (size / (wall / 1000)).toFixed(0);
    console.log(`${name}: ${wall.toFixed(0)} ms, ${rate} MiB/s, ${cpu.toFixed(0)} ms of processor`);
  }
  const ratio = found.verified / found.unverified;
  console.log(
    `verified / unverified: ${ratio.toFixed(3)}; verified / skopeo: ${(found.verified / found.skopeo).toFixed(3)}`,
  );
  if (ratio > LIMIT) process.exitCode = 1;
} finally {
  registry.child.kill();
  rmSync(dir, { recursive: true, force: true });
}

/** A core module whose one custom section is noise. */
function writeModule(path) {
  const body = size * MIB - 64;
  const name = [5, 0x6e, 0x6f, 0x69, 0x73, 0x65];
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x00, ...leb(body + name.length), ...name];
  const file = openSync(path, "w");
  writeSync(file, Uint8Array.from(header));
  const chunk = new Uint8Array(MIB);
  for (let left = body; left > 0; left -= chunk.length) {
    randomFillSync(chunk);
    writeSync(file, chunk, 0, Math.min(left, chunk.length));
  }
  closeSync(file);
}

function leb(value) {
  const bytes = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

function run(words) {
  const before = children();
  const start = performance.now();
  const { status, stderr } = spawnSync(words[0], words.slice(1), { env, encoding: "utf8" });
  const wall = performance.now() - start;
  if (status !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
  return { wall, cpu: children() - before };
}

/** Processor time of all children that have ended, in milliseconds; Linux only. */
function children() {
  if (process.platform !== "linux") return 0;
  const stat = spawnSync("cat", [`/proc/${process.pid}/stat`], { encoding: "utf8" }).stdout;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

async function startRegistry() {
  const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port: free } = probe.address();
      probe.close(() => resolve(free));
    });
  });
  const host = `127.0.0.1:${port}`;
  const config = join(dir, "config.yml");
  const storage = `storage: { filesystem: { rootdirectory: ${join(dir, "registry")} } }`;
  writeFileSync(config, `version: 0.1\nlog: { level: error }\n${storage}\nhttp: { addr: "${host}" }\n`);
  const child = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  for (let tries = 0; tries < 100; tries++) {
    const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (answer?.ok === true) return { host, child };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  child.kill();
  throw new Error("docker-registry does not start");
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

// Pushes and pulls one large blob through the registry client and Node's transport, against a sink in another
// process, and prints how far the memory rose above what it was before. Fails above the limit.
//
//   node bench/transfer-memory.mjs [MiB, 1024 unless told]
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const MIB = 1024 * 1024;
const LIMIT_MIB = 64;
const CHUNK = Buffer.alloc(64 * 1024, "wasm");

if (process.argv[2] === "sink") sink(Number(process.argv[3]));
else await main(Number(process.argv[2] ?? 1024) * MIB);

/** A registry that swallows what is uploaded and makes up what is downloaded. */
function sink(size) {
  const server = createServer((request, response) => {
    if (request.method === "HEAD") response.writeHead(404).end();
    else if (request.method === "POST") response.writeHead(202, { location: "/v2/a/b/blobs/uploads/1" }).end();
    else if (request.method === "PUT") request.resume().on("end", () => response.writeHead(201).end());
    else {
      response.writeHead(200, { "content-length": size });
      let left = size;
      const more = () => {
        while (left > 0) {
          left -= CHUNK.length;
          if (!response.write(CHUNK)) return;
        }
        response.end();
      };
      response.on("drain", more);
      more();
    }
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
  process.on("disconnect", () => process.exit());
}

async function main(size) {
  const scratch = mkdtempSync(join(tmpdir(), "transfer-memory-"));
  const child = fork(fileURLToPath(import.meta.url), ["sink", String(size)]);
  try {
    const port = await new Promise((resolve) => child.once("message", resolve));
    const { createNodeTransport, nodeHasher, RegistryClient } = await bundle(scratch);
    const transport = createNodeTransport({ env: {} });
    const runtime = { transport, createHasher: nodeHasher, now: () => new Date() };
    const { blobs } = new RegistryClient({ runtime }).repository({ registry: `127.0.0.1:${port}`, repository: "a/b" });
    const blob = { digest: digestOf(size), size };
    const body = { size, open: () => repeat(size) };
    const up = await measure(size, () => blobs.put(blob, body));
    const down = await measure(size, async () => {
      let left = size;
      for await (const chunk of blobs.get(blob)) left -= chunk.length;
      if (left !== 0) throw new Error("the download ended early");
    });
    transport.close();
    for (const [name, { rise, rate }] of Object.entries({ upload: up, download: down })) {
      console.log(`${name} of ${size / MIB} MiB: ${rise.toFixed(1)} MiB above base, ${rate.toFixed(0)} MiB/s`);
      if (rise > LIMIT_MIB) process.exitCode = 1;
    }
  } finally {
    child.disconnect();
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function bundle(scratch) {
  const { build } = await import("esbuild");
  const outfile = join(scratch, "client.mjs");
  const contents = ["oci/registry-client", "node/transport", "node/hasher"]
    .map((name) => `export * from "./src/${name}.ts";`)
    .join("\n");
  const resolveDir = fileURLToPath(new URL("..", import.meta.url));
  await build({ stdin: { contents, resolveDir }, outfile, bundle: true, format: "esm", platform: "node" });
  return import(pathToFileURL(outfile).href);
}

async function measure(size, work) {
  globalThis.gc?.();
  const base = process.memoryUsage().rss;
  let peak = base;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  clearInterval(timer);
  return { rise: (Math.max(peak, process.memoryUsage().rss) - base) / MIB, rate: size / MIB / seconds };
}

async function* repeat(size) {
  for (let sent = 0; sent < size; sent += CHUNK.length) yield CHUNK.subarray(0, Math.min(CHUNK.length, size - sent));
}

function digestOf(size) {
  const hash = createHash("sha256");
  for (let sent = 0; sent < size; sent += CHUNK.length)
    hash.update(CHUNK.subarray(0, Math.min(CHUNK.length, size - sent)));
  return `sha256:${hash.digest("hex")}`;
}

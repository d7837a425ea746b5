// Measures one cold refresh, one lookup, later lookups and warm refreshes of a repository over loopback HTTP, in a fresh
// process; the server is another one. Before it, in a fresh process too, what the same files cost with node:http alone,
// and one signature: nobody who verifies in a new process can be faster than this machine is at that.
//   node bench/tuf-refresh.mjs <folder of tuf-repository.mjs> [<folder with tuf-js installed>]
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, peer] = process.argv.slice(2);
if (process.env.BENCH_PART === "server") serve();
else if (process.env.BENCH_PART === "floor") await floor();
else if (process.env.BENCH_PART === "client") await measure();
else await main();

/** Bundles the client, so that neither this nor a stale build is part of what is measured. */
async function main() {
  const { build } = await import("esbuild");
  const scratch = mkdtempSync(join(tmpdir(), "tuf-bench-"));
  const src = join(import.meta.dirname, "..", "src");
  const modules = ["tuf/client", "tuf/http-repository", "node/tuf-store", "node/runtime"];
  const outfile = join(scratch, "client.mjs");
  await build({
    stdin: { contents: modules.map((name) => `export * from "${src}/${name}.ts";`).join("\n"), resolveDir: src },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    logLevel: "error",
  });
  const env = { ...process.env, BENCH_CLIENT: pathToFileURL(outfile).href, BENCH_DIR: scratch };
  try {
    for (const part of ["floor", "client"]) {
      const child = fork(import.meta.filename, process.argv.slice(2), { env: { ...env, BENCH_PART: part } });
      const status = await new Promise((resolve) => void child.once("exit", resolve));
      process.exitCode ||= status;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function serve() {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    try {
      const body = readFileSync(join(folder, decodeURIComponent(request.url)));
      response.writeHead(200, { "content-length": body.length }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
  process.on("message", () => process.send(requests));
  process.on("disconnect", () => process.exit(0));
}

async function startServer() {
  const server = fork(import.meta.filename, [folder], {
    env: { ...process.env, BENCH_PART: "server" },
    execArgv: [],
  });
  const next = () => new Promise((resolve) => void server.once("message", resolve));
  return { server, next, port: await next() };
}

function timer(result) {
  return async (name, action) => {
    const start = performance.now();
    const cpu = process.cpuUsage();
    await action();
    const { user, system } = process.cpuUsage(cpu); // what a busy machine does not change much
    result[name] = `${(performance.now() - start).toFixed(1)} ms (cpu ${((user + system) / 1000).toFixed(1)})`;
  };
}

/** The requests of a cold refresh one after another, over one connection, and one signature of those that it checks. */
async function floor() {
  const { Agent, get } = await import("node:http");
  const { server, port } = await startServer();
  const agent = new Agent({ keepAlive: true });
  const fetched = (file) =>
    new Promise((resolve, reject) => {
      const request = get({ host: "127.0.0.1", port, path: `/metadata/${file}`, agent }, async (response) => {
        resolve(Buffer.concat(await response.toArray()));
      });
      request.once("error", reject);
    });
  const result = {};
  const time = timer(result);
  await time("requests", async () => {
    for (const file of ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]) await fetched(file);
  });
  await time("signature", async () => {
    const raw = Buffer.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "hex"); // RFC 8032, 7.1
    const key = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
    await crypto.subtle.verify({ name: "Ed25519" }, key, new Uint8Array(64), new Uint8Array(500));
  });
  console.log("node:http and WebCrypto alone", JSON.stringify(result));
  agent.destroy();
  server.disconnect();
}

async function measure() {
  const { server, next, port } = await startServer();
  const dir = mkdtempSync(join(process.env.BENCH_DIR, "store-"));
  const base = Math.round(process.memoryUsage.rss() / 2 ** 20);
  const client = await (peer === undefined ? ours : tufJs)(`http://127.0.0.1:${port}/metadata`, dir);
  const result = {};
  const time = timer(result);
  try {
    await time("refresh", () => client.refresh());
    await time("lookup", () => client.find("team7/module-77/1.2.3/module-77.wasm"));
    await time("again", () => client.find("team7/no-such-module"));
    server.send("requests");
    const cold = await next();
    if (client.warm !== undefined) await time("warm, same client", client.warm);
    server.send("requests");
    result.requests = `${cold} cold, ${(await next()) - cold} warm`;
    if (client.restart !== undefined) await time("warm, new client", client.restart);
    const peak = Math.round(process.resourceUsage().maxRSS / 1024);
    console.log(
      peer === undefined ? "wasm-to-oci" : "tuf-js",
      JSON.stringify({ ...result, peakMB: peak, baseMB: base }),
    );
  } finally {
    client.close?.();
    server.disconnect();
  }
}

async function ours(metadataUrl, dir) {
  const { TufClient, httpRepository, openTufStore, nodeRuntime } = await import(process.env.BENCH_CLIENT);
  const runtime = nodeRuntime();
  const anchor = new Uint8Array(readFileSync(join(folder, "metadata", "1.root.json")));
  const repository = httpRepository({ metadataUrl, runtime });
  const make = () => new TufClient({ anchor, repository, store: openTufStore(dir), now: runtime.now });
  const client = make();
  return {
    refresh: () => client.refresh(),
    find: (name) => client.find(name),
    warm: () => client.refresh(),
    restart: () => make().refresh(),
    close: () => runtime.transport.close(),
  };
}

async function tufJs(metadataBaseUrl, metadataDir) {
  const { copyFileSync } = await import("node:fs");
  const { Updater } = createRequire(join(peer, "x.js"))("tuf-js");
  copyFileSync(join(folder, "metadata", "1.root.json"), join(metadataDir, "root.json"));
  const config = { targetsMaxLength: 50_000_000, snapshotMaxLength: 50_000_000 };
  const updater = new Updater({ metadataDir, metadataBaseUrl, config });
  return { refresh: () => updater.refresh(), find: (name) => updater.getTargetInfo(name) };
}

import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSnapshot, readTargets, readTimestamp, type FileMeta } from "../../src/notary/metadata.ts";
import { decodeDocument } from "../../src/notary/wire.ts";
import { hexEncode } from "../../src/base/bytes.ts";
import { matchesBytes } from "../../src/tuf/checks.ts";
import { httpsServer } from "./https-server.ts";
import { Publisher, type Server } from "./trust/publisher.ts";

const KILLS = 30;
const GUN = "acme/crash";
const START_LIMIT_MS = 30_000;

let dir: string;
let program: string;
let child: ChildProcess | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "serve-crash-"));
  // Below node_modules, so that packages that cannot be bundled are found.
  const cache = join(import.meta.dirname, "../../node_modules/.cache/wasm-to-oci-tests");
  mkdirSync(cache, { recursive: true });
  program = join(mkdtempSync(join(cache, "serve-")), "serve-process.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("serve-process.ts", import.meta.url))],
    outfile: program,
    bundle: true,
    format: "esm",
    platform: "node",
    packages: "external",
  });
});

afterAll(() => {
  child?.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
  rmSync(join(program, ".."), { recursive: true, force: true });
});

/** Starts the server and waits for its address. */
async function start(): Promise<Server> {
  const started = spawn(process.execPath, [program, join(dir, "data"), join(dir, "trust")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  child = started;
  const timer = setTimeout(() => started.kill("SIGKILL"), START_LIMIT_MS);
  try {
    for await (const line of createInterface({ input: started.stdout })) {
      const { url, ca } = JSON.parse(line) as { url: string; ca: string };
      return httpsServer(url, ca);
    }
  } finally {
    clearTimeout(timer);
  }
  throw new Error("the server did not start");
}

async function end(signal: NodeJS.Signals): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child?.once("exit", resolve));
  child?.kill(signal);
  return ended;
}

async function fetchBytes(server: Server, file: string): Promise<Uint8Array> {
  const answer = await server.request(`/v2/${GUN}/_trust/tuf/${file}`);
  expect([file, answer.status]).toEqual([file, 200]);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Reads the collection as a client does, from the timestamp down, and gives the version of targets. */
async function readAll(server: Server): Promise<number> {
  const follow = async (role: string, meta: FileMeta | undefined) => {
    const bytes = await fetchBytes(server, `${role}.${hexEncode(meta!.hashes.get("sha256")!)}.json`);
    expect(await matchesBytes(bytes, meta!)).toBe(true);
    return decodeDocument(bytes, role).signed;
  };
  const timestamp = readTimestamp(decodeDocument(await fetchBytes(server, "timestamp.json"), "timestamp").signed);
  const snapshot = readSnapshot(await follow("snapshot", timestamp.meta.get("snapshot")));
  await follow("root", snapshot.meta.get("root"));
  return readTargets(await follow("targets", snapshot.meta.get("targets")), "targets").version;
}

/** Publishes one version after the other until the connection breaks. @returns the last acknowledged version */
async function publishUntilKilled(publisher: Publisher, from: number, acknowledgedOne: () => void): Promise<number> {
  for (let version = from; ; version++) {
    try {
      await publisher.publish({ targets: await publisher.targetsBytes({ version: version + 1 }) });
    } catch (error) {
      expect(String(error)).toMatch(/ECONNRESET|ECONNREFUSED|EPIPE|socket hang up|socket disconnected|aborted/);
      return version;
    }
    acknowledgedOne();
  }
}

describe("a server that is killed", () => {
  it(
    `loses nothing that it acknowledged and shows nothing half-done, ${KILLS} times`,
    { timeout: 240_000 },
    async () => {
      let server = await start();
      // The publisher outlives its servers; each of its requests goes to the newest one.
      const newest: Server = { request: (path, init) => server.request(path, init) };
      const publisher = await (await Publisher.create(newest, GUN)).initialise();
      let stored = 1;
      for (let kill = 0; kill < KILLS; kill++) {
        let killed: Promise<number | null> | undefined;
        // The moment moves through the work of a publish, which takes some ten milliseconds.
        const killSoon = () => {
          killed ??= pause((kill * 7) % 40).then(() => end("SIGKILL"));
        };
        const acknowledged = await publishUntilKilled(publisher, stored, killSoon);
        await killed;
        expect(acknowledged).toBeGreaterThan(stored);
        server = await start();
        stored = await readAll(server);
        expect([acknowledged, acknowledged + 1]).toContain(stored);
      }
      await publisher.publish({ targets: await publisher.targetsBytes({ version: stored + 1 }) });
      expect(await readAll(server)).toBe(stored + 1);
      expect(await end("SIGTERM")).toBe(0);
    },
  );
});

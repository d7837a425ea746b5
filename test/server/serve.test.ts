import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadLocalCas } from "../../src/node/local-ca.ts";
import { serve, type RunningServers, type ServeOptions } from "../../src/server/serve.ts";
import { httpsServer } from "./https-server.ts";
import { Publisher, serverKey } from "./trust/publisher.ts";
import { silentLog } from "./trust/trust-server.ts";

let dir: string;
let dataDir: string;
let trustDir: string;
const running: RunningServers[] = [];

async function start(options: Partial<ServeOptions> = {}): Promise<RunningServers> {
  const servers = await serve({ dataDir, trustDir, log: silentLog(), registryPort: 0, trustPort: 0, ...options });
  running.push(servers);
  return servers;
}

const trust = (servers: RunningServers) => httpsServer(servers.trustUrl, servers.caPem);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "serve-"));
  dataDir = join(dir, "data");
  trustDir = join(dir, "trust");
});

afterEach(async () => {
  for (const servers of running.splice(0)) await servers.close();
  rmSync(dir, { recursive: true, force: true });
});

describe("serve", () => {
  it("serves a registry over http and a trust server over https that the local CA vouches for", async () => {
    const servers = await start();
    expect(servers.registryUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(servers.trustUrl).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${servers.registryUrl}/v2/`)).status).toBe(200);
    expect((await trust(servers).request("/v2/")).status).toBe(200);
    const localhost = servers.trustUrl.replace("127.0.0.1", "localhost");
    expect((await httpsServer(localhost, servers.caPem).request("/_notary_server/health")).status).toBe(200);
  });

  it("registers its CA for the clients of this machine", async () => {
    const servers = await start();
    expect(await loadLocalCas(trustDir)).toContain(servers.caPem);
  });

  it("keeps collections, keys and the CA over a restart, and renews what got old meanwhile", async () => {
    const first = await start();
    const publisher = await (await Publisher.create(trust(first), "acme/app")).initialise();
    await first.close();
    const later = new Date(Date.now() + 20 * 86_400_000);
    const second = await start({ now: () => later });
    expect(second.caPem).toBe(first.caPem);
    expect((await serverKey(trust(second), "acme/app", "timestamp")).keyId).toBe(publisher.timestamp.keyId);
    const answer = await trust(second).request("/v2/acme/app/_trust/tuf/targets.json");
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(publisher.files["targets"]);
    expect((await trust(second).request("/v2/acme/app/_trust/tuf/2.timestamp.json")).status).toBe(200);
  });

  it("makes a timestamp key for each collection to keep fresh, and has it after a restart", async () => {
    const keepFresh = [{ repository: "acme/app", fingerprints: [] }];
    const first = await start({ keepFresh });
    const [key] = first.timestampKeys;
    expect(readFileSync(key!.publicFile, "utf8")).toContain("BEGIN PUBLIC KEY");
    await first.close();
    expect((await start({ keepFresh })).timestampKeys).toEqual([key]);
  });

  it("lets nobody else read its directory and its keys", async () => {
    await start();
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect(mode(dataDir)).toBe(0o700);
    expect(mode(join(dataDir, "online-keys.key"))).toBe(0o600);
    expect(statSync(join(dataDir, "online-keys.key")).size).toBe(32);
  });

  it("refuses a directory that another server uses, and has it once that one has ended", async () => {
    const first = await start();
    await expect(start()).rejects.toMatchObject({ code: "LOCKED", details: { path: dataDir } });
    expect((await trust(first).request("/v2/")).status).toBe(200);
    await first.close();
    await expect(start()).resolves.toBeDefined();
  });

  it("ends all that it started where a port is taken, and starts afterwards", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as { port: number };
    try {
      await expect(start({ registryPort: port })).rejects.toMatchObject({ code: "ADDRESS_IN_USE" });
      await expect(start({ trustPort: port })).rejects.toMatchObject({ code: "ADDRESS_IN_USE" });
      expect(await loadLocalCas(trustDir)).toEqual([]);
    } finally {
      await new Promise((resolve) => blocker.close(resolve));
    }
    await expect(start()).resolves.toBeDefined();
  });

  it("refuses to listen where others could reach it", async () => {
    await expect(start({ host: "0.0.0.0" })).rejects.toMatchObject({ code: "LISTEN_REFUSED" });
    expect(existsSync(join(dataDir, "online-keys.key"))).toBe(false); // refused before anything was made
    await expect(start()).resolves.toBeDefined();
  });

  it("refuses to start where the key file is lost, damaged or another's, and makes no new one", async () => {
    const first = await start();
    await first.close();
    const path = join(dataDir, "online-keys.key");
    const key = readFileSync(path);
    for (const content of [undefined, Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(32)]) {
      rmSync(path, { force: true });
      if (content !== undefined) writeFileSync(path, content);
      await expect(start()).rejects.toMatchObject({ code: "STATE_INVALID" });
      expect(readdirSync(dataDir).includes("online-keys.key")).toBe(content !== undefined);
    }
    writeFileSync(path, key);
    await expect(start()).resolves.toBeDefined();
  });

  it("says what is wrong where the data directory cannot be one, or holds a broken database", async () => {
    writeFileSync(join(dir, "file"), "");
    await expect(start({ dataDir: join(dir, "file", "below") })).rejects.toMatchObject({ kind: "not-found" });
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, "trust.db"), "this is no database, but a text that is long enough ".repeat(100));
    await expect(start()).rejects.toMatchObject({ code: "STATE_INVALID" });
  });

  it("answers a request that is under way before it ends", async () => {
    const servers = await start({ log: silentLog() });
    const { hostname, port } = new URL(servers.registryUrl);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const path =
        "/v2/acme/app/blobs/uploads/?digest=sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
      const headers = { "content-length": 3, "content-type": "application/octet-stream", expect: "100-continue" };
      const upload = request({ hostname, port, path, method: "POST", headers }, (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.statusCode));
      });
      upload.on("error", reject);
      // The server has taken the request.
      upload.once("continue", () => {
        void servers.close();
        upload.end("foo");
      });
      upload.flushHeaders();
    });
    expect(status).toBe(201);
    await servers.close();
    await expect(fetch(`${servers.registryUrl}/v2/`)).rejects.toThrow("fetch failed");
  });
});

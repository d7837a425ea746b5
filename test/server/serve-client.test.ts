/** Our own client against our own server, with nothing set up but the directory that both know. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hexEncode, utf8Encode } from "../../src/base/bytes.ts";
import { hashBytes } from "../../src/base/digest.ts";
import { registerLocalCa } from "../../src/node/local-ca.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { openNotarySource } from "../../src/node/notary-source.ts";
import { serve, type RunningServers } from "../../src/server/serve.ts";
import type { NotarySource } from "../../src/trust/notary/source.ts";
import { silentLog } from "./trust/trust-server.ts";

const ACCEPT = { firstUse: "accept" } as const;
const PUBLISHERS = 20;

let dir: string;
let servers: RunningServers;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "serve-client-"));
  const log = silentLog();
  servers = await serve({
    dataDir: join(dir, "data"),
    trustDir: join(dir, "alice"),
    log,
    registryPort: 0,
    trustPort: 0,
  });
});

afterAll(async () => {
  await servers?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A person with a trust directory; `keysOf` lends another's keys. */
async function open(person: string, keysOf = person): Promise<NotarySource> {
  await registerLocalCa(join(dir, person), servers.caPem);
  return openNotarySource({
    dir: join(dir, person),
    server: servers.trustUrl,
    keyStore: openKeyDir(join(dir, keysOf)),
    passphrases: async () => "a long passphrase",
    credentials: { get: async () => undefined },
    newCollections: { snapshotKey: "server" },
  });
}

async function addition(name: string) {
  const bytes = utf8Encode(`content of ${name}`);
  const hashes = {
    sha256: hexEncode(await hashBytes("sha256", bytes)),
    sha512: hexEncode(await hashBytes("sha512", bytes)),
  };
  return [{ action: "add" as const, name, length: bytes.length, hashes }];
}

describe("our client and our server", () => {
  it("publish and read a collection over the local CA, with nothing set up", async () => {
    const edits = await addition("v1");
    const { created } = await (await open("alice")).publish("acme/app", () => edits, ACCEPT);
    expect(created).toBe(true);
    const read = await (await open("bob")).open("acme/app", ACCEPT);
    expect(read.find("v1")?.hashes.sha256).toBe(edits[0]?.hashes.sha256);
  });

  it(
    `land ${PUBLISHERS} of ${PUBLISHERS} publishers who change one role at the same time`,
    { timeout: 120_000 },
    async () => {
      const results = await Promise.all(
        Array.from({ length: PUBLISHERS }, async (_, index) => {
          const source = await open(`publisher-${index}`, "alice");
          const edits = await addition(`by-${index}`);
          return source.publish("acme/app", () => edits, ACCEPT);
        }),
      );
      expect(results).toHaveLength(PUBLISHERS);
      const read = await (await open("bob")).open("acme/app", ACCEPT);
      const names = new Set(read.list().map(({ name }) => name));
      for (let index = 0; index < PUBLISHERS; index++) expect(names).toContain(`by-${index}`);
    },
  );
});

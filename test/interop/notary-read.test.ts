/** Our client against the real notary-server, with the real notary command as publisher; both on one cache. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import { openMetadataDir, openTrustStateDir } from "../../src/node/metadata-dir.ts";
import { createNodeTransport, type NodeTransport } from "../../src/node/transport.ts";
import { NotaryApi } from "../../src/notary/api.ts";
import { NotaryClient } from "../../src/notary/client.ts";
import { findTarget, listTargets, type SearchOrder } from "../../src/notary/lookup.ts";
import type { NotaryState } from "../../src/notary/state.ts";
import { assertGoBytes } from "../../src/notary/wire.ts";
import { describeWithPeers, notaryCli, startNotaryServer, type NotaryServer } from "../support/peers.ts";

const SETUPS = [
  { remoteSigner: true, keyAlgorithm: "ecdsa" },
  { remoteSigner: false, keyAlgorithm: "ed25519" },
] as const;

describeWithPeers(["notary", "notary-server", "notary-signer", "openssl"], "reading from a real Notary server", () => {
  for (const setup of SETUPS) suite(setup);
  withTokens();
});

interface Bench {
  readonly server: NotaryServer;
  readonly base: string;
  readonly transport: NodeTransport;
  /** The publisher's trust directory. */
  readonly publisher: string;
  readonly notary: (dir: string, ...args: string[]) => Promise<string>;
  client(dir: string): NotaryClient;
  newDir(): string;
  close(): Promise<void>;
}

async function openBench(options: Parameters<typeof startNotaryServer>[0]): Promise<Bench> {
  const base = mkdtempSync(join(tmpdir(), "notary-read-"));
  const server = await startNotaryServer(options);
  const transport = createNodeTransport({ ca: server.caPem, onlyCa: true, env: {} });
  const newDir = () => mkdtempSync(join(base, "trust-"));
  writeFileSync(join(base, "module"), "module one");
  return {
    server,
    base,
    transport,
    publisher: newDir(),
    newDir,
    notary: async (dir, ...args) => {
      const result = await notaryCli(args, { dir, server: server.url, ca: server.caFile, input: "yes\n" });
      expect(result.status, `notary ${args.join(" ")}\n${result.stdout}\n${result.stderr}`).toBe(0);
      return result.stdout;
    },
    client: (dir) => {
      const runtime = { transport, createHasher: nodeHasher, now: () => new Date() };
      const api = new NotaryApi({ server: server.url, runtime });
      return new NotaryClient({ api, metadata: openMetadataDir(dir), trust: openTrustStateDir(dir), now: runtime.now });
    },
    close: async () => {
      transport.close();
      await server.stop();
      rmSync(base, { recursive: true, force: true });
    },
  };
}

/** Rows as `notary list` prints them. */
function rows(state: NotaryState, order: SearchOrder = "notary"): string[] {
  return listTargets(state, order).map(({ name, meta, role }) =>
    [name, hexEncode(meta.hashes.get("sha256")!), meta.length, role.role].join(" "),
  );
}

function printedRows(list: string): string[] {
  const lines = list.split("\n").slice(list.split("\n").findIndex((line) => line.startsWith("----")) + 1);
  return lines
    .filter((line) => line.trim() !== "")
    .map((line) =>
      line
        .trim()
        .split(/\s{2,}/)
        .join(" "),
    );
}

function suite(setup: (typeof SETUPS)[number]): void {
  let bench: Bench;
  const title = `${setup.keyAlgorithm} server keys`;

  beforeAll(async () => {
    bench = await openBench(setup);
  }, 60_000);
  afterAll(() => bench.close());

  test(`reads a collection through its life as notary does (${title})`, { timeout: 120_000 }, async () => {
    const gun = "localhost:5000/demo/Hello";
    const { publisher, notary } = bench;
    const [ours, theirs] = [bench.newDir(), bench.newDir()];
    const client = bench.client(ours);
    await expect(client.update(gun, { firstUse: "accept" })).rejects.toMatchObject({ code: "TRUST_NOT_FOUND" });

    await notary(publisher, "init", gun, "-p");
    await notary(publisher, "add", gun, "v1", join(bench.base, "module"), "-p");
    const first = await client.update(gun, { firstUse: "accept" });
    expect(first).toMatchObject({ firstUse: true, expired: [] });
    expect(rows(first)).toEqual(printedRows(await notary(theirs, "list", gun)));
    expect(rows(first)).toHaveLength(1);

    // every document that a Go program wrote comes out of our codec as it was
    for (const [role, bytes] of await openMetadataDir(ours).read({ server: bench.server.url, gun })) {
      expect(() => assertGoBytes(bytes, role)).not.toThrow();
    }

    await notary(publisher, "key", "rotate", gun, "snapshot", "-r");
    await notary(publisher, "add", gun, "we&ird <name>", join(bench.base, "module"), "-p");
    await notary(publisher, "key", "rotate", gun, "timestamp", "-r");
    await notary(publisher, "key", "rotate", gun, "targets");
    for (let rotation = 0; rotation < 2; rotation++) await notary(publisher, "key", "rotate", gun, "root");
    await notary(publisher, "add", gun, "v2", join(bench.base, "module"), "-p");
    const rotated = await client.update(gun, { firstUse: "refuse" });
    expect(rotated.root.metadata.version).toBeGreaterThan(first.root.metadata.version + 3);
    expect(rows(rotated)).toEqual(printedRows(await notary(theirs, "list", gun)));
    expect(findTarget(rotated, "we&ird <name>", "docker")?.role.role).toBe("targets");

    await notary(publisher, "delete", gun, "--remote");
    await expect(client.update(gun, { firstUse: "refuse" })).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    await notary(bench.newDir(), "init", gun, "-p");
    await expect(client.update(gun, { firstUse: "accept" })).rejects.toMatchObject({
      kind: expect.stringMatching(/untrusted|rolled-back/) as string,
    });
  });

  test(`finds delegated targets in either order (${title})`, { timeout: 120_000 }, async () => {
    const gun = "localhost:5000/demo/delegated";
    const { publisher, notary } = bench;
    await notary(publisher, "init", gun, "-p");
    await notary(publisher, "key", "rotate", gun, "snapshot", "-r");
    await notary(publisher, "key", "generate", "ecdsa", "-r", "alice", "-o", join(bench.base, "alice"));
    const pem = join(bench.base, "alice.pem");
    const key = join(bench.base, "alice-key.pem");
    await notary(publisher, "delegation", "add", gun, "targets/releases", pem, "--all-paths", "-p");
    const unpublished = await bench.client(bench.newDir()).update(gun, { firstUse: "accept" });
    const { verified, fault, delegation } = unpublished.delegations.get("targets/releases")!;
    expect([verified, fault]).toEqual([undefined, undefined]);

    // notary can import only what says its own id
    writeFileSync(key, readFileSync(key, "utf8").replace(/\n\n/, `\npath: ${delegation.keyIds[0]!}\n\n`));
    await notary(publisher, "key", "import", key, "-r", "targets/releases");
    writeFileSync(join(bench.base, "newer"), "module two, newer");
    await notary(publisher, "add", gun, "v1", join(bench.base, "module"), "-p");
    await notary(publisher, "add", gun, "v1", join(bench.base, "newer"), "-r", "targets/releases", "-p");

    const state = await bench.client(bench.newDir()).update(gun, { firstUse: "accept" });
    expect(findTarget(state, "v1", "docker")).toMatchObject({
      role: { role: "targets/releases" },
      meta: { length: 17 },
    });
    expect(findTarget(state, "v1", "notary")).toMatchObject({ role: { role: "targets" }, meta: { length: 10 } });
    const theirs = bench.newDir();
    expect(rows(state)).toEqual(printedRows(await notary(theirs, "list", gun)));
    expect(rows(state, ["targets/releases"])).toEqual(
      printedRows(await notary(theirs, "list", gun, "-r", "targets/releases")),
    );
  });

  test(`shares one cache directory with notary, in the middle of a life (${title})`, { timeout: 120_000 }, async () => {
    const gun = "localhost:5000/demo/shared";
    const { publisher, notary } = bench;
    await notary(publisher, "init", gun, "-p");
    await notary(publisher, "add", gun, "v1", join(bench.base, "module"), "-p");
    const shared = bench.newDir();
    const client = bench.client(shared);
    await client.update(gun, { firstUse: "accept" });
    const ours = bench.newDir();
    cpSync(join(shared, "tuf"), join(ours, "tuf"), { recursive: true });
    expect(printedRows(await notary(ours, "list", gun))).toHaveLength(1);

    await notary(publisher, "add", gun, "v2", join(bench.base, "module"), "-p");
    expect(printedRows(await notary(shared, "list", gun))).toHaveLength(2); // notary writes our cache
    const state = await client.update(gun, { firstUse: "refuse" });
    expect(state.targets.from).toBe("cache"); // and we use what it wrote
    expect(rows(state)).toHaveLength(2);

    // a cache that notary wrote alone is no reason to trust: it saves the downloads, the rest is as for anybody new
    const foreign = bench.newDir();
    await notary(foreign, "list", gun);
    await expect(bench.client(foreign).update(gun, { firstUse: "refuse" })).rejects.toMatchObject({
      code: "FIRST_USE_REFUSED",
    });
    const adopted = await bench.client(foreign).update(gun, { firstUse: "accept" });
    expect([adopted.firstUse, adopted.targets.from]).toEqual([true, "cache"]);
    await expect(
      bench.client(foreign).update(gun, { firstUse: "refuse", freshness: { mode: "offline" } }),
    ).resolves.toBeDefined();
  });
}

function withTokens(): void {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench({ auth: { users: { reader: "secret" }, anonymousPull: false } });
  }, 60_000);
  afterAll(() => bench.close());

  test("answers a real server's challenge with one token for all requests, and says when it has none", async () => {
    const gun = "localhost:5000/demo/private";
    const runtime = { transport: bench.transport, createHasher: nodeHasher, now: () => new Date() };
    const dir = bench.newDir();
    const clientWith = (username: string, password: string) =>
      new NotaryClient({
        api: new NotaryApi({
          server: bench.server.url,
          runtime,
          credentials: { get: async () => ({ kind: "basic", username, password }) },
        }),
        metadata: openMetadataDir(dir),
        trust: openTrustStateDir(dir),
        now: runtime.now,
      });
    await expect(bench.client(dir).update(gun, { firstUse: "accept" })).rejects.toMatchObject({ code: "TRUST_DENIED" });
    await expect(clientWith("reader", "wrong").update(gun, { firstUse: "accept" })).rejects.toMatchObject({
      code: "TRUST_DENIED",
    });
    await expect(clientWith("reader", "secret").update(gun, { firstUse: "accept" })).rejects.toMatchObject({
      code: "TRUST_NOT_FOUND",
    });
  });
}

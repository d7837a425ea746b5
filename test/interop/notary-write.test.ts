import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hashBytes } from "../../src/base/digest.ts";
import { hexEncode, utf8Encode } from "../../src/base/bytes.ts";
import type { PassphraseProvider } from "../../src/keys/signer.ts";
import { registerLocalCa } from "../../src/node/local-ca.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import { openNotarySource, type OpenNotarySourceOptions } from "../../src/node/notary-source.ts";
import { createNodeTransport, type NodeTransport } from "../../src/node/transport.ts";
import type { NotarySource } from "../../src/trust/notary/source.ts";
import {
  describeWithPeers,
  NOTARY_PASSPHRASES,
  notaryCli,
  startNotaryServer,
  type CommandResult,
  type NotaryServer,
} from "../support/peers.ts";

const DAY_MS = 86_400_000;
const ACCEPT = { firstUse: "accept" } as const;
const REFUSE = { firstUse: "refuse" } as const;

const passphrases: PassphraseProvider = async ({ role }) => {
  if (role === "root" || role === "targets" || role === "snapshot") return NOTARY_PASSPHRASES[role];
  return NOTARY_PASSPHRASES.delegation;
};

interface Setup {
  readonly keyAlgorithm: "ecdsa" | "ed25519";
  readonly remoteSigner: boolean;
}

const SETUPS: readonly Setup[] = [
  { remoteSigner: true, keyAlgorithm: "ecdsa" },
  { remoteSigner: false, keyAlgorithm: "ed25519" },
];

describeWithPeers(["notary", "notary-server", "notary-signer", "openssl"], "publishing to a real Notary server", () => {
  for (const setup of SETUPS) suite(setup);
});

function suite(setup: Setup): void {
  const title = `${setup.keyAlgorithm} server keys`;
  let server: NotaryServer;
  let transport: NodeTransport;
  let base: string;
  let count = 0;

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), "notary-write-"));
    server = await startNotaryServer(setup);
    transport = createNodeTransport({ ca: server.caPem, onlyCa: true });
  }, 60_000);

  afterAll(async () => {
    transport.close();
    await server.stop();
    rmSync(base, { recursive: true, force: true });
  });

  function newDir(): string {
    const dir = join(base, `trust-${++count}`);
    mkdirSync(dir);
    return dir;
  }

  function open(dir: string, more: Partial<OpenNotarySourceOptions> & { now?: () => Date } = {}): NotarySource {
    const runtime = { transport, createHasher: nodeHasher, now: more.now ?? (() => new Date()) };
    return openNotarySource({ dir, server: server.url, runtime, passphrases, ...more });
  }

  async function notary(dir: string, ...args: string[]): Promise<CommandResult> {
    return notaryCli(args, { dir, server: server.url, ca: server.caFile });
  }

  async function succeeds(dir: string, ...args: string[]): Promise<string> {
    const result = await notary(dir, ...args);
    if (result.status !== 0) throw new Error(`notary ${args.join(" ")}: ${result.output}\n${server.log()}`);
    return result.output;
  }

  async function target(name: string, content = `content of ${name}`) {
    const bytes = utf8Encode(content);
    const [sha256, sha512] = [hexEncode(await hashBytes("sha256", bytes)), hexEncode(await hashBytes("sha512", bytes))];
    const file = join(base, name.replaceAll("/", "_"));
    writeFileSync(file, bytes);
    return { file, edit: [{ action: "add" as const, name, length: bytes.length, hashes: { sha256, sha512 } }], sha256 };
  }

  for (const snapshotKey of ["client", "server"] as const) {
    test(`${title}: notary reads what we publish, with a snapshot key held by the ${snapshotKey}`, async () => {
      const gun = `localhost:5000/ours/${snapshotKey}`;
      const source = open(newDir(), { newCollections: { snapshotKey } });
      const v1 = await target("v1");
      const v2 = await target("v2");
      const first = await source.publish(gun, () => v1.edit, REFUSE);
      expect(first.created).toBe(true);
      const custom = { "wasm-to-oci": { manifests: [`sha256:${v1.sha256}`] } };
      await source.publish(gun, () => [{ ...v2.edit[0]!, custom }], REFUSE);
      const dir = newDir();
      const list = await succeeds(dir, "list", gun);
      expect(list).toMatch(new RegExp(`^v1\\s+${v1.sha256}\\s+13\\s+targets`, "m"));
      expect(await succeeds(dir, "lookup", gun, "v2")).toContain(`v2 sha256:${v2.sha256}`);
      expect(await succeeds(dir, "verify", gun, "v1", "-i", v1.file)).toContain("content of v1");
      const tampered = await notary(dir, "verify", gun, "v2", "-i", v1.file);
      expect(tampered.status).toBe(1);
      await source.publish(gun, () => [{ action: "remove", name: "v1" }], REFUSE);
      expect(await succeeds(newDir(), "list", gun)).not.toMatch(/^v1\s/m);
    });
  }

  test(`${title}: notary and we take turns on one collection and one trust directory`, async () => {
    const gun = "localhost:5000/turns/app";
    const dir = newDir();
    const source = open(dir);
    const names = async () => (await source.open(gun, REFUSE)).list().map(({ name }) => name);
    const [a, b, c, d, e] = [
      await target("a"),
      await target("b"),
      await target("c"),
      await target("d"),
      await target("e"),
    ];

    await succeeds(dir, "init", gun, "-p");
    await succeeds(dir, "add", gun, "a", a.file, "-p");
    const ours = await source.publish(gun, () => b.edit, REFUSE); // our root key: no first use needed
    expect(ours.created).toBe(false);
    expect(await succeeds(dir, "list", gun)).toMatch(/^b\s/m);

    await succeeds(dir, "key", "rotate", gun, "targets");
    await source.publish(gun, () => c.edit, REFUSE);
    const rotated = await source.rotate(gun, { role: "targets" });
    expect(rotated.backups).toHaveLength(1);
    await succeeds(dir, "add", gun, "d", d.file, "-p");

    await source.rotate(gun, { role: "snapshot", manager: "server" });
    await succeeds(dir, "remove", gun, "a", "-p");
    await succeeds(dir, "key", "rotate", gun, "snapshot");
    await source.publish(gun, () => e.edit, REFUSE);
    await source.rotate(gun, { role: "timestamp" });
    await succeeds(dir, "key", "rotate", gun, "timestamp", "-r");
    await source.rotate(gun, { role: "snapshot", manager: "client" });
    expect(await names()).toEqual(["b", "c", "d", "e"]);
    const list = await succeeds(dir, "list", gun);
    for (const name of ["b", "c", "d", "e"]) expect(list).toMatch(new RegExp(`^${name}\\s`, "m"));
    const keys = await succeeds(dir, "key", "list");
    for (const { id } of readdirSync(join(dir, "private")).map((name) => ({ id: name.slice(0, -4) }))) {
      expect(keys).toContain(id.slice(0, 10));
    }
  });

  test(`${title}: a root rotation of ours is followed by notary clients that are behind, and one of theirs by ours`, async () => {
    const gun = "localhost:5000/rotation/app";
    const dir = newDir();
    const oldNotary = newDir();
    const oldOurs = open(newDir());
    const source = open(dir);
    const v1 = await target("v1");
    const first = await source.publish(gun, () => v1.edit, REFUSE);
    await succeeds(oldNotary, "list", gun);
    await oldOurs.open(gun, ACCEPT);

    const rotated = await source.rotate(gun, { role: "root" });
    expect(rotated.collection.rootKeys).not.toEqual(first.collection.rootKeys);
    await source.rotate(gun, { role: "root" });
    expect(await succeeds(oldNotary, "list", gun)).toMatch(/^v1\s/m);
    const followed = await oldOurs.open(gun, REFUSE);
    expect(followed.find("v1")?.hashes.sha256).toBe(v1.sha256);

    const reach = { dir, server: server.url, ca: server.caFile };
    const answer = await notaryCli(["key", "rotate", gun, "root"], { ...reach, input: "yes\n" });
    expect(answer).toMatchObject({ status: 0 });
    const again = await oldOurs.open(gun, REFUSE);
    expect(again.rootKeys).not.toEqual(followed.rootKeys);
    await source.publish(gun, () => [{ action: "remove", name: "v1" }], REFUSE);
  });

  test(`${title}: delegations of ours work with notary's signers, and theirs with ours`, async () => {
    const gun = "localhost:5000/delegated/app";
    const owner = newDir();
    const alice = newDir();
    const source = open(owner, { newCollections: { snapshotKey: "server" } });
    await source.init(gun);
    await succeeds(alice, "key", "generate", "ecdsa", "-r", "alice", "-o", join(alice, "alice"));
    const publicKey = readFileSync(join(alice, "alice.pem"), "utf8");
    const keyPem = readFileSync(join(alice, "alice-key.pem"), "utf8");

    await source.delegate(gun, { role: "targets/releases", keys: [publicKey], paths: [""] });
    expect(await succeeds(owner, "delegation", "list", gun)).toContain("targets/releases");
    const aliceSource = open(alice);
    await openKeyDir(alice).importPem(keyPem, { role: "alice" }, passphrases);
    const [v1, v2, v3] = [await target("v1"), await target("v2"), await target("v3")];
    const published = await aliceSource.publish(gun, () => v1.edit, ACCEPT);
    expect(published.collection.find("v1")?.role).toBe("targets/releases");
    expect(await succeeds(owner, "list", gun)).toMatch(/^v1\s.*targets\/releases/m);
    await succeeds(alice, "add", gun, "v2", v2.file, "-r", "targets/releases", "-p");
    await aliceSource.publish(gun, () => v3.edit, REFUSE);
    const consumer = await open(newDir()).open(gun, ACCEPT);
    expect(consumer.list().map(({ name }) => name)).toEqual(["v1", "v2", "v3"]);

    // notary adds another delegation; we remove both
    const args = ["delegation", "add", gun, "targets/beta", join(alice, "alice.pem"), "--paths", "beta/", "-p"];
    await succeeds(owner, ...args);
    const status = await source.status(gun);
    expect(status.roles.map(({ role }) => role)).toEqual(
      expect.arrayContaining(["targets/releases", "targets/beta"]) as string[],
    );
    await source.undelegate(gun, { role: "targets/releases" });
    expect(await succeeds(owner, "list", gun)).not.toMatch(/^v1\s/m);

    // a deleted delegation that comes back goes on from its old versions
    await source.delegate(gun, { role: "targets/releases", keys: [publicKey], paths: [""] });
    await aliceSource.publish(gun, () => v1.edit, REFUSE);
    expect(await succeeds(newDir(), "list", gun)).toMatch(/^v1\s/m);
  });

  test(`${title}: a staged change of notary neither stops us nor gets lost`, async () => {
    const gun = "localhost:5000/staged/app";
    const dir = newDir();
    const source = open(dir);
    const [a, b] = [await target("a"), await target("b")];
    await source.init(gun);
    await succeeds(dir, "add", gun, "a", a.file);
    const result = await source.publish(gun, () => b.edit, REFUSE);
    expect(result.collection.warnings.join("\n")).toContain("1 unpublished change");
    expect(await succeeds(dir, "status", gun)).toContain("a");
    await succeeds(dir, "publish", gun);
    expect(await succeeds(dir, "list", gun)).toMatch(/^a\s[\s\S]*^b\s/m);
  });

  test(`${title}: a collection that notary prepared and never published is no obstacle, for either side`, async () => {
    const gun = "localhost:5000/prepared/app";
    const dir = newDir();
    const [a, b] = [await target("a"), await target("b")];
    await succeeds(dir, "init", gun);
    await succeeds(dir, "add", gun, "a", a.file);
    const result = await open(dir).publish(gun, () => b.edit, REFUSE);
    expect(result.created).toBe(true);
    await succeeds(dir, "publish", gun);
    expect(await succeeds(newDir(), "list", gun)).toMatch(/^a\s[\s\S]*^b\s/m);
  });

  test(`${title}: the server's authority is given, or registered by serve; no other is accepted`, async () => {
    const gun = "localhost:5000/tls/app";
    const [dir, other] = [newDir(), newDir()];
    const tls = (folder: string, ca?: string) =>
      openNotarySource({
        dir: folder,
        server: server.url,
        passphrases,
        ca,
        credentials: { get: async () => undefined },
      });
    await tls(dir, server.caPem).init(gun);
    await expect(tls(other).open(gun, ACCEPT)).rejects.toMatchObject({ code: "TLS" });
    await registerLocalCa(other, server.caPem);
    expect((await tls(other).open(gun, ACCEPT)).name).toBe(gun);
  });

  test(`${title}: ten publishers at the same moment all land`, async () => {
    const gun = "localhost:5000/concurrent/app";
    const dir = newDir();
    await open(dir, { newCollections: { snapshotKey: "server" } }).init(gun);
    const names = Array.from({ length: 10 }, (_, index) => `v${index}`);
    await Promise.all(
      names.map(async (name) => {
        const { edit } = await target(name);
        await open(dir).publish(gun, () => edit, REFUSE);
      }),
    );
    const list = await succeeds(newDir(), "list", gun);
    for (const name of names) expect(list).toMatch(new RegExp(`^${name}\\s`, "m"));
  });

  test.runIf(setup.remoteSigner)("expired collections, where notary is stuck, are inspected and repaired", async () => {
    const dir = newDir();
    const v1 = await target("v1");
    // published by a machine whose clock is as far back as what it signs is good for, less some seconds
    const past = () => new Date(Date.now() - 1095 * DAY_MS + 8_000);
    const holders = ["client", "server"] as const;
    const gunOf = (snapshotKey: string) => `localhost:5000/expired/${snapshotKey}`;
    for (const snapshotKey of holders) {
      const old = open(dir, { now: past, newCollections: { snapshotKey } });
      await old.publish(gunOf(snapshotKey), () => v1.edit, REFUSE);
    }
    const source = open(dir);
    for (const gun of holders.map(gunOf)) {
      const verdict = () => source.open(gun, REFUSE).then(String, (error: { code: string }) => error.code);
      await expect.poll(verdict, { timeout: 30_000 }).toMatch(/METADATA_EXPIRED|TRUST_UNAVAILABLE/);
      expect(await notary(dir, "list", gun)).toMatchObject({ status: 1 });
      expect(await notary(dir, "add", gun, "v2", v1.file, "-p")).toMatchObject({ status: 1 });
      const status = await source.status(gun);
      expect(status.expired).toBe(true);
      expect(status.roles.find(({ role }) => role === "targets")).toMatchObject({ expired: true, signable: true });
      await expect(source.publish(gun, () => v1.edit, REFUSE)).rejects.toMatchObject({
        code: expect.stringMatching(/METADATA_EXPIRED|TRUST_UNAVAILABLE/) as string,
      });
      const repaired = await source.repair(gun);
      expect(repaired.repaired).toContain("targets");
      expect(repaired.remaining).toEqual([]);
      expect(await succeeds(newDir(), "list", gun)).toMatch(/^v1\s/m);
    }
  });
}

describeWithPeers(["notary", "notary-server", "openssl"], "publishing to a Notary server that wants tokens", () => {
  test("asks with Docker's credentials, for as much as each step needs", async () => {
    const server = await startNotaryServer({ remoteSigner: false, auth: { users: { alice: "wonderland" } } });
    const transport = createNodeTransport({ ca: server.caPem, onlyCa: true });
    const dir = mkdtempSync(join(tmpdir(), "notary-auth-"));
    const runtime = { transport, createHasher: nodeHasher, now: () => new Date() };
    const gun = "localhost:5000/private/app";
    const as = (password: string) =>
      openNotarySource({
        dir,
        server: server.url,
        runtime,
        passphrases,
        credentials: { get: async () => ({ kind: "basic", username: "alice", password }) },
      });
    const edit = () => [{ action: "add" as const, name: "v1", length: 1, hashes: { sha256: "ab".repeat(32) } }];
    try {
      await expect(as("wrong").publish(gun, edit, REFUSE)).rejects.toMatchObject({ code: "TRUST_DENIED" });
      expect(await openKeyDir(dir).list()).toEqual([]);
      expect(await as("wonderland").publish(gun, edit, REFUSE)).toMatchObject({ created: true });
      await as("wonderland").rotate(gun, { role: "timestamp" });
      const scopes = server
        .tokens!.requests.filter(({ user }) => user === "alice")
        .flatMap((request) => request.scopes);
      expect(new Set(scopes.map((scope) => scope.split(":").at(-1)))).toEqual(new Set(["pull", "push,pull", "*"]));
      const auth = { NOTARY_AUTH: btoa("alice:wonderland") };
      const reach = { dir: join(dir, "notary"), server: server.url, ca: server.caFile, env: auth };
      expect((await notaryCli(["list", gun], reach)).output).toMatch(/^v1\s/m);
    } finally {
      transport.close();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

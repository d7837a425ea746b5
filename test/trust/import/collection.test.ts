/** Imports of Notary collections: what comes along, what does not, and failures that leave nothing behind. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memoryKeyStore, type KeyStore } from "../../../src/keys/key-store.ts";
import { nodeRuntime } from "../../../src/node/runtime.ts";
import { openTufPublisher } from "../../../src/node/tuf-publisher.ts";
import {
  importCollection,
  type ImportCollectionOptions,
  type ImportedCollection,
} from "../../../src/trust/import/collection.ts";
import { HANDOVER_FIELD, signHandover } from "../../../src/trust/import/handover.ts";
import type { KeyChoice } from "../../../src/trust/key-choice.ts";
import type { TufSource } from "../../../src/trust/tuf/source.ts";
import { tufKeyOf } from "../../../src/tuf/keys.ts";
import {
  add,
  createWorld,
  createSigner,
  GUN,
  hashOf,
  type Machine,
  type World,
} from "../../support/notary-publisher.ts";
import { failure } from "../../support/use-case.ts";

const NAME = "acme/app";
const PASSPHRASE = async () => "correct horse";

let dir: string;
let world: World;
let owner: Machine;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "import-"));
  world = createWorld();
  owner = world.machine({ newCollections: { snapshotKey: "server" } });
  await owner.source.publish(GUN, () => [...add("v1"), ...add("v2")], { firstUse: "refuse" });
});

afterEach(() => rm(dir, { recursive: true, force: true }));

function destination(keyStore: KeyStore = memoryKeyStore(), trust = "trust") {
  const runtime = { ...nodeRuntime(), now: world.clock.now };
  const opened = openTufPublisher({
    location: join(dir, "repository"),
    dir: join(dir, trust),
    keyStore,
    passphrases: PASSPHRASE,
    runtime,
  });
  return { ...opened, keyStore };
}

async function importTo(
  { publisher, keyStore }: ReturnType<typeof destination>,
  options: Partial<ImportCollectionOptions> & { acceptExpired?: boolean } = {},
): Promise<ImportedCollection> {
  const { acceptExpired = false, ...more } = options;
  const state = await owner.source.readState(GUN, { acceptExpired, firstUse: "accept" });
  return importCollection({
    state,
    order: "docker",
    collection: NAME,
    publisher,
    keyStore,
    oldKeys: owner.keyStore,
    passphrases: PASSPHRASE,
    now: world.clock.now,
    ...more,
  });
}

const oldFingerprint = async (): Promise<string> =>
  (await owner.source.open(GUN, { firstUse: "accept" })).rootKeys[0]!.fingerprint;

async function nothingWritten(keyStore: KeyStore): Promise<void> {
  expect(await readdir(join(dir, "repository")).catch(() => [])).toEqual([]);
  expect(await keyStore.list()).toEqual([]);
}

/** A consumer that has never seen the new collection. */
function consumer(): TufSource {
  return destination(memoryKeyStore(), `consumer-${Math.random()}`).source;
}

describe("importCollection", () => {
  it("makes a new collection with the same names, whose new root the old root key hands over to", async () => {
    const there = destination();
    const imported = await importTo(there);
    expect(imported).toMatchObject({ gun: GUN, collection: NAME, handedOverBy: [await oldFingerprint()] });
    expect(imported.targets.map(({ name, role }) => [name, role])).toEqual([
      ["v1", "targets"],
      ["v2", "targets"],
    ]);
    const opened = await consumer().open(NAME, { firstUse: "accept" });
    expect(opened.find("v1")).toMatchObject({ length: 3, hashes: { sha256: hashOf("v1") }, role: "targets" });
    expect(opened.list()).toHaveLength(2);
    expect(opened.rootKeys[0]!.fingerprint).toBe(imported.rootKeys[0]!.fingerprint);
    expect(opened.rootKeys[0]!.fingerprint).not.toBe(await oldFingerprint());
  });

  it("is trusted by who pinned the old root key, and by nobody who pinned another", async () => {
    await importTo(destination());
    const pin = { fingerprints: [await oldFingerprint()] };
    const opened = await consumer().open(NAME, { pin, firstUse: "refuse" });
    expect(opened.find("v2")).toBeDefined();
    expect(opened.firstUse).toBe(false);
    expect(opened.warnings.join()).toContain("handed over to others");
    const present = { fingerprints: opened.rootKeys.map(({ fingerprint }) => fingerprint) };
    expect((await consumer().open(NAME, { pin: present, firstUse: "refuse" })).warnings).toEqual([]);
    const other = { fingerprints: ["ab".repeat(32)] };
    await failure(consumer().open(NAME, { pin: other, firstUse: "refuse" }), "PIN_MISMATCH");
    await failure(consumer().open("acme/other", { pin, firstUse: "refuse" }), "COLLECTION_MISMATCH");
  });

  it("hands over to one name only, though the same key signs a root of another", async () => {
    const there = destination();
    const { rootKeys } = await importTo(there);
    const state = await owner.source.readState(GUN, { acceptExpired: false, firstUse: "accept" });
    const oldId = (await owner.keyStore.list()).find(({ role }) => role === "root")!.id;
    const oldRoot = (await owner.keyStore.open(oldId, PASSPHRASE))!;
    const newId = (await there.keyStore.list()).find(({ role }) => role === "root")!.id;
    const newRoot = (await there.keyStore.open(newId, PASSPHRASE))!;
    const handover = { from: state.gun, to: NAME, rootKeys: [rootKeys[0]!.fingerprint], threshold: 1 };
    const document = await signHandover({ ...handover, created: world.clock.now() }, [oldRoot]);
    const pin = { fingerprints: [await oldFingerprint()] };
    const elsewhere = (folder: string): ReturnType<typeof openTufPublisher> =>
      openTufPublisher({
        location: join(dir, folder),
        dir: join(dir, `${folder}-trust-${Math.random()}`),
        keyStore: there.keyStore,
        passphrases: PASSPHRASE,
        runtime: { ...nodeRuntime(), now: world.clock.now },
      });
    for (const name of ["acme/evil", NAME]) {
      const folder = name.replace("/", "-");
      const roles = { root: { keys: [await tufKeyOf(newRoot.publicKey)] } };
      await elsewhere(folder).publisher.initWith(name, roles, { changes: [], extra: { [HANDOVER_FIELD]: document } });
      const opening = elsewhere(folder).source.open(name, { pin, firstUse: "refuse" });
      if (name === NAME) expect((await opening).name).toBe(NAME);
      else await failure(opening, "PIN_MISMATCH");
    }
  });

  it("brings the targets key along, so that its holder goes on signing", async () => {
    const there = destination();
    const imported = await importTo(there);
    const old = (await owner.keyStore.list()).filter(({ role }) => role === "targets").map(({ id }) => id);
    expect(imported.keys).toEqual(old);
    await there.source.publish(NAME, () => add("v3"), { firstUse: "refuse" });
    expect((await consumer().open(NAME, { firstUse: "accept" })).find("v3")).toBeDefined();
    const roles = (await there.keyStore.list()).map(({ role }) => role).toSorted();
    expect(roles).toEqual(["root", "targets"]); // the old root key stays where it is
  });

  it("keeps the old root key where it is chosen", async () => {
    const root = (await owner.keyStore.list()).find(({ role }) => role === "root");
    const imported = await importTo(destination(), { rootKeyId: root!.id });
    expect(imported.rootKeys[0]!.fingerprint).toBe(await oldFingerprint());
  });

  it("gives the new root to several people, whom consumers of the old key follow all together", async () => {
    const there = destination();
    const carol = await createSigner("carol");
    const { publicKey } = (await carol.keyStore.open(carol.id, PASSPHRASE))!;
    await there.keyStore.importPem(await carol.keyStore.exportPem([carol.id]), {}, PASSPHRASE);
    const keys: KeyChoice[] = [{ kind: "new" }, { kind: "new" }, { kind: "stored", id: carol.id }];
    const imported = await importTo(there, { root: { keys, threshold: 2 } });
    expect(imported).toMatchObject({ rootThreshold: 2, rootKeys: expect.objectContaining({ length: 3 }) });
    const pin = { fingerprints: [await oldFingerprint()] };
    const opened = await consumer().open(NAME, { firstUse: "refuse", pin });
    expect(opened.roles[0]).toMatchObject({ role: "root", threshold: 2 });
    const fingerprints = opened.rootKeys.map(({ fingerprint }) => fingerprint);
    expect(fingerprints).toEqual(imported.rootKeys.map(({ fingerprint }) => fingerprint));
    expect(fingerprints).toContain(await publicKey.fingerprint());
    await consumer().open(NAME, { firstUse: "refuse", pin: { fingerprints, threshold: 2 } });
    await failure(
      consumer().open(NAME, { firstUse: "refuse", pin: { fingerprints: ["ab".repeat(32)] } }),
      "PIN_MISMATCH",
    );
    expect((await there.keyStore.list()).filter(({ role }) => role === "root")).toHaveLength(2);
  });

  it("writes nothing, and keeps no key, where a new root key is not here, or there are not enough", async () => {
    const there = destination();
    const carol = await createSigner("carol");
    const { publicKey } = (await carol.keyStore.open(carol.id, PASSPHRASE))!;
    const keys: KeyChoice[] = [{ kind: "new" }, { kind: "public", publicKey }];
    await failure(importTo(there, { root: { keys, threshold: 1 } }), "KEY_MISSING"); // nobody shows that it exists
    await nothingWritten(there.keyStore);
    await failure(importTo(there, { root: { keys, threshold: 3 } }), "USAGE");
    await nothingWritten(there.keyStore);
    await importTo(there, { root: { keys: [{ kind: "new" }, { kind: "new" }], threshold: 2 } });
  });

  it("takes delegations over whose keys are here, each name with the role that answered for it", async () => {
    const alice = await createSigner("alice");
    await owner.keyStore.importPem(await alice.keyStore.exportPem([alice.id]), {}, PASSPHRASE);
    await owner.source.delegate(GUN, { role: "targets/releases", keys: [alice.pem], paths: [""] });
    await owner.source.publish(GUN, () => add("v2", 5), { firstUse: "refuse", roles: ["targets/releases"] });
    const imported = await importTo(destination());
    expect(imported.delegations).toEqual([{ role: "releases", oldRole: "targets/releases" }]);
    const opened = await consumer().open(NAME, { firstUse: "accept" });
    expect(opened.find("v2")).toMatchObject({ length: 5, role: "releases" });
    expect(opened.find("v1")).toMatchObject({ length: 3, role: "targets" });
    expect((await opened.authorities("v2")).map(({ role, state }) => [role, state])).toEqual([
      ["targets", "silent"],
      ["releases", "answers"],
    ]);
  });

  it("signs what absent delegates signed itself, and says that they lost their say", async () => {
    const alice = await createSigner("alice");
    await owner.source.delegate(GUN, { role: "targets/releases", keys: [alice.pem], paths: [""] });
    const away = world.machine({ keyStore: alice.keyStore });
    await away.source.publish(GUN, () => add("v3"), { firstUse: "accept", roles: ["targets/releases"] });
    const imported = await importTo(destination());
    expect(imported.delegations).toEqual([]);
    expect(imported.notes.map(({ code }) => code)).toContain("delegation-left-out");
    expect((await consumer().open(NAME, { firstUse: "accept" })).find("v3")?.role).toBe("targets");
  });

  it("gives roles that no reader asks no say", async () => {
    const mallory = await createSigner("mallory");
    await owner.keyStore.importPem(await mallory.keyStore.exportPem([mallory.id]), {}, PASSPHRASE);
    await owner.source.delegate(GUN, { role: "targets/qa", keys: [mallory.pem], paths: [""] });
    await owner.source.publish(GUN, () => add("secret"), { firstUse: "refuse", roles: ["targets/qa"] });
    const imported = await importTo(destination());
    expect(imported.notes.some(({ message }) => message.includes("targets/qa"))).toBe(true);
    expect((await consumer().open(NAME, { firstUse: "accept" })).find("secret")).toBeUndefined();
  });

  it("writes nothing where the passphrase of the old root key is wrong", async () => {
    const there = destination();
    const oldKeys = memoryKeyStore(); // one that has opened nothing yet
    const ids = (await owner.keyStore.list()).map(({ id }) => id);
    await oldKeys.importPem(await owner.keyStore.exportPem(ids), {}, PASSPHRASE);
    await failure(importTo(there, { oldKeys, passphrases: async () => "wrong" }), "KEY_PASSPHRASE");
    await nothingWritten(there.keyStore);
  });

  it("writes nothing, and keeps no key, where the passphrase of a later key is wrong", async () => {
    const there = destination();
    const { publisher } = openTufPublisher({
      location: join(dir, "repository"),
      dir: join(dir, "trust"),
      keyStore: there.keyStore,
      passphrases: async ({ role, isNew }) => (role === "targets" && !isNew ? "wrong" : "correct horse"),
      runtime: { ...nodeRuntime(), now: world.clock.now },
    });
    await failure(importTo({ ...there, publisher }), "KEY_PASSPHRASE");
    await nothingWritten(there.keyStore);
    await importTo(there); // and the next honest one works
  });

  it("writes nothing where the old root key is not here", async () => {
    const there = destination();
    await failure(importTo(there, { oldKeys: memoryKeyStore() }), "KEY_MISSING");
    await nothingWritten(there.keyStore);
  });

  it("does not touch a collection that is there already", async () => {
    const there = destination();
    await importTo(there);
    const before = await there.keyStore.list();
    await failure(importTo(there), "TRUST_EXISTS");
    expect(await there.keyStore.list()).toEqual(before);
    expect((await consumer().open(NAME, { firstUse: "accept" })).list()).toHaveLength(2);
  });

  it("refuses an expired collection unless that is accepted", async () => {
    world.clock.addDays(365 * 12);
    const there = destination();
    await failure(importTo(there), "METADATA_EXPIRED");
    await nothingWritten(there.keyStore);
    await importTo(there, { acceptExpired: true });
    expect((await consumer().open(NAME, { firstUse: "accept" })).list()).toHaveLength(2);
  });
});

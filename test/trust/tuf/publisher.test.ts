import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ownBytes } from "../../../src/base/bytes.ts";
import { memoryKeyStore, type KeyStore } from "../../../src/keys/key-store.ts";
import { nodeRuntime } from "../../../src/node/runtime.ts";
import { openTufDirectory } from "../../../src/node/tuf-directory-publisher.ts";
import { openTufPublisher } from "../../../src/node/tuf-publisher.ts";
import { openTufTrustDir } from "../../../src/node/tuf-source.ts";
import type { EditTargets } from "../../../src/trust/source.ts";
import { TufPublisher } from "../../../src/trust/tuf/publisher.ts";
import { prefixPatterns } from "../../../src/tuf/editor.ts";
import { always, codeOf } from "../../support/key-fixtures.ts";
import { DAY, NOW, person } from "../../support/tuf-publishing.ts";

const COLLECTION = "acme/app";
const REFUSE = { firstUse: "refuse" } as const;
const ACCEPT = { firstUse: "accept" } as const;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tuf-publisher-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** One person's machine: keys, trust, and the repository that all share. */
function machine(name: string, { keyStore = memoryKeyStore(), now = () => NOW } = {}) {
  const runtime = { ...nodeRuntime(), now };
  const { source, publisher } = openTufPublisher({
    location: join(dir, "repository"),
    dir: join(dir, name),
    keyStore,
    passphrases: always("a long passphrase"),
    runtime,
  });
  const store = openTufDirectory(join(dir, "repository"));
  const options = {
    store,
    staging: store.staging,
    trust: openTufTrustDir(join(dir, name)),
    keyStore,
    passphrases: always("a long passphrase"),
    keyLocation: "memory",
    now,
  };
  return { publisher, source, keyStore, options };
}

const adding =
  (...names: string[]): EditTargets =>
  () =>
    names.map((name) => ({ action: "add", name, length: 3, hashes: { sha256: "ab".repeat(32) } }));

async function withKey(keyStore: KeyStore) {
  const { key, signer } = await person();
  await keyStore.add(signer, { role: "delegation" }, always("a long passphrase"));
  return key;
}

describe("a TUF source that publishes", () => {
  test("makes the collection with the first target, and finds it again", async () => {
    const { source } = machine("ada");
    const first = await source.publish(COLLECTION, adding("v1"), REFUSE);
    expect(first.created).toBe(true);
    expect(first.collection.find("v1")?.role).toBe("targets");
    expect(first.freshUntil).toEqual(new Date(NOW.getTime() + 30 * DAY));
    const second = await source.publish(COLLECTION, adding("v2"), REFUSE);
    expect(second.created).toBe(false);
    expect(second.collection.list().map(({ name }) => name)).toEqual(["v1", "v2"]);
  });

  test("removes targets, and gives edits the newest state", async () => {
    const { source } = machine("ada");
    await source.publish(COLLECTION, adding("v1", "v2"), REFUSE);
    const { collection } = await source.publish(
      COLLECTION,
      (current) => current!.list().map(({ name }) => ({ action: "remove", name })),
      REFUSE,
    );
    expect(collection.list()).toEqual([]);
  });

  test("loses no update of ten machines with the same keys", async () => {
    const { source, keyStore } = machine("ada");
    await source.publish(COLLECTION, adding("v0"), REFUSE);
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        machine(`m${index}`, { keyStore }).source.publish(COLLECTION, adding(`m${index}`), ACCEPT),
      ),
    );
    expect((await source.open(COLLECTION, REFUSE)).list()).toHaveLength(11);
  });

  test("lets an invited person sign, and then publish under their prefix only", async () => {
    const owner = machine("owner");
    await owner.source.publish(COLLECTION, adding("v1"), REFUSE);
    const ada = machine("ada");
    const key = await withKey(ada.keyStore);
    const online = await withKey(ada.keyStore);
    const review = await owner.publisher.stage(COLLECTION, [
      { action: "delegate", delegator: "targets", role: "ada", keys: [key], paths: prefixPatterns("ada/") },
      { action: "keys", role: "snapshot", add: [online] },
      { action: "keys", role: "timestamp", add: [online] },
    ]);
    expect(review.missing.length).toBeGreaterThan(0);
    const seen = await ada.publisher.review(COLLECTION, ACCEPT);
    expect((await ada.publisher.sign(COLLECTION, seen!, ACCEPT)).missing).toEqual([]);
    await owner.publisher.publishStaged(COLLECTION);
    const { collection } = await ada.source.publish(COLLECTION, adding("ada/app/v1"), ACCEPT);
    expect(collection.find("ada/app/v1")?.role).toBe("ada");
    expect(await codeOf(() => ada.source.publish(COLLECTION, adding("v2"), ACCEPT))).toBe("KEY_MISSING");
    expect((await owner.source.open(COLLECTION, REFUSE)).list().map(({ name }) => name)).toEqual(["ada/app/v1", "v1"]);
  });

  test("makes a collection of several people's keys", async () => {
    const [ada, bob] = [machine("ada"), machine("bob")];
    const keys = [await withKey(ada.keyStore), await withKey(bob.keyStore)];
    await ada.publisher.stageInit(COLLECTION, { root: { keys, threshold: 2 } });
    const review = await bob.publisher.review(COLLECTION);
    await bob.publisher.sign(COLLECTION, review!);
    await ada.publisher.publishStaged(COLLECTION);
    const { roles } = await bob.source.open(COLLECTION, ACCEPT);
    expect(roles[0]?.signedBy).toHaveLength(2);
  });

  test("shows the status of an expired collection, and repairs it", async () => {
    const early = machine("ada");
    await early.source.publish(COLLECTION, adding("v1"), REFUSE);
    const late = machine("ada", { keyStore: early.keyStore, now: () => new Date(NOW.getTime() + 40 * DAY) });
    const status = await late.publisher.status(COLLECTION);
    expect(status.expired).toBe(true);
    expect(status.roles.filter(({ expired }) => expired).map(({ role }) => role)).toEqual(["timestamp", "snapshot"]);
    expect((await late.publisher.repair(COLLECTION)).repaired).toEqual(["snapshot", "timestamp"]);
    expect((await late.source.open(COLLECTION, REFUSE)).find("v1")).toBeDefined();
  });

  test("leaves no key behind where nothing was made, and keeps those of what exists", async () => {
    const { source, keyStore } = machine("ada");
    expect(await codeOf(() => source.publish(COLLECTION, adding("../x"), REFUSE))).toBe("TARGET_NAME_INVALID");
    expect(await keyStore.list()).toEqual([]);
    await source.publish(COLLECTION, adding("x"), REFUSE);
    expect(await keyStore.list()).toHaveLength(4);
  });

  test("works on no other collection than the one that root names", async () => {
    const { source, publisher } = machine("ada");
    await source.publish(COLLECTION, adding("v1"), REFUSE);
    expect(await codeOf(() => publisher.change("acme/other", [], ACCEPT))).toBe("COLLECTION_MISMATCH");
    expect(await codeOf(() => publisher.status("acme/other", ACCEPT))).toBe("COLLECTION_MISMATCH");
    expect(await codeOf(() => publisher.init("acme/other"))).toBe("TRUST_EXISTS");
  });

  test.each([
    ["change", (one: TufPublisher) => one.change(COLLECTION, [], ACCEPT)],
    ["status", (one: TufPublisher) => one.status(COLLECTION, ACCEPT)],
    ["repair", (one: TufPublisher) => one.repair(COLLECTION, ACCEPT)],
    ["stage", (one: TufPublisher) => one.stage(COLLECTION, [{ action: "renew", role: "targets" }], ACCEPT)],
  ])("keeps the root of its first use, which was a %s", async (_, act) => {
    const { source, publisher, keyStore } = machine("ada");
    await source.publish(COLLECTION, adding("v1"), REFUSE);
    const ben = machine("ben", { keyStore });
    await act(ben.publisher);
    await publisher.dropStaged();
    expect((await ben.source.open(COLLECTION, REFUSE)).firstUse).toBe(false);
    await expect(ben.publisher.status(COLLECTION)).resolves.toMatchObject({ expired: false });
    // the same place, another collection's keys
    await rm(join(dir, "repository"), { recursive: true });
    await machine("eve").source.publish(COLLECTION, adding("v1"), REFUSE);
    expect(await codeOf(() => act(ben.publisher))).toBe("SIGNATURE_THRESHOLD");
  });

  test("keeps no root that names another collection, and lets nobody take the place of one that is trusted", async () => {
    await machine("ada").source.publish(COLLECTION, adding("v1"), REFUSE);
    const ben = machine("ben");
    expect(await codeOf(() => ben.publisher.status("acme/other", ACCEPT))).toBe("COLLECTION_MISMATCH");
    expect(await codeOf(() => ben.publisher.status("acme/other"))).toBe("FIRST_USE_REFUSED");
    const trust = openTufTrustDir(join(dir, "ben"));
    const key = { location: join(dir, "repository"), collection: COLLECTION };
    const other = Uint8Array.of(1);
    const late = { ...trust, readAnchor: async () => undefined, writeAnchor: async () => other };
    const racing = new TufPublisher({ ...ben.options, trust: late });
    expect(await codeOf(() => racing.status(COLLECTION, ACCEPT))).toBe("ROOT_UNTRUSTED");
    expect(await trust.readAnchor(key)).toBeUndefined();
    await ben.publisher.status(COLLECTION, ACCEPT);
    expect(await trust.readAnchor(key)).toEqual(
      new Uint8Array(await readFile(join(dir, "repository", "metadata", "1.root.json"))),
    );
  });

  test("trusts no root that nothing speaks for, and none that is not pinned", async () => {
    await machine("ada").source.publish(COLLECTION, adding("v1"), REFUSE);
    const { publisher } = machine("eve");
    expect(await codeOf(() => publisher.change(COLLECTION, []))).toBe("FIRST_USE_REFUSED");
    const pin = { fingerprints: ["0".repeat(64)] };
    expect(await codeOf(() => publisher.change(COLLECTION, [], { pin }))).toBe("PIN_MISMATCH");
    await rm(join(dir, "repository"), { recursive: true });
    expect(await codeOf(() => publisher.change(COLLECTION, [], { pin }))).toBe("TRUST_WITHHELD");
    expect(await codeOf(() => publisher.change(COLLECTION, []))).toBe("TRUST_NOT_FOUND");
  });

  test("takes a known collection that vanished for a failure, not for none", async () => {
    const { source } = machine("ada");
    await source.publish(COLLECTION, adding("v1"), REFUSE);
    await rm(join(dir, "repository"), { recursive: true });
    expect(await codeOf(() => source.publish(COLLECTION, adding("v2"), REFUSE))).toBe("TRUST_WITHHELD");
  });

  test("writes no secret anywhere in the repository", async () => {
    const { source } = machine("ada");
    await source.publish(COLLECTION, adding("v1"), REFUSE);
    const root = ownBytes(await readFile(join(dir, "repository", "metadata", "1.root.json")));
    expect(new TextDecoder().decode(root)).not.toMatch(/private/i);
  });
});

import { expect, it } from "vitest";
import { utf8Encode } from "../../../src/base/bytes.ts";
import { digestBytes } from "../../../src/base/digest.ts";
import type { Change, ChangeQuery, SealedKey, TrustDocument, TrustStore } from "../../../src/server/trust/store.ts";

const NOW = new Date("2026-11-22T12:00:00.123Z");
const LIMITS = { keepPerRole: 3, keepInAll: 5 };

export async function storable(role: string, version: number, content = `${role} ${version}`): Promise<TrustDocument> {
  const bytes = utf8Encode(content);
  return { role, version, bytes, digest: await digestBytes(bytes) };
}

async function changesOf(store: TrustStore, query: Partial<ChangeQuery> = {}): Promise<readonly Change[]> {
  return store.changes({ gun: undefined, limit: 100, after: undefined, direction: "forward", ...query });
}

async function put(store: TrustStore, gun: string, ...documents: TrustDocument[]): Promise<void> {
  await store.update({ gun, documents, publishedKeyIds: undefined, now: NOW });
}

function key(gun: string, keyId: string, role: SealedKey["role"] = "timestamp"): SealedKey {
  return { gun, role, keyId, sealed: utf8Encode(`sealed ${keyId}`) };
}

/** What every TrustStore owes its callers. `open` gives a new, empty store. */
export function trustStoreContract(open: () => Promise<TrustStore>): void {
  it("gives documents back byte for byte, by role, version and digest", async () => {
    const store = await open();
    const bytes = new Uint8Array([0, 1, 255, 123, 10]);
    const digest = await digestBytes(bytes);
    await put(store, "a/b", { role: "targets/x", version: 7, bytes, digest });
    const expected = { role: "targets/x", version: 7, bytes, digest, storedAt: NOW };
    expect(await store.current("a/b", "targets/x")).toEqual(expected);
    expect(await store.byVersion("a/b", "targets/x", 7)).toEqual(expected);
    expect(await store.byDigest("a/b", "targets/x", digest)).toEqual(expected);
    expect(await store.listCurrent("a/b")).toEqual(new Map([["targets/x", { version: 7, digest, size: 5 }]]));
  });

  it("finds nothing under another role, version, digest or collection", async () => {
    const store = await open();
    const document = await storable("targets", 2);
    await put(store, "a", document);
    expect(await store.current("a", "root")).toBeUndefined();
    expect(await store.current("a/", "targets")).toBeUndefined();
    expect(await store.current("A", "targets")).toBeUndefined();
    expect(await store.byVersion("a", "targets", 1)).toBeUndefined();
    expect(await store.byDigest("a", "root", document.digest)).toBeUndefined();
    expect(await store.listCurrent("b")).toEqual(new Map());
  });

  it("keeps every version and gives the newest as current, also after a jump", async () => {
    const store = await open();
    for (const version of [1, 2, 40]) await put(store, "a", await storable("targets", version));
    await put(store, "a", await storable("root", 1));
    expect((await store.current("a", "targets"))?.version).toBe(40);
    expect((await store.byVersion("a", "targets", 2))?.bytes).toEqual(utf8Encode("targets 2"));
    const all = await store.listCurrent("a");
    expect(Object.fromEntries([...all].map(([role, document]) => [role, document.version]))).toEqual({
      root: 1,
      targets: 40,
    });
  });

  it.each([4, 5])("refuses a whole update where one document has version %i and 5 is stored", async (version) => {
    const store = await open();
    await put(store, "a", await storable("targets", 5), await storable("timestamp", 1));
    const update = [
      await storable("root", 2),
      await storable("timestamp", 2),
      await storable("targets", version, "other"),
    ];
    await expect(put(store, "a", ...update)).rejects.toMatchObject({
      code: "TRUST_CONFLICT",
      details: { role: "targets", version, newest: 5 },
    });
    expect(await store.current("a", "root")).toBeUndefined();
    expect((await store.current("a", "timestamp"))?.version).toBe(1);
    expect(await changesOf(store)).toHaveLength(1);
    await put(store, "a", await storable("targets", 6), await storable("timestamp", 2));
    expect((await store.current("a", "targets"))?.version).toBe(6);
  });

  it("lets exactly one of many concurrent updates with the same version win", async () => {
    const store = await open();
    const attempts = Array.from({ length: 20 }, async (_, index) =>
      put(store, "a", await storable("targets", 1, `by ${index}`), await storable("timestamp", 1, `by ${index}`)),
    );
    const results = await Promise.allSettled(attempts);
    expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
    const winner = results.findIndex((result) => result.status === "fulfilled");
    expect((await store.current("a", "targets"))?.bytes).toEqual(utf8Encode(`by ${winner}`));
    expect((await store.current("a", "timestamp"))?.bytes).toEqual(utf8Encode(`by ${winner}`));
  });

  it("deletes a collection by its exact name, and its keys with it", async () => {
    const store = await open();
    for (const gun of ["a/b", "a/bc", "a/b/c", "a"]) {
      await put(store, gun, await storable("timestamp", 1));
      await store.addKey(key(gun, "k"), LIMITS);
    }
    await store.delete("a/b", NOW);
    expect(await store.listCurrent("a/b")).toEqual(new Map());
    expect(await store.keys("a/b", "timestamp")).toEqual([]);
    for (const gun of ["a/bc", "a/b/c", "a"]) {
      expect((await store.current(gun, "timestamp"))?.version).toBe(1);
      expect(await store.keys(gun, "timestamp")).toHaveLength(1);
    }
    await put(store, "a/b", await storable("timestamp", 1));
    expect((await store.current("a/b", "timestamp"))?.version).toBe(1);
  });

  it("records each new timestamp and each deletion of something, in order", async () => {
    const store = await open();
    const timestamp = await storable("timestamp", 3);
    await put(store, "a", await storable("root", 1), timestamp);
    await put(store, "a", await storable("root", 2));
    await store.delete("none", NOW);
    await store.delete("a", NOW);
    expect(await changesOf(store)).toEqual([
      { id: 1, createdAt: NOW, gun: "a", version: 3, digest: timestamp.digest, category: "update" },
      { id: 2, createdAt: NOW, gun: "a", version: 0, digest: undefined, category: "deletion" },
    ]);
  });

  it("gives changes forward and backward from an id, of one collection or all, always oldest first", async () => {
    const store = await open();
    for (let version = 1; version <= 3; version++) {
      await put(store, "a", await storable("timestamp", version));
      await put(store, "ab", await storable("timestamp", version));
    }
    const ids = async (query: Partial<ChangeQuery>) => (await changesOf(store, query)).map((change) => change.id);
    expect(await ids({})).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await ids({ limit: 2 })).toEqual([1, 2]);
    expect(await ids({ limit: 2, after: 3 })).toEqual([4, 5]);
    expect(await ids({ limit: 2, after: 6 })).toEqual([]);
    expect(await ids({ gun: "a", after: 1 })).toEqual([3, 5]);
    expect(await ids({ limit: 2, direction: "backward" })).toEqual([5, 6]);
    expect(await ids({ limit: 2, direction: "backward", after: 5 })).toEqual([3, 4]);
    expect(await ids({ gun: "ab", limit: 1, direction: "backward" })).toEqual([6]);
  });

  it("lists collections whose newest timestamp is old, page by page", async () => {
    const store = await open();
    const later = new Date(NOW.getTime() + 1000);
    for (const gun of ["d", "b", "a", "c"]) await put(store, gun, await storable("timestamp", 1));
    await store.update({
      gun: "b",
      documents: [await storable("timestamp", 2)],
      publishedKeyIds: undefined,
      now: later,
    });
    expect(await store.staleCollections(NOW, "", 10)).toEqual([]);
    expect(await store.staleCollections(later, "", 2)).toEqual(["a", "c"]);
    expect(await store.staleCollections(later, "c", 2)).toEqual(["d"]);
  });

  it("gives keys newest first, by collection and role", async () => {
    const store = await open();
    await store.addKey(key("a", "k1"), LIMITS);
    await store.addKey(key("a", "k2"), LIMITS);
    await store.addKey(key("a", "k3", "snapshot"), LIMITS);
    await store.addKey(key("b", "k1"), LIMITS);
    expect(await store.keys("a", "timestamp")).toEqual([
      { ...key("a", "k2"), published: false },
      { ...key("a", "k1"), published: false },
    ]);
    expect((await store.keys("a", "snapshot")).map((each) => each.keyId)).toEqual(["k3"]);
  });

  it("keeps only so many keys that no root names, of a role and in all, and every key that one named", async () => {
    const store = await open();
    await store.addKey(key("a", "published"), LIMITS);
    const documents = [await storable("root", 1)];
    await store.update({ gun: "a", documents, publishedKeyIds: ["published", "another's"], now: NOW });
    expect(await store.keys("a", "timestamp")).toEqual([{ ...key("a", "published"), published: true }]);
    for (const name of ["k1", "k2", "k3", "k4", "k5"]) await store.addKey(key("a", name), LIMITS);
    const ids = async (gun: string) => (await store.keys(gun, "timestamp")).map((each) => each.keyId);
    expect(await ids("a")).toEqual(["k5", "k4", "k3", "published"]);
    for (const gun of ["b", "c", "d"]) await store.addKey(key(gun, "k"), LIMITS);
    expect(await ids("a")).toEqual(["k5", "k4", "published"]);
    expect(await ids("d")).toEqual(["k"]);
  });

  it("sets a setting once", async () => {
    const store = await open();
    expect(await store.setting("x")).toBeUndefined();
    await store.initialiseSetting("x", new Uint8Array([1, 2]));
    await store.initialiseSetting("x", new Uint8Array([3]));
    expect(await store.setting("x")).toEqual(new Uint8Array([1, 2]));
  });

  it("says that it is well", async () => {
    await expect((await open()).check()).resolves.toBeUndefined();
  });
}

/** What every MetadataStore and TrustStateStore must do. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { openMetadataDir, openTrustStateDir } from "../../src/node/metadata-dir.ts";
import { memoryMetadataStore, type MetadataStore } from "../../src/notary/metadata-store.ts";
import { memoryTrustStateStore, type TrustState, type TrustStateStore } from "../../src/notary/trust-state.ts";

const APP = { server: "https://notary.example", gun: "registry.example:5000/acme/app" };
const OTHER = { server: "https://notary.example", gun: "registry.example:5000/acme/other" };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "notary-stores-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const documents = (entries: Record<string, string>): Map<string, Bytes> =>
  new Map(Object.entries(entries).map(([role, text]) => [role, utf8Encode(text)]));

const metadataStores: [string, () => MetadataStore][] = [
  ["in memory", memoryMetadataStore],
  ["on disk", () => openMetadataDir(dir)],
];

describe.each(metadataStores)("a metadata store %s", (_, open) => {
  it("holds nothing at first", async () => {
    expect(await open().read(APP)).toEqual(new Map());
  });

  it("gives back the bytes of every role", async () => {
    const store = open();
    const written = documents({
      root: "{}",
      "targets/releases": "[\u2028]",
      "targets/a/b": "",
      timestamp: "x".repeat(100_000),
    });
    await store.write(APP, written);
    expect(await store.read(APP)).toEqual(written);
    expect(await store.read(OTHER)).toEqual(new Map());
  });

  it("replaces the roles that are given and leaves the others", async () => {
    const store = open();
    await store.write(APP, documents({ root: "old", targets: "old" }));
    await store.write(APP, documents({ targets: "new", snapshot: "new" }));
    expect(await store.read(APP)).toEqual(documents({ root: "old", targets: "new", snapshot: "new" }));
  });

  it("removes one collection and no other", async () => {
    const store = open();
    await store.write(APP, documents({ root: "a", "targets/a": "a" }));
    await store.write(OTHER, documents({ root: "b" }));
    await store.remove(APP);
    await store.remove(APP);
    expect(await store.read(APP)).toEqual(new Map());
    expect(await store.read(OTHER)).toEqual(documents({ root: "b" }));
  });

  it("lets nobody change what is stored through what was given or taken", async () => {
    const store = open();
    const written = documents({ root: "a" });
    await store.write(APP, written);
    written.set("targets", utf8Encode("b"));
    ((await store.read(APP)) as Map<string, Bytes>).set("snapshot", utf8Encode("c"));
    expect([...(await store.read(APP)).keys()]).toEqual(["root"]);
  });
});

const state = (rootVersion: number, versions: Record<string, number> = {}): TrustState => ({
  root: utf8Encode(`root ${rootVersion}`),
  rootVersion,
  anchor: utf8Encode("anchor"),
  firstUse: true,
  since: new Date("2026-01-01T00:00:00.123Z"),
  checkedAt: new Date("2026-02-01T00:00:00Z"),
  versions: new Map(Object.entries(versions)),
});

const trustStores: [string, () => TrustStateStore][] = [
  ["in memory", memoryTrustStateStore],
  ["on disk", () => openTrustStateDir(dir)],
];

describe.each(trustStores)("a trust state store %s", (_, open) => {
  it("knows nothing at first", async () => {
    expect(await open().read(APP)).toBeUndefined();
  });

  it("gives back exactly what was made", async () => {
    const store = open();
    const made = state(3, { targets: 7, "targets/releases": 2 ** 53 - 1 });
    expect(await store.update(APP, () => made)).toEqual(made);
    expect(await store.read(APP)).toEqual(made);
  });

  it("keeps servers and collections apart", async () => {
    const store = open();
    await store.update(APP, () => state(1));
    expect(await store.read(OTHER)).toBeUndefined();
    expect(await store.read({ ...APP, server: "https://notary.example:4443" })).toBeUndefined();
    expect(await store.read({ ...APP, gun: APP.gun.toUpperCase() })).toBeUndefined();
  });

  it("shows each change the newest state, and loses none of many at once", async () => {
    const store = open();
    await store.update(APP, () => state(1, { count: 1 }));
    const add = () =>
      store.update(APP, (current) => ({
        ...current!,
        versions: new Map([["count", current!.versions.get("count")! + 1]]),
      }));
    await Promise.all(Array.from({ length: 20 }, add));
    expect((await store.read(APP))?.versions.get("count")).toBe(21);
  });

  it("changes nothing where the change throws", async () => {
    const store = open();
    const refuse = () => {
      throw new Error("no");
    };
    await expect(store.update(APP, refuse)).rejects.toThrow("no");
    expect(await store.read(APP)).toBeUndefined();
    await store.update(APP, () => state(1));
    await expect(store.update(APP, refuse)).rejects.toThrow("no");
    expect(await store.read(APP)).toEqual(state(1));
  });

  it("forgets what is removed, and nothing else", async () => {
    const store = open();
    await store.update(APP, () => state(1));
    await store.update(OTHER, () => state(2));
    await store.remove(APP);
    await store.remove(APP);
    expect(await store.read(APP)).toBeUndefined();
    expect(await store.read(OTHER)).toEqual(state(2));
  });
});

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StorageError, UsageError } from "../../src/base/errors.ts";
import { openPinFile } from "../../src/node/pin-file.ts";
import { memoryPinStore, type PinEntry, type PinStore } from "../../src/trust/pins.ts";

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "wasm-to-oci-pins-"));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const ENTRY: PinEntry = {
  pattern: "ghcr.io/acme/app",
  collection: "acme/app",
  source: { kind: "notary", server: "https://notary.test" },
  pin: { fingerprints: ["ab".repeat(32)], threshold: 1, certificateIds: ["cd"], certificateAuthorities: "PEM" },
  firstUse: false,
  added: new Date("2026-11-22T12:00:00Z"),
};

describe.each<[string, () => PinStore]>([
  ["in memory", () => memoryPinStore()],
  ["in a file", () => openPinFile(dir)],
])("a PinStore %s", (_where, open) => {
  it("gives back what was put, and replaces the entry of the same pattern", async () => {
    const store = open();
    expect(await store.list()).toEqual([]);
    await store.put(ENTRY);
    expect(await store.list()).toEqual([ENTRY]);
    const changed = { ...ENTRY, firstUse: true, pin: {} };
    await store.put(changed);
    expect(await store.list()).toEqual([changed]);
  });

  it.each<PinEntry["source"]>([
    { kind: "oci", repository: undefined },
    { kind: "oci", repository: "ghcr.io/acme/trust" },
    { kind: "tuf", location: "/srv/tuf" },
    { kind: "tuf", location: "https://tuf.example/metadata/" },
  ])("keeps trust data's place %j", async (source) => {
    const store = open();
    await store.put({ ...ENTRY, source });
    expect(await store.list()).toEqual([{ ...ENTRY, source }]);
  });

  it("lets a first use take the place of no pin that another process was faster to make", async () => {
    const store = open();
    const firstUse = { ...ENTRY, pin: { fingerprints: ["ee".repeat(32)] }, firstUse: true };
    expect(await store.add(firstUse)).toBe(true);
    await store.put(ENTRY);
    expect(await store.add(firstUse)).toBe(false);
    expect(await store.list()).toEqual([ENTRY]);
    const wide = { ...ENTRY, pattern: "ghcr.io/wide/{rest}", collection: "wide/{rest}" };
    await store.put(wide);
    expect(await store.add({ ...firstUse, pattern: "ghcr.io/wide/app" })).toBe(false);
    await expect(store.add({ ...firstUse, pattern: "a/{rest}/b" })).rejects.toThrow(UsageError);
    expect(await store.list()).toEqual([ENTRY, wide]);
  });

  it("removes by pattern, and says whether there was one", async () => {
    const store = open();
    await store.put(ENTRY);
    expect(await store.remove("ghcr.io/acme/app")).toBe(true);
    expect(await store.remove("ghcr.io/acme/app")).toBe(false);
    expect(await store.list()).toEqual([]);
  });

  it("refuses a pattern without meaning and keeps what it had", async () => {
    const store = open();
    await store.put(ENTRY);
    await expect(store.put({ ...ENTRY, pattern: "a/{rest}/b" })).rejects.toThrow(UsageError);
    expect(await store.list()).toEqual([ENTRY]);
  });

  it("loses none of many concurrent writers' entries", async () => {
    const patterns = Array.from({ length: 20 }, (_, index) => `registry.test/app${index}`);
    const store = open();
    await Promise.all(patterns.map((pattern) => store.put({ ...ENTRY, pattern })));
    expect((await store.list()).map(({ pattern }) => pattern).toSorted()).toEqual(patterns.toSorted());
  });
});

describe("the pin file", () => {
  const path = (): string => join(dir, "pins.json");

  it("is readable by its owner only and leaves nothing beside it", async () => {
    const { stat } = await import("node:fs/promises");
    await openPinFile(dir).put(ENTRY);
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(["pins.json"]);
  });

  it("loses no entry of other processes' writers", async () => {
    const stores = Array.from({ length: 5 }, () => openPinFile(dir));
    await Promise.all(stores.map((store, index) => store.put({ ...ENTRY, pattern: `registry.test/app${index}` })));
    expect((await openPinFile(dir).list()).length).toBe(5);
  });

  it.each([
    ["truncated", (text: string) => text.slice(0, -10)],
    ["empty", () => ""],
    ["of a newer version", (text: string) => text.replace('"version": 1', '"version": 2')],
    ["with a rule that we do not know", (text: string) => text.replace('"firstUse"', '"expires": 1, "firstUse"')],
    ["with a pin that we do not know", (text: string) => text.replace('"threshold"', '"quorum": 2, "threshold"')],
    ["far too large", (text: string) => text + " ".repeat(33 * 1024 * 1024)],
    ["with a key in another case", (text: string) => text.replace('"pin"', '"Pin": {}, "pin"')],
    ["with a threshold of zero", (text: string) => text.replace('"threshold": 1', '"threshold": 0')],
    ["with a pattern without meaning", (text: string) => text.replace('"ghcr.io/acme/app"', '"{rest}"')],
    ["with two pins for one pattern", (text: string) => text.replace(/(?<=\[\n)( {4}\{[^]*\})(?=\n {2}\])/, "$1,$1")],
    ["with no place", (text: string) => text.replace(/"server": "[^"]*",/, "")],
    ["with two places", (text: string) => text.replace('"server"', '"trust": "oci:", "server"')],
    [
      "with a directory that depends on where it is read",
      (text: string) => text.replace(/"server": "[^"]*"/, '"trust": "tuf"'),
    ],
    ["with two entries for one key", (text: string) => text.replace('"version": 1', '"version": 1, "version": 1')],
  ])("%s is an error, never no pins, and is left as it is", async (_how, damage) => {
    await openPinFile(dir).put(ENTRY);
    const damaged = damage(await readFile(path(), "utf8"));
    await writeFile(path(), damaged);
    const error = await openPinFile(dir)
      .list()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as StorageError).code).toBe("STATE_INVALID");
    await expect(openPinFile(dir).put(ENTRY)).rejects.toThrow(StorageError);
    expect(await readFile(path(), "utf8")).toBe(damaged);
  });

  it("ends whatever bytes it holds in pins or in STATE_INVALID", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary-ascii", maxLength: 60 }), async (text) => {
        await writeFile(path(), `{"version":1,"pins":[${text}]}`);
        const result = await openPinFile(dir)
          .list()
          .catch((thrown: unknown) => thrown);
        expect(Array.isArray(result) || (result instanceof StorageError && result.code === "STATE_INVALID")).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

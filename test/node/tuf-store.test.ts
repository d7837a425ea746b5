import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { openTufStore, tufStoreDir } from "../../src/node/tuf-store.ts";
import { TufSimulator } from "../support/tuf-repository.ts";
import { describeTufStore } from "../tuf/tuf-store-contract.ts";

const newDir = (): string => mkdtempSync(join(tmpdir(), "tuf-store-"));

describe("the store in a directory", () => {
  describeTufStore(async () => openTufStore(join(newDir(), "not", "there", "yet")));

  it("writes nothing outside itself, whatever roles are called", async () => {
    const outer = newDir();
    const store = openTufStore(join(outer, "store"));
    for (const role of ["../x", "/x", "..", "a/../../x", "\u0000", String.raw`..\x`])
      await store.update(role, () => utf8Encode("x"));
    expect(readdirSync(outer)).toEqual(["store"]);
    expect(readdirSync(join(outer, "store")).every((name) => !name.includes("/"))).toBe(true);
  });

  it("is readable by its owner only", async () => {
    const dir = join(newDir(), "store");
    await openTufStore(dir).update("timestamp", () => utf8Encode("x"));
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, "timestamp.json")).mode & 0o777).toBe(0o600);
  });

  it("takes directories, pipes and unreadable records for nothing", async () => {
    const dir = newDir();
    mkdirSync(join(dir, "timestamp.json"));
    writeFileSync(join(dir, "last-check"), "{}");
    const store = openTufStore(dir);
    expect([await store.read("timestamp"), await store.readRecord()]).toEqual([undefined, undefined]);
    for (const text of ["", "null", '{"checkedAt":"never"}', '{"checkedAt":5}']) {
      writeFileSync(join(dir, "last-check"), text);
      expect(await store.readRecord()).toBeUndefined();
    }
  });

  it("replaces a symbolic link, and not what it leads to", async () => {
    const dir = newDir();
    const outside = join(newDir(), "precious");
    writeFileSync(outside, "precious");
    symlinkSync(outside, join(dir, "timestamp.json"));
    await openTufStore(dir).update("timestamp", () => utf8Encode("new"));
    expect(readFileSync(outside, "utf8")).toBe("precious");
  });

  it.skipIf(process.getuid?.() === 0)("lets a client verify in a home that is read-only, with a warning", async () => {
    const dir = newDir();
    chmodSync(dir, 0o500);
    const repository = await TufSimulator.create();
    const { warnings } = await repository.client({ store: openTufStore(join(dir, "store")) }).refresh();
    expect(warnings.length).toBeGreaterThan(0);
  });

  it("lets a client verify where a file stands in its way, with a warning", async () => {
    const file = join(newDir(), "file");
    writeFileSync(file, "");
    const repository = await TufSimulator.create();
    const { warnings } = await repository.client({ store: openTufStore(join(file, "store")) }).refresh();
    expect(warnings.length).toBeGreaterThan(0);
  });

  it("serves clients that run at the same moment", async () => {
    const dir = newDir();
    const repository = await TufSimulator.create();
    await Promise.all(Array.from({ length: 5 }, () => repository.client({ store: openTufStore(dir) }).refresh()));
    expect(new Uint8Array(readFileSync(join(dir, "timestamp.json")))).toEqual(repository.files.get("timestamp.json"));
    expect(readdirSync(dir).toSorted()).toEqual(
      ["last-check", "root.json", "root_history", "snapshot.json", "targets.json", "timestamp.json"].toSorted(),
    );
  });
});

describe("the place of a store", () => {
  it("differs by anchor", () => {
    expect(tufStoreDir("/base", utf8Encode("a"))).not.toBe(tufStoreDir("/base", utf8Encode("b")));
    expect(tufStoreDir("/base", utf8Encode("a"), "sigstore")).toBe("/base/sigstore");
  });

  for (const name of ["", ".", "..", "../x", "/x", "a/b", "-x", "x".repeat(129), "a\u0000"]) {
    it(`is never called ${JSON.stringify(name)}`, () => {
      expect(() => tufStoreDir("/base", utf8Encode("a"), name)).toThrow(expect.objectContaining({ code: "USAGE" }));
    });
  }
});

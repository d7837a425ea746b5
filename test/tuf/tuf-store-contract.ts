/** What every store of TUF metadata must do. */
import { expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import type { TufStore } from "../../src/tuf/store.ts";

export function describeTufStore(open: () => Promise<TufStore>): void {
  it("gives nothing before anything was written", async () => {
    const store = await open();
    expect([await store.read("timestamp"), await store.readRoot(1), await store.readRecord()]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("gives back what was written, byte for byte, role by role", async () => {
    const store = await open();
    const roles = [
      "timestamp",
      "targets",
      "../x",
      "/x",
      "a/b",
      "a%2Fb",
      "?",
      "#",
      ".",
      "..",
      "con",
      "1",
      "r".repeat(512),
      "\u0000",
      "\r\n",
    ];
    for (const role of roles) await store.update(role, () => utf8Encode(`{ ${role} }\n`));
    for (const role of roles) expect(await store.read(role)).toEqual(utf8Encode(`{ ${role} }\n`));
  });

  it("keeps every root", async () => {
    const store = await open();
    for (const version of [1, 2, 3]) await store.writeRoot(version, utf8Encode(String(version)));
    for (const version of [1, 2, 3]) expect(await store.readRoot(version)).toEqual(utf8Encode(String(version)));
  });

  it("leaves a document that is not to be replaced", async () => {
    const store = await open();
    await store.update("snapshot", () => utf8Encode("1"));
    await store.update("snapshot", (current) => (current?.length === 1 ? undefined : utf8Encode("22")));
    expect(await store.read("snapshot")).toEqual(utf8Encode("1"));
  });

  it("loses no update of many at once", async () => {
    const store = await open();
    const count = (current: Uint8Array | undefined): number => (current === undefined ? 0 : current.length);
    const once = (): Promise<void> => store.update("snapshot", (current) => new Uint8Array(count(current) + 1));
    await Promise.all(Array.from({ length: 20 }, once));
    expect(count(await store.read("snapshot"))).toBe(20);
  });

  it("remembers the last check", async () => {
    const store = await open();
    const checkedAt = new Date("2030-01-01T00:00:00.123Z");
    await store.writeRecord({ checkedAt });
    expect(await store.readRecord()).toEqual({ checkedAt });
  });
}

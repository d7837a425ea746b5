import { describe, expect, it } from "vitest";
import { sameTarget } from "../../src/tuf/target-file.ts";

describe("two entries of targets", () => {
  const one = { length: 1, hashes: { sha256: "a" }, extra: {} };
  const custom = { a: 1, b: [2, { c: null }] };
  const different: [string, object][] = [
    ["another length", { length: 2 }],
    ["another hash", { hashes: { sha256: "b" } }],
    ["a hash of another kind", { hashes: { sha512: "a" } }],
    ["one more hash", { hashes: { sha256: "a", sha512: "b" } }],
    ["no hash", { hashes: {} }],
    ["something said of it", { custom: 1 }],
    ["other things said of it", { custom: { ...custom, a: 2 } }],
  ];
  for (const [name, change] of different) {
    it(`differ where one has ${name}`, () => {
      expect(sameTarget(one, { ...one, ...change })).toBe(false);
      expect(sameTarget({ ...one, ...change }, one)).toBe(false);
      expect(sameTarget({ ...one, custom }, { ...one, custom, ...change })).toBe(false);
    });
  }

  it("are the same where they say the same, in whatever order and whatever objects", () => {
    expect(sameTarget(one, one)).toBe(true);
    expect(sameTarget(one, structuredClone(one))).toBe(true);
    const [left, right] = [
      { ...one, custom },
      { ...one, custom: { b: [2, { c: null }], a: 1 } },
    ];
    expect(sameTarget(left, right)).toBe(true);
    const both = { sha256: "a", sha512: "b" };
    expect(sameTarget({ ...one, hashes: both }, { ...one, hashes: { sha512: "b", sha256: "a" } })).toBe(true);
  });

  it("differ where one of several hashes does", () => {
    const hashes = { sha256: "a", sha512: "b" };
    expect(sameTarget({ ...one, hashes }, { ...one, hashes: { ...hashes, sha512: "c" } })).toBe(false);
    expect(sameTarget({ ...one, hashes }, { ...one, hashes: { ...hashes, sha256: "c" } })).toBe(false);
  });

  it("of which one is not there are not the same", () => {
    expect(sameTarget(undefined, one)).toBe(false);
    expect(sameTarget(one, undefined)).toBe(false);
    expect(sameTarget(undefined, undefined)).toBe(true);
  });
});

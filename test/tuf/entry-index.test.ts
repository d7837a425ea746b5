import { describe, expect, it } from "vitest";
import { excerptMeta, excerptTargets, type Excerpt } from "../../src/tuf/entry-index.ts";

const SHA256 = "0123456789abcdef".repeat(4);
const SHA512 = "fedcba9876543210".repeat(8);

const target = (fields: string, name = "app"): string => `{"signed":{"targets":{"${name}":{${fields}}}}}`;
const meta = (fields: string, name = "team.json"): string => `{"signed":{"meta":{"${name}":{${fields}}}}}`;
const only = <Entry>(excerpt: Excerpt<Entry> | undefined): [string, Entry] => [...excerpt!.entries][0]!;

describe("targets that stay in the text", () => {
  const hashes = `"hashes":{"sha256":"${SHA256}"}`;
  const read: [string, string, object][] = [
    ["sha256", `${hashes},"length":5`, { length: 5, hashes: { sha256: SHA256 } }],
    ["sha512", `"hashes":{"sha512":"${SHA512}"},"length":0`, { length: 0, hashes: { sha512: SHA512 } }],
    [
      "both hashes",
      `"hashes":{"sha256":"${SHA256}","sha512":"${SHA512}"},"length":999999999999999`,
      { length: 999_999_999_999_999, hashes: { sha256: SHA256, sha512: SHA512 } },
    ],
    [
      "what applications say",
      `"custom":{"a":[1,{}],"b":"x"},${hashes},"length":5`,
      { length: 5, hashes: { sha256: SHA256 }, custom: { a: [1, {}], b: "x" } },
    ],
    [
      "null of applications",
      `"custom":null,${hashes},"length":5`,
      { length: 5, hashes: { sha256: SHA256 }, custom: null },
    ],
  ];
  for (const [what, fields, file] of read) {
    it(`are read with ${what}`, () => {
      const excerpt = excerptTargets(target(fields));
      const [name, entry] = only(excerpt);
      expect([name, entry]).toEqual(["app", { ...file, ...bare(entry) }]);
      expect(Object.hasOwn(entry, "custom")).toBe(Object.hasOwn(file, "custom"));
      expect(excerpt!.entries.get("app")).toEqual({ ...file, extra: {} });
      expect(excerpt!.rest).toBe('{"signed":{"targets":{}}}');
      expect(excerpt!.region).toBe(`{"app":{${fields}}}`);
    });
  }

  const left: [string, string][] = [
    ["without a length", hashes],
    ["without hashes", '"length":5'],
    ["with empty hashes", '"hashes":{},"length":5'],
    ["with another algorithm", `"hashes":{"md5":"00","sha256":"${SHA256}"},"length":5`],
    ["with one more algorithm", `"hashes":{"sha256":"${SHA256}","sha999":"00"},"length":5`],
    ["with hashes out of order", `"hashes":{"sha512":"${SHA512}","sha256":"${SHA256}"},"length":5`],
    ["with a hash in upper case", `"hashes":{"sha256":"${SHA256.toUpperCase()}"},"length":5`],
    ["with a hash that is too short", `"hashes":{"sha256":"${SHA256.slice(1)}"},"length":5`],
    ["with a hash that is too long", `"hashes":{"sha256":"${SHA256}0"},"length":5`],
    ["with a sha512 as short as sha256", `"hashes":{"sha512":"${SHA256}"},"length":5`],
    ["with a negative length", `${hashes},"length":-5`],
    ["with a length that begins with zero", `${hashes},"length":05`],
    ["with a length of 16 digits", `${hashes},"length":1000000000000000`],
    ["with a fraction", `${hashes},"length":5.5`],
    ["with a length in quotes", `${hashes},"length":"5"`],
    ["with fields out of order", `"length":5,${hashes}`],
    ["with custom at the end", `${hashes},"length":5,"custom":1`],
    ["with an unknown field", `${hashes},"length":5,"x":1`],
    ["with an unknown field before", `"a":1,${hashes},"length":5`],
    ["with custom alone", '"custom":1'],
    ["with custom that is not canonical", `"custom":{"b":1,"a":2},${hashes},"length":5`],
    ["with custom that is nothing", `"custom":,${hashes},"length":5`],
    ["with custom and no comma", `"custom":1${hashes},"length":5`],
    ["with custom and another sign", `"custom":1;${hashes},"length":5`],
    ["with custom twice", `"custom":1,"custom":1,${hashes},"length":5`],
    ["with white space", ` ${hashes},"length":5`],
    ["with white space behind", `${hashes},"length":5 `],
    ["that are empty", ""],
  ];
  for (const [what, fields] of left) {
    it(`are left to the usual reader ${what}`, () => {
      expect(excerptTargets(target(fields))).toBeUndefined();
    });
  }

  it("have names of plain characters, up to the limit", () => {
    const named = (name: string): unknown => excerptTargets(target(`${hashes},"length":5`, name))?.entries.size;
    for (const name of ["a", "!", "A", "__proto__", "a b/c.d~", "x".repeat(4096)]) expect(named(name)).toBe(1);
    for (const name of ["", "\u00e9", "\\n", "\u007f", "x".repeat(4097)]) expect(named(name)).toBeUndefined();
  });

  it("must be an object in an object", () => {
    const entry = `"app":{${hashes},"length":5}`;
    for (const value of [`[${entry}}`, `(${entry}}`, `1${entry}}`]) {
      expect(excerptTargets(`{"signed":{"targets":${value}}}`)).toBeUndefined();
    }
    for (const text of ['{"signed":{"targets":[]}}', '{"signed":{"targets":null}}', '{"signed":[]}', "{}", "", "{"]) {
      expect(excerptTargets(text)).toBeUndefined();
    }
    const { rest, region, entries } = excerptTargets('{"signed":{"targets":{},"version":1}}')!;
    expect([rest, region, entries.size]).toEqual(['{"signed":{"targets":{},"version":1}}', "{}", 0]);
  });

  it("must end where they seem to", () => {
    const [one, other] = [`"a":{${hashes},"length":1}`, `"b":{${hashes},"length":1}`];
    for (const text of [
      `{${one}`,
      `{${one},`,
      `{${one},}`,
      `{${one};${other}}`,
      `{${one}${other}}`,
      `{${one}]`,
      `{${one} }`,
      `{ ${one}}`,
    ]) {
      expect(excerptTargets(`{"signed":{"targets":${text}`)).toBeUndefined();
    }
  });
});

describe("what a snapshot lists, in the text", () => {
  const hashes = `"hashes":{"sha256":"${SHA256}"}`;
  const read: [string, string, object][] = [
    ["a version alone", '"version":3', { version: 3 }],
    ["a length", '"length":0,"version":3', { version: 3, length: 0 }],
    ["a hash", `${hashes},"version":3`, { version: 3, hashes: { sha256: SHA256 } }],
    ["sha512", `"hashes":{"sha512":"${SHA512}"},"version":3`, { version: 3, hashes: { sha512: SHA512 } }],
    [
      "all of it",
      `"hashes":{"sha256":"${SHA256}","sha512":"${SHA512}"},"length":7,"version":999999999999999`,
      { version: 999_999_999_999_999, length: 7, hashes: { sha256: SHA256, sha512: SHA512 } },
    ],
  ];
  for (const [what, fields, file] of read) {
    it(`is read with ${what}`, () => {
      const excerpt = excerptMeta(meta(fields));
      const [name, entry] = only(excerpt);
      expect(name).toBe("team");
      expect(entry).toStrictEqual({ ...file, ...bare(entry) });
      expect(excerpt!.entries.get("team")).toEqual({ ...file, extra: {} });
      expect(excerpt!.rest).toBe('{"signed":{"meta":{}}}');
    });
  }

  const left: [string, string][] = [
    ["without a version", `${hashes},"length":1`],
    ["with version 0", '"version":0'],
    ["with a version that begins with zero", '"version":01'],
    ["with a negative version", '"version":-1'],
    ["with a version of 16 digits", '"version":1000000000000000'],
    ["with fields out of order", '"version":1,"length":1'],
    ["with an unknown field", '"version":1,"x":1'],
    ["with custom", '"custom":1,"version":1'],
    ["with empty hashes", '"hashes":{},"version":1'],
  ];
  for (const [what, fields] of left) {
    it(`is left to the usual reader ${what}`, () => {
      expect(excerptMeta(meta(fields))).toBeUndefined();
    });
  }

  it("has names that end in .json, which is no part of them", () => {
    for (const name of ["team", ".json", "team.jsonx", "teamxjson"]) {
      expect(excerptMeta(meta('"version":1', name))).toBeUndefined();
    }
    const { entries } = excerptMeta(meta('"version":1', "team.json.json"))!;
    expect([...entries.keys()]).toEqual(["team.json"]);
    expect([entries.has("team.json"), entries.has("team.json.json"), entries.has("team")]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

/** Objects of entries have no prototype where keys are data. */
function bare(entry: { readonly hashes?: object | undefined; readonly extra: object }): object {
  expect(Object.getPrototypeOf(entry.extra)).toBeNull();
  expect(Object.keys(entry.extra)).toEqual([]);
  if (entry.hashes === undefined) return { extra: entry.extra };
  expect(Object.getPrototypeOf(entry.hashes)).toBeNull();
  expect(Object.values(entry.hashes)).not.toContain(undefined);
  return { extra: entry.extra, hashes: entry.hashes };
}

describe("a map over the text", () => {
  const sorted = ["a", "b", "ba", "bb", "c/d", "e"];
  for (let size = 1; size <= sorted.length; size++) {
    it(`finds each of ${size} names, and none beside them`, () => {
      const names = sorted.slice(0, size);
      const text = names.map((name, index) => `"${name}.json":{"version":${index + 1}}`).join(",");
      const { entries } = excerptMeta(`{"signed":{"meta":{${text}}}}`)!;
      const versions = names.map((name, index) => [name, index + 1] as const);
      expect(entries.size).toBe(size);
      expect(names.map((name) => [name, entries.get(name)?.version])).toEqual(versions);
      expect(names.every((name) => entries.has(name))).toBe(true);
      for (const name of ["", "0", "aa", "az", "bc", "c", "c/d/", "f", "~", "a.json"]) {
        expect([entries.get(name), entries.has(name)]).toEqual([undefined, false]);
      }
      expect([...entries].map(([name, { version }]) => [name, version])).toEqual(versions);
      expect([...entries.entries()].map(([name, { version }]) => [name, version])).toEqual(versions);
      expect([...entries.keys()]).toEqual(names);
      expect([...entries.values()].map(({ version }) => version)).toEqual(versions.map(([, version]) => version));
      const seen: unknown[] = [];
      // oxlint-disable-next-line unicorn/no-array-for-each -- it is what is tested
      entries.forEach(({ version }, name, map) => seen.push([name, version, map === entries]));
      expect(seen).toEqual(versions.map(([name, version]) => [name, version, true]));
    });
  }

  it("is none where names are out of order or come twice", () => {
    for (const names of [
      ["b", "a"],
      ["a", "a"],
      ["a", "c", "b"],
    ]) {
      const text = names.map((name) => `"${name}.json":{"version":1}`).join(",");
      expect(excerptMeta(`{"signed":{"meta":{${text}}}}`)).toBeUndefined();
    }
  });

  it("sorts names as documents do, with what follows them", () => {
    // "a-b.json" comes before "a.json", though "a" comes before "a-b"
    const text = '"a-b.json":{"version":1},"a.json":{"version":2}';
    const { entries } = excerptMeta(`{"signed":{"meta":{${text}}}}`)!;
    expect([entries.get("a-b")?.version, entries.get("a")?.version]).toEqual([1, 2]);
  });
});

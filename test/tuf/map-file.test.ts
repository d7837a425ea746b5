import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { TrustError } from "../../src/base/errors.ts";
import type { FoundTarget } from "../../src/tuf/delegations.ts";
import { findInMap, parseMapFile, type FindInRepository } from "../../src/tuf/map-file.ts";

const REPOSITORIES = {
  a: ["https://a.example/"],
  b: ["https://b.example/"],
  c: ["https://c.example/", "https://m.example/c/"],
};

function mapFile(...mapping: object[]) {
  return parseMapFile(utf8Encode(JSON.stringify({ repositories: REPOSITORIES, mapping })));
}

const all = { paths: ["*"], repositories: ["a", "b", "c"], threshold: 2, terminating: false };

/** Repositories that each sign one content, or nothing, or fail. */
function signing(content: Readonly<Record<string, string | Error | undefined>>): FindInRepository {
  return async (repository, path) => {
    const sha256 = content[repository];
    if (sha256 instanceof Error) throw sha256;
    return sha256 === undefined ? undefined : target(path, sha256);
  };
}

function target(path: string, sha256: string): FoundTarget {
  return { path, role: "targets", file: { length: 1, hashes: { sha256 }, extra: {} } };
}

describe("a target in several repositories (TAP 4)", () => {
  it("is what enough of them sign", async () => {
    const found = await findInMap(mapFile(all), "team/app", signing({ a: "1", b: "2", c: "1" }));
    expect(found).toMatchObject({ repositories: ["a", "c"], found: { file: { hashes: { sha256: "1" } } } });
  });

  it("is the same in whatever order its hashes are listed", async () => {
    const entry = (path: string, hashes: Record<string, string>): FoundTarget => {
      return { path, role: "targets", file: { length: 1, hashes, extra: {} } };
    };
    const find: FindInRepository = async (repository, path) => {
      if (repository === "c") return undefined;
      return entry(path, repository === "a" ? { sha256: "1", sha512: "2" } : { sha512: "2", sha256: "1" });
    };
    expect(await findInMap(mapFile(all), "app", find)).toMatchObject({ repositories: ["a", "b"] });
  });

  it("needs nothing said of a mapping that is not terminating", async () => {
    const { terminating: _, ...mapping } = { ...all, threshold: 3 };
    const map = mapFile(mapping, { ...all, threshold: 1, repositories: ["a"] });
    expect(await findInMap(map, "app", signing({ a: "1" }))).toMatchObject({ repositories: ["a"] });
  });

  it("is not found where too few agree", async () => {
    expect(await findInMap(mapFile(all), "app", signing({ a: "1", b: "2", c: "3" }))).toBeUndefined();
    expect(await findInMap(mapFile(all), "app", signing({ a: "1" }))).toBeUndefined();
  });

  it("is refused where enough sign one thing and enough another", async () => {
    const one = { ...all, threshold: 1 };
    await expect(findInMap(mapFile(one), "app", signing({ a: "1", b: "2" }))).rejects.toMatchObject({
      code: "TARGET_MISMATCH",
    });
  });

  it("is looked for in later mappings, unless an earlier one that covers it is terminating", async () => {
    const first = { paths: ["team/*"], repositories: ["a"], threshold: 1, terminating: true };
    const second = { paths: ["*"], repositories: ["b"], threshold: 1, terminating: false };
    const find = signing({ b: "1" });
    expect(await findInMap(mapFile(first, second), "team/app", find)).toBeUndefined();
    expect(await findInMap(mapFile(first, second), "other/app", find)).toBeDefined();
    expect(await findInMap(mapFile({ ...first, terminating: false }, second), "team/app", find)).toBeDefined();
  });

  it("is found without a repository that fails, if the others are enough; else that failure is told", async () => {
    const expired = new TrustError("METADATA_EXPIRED", "expired");
    expect(await findInMap(mapFile(all), "app", signing({ a: "1", b: "1", c: expired }))).toBeDefined();
    await expect(findInMap(mapFile(all), "app", signing({ a: "1", c: expired }))).rejects.toBe(expired);
  });
});

describe("what several repositories sign", () => {
  it("is asked of those that the mapping names, and of no others", async () => {
    const asked: string[] = [];
    const find: FindInRepository = async (repository, path) => {
      asked.push(`${repository} ${path}`);
      return target(path, "1");
    };
    const map = mapFile({ ...all, paths: ["other/*", "team/?pp"], repositories: ["c", "a"] });
    expect(await findInMap(map, "team/app", find)).toMatchObject({ repositories: ["c", "a"] });
    expect(asked).toEqual(["c team/app", "a team/app"]);
    expect(await findInMap(map, "elsewhere/app", find)).toBeUndefined();
    expect(asked).toHaveLength(2);
  });

  it("must be as long, too", async () => {
    const find: FindInRepository = async (repository, path) => {
      const { file, ...found } = target(path, "1");
      return { ...found, file: { ...file, length: repository === "b" ? 2 : 1 } };
    };
    expect(await findInMap(mapFile({ ...all, repositories: ["a", "b"] }), "app", find)).toBeUndefined();
    expect(await findInMap(mapFile(all), "app", find)).toMatchObject({ repositories: ["a", "c"] });
  });

  it("is said of each side where they disagree", async () => {
    const find = signing({ a: "1", b: "2", c: "1" });
    await expect(findInMap(mapFile({ ...all, threshold: 1 }), "team/app", find)).rejects.toMatchObject({
      code: "TARGET_MISMATCH",
      kind: "tampered",
      message: 'repositories disagree about "team/app": a, c / b',
      hint: expect.stringContaining("raise the threshold"),
      details: { target: "team/app", got: ["a, c", "b"] },
    });
    // and nobody is asked in a later mapping
    const map = mapFile({ ...all, threshold: 1 }, { ...all, repositories: ["a"], threshold: 1 });
    await expect(findInMap(map, "team/app", find)).rejects.toMatchObject({ code: "TARGET_MISMATCH" });
  });

  it("ends with the first failure where one could have made the difference, whatever comes later", async () => {
    const [first, second] = [new Error("first"), new Error("second")];
    const map = mapFile({ ...all, threshold: 1 }, { ...all, threshold: 1 });
    await expect(findInMap(map, "app", signing({ a: first, b: second }))).rejects.toBe(first);
    expect(await findInMap(map, "app", signing({ a: first, b: "1" }))).toMatchObject({ repositories: ["b"] });
  });
});

describe("a map file that is read", () => {
  it("is what it says", () => {
    const { repositories, mapping } = mapFile({ ...all, terminating: true }, { ...all, paths: ["a/*", "b"] });
    expect([...repositories]).toEqual(Object.entries(REPOSITORIES));
    expect(mapping).toEqual([
      { ...all, terminating: true },
      { ...all, paths: ["a/*", "b"] },
    ]);
  });

  const parse = (content: unknown) => () => parseMapFile(utf8Encode(JSON.stringify(content)), "maps.json");
  const refuses = (content: unknown, said: string) => {
    const message = expect.stringContaining(said);
    expect(parse(content)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID", message }));
  };

  it("has names that are safe as parts of paths, of up to 128 characters", () => {
    const named = (name: string) => ({ repositories: { [name]: ["http://a.example/x"] }, mapping: [] });
    for (const name of ["a", "0", "A.b-c_d", "x".repeat(128)]) {
      expect([...parse(named(name))().repositories]).toEqual([[name, ["http://a.example/x"]]]);
    }
    for (const name of [
      "",
      ".",
      "..",
      ".a",
      "-a",
      "_a",
      "a/b",
      "a\\b",
      "a b",
      "\u00e9",
      "a\n",
      " a",
      "x".repeat(129),
    ]) {
      refuses(named(name), "a repository's name has letters, digits");
    }
  });

  it("says where what is wrong", () => {
    const mapping = (entry: object) => ({ repositories: REPOSITORIES, mapping: [entry] });
    refuses({ mapping: [] }, "maps.json is not valid: repositories: missing");
    refuses({ repositories: { a: [] }, mapping: [] }, 'repositories["a"]: expected at least one address');
    refuses({ repositories: { a: ["ftp://x/"] }, mapping: [] }, 'repositories["a"][0]: expected an address of http or');
    refuses({ repositories: { a: ["xhttp://x/"] }, mapping: [] }, "expected an address of http or");
    refuses({ repositories: { a: ["https-x://x/"] }, mapping: [] }, "expected an address of http or");
    refuses(
      mapping({ ...all, repositories: ["a", "z"] }),
      "mapping[0].repositories[1]: a repository that the file does not",
    );
    refuses(
      mapping({ ...all, repositories: ["a", "b", "a"] }),
      "mapping[0].repositories[2]: a repository that is listed twice",
    );
    refuses(mapping({ ...all, threshold: 4 }), "mapping[0].threshold: more than the 3 repositories listed");
    refuses(mapping({ ...all, threshold: 0 }), "mapping[0].threshold: expected at least 1");
    refuses(mapping({ ...all, paths: [1] }), "mapping[0].paths[0]: expected a string");
    refuses(mapping({ ...all, terminating: null }), "mapping[0].terminating: expected true or false");
    for (const key of ["Paths", "Repositories", "Terminating", "Threshold"]) {
      refuses(mapping({ ...all, [key]: 1 }), "only by case");
    }
    for (const key of ["Mapping", "Repositories"]) {
      refuses({ repositories: REPOSITORIES, mapping: [], [key]: 1 }, "only by case");
    }
    expect(() => parseMapFile(utf8Encode("{"))).toThrow(expect.objectContaining({ code: "JSON_INVALID" }));
    expect(() => parseMapFile(utf8Encode("[]"))).toThrow(
      /^the map file is not valid: the document: expected an object/,
    );
    expect(() => parseMapFile(utf8Encode('{"mapping":1.5}'))).toThrow(
      expect.objectContaining({ code: "JSON_INVALID" }),
    );
  });

  it("needs as many as it lists at most", () => {
    expect(mapFile({ ...all, threshold: 3 }).mapping[0]!.threshold).toBe(3);
  });
});

describe("A17: a map file", () => {
  const bad: Record<string, unknown> = {
    null: null,
    "an empty object": {},
    "no repositories": { mapping: [] },
    "a name that leads elsewhere": { repositories: { "../a": ["https://a.example"] }, mapping: [] },
    "an empty name": { repositories: { "": ["https://a.example"] }, mapping: [] },
    "a repository without address": { repositories: { a: [] }, mapping: [] },
    "an empty address": { repositories: { a: [""] }, mapping: [] },
    "a file address": { repositories: { a: ["file:///etc"] }, mapping: [] },
    "a null address": { repositories: { a: null }, mapping: [] },
    "an unknown repository": { repositories: REPOSITORIES, mapping: [{ ...all, repositories: ["z"], threshold: 1 }] },
    "constructor as repository": {
      repositories: REPOSITORIES,
      mapping: [{ ...all, repositories: ["constructor"], threshold: 1 }],
    },
    "a repository twice": { repositories: REPOSITORIES, mapping: [{ ...all, repositories: ["a", "a"] }] },
    "a threshold of 0": { repositories: REPOSITORIES, mapping: [{ ...all, threshold: 0 }] },
    "a threshold of -1": { repositories: REPOSITORIES, mapping: [{ ...all, threshold: -1 }] },
    "a threshold that cannot be met": { repositories: REPOSITORIES, mapping: [{ ...all, threshold: 4 }] },
    "no paths": { repositories: REPOSITORIES, mapping: [{ ...all, paths: null }] },
    "a mapping of null": { repositories: REPOSITORIES, mapping: [null] },
    "a terminating of 1": { repositories: REPOSITORIES, mapping: [{ ...all, terminating: 1 }] },
  };
  for (const [name, content] of Object.entries(bad)) {
    it(`is refused with ${name}`, () => {
      const parse = (): unknown => parseMapFile(utf8Encode(JSON.stringify(content)));
      expect(parse).toThrow(expect.objectContaining({ code: "CONFIG_INVALID", kind: "invalid" }));
    });
  }
});

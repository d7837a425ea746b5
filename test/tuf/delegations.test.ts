import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TufKey } from "../../src/tuf/keys.ts";
import {
  binName,
  binNames,
  delegationNamed,
  delegationsFor,
  matchesPattern,
  MAX_VISITED_ROLES,
  pathHash,
  searchTarget,
} from "../../src/tuf/delegations.ts";
import type { DelegatedRole, Targets } from "../../src/tuf/schema.ts";
import { workOf } from "../support/cpu-time.ts";
import { LATER, newPair, TufSimulator } from "../support/tuf-repository.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";

describe("path patterns", () => {
  const cases: [pattern: string, path: string, matches: boolean][] = [
    ["*", "app", true],
    ["*", ".hidden", true],
    ["*", "a/b", false],
    ["*/*", "a/b", true],
    ["team/*.wasm", "team/app.wasm", true],
    ["team/*.wasm", "team/app.wasm\n", false],
    ["team/*", "Team/app", false],
    ["team/*", "team/", true],
    ["team/*", "team", false],
    ["?.wasm", "a.wasm", true],
    ["?.wasm", "😀.wasm", true],
    ["??.wasm", "😀.wasm", false],
    ["a*b*c", "aXbYbZc", true],
    ["[ab]", "a", false],
    ["[ab]", "[ab]", true],
    ["!a", "b", false],
    ["{a,b}", "a", false],
    ["a", "a/", false],
    ["../*", "../x", true],
    ["team/*", "team//x", false],
    ["é", "e\u0301", false],
    ["", "", true],
    [String.raw`\*`, "*", false],
  ];
  for (const [pattern, path, matches] of cases) {
    it(`${JSON.stringify(pattern)} ${matches ? "covers" : "does not cover"} ${JSON.stringify(path)}`, () => {
      expect(matchesPattern(pattern, path)).toBe(matches);
    });
  }

  it("agrees with a regular expression on any pattern and path", () => {
    const alphabet = fc.constantFrom("a", "b", "*", "?", "/", ".", "A", "😀");
    const text = fc.array(alphabet, { maxLength: 8 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, (pattern, path) => {
        const body = pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, (character) => {
          return { "*": "[^/]*", "?": "[^/]" }[character] ?? `\\${character}`;
        });
        expect(matchesPattern(pattern, path)).toBe(new RegExp(`^${body}$`, "u").test(path));
      }),
      { numRuns: 1000 },
    );
  });

  it("takes no time for the pattern that makes regular expressions slow", async () => {
    const work = await workOf(() => {
      expect(matchesPattern("a*".repeat(500), `${"a".repeat(2000)}b`.repeat(2))).toBe(true);
      expect(matchesPattern(`${"a*".repeat(500)}c`, "a".repeat(4000))).toBe(false);
    });
    expect(work).toBeLessThan(2_000);
  });
});

describe("hash bins (TAP 15)", () => {
  it("names bins by the first bits of the name's hash, as many digits as the last one needs", () => {
    const bins = { keyIds: [], threshold: 1, extra: {}, namePrefix: "bin" };
    expect(binName({ ...bins, bitLength: 1 }, "80000000")).toBe("bin-1");
    expect(binName({ ...bins, bitLength: 5 }, "f8ffffff")).toBe("bin-1f");
    expect(binName({ ...bins, bitLength: 10 }, "00400000")).toBe("bin-001");
    expect(binName({ ...bins, bitLength: 32 }, "deadbeef")).toBe("bin-deadbeef");
    expect([...binNames({ ...bins, bitLength: 2 })]).toEqual(["bin-0", "bin-1", "bin-2", "bin-3"]);
  });

  it("puts every name into one of the bins", async () => {
    const bins = { keyIds: [], threshold: 1, extra: {}, namePrefix: "b" };
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.integer({ min: 1, max: 8 }), async (path, bitLength) => {
        const name = binName({ ...bins, bitLength }, await pathHash(path));
        expect([...binNames({ ...bins, bitLength })]).toContain(name);
        const delegations = { keys: new Map<string, TufKey>(), roles: [], succinct: { ...bins, bitLength }, extra: {} };
        expect(delegationNamed(delegations, name)).toBeDefined();
        expect(delegationNamed(delegations, `${name}0`)).toBeUndefined();
        expect(delegationNamed(delegations, name.toUpperCase())).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });
});

describe("the roles that cover a name", () => {
  const role = (name: string, matching: Partial<DelegatedRole>): DelegatedRole => {
    return { name, keyIds: [], threshold: 1, terminating: false, extra: {}, ...matching };
  };
  const delegations = (...roles: DelegatedRole[]) => ({ keys: new Map(), roles, extra: {} });
  const names = (...roles: DelegatedRole[]): string[] =>
    delegationsFor(delegations(...roles), "a/b", "0fab").map(({ name }) => name);

  it("have one of their patterns match the whole of it", () => {
    expect(
      names(role("a", { paths: ["x/*", "a/*"] }), role("b", { paths: ["x/*"] }), role("c", { paths: [] })),
    ).toEqual(["a"]);
  });

  it("have one of their prefixes begin its hash", () => {
    const prefixes = (...pathHashPrefixes: string[]) => ({ pathHashPrefixes });
    expect(
      names(
        role("one", prefixes("0f")),
        role("some", prefixes("1", "0fab", "2")),
        role("end", prefixes("ab")),
        role("none", prefixes("1", "f")),
        role("all", prefixes("")),
        role("nothing", prefixes()),
      ),
    ).toEqual(["one", "some", "all"]);
  });

  it("are one bin, which ends the search", () => {
    const succinct = { keyIds: ["k"], threshold: 1, bitLength: 8, namePrefix: "bin", extra: {} };
    const covering = delegationsFor({ ...delegations(role("a", { paths: ["a/*"] })), succinct }, "a/b", "0fab0000");
    expect(covering).toEqual([{ name: "bin-0f", terminating: true, role: succinct }]);
  });

  it("are found by their very names, bins among them", () => {
    const succinct = { keyIds: [], threshold: 1, bitLength: 5, namePrefix: "bin", extra: {} };
    const bins = { ...delegations(), succinct };
    for (const name of ["bin-00", "bin-0f", "bin-1f"]) expect(delegationNamed(bins, name)).toBe(succinct);
    for (const name of [
      "bin-20",
      "bin-1g",
      "bin-g1",
      "bin-1",
      "bin-001",
      "bin-1F",
      "bin- 1",
      "bin--1",
      "bin-+1",
      "bin-",
      "bin",
      "Bin-00",
      "x",
      "",
      "00",
    ])
      expect(delegationNamed(bins, name)).toBeUndefined();
    const many = { ...delegations(), succinct: { ...succinct, bitLength: 12 } };
    for (const name of ["bin-0xf", "bin-x0f"]) expect(delegationNamed(many, name)).toBeUndefined();
    expect(delegationNamed(many, "bin-00f")).toBe(many.succinct);
    const named = delegations(role("a", {}), role("b", {}));
    expect([delegationNamed(named, "b"), delegationNamed(named, "c")]).toEqual([named.roles[1], undefined]);
    expect(delegationNamed(undefined, "a")).toBeUndefined();
  });

  it("go by sha256 of the name", async () => {
    expect(await pathHash("a/b")).toBe("c14cddc033f64b9dea80ea675cf280a015e672516090a5626781153dc68fea11");
  });
});

/** A graph of roles: who delegates what to whom, and who has the target. */
interface Graph {
  readonly edges: ReadonlyMap<string, readonly { to: string; covers: boolean; terminating: boolean }[]>;
  readonly owners: ReadonlySet<string>;
}

/** The order of a search, by recursion over the graph: an oracle that shares nothing with the implementation. */
function oracle({ edges, owners }: Graph): { visited: string[]; owner: string | undefined } {
  const visited: string[] = [];
  type Outcome = { owner: string } | "stop" | "go on";
  const visit = (role: string): Outcome => {
    if (visited.includes(role)) return "go on";
    visited.push(role);
    if (owners.has(role)) return { owner: role };
    for (const { to, covers, terminating } of edges.get(role) ?? []) {
      if (!covers) continue;
      const outcome = visit(to);
      if (outcome !== "go on") return outcome;
      if (terminating) return "stop";
    }
    return "go on";
  };
  const outcome = visit("targets");
  return { visited, owner: typeof outcome === "object" ? outcome.owner : undefined };
}

describe("the search", () => {
  const NAMES = ["a", "b", "c", "d", "e", "f"];
  const edge = fc.record({ to: fc.constantFrom(...NAMES), covers: fc.boolean(), terminating: fc.boolean() });
  const list = fc.uniqueArray(edge, { selector: ({ to }) => to, maxLength: 4 });
  const graphs = fc
    .record({
      lists: fc.tuple(list, list, list, list, list, list, list),
      owners: fc.subarray(NAMES, { maxLength: 2 }),
    })
    .map(({ lists, owners }): Graph => {
      const edges = new Map(["targets", ...NAMES].map((name, index) => [name, lists[index]!] as const));
      return { edges, owners: new Set(owners) };
    });

  it("visits roles in the order of an independent oracle, on random graphs", async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (roles) => {
        const visited: string[] = [];
        const found = await searchTarget("x/y", "targets", async ({ role }) => {
          visited.push(role);
          return targetsOf(roles, role);
        });
        expect({ visited, owner: found?.role }).toEqual(oracle(roles));
      }),
      { numRuns: 1000 },
    );
  });

  it("visits 32 delegated roles and not one more", async () => {
    const chain = (length: number): Graph => ({
      edges: new Map(
        Array.from({ length }, (_, i) => [
          i === 0 ? "targets" : `r${i}`,
          [{ to: `r${i + 1}`, covers: true, terminating: false }],
        ]),
      ),
      owners: new Set(),
    });
    const search = (roles: Graph): Promise<unknown> =>
      searchTarget("x/y", "targets", async ({ role }) => targetsOf(roles, role));
    await expect(search(chain(MAX_VISITED_ROLES))).resolves.toBeUndefined();
    await expect(search(chain(MAX_VISITED_ROLES + 1))).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: 'looking for "x/y" leads through more than 32 delegated roles',
      hint: "Its publisher must delegate more directly",
      details: { target: "x/y", limit: 32 },
    });
  });

  function targetsOf({ edges, owners }: Graph, role: string): Targets {
    const file = { length: 1, hashes: { sha256: "0" }, extra: {} };
    return {
      type: "targets",
      version: 1,
      specVersion: "1.0.34",
      expires: LATER,
      extra: {},
      targets: new Map(owners.has(role) ? [["x/y", file]] : []),
      delegations: {
        keys: new Map(),
        extra: {},
        roles: (edges.get(role) ?? []).map(({ to, covers, terminating }): DelegatedRole => ({
          name: to,
          keyIds: [],
          threshold: 1,
          terminating,
          paths: covers ? ["none", "x/*"] : ["other/*"],
          extra: {},
        })),
      },
    };
  }
});

describe("A9: wrong software", () => {
  it("takes no target from a role that signs outside its paths", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["team/*"] });
    await repository.addTarget("team", "other/app", "x");
    await repository.publish("team", "targets");
    expect(await repository.client().find("other/app")).toBeUndefined();
  });

  it("holds a role further down to the paths of every role on the way", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["team/*"] });
    await repository.delegate("team", "member", { paths: ["*/*"] });
    await repository.addTarget("member", "other/app", "x");
    await repository.addTarget("member", "team/app", "x");
    await repository.publish("team", "member", "targets");
    const client = repository.client();
    expect(await client.find("other/app")).toBeUndefined();
    expect(await client.find("team/app")).toMatchObject({ role: "member" });
  });

  it("lets no later role supply what a terminating one covers and does not have, dotfiles included", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "first", { paths: ["*"], terminating: true });
    await repository.delegate("targets", "second", { paths: ["*"] });
    await repository.addTarget("second", ".hidden", "x");
    await repository.publish("first", "second", "targets");
    expect(await repository.client().find(".hidden")).toBeUndefined();
  });

  it("prefers the role that is listed first, whatever its name", async () => {
    const repository = await TufSimulator.create();
    for (const role of ["2", "1", "constructor", "__proto__"]) {
      await repository.delegate("targets", role);
      await repository.addTarget(role, "app", role);
    }
    await repository.publish("2", "1", "constructor", "__proto__", "targets");
    expect(await repository.client().find("app")).toMatchObject({ role: "2" });
    expect(await repository.client().find("constructor")).toBeUndefined();
    expect(await repository.client().find("__proto__")).toBeUndefined();
  });

  it("verifies a role anew for another delegator with other keys", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "a", { paths: ["a/*"] });
    await repository.delegate("targets", "b", { paths: ["b/*"] });
    await repository.delegate("a", "release", { paths: ["a/*"] });
    await repository.delegate("b", "release", { paths: ["b/*"], pairs: [await newPair()] });
    await repository.addTarget("release", "a/app", "good");
    await repository.addTarget("release", "b/app", "evil");
    await repository.publish("release", "a", "b", "targets");
    const store = memoryTufStore();
    const client = repository.client({ store });
    expect(await client.find("a/app")).toMatchObject({ role: "release" });
    const refused = { code: "SIGNATURE_THRESHOLD", details: { role: "release" } };
    await expect(client.find("b/app")).rejects.toMatchObject(refused);
    expect(await client.find("a/app")).toMatchObject({ role: "release" });
    await expect(repository.client({ store }).find("b/app")).rejects.toMatchObject(refused);
    await client.refresh();
    await expect(client.find("b/app")).rejects.toMatchObject(refused);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/base/errors.ts";
import { PolicyIndex } from "../../../src/trust/policy/match.ts";
import { parsePolicy } from "../../../src/trust/policy/policy.ts";
import { includes, matchesPattern, parsePattern } from "../../../src/trust/policy/pattern.ts";

function policy(...patterns: string[]): PolicyIndex {
  const entries = patterns.map((pattern) => ({ pattern }));
  return new PolicyIndex(parsePolicy(JSON.stringify({ version: 1, entries }), { origin: "policy.json" }));
}

const decides = (index: PolicyIndex, repository: string): string | undefined =>
  index.match(repository)?.entry.pattern.text;

function code(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as FormatError).code;
  }
  return "none";
}

describe("the entry that decides", () => {
  it("is the most specific one, in whatever order they stand", () => {
    const patterns = [
      "{rest}",
      "ghcr.io/{rest}",
      "ghcr.io/acme/{rest}",
      "ghcr.io/acme/*",
      "ghcr.io/acme/app-*",
      "ghcr.io/acme/app-one",
    ];
    for (const index of [policy(...patterns), policy(...patterns.toReversed())]) {
      expect(decides(index, "ghcr.io/acme/app-one")).toBe("ghcr.io/acme/app-one");
      expect(decides(index, "ghcr.io/acme/app-two")).toBe("ghcr.io/acme/app-*");
      expect(decides(index, "ghcr.io/acme/other")).toBe("ghcr.io/acme/*");
      expect(decides(index, "ghcr.io/acme/team/app")).toBe("ghcr.io/acme/{rest}");
      expect(decides(index, "ghcr.io/other/app")).toBe("ghcr.io/{rest}");
      expect(decides(index, "quay.io/acme/app")).toBe("{rest}");
    }
  });

  it("tells which entries were passed over, the more specific ones first", () => {
    const index = policy("{rest}", "ghcr.io/acme/app", "ghcr.io/{rest}", "ghcr.io/acme/*", "quay.io/{rest}");
    const match = index.match("ghcr.io/acme/app");
    expect(match?.passedOver.map(({ pattern }) => pattern.text)).toEqual([
      "ghcr.io/acme/*",
      "ghcr.io/{rest}",
      "{rest}",
    ]);
  });

  it("is none where none matches, and not one that only looks alike", () => {
    const index = policy("ghcr.io/acme/{rest}", "localhost:5000/app");
    expect(index.match("ghcr.io/acme-evil/app")).toBeUndefined();
    expect(index.match("ghcr.io/acme")).toBeUndefined();
    expect(index.match("localhost:5001/app")).toBeUndefined();
    expect(index.match("evil.test/ghcr.io/acme/app")).toBeUndefined();
  });

  it("refuses a pattern that stands twice, with both places", () => {
    expect(code(() => policy("ghcr.io/a/b", "ghcr.io/a/b"))).toBe("POLICY_INVALID");
    expect(() => policy("ghcr.io/a/b", "ghcr.io/a/b")).toThrow("policy.json:1");
  });

  it.each([
    ["ghcr.io/*/app", "ghcr.io/acme/*"],
    ["ghcr.io/*/app", "ghcr.io/acme/{rest}"],
    ["ghcr.io/acme/a*", "ghcr.io/acme/*b"],
    ["*/acme/app", "ghcr.io/*/app"],
    ["*/acme/{rest}", "ghcr.io/{rest}"],
    ["*.io/{rest}", "ghcr.*/{rest}"],
  ])("refuses %s beside %s when it is loaded, since neither is more specific", (a, b) => {
    expect(code(() => policy(a, b))).toBe("POLICY_AMBIGUOUS");
    expect(code(() => policy(b, a))).toBe("POLICY_AMBIGUOUS");
  });

  it("takes two that overlap where a third decides, and refuses what that one does not match", () => {
    const index = policy("ghcr.io/*/app", "ghcr.io/acme/*", "ghcr.io/acme/app");
    expect(decides(index, "ghcr.io/acme/app")).toBe("ghcr.io/acme/app");
    const partly = policy("ghcr.io/x/a*", "ghcr.io/x/*b", "ghcr.io/x/axb");
    expect(decides(partly, "ghcr.io/x/axb")).toBe("ghcr.io/x/axb");
    expect(code(() => partly.match("ghcr.io/x/ab"))).toBe("POLICY_AMBIGUOUS");
  });

  it("never decides between two that tie, for any patterns and repository", () => {
    const texts = fc
      .tuple(
        fc.constantFrom("a.io", "*", "*.io"),
        fc.array(fc.constantFrom("x", "y", "*", "x*", "*y"), { maxLength: 2 }),
        fc.boolean(),
      )
      .filter(([, path, rest]) => rest || path.length > 0)
      .map(([host, path, rest]) => [host, ...path, ...(rest ? ["{rest}"] : [])].join("/"));
    const repositories = fc
      .tuple(
        fc.constantFrom("a.io", "b.io"),
        fc.array(fc.constantFrom("x", "y", "xy", "z"), { minLength: 1, maxLength: 3 }),
      )
      .map(([host, path]) => [host, ...path].join("/"));
    fc.assert(
      fc.property(fc.uniqueArray(texts, { maxLength: 6 }), repositories, (patterns, repository) => {
        const matching = patterns.map(parsePattern).filter((pattern) => matchesPattern(pattern, repository.split("/")));
        const least = matching.filter((one) => matching.every((other) => includes(other, one)));
        let decided: string | undefined;
        try {
          decided = decides(policy(...patterns), repository);
        } catch (error) {
          expect((error as FormatError).code).toBe("POLICY_AMBIGUOUS");
          return; // at load for any repository, or for this one
        }
        expect(decided).toBe(least[0]?.text);
        expect(least.length).toBe(matching.length === 0 ? 0 : 1);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a policy of ten thousand entries", () => {
  const text = (patterns: readonly string[]): string =>
    JSON.stringify({ version: 1, entries: patterns.map((pattern) => ({ pattern })) });
  const load = (patterns: readonly string[]): PolicyIndex =>
    new PolicyIndex(parsePolicy(text(patterns), { origin: "policy.json" }));
  const numbered = (count: number, write: (n: number) => string): string[] =>
    Array.from({ length: count }, (_, i) => write(i));

  it("is loaded and asked in no time", () => {
    const start = performance.now();
    const index = load([
      ...numbered(5_000, (n) => `ghcr.io/acme/app${n}`),
      ...numbered(4_744, (n) => `ghcr.io/team${n}/{rest}`),
      ...numbered(256, (n) => `ghcr.io/wild${n}/*`),
    ]);
    const missed = numbered(5_000, (n) => `ghcr.io/acme/app${n}`).filter((name) => index.match(name) === undefined);
    expect(missed).toEqual([]);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it("is bounded where every pair overlaps and a third decides each", () => {
    const start = performance.now();
    const index = load([
      ...numbered(100, (n) => `ghcr.io/a${n}/{rest}`),
      ...numbered(90, (n) => `ghcr.io/*/b${n}`),
      ...numbered(9_000, (n) => `ghcr.io/a${n % 100}/b${Math.floor(n / 100)}`),
    ]);
    expect(index.match("ghcr.io/a1/b1")?.entry.pattern.text).toBe("ghcr.io/a1/b1");
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it("refuses one entry more, and more patterns with * than can be compared", () => {
    expect(code(() => load(numbered(10_001, (n) => `ghcr.io/a/b${n}`)))).toBe("POLICY_INVALID");
    expect(code(() => load(numbered(257, (n) => `ghcr.io/a${n}/*`)))).toBe("POLICY_INVALID");
  });
});

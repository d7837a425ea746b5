import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../src/base/challenge.ts";

function plain(header: string | null) {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe("parseChallenges", () => {
  it.each<[string, string, unknown[]]>([
    ["Basic", "Basic", [["basic", {}]]],
    ["a realm", 'Basic realm="x"', [["basic", { realm: "x" }]]],
    [
      "Docker's",
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          "bearer",
          { realm: "https://auth.docker.io/token", service: "registry.docker.io", scope: "repository:a/b:pull,push" },
        ],
      ],
    ],
    ["spaces", 'bearer  realm = "a" , service="b"', [["bearer", { realm: "a", service: "b" }]]],
    ["values without quotes", "Bearer realm=a,service=b", [["bearer", { realm: "a", service: "b" }]]],
    ["escapes", 'Basic realm="a\\"b\\\\c"', [["basic", { realm: 'a"b\\c' }]]],
    ["an empty value", 'Basic realm=""', [["basic", { realm: "" }]]],
    ["parameter names in capitals", 'BEARER REALM="a"', [["bearer", { realm: "a" }]]],
    [
      "two challenges in a line",
      'Basic realm="a", Bearer realm="b",service="c"',
      [
        ["basic", { realm: "a" }],
        ["bearer", { realm: "b", service: "c" }],
      ],
    ],
    [
      "challenges without parameters",
      'Negotiate, Basic realm="a"',
      [
        ["negotiate", {}],
        ["basic", { realm: "a" }],
      ],
    ],
    [
      "a token68",
      'Negotiate YWJj=, Basic realm="a"',
      [
        ["negotiate", {}],
        ["basic", { realm: "a" }],
      ],
    ],
    ["what looks like a token68", "Bearer realm=", [["bearer", {}]]],
    ["empty list elements", ' , ,Basic realm="a",, ', [["basic", { realm: "a" }]]],
    ["the first of a repeated parameter", 'Bearer realm="good",realm="evil"', [["bearer", { realm: "good" }]]],
    ["a comma in quotes", 'Bearer realm="a,Basic b"', [["bearer", { realm: "a,Basic b" }]]],
  ])("reads %s", (_what, header, expected) => {
    expect(plain(header)).toEqual(expected);
  });

  it.each([
    ["a string without end", 'Bearer realm="a'],
    ["a missing comma", 'Bearer realm="a" service="b"'],
    ["a parameter without scheme", 'realm="a"'],
  ])("takes nothing of a challenge with %s", (_what, header) => {
    expect(plain(header)).toEqual([]);
  });

  it("reads nothing from nothing, and from more than any server needs", () => {
    expect(plain(null)).toEqual([]);
    expect(plain("")).toEqual([]);
    expect(plain(`Bearer realm="${"a".repeat(10_000)}"`)).toEqual([]);
  });

  it("reads back what a careful server writes", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
    const challenge = fc.record({
      scheme: name,
      parameters: fc.dictionary(name, fc.string({ maxLength: 20 }), { minKeys: 1 }),
    });
    fc.assert(
      fc.property(fc.array(challenge, { minLength: 1, maxLength: 3 }), (challenges) => {
        const header = challenges
          .map(({ scheme, parameters }) => {
            const list = Object.entries(parameters).map(
              ([key, value]) => `${key}="${value.replace(/["\\]/g, "\\$&")}"`,
            );
            return `${scheme} ${list.join(", ")}`;
          })
          .join(", ");
        expect(plain(header)).toEqual(challenges.map(({ scheme, parameters }) => [scheme, { ...parameters }]));
      }),
    );
  });

  it("reads any header in bounded time, without an error", () => {
    const piece = fc.constantFrom("Bearer", "realm", "=", '"', ",", " ", "\\", "a", "\t", "==", ";", "é");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 500 }), (pieces) => {
        parseChallenges(pieces.join(""));
      }),
      { numRuns: 1000 },
    );
    for (const unit of [" ,", '"\\', "a=", "a ", '=",', "\\\\"]) {
      const start = performance.now();
      parseChallenges(`Bearer ${unit.repeat(4000)}`.slice(0, 8 * 1024));
      expect(performance.now() - start).toBeLessThan(500);
    }
  });
});

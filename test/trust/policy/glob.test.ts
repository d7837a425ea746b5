import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { globMatches, globOverlap } from "../../../src/trust/policy/glob.ts";

/** The meaning of a pattern, spelled as a regular expression: slow on bad patterns, and obviously right. */
function oracle(glob: string): RegExp {
  return new RegExp(`^${glob.split("*").map(escape).join(".*")}$`, "su");
}

function escape(text: string): string {
  return text.replaceAll(/[$()+.?[\\\]^{|}]/g, String.raw`\$&`);
}

const letters = fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 8 });
const globs = fc.string({ unit: fc.constantFrom("a", "b", ".", "*"), maxLength: 6 });

describe("globMatches", () => {
  it("means what a regular expression with `.*` means", () => {
    fc.assert(fc.property(globs, letters, (glob, text) => globMatches(glob, text) === oracle(glob).test(text)));
  });

  it("takes characters that are special elsewhere as they are", () => {
    for (const special of ["?", ".", "[a]", "{a,b}", "(", "\\", "^", "$", "+", "|"]) {
      expect(globMatches(special, special)).toBe(true);
      expect(globMatches(special, "a")).toBe(false);
    }
  });

  it("is not slowed down by a pattern made to backtrack", () => {
    const start = performance.now();
    expect(globMatches("*a".repeat(200), `${"a".repeat(5_000)}b`)).toBe(false);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

describe("globOverlap", () => {
  it("gives a text that both match, and none only where there is none", () => {
    fc.assert(
      fc.property(globs, globs, letters, (a, b, text) => {
        const common = globOverlap(a, b, "x");
        if (common === undefined) expect(globMatches(a, text) && globMatches(b, text)).toBe(false);
        else expect([globMatches(a, common), globMatches(b, common)]).toEqual([true, true]);
      }),
    );
  });
});

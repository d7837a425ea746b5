/** How roles, keys and lifetimes are written on the command line, and how delegations are shown. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WasmToOciError } from "../../src/base/errors.ts";
import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { patternTexts, prefixTexts } from "../../src/cli/delegation-text.ts";
import { readKeyChoices, splitAssignment } from "../../src/cli/key-choice-option.ts";
import { parsePeriods } from "../../src/cli/role-options.ts";
import { missingLines } from "../../src/cli/staged-text.ts";
import { wrap } from "../../src/cli/wrap.ts";
import { prefixPatterns } from "../../src/tuf/editor.ts";

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof WasmToOciError ? error.code : String(error);
  }
}

describe("a lifetime", () => {
  it.each([
    ["30d/10d", { expiry: 30, signing: 10 }],
    ["48h/24h", { expiry: 2, signing: 1 }],
    ["9d", { expiry: 9, signing: 3 }],
    ["2d", { expiry: 2, signing: 1 }],
  ])("is read: %s", (text, periods) => expect(parsePeriods(text)).toEqual(periods));

  it.each(["", "1d", "12h", "3d/3d", "3d/4d", "3d/1d/1d", "3", "-3d", "36h/1d", "3d/"])("is refused: %s", (text) => {
    expect(codeOf(() => parsePeriods(text))).toBe("USAGE");
  });

  it("ends in whole days with the shorter time last, or in an error of ours", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,4}[hd](?:\/\d{1,4}[hd])?$/)), (text) => {
        const code = codeOf(() => {
          const { expiry, signing } = parsePeriods(text);
          expect([expiry, signing].every(Number.isInteger)).toBe(true);
          expect(signing).toBeGreaterThan(0);
          expect(signing).toBeLessThan(expiry);
        });
        expect([undefined, "USAGE"]).toContain(code);
      }),
    );
  });
});

describe("ROLE=VALUE", () => {
  it("may name several roles, and has a value in which anything may stand", () => {
    expect(splitAssignment("root,targets=a=b,c")).toEqual({ names: ["root", "targets"], value: "a=b,c" });
  });

  it.each(["", "root", "=x", "root=", "root,=x", ",root=x"])("is refused: %s", (text) => {
    expect(codeOf(() => splitAssignment(text))).toBe("USAGE");
  });
});

describe("a key on the command line", () => {
  it("is new, one that is here, or a file that must be there", async () => {
    const store = memoryKeyStore();
    expect(await readKeyChoices(store, ["new"], "ed25519")).toEqual([{ kind: "new", algorithm: "ed25519" }]);
    for (const [text, code] of [
      ["0123456789ab", "KEY_MISSING"],
      ["no-such-file.pem", "FILE_NOT_FOUND"],
    ] as const) {
      await expect(readKeyChoices(store, [text], "ed25519")).rejects.toMatchObject({ code });
    }
  });
});

describe("what a delegation may sign", () => {
  it("is shown as the prefix that was asked for", () => {
    expect(patternTexts([...prefixPatterns("team/"), "v1.*", ...prefixPatterns("a/b/")])).toEqual([
      "all below team/",
      "v1.*",
      "all below a/b/",
    ]);
    expect(patternTexts(prefixPatterns(""))).toEqual(["everything"]);
    expect(prefixTexts(["", "v1"])).toEqual(["everything", "v1…"]);
  });

  it("is shown pattern by pattern where one depth is missing: nothing is made to look wider than it is", () => {
    for (let missing = 0; missing < prefixPatterns("team/").length; missing++) {
      const patterns = prefixPatterns("team/").filter((_, depth) => depth !== missing);
      expect(patternTexts(patterns)).toEqual(patterns);
    }
  });
});

describe("text for people", () => {
  it("loses no word, and keeps to 80 columns unless a word is longer", () => {
    const words = fc.array(fc.stringMatching(/^[!-~]{1,90}$/), { minLength: 1 });
    fc.assert(
      fc.property(words, fc.integer({ min: 0, max: 30 }), (given, indent) => {
        const lines = wrap(given.join(" "), indent);
        expect(lines.flatMap((line) => line.trim().split(" "))).toEqual(given);
        for (const line of lines) if (line.trim().includes(" ")) expect(line.length).toBeLessThanOrEqual(80);
      }),
    );
  });

  it("says that nothing is missing where nothing is", () => {
    expect(missingLines([])).toEqual(["It has all its signatures"]);
    expect(missingLines(["root: 1 more of ada"])).toEqual(["Still to sign:", "  - root: 1 more of ada"]);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WasmToOciError } from "../../src/base/errors.ts";
import type { JsonValue } from "../../src/base/json.ts";
import { checkTargetContent, checkTargetName, MAX_CUSTOM_BYTES } from "../../src/notary/target-limits.ts";

const sha256 = "ab".repeat(32);

function codeOf(run: () => void): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof WasmToOciError ? error.code : `not ours: ${String(error)}`;
  }
}

const check = (custom: unknown) =>
  codeOf(() => checkTargetContent("v1", { length: 1, hashes: { sha256 }, custom: custom as JsonValue }));

describe("names", () => {
  test.each([
    ["empty", ""],
    ["a newline, which Go writes raw and cannot read again", "a\nb"],
    ["a tab", "a\tb"],
    ["NUL", "a\0b"],
    ["an escape sequence for a terminal", "\u001b[2J"],
    ["DEL", "a\u007f"],
    ["a way out of its folder", "../x"],
    ["a way out of its folder in the middle", "a/../../x"],
    ["a Windows way out of its folder", "a\\..\\x"],
    ["an absolute path", "/etc/passwd"],
    ["a line separator", "a\u2028b"],
    ["a lone surrogate", "a\ud800"],
    ["5 kB", "x".repeat(5000)],
    ["more than 1024 bytes in few characters", "é".repeat(513)],
  ])("refuses %s", (_, name) => {
    expect(codeOf(() => checkTargetName(name))).toBe("TARGET_NAME_INVALID");
  });

  test.each(["v1", "latest", "team/app/v1", "a..b", "5000/x", "<&>", 'quote"\\', "é☃", "😀", "x".repeat(1024)])(
    "accepts %j, which Notary's programs publish and read",
    (name) => {
      expect(codeOf(() => checkTargetName(name))).toBeUndefined();
    },
  );

  test("never lets a long name into its message", () => {
    expect(() => checkTargetName("x".repeat(1_000_000))).toThrow(/^.{0,300}$/);
  });
});

describe("custom data", () => {
  test.each([
    ["a float", 1.5],
    ["-0", -0],
    ["an integer that a double cannot hold", 2 ** 53],
    ["infinity", Number.POSITIVE_INFINITY],
    ["< in a value, after which notary could not publish any more", "<"],
    ["> in a nested value", { a: [{ b: ">" }] }],
    ["& in a key", { "a&b": 1 }],
    ["U+2028", "\u2028"],
    ["U+2029", "\u2029"],
    ["a newline", "a\nb"],
    ["a lone surrogate", "\udc00"],
    ["a lone surrogate in a key", { "\udc00": 1 }],
    ["something that is no JSON", { a: undefined }],
    ["a big integer", 1n],
    ["too much of it", "x".repeat(MAX_CUSTOM_BYTES)],
  ])("refuses %s", (_, custom) => {
    expect(check(custom)).toBe("TARGET_INVALID");
  });

  test("refuses nesting deeper than readers allow, without overflowing the stack", () => {
    let deep: JsonValue = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(check(deep)).toBe("TARGET_INVALID");
  });

  test.each([null, true, 2 ** 53 - 1, -5, "é", 'a"b\\c', [1, "a"], { b: 1, a: { d: 1, c: [] } }])(
    "accepts %j",
    (custom) => {
      expect(check(custom)).toBeUndefined();
    },
  );

  test("answers any JSON with a verdict or its own code", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect([undefined, "TARGET_INVALID"]).toContain(check(value));
      }),
    );
  });
});

describe("content", () => {
  test.each([
    ["no hash", { length: 1, hashes: {} }],
    ["a short sha256", { length: 1, hashes: { sha256: "ab" } }],
    ["an upper-case sha256", { length: 1, hashes: { sha256: sha256.toUpperCase() } }],
    ["a sha256 given as sha512", { length: 1, hashes: { sha512: sha256 } }],
    ["a negative length", { length: -1, hashes: { sha256 } }],
    ["half a byte", { length: 0.5, hashes: { sha256 } }],
    ["a length that a double cannot hold", { length: 2 ** 53, hashes: { sha256 } }],
  ])("refuses %s", (_, content) => {
    expect(codeOf(() => checkTargetContent("v1", content))).toBe("TARGET_INVALID");
  });

  test("accepts an empty module's hash", () => {
    expect(codeOf(() => checkTargetContent("v1", { length: 0, hashes: { sha256 } }))).toBeUndefined();
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { MAX_JSON_DEPTH, parseJson } from "../../src/base/json.ts";
import { utf8Encode } from "../../src/base/bytes.ts";

/** The prototype-less objects of ours as ordinary ones, to compare with JSON.parse. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

describe("parseJson", () => {
  it.each([
    ["a duplicate key", '{"a":1,"a":2}'],
    ["a duplicate key spelt with an escape", '{"a":1,"\\u0061":2}'],
    ["a lone high surrogate escape", '"\\ud800"'],
    ["a lone low surrogate escape", '"\\udc00"'],
    ["a high surrogate followed by something else", '"\\ud800\\u0041"'],
    ["a raw lone surrogate", '"\ud800"'],
    ["an unsafe integer", "9007199254740993"],
    ["a negative unsafe integer", "-9007199254740993"],
    ["a number that overflows", "1e999"],
    ["trailing data", '{"a":1} x'],
    ["two documents", "{}{}"],
    ["a byte order mark", "\ufeff{}"],
    ["a raw control character", '"a\nb"'],
    ["an unknown escape", '"\\x41"'],
    ["a short unicode escape", '"\\u41"'],
    ["a leading zero", "01"],
    ["a leading plus", "+1"],
    ["a bare fraction", ".5"],
    ["a trailing comma in an array", "[1,]"],
    ["a trailing comma in an object", '{"a":1,}'],
    ["a comment", "/* */ 1"],
    ["single quotes", "'a'"],
    ["an unquoted key", "{a:1}"],
    ["a missing colon", '{"a" 1}'],
    ["NaN", "NaN"],
    ["no document", ""],
    ["an unfinished string", '"abc'],
    ["an unfinished object", '{"a":1'],
    ["an unfinished array", "[1"],
    ["a cut literal", "tru"],
  ])("refuses %s", (_what, text) => {
    expect(() => parseJson(text)).toThrow(FormatError);
  });

  it("names the document, the fault and its position", () => {
    expect(() => parseJson('{"a":1,"a":2}', { what: "root.json" })).toThrow(
      'root.json is not acceptable JSON: duplicate key "a" (at character 7)',
    );
  });

  it("refuses bytes that are not UTF-8", () => {
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(FormatError);
  });

  it("takes __proto__ and constructor as ordinary keys", () => {
    const value = parseJson('{"__proto__":{"polluted":true},"constructor":1}');
    expect(Object.keys(value as object)).toEqual(["__proto__", "constructor"]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("refuses to nest deeper than its limit, and reads up to it", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect(() => parseJson(nested(MAX_JSON_DEPTH + 1))).not.toThrow();
    expect(() => parseJson(nested(MAX_JSON_DEPTH + 2))).toThrow("levels of nesting");
    expect(() => parseJson("[".repeat(1_000_000))).toThrow(FormatError);
  });

  it.each(["1.0", "1e3", "-0", "0.5"])("refuses %s where only integers are allowed", (text) => {
    expect(() => parseJson(text, { integersOnly: true })).toThrow("is not a plain integer");
    expect(parseJson(text)).toBe(JSON.parse(text));
  });

  it("reads whatever JSON.stringify writes, as JSON.parse does", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value, undefined, 1);
        fc.pre(!/\\ud[89a-f]/i.test(text)); // lone surrogates, which only we refuse
        fc.pre(!/\d{16,}/.test(text)); // integers beyond a double, likewise
        expect(plain(parseJson(text))).toEqual(JSON.parse(text));
        expect(plain(parseJson(utf8Encode(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  it("throws nothing but FormatError, and accepts no text that JSON.parse refuses", () => {
    const jsonish = fc.string({
      unit: fc.constantFrom(...Array.from('{}[]",:\\u01eE+-.\ntfnalse \u0000é'), "\ud800"),
      maxLength: 40,
    });
    fc.assert(
      fc.property(jsonish, (text) => {
        try {
          parseJson(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          return;
        }
        expect(() => JSON.parse(text) as unknown).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});

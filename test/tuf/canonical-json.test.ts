import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hexDecode, hexEncode, utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { parseJson, type JsonValue } from "../../src/base/json.ts";
import { canonicalJson } from "../../src/tuf/canonical-json.ts";
import texts from "../fixtures/canonical-json-vectors.json" with { type: "json" };

interface Vector {
  readonly json: string;
  readonly canonical_utf8_hex?: string;
  readonly error?: string;
}

const vectors: readonly Vector[] = texts;

/** Where implementations read different things into one text, we refuse the text. */
const REFUSED_ON_READING = new Set(["-0", "9007199254740993", "123456789012345678901234567890", '{"a":1,"a":2}']);

const strict = (json: string) => canonicalJson(parseJson(json, { integersOnly: true }));

describe("canonical JSON", () => {
  it.each(vectors)("writes or refuses $json as the reference does", ({ json, canonical_utf8_hex: hex }) => {
    if (hex === undefined || REFUSED_ON_READING.has(json)) {
      expect(() => strict(json)).toThrow(expect.objectContaining({ code: "JSON_INVALID" }));
    } else {
      expect(strict(json)).toBe(utf8Decode(hexDecode(hex)!));
    }
  });

  it("refuses numbers that it cannot express, also where no parser looked at them", () => {
    for (const number of [1.5, -0, Number.NaN, Infinity, 2 ** 53]) {
      expect(() => canonicalJson({ a: [number] })).toThrow(expect.objectContaining({ code: "JSON_INVALID" }));
    }
  });

  it("refuses lone surrogates, also where no parser looked at them, and keeps pairs", () => {
    for (const text of ["\ud800", "a\udc00", 'quoted " \ud800']) {
      expect(() => canonicalJson([text])).toThrow(expect.objectContaining({ code: "JSON_INVALID" }));
      expect(() => canonicalJson({ [text]: 1 })).toThrow(expect.objectContaining({ code: "JSON_INVALID" }));
    }
    expect(canonicalJson(["\ud83d\ude00"])).toBe('["\ud83d\ude00"]');
  });

  it("says what it cannot express", () => {
    const said = (value: unknown): unknown => {
      try {
        return canonicalJson(value as JsonValue);
      } catch (error) {
        return error;
      }
    };
    const hint = "Signed documents hold text and integers within ±(2^53-1) only";
    for (const [value, what] of [
      [undefined, "a value of type undefined"],
      [1.5, "the number 1.5"],
      ["\ud800", "a lone surrogate"],
    ])
      expect(said(value)).toMatchObject({
        code: "JSON_INVALID",
        message: `canonical JSON cannot express ${what}`,
        hint,
      });
  });

  it("refuses what is no JSON at all", () => {
    expect(() => canonicalJson({ a: undefined } as unknown as JsonValue)).toThrow(
      expect.objectContaining({ code: "JSON_INVALID" }),
    );
  });

  it("agrees with a naive writer that sorts keys by their encoded bytes", () => {
    fc.assert(
      fc.property(signedValue, (value) => {
        expect(utf8Encode(canonicalJson(value))).toEqual(utf8Encode(naive(value)));
      }),
    );
  });

  it("has one form: reading it back and writing it again changes nothing, for text that JSON can hold raw", () => {
    fc.assert(
      fc.property(signedValue, (value) => {
        const text = canonicalJson(value);
        // oxlint-disable-next-line no-control-regex -- canonical JSON has them raw, so it is not JSON then
        fc.pre(!/[\u0000-\u001f]/.test(text));
        expect(strict(text)).toBe(text);
      }),
    );
  });
});

const text = fc.string({ unit: "binary", maxLength: 8 });
const { signedValue } = fc.letrec<{ signedValue: JsonValue }>((tie) => ({
  signedValue: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger().map((number) => number + 0),
    text,
    fc.array(tie("signedValue"), { maxLength: 4 }),
    fc.dictionary(text, tie("signedValue"), { maxKeys: 5, noNullPrototype: false }) as fc.Arbitrary<JsonValue>,
  ),
}));

/** Written from the definition, with none of the product's code. */
function naive(value: JsonValue): string {
  if (typeof value === "string") return `"${value.split("\\").join("\\\\").split('"').join('\\"')}"`;
  if (Array.isArray(value)) return `[${value.map(naive).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).toSorted(([a], [b]) => (inHex(a) < inHex(b) ? -1 : 1));
    return `{${members.map(([key, member]) => `${naive(key)}:${naive(member)}`).join(",")}}`;
  }
  return `${value}`;
}

/** Sorts as the bytes do. */
const inHex = (key: string): string => hexEncode(utf8Encode(key));

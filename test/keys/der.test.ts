import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexDecode, hexEncode } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { DER_TAG, DerReader } from "../../src/keys/der.ts";
import { bitString, element, integer, octetString, oid, sequence, time } from "../../src/keys/der-writer.ts";

const fault = (message: string): FormatError => new FormatError("KEY_INVALID", message);
const reader = (hex: string): DerReader => new DerReader(hexDecode(hex)!, fault);

describe("reading", () => {
  test.each([
    ["an indefinite length", "30800000", "no definite length"],
    ["a length of more octets than needed", "30810101", "not the shortest"],
    ["a length with a leading zero", `3082008${"0".repeat(1)}${"00".repeat(128)}`, "not the shortest"],
    ["a length of four octets", "308401000000", "too long"],
    ["a length beyond the end", "300502", "cut off"],
    ["a tag number above 30", "3f1f00", "above 30"],
    ["no length", "30", "cut off"],
  ])("refuses %s", (_, hex, message) => {
    expect(() => reader(hex).element("it")).toThrow(message);
  });

  test.each([
    ["an empty integer", "0200"],
    ["a padded positive integer", "02020001"],
    ["a padded negative integer", "0202ff80"],
  ])("refuses %s", (_, hex) => {
    expect(() => reader(hex).integer("it")).toThrow(FormatError);
  });

  test.each([
    ["a negative number where none may be", "0201ff", (it: DerReader) => it.unsigned("it")],
    ["a number above 2^31-1", "02050080000000", (it: DerReader) => it.smallInteger("it")],
    ["a boolean that is neither", "010101", (it: DerReader) => it.boolean("it")],
    ["a null with content", "050100", (it: DerReader) => it.null("it")],
    ["a bit string of broken octets", "0302017f", (it: DerReader) => it.bitString("it")],
    ["a bit string without its count", "0300", (it: DerReader) => it.bitString("it")],
    ["an empty object identifier", "0600", (it: DerReader) => it.oid("it")],
    ["an object identifier that is cut off", "06022a86", (it: DerReader) => it.oid("it")],
    ["an object identifier with a padded part", "06032a8001", (it: DerReader) => it.oid("it")],
    ["an object identifier of 65 octets", `0641${"01".repeat(65)}`, (it: DerReader) => it.oid("it")],
    ["another type than expected", "0400", (it: DerReader) => it.integer("it")],
    ["bytes that are left over", "0500", (it: DerReader) => it.end("nothing")],
  ])("refuses %s", (_, hex, read) => {
    expect(() => read(reader(hex))).toThrow(FormatError);
  });

  test("gives the largest small integer", () => {
    expect(reader("02047fffffff").smallInteger("it")).toBe(2 ** 31 - 1);
  });

  test("ends every input in a value or an error of the format", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const it = new DerReader(bytes, fault);
        try {
          while (!it.done) {
            const { tag, content } = it.element("it");
            if (tag === DER_TAG.oid) it.within(element(tag, content)).oid("it");
            if (tag === DER_TAG.integer) it.within(element(tag, content)).smallInteger("it");
          }
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("writing", () => {
  test("gives what was written back, in one spelling", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const it = new DerReader(sequence(octetString(bytes), bitString(bytes), integer(bytes)), fault).enter("it");
        expect(it.octetString("octets")).toEqual(bytes);
        expect(it.bitString("bits")).toEqual(bytes);
        const magnitude = it.unsigned("number");
        expect(hexEncode(magnitude).replace(/^(00)+/, "")).toBe(hexEncode(bytes).replace(/^(00)+/, ""));
        it.end("number");
      }),
    );
  });

  test("gives object identifiers back", () => {
    const arc = fc.integer({ min: 0, max: 2 ** 40 });
    const identifiers = fc.oneof(
      fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 39 }), fc.array(arc, { maxLength: 8 })),
      fc.tuple(fc.constant(2), fc.integer({ min: 0, max: 1000 }), fc.array(arc, { maxLength: 8 })),
    );
    fc.assert(
      fc.property(identifiers, ([first, second, rest]) => {
        const dotted = [first, second, ...rest].join(".");
        expect(new DerReader(oid(dotted), fault).oid("it")).toBe(dotted);
      }),
    );
  });

  test.each([
    [0, "020100"],
    [127, "02017f"],
    [128, "02020080"],
    [2048, "02020800"],
  ])("writes the number %i as OpenSSL does", (number, hex) => {
    expect(hexEncode(integer(number))).toBe(hex);
  });

  test("writes lengths of one, two and three octets", () => {
    expect(hexEncode(octetString(new Uint8Array(127)).subarray(0, 2))).toBe("047f");
    expect(hexEncode(octetString(new Uint8Array(128)).subarray(0, 3))).toBe("048180");
    expect(hexEncode(octetString(new Uint8Array(256)).subarray(0, 4))).toBe("04820100");
  });

  test("writes times as RFC 5280 wants them, four-digit years from 2050 on", () => {
    const text = (date: string): string => new TextDecoder().decode(time(new Date(date)).subarray(2));
    expect(text("2049-12-31T23:59:59.999Z")).toBe("491231235959Z");
    expect(text("2050-01-01T00:00:00Z")).toBe("20500101000000Z");
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  base64Decode,
  base64Encode,
  compareUtf8,
  concatBytes,
  equalBytes,
  hexDecode,
  hexEncode,
  utf8Decode,
  utf8Encode,
} from "../../src/base/bytes.ts";

describe("bytes", () => {
  it("encodes and decodes hexadecimal and base64 as Node does, and back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(hexEncode(bytes)).toBe(Buffer.from(bytes).toString("hex"));
        expect(base64Encode(bytes)).toBe(Buffer.from(bytes).toString("base64"));
        expect(equalBytes(hexDecode(hexEncode(bytes))!, bytes)).toBe(true);
        expect(equalBytes(base64Decode(base64Encode(bytes))!, bytes)).toBe(true);
      }),
    );
  });

  it("encodes more bytes than a call takes arguments", () => {
    const bytes = new Uint8Array(300_000).fill(7);
    expect(base64Encode(bytes)).toBe(Buffer.from(bytes).toString("base64"));
  });

  it.each(["a", "0g", "0x00", " 00"])("does not guess at the hexadecimal %j", (text) => {
    expect(hexDecode(text)).toBeUndefined();
  });

  it.each(["A", "AA", "AAA", "AA==\n", " AAAA", "AA-_", "AAAA="])("does not guess at the base64 %j", (text) => {
    expect(base64Decode(text)).toBeUndefined();
  });

  it("orders text as its UTF-8 bytes are ordered", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "\uffff", "\ud83d\ude00", "é", "\ue000"), maxLength: 6 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });

  it("keeps a byte order mark, which is data", () => {
    expect(utf8Decode(utf8Encode("\ufeffa"))).toBe("\ufeffa");
  });

  it("joins parts in order", () => {
    expect(concatBytes([Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3)])).toEqual(Uint8Array.of(1, 2, 3));
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { JsonObject, JsonValue } from "../../src/base/json.ts";
import { canonicalJson } from "../../src/tuf/canonical-json.ts";
import { canonicalSigned, canonicalSignedWith } from "../../src/tuf/signed-bytes.ts";

describe("the bytes that are signed", () => {
  it("are the canonical form, in UTF-8", () => {
    const signed = { version: 1, _type: "targets", "x-\u00e9": ["\u{1f600}"] };
    expect(canonicalSigned(signed)).toEqual(utf8Encode('{"_type":"targets","version":1,"x-\u00e9":["\u{1f600}"]}'));
  });

  it("are the same where one member was taken out, and is put back as it was", () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom("targets ", "target", "targetsx", "mesa", "metb", "\uffff", "\u{10000}"),
    );
    const others = fc.dictionary(name, fc.constantFrom<JsonValue>(1, "x", null), { maxKeys: 5 });
    const form = fc.constantFrom<JsonObject>({}, { a: { length: 1 } });
    fc.assert(
      fc.property(others, form, fc.constantFrom("meta" as const, "targets" as const), (all, member, at) => {
        const signed: JsonObject = { ...all, _type: "x", version: 1 };
        const whole = canonicalJson({ ...signed, [at]: member });
        expect(utf8Decode(canonicalSignedWith({ ...signed, [at]: {} }, at, canonicalJson(member)))).toBe(whole);
      }),
    );
  });
});

/** Signatures of one person for a staged change, in a file of their own that anybody may have written. */
import { describe, expect, test } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { PendingSet } from "../../src/tuf/pending.ts";
import { decodeSignatures, encodeSignatures, newSignatures } from "../../src/tuf/staged-signatures.ts";
import { codeOf } from "../support/error-code.ts";

const signature = (keyId: string, sig = "00") => ({ keyId, sig, extra: {} });
const set = new Map([
  ["root", [signature("a"), signature("b", "01")]],
  ["team/x", [signature("c")]],
]);
/** Documents of which only the signatures matter here. */
const pending = (roles: Record<string, object[]>): PendingSet =>
  new Map(Object.entries(roles).map(([role, signatures]) => [role, { role, signatures }])) as unknown as PendingSet;

describe("signatures apart from what they sign", () => {
  test("are read as they were written", () => {
    expect(decodeSignatures(encodeSignatures(set))).toEqual(set);
    expect(utf8Decode(encodeSignatures(set))).toBe(
      '{"signatures":{"root":[{"keyid":"a","sig":"00"},{"keyid":"b","sig":"01"}],"team/x":[{"keyid":"c","sig":"00"}]}}\n',
    );
  });

  test("are those that were added, of new documents too; a key that signed anew counts", () => {
    const before = pending({ root: [signature("a")], same: [signature("z")] });
    const after = pending({
      root: [signature("a"), signature("b")],
      same: [signature("z")],
      fresh: [signature("c")],
    });
    expect(newSignatures(before, after)).toEqual(
      new Map([
        ["root", [signature("b")]],
        ["fresh", [signature("c")]],
      ]),
    );
    const again = pending({ root: [signature("a", "02")] });
    expect(newSignatures(before, again)).toEqual(new Map([["root", [signature("a", "02")]]]));
  });

  test.each([
    ["no JSON", "{", "JSON_INVALID"],
    ["a list", "[]", "METADATA_INVALID"],
    ["nothing", "{}", "METADATA_INVALID"],
    ["a second list by another case", '{"signatures":{},"Signatures":{}}', "METADATA_INVALID"],
    ["no list of a role", '{"signatures":{"root":{}}}', "METADATA_INVALID"],
    ["a second key", '{"signatures":{"root":[{"keyid":"a","sig":"","KeyID":"b"}]}}', "METADATA_INVALID"],
    ["a second signature", '{"signatures":{"root":[{"keyid":"a","sig":"","SIG":""}]}}', "METADATA_INVALID"],
    ["a signature without a key", '{"signatures":{"root":[{"sig":""}]}}', "METADATA_INVALID"],
    ["a number for a signature", '{"signatures":{"root":[{"keyid":"a","sig":1}]}}', "METADATA_INVALID"],
    [
      "more of one role than a person has keys",
      JSON.stringify({ signatures: { root: Array.from({ length: 65 }, (_, at) => ({ keyid: `${at}`, sig: "" })) } }),
      "METADATA_INVALID",
    ],
  ])("are refused with %s", async (_, text, code) => {
    expect(await codeOf(async () => decodeSignatures(utf8Encode(text)))).toBe(code);
    if (code === "METADATA_INVALID") {
      expect(() => decodeSignatures(utf8Encode(text))).toThrow(/the signatures of a staged change/);
    }
  });
});

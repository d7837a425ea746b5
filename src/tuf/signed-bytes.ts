/** The bytes that TUF signatures are over: `signed`, as it was received, in canonical form. */
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import type { JsonObject } from "../base/json.ts";
import { canonicalJson } from "./canonical-json.ts";

/** @throws {FormatError} JSON_INVALID for what canonical JSON cannot express */
export function canonicalSigned(signed: JsonObject): Bytes {
  return utf8Encode(canonicalJson(signed));
}

/**
 * The same where one member was taken out of the document, because it is in canonical form already.
 *
 * @param signed checked by its reader, with an empty object in place of the member
 * @param form the member's canonical form
 */
export function canonicalSignedWith(signed: JsonObject, member: "meta" | "targets", form: string): Bytes {
  const part = (belongs: (key: string) => boolean): string => {
    const members = Object.create(null) as JsonObject;
    for (const key of Object.keys(signed)) if (belongs(key)) members[key] = signed[key]!;
    return canonicalJson(members).slice(1, -1);
  };
  // ASCII sorts alike by UTF-16 and by UTF-8, and every document has members on both sides: _type and version
  const before = part((key) => key < member);
  const after = part((key) => key > member);
  return utf8Encode(`{${before},"${member}":${form},${after}}`);
}

/** The bytes that TUF signatures are over: `signed`, as it was received, in canonical form. */
import { concatBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import type { JsonObject } from "../base/json.ts";
import { canonicalJson } from "./canonical-json.ts";

/** @throws {FormatError} JSON_INVALID for what canonical JSON cannot express */
export function canonicalSigned(signed: JsonObject): Bytes {
  return utf8Encode(canonicalJson(signed));
}

const TARGETS = "targets";

/**
 * The same where `targets` was taken out of the document, because it is in canonical form already.
 *
 * @param signed checked by its reader, with an empty object in place of `targets`
 * @param targets its canonical form
 */
export function canonicalSignedWith(signed: JsonObject, targets: Bytes): Bytes {
  const part = (belongs: (key: string) => boolean): string => {
    const members = Object.create(null) as JsonObject;
    for (const key of Object.keys(signed)) if (key !== TARGETS && belongs(key)) members[key] = signed[key]!;
    return canonicalJson(members).slice(1, -1);
  };
  // ASCII sorts alike by UTF-16 and by UTF-8, and every document has members on both sides: _type and version
  const before = part((key) => key < TARGETS);
  const after = part((key) => key > TARGETS);
  return concatBytes([utf8Encode(`{${before},"${TARGETS}":`), targets, utf8Encode(`,${after}}`)]);
}

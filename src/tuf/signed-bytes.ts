/** The bytes that TUF signatures are over: `signed`, as it was received, in canonical form. */
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import type { JsonObject } from "../base/json.ts";
import { canonicalJson } from "./canonical-json.ts";

/**
 * @param document the bytes that `signed` was parsed from; undefined where it was made here
 * @throws {FormatError} JSON_INVALID for what canonical JSON cannot express
 */
export function canonicalSigned(document: Bytes | undefined, signed: JsonObject): Bytes {
  return utf8Encode(canonicalJson(signed));
}

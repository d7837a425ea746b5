/**
 * OLPC canonical JSON, the form that TUF signs: no white space, members sorted by the UTF-8 bytes of their keys,
 * only `"` and `\` escaped, integers only. It is not JSON (control characters stay raw) and not RFC 8785.
 * https://wiki.laptop.org/go/Canonical_JSON
 */
import { compareUtf8 } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../base/json.ts";

/**
 * Writes a value in its one canonical form.
 *
 * @throws {FormatError} JSON_INVALID for what has none: fractions, integers beyond ±(2^53-1), `-0`, lone surrogates
 * @example
 * ```ts
 * canonicalJson({ b: [1, "<\n>"], a: null }); // {"a":null,"b":[1,"<⏎>"]} with a raw line feed
 * ```
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return integer(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isJsonObject(value)) throw fault(`a value of type ${typeof value}`);
  return `{${sortedKeys(value)
    .map((key) => `${quote(key)}:${canonicalJson(value[key]!)}`)
    .join(",")}}`;
}

/** Above these, the order of UTF-16 units is not that of UTF-8 bytes. */
const BEYOND_PLAIN_ORDER = /[\ud800-\uffff]/;

function sortedKeys(object: JsonObject): string[] {
  const keys = Object.keys(object);
  if (keys.some((key) => BEYOND_PLAIN_ORDER.test(key))) keys.sort(compareUtf8);
  else if (keys.some((key, index) => index > 0 && key < keys[index - 1]!)) keys.sort();
  return keys;
}

const SPECIAL = /["\\\ud800-\udfff]/;
const ESCAPED = /["\\]/g;
const LONE_SURROGATE = /\p{Cs}/u;

function quote(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`;
  if (LONE_SURROGATE.test(text)) throw fault("a lone surrogate");
  return `"${text.replace(ESCAPED, String.raw`\$&`)}"`;
}

function integer(value: number): string {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw fault(`the number ${value}`);
  return String(value);
}

function fault(what: string): FormatError {
  return new FormatError("JSON_INVALID", `canonical JSON cannot express ${what}`, {
    hint: "Signed documents hold text and integers within ±(2^53-1) only",
  });
}

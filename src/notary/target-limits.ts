/**
 * What may be signed as a target. Notary's programs accept some names and custom values that break later, for
 * them or for everybody; those are refused before anything is signed. Removing such a name stays possible.
 */
import { utf8Encode } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { isJsonObject, MAX_JSON_DEPTH, type JsonValue } from "../base/json.ts";

/** A repository path (255) and a tag (128), and room; far below what a URL or a file system takes. */
const MAX_TARGET_NAME_BYTES = 1024;

/** Custom data rides in a document that every consumer downloads whole. */
export const MAX_CUSTOM_BYTES = 64 * 1024;

// oxlint-disable-next-line no-control-regex -- these are what is refused: Go's canonical JSON writes them raw and cannot read them again
const CONTROL = /[\u0000-\u001f\u007f]/;

/** Go carries custom values as raw text and does not escape these again: its own client could never publish any more. */
const UNESCAPED_BY_GO = /[<>&\u2028\u2029]/;

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** A target's content and custom data, before they are signed. */
export interface TargetContent {
  readonly length: number;
  /** Lower-case hex. */
  readonly hashes: { readonly sha256?: string | undefined; readonly sha512?: string | undefined };
  readonly custom?: JsonValue | undefined;
}

/** @throws {UsageError} TARGET_NAME_INVALID */
export function checkTargetName(name: string): void {
  const fault = nameFault(name);
  if (fault === undefined) return;
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  throw new UsageError("TARGET_NAME_INVALID", `${shown} cannot be signed as a target's name: ${fault}`, {
    hint: "Use a tag such as v1, or <repository>/<tag>",
  });
}

function nameFault(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (LONE_SURROGATE.test(name)) return "it is not valid Unicode";
  const size = utf8Encode(name).length;
  if (size > MAX_TARGET_NAME_BYTES) return `it has ${size} bytes, ${MAX_TARGET_NAME_BYTES} are allowed`;
  if (CONTROL.test(name)) return "it has a control character";
  if (/[\u2028\u2029]/.test(name)) return "it has a line separator";
  if (name.startsWith("/") || name.split(/[/\\]/).includes(".."))
    return "it could be taken for a path outside its folder";
  return undefined;
}

/**
 * Checks length, hashes and custom data.
 *
 * @throws {UsageError} TARGET_INVALID
 */
export function checkTargetContent(name: string, content: TargetContent): void {
  const fault = contentFault(content);
  if (fault === undefined) return;
  throw new UsageError("TARGET_INVALID", `${JSON.stringify(name)} cannot be signed: ${fault}`, {
    hint: "Custom data must be plain JSON with integers only; encode anything else as base64 text",
    details: { target: name },
  });
}

function contentFault(content: TargetContent): string | undefined {
  const { length, hashes, custom } = content;
  if (!Number.isSafeInteger(length) || length < 0) return `the length ${length} is not a whole number of bytes`;
  if (hashes.sha256 === undefined && hashes.sha512 === undefined) return "it has no hash";
  if (hashes.sha256 !== undefined && !/^[0-9a-f]{64}$/.test(hashes.sha256))
    return "its sha256 is not 64 lower-case hex digits";
  if (hashes.sha512 !== undefined && !/^[0-9a-f]{128}$/.test(hashes.sha512)) {
    return "its sha512 is not 128 lower-case hex digits";
  }
  if (custom === undefined) return undefined;
  return customFault(custom, 0) ?? sizeFault(custom);
}

function sizeFault(custom: JsonValue): string | undefined {
  const size = utf8Encode(JSON.stringify(custom)).length;
  return size > MAX_CUSTOM_BYTES ? `its custom data has ${size} bytes, ${MAX_CUSTOM_BYTES} are allowed` : undefined;
}

function customFault(value: JsonValue, depth: number): string | undefined {
  // the document around it adds levels, and readers of both kinds stop at a depth
  if (depth > MAX_JSON_DEPTH / 2) return `its custom data has more than ${MAX_JSON_DEPTH / 2} levels`;
  if (typeof value === "string") return textFault(value);
  if (typeof value === "number") {
    const plain = Number.isSafeInteger(value) && !Object.is(value, -0);
    return plain
      ? undefined
      : `its custom data has the number ${Object.is(value, -0) ? "-0" : value}, which is no plain integer`;
  }
  if (Array.isArray(value)) return firstFault(value, depth);
  if (isJsonObject(value)) return firstFault(Object.keys(value), depth) ?? firstFault(Object.values(value), depth);
  return value === null || typeof value === "boolean" ? undefined : "its custom data is not JSON";
}

function firstFault(values: readonly JsonValue[], depth: number): string | undefined {
  for (const value of values) {
    const fault = customFault(value, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function textFault(text: string): string | undefined {
  if (LONE_SURROGATE.test(text)) return "its custom data is not valid Unicode";
  if (CONTROL.test(text)) return "its custom data has a control character";
  const found = UNESCAPED_BY_GO.exec(text);
  if (found === null) return undefined;
  return `its custom data has ${JSON.stringify(found[0])}, after which the notary command could not publish here any more`;
}

/**
 * Notary's wire form: `{"signed":…,"signatures":[…]}` exactly as Go's encoder prints it. These bytes are what
 * snapshot and timestamp hash, and a notary-server that holds the snapshot key hashes not what was uploaded but
 * what its own structs print: other bytes make a collection unreadable for everybody (`assertGoBytes`).
 */
import { base64Encode, equalBytes, ownBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from "../base/json.ts";
import { canonicalJson } from "../tuf/canonical-json.ts";
import { normaliseGoTime } from "./go-time.ts";
import {
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  rootJson,
  snapshotJson,
  targetsJson,
  timestampJson,
} from "./metadata.ts";

/** Signatures in one document: a role has at most 256 keys, and old root keys may sign too. */
const MAX_SIGNATURES = 1024;
/** The longest signature of a key that we accept is RSA-8192's. */
const MAX_SIGNATURE_BYTES = 1024;

export interface NotarySignature {
  readonly keyId: string;
  /** Lower case: `ecdsa`, `rsapss`, `rsapkcs1v15`, `eddsa`, or one that we do not know. */
  readonly method: string;
  readonly signature: Bytes;
}

/** A document as received: parsed, nothing verified. */
export interface NotaryDocument {
  /** The role that it was asked for as. */
  readonly role: string;
  /** Exactly what was received; what hashes and caches hold. */
  readonly bytes: Bytes;
  readonly signed: JsonObject;
  /** The canonical text of `signed`: what signatures are over. */
  readonly canonical: string;
  readonly signatures: readonly NotarySignature[];
}

/**
 * Joins the canonical text of a signed part and its signatures into the bytes to publish.
 *
 * @param canonical from `writeRoot` and its siblings, the very text that was signed
 */
export function encodeDocument(canonical: string, signatures: readonly NotarySignature[]): Bytes {
  const list = signatures.map(
    ({ keyId, method, signature }) =>
      `{"keyid":${canonicalJson(keyId)},"method":${canonicalJson(method)},"sig":"${base64Encode(signature)}"}`,
  );
  return utf8Encode(escapeHtml(`{"signed":${canonical},"signatures":[${list.join(",")}]}`));
}

/**
 * Reads a document strictly, whatever its white space and order of members.
 *
 * @param role names the document in messages
 * @throws {FormatError} JSON_INVALID, METADATA_INVALID
 */
export function decodeDocument(bytes: Uint8Array, role: string): NotaryDocument {
  const { signed, signatures } = decodeParts(bytes, role);
  return { role, bytes: ownBytes(bytes), signed, canonical: canonicalJson(signed), signatures };
}

/**
 * Reads a document that Go's notary would print again as these very bytes. Done before every upload, and by our
 * server on every upload, so that a collection can move between the two kinds of server.
 *
 * @param role `root`, `snapshot`, `timestamp`, `targets` or a delegation
 * @throws {FormatError} METADATA_INVALID where the bytes differ, besides the errors of reading it
 */
export function decodeGoDocument(bytes: Uint8Array, role: string): NotaryDocument {
  const { signed, signatures } = decodeParts(bytes, role);
  // Where the bytes are the same, this is also the canonical text of what they hold: no need to write it twice.
  const canonical = goCanonical(signed, role);
  const again = encodeDocument(canonical, signatures);
  if (equalBytes(bytes, again)) return { role, bytes: ownBytes(bytes), signed, canonical, signatures };
  const at = firstDifference(bytes, again);
  throw new FormatError("METADATA_INVALID", `the metadata of ${role} is not in the form that Notary servers print`, {
    hint: `A Notary server would store these bytes and hash others, which makes the collection unreadable; they differ at byte ${at}`,
    details: { role, position: at },
  });
}

/** Checks what {@link decodeGoDocument} checks. @throws {FormatError} as that */
export function assertGoBytes(bytes: Uint8Array, role: string): void {
  decodeGoDocument(bytes, role);
}

function decodeParts(bytes: Uint8Array, role: string): Pick<NotaryDocument, "signed" | "signatures"> {
  const what = `the metadata of ${role}`;
  const json = parseJson(bytes, { what, integersOnly: true });
  const document = new JsonCursor(json, formatFault("METADATA_INVALID", what)).object(["signed", "signatures"]);
  const signed = document.field("signed").value;
  if (!isJsonObject(signed)) return document.field("signed").fail("expected an object");
  const seen = new Set<string>();
  const signatures = document
    .field("signatures")
    .array(MAX_SIGNATURES)
    .map((cursor) => {
      const member = cursor.object(["keyid", "method", "sig"]);
      const keyId = member.field("keyid").string();
      if (seen.has(keyId)) member.field("keyid").fail("a key that has signed twice");
      seen.add(keyId);
      const signature = member.field("sig").base64();
      if (signature.length > MAX_SIGNATURE_BYTES) member.field("sig").fail("longer than any signature");
      return { keyId, method: member.field("method").string().toLowerCase(), signature };
    });
  return { signed, signatures };
}

/** What Go's structs keep of a signed part, canonically. */
function goCanonical(signed: JsonObject, role: string): string {
  const kept = rewrite(signed, role);
  kept["expires"] = normaliseGoTime(kept["expires"] as string);
  return canonicalJson(restoreNulls(kept, signed));
}

function rewrite(signed: JsonObject, role: string): JsonObject {
  switch (role) {
    case "root":
      return rootJson(readRoot(signed));
    case "snapshot":
      return snapshotJson(readSnapshot(signed));
    case "timestamp":
      return timestampJson(readTimestamp(signed));
    default:
      return targetsJson(readTargets(signed, role));
  }
}

/** Go keeps the difference between a list that is null and one that is empty; our types do not. Changes `written`. */
function restoreNulls(written: JsonValue, original: JsonValue | undefined): JsonValue {
  if (written === original) return written; // custom data, and most of what is not a list
  if (Array.isArray(written)) {
    if (original === null && written.length === 0) return null;
    for (const [index, element] of written.entries()) {
      written[index] = restoreNulls(element, Array.isArray(original) ? original[index] : undefined);
    }
  } else if (isJsonObject(written)) {
    for (const key of Object.keys(written)) {
      const before = written[key]!;
      if (typeof before !== "object") continue;
      const after = restoreNulls(before, isJsonObject(original) ? original[key] : undefined);
      if (after !== before) written[key] = after;
    }
  }
  return written;
}

const GO_ESCAPES: Readonly<Record<string, string>> = {
  "<": String.raw`\u003c`,
  ">": String.raw`\u003e`,
  "&": String.raw`\u0026`,
  "\u2028": String.raw`\u2028`,
  "\u2029": String.raw`\u2029`,
};

function escapeHtml(text: string): string {
  return text.replace(/[<>&\u2028\u2029]/g, (character) => GO_ESCAPES[character]!);
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

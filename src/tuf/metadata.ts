/** TUF documents between bytes and types. Reading is strict and trusts nothing; what was received stays as it was. */
import { concatBytes, utf8Decode, utf8Encode, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { JsonCursor, type CursorFault } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { excerptMeta, excerptTargets, MIN_INDEXED_BYTES, type Excerpt } from "./entry-index.ts";
import { readSigned, readSignatures } from "./read-metadata.ts";
import type { MetadataType, MetaFile, Signature, Signed, SignedMetadata, SignedTypes, TargetFile } from "./schema.ts";
import { canonicalSigned, canonicalSignedWith } from "./signed-bytes.ts";
import { documentText, signaturesText, signedJson } from "./write-metadata.ts";

export * from "./schema.ts";

/** The first character that JSON does not escape. */
const SPACE = 0x20;

/**
 * Reads a document.
 *
 * @param role names it in messages: the type itself, or the name of a delegated role
 * @throws {FormatError} JSON_INVALID, METADATA_INVALID
 * @example
 * ```ts
 * const { signed, signatures } = decodeMetadata(bytes, "root");
 * signed.roles.get("timestamp")!.threshold;
 * ```
 */
export function decodeMetadata<Type extends MetadataType>(
  bytes: Bytes,
  type: Type,
  role: string = type,
): SignedMetadata<SignedTypes[Type]> {
  const what = `the metadata of ${role}`;
  const fault: CursorFault = (message) =>
    new FormatError("METADATA_INVALID", `${what} is not valid: ${message}`, { details: { role } });
  const text = utf8Decode(bytes, what);
  const excerpt = bytes.length >= MIN_INDEXED_BYTES ? excerptOf(type, text) : undefined;
  const document = parseJson(excerpt?.rest ?? text, { what, integersOnly: true });
  const envelope = new JsonCursor(document, fault).object(["signatures", "signed"]);
  const signed = readSigned(envelope.field("signed"), type, excerpt?.entries);
  const signatures = readSignatures(envelope.field("signatures"));
  const received = envelope.field("signed").object([]).value;
  if (excerpt === undefined) return { signed, signatures, bytes, message: canonicalSigned(received) };
  const member = type === "snapshot" ? "meta" : "targets";
  return { signed, signatures, bytes, message: canonicalSignedWith(received, member, excerpt.region) };
}

/** Takes out what makes a document large. */
function excerptOf(type: MetadataType, text: string): Excerpt<TargetFile | MetaFile> | undefined {
  if (type === "targets") return excerptTargets(text);
  return type === "snapshot" ? excerptMeta(text) : undefined;
}

/**
 * The bytes of `signed` that signatures are made over.
 *
 * @throws {FormatError} JSON_INVALID for texts and numbers that signed documents cannot hold
 */
export function signedMessage(signed: Signed): Bytes {
  return canonicalSigned(signedJson(signed));
}

/**
 * Writes a document: members sorted, `signed` in canonical form but for control characters, which JSON must escape.
 * The same input gives the same bytes.
 *
 * @param message of {@link signedMessage}, where it is there already: saves writing `signed` twice
 */
export function encodeMetadata(signed: Signed, signatures: readonly Signature[], message?: Bytes): Bytes {
  if (message === undefined || message.some((byte) => byte < SPACE))
    return utf8Encode(documentText(signed, signatures));
  return concatBytes([utf8Encode(`{"signatures":${signaturesText(signatures)},"signed":`), message, utf8Encode("}")]);
}

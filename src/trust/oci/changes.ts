/**
 * Change requests: what a publisher wants to change, signed, under a tag of its own. Registries lose updates of a tag
 * that several move at once; nobody moves the tag of a request but the one who made it. Whoever publishes applies the
 * requests of others too, and looks again afterwards, so that what one move of the tag has lost the next one brings back.
 */
import { hexEncode, utf8Encode, type Bytes } from "../../base/bytes.ts";
import { hashBytes } from "../../base/digest.ts";
import { TrustError } from "../../base/errors.ts";
import { formatFault, JsonCursor } from "../../base/json-cursor.ts";
import { parseJson, type JsonObject, type JsonValue } from "../../base/json.ts";
import { canonicalJson } from "../../tuf/canonical-json.ts";
import type { TargetContent } from "../../tuf/changes.ts";
import type { TufDraft } from "../../tuf/draft.ts";
import { verifyThreshold } from "../../tuf/keys.ts";
import type { Root, Signature, TargetFile } from "../../tuf/schema.ts";
import { CHANGE_TAG_PREFIX } from "./tags.ts";
import { COLLECTION_FIELD } from "../tuf/source.ts";

const TYPE = "wasm-to-oci-change";
/** Names in one request: a publisher of more splits them. */
const MAX_EDITS = 10_000;
const MAX_SIGNATURES = 64;
/** Bytes of a request without its documents. */
export const MAX_CHANGE_BYTES = 4 * 1024 * 1024;

/** Milliseconds since 1970 in 13 digits, so that tags sort by time, and 64 random bits. */
const CHANGE_TAG = new RegExp(`^${CHANGE_TAG_PREFIX}[0-9]{13}-[0-9a-f]{16}$`);

/** One name in one role. */
export interface RequestedEdit {
  /** The role whose targets these are; those in its hash bins included. */
  readonly role: string;
  readonly name: string;
  /** What the entry was when the change was asked for, see {@link entryMark}; the change is void where it is not so. */
  readonly was: string | null;
  /** Undefined: remove the name. */
  readonly content: TargetContent | undefined;
}

export interface ChangeRequest {
  /** The tag. */
  readonly id: string;
  /** The collection's name, as root has it; empty where it has none. */
  readonly collection: string;
  readonly edits: readonly RequestedEdit[];
  /** What signatures are over. */
  readonly message: Bytes;
  readonly signatures: readonly Signature[];
}

/** A request before it is signed. */
export type UnsignedChange = Pick<ChangeRequest, "id" | "collection" | "edits">;

/** Makes a tag for a request, later than a given one. */
export function newChangeTag(now: Date, after = ""): string {
  const floor = isChangeTag(after) ? timeOfTag(after) + 1 : 0;
  const time = Math.max(0, now.getTime(), floor);
  const random = hexEncode(crypto.getRandomValues(new Uint8Array(8)));
  return `${CHANGE_TAG_PREFIX}${String(time).padStart(13, "0")}-${random}`;
}

/** Tells whether a tag is one of a request. */
export function isChangeTag(tag: string): boolean {
  return CHANGE_TAG.test(tag);
}

/** When a request was made, by the clock of its author: for order and clean-up only. */
export function timeOfTag(tag: string): number {
  return Number(tag.slice(CHANGE_TAG_PREFIX.length, CHANGE_TAG_PREFIX.length + 13));
}

/** Tells entries of targets apart; null stands for none. */
export async function entryMark(file: TargetFile | undefined): Promise<string | null> {
  if (file === undefined) return null;
  const { length, hashes, custom } = file;
  const text = canonicalJson({ length, hashes: { ...hashes }, custom: custom ?? null });
  return hexEncode(await hashBytes("sha256", utf8Encode(text))).slice(0, 32);
}

/** The name that a collection's requests are bound to. */
export function collectionOf(root: Root): string {
  const name = root.extra[COLLECTION_FIELD];
  return typeof name === "string" ? name : "";
}

/** What is to be signed. */
export function changeMessage(request: UnsignedChange): Bytes {
  return utf8Encode(canonicalJson(signedJson(request)));
}

export function encodeChange(request: UnsignedChange & Pick<ChangeRequest, "signatures">): Bytes {
  const signatures = request.signatures.map(({ keyId, sig }) => ({ keyid: keyId, sig }));
  return utf8Encode(JSON.stringify({ signatures, signed: signedJson(request) }));
}

/**
 * Reads a request. Nothing in it is authorised yet.
 *
 * @param id the tag that it was found under
 * @throws {FormatError} JSON_INVALID, METADATA_INVALID
 */
export function decodeChange(bytes: Bytes, id: string): ChangeRequest {
  const what = `the change request ${id}`;
  const document = parseJson(bytes, { what, integersOnly: true });
  const envelope = new JsonCursor(document, formatFault("METADATA_INVALID", what)).object(["signatures", "signed"]);
  const cursor = envelope.field("signed");
  const signed = cursor.object(["_type", "id", "collection", "edits"]);
  if (signed.field("_type").string() !== TYPE) signed.field("_type").fail(`expected ${TYPE}`);
  if (signed.field("id").string() !== id) signed.field("id").fail("it is of another tag");
  const signatures = envelope
    .field("signatures")
    .array(MAX_SIGNATURES)
    .map((entry): Signature => {
      const signature = entry.object(["keyid", "sig"]);
      return { keyId: signature.field("keyid").string(), sig: signature.field("sig").string(), extra: {} };
    });
  return {
    id,
    collection: signed.field("collection").string(),
    edits: signed.field("edits").array(MAX_EDITS).map(readEdit),
    message: utf8Encode(canonicalJson(cursor.value as JsonValue)),
    signatures,
  };
}

/** Tells whether a request is for a collection, and signed by enough keys of every role that it would change. */
export async function isAuthorised(request: ChangeRequest, draft: TufDraft): Promise<boolean> {
  if (request.collection !== collectionOf(draft.root)) return false;
  for (const role of new Set(request.edits.map((edit) => edit.role))) {
    const keyed = draft.keyedRoles(role);
    if (keyed.length === 0) return false;
    for (const { roleKeys, keys } of keyed) {
      try {
        await verifyThreshold(role, request, roleKeys, keys);
      } catch (error) {
        if (error instanceof TrustError) return false;
        throw error;
      }
    }
  }
  return true;
}

function signedJson({ id, collection, edits }: UnsignedChange): JsonObject {
  return { _type: TYPE, id, collection, edits: edits.map(editJson) };
}

function editJson({ role, name, was, content }: RequestedEdit): JsonObject {
  if (content === undefined) return { role, name, was };
  const { length, hashes, custom } = content;
  return { role, name, was, length, hashes: { ...hashes }, ...(custom !== undefined && custom !== null && { custom }) };
}

function readEdit(cursor: JsonCursor): RequestedEdit {
  const edit = cursor.object(["role", "name", "was", "length", "hashes", "custom"]);
  const was = edit.field("was");
  const length = edit.field("length");
  const common = {
    role: edit.field("role").string(),
    name: edit.field("name").string(),
    was: was.empty ? null : was.string(),
  };
  if (length.absent) return { ...common, content: undefined };
  const hashes = Object.create(null) as Record<string, string>; // what is none is refused when it is applied
  for (const [algorithm, value] of edit.field("hashes").entries(8)) hashes[algorithm] = value.string();
  const custom = edit.field("custom");
  return {
    ...common,
    content: { length: length.integer(), hashes, ...(custom.empty ? {} : { custom: custom.value }) },
  };
}

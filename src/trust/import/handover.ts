/**
 * Hand-overs: how the keys of an old collection vouch for the root of a new one. The old root keys sign which name and
 * which root keys come after them; the document lies in the new root itself, so that it is wherever that is. Whoever
 * pinned the old keys can follow it, and nobody has to be believed on the way.
 */
import { base64Encode, utf8Encode } from "../../base/bytes.ts";
import { FormatError } from "../../base/errors.ts";
import { formatFault, JsonCursor } from "../../base/json-cursor.ts";
import type { JsonObject, JsonValue } from "../../base/json.ts";
import { PublicKey, verifySignature } from "../../keys/public-key.ts";
import { DEFAULT_SCHEME } from "../../keys/signature-scheme.ts";
import type { Signer } from "../../keys/signer.ts";
import { canonicalJson } from "../../tuf/canonical-json.ts";
import type { Root } from "../../tuf/schema.ts";

/** The field of root that holds it. */
export const HANDOVER_FIELD = "x-wasm-to-oci-handover";

/** What is signed begins so: no other document of ours or Notary's does. */
const DOMAIN = "wasm-to-oci hand-over 1\n";

/** Root roles have a handful of keys. */
const MAX_KEYS = 64;

export interface Handover {
  /** The old collection: for Notary its GUN. */
  readonly from: string;
  /** The new collection's name. */
  readonly to: string;
  /** Fingerprints of the new root role's keys, sorted, all of them. */
  readonly rootKeys: readonly string[];
  /** How many of them must sign. */
  readonly threshold: number;
  readonly created: Date;
}

/** A hand-over whose signatures are good. */
export interface SignedHandover extends Handover {
  /** Fingerprints of the old keys that have signed it. */
  readonly signedBy: readonly string[];
}

/** Signs a hand-over with the old root keys; the result goes into the new root. */
export async function signHandover(handover: Handover, signers: readonly Signer[]): Promise<JsonObject> {
  const message = messageOf(handover);
  const signatures = await Promise.all(
    signers.map(async (signer) => ({
      key: base64Encode(signer.publicKey.spki),
      sig: base64Encode(await signer.sign(message, DEFAULT_SCHEME[signer.publicKey.type])),
    })),
  );
  return { ...statement(handover), signatures };
}

/**
 * Reads the hand-over that a root carries, and checks that it speaks of this very root: its name is checked by the
 * caller, its keys and threshold here.
 *
 * @returns undefined where there is none, or it is about another root, or nobody has signed it
 * @throws {FormatError} METADATA_INVALID where it is broken: it is signed by the new root, so nothing is guessed
 */
export async function readHandover(root: Root): Promise<SignedHandover | undefined> {
  const field = root.extra[HANDOVER_FIELD];
  if (field === undefined) return undefined;
  const { handover, signatures } = decode(field);
  const message = messageOf(handover);
  const signedBy = new Set<string>();
  for (const { key, signature } of signatures) {
    const isGood = await verifySignature(key, DEFAULT_SCHEME[key.type], message, signature);
    if (isGood) signedBy.add(await key.fingerprint());
  }
  if (signedBy.size === 0 || !(await isAbout(handover, root))) return undefined;
  return { ...handover, signedBy: [...signedBy].toSorted() };
}

/** After a rotation the root has other keys than were handed over to: that one's own chain then counts. */
async function isAbout({ rootKeys, threshold }: Handover, root: Root): Promise<boolean> {
  const role = root.roles.get("root")!;
  const keys = role.keyIds.flatMap((id) => root.keys.get(id) ?? []);
  const fingerprints = await Promise.all(keys.map(async ({ publicKey }) => publicKey?.fingerprint()));
  const listed = new Set(fingerprints);
  return (
    role.threshold === threshold &&
    listed.size === rootKeys.length &&
    rootKeys.every((fingerprint) => listed.has(fingerprint))
  );
}

function statement({ from, to, rootKeys, threshold, created }: Handover): JsonObject {
  return { from, to, rootKeys: [...rootKeys], threshold, created: created.toISOString() };
}

function messageOf(handover: Handover): Uint8Array {
  return utf8Encode(`${DOMAIN}${canonicalJson(statement(handover))}`);
}

interface Decoded {
  readonly handover: Handover;
  readonly signatures: readonly { readonly key: PublicKey; readonly signature: Uint8Array }[];
}

function decode(field: JsonValue): Decoded {
  const fault = formatFault("METADATA_INVALID", "the hand-over in root");
  const object = new JsonCursor(field, fault).object(["from", "to", "rootKeys", "threshold", "created", "signatures"]);
  const rootKeys = object.field("rootKeys").array(MAX_KEYS).map(readFingerprint);
  const signatures = object.field("signatures").array(MAX_KEYS).map(readSignature);
  const created = new Date(object.field("created").string());
  if (Number.isNaN(created.getTime())) object.field("created").fail("not a time");
  const from = object.field("from").string();
  const to = object.field("to").string();
  return {
    handover: { from, to, rootKeys, threshold: object.field("threshold").integer(1), created },
    signatures,
  };
}

function readFingerprint(cursor: JsonCursor): string {
  const text = cursor.string();
  return /^[0-9a-f]{64}$/.test(text) ? text : cursor.fail("no fingerprint");
}

function readSignature(cursor: JsonCursor): { key: PublicKey; signature: Uint8Array } {
  const entry = cursor.object(["key", "sig"]);
  try {
    return { key: PublicKey.fromSpki(entry.field("key").base64()), signature: entry.field("sig").base64() };
  } catch (error) {
    if (error instanceof FormatError && error.code === "KEY_INVALID") return entry.field("key").fail("no public key");
    throw error;
  }
}

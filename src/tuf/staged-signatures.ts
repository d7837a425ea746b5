/** Signatures of one person for a staged change, apart from it: a file that nobody else writes. */
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import type { PendingSet } from "./pending.ts";
import type { Signature } from "./schema.ts";

/** As many as a change may have documents. */
const MAX_ROLES = 20_000;
/** Keys of one person that sign one document. */
const MAX_SIGNATURES = 64;

/** Signatures by role. */
export type SignatureSet = ReadonlyMap<string, readonly Signature[]>;

/** The signatures that one set of documents has and another one lacks. */
export function newSignatures(before: PendingSet, after: PendingSet): SignatureSet {
  const added = new Map<string, Signature[]>();
  for (const [role, { signatures }] of after) {
    const known = new Set(before.get(role)?.signatures.map(nameOf));
    const fresh = signatures.filter((signature) => !known.has(nameOf(signature)));
    if (fresh.length > 0) added.set(role, fresh);
  }
  return added;
}

export function encodeSignatures(signatures: SignatureSet): Bytes {
  const roles = Array.from(signatures, ([role, list]): [string, object[]] => [
    role,
    list.map(({ keyId, sig }) => ({ keyid: keyId, sig })),
  ]);
  return utf8Encode(`${JSON.stringify({ signatures: Object.fromEntries(roles) })}\n`);
}

/** Reads signatures; whether they are any good is found out later. @throws {FormatError} JSON_INVALID, METADATA_INVALID */
export function decodeSignatures(bytes: Bytes): SignatureSet {
  const what = "the signatures of a staged change";
  const cursor = new JsonCursor(parseJson(bytes, { what }), formatFault("METADATA_INVALID", what));
  const signatures = new Map<string, Signature[]>();
  for (const [role, list] of cursor.object(["signatures"]).field("signatures").entries(MAX_ROLES)) {
    signatures.set(
      role,
      list.array(MAX_SIGNATURES).map((entry) => {
        const signature = entry.object(["keyid", "sig"]);
        return { keyId: signature.field("keyid").string(), sig: signature.field("sig").string(), extra: {} };
      }),
    );
  }
  return signatures;
}

function nameOf({ keyId, sig }: Signature): string {
  return `${keyId} ${sig}`;
}

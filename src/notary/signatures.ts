/** Whether a document is signed as its role demands. */
import { utf8Encode } from "../base/bytes.ts";
import { checkThreshold, type Candidate } from "../tuf/checks.ts";
import type { KeyRole } from "./metadata.ts";
import { schemeFor, type ResolvedKey } from "./public-keys.ts";
import type { NotaryDocument } from "./wire.ts";

/**
 * Checks a document against a role. Only signatures by the role's own keys are looked at, so any number of others
 * costs nothing; Notary counts key ids, we count keys.
 *
 * @param keys by id, from the document that delegates to the role
 * @returns the keys whose signatures are good
 * @throws {TrustError} SIGNATURE_THRESHOLD
 */
export async function verifyDocument(
  document: NotaryDocument,
  role: KeyRole,
  keys: ReadonlyMap<string, ResolvedKey>,
): Promise<ResolvedKey[]> {
  const listed = new Set(role.keyIds);
  const candidates: Candidate<ResolvedKey>[] = [];
  for (const { keyId, method, signature } of document.signatures) {
    const source = listed.has(keyId) ? keys.get(keyId) : undefined;
    const key = source?.publicKey;
    if (source === undefined || key === undefined) continue;
    const scheme = schemeFor(key, method);
    if (scheme !== undefined) candidates.push({ key, scheme, signature, source });
  }
  return checkThreshold(document.role, utf8Encode(document.canonical), candidates, role.threshold);
}

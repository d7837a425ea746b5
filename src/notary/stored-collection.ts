/** Reads a collection from stored documents alone: another program's trust directory, or a backup of one. */
import { TrustError } from "../base/errors.ts";
import { cachedDocuments } from "./document-source.ts";
import { parseGun } from "./gun.ts";
import type { RoleDocuments } from "./metadata-store.ts";
import type { NotaryPin } from "./pinning.ts";
import type { NotaryState } from "./state.ts";
import { verifyCollection } from "./verify-collection.ts";

export interface StoredCollectionOptions {
  readonly gun: string;
  /** By role, root too. */
  readonly documents: RoleDocuments;
  /** Where they are, for people. */
  readonly location: string;
  readonly now: Date;
  /** What the root must match; without it, it is believed as it is stored. */
  readonly pin?: NotaryPin | undefined;
  /** Go on past expiry dates. */
  readonly acceptExpired: boolean;
}

/**
 * Verifies a collection of stored documents against each other, from the root that is stored with them.
 *
 * @throws {TrustError} TRUST_NOT_FOUND where there is no root; METADATA_EXPIRED, METADATA_TAMPERED, SIGNATURE_THRESHOLD, …
 */
export async function readStoredCollection(options: StoredCollectionOptions): Promise<NotaryState> {
  const { documents, location, now, pin, acceptExpired } = options;
  const gun = parseGun(options.gun);
  const root = documents.get("root");
  if (root === undefined) {
    throw new TrustError("TRUST_NOT_FOUND", `${location} has no trust data of ${gun}`, {
      hint: "Check the name, and that the directory is one of notary, docker trust or wasm-to-oci",
      details: { collection: gun },
    });
  }
  const source = cachedDocuments(root, documents);
  const trust = { server: location, gun, now, stored: undefined, pin, firstUse: "accept", acceptExpired } as const;
  return (await verifyCollection(source, trust)).state;
}

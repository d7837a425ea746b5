/** Changes to a collection's documents, before they are signed. */
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import type { PublicKey } from "../keys/public-key.ts";
import type { NotaryKey, NotaryTargets } from "./metadata.ts";
import { keyIdOf, toNotaryKey } from "./public-keys.ts";
import type { BaseRole } from "./roles.ts";
import type { TargetContent } from "./target-limits.ts";

/** A key to list in a document. */
export interface NewKey {
  readonly key: NotaryKey;
  /** The id under which documents list it. */
  readonly keyId: string;
  /** The id of the plain key inside. */
  readonly canonicalId: string;
}

export type TargetChange =
  | { readonly action: "add"; readonly role: string; readonly name: string; readonly content: TargetContent }
  | { readonly action: "remove"; readonly role: string; readonly name: string };

export type DelegationChange =
  /** Makes the role, or adds keys and paths to it. */
  | {
      readonly action: "grant";
      readonly role: string;
      readonly keys: readonly NewKey[];
      /** Plain prefixes of target names; the empty one means every name. */
      readonly paths: readonly string[];
      /** Signatures needed; 1 for a new role unless told, else left as it is. */
      readonly threshold?: number | undefined;
    }
  /** Takes keys (by canonical id) and paths away from the role. */
  | {
      readonly action: "revoke";
      readonly role: string;
      readonly keyIds: readonly string[];
      readonly paths: readonly string[];
    }
  | { readonly action: "delete"; readonly role: string }
  /** Signs the role's document again as it is, or this one, which its own keys have not signed. */
  | { readonly action: "witness"; readonly role: string; readonly document?: NotaryTargets | undefined };

/** Replaces all keys of a base role. */
export interface KeyChange {
  readonly action: "replace-keys";
  readonly role: BaseRole;
  readonly keys: readonly NewKey[];
}

/** Signs root or the snapshot again as it is, with a new expiry. */
export interface Renewal {
  readonly action: "renew";
  readonly role: "root" | "snapshot";
}

export type Change = TargetChange | DelegationChange | KeyChange | Renewal;

/** A plain public key, ready to be listed. */
export async function newKey(publicKey: PublicKey): Promise<NewKey> {
  const key = toNotaryKey(publicKey);
  return { key, keyId: await keyIdOf(key), canonicalId: await canonicalKeyId(publicKey) };
}

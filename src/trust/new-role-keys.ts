/** The keys of a new collection, where nobody names others. */
import { TrustError, UsageError } from "../base/errors.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { PrivateKey } from "../keys/private-key.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import { tufKeyOf, type TufKey } from "../tuf/keys.ts";
import type { MetadataType } from "../tuf/schema.ts";

export interface NewRoleKeysOptions {
  readonly keyStore: KeyStore;
  readonly passphrases: PassphraseProvider;
  /** Canonical id of the root key; the only one at hand, or a new one, unless told. */
  readonly rootKeyId?: string | undefined;
}

/**
 * Gives a role of a new collection its key. A publisher has one root key for all collections, so that consumers pin one;
 * other roles have keys of their own in each.
 *
 * @param made receives the ids of keys that were made, so that they can be taken back
 * @throws {UsageError} USAGE where there are several root keys and none was chosen
 * @throws {TrustError} KEY_MISSING where the chosen one is not here
 */
export async function newRoleKey(
  role: MetadataType,
  collection: string,
  options: NewRoleKeysOptions,
  made: string[],
): Promise<TufKey> {
  const { keyStore, passphrases } = options;
  if (role === "root") {
    const stored = await storedRootKey(options);
    if (stored !== undefined) return stored;
  }
  // Notary's roots take no Ed25519, and a publisher's root key is to be good for all collections
  const key = await PrivateKey.generate(role === "root" ? "ecdsa-p256" : "ed25519");
  const owner = role === "root" ? { role } : { role, gun: collection };
  made.push(await keyStore.add(key, owner, passphrases));
  return tufKeyOf(key.publicKey);
}

async function storedRootKey({ keyStore, passphrases, rootKeyId }: NewRoleKeysOptions): Promise<TufKey | undefined> {
  const held = (await keyStore.list()).filter(({ role }) => role === "root").map(({ id }) => id);
  if (rootKeyId === undefined && held.length > 1) {
    throw new UsageError("USAGE", `there are several root keys: ${held.join(", ")}`, {
      hint: "Choose one with --root-key ID",
    });
  }
  const id = rootKeyId ?? held[0];
  if (id === undefined) return undefined;
  const signer = await keyStore.open(id, passphrases);
  if (signer !== undefined) return tufKeyOf(signer.publicKey);
  throw new TrustError("KEY_MISSING", `there is no private key ${id} here`, { role: "root", details: { keyId: id } });
}

/** Keys that people name for the roles of a TUF collection: somebody's public key, one that is here, or a new one. */
import { errorCode, TrustError, UsageError, WasmToOciError } from "../base/errors.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import { PrivateKey, type KeyAlgorithmName } from "../keys/private-key.ts";
import type { PublicKey } from "../keys/public-key.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import { tufKeyOf, type TufKey } from "../tuf/keys.ts";
import { describeKey, identifyKey, ownedKey, ownerOf } from "../tuf/requirement-text.ts";
import type { MetadataType } from "../tuf/schema.ts";
import { newRoleKey } from "./new-role-keys.ts";

export type KeyChoice =
  /** Handed over by whoever holds the private half. */
  | { readonly kind: "public"; readonly publicKey: PublicKey; readonly owner?: string | undefined }
  /** In the key store. */
  | { readonly kind: "stored"; readonly id: string }
  /** To be made; Ed25519 unless told. */
  | { readonly kind: "new"; readonly algorithm?: KeyAlgorithmName | undefined };

/** Enough of a key's name to be sure that nobody types it by accident. */
const MIN_PREFIX = 7;
/** What the keys of any collection are for: no name of a person. */
const PLAIN_ROLES: ReadonlySet<string> = new Set(["root", "targets", "snapshot", "timestamp", "delegation", "key"]);

/** Turns choices into keys, and takes back keys that were made for a change which did not take place. */
export class ChosenKeys {
  private readonly store: KeyStore;
  private readonly passphrases: PassphraseProvider;
  private readonly made: string[];

  /** @param made receives the ids of keys that were made, for those who take them back themselves */
  constructor(store: KeyStore, passphrases: PassphraseProvider, made: string[] = []) {
    this.store = store;
    this.passphrases = passphrases;
    this.made = made;
  }

  /** @throws {TrustError} KEY_MISSING where there is no such key here */
  async resolve(choices: readonly KeyChoice[], role: string, collection: string): Promise<TufKey[]> {
    const keys: TufKey[] = [];
    for (const choice of choices) keys.push(await this.one(choice, role, collection));
    return keys;
  }

  /** The key that a role of a new collection has where nobody names one: a new one; for root the only one here, if any. */
  async usual(role: MetadataType, collection: string): Promise<TufKey> {
    return newRoleKey(role, collection, { keyStore: this.store, passphrases: this.passphrases }, this.made);
  }

  /**
   * Runs a change. Keys that were made for it stay where it may have taken place: those of a role must not get lost.
   */
  async settle<T>(change: () => Promise<T>): Promise<T> {
    try {
      return await change();
    } catch (error) {
      if (isCertain(error)) for (const id of this.made) await this.store.remove(id);
      throw error;
    }
  }

  private async one(choice: KeyChoice, role: string, collection: string): Promise<TufKey> {
    if (choice.kind === "public") {
      const key = await tufKeyOf(choice.publicKey);
      return choice.owner === undefined ? key : ownedKey(key, choice.owner);
    }
    if (choice.kind === "new") {
      const key = await PrivateKey.generate(choice.algorithm ?? "ed25519");
      const listed = await tufKeyOf(key.publicKey); // before it is stored: not every kind can be listed
      const owner = role === "root" ? { role } : { role, gun: collection };
      this.made.push(await this.store.add(key, owner, this.passphrases));
      return listed;
    }
    const signer = await this.store.open(choice.id, this.passphrases);
    if (signer === undefined) {
      throw new TrustError("KEY_MISSING", `there is no private key ${choice.id} here`, {
        details: { keyId: choice.id },
      });
    }
    const stored = (await this.store.list()).find(({ id }) => id === choice.id);
    const key = await tufKeyOf(signer.publicKey);
    return stored === undefined || PLAIN_ROLES.has(stored.role) ? key : ownedKey(key, stored.role);
  }
}

/** Only failures of ours from before anything was written say that a change did not take place. */
function isCertain(error: unknown): boolean {
  if (!(error instanceof WasmToOciError)) return false;
  return !["PUBLISH_UNREADABLE", "TRUST_CONFLICT"].includes(error.code) && !UNCLEAR_KINDS.has(error.kind);
}

const UNCLEAR_KINDS: ReadonlySet<string> = new Set(["network", "storage", "interrupted"]);

/**
 * Finds the one key that a text names: its owner, or the first digits of its fingerprint, of its id in the metadata, or
 * of its id in the key store.
 *
 * @throws {TrustError} KEY_MISSING, {UsageError} USAGE where several have that name
 */
export async function findKeyNamed(keys: Iterable<TufKey>, name: string): Promise<TufKey> {
  const found = new Map<string, TufKey>();
  const known: string[] = [];
  for (const key of keys) {
    known.push(await describeKey(key));
    if (await isNamed(key, name)) found.set((await key.publicKey?.fingerprint()) ?? key.id, key);
  }
  const [key, other] = found.values();
  if (key === undefined) {
    throw new TrustError("KEY_MISSING", `there is no key ${JSON.stringify(name.slice(0, 80))} among them`, {
      hint: `The keys are ${[...new Set(known)].join(", ") || "none"}`,
      details: { keyId: name.slice(0, 80) },
    });
  }
  if (other === undefined) return key;
  throw new UsageError("USAGE", `several keys are called ${JSON.stringify(name.slice(0, 80))}`, {
    hint: `Give more digits: ${(await Promise.all([...found.values()].map(identifyKey))).join(", ")}`,
    details: { keyIds: [...found.keys()] },
  });
}

async function isNamed(key: TufKey, name: string): Promise<boolean> {
  if (ownerOf(key) === name) return true;
  if (!/^[0-9a-f]+$/.test(name) || name.length < MIN_PREFIX) return false;
  const { publicKey } = key;
  const names = publicKey === undefined ? [] : [await publicKey.fingerprint(), await canonicalKeyId(publicKey)];
  return [key.id, ...names].some((text) => text.startsWith(name));
}

/** The error of a change that lacks signatures of others. */
export function lacksSignatures(error: unknown): error is TrustError {
  return errorCode(error) === "KEY_MISSING" && error instanceof TrustError && "missing" in error.details;
}

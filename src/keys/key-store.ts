/** Where private keys are kept: the interface, and a store in memory. */
import type { WasmToOciError } from "../base/errors.ts";
import type { DecryptLegacyPem, KeyOwner } from "./notary-key-file.ts";
import { PemKeyStore, type KeyFile, type KeyFiles } from "./pem-key-store.ts";
import type { PrivateKey } from "./private-key.ts";
import type { PassphraseProvider, Signer } from "./signer.ts";

export interface StoredKey extends KeyOwner {
  /** The canonical key id. */
  readonly id: string;
  readonly encrypted: boolean;
  /** Where it is kept, for people. */
  readonly location: string;
}

/** Something among the keys that is no key we can use; it is left alone. */
export interface KeyProblem {
  readonly location: string;
  readonly error: WasmToOciError;
}

export interface ImportedKey extends StoredKey {
  /** False where the store had this key already; its file was then left as it was. */
  readonly added: boolean;
}

/** What imported keys are for where their headers do not say. */
export interface ImportOwner {
  readonly role?: string | undefined;
  readonly gun?: string | undefined;
}

/**
 * Private keys by canonical id.
 *
 * Obligations: a key is never overwritten by another one and never half-written; what `open` gives is the key
 * that the id names, recomputed; passphrases are asked for a bounded number of times and never kept; an opened
 * key is kept for the life of the store.
 */
export interface KeyStore {
  /** Every usable key, sorted by id. */
  list(): Promise<readonly StoredKey[]>;
  /** What lies among the keys and cannot be used, with the reason. */
  problems(): Promise<readonly KeyProblem[]>;
  /**
   * Opens a key; undefined where the store has none of this id.
   *
   * @throws {TrustError} KEY_PASSPHRASE
   * @throws {UsageError} PASSPHRASE_MISSING
   * @throws {FormatError} KEY_INVALID where the file is damaged or holds another key than its name says
   */
  open(id: string, passphrases: PassphraseProvider): Promise<Signer | undefined>;
  /** Stores a new key, encrypted under a new passphrase, and gives its id. A key that is there already stays as it is. */
  add(key: PrivateKey, owner: KeyOwner, passphrases: PassphraseProvider): Promise<string>;
  /** Deletes a key for good. @returns false where there was none */
  remove(id: string): Promise<boolean>;
  /** Takes a key out of use and keeps its file as a backup. @returns where it is kept; undefined where there was none */
  retire(id: string): Promise<string | undefined>;
  /** Asks for the current passphrase, then for a new one. @throws {TrustError} KEY_MISSING */
  changePassphrase(id: string, passphrases: PassphraseProvider): Promise<void>;
  /**
   * Imports every private key of a PEM text, or none where one of them fails.
   *
   * @param owner role and collection of keys whose headers do not say; the role is `delegation` if nothing does
   */
  importPem(text: string, owner: ImportOwner, passphrases: PassphraseProvider): Promise<readonly ImportedKey[]>;
  /** Gives keys as PEM blocks that `notary key import` reads, encrypted as they are stored. @throws KEY_MISSING */
  exportPem(ids: readonly string[]): Promise<string>;
}

/** A store that lives as long as the program. */
export function memoryKeyStore(decryptLegacy?: DecryptLegacyPem): KeyStore {
  return new PemKeyStore(new MemoryKeyFiles(), decryptLegacy);
}

class MemoryKeyFiles implements KeyFiles {
  private readonly texts = new Map<string, string>();
  private readonly retired: string[] = [];

  async list(): Promise<KeyFile[]> {
    return [...this.texts].map(([id, content]) => memoryFile(id, content));
  }

  async read(id: string): Promise<KeyFile | undefined> {
    const content = this.texts.get(id);
    return content === undefined ? undefined : memoryFile(id, content);
  }

  async write(id: string, text: string): Promise<string> {
    this.texts.set(id, text);
    return memoryFile(id, text).location;
  }

  async delete(id: string): Promise<void> {
    this.texts.delete(id);
  }

  async retire(id: string): Promise<string> {
    this.retired.push(this.texts.get(id) ?? "");
    this.texts.delete(id);
    return `memory:retired/${this.retired.length}`;
  }

  /** Nothing else runs between the steps of one action that awaits only this store. */
  async exclusive<T>(action: () => Promise<T>): Promise<T> {
    return action();
  }
}

function memoryFile(id: string, content: string): KeyFile {
  return { id, content, location: `memory:${id}`, readOnly: false };
}

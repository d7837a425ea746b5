/** The rules of a key store over any kind of key files: what is listed, opened, added and left alone. */
import { FormatError, StorageError, TrustError, UsageError, type WasmToOciError } from "../base/errors.ts";
import type { ImportedKey, ImportOwner, KeyProblem, KeyStore, StoredKey } from "./key-store.ts";
import { canonicalKeyId } from "./notary-key-id.ts";
import {
  belongsToCollection,
  formatEncryptedKey,
  formatExport,
  formatKey,
  isKeyId,
  isNotaryBlock,
  openKeyBlock,
  parseKeyBlocks,
  type DecryptLegacyPem,
  type KeyBlock,
  type KeyOwner,
} from "./notary-key-file.ts";
import { choosePassphrase, openWithPassphrase } from "./passphrases.ts";
import type { PrivateKey } from "./private-key.ts";
import type { PassphraseProvider, Signer } from "./signer.ts";

/** One file among the keys. */
export interface KeyFile {
  /** The id that its name gives; undefined where the name is none. */
  readonly id: string | undefined;
  readonly location: string;
  /** The text, or why it cannot be read. */
  readonly content: string | WasmToOciError;
  /** What an old layout says by folder and name instead of headers. */
  readonly owner?: Partial<KeyOwner> | undefined;
  /** True for old layouts, which are read and never changed. */
  readonly readOnly: boolean;
}

/** What a store keeps its texts in. Writes are atomic and durable. */
export interface KeyFiles {
  list(): Promise<readonly KeyFile[]>;
  read(id: string): Promise<KeyFile | undefined>;
  /** Creates or replaces a file; gives its location. */
  write(id: string, text: string): Promise<string>;
  delete(id: string): Promise<void>;
  /** Moves a file to where no program looks for keys; gives the new location. */
  retire(id: string): Promise<string>;
  /** Runs without any other writer, in this process or another. */
  exclusive<T>(action: () => Promise<T>): Promise<T>;
}

/** The role of an imported key that nobody named, as Notary has it. */
const DEFAULT_IMPORT_ROLE = "delegation";
/** The role of a stored key whose file names none. */
const UNKNOWN_ROLE = "key";

/** A {@link KeyStore} over any kind of files. */
export class PemKeyStore implements KeyStore {
  private readonly files: KeyFiles;
  private readonly decryptLegacy: DecryptLegacyPem | undefined;
  readonly #opened = new Map<string, PrivateKey>();

  constructor(files: KeyFiles, decryptLegacy?: DecryptLegacyPem) {
    this.files = files;
    this.decryptLegacy = decryptLegacy;
  }

  async list(): Promise<readonly StoredKey[]> {
    const byId = new Map<string, StoredKey>();
    for (const file of await this.files.list()) {
      const stored = tryReadKeyFile(file);
      if ("key" in stored && !byId.has(stored.key.id)) byId.set(stored.key.id, stored.key); // old layouts come last
    }
    const keys = [...byId.values()];
    keys.sort((a, b) => (a.id < b.id ? -1 : 1));
    return keys;
  }

  async problems(): Promise<readonly KeyProblem[]> {
    return (await this.files.list()).flatMap((file) => {
      const stored = tryReadKeyFile(file);
      return "key" in stored ? [] : [stored];
    });
  }

  async open(id: string, passphrases: PassphraseProvider): Promise<Signer | undefined> {
    const stored = await this.find(id); // also when it is open already: a key that was removed must not sign
    if (stored === undefined) return undefined;
    const known = this.#opened.get(id);
    if (known !== undefined) return known;
    const privateKey = await this.unlock(stored, passphrases);
    this.#opened.set(id, privateKey);
    return privateKey;
  }

  async add(privateKey: PrivateKey, owner: KeyOwner, passphrases: PassphraseProvider): Promise<string> {
    const id = await canonicalKeyId(privateKey.publicKey);
    if ((await this.find(id)) === undefined) {
      checkOwner(owner);
      const passphrase = await choosePassphrase(passphrases, { role: owner.role, keyId: id });
      const text = await formatKey(privateKey, owner, passphrase);
      await this.files.exclusive(() => this.addText(id, text));
    }
    this.#opened.set(id, privateKey);
    return id;
  }

  async remove(id: string): Promise<boolean> {
    return this.files.exclusive(async () => {
      const stored = await this.find(id);
      if (stored === undefined) return false;
      checkChangeable(stored);
      await this.files.delete(id);
      this.#opened.delete(id);
      return true;
    });
  }

  async retire(id: string): Promise<string | undefined> {
    return this.files.exclusive(async () => {
      const stored = await this.find(id);
      if (stored === undefined) return undefined;
      checkChangeable(stored);
      const location = await this.files.retire(id);
      this.#opened.delete(id);
      return location;
    });
  }

  async changePassphrase(id: string, passphrases: PassphraseProvider): Promise<void> {
    const stored = await this.get(id);
    checkChangeable(stored);
    const privateKey = await this.unlock(stored, passphrases);
    const passphrase = await choosePassphrase(passphrases, { role: stored.key.role, keyId: id });
    const text = await formatKey(privateKey, stored.key, passphrase);
    await this.files.exclusive(async () => {
      await this.get(id); // still there
      await this.files.write(id, text);
    });
  }

  async importPem(text: string, owner: ImportOwner, passphrases: PassphraseProvider): Promise<readonly ImportedKey[]> {
    const blocks = parseKeyBlocks(text, "the key file");
    if (blocks.length === 0) {
      throw new FormatError("KEY_INVALID", "the key file holds no private key", {
        hint: "A private key is PEM text between BEGIN … PRIVATE KEY and END … PRIVATE KEY lines",
      });
    }
    const prepared = new Map<string, string>();
    for (const block of blocks) {
      const { id, text: ready } = await prepareImport(block, owner, passphrases, this.decryptLegacy);
      if (!prepared.has(id)) prepared.set(id, ready);
    }
    return this.files.exclusive(async () => {
      for (const id of prepared.keys()) await this.find(id); // a damaged file of one name fails before any is written
      const imported: ImportedKey[] = [];
      for (const [id, ready] of prepared) imported.push(await this.addText(id, ready));
      return imported;
    });
  }

  async exportPem(ids: readonly string[]): Promise<string> {
    let text = "";
    for (const id of ids) {
      const { block, key } = await this.get(id);
      text += formatExport(block, key.role === UNKNOWN_ROLE ? { id } : key);
    }
    return text;
  }

  private async find(id: string): Promise<Usable | undefined> {
    if (!isKeyId(id)) return undefined;
    const file = await this.files.read(id);
    return file === undefined ? undefined : readKeyFile(file);
  }

  private async get(id: string): Promise<Usable> {
    const stored = await this.find(id);
    if (stored !== undefined) return stored;
    throw new TrustError("KEY_MISSING", `there is no private key ${id} here`, {
      hint: "List the keys with: wasm-to-oci key list",
      details: { keyId: id },
    });
  }

  private async unlock({ block, key }: Usable, passphrases: PassphraseProvider): Promise<PrivateKey> {
    const subject = { role: key.role, keyId: key.id };
    const privateKey = block.encrypted
      ? await openWithPassphrase(passphrases, subject, (text) => openKeyBlock(block, text, this.decryptLegacy))
      : await openKeyBlock(block, "");
    const id = await canonicalKeyId(privateKey.publicKey);
    if (id === key.id) return privateKey;
    throw new FormatError("KEY_INVALID", `${key.location} holds the key ${id}, not the one that its name says`, {
      hint: "Somebody exchanged or renamed the file: find out who before using it; nothing was signed with it",
      details: { location: key.location, expected: key.id, got: id },
    });
  }

  /** Writes a text that is not there yet. Runs under the lock. */
  private async addText(id: string, text: string): Promise<ImportedKey> {
    const existing = await this.find(id); // throws for a damaged file: it may be all that is left of a key
    if (existing !== undefined) return { ...existing.key, added: false };
    const location = await this.files.write(id, text);
    const { key } = readKeyFile({ id, location, content: text, readOnly: false });
    return { ...key, added: true };
  }
}

interface Usable {
  readonly key: StoredKey;
  readonly block: KeyBlock;
  readonly readOnly: boolean;
}

function readKeyFile({ id, location, content, owner, readOnly }: KeyFile): Usable {
  if (typeof content !== "string") throw content;
  if (id === undefined) throw new FormatError("KEY_INVALID", `${location} is not named after a key id`);
  const blocks = parseKeyBlocks(content, location);
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) {
    throw new FormatError("KEY_INVALID", `${location} holds ${blocks.length} private keys, expected one`);
  }
  const role = block.role ?? owner?.role ?? UNKNOWN_ROLE;
  const gun = block.gun ?? owner?.gun;
  return { key: { id, role, gun, encrypted: block.encrypted, location }, block, readOnly };
}

function tryReadKeyFile(file: KeyFile): Usable | KeyProblem {
  try {
    return readKeyFile(file);
  } catch (error) {
    if (error instanceof FormatError || error instanceof StorageError) return { location: file.location, error };
    throw error;
  }
}

/**
 * Makes the text to store for one block. An encrypted block of Notary's that says its id stays as it is, and its id
 * is checked when it is opened; any other is opened now, and encrypted so that Notary can open it.
 */
async function prepareImport(
  block: KeyBlock,
  given: ImportOwner,
  passphrases: PassphraseProvider,
  decryptLegacy: DecryptLegacyPem | undefined,
): Promise<{ id: string; text: string }> {
  const owner = { role: block.role ?? given.role ?? DEFAULT_IMPORT_ROLE, gun: block.gun ?? given.gun };
  checkOwner(owner);
  const asItIs = block.encrypted && isNotaryBlock(block);
  if (block.id !== undefined && asItIs) return { id: block.id, text: formatEncryptedKey(block, owner) };
  let passphrase = "";
  const subject = { role: owner.role, keyId: block.id };
  const key = block.encrypted
    ? await openWithPassphrase(passphrases, subject, (text) => openKeyBlock(block, (passphrase = text), decryptLegacy))
    : await openKeyBlock(block, "");
  const id = await canonicalKeyId(key.publicKey);
  if (block.id !== undefined && block.id !== id) {
    throw new FormatError("KEY_INVALID", `the key file says that it holds the key ${block.id} and holds ${id}`);
  }
  if (asItIs) return { id, text: formatEncryptedKey(block, owner) };
  if (!block.encrypted) passphrase = await choosePassphrase(passphrases, { role: owner.role, keyId: id });
  return { id, text: await formatKey(key, owner, passphrase) };
}

function checkOwner({ role, gun }: KeyOwner): void {
  if (belongsToCollection(role) && gun === undefined) {
    throw new UsageError("USAGE", `a ${role} key belongs to one collection, and none was given`, {
      hint: "Name the collection, e.g. --gun ghcr.io/acme/app",
    });
  }
}

function checkChangeable(stored: Usable): void {
  if (!stored.readOnly) return;
  throw new StorageError("STATE_INVALID", `${stored.key.location} is in an old layout, which is only read`, {
    hint: "Export the key and import it again, or let `notary key list` convert the directory",
  });
}

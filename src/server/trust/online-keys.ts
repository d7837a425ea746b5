/**
 * The private keys that the server signs timestamps and snapshots with. In the store they are encrypted with
 * AES-256-GCM under one master key that lies elsewhere, bound to their collection, role and id, so that whoever
 * reads or writes the database alone can neither use a key nor pass it off as another collection's.
 */
import { concatBytes, equalBytes, utf8Encode, type Bytes } from "../../base/bytes.ts";
import { StorageError } from "../../base/errors.ts";
import { canonicalKeyId } from "../../keys/notary-key-id.ts";
import { PrivateKey, type KeyAlgorithmName } from "../../keys/private-key.ts";
import type { PublicKey } from "../../keys/public-key.ts";
import type { Signer } from "../../keys/signer.ts";
import type { OnlineRole, TrustStore } from "./store.ts";

/**
 * Keys that no root names yet. A client asks for one and publishes it within seconds; several may be under way.
 * Requests need no proof of anything, so without a limit they could fill the disk.
 */
const LIMITS = { keepPerRole: 16, keepInAll: 10_000 };

/** Format of a sealed key: this byte, nonce, ciphertext with tag. */
const SEALED_VERSION = 1;
const NONCE_BYTES = 12;
const MASTER_KEY_BYTES = 32;

/** Opened keys kept in memory; unsealing one takes about a millisecond. */
const MAX_CACHED = 1000;

const CHECK_SETTING = "online-key-check";
const CHECK_TEXT = utf8Encode("the master key of this store");

export interface OnlineSigner {
  /** The key's id in metadata. */
  readonly keyId: string;
  readonly signer: Signer;
}

export interface OnlineKeys {
  /** The newest key that no root names yet; makes one where there is none. The same answer until it is published. */
  pending(gun: string, role: OnlineRole): Promise<PublicKey>;
  /** Makes a new key, for a rotation. */
  create(gun: string, role: OnlineRole): Promise<PublicKey>;
  /** Opens those of these keys that the server holds. */
  signers(gun: string, role: OnlineRole, keyIds: readonly string[]): Promise<readonly OnlineSigner[]>;
}

export interface OnlineKeysOptions {
  readonly store: TrustStore;
  /** 32 random bytes. */
  readonly masterKey: Bytes;
  /** For new keys; ECDSA on P-256 unless told. */
  readonly algorithm?: Extract<KeyAlgorithmName, "ecdsa-p256" | "ed25519">;
}

/**
 * Opens the keys of a store.
 *
 * @throws {StorageError} STATE_INVALID where the store was written under another master key
 */
export async function openOnlineKeys(options: OnlineKeysOptions): Promise<OnlineKeys> {
  if (options.masterKey.length !== MASTER_KEY_BYTES) {
    throw new StorageError(
      "STATE_INVALID",
      `a master key has ${MASTER_KEY_BYTES} bytes, got ${options.masterKey.length}`,
    );
  }
  const box = new SealedBox(
    await crypto.subtle.importKey("raw", options.masterKey, "AES-GCM", false, ["encrypt", "decrypt"]),
  );
  await checkMasterKey(options.store, box);
  return new StoredOnlineKeys(options.store, box, options.algorithm ?? "ecdsa-p256");
}

/** Tells whether a store has been used with a master key, which it then needs. */
export async function hasOnlineKeys(store: TrustStore): Promise<boolean> {
  return (await store.setting(CHECK_SETTING)) !== undefined;
}

async function checkMasterKey(store: TrustStore, box: SealedBox): Promise<void> {
  await store.initialiseSetting(CHECK_SETTING, await box.seal(CHECK_TEXT, CHECK_SETTING));
  const stored = await store.setting(CHECK_SETTING);
  const opened = stored === undefined ? undefined : await box.open(stored, CHECK_SETTING);
  if (opened === undefined || !equalBytes(opened, CHECK_TEXT)) {
    throw new StorageError("STATE_INVALID", "the master key does not fit the server's database", {
      hint: "Restore the key file that belongs to this database; without it the server cannot sign for its collections",
    });
  }
}

class StoredOnlineKeys implements OnlineKeys {
  private readonly store: TrustStore;
  private readonly box: SealedBox;
  private readonly algorithm: KeyAlgorithmName;
  /** Opened keys by what they are sealed to. */
  private readonly opened = new Map<string, PrivateKey>();
  /** Keys that are being made for a first request, so that two at once get the same. */
  private readonly creating = new Map<string, Promise<PublicKey>>();

  constructor(store: TrustStore, box: SealedBox, algorithm: KeyAlgorithmName) {
    this.store = store;
    this.box = box;
    this.algorithm = algorithm;
  }

  async pending(gun: string, role: OnlineRole): Promise<PublicKey> {
    const name = JSON.stringify([gun, role]);
    let pending = this.creating.get(name);
    if (pending === undefined) {
      pending = this.findOrCreate(gun, role).finally(() => this.creating.delete(name));
      this.creating.set(name, pending);
    }
    return pending;
  }

  private async findOrCreate(gun: string, role: OnlineRole): Promise<PublicKey> {
    const waiting = (await this.store.keys(gun, role)).find((key) => !key.published);
    if (waiting === undefined) return this.create(gun, role);
    return (await this.unseal(gun, role, waiting.keyId, waiting.sealed)).publicKey;
  }

  async create(gun: string, role: OnlineRole): Promise<PublicKey> {
    const key = await PrivateKey.generate(this.algorithm);
    const keyId = await canonicalKeyId(key.publicKey);
    const sealed = await this.box.seal(key.toPkcs8(), boundTo(gun, role, keyId));
    await this.store.addKey({ gun, role, keyId, sealed }, LIMITS);
    return key.publicKey;
  }

  async signers(gun: string, role: OnlineRole, keyIds: readonly string[]): Promise<readonly OnlineSigner[]> {
    const held = (await this.store.keys(gun, role)).filter((key) => keyIds.includes(key.keyId));
    return Promise.all(
      held.map(async ({ keyId, sealed }) => ({ keyId, signer: await this.unseal(gun, role, keyId, sealed) })),
    );
  }

  private async unseal(gun: string, role: OnlineRole, keyId: string, sealed: Bytes): Promise<PrivateKey> {
    const name = boundTo(gun, role, keyId);
    const cached = this.opened.get(name);
    if (cached !== undefined) return cached;
    const pkcs8 = await this.box.open(sealed, name);
    if (pkcs8 === undefined) {
      throw new StorageError("STATE_INVALID", `the server's ${role} key of ${gun} was changed in the database`, {
        hint: "Restore the database, or rotate this key",
        details: { gun, role, keyId },
      });
    }
    const key = await PrivateKey.fromPkcs8(pkcs8);
    if (this.opened.size >= MAX_CACHED) this.opened.clear();
    this.opened.set(name, key);
    return key;
  }
}

function boundTo(gun: string, role: OnlineRole, keyId: string): string {
  return JSON.stringify([gun, role, keyId]);
}

/** AES-256-GCM with random nonces; each message is bound to a name. One master key is good for 2^32 messages. */
class SealedBox {
  private readonly key: CryptoKey;

  constructor(key: CryptoKey) {
    this.key = key;
  }

  async seal(message: Bytes, name: string): Promise<Bytes> {
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const ciphertext = await crypto.subtle.encrypt(this.parameters(nonce, name), this.key, message);
    return concatBytes([Uint8Array.of(SEALED_VERSION), nonce, new Uint8Array(ciphertext)]);
  }

  /** Gives undefined where the message was not sealed with this key to this name. */
  async open(sealed: Bytes, name: string): Promise<Bytes | undefined> {
    if (sealed[0] !== SEALED_VERSION) return undefined;
    const parameters = this.parameters(sealed.slice(1, 1 + NONCE_BYTES), name);
    try {
      return new Uint8Array(await crypto.subtle.decrypt(parameters, this.key, sealed.slice(1 + NONCE_BYTES)));
    } catch {
      return undefined; // the one reason for which decryption fails
    }
  }

  private parameters(nonce: Bytes, name: string): AesGcmParams {
    return { name: "AES-GCM", iv: nonce, additionalData: utf8Encode(name) };
  }
}

/**
 * Where the trust server keeps collections: every version of every document as it was uploaded, the history of
 * changes, and the server's own keys, sealed. The store knows names, versions and hashes; what may be stored is
 * decided before it is asked (update.ts).
 */
import type { Bytes } from "../../base/bytes.ts";
import type { Digest } from "../../base/digest.ts";
import { TrustError } from "../../base/errors.ts";

/** A document as it was uploaded or signed here, with what it is found by. */
export interface TrustDocument {
  /** `root`, `targets`, `snapshot`, `timestamp` or a delegation's full name, e.g. `targets/releases`. */
  readonly role: string;
  readonly version: number;
  /** Of the bytes. */
  readonly digest: Digest;
  readonly bytes: Bytes;
}

/** What a document is known by, without its bytes. */
export interface DocumentFacts {
  readonly version: number;
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}

export interface StoredDocument extends TrustDocument {
  readonly storedAt: Date;
}

/** One entry of the history: a collection got a new timestamp, or was deleted. */
export interface Change {
  /** Grows by one with each change in the store; never reused. */
  readonly id: number;
  readonly createdAt: Date;
  readonly gun: string;
  /** Version and digest of the new timestamp; 0 and undefined for a deletion. */
  readonly version: number;
  readonly digest: Digest | undefined;
  readonly category: "update" | "deletion";
}

export interface ChangeQuery {
  /** Only this collection; undefined: all. */
  readonly gun: string | undefined;
  /** At most this many, from 1. */
  readonly limit: number;
  /** Where to begin, exclusive; undefined: at the oldest (`forward`) or newest (`backward`) change. */
  readonly after: number | undefined;
  readonly direction: "forward" | "backward";
}

export type OnlineRole = "snapshot" | "timestamp";

/** A private key of the server, encrypted by online-keys.ts; the store cannot read it. */
export interface SealedKey {
  readonly gun: string;
  readonly role: OnlineRole;
  /** The key's id in metadata. */
  readonly keyId: string;
  readonly sealed: Bytes;
}

export interface StoredKey extends SealedKey {
  /** True once a stored root has named it. */
  readonly published: boolean;
}

/** What a successful update writes, all at once. */
export interface TrustUpdate {
  readonly gun: string;
  /** One per role. */
  readonly documents: readonly TrustDocument[];
  /** Ids of server keys that the new root names, undefined where there is no new root. */
  readonly publishedKeyIds: readonly string[] | undefined;
  readonly now: Date;
}

/**
 * The trust server's store.
 *
 * Obligations, all tested by one contract suite: bytes come back as they went in; collections are told apart by
 * their exact names; `update` writes all of its documents and the change or none of them; a reader sees the
 * state before an update or after it; what was acknowledged survives a crash; faults of the storage end in a
 * StorageError.
 */
export interface TrustStore {
  /** The newest version of a role. */
  current(gun: string, role: string): Promise<StoredDocument | undefined>;
  /** The newest version of every role that was ever stored, by role. */
  listCurrent(gun: string): Promise<ReadonlyMap<string, DocumentFacts>>;
  byVersion(gun: string, role: string, version: number): Promise<StoredDocument | undefined>;
  byDigest(gun: string, role: string, digest: Digest): Promise<StoredDocument | undefined>;
  /**
   * Stores an update, and a change for the timestamp in it.
   *
   * @throws {TrustError} TRUST_CONFLICT where a document's version is not above the newest of its role; nothing
   * is written then
   */
  update(update: TrustUpdate): Promise<void>;
  /** Forgets a collection with its keys, and records that; does nothing where there is none. */
  delete(gun: string, now: Date): Promise<void>;
  /** Always in ascending order of id. */
  changes(query: ChangeQuery): Promise<readonly Change[]>;
  /** Collections with their newest timestamp stored before a time, in order of name, after a name. */
  staleCollections(before: Date, after: string, limit: number): Promise<readonly string[]>;

  /** The server's keys of a role, newest first. */
  keys(gun: string, role: OnlineRole): Promise<readonly StoredKey[]>;
  /**
   * Adds a key that no root names yet. Of those, only the newest `keepPerRole` of the role and the newest
   * `keepInAll` of the store stay, since anybody who may ask for a key could fill the disk otherwise.
   */
  addKey(key: SealedKey, limits: { keepPerRole: number; keepInAll: number }): Promise<void>;
  /** A named value of the store itself; undefined where it was never set. */
  setting(name: string): Promise<Bytes | undefined>;
  /** Sets a value once; a value that is there stays. */
  initialiseSetting(name: string, value: Bytes): Promise<void>;

  /** Resolves where the storage answers. @throws {StorageError} */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** The one error of {@link TrustStore.update} that its caller can do something about. */
export function versionConflict(gun: string, document: TrustDocument, newest: number): TrustError {
  const { role, version } = document;
  return new TrustError(
    "TRUST_CONFLICT",
    `${role} of ${gun} has version ${newest} already; version ${version} is not newer`,
    {
      role,
      hint: "Read the collection again, apply the change to what it has now, and publish that",
      details: { gun, version, newest },
    },
  );
}

/**
 * What the registry needs of a store. Blobs and manifests are shared between repositories on the disk, never
 * in what can be seen: content is found in a repository only where it was pushed or mounted there.
 *
 * Obligations of every implementation: what was acknowledged by a resolved promise survives a crash at any
 * moment; what was not is whole or absent; changes to one repository are serialised; names, tags and digests
 * are checked by the caller, and yet no name can lead outside the store.
 */
import type { Digest, HashAlgorithm } from "../../base/digest.ts";
import type { OpenBlob } from "../../node/open-blob.ts";

export interface BlobStore {
  /** Length in bytes; undefined where the repository has no such blob. */
  stat(repository: string, digest: Digest): Promise<number | undefined>;
  open(repository: string, digest: Digest): Promise<OpenBlob | undefined>;
  /** The repositories that have the blob, sorted. */
  holders(digest: Digest): Promise<readonly string[]>;
  /** Makes a blob of one repository readable in another. False where `from` has no such blob. */
  mount(digest: Digest, from: string, to: string): Promise<boolean>;
  /** False where there was none. Other repositories keep theirs. */
  delete(repository: string, digest: Digest): Promise<boolean>;
}

/** The next bytes of an upload. */
export interface UploadChunk {
  readonly body: AsyncIterable<Uint8Array>;
  /** Where the chunk must start, from Content-Range; undefined: where the upload is. */
  readonly start: number | undefined;
  /** How long the chunk must be; undefined where the client did not say. */
  readonly size: number | undefined;
}

export interface UploadStore {
  /**
   * Begins an upload. Its id is a capability: it cannot be guessed.
   *
   * @param algorithm that the digest at its end will probably have, so that it is hashed while it arrives
   * @throws {RegistryFault} TOOMANYREQUESTS
   */
  start(repository: string, algorithm: HashAlgorithm): Promise<string>;
  /** The number of bytes received; undefined where the repository has no such upload. */
  offset(repository: string, id: string): Promise<number | undefined>;
  /**
   * Takes the next bytes and returns the new offset. A chunk that is not as announced is not taken; one whose
   * sender goes away is taken as far as it came.
   *
   * @throws {RegistryFault} BLOB_UPLOAD_UNKNOWN, BLOB_UPLOAD_INVALID (416), SIZE_INVALID
   */
  append(repository: string, id: string, chunk: UploadChunk): Promise<number>;
  /**
   * Makes the received bytes a blob of the repository. The upload is over, also where the digest is wrong.
   *
   * @throws {RegistryFault} BLOB_UPLOAD_UNKNOWN, DIGEST_INVALID
   */
  finish(repository: string, id: string, digest: Digest): Promise<void>;
  /** False where there was none. */
  cancel(repository: string, id: string): Promise<boolean>;
}

export interface StoredManifest {
  readonly mediaType: string;
  /** Exactly as pushed. */
  readonly bytes: Uint8Array;
}

/** The entry of a manifest in the answer to a referrers request. */
export interface ReferrerDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Some names of a list that may be long. */
export interface NamePage<T extends string> {
  /** In the order of their bytes. */
  readonly names: readonly T[];
  /** True where others follow. */
  readonly more: boolean;
}

/** What a tag must be for a change of it to be made: a digest, `absent`, `present`, or anything. */
export type TagCondition = { readonly digest: Digest } | "absent" | "present" | undefined;

export interface NewManifest extends StoredManifest {
  readonly digest: Digest;
  /** Tags to move to it: all or none. */
  readonly tags: readonly string[];
  /** What `tags` must be before. */
  readonly condition: TagCondition;
  /** Blobs that must be in the repository. */
  readonly blobs: readonly Digest[];
  /** Manifests that must be in the repository. */
  readonly manifests: readonly Digest[];
  /** Set where the manifest refers to another. */
  readonly referrer: { readonly subject: Digest; readonly descriptor: ReferrerDescriptor } | undefined;
}

export interface ManifestStore {
  get(repository: string, digest: Digest): Promise<StoredManifest | undefined>;
  /** The digest that a tag points to; undefined where there is no such tag. */
  resolve(repository: string, tag: string): Promise<Digest | undefined>;
  /** @throws {RegistryFault} MANIFEST_BLOB_UNKNOWN; DENIED (412) where the condition does not hold */
  put(repository: string, manifest: NewManifest): Promise<void>;
  /** Deletes a manifest and every tag that points to it: all or nothing. False where there was none. */
  delete(repository: string, digest: Digest): Promise<boolean>;
  /** False where there was none. @throws {RegistryFault} DENIED (412) */
  deleteTag(repository: string, tag: string, condition: TagCondition): Promise<boolean>;
  /** Up to `limit` tags after the text `after`. */
  tags(repository: string, after: string, limit: number): Promise<NamePage<string>>;
  /** Up to `limit` digests, after the text `after`, of manifests that refer to `subject`. */
  referrers(repository: string, subject: Digest, after: string, limit: number): Promise<NamePage<Digest>>;
  referrer(repository: string, subject: Digest, digest: Digest): Promise<ReferrerDescriptor | undefined>;
}

export interface RegistryStore {
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly manifests: ManifestStore;
  /** Every repository that has or had content, in the order of its bytes. */
  repositories(): Promise<readonly string[]>;
  has(repository: string): Promise<boolean>;
  /** Ends the use of the store; nothing may follow it. */
  close(): Promise<void>;
}

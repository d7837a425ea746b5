/**
 * A place that holds artifacts by digest and tag: a repository of a registry, or an OCI image layout in a directory
 * or an archive. Use cases know this interface only.
 */
import type { Bytes } from "../base/bytes.ts";
import type { Digest, ExpectedContent } from "../base/digest.ts";
import type { StreamBody } from "../base/http.ts";
import type { UploadOptions, UploadResult } from "./blobs.ts";
import type { ManifestHead, RequestOptions, TagOptions } from "./manifests.ts";
import type { Reference } from "./reference.ts";
import type { ReferrersOptions } from "./referrers.ts";
import type { Descriptor, ReceivedManifest } from "./types.ts";

/** Obligations: what is read is what its descriptor says, or the iteration throws; nothing is held in memory whole. */
export interface BlobStore {
  has(digest: Digest, options?: RequestOptions): Promise<boolean>;
  get(blob: ExpectedContent, options?: RequestOptions): AsyncIterable<Uint8Array>;
  /** Reads a small blob whole; one that is embedded in its descriptor costs no request. */
  read(blob: ExpectedContent & Pick<Descriptor, "data">, limit: number, options?: RequestOptions): Promise<Bytes>;
  /** Stores a blob unless it is there. A broken one is never visible. */
  put(blob: ExpectedContent, body: StreamBody | Uint8Array, options?: UploadOptions): Promise<UploadResult>;
}

/** Obligations: undefined means that the store itself says it has none, never that it could not be asked. */
export interface ManifestStore {
  get(reference: string, options?: RequestOptions): Promise<ReceivedManifest | undefined>;
  head(reference: string, options?: RequestOptions): Promise<ManifestHead | undefined>;
  putByDigest(bytes: Uint8Array, mediaType: string, digest: Digest, options?: RequestOptions): Promise<void>;
  /** Stores a manifest and makes a tag name it, in one step that others see whole or not at all. */
  tag(bytes: Uint8Array, mediaType: string, tag: string, options?: TagOptions): Promise<void>;
  /** Removes a manifest and every tag that names it, where the store can. @returns false where it does not do that */
  remove?(digest: Digest, options?: RequestOptions): Promise<boolean>;
}

export interface TagStore {
  list(options?: RequestOptions): AsyncIterable<string>;
}

export interface ReferrerStore {
  /** Manifests whose `subject` is the given one: a claim, to be checked against each of them. */
  list(digest: Digest, options?: ReferrersOptions): Promise<readonly Descriptor[]>;
  /** Makes a manifest that is stored already appear in the list of its subject, where the store does not do so itself. */
  attach(subject: Digest, referrer: Descriptor, options?: RequestOptions): Promise<void>;
}

/** Artifacts of one name. */
export interface ContentStore {
  /** For people, e.g. `ghcr.io/acme/app` or `oci:mirror`. */
  readonly name: string;
  readonly blobs: BlobStore;
  readonly manifests: ManifestStore;
  readonly tags: TagStore;
  readonly referrers: ReferrerStore;
}

/** Finds the store of a reference: a client of registries, or a bundle. */
export interface ContentStores {
  /** @throws {UsageError} REFERENCE_INVALID for what `parseReference` would not give */
  repository(reference: Pick<Reference, "registry" | "repository">): ContentStore;
}

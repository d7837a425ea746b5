/** Where verified documents are kept to save downloads. Never a reason to trust anything. */
import type { Bytes } from "../base/bytes.ts";

/** One collection as one server serves it. */
export interface CollectionKey {
  /** Base URL of the trust server, without a slash at its end. */
  readonly server: string;
  readonly gun: string;
}

/** One text per collection, for maps and hashes. */
export function collectionName({ server, gun }: CollectionKey): string {
  return JSON.stringify([server, gun]);
}

/** Documents in wire form, by role. */
export type RoleDocuments = ReadonlyMap<string, Bytes>;

/**
 * A cache of documents.
 *
 * Obligations: `read` gives what is there, whole documents or none, and passes over what it cannot read; `write`
 * replaces the given roles and leaves others, each document atomically; what comes back may be old, damaged or
 * another server's, so readers check everything.
 */
export interface MetadataStore {
  read(collection: CollectionKey): Promise<RoleDocuments>;
  write(collection: CollectionKey, documents: RoleDocuments): Promise<void>;
  remove(collection: CollectionKey): Promise<void>;
}

/** Keeps documents in memory. */
export function memoryMetadataStore(): MetadataStore {
  const stored = new Map<string, Map<string, Bytes>>();
  return {
    read: async (collection) => new Map(stored.get(collectionName(collection))),
    write: async (collection, documents) => {
      stored.set(
        collectionName(collection),
        new Map([...(stored.get(collectionName(collection)) ?? []), ...documents]),
      );
    },
    remove: async (collection) => {
      stored.delete(collectionName(collection));
    },
  };
}

/** Content that was verified once, kept by its digest, so that it need not be fetched again. */
import type { Bytes } from "./base/bytes.ts";
import type { Digest } from "./base/digest.ts";
import type { BlobAddress } from "./download.ts";

/**
 * Keeps content by digest.
 *
 * Obligations: what comes out is hashed while it is read, and an iteration over anything else than its digest says
 * throws instead of ending; damaged content is removed, so that it is fetched again; many processes may use one cache
 * at a time. A cache never fails the work that it serves: what cannot be read is not there, what cannot be written is
 * not kept, and {@link problem} says why. Being kept here vouches for nothing: signatures are checked at each use.
 */
export interface ContentCache {
  /** Where: a path, for people. */
  readonly location: string;
  /** Why the cache is of no use or half of it, in words; undefined where nothing went wrong. */
  readonly problem: string | undefined;
  /** Opens content of this digest and length; undefined where it is not there. */
  open(blob: BlobAddress): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Reads small content whole; undefined where it is not there, damaged, or larger than `limit` bytes. */
  read(digest: Digest, limit: number): Promise<Bytes | undefined>;
  /** Begins to keep content of this digest and length; undefined where it is too large or there is no place for it. */
  begin(blob: BlobAddress): Promise<CacheEntry | undefined>;
  /** Keeps small content. */
  put(digest: Digest, bytes: Uint8Array): Promise<void>;
}

/** Content on its way into a cache. No call throws; after one that failed the others do nothing. */
export interface CacheEntry {
  write(chunk: Uint8Array): Promise<void>;
  /** Makes it visible to others. To be called where the content is what its digest says. */
  commit(): Promise<void>;
  abort(): Promise<void>;
}

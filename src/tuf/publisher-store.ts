/** Where publishers write: a directory now, a registry too. */
import type { Bytes } from "../base/bytes.ts";
import type { MetadataFile } from "./publish-files.ts";
import type { TufRepository } from "./repository.ts";

/** The state that a publish was worked out from. */
export interface PublishedBase {
  /** Version of the newest root. */
  readonly root: number;
  /** The timestamp as it was read. */
  readonly timestamp: Bytes;
}

/**
 * A repository that can be written.
 *
 * Obligations: files become visible in the order given, each whole; what was published under a version is never
 * replaced, only `timestamp.json` is; a publish that ends anywhere is completed by the next one, or was never there;
 * publishes of one repository happen one after the other, in this process or another.
 */
export interface TufPublisherStore extends TufRepository {
  /**
   * Publishes files, if the repository still is as `base` says.
   *
   * @param base undefined where there must be no collection yet
   * @throws {TrustError} TRUST_CONFLICT where somebody else has published since; nothing was changed
   */
  publish(files: readonly MetadataFile[], base: PublishedBase | undefined): Promise<void>;
  /**
   * Runs an action while no other publisher of this place is in its turn, as far as the place can tell. Nothing depends
   * on it: it saves many publishers at once from working for nothing.
   */
  inTurn<T>(action: () => Promise<T>): Promise<T>;
}

/**
 * Holds documents that wait for signatures, as one file.
 *
 * Obligations: `update` is atomic, and loses no concurrent one.
 */
export interface StagingStore {
  /** For people. */
  readonly location: string;
  read(): Promise<Bytes | undefined>;
  /** @param change gives the new content; undefined removes the file */
  update(change: (current: Bytes | undefined) => Promise<Bytes | undefined>): Promise<void>;
}

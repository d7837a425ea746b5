/** Where publishers write: a directory now, a registry too. */
import type { Bytes } from "../base/bytes.ts";
import type { TufChange } from "./changes.ts";
import type { TufDraft } from "./draft.ts";
import type { PendingSet } from "./pending.ts";
import type { PublishEnvironment } from "./publish.ts";
import type { PublishedCollection } from "./published.ts";
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
  /** For places that cannot refuse a publish whose base is outdated. One for each publish. */
  coordinate?(environment: PublishEnvironment): Coordination;
  /** Removes what publishers have left behind and nobody needs any more. @returns how many of these things */
  tidy?(collection: PublishedCollection, environment: PublishEnvironment): Promise<number>;
}

/**
 * How publishers that may overwrite each other lose no update: each writes down what it wants before it publishes,
 * brings into its own publish what others want, and goes on until a look at the place finds nothing missing.
 */
export interface Coordination {
  /** Begins a round: brings what others want into the draft, and the own change where it was written down before. */
  begin(draft: TufDraft): Promise<CoordinatedRound>;
  /** Brings the own change into the draft, if this is the moment. */
  apply(draft: TufDraft, compute: () => Promise<readonly TufChange[]>): Promise<void>;
  /**
   * Writes the own change down, before it is published.
   *
   * @param sign gives the documents to be published
   * @returns false where it is better to begin another round
   */
  announce(sign: () => Promise<PendingSet>): Promise<boolean>;
  /**
   * Takes notice that a round came to nothing.
   *
   * @returns whether another one may succeed
   */
  failed(error: unknown): boolean;
}

export interface CoordinatedRound {
  /** Documents that others have signed, to be published as they are, in a round of their own. */
  readonly documents: PendingSet | undefined;
  /** Whether the own change is in the draft, or published, already. */
  readonly isAsked: boolean;
  /** Whether somebody else is at it, who will publish the own change too. */
  readonly isWaiting: boolean;
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
  /** Where updates may be lost all the same, signatures are kept apart from what they are for. */
  readonly signatures?: StagedSignatures;
}

/**
 * Holds signatures, each by itself, so that no two people write the same place.
 *
 * Obligations: what was added is read from then on, until it is removed. Readers trust nothing that comes back.
 */
export interface StagedSignatures {
  /** @param change the digest of what was signed */
  read(change: string): Promise<readonly Bytes[]>;
  add(change: string, signatures: Bytes): Promise<void>;
  /** Removes those of a change, where the place removes anything. */
  clear(change: string): Promise<void>;
}

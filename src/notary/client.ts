/**
 * Reads a collection from a Notary server as a client must: everything verified for one moment before anything is
 * kept or given out. Where Go's client falls back, forgets or trusts, this one fails (docs/concepts/notary-v1.md).
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { TrustError, type ErrorCode } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import type { NotaryApi } from "./api.ts";
import { cachedDocuments, serverDocuments } from "./document-source.ts";
import { parseGun } from "./gun.ts";
import type { CollectionKey, MetadataStore } from "./metadata-store.ts";
import type { NotaryPin } from "./pinning.ts";
import { verifiedRoles, type NotaryState } from "./state.ts";
import { mergeTrustState, type TrustState, type TrustStateStore } from "./trust-state.ts";
import { verifyCollection, type Verification, type VerifyOptions } from "./verify-collection.ts";

/**
 * How current the answer must be.
 * - `online`: the server is asked, always
 * - `max-age`: stored data is enough where the server was asked so many seconds ago, and everything is still good
 * - `offline`: stored data only, checked for the moment `asOf` (now unless told)
 */
export type Freshness =
  | { readonly mode: "online" }
  | { readonly mode: "max-age"; readonly seconds: number }
  | { readonly mode: "offline"; readonly asOf?: Date | undefined };

export interface UpdateOptions {
  /** What the root must match; compared with the root that trust began with, too, so that rotations keep a pin good. */
  readonly pin?: NotaryPin | undefined;
  /** What to do where neither a pin nor a stored root says which root to trust. */
  readonly firstUse: "accept" | "refuse";
  /** `online` unless told. */
  readonly freshness?: Freshness | undefined;
  /** Load roles past their expiry too, for inspection and repair; they are listed in the state and nothing is kept. */
  readonly acceptExpired?: boolean | undefined;
  /** The lowest version to accept of a role, besides what is remembered. */
  readonly floors?: ReadonlyMap<string, number> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NotaryClientOptions {
  readonly api: NotaryApi;
  /** The cache. */
  readonly metadata: MetadataStore;
  /** What must outlive the cache. */
  readonly trust: TrustStateStore;
  readonly now: Clock;
}

/** Failures that a publish, or another process's first use, in the middle of our reading can cause: worth one more look. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "METADATA_TAMPERED",
  "METADATA_ROLLED_BACK",
  "METADATA_EXPIRED",
  "SIGNATURE_THRESHOLD",
  "ROOT_UNTRUSTED",
  "TRUST_WITHHELD",
]);

/**
 * A client of one server.
 *
 * @example
 * ```ts
 * const client = new NotaryClient({ api, metadata, trust, now: () => new Date() });
 * const state = await client.update("registry.example/acme/app", { firstUse: "refuse", pin });
 * const found = findTarget(state, "v1", "docker");
 * ```
 */
export class NotaryClient {
  private readonly options: NotaryClientOptions;

  constructor(options: NotaryClientOptions) {
    this.options = options;
  }

  /**
   * Verifies a collection's newest state and remembers it. On failure nothing that is stored has changed.
   *
   * @throws {UsageError} GUN_INVALID
   * @throws {FormatError} JSON_INVALID, METADATA_INVALID, LIMIT_EXCEEDED
   * @throws {TrustError} TRUST_NOT_FOUND only where nothing is known of the collection and the server says it has
   *   none; otherwise what is wrong: METADATA_EXPIRED, METADATA_ROLLED_BACK, METADATA_TAMPERED, SIGNATURE_THRESHOLD,
   *   ROOT_UNTRUSTED, PIN_MISMATCH, COLLECTION_MISMATCH, FIRST_USE_REFUSED, TRUST_WITHHELD, TRUST_DENIED, TRUST_UNAVAILABLE
   * @throws {TransportError} where the server cannot be reached
   */
  async update(gun: string, options: UpdateOptions): Promise<NotaryState> {
    const collection = this.collection(gun);
    const now = this.options.now();
    const freshness = options.freshness ?? { mode: "online" };
    if (freshness.mode === "offline") return this.fromCache(collection, options, freshness.asOf ?? now);
    if (freshness.mode === "max-age") {
      const state = await this.fromRecentCache(collection, options, now, freshness.seconds);
      if (state !== undefined) return state;
    }
    return this.fromServer(collection, options, now);
  }

  /** Tells whether a root of this collection is stored: it was verified before, on this server. */
  async isKnown(gun: string): Promise<boolean> {
    return (await this.options.trust.read(this.collection(gun))) !== undefined;
  }

  private collection(gun: string): CollectionKey {
    return { server: this.options.api.server, gun: parseGun(gun) };
  }

  private async fromServer(collection: CollectionKey, options: UpdateOptions, now: Date): Promise<NotaryState> {
    try {
      return await this.askAndKeep(collection, options, now, false);
    } catch (error) {
      if (!(error instanceof TrustError) || !PASSING.has(error.code)) throw error;
      return this.askAndKeep(collection, options, now, true);
    }
  }

  private async askAndKeep(
    collection: CollectionKey,
    options: UpdateOptions,
    now: Date,
    revalidate: boolean,
  ): Promise<NotaryState> {
    const verification = await this.askServer(collection, options, now, revalidate);
    if (verification.state.expired.length === 0) await this.keep(collection, verification);
    return verification.state;
  }

  private async askServer(
    collection: CollectionKey,
    options: UpdateOptions,
    now: Date,
    revalidate: boolean,
  ): Promise<Verification> {
    const stored = await this.options.trust.read(collection);
    const source = serverDocuments({
      api: this.options.api,
      gun: collection.gun,
      cached: await this.options.metadata.read(collection),
      trustedRoot: stored?.rootVersion,
      revalidate,
      signal: options.signal,
    });
    try {
      return await verifyCollection(source, this.verifyOptions(collection, options, now, stored));
    } finally {
      await source.close();
    }
  }

  /** Stored data, where it was checked with the server lately and still verifies; undefined otherwise. */
  private async fromRecentCache(
    collection: CollectionKey,
    options: UpdateOptions,
    now: Date,
    seconds: number,
  ): Promise<NotaryState | undefined> {
    const stored = await this.options.trust.read(collection);
    const age = stored === undefined ? Infinity : (now.getTime() - stored.checkedAt.getTime()) / 1000;
    if (!(age >= 0 && age <= seconds)) return undefined; // no number of seconds is no permission either
    try {
      return await this.fromCache(collection, { ...options, acceptExpired: false }, now);
    } catch (error) {
      if (error instanceof TrustError) return undefined; // the server has the last word, also on what is wrong
      throw error;
    }
  }

  private async fromCache(collection: CollectionKey, options: UpdateOptions, now: Date): Promise<NotaryState> {
    const stored = await this.options.trust.read(collection);
    if (stored === undefined) {
      throw new TrustError(
        "TRUST_UNAVAILABLE",
        `nothing is stored about ${collection.gun}, so it cannot be verified offline`,
        {
          hint: "Verify it online once",
          details: { collection: collection.gun },
        },
      );
    }
    const source = cachedDocuments(stored.root, await this.options.metadata.read(collection));
    const { state } = await verifyCollection(source, this.verifyOptions(collection, options, now, stored));
    return { ...state, checkedAt: stored.checkedAt };
  }

  private verifyOptions(
    { server, gun }: CollectionKey,
    { pin, firstUse, acceptExpired = false, floors }: UpdateOptions,
    now: Date,
    stored: TrustState | undefined,
  ): VerifyOptions {
    return { server, gun, now, stored, pin, firstUse, acceptExpired, floors };
  }

  /** Remembers what was verified: trust first, then what is new to the cache, which may be lost. */
  private async keep(collection: CollectionKey, { state, anchor, firstUse }: Verification): Promise<void> {
    const roles = verifiedRoles(state);
    const versions = roles
      .map(({ role, metadata }) => [role, metadata.version] as const)
      .filter(([role]) => role !== "root");
    const seen: TrustState = {
      root: state.root.document.bytes,
      rootVersion: state.root.metadata.version,
      anchor,
      firstUse,
      since: state.checkedAt,
      checkedAt: state.checkedAt,
      versions: new Map(versions),
    };
    await this.options.trust.update(collection, (current) => mergeTrustState(current, seen));
    const cached = await this.options.metadata.read(collection);
    const fresh = roles.filter(({ role, document }) => !isSame(cached.get(role), document.bytes));
    await this.options.metadata.write(collection, new Map(fresh.map(({ role, document }) => [role, document.bytes])));
  }
}

function isSame(stored: Bytes | undefined, bytes: Bytes): boolean {
  return stored !== undefined && equalBytes(stored, bytes);
}

/** Trust data in a plain TUF repository, on a web server or in a directory. */
import { equalBytes, type Bytes } from "../../base/bytes.ts";
import { errorCode, TrustError, UsageError } from "../../base/errors.ts";
import type { Runtime } from "../../base/runtime.ts";
import { findAnchor } from "../../tuf/bootstrap.ts";
import { TufClient, type Freshness } from "../../tuf/client.ts";
import type { TufKey } from "../../tuf/keys.ts";
import type { TufLimits } from "../../tuf/limits.ts";
import { loadPublished, type PublishedCollection } from "../../tuf/published.ts";
import type { TufRepository } from "../../tuf/repository.ts";
import type { Root } from "../../tuf/schema.ts";
import type { TufStore } from "../../tuf/store.ts";
import { TrustedSet, type TargetsRole, type VerifiedRole } from "../../tuf/trusted-set.ts";
import { readHandover } from "../import/handover.ts";
import { pinParts, type Pin } from "../pin.ts";
import type {
  EditTargets,
  OpenOptions,
  PublishOptions,
  PublishResult,
  TrustedCollection,
  TrustSource,
} from "../source.ts";
import { tufCollection } from "./collection.ts";

/** The field of root in which our publisher signs a collection's name. */
export const COLLECTION_FIELD = "x-wasm-to-oci-collection";

/** One collection of one repository. */
export interface TufCollectionKey {
  readonly location: string;
  readonly collection: string;
}

/**
 * Keeps what a consumer knows of TUF repositories: the root that trust began with, and verified metadata.
 *
 * Obligations: `writeAnchor` keeps an anchor that is there already and says which one stayed; an anchor that cannot be
 * read is an error, never "none"; stores of different anchors share nothing.
 */
export interface TufTrustStore {
  readAnchor(key: TufCollectionKey): Promise<Bytes | undefined>;
  writeAnchor(key: TufCollectionKey, anchor: Bytes): Promise<Bytes>;
  openStore(key: TufCollectionKey, anchor: Bytes): TufStore;
  /** Forgets a collection: its anchor, and what was verified from it. */
  remove(key: TufCollectionKey): Promise<void>;
}

/** Publishes to a repository; see `tuf-publisher.ts`. */
export type PublishTuf = (
  collection: string,
  edit: EditTargets,
  options: PublishOptions,
  source: TufSource,
) => Promise<PublishResult>;

export interface TufSourceOptions {
  readonly repository: TufRepository;
  /** What reports call the source; `tuf` unless told. */
  readonly kind?: "tuf" | "oci" | undefined;
  readonly runtime: Runtime;
  readonly trust: TufTrustStore;
  /** A root file that the caller trusts; it goes before anything that is stored. */
  readonly anchor?: Bytes | undefined;
  readonly freshness?: Freshness | undefined;
  readonly limits?: Partial<TufLimits> | undefined;
  /** Another role than root's `targets` to start at (TAP 13). */
  readonly targetsRole?: TargetsRole | undefined;
  /** How to publish; without it the source can only be read. */
  readonly publish?: PublishTuf | undefined;
}

/**
 * Opens a TUF repository as a trust source. Nothing is contacted yet.
 *
 * @example
 * ```ts
 * const source = createTufSource({ repository: httpRepository({ metadataUrl, runtime }), runtime, trust, anchor });
 * const collection = await source.open("acme/app", { firstUse: "refuse", names: ["v1"] });
 * collection.find("v1")?.hashes.sha256;
 * ```
 */
export function createTufSource(options: TufSourceOptions): TufSource {
  return new TufSource(options);
}

export class TufSource implements TrustSource {
  readonly kind: "tuf" | "oci";
  readonly location: string;
  private readonly options: TufSourceOptions;
  /** Long-lived sources verify nothing twice. */
  private readonly clients = new Map<string, { readonly anchor: Bytes; readonly client: TufClient }>();

  constructor(options: TufSourceOptions) {
    this.options = options;
    this.kind = options.kind ?? "tuf";
    this.location = options.repository.location;
  }

  async open(collection: string, options: OpenOptions): Promise<TrustedCollection> {
    const { freshness = this.options.freshness } = options;
    try {
      return await this.openOnce(collection, options);
    } catch (error) {
      // what is stored may name versions of delegated roles that the place has not kept since
      const isOld =
        freshness?.mode === "max-age" && ["TRUST_WITHHELD", "METADATA_TAMPERED"].includes(errorCode(error)!);
      if (!isOld) throw error;
      return this.openOnce(collection, { ...options, freshness: { mode: "online" } });
    }
  }

  private async openOnce(collection: string, options: OpenOptions): Promise<TrustedCollection> {
    refuseCertificates(options.pin ?? {});
    const key = { location: this.location, collection };
    const { runtime, trust } = this.options;
    const { freshness = this.options.freshness } = options;
    const stored = this.options.anchor ?? (await trust.readAnchor(key));
    if (stored === undefined && freshness?.mode === "offline") throw notStored(collection);
    const { repository } = this.options;
    const view = freshness?.mode === "offline" ? repository : (repository.view?.(options.names) ?? repository);
    const anchor = stored ?? (await this.bootstrap(view, collection, options));
    const client = this.clientOf(key, anchor);
    const { floors, signal } = options;
    const seenBefore = floors !== undefined || (await trust.openStore(key, anchor).readRecord()) !== undefined;
    const state = await client.verify({ freshness, view, floors, signal });
    const root = state.report().roles[0] as VerifiedRole<Root>;
    if (stored !== undefined) await checkPin(collection, options.pin, anchor, root);
    const handedOver = await handoverWarning(collection, options.pin, root);
    const warnings = [...checkName(root.document.signed, collection), ...handedOver];
    const firstUse = stored === undefined && !hasPin(options.pin);
    const opened = await tufCollection({
      state,
      name: collection,
      names: options.names,
      firstUse,
      seenBefore,
      warnings,
      createHasher: runtime.createHasher,
    });
    if (stored === undefined) await keepAnchor(this.options.trust, key, anchor);
    return opened;
  }

  async isKnown(collection: string): Promise<boolean> {
    if (this.options.anchor !== undefined) return true;
    return (await this.options.trust.readAnchor({ location: this.location, collection })) !== undefined;
  }

  /**
   * Reads a collection as its key holders do: verified in everything but dates, so that an expired one can be looked at.
   *
   * @throws {TrustError} as `open`, METADATA_EXPIRED never
   */
  async readPublished(collection: string, options: OpenOptions): Promise<PublishedCollection> {
    refuseCertificates(options.pin ?? {});
    const key = { location: this.location, collection };
    const { trust } = this.options;
    const repository = this.options.repository.view?.() ?? this.options.repository;
    const stored = this.options.anchor ?? (await trust.readAnchor(key));
    const anchor = stored ?? (await this.bootstrap(repository, collection, options));
    const floors = trust.openStore(key, anchor);
    const published = await loadPublished(repository, { anchor, floors, signal: options.signal });
    if (stored !== undefined) await checkPin(collection, options.pin, anchor, published.verifiedRoot);
    checkName(published.root.signed, collection);
    return published;
  }

  /**
   * Begins trust in a collection with a root that the caller vouches for. Where it had begun with another one, both must
   * lead to the same root today; the former one is kept then.
   *
   * @param options.offline where nothing is asked: it cannot take another one's place then
   * @throws {TrustError} ROOT_UNTRUSTED, and what `open` throws for a repository that does not follow from the root
   */
  async adopt(collection: string, anchor: Bytes, options: { offline?: boolean; signal?: AbortSignal }): Promise<void> {
    const key = { location: this.location, collection };
    const { trust } = this.options;
    const stored = await trust.readAnchor(key);
    const repository = this.options.repository.view?.() ?? this.options.repository;
    const newestFrom = async (start: Bytes): Promise<Bytes> => {
      const { root } = await loadPublished(repository, { anchor: start, signal: options.signal });
      checkName(root.signed, collection);
      return root.bytes;
    };
    const isOther = stored !== undefined && !equalBytes(stored, anchor);
    const newest = options.offline === true ? undefined : await newestFrom(anchor);
    const agrees = newest !== undefined && isOther && equalBytes(await newestFrom(stored), newest);
    if (isOther && !agrees) {
      throw new TrustError("ROOT_UNTRUSTED", `trust in ${collection} began here with another root`, {
        role: "root",
        hint: "If the new one is right, and only then: forget the collection, and pin it again",
        details: { collection },
      });
    }
    if (stored === undefined) await keepAnchor(this.options.trust, key, anchor);
  }

  /** Forgets the root and the versions that were seen, so that the next contact is the first again. */
  async forget(collection: string): Promise<void> {
    this.clients.delete(collection);
    await this.options.trust.remove({ location: this.location, collection });
  }

  async publish(collection: string, edit: EditTargets, options: PublishOptions): Promise<PublishResult> {
    if (this.options.publish !== undefined) return this.options.publish(collection, edit, options, this);
    throw new UsageError("USAGE", `${this.location} can be read here, not written`, {
      hint: "Publish to a directory, and let a web server serve it",
    });
  }

  private clientOf(key: TufCollectionKey, anchor: Bytes): TufClient {
    const known = this.clients.get(key.collection);
    if (known !== undefined && equalBytes(known.anchor, anchor)) return known.client;
    const { repository, runtime, trust, limits, targetsRole } = this.options;
    const store = trust.openStore(key, anchor);
    const client = new TufClient({ anchor, repository, store, now: runtime.now, limits, targetsRole });
    this.clients.set(key.collection, { anchor, client });
    return client;
  }

  /** The first root to trust, where none is known: one that the pin names, or the first one seen. */
  private async bootstrap(
    repository: TufRepository,
    collection: string,
    { pin, firstUse, signal }: OpenOptions,
  ): Promise<Bytes> {
    const pinned = hasPin(pin);
    const accepts = async (root: VerifiedRole<Root>): Promise<boolean> => {
      if (!pinned && firstUse === "refuse") throw firstUseRefused(collection);
      return !pinned || matchesPin(pin, root);
    };
    const found = await findAnchor({ repository, accepts, signal });
    if (found === "refused") throw pinMismatch(collection);
    if (found !== "absent") return found.anchor;
    throw new TrustError(pinned ? "TRUST_WITHHELD" : "TRUST_NOT_FOUND", `there is no trust data in ${this.location}`, {
      role: "root",
      hint: pinned
        ? "It must exist, since it is pinned: the server lost or withholds it"
        : "Check the name and the place; the first signed push to it makes trust data",
      details: { collection, missing: "root" },
    });
  }
}

/**
 * Keeps the root that trust begins with, once everything about it was checked.
 *
 * @throws {TrustError} ROOT_UNTRUSTED where another process has trusted a different one meanwhile
 */
export async function keepAnchor(trust: TufTrustStore, key: TufCollectionKey, anchor: Bytes): Promise<void> {
  if (equalBytes(await trust.writeAnchor(key, anchor), anchor)) return;
  throw new TrustError("ROOT_UNTRUSTED", `another process trusted a different first root of ${key.collection}`, {
    role: "root",
    hint: "One of the two was shown another repository; compare both with what the publisher says, and pin it",
    details: { collection: key.collection },
  });
}

/** All that a pin demands must hold, so one that cannot be checked here is refused. @throws {UsageError} USAGE */
function refuseCertificates({ certificateIds = [], certificateAuthorities, also }: Pin): void {
  if (also !== undefined) refuseCertificates(also);
  if (certificateIds.length === 0 && certificateAuthorities === undefined) return;
  throw new UsageError("USAGE", "a plain TUF repository has no root certificates that could be pinned", {
    hint: "Pin the fingerprints of its root keys, or give its root file",
  });
}

function notStored(collection: string): TrustError {
  return new TrustError(
    "TRUST_UNAVAILABLE",
    `nothing is stored about ${collection}, so it cannot be verified offline`,
    {
      hint: "Verify it online once",
      details: { collection },
    },
  );
}

/** Tells whether a pin names root keys. */
export function hasPin(pin: Pin | undefined): pin is Pin {
  return pin !== undefined && ((pin.fingerprints ?? []).length > 0 || hasPin(pin.also));
}

/**
 * An anchor that is stored must be what is pinned: it itself, or the root that follows from it today.
 *
 * @throws {TrustError} PIN_MISMATCH
 */
export async function checkPin(
  collection: string,
  pin: Pin | undefined,
  anchor: Bytes,
  newest: VerifiedRole<Root>,
): Promise<void> {
  if (!hasPin(pin) || (await matchesPin(pin, newest))) return;
  const set = new TrustedSet({ now: new Date(0) }); // an anchor may have expired
  await set.startFrom(anchor);
  for (const part of pinParts(pin).filter(hasPin)) {
    if ((await matchesPin(part, newest)) || (await matchesPin(part, set.root))) continue;
    throw pinMismatch(collection);
  }
}

/** Tells whether enough of the pinned keys have signed a root. @throws {UsageError} USAGE for a pin that none can match */
export async function matchesPin(pin: Pin, root: VerifiedRole<Root>): Promise<boolean> {
  const verdicts = await Promise.all(
    pinParts(pin)
      .filter(hasPin)
      .map((part) => matchesPart(part, root)),
  );
  return verdicts.length > 0 && verdicts.every(Boolean);
}

/** Said as long as a pin names keys of the time before a hand-over: whoever has those can hand over again. */
async function handoverWarning(
  collection: string,
  pin: Pin | undefined,
  { signedBy, document }: VerifiedRole<Root>,
): Promise<string[]> {
  const pinned = new Set(pinParts(pin).flatMap(({ fingerprints = [] }) => fingerprints));
  if (pinned.size === 0) return [];
  const signers = await Promise.all(signedBy.map(async ({ publicKey }) => publicKey?.fingerprint()));
  if (signers.some((fingerprint) => fingerprint !== undefined && pinned.has(fingerprint))) return [];
  const handover = await readHandover(document.signed);
  if (handover?.signedBy.some((fingerprint) => pinned.has(fingerprint)) !== true) return [];
  return [
    `the pin of ${collection} names keys that handed over to others: take these with \`wasm-to-oci trust pin --update\``,
  ];
}

/** Keys that have signed a root, or whose own collection was handed over to it. */
async function matchesPart(pin: Pin, { signedBy, document }: VerifiedRole<Root>): Promise<boolean> {
  const wanted = new Set((pin.fingerprints ?? []).map((fingerprint) => fingerprint.toLowerCase()));
  const threshold = pin.threshold ?? 1;
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > wanted.size) {
    throw new UsageError("USAGE", `a pin of ${wanted.size} fingerprints cannot demand ${threshold} of them`);
  }
  const signers = await Promise.all(signedBy.map(async (key: TufKey) => key.publicKey?.fingerprint()));
  const handover = await readHandover(document.signed);
  const isToThis = handover !== undefined && handover.to === document.signed.extra[COLLECTION_FIELD];
  const found = [...signers, ...(isToThis ? handover.signedBy : [])];
  return new Set(found.filter((fingerprint) => fingerprint !== undefined && wanted.has(fingerprint))).size >= threshold;
}

function firstUseRefused(collection: string): TrustError {
  return new TrustError("FIRST_USE_REFUSED", `nothing says which root of ${collection} to trust`, {
    role: "root",
    hint: "Give its root file, or pin the fingerprint of a root key that its publisher tells you",
    details: { collection },
  });
}

function pinMismatch(collection: string): TrustError {
  return new TrustError("PIN_MISMATCH", `the root of ${collection} is not signed by the keys that are pinned for it`, {
    role: "root",
    hint: "Either somebody else answers for this name, or its publisher changed the root key; ask the publisher before changing the pin",
    details: { collection },
  });
}

/** A root that names its collection answers for that one only. @throws {TrustError} COLLECTION_MISMATCH */
export function checkName(root: Root, collection: string): string[] {
  const name = root.extra[COLLECTION_FIELD];
  if (name === undefined) return ["the root names no collection: its keys alone say whose targets these are"];
  if (name === collection) return [];
  throw new TrustError(
    "COLLECTION_MISMATCH",
    `the root is not one of ${collection}: it is of ${JSON.stringify(name)}`,
    {
      role: "root",
      hint: "The repository answers for another collection; check the pin, or tell its operator",
      details: { expected: collection, got: JSON.stringify(name) },
    },
  );
}

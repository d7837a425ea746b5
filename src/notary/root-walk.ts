/** From the root that is trusted, or pinned, or seen first, to the newest one: version by version, each signed by the last. */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { FormatError, StorageError, TrustError, type ErrorCode } from "../base/errors.ts";
import { checkNotOlder } from "../tuf/checks.ts";
import type { DocumentSource } from "./document-source.ts";
import { readRoot } from "./metadata.ts";
import { isPin, type NotaryPin } from "./pinning.ts";
import { validateRoot } from "./root-validation.ts";
import type { TrustState } from "./trust-state.ts";
import type { NotaryTrustedSet } from "./trusted-set.ts";
import { decodeDocument } from "./wire.ts";

/** Rotations between two looks at a collection (python-tuf's limit). */
const MAX_ROTATIONS = 256;
/** What a pin of a root key that was rotated away looks like. */
const OUTDATED_PIN: ReadonlySet<ErrorCode> = new Set(["PIN_MISMATCH", "SIGNATURE_THRESHOLD"]);
/** Requests for root versions under way at once. */
const PARALLEL = 16;

export interface RootTrust {
  readonly gun: string;
  readonly now: Date;
  /** What is remembered of the collection. */
  readonly stored: TrustState | undefined;
  readonly pin: NotaryPin | undefined;
  readonly firstUse: "accept" | "refuse";
}

/** How trust began in this run: the root it rests on, and whether nobody vouched for it. */
export interface Anchor {
  readonly anchor: Bytes;
  readonly firstUse: boolean;
}

/**
 * Brings a trusted set to the newest root that a source has.
 *
 * @throws {TrustError} TRUST_NOT_FOUND, TRUST_WITHHELD, PIN_MISMATCH, FIRST_USE_REFUSED, ROOT_UNTRUSTED,
 *   METADATA_ROLLED_BACK, METADATA_TAMPERED and those of `validateRoot`
 */
export async function walkToNewestRoot(
  set: NotaryTrustedSet,
  source: DocumentSource,
  trust: RootTrust,
): Promise<Anchor> {
  const { stored } = trust;
  if (stored === undefined) return startAnew(set, source, trust);
  try {
    await checkStoredAgainstPin(trust, stored);
    await set.startFromTrusted(stored.root);
  } catch (error) {
    throw error instanceof FormatError ? damaged(trust.gun, error) : error;
  }
  const newest = await source.root();
  if (newest === undefined) throw missing("root", source, trust);
  await advanceTo(set, source, newest);
  await advanceFurther(set, source);
  return { anchor: stored.anchor, firstUse: stored.firstUse };
}

/** Says that a source has nothing of a collection, which is an answer only where nothing is known of it. */
function missing(what: string, source: DocumentSource, { gun, stored, pin }: RootTrust): TrustError {
  if (stored !== undefined) return withheld(what, source, `${gun} was verified before`);
  if (isPin(pin)) return withheld(what, source, `${gun} is pinned`);
  return new TrustError("TRUST_NOT_FOUND", `${source.name} has no trust data for ${gun}`, {
    hint: "Nothing was ever signed under this name on this server; check the name and the server",
    details: { collection: gun },
  });
}

/** Says that a source does not have what must exist. */
export function withheld(what: string, source: DocumentSource, reason: string): TrustError {
  return new TrustError("TRUST_WITHHELD", `${source.name} has no ${what}, although ${reason}`, {
    hint: "The server lost or withholds trust data; nothing was verified. If the collection was deleted on purpose, remove its trust state",
    details: { missing: what },
  });
}

/** It was a sound root when it was stored: what broke it is on this machine. */
function damaged(gun: string, cause: FormatError): StorageError {
  return new StorageError("STATE_INVALID", `the trusted root of ${gun} that is stored here is damaged`, {
    hint: "It says whom to trust, so it is not replaced silently; restore it, or remove it and pin the collection again",
    details: { reason: cause.message },
    cause,
  });
}

/** A pin given now must agree with what was trusted before: with the trusted root, or with the one that trust began with. */
async function checkStoredAgainstPin(
  { gun, now, pin: all }: Pick<RootTrust, "gun" | "now" | "pin">,
  stored: TrustState,
): Promise<void> {
  if (all === undefined) return;
  const { also, ...pin } = all; // each for itself: one may be older than a rotation, another one younger
  await checkStoredAgainstPin({ gun, now, pin: also }, stored);
  if (!isPin(pin)) return;
  let mismatch: unknown;
  for (const bytes of [stored.root, stored.anchor]) {
    try {
      await validateRoot(decodeDocument(bytes, "root"), { gun, now, pin, certificatesMustBeValid: false });
      return;
    } catch (error) {
      if (!(error instanceof TrustError)) throw error;
      mismatch ??= error;
    }
  }
  throw mismatch;
}

async function startAnew(set: NotaryTrustedSet, source: DocumentSource, trust: RootTrust): Promise<Anchor> {
  const newest = await source.root();
  if (newest === undefined) throw missing("root", source, trust);
  if (!isPin(trust.pin)) {
    await set.startFromNew(newest, undefined, true);
    if (trust.firstUse === "refuse") throw await firstUseRefused(set, trust.gun);
    return { anchor: newest, firstUse: true };
  }
  try {
    await set.startFromNew(newest, trust.pin, true);
    return { anchor: newest, firstUse: false };
  } catch (error) {
    if (!(error instanceof TrustError) || !OUTDATED_PIN.has(error.code)) throw error;
    const anchor = await startFromOlder(set, source, newest, trust.pin);
    if (anchor === undefined) throw error;
    return { anchor, firstUse: false };
  }
}

/** The publisher may have rotated since the pin was made: finds the newest root that the pin vouches for, and walks on. */
async function startFromOlder(
  set: NotaryTrustedSet,
  source: DocumentSource,
  newest: Bytes,
  pin: NotaryPin,
): Promise<Bytes | undefined> {
  const { version } = readRoot(decodeDocument(newest, "root").signed);
  const oldest = Math.max(1, version - MAX_ROTATIONS);
  for (let last = version - 1; last >= oldest; last -= PARALLEL) {
    const older = await fetchVersions(source, Math.max(oldest, last - PARALLEL + 1), last);
    for (let index = older.length - 1; index >= 0; index--) {
      const anchor = older[index];
      if (anchor === undefined || !(await isVouchedFor(set, anchor, pin))) continue;
      await advanceTo(set, source, newest);
      return anchor;
    }
  }
  return undefined;
}

async function isVouchedFor(set: NotaryTrustedSet, root: Bytes, pin: NotaryPin): Promise<boolean> {
  try {
    await set.startFromNew(root, pin, false);
    return true;
  } catch (error) {
    if (error instanceof TrustError || error instanceof FormatError) return false;
    throw error;
  }
}

/** Goes from the trusted root to a newer one, over every version in between; few are in memory at a time. */
async function advanceTo(set: NotaryTrustedSet, source: DocumentSource, newest: Bytes): Promise<void> {
  const { document, metadata } = set.newestRoot;
  if (equalBytes(newest, document.bytes)) return;
  const { version } = readRoot(decodeDocument(newest, "root").signed);
  checkNotOlder("root", version, metadata.version);
  if (version - metadata.version > MAX_ROTATIONS) throw tooManyRotations(metadata.version, version);
  for (let first = metadata.version + 1; first < version; first += PARALLEL) {
    const between = await fetchVersions(source, first, Math.min(first + PARALLEL, version) - 1);
    for (const [index, root] of between.entries()) {
      if (root === undefined) throw withheld(`root of version ${first + index}`, source, `it has version ${version}`);
      await set.advanceRoot(root);
    }
  }
  await set.advanceRoot(newest);
}

/** Looks for roots beyond the newest that the source admitted to, until there is none. */
async function advanceFurther(set: NotaryTrustedSet, source: DocumentSource): Promise<void> {
  const first = set.newestRoot.metadata.version;
  for (;;) {
    const { version } = set.newestRoot.metadata;
    const next = await source.rootVersion(version + 1);
    if (next === undefined) return;
    if (version - first >= MAX_ROTATIONS) throw tooManyRotations(first, version);
    await set.advanceRoot(next);
  }
}

/** All versions of a span that is never longer than `PARALLEL`, side by side. */
function fetchVersions(source: DocumentSource, first: number, last: number): Promise<(Bytes | undefined)[]> {
  return Promise.all(Array.from({ length: last - first + 1 }, (_, index) => source.rootVersion(first + index)));
}

function tooManyRotations(from: number, to: number): FormatError {
  return new FormatError(
    "LIMIT_EXCEEDED",
    `root went from version ${from} to ${to}, the limit is ${MAX_ROTATIONS} rotations`,
    {
      hint: "Pin the newest root by its fingerprint, as its publisher gives it",
      details: { role: "root", limit: MAX_ROTATIONS },
    },
  );
}

async function firstUseRefused(set: NotaryTrustedSet, gun: string): Promise<TrustError> {
  const keys = set.newestRoot.signedBy.flatMap(({ publicKey }) => publicKey ?? []);
  const fingerprints = await Promise.all(keys.map((key) => key.fingerprint()));
  return new TrustError(
    "FIRST_USE_REFUSED",
    `nothing is known about the root keys of ${gun}, and trusting the first ones seen was not allowed`,
    {
      role: "root",
      hint: `Ask its publisher for the fingerprint and pin it; the server offers ${fingerprints.join(", ")}`,
      details: { collection: gun, fingerprints },
    },
  );
}

/** What a reference is verified against where a lockfile has a say: never less than without one. */
import { TrustError } from "../base/errors.ts";
import { readRegularFile } from "../node/regular-file.ts";
import { formatTagged, repositoryName, taggedReference, type TaggedReference } from "../oci/tagged-reference.ts";
import type { Coverage } from "../trust/coverage.ts";
import { lockFloors } from "../trust/lock/comparison.ts";
import { MAX_LOCKFILE_BYTES, parseLockfile, type LockedModule } from "../trust/lock/lockfile.ts";
import type { Session } from "./session.ts";

/** Reads a lockfile; undefined where there is none. @throws {FormatError} LOCK_INVALID; {StorageError} */
export async function readLockfile(path: string): Promise<LockedModule[] | undefined> {
  const bytes = await readRegularFile(path, MAX_LOCKFILE_BYTES);
  return bytes && parseLockfile(bytes, path);
}

/** The entry of a reference. @throws {TrustError} LOCK_MISSING */
export function requireEntry(modules: readonly LockedModule[], reference: TaggedReference, path: string): LockedModule {
  const name = formatTagged(reference);
  const entry = modules.find((module) => module.reference === name);
  if (entry !== undefined) return entry;
  throw new TrustError("LOCK_MISSING", `${path} has no entry for ${name}`, {
    hint: `Lock it: wasm-to-oci lock ${name}`,
    details: { reference: name, file: path },
  });
}

/**
 * The coverage of a reference under a lockfile: its versions are floors, and its root keys are pinned where nothing
 * else says which ones to trust.
 *
 * @param alone whether the lockfile decides where nothing else covers the reference
 */
export async function lockedCoverage(
  session: Session,
  reference: TaggedReference,
  modules: readonly LockedModule[],
  alone: boolean,
): Promise<Coverage | undefined> {
  const repository = repositoryName(reference);
  const known = modules.filter((module) => repositoryName(taggedReference(module.reference)) === repository);
  const own = await session.coverage(reference);
  const covered = own === undefined && alone ? fromLock(session, reference, known) : own;
  if (covered === undefined) return undefined;
  const { collection } = covered;
  const floors = lockFloors(modules, repository, collection);
  const locked = known.find((module) => module.collection === collection);
  if (locked === undefined || covered.reason !== "flags" || covered.pin !== undefined) return { ...covered, floors };
  return { ...covered, floors, pin: { fingerprints: locked.rootKeys }, firstUse: "refuse" };
}

function fromLock(session: Session, reference: TaggedReference, known: readonly LockedModule[]): Coverage | undefined {
  const name = formatTagged(reference);
  const entry = known.find((module) => module.reference === name);
  if (entry === undefined) return undefined;
  const { source, kind } = session.openTrust(entry.place, reference);
  return {
    source,
    collection: entry.collection,
    prefix: kind === "notary" ? undefined : entry.target.slice(0, entry.target.lastIndexOf("/") + 1),
    reason: "lock",
    pin: { fingerprints: entry.rootKeys },
    firstUse: "refuse",
    ...(session.offline && { freshness: { mode: "offline" } as const }),
  };
}

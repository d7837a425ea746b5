/** One pass of the client workflow over whatever source of documents: root, timestamp, snapshot, targets, delegations. */
import { FormatError } from "../base/errors.ts";
import type { FileMeta } from "./metadata.ts";
import type { DocumentSource, SourcedDocument } from "./document-source.ts";
import { walkToNewestRoot, withheld, type Anchor, type RootTrust } from "./root-walk.ts";
import type { NotaryState } from "./state.ts";
import { NotaryTrustedSet, type WantedDelegation } from "./trusted-set.ts";

/** Delegations fetched at once. */
const PARALLEL = 16;
/** All delegations of a collection together: they are held in memory. */
const MAX_DELEGATIONS_BYTES = 256 * 1024 * 1024;

export interface VerifyOptions extends RootTrust {
  /** The server's address, kept in the state. */
  readonly server: string;
  /** Go on past expiry dates, for inspection and repair. */
  readonly acceptExpired: boolean;
  /** The lowest version to accept of a role, besides those that are stored. */
  readonly floors?: ReadonlyMap<string, number> | undefined;
}

/** What a pass found. Nothing was stored. */
export interface Verification extends Anchor {
  readonly state: NotaryState;
}

/**
 * Verifies a collection.
 *
 * @throws {TrustError} whatever is wrong with it; {@link walkToNewestRoot} for root
 */
export async function verifyCollection(source: DocumentSource, options: VerifyOptions): Promise<Verification> {
  const { gun, now, stored, acceptExpired, floors } = options;
  const set = new NotaryTrustedSet({ gun, now, acceptExpired, versions: highest(stored?.versions, floors) });
  const anchor = await walkToNewestRoot(set, source, options);
  await set.settleRoot();
  const timestamp = await source.timestamp();
  if (timestamp === undefined) throw withheld("timestamp", source, "it has a root");
  await set.updateTimestamp(timestamp.bytes, timestamp.from);
  const snapshot = await obtain(source, "snapshot", set.expectedSnapshot);
  await set.updateSnapshot(snapshot.bytes, snapshot.from);
  const targets = await obtain(source, "targets", set.expectedTargets("targets")!);
  await set.updateTargets(targets.bytes, targets.from);
  await addDelegations(set, source);
  return { ...anchor, state: set.state(options.server, anchor.firstUse && stored === undefined) };
}

/** Of two sets of versions the higher one of each role. */
function highest(...sets: readonly (ReadonlyMap<string, number> | undefined)[]): ReadonlyMap<string, number> {
  const versions = new Map<string, number>();
  for (const set of sets) {
    for (const [role, version] of set ?? []) versions.set(role, Math.max(version, versions.get(role) ?? 0));
  }
  return versions;
}

async function obtain(source: DocumentSource, role: string, expected: FileMeta): Promise<SourcedDocument> {
  const document = await source.matching(role, expected);
  if (document === undefined) throw withheld(`metadata of ${role}`, source, "its signed metadata names it");
  return document;
}

/** Level by level, the documents of one level side by side. */
async function addDelegations(set: NotaryTrustedSet, source: DocumentSource): Promise<void> {
  let delegators = ["targets"];
  let size = 0;
  while (delegators.length > 0) {
    const level = delegators.flatMap((role) => set.delegationsOf(role));
    for (const { expected } of level) size += expected?.length ?? 0;
    if (size > MAX_DELEGATIONS_BYTES) throw tooLarge(size);
    for (let start = 0; start < level.length; start += PARALLEL) {
      const batch = level.slice(start, start + PARALLEL);
      const documents = await Promise.all(batch.map((wanted) => obtainDelegation(source, wanted)));
      for (const [index, wanted] of batch.entries()) {
        const document = documents[index];
        await set.addDelegation(wanted, document?.bytes, document?.from ?? "network");
      }
    }
    delegators = level.map(({ delegation }) => delegation.name).filter((name) => set.hasDelegation(name));
  }
}

async function obtainDelegation(
  source: DocumentSource,
  { delegation, expected }: WantedDelegation,
): Promise<SourcedDocument | undefined> {
  return expected && obtain(source, delegation.name, expected);
}

function tooLarge(size: number): FormatError {
  return new FormatError(
    "LIMIT_EXCEEDED",
    `the delegations have ${size} bytes, the limit is ${MAX_DELEGATIONS_BYTES}`,
    {
      details: { limit: MAX_DELEGATIONS_BYTES, got: size },
    },
  );
}

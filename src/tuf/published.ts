/**
 * A collection as its publishers work on it: verified like a client's view in everything but dates, so that expired
 * metadata can be looked at and signed again.
 */
import type { Bytes } from "../base/bytes.ts";
import { FormatError, TrustError, type WasmToOciError } from "../base/errors.ts";
import { delegationNamed } from "./delegations.ts";
import { ignoringFaults, readExpected } from "./document-io.ts";
import { metadataFile } from "./names.ts";
import type { TufRepository } from "./repository.ts";
import type { MetaFile, Root, SignedMetadata, Snapshot, Targets, Timestamp } from "./schema.ts";
import type { TufStore } from "./store.ts";
import { TrustedSet, type VerifiedRole } from "./trusted-set.ts";
import { VerificationMemo } from "./verification-memo.ts";

/** Before every expiry: dates are not looked at. */
const NO_DATE = new Date(0);
/** Bytes of a document whose length nobody signed; what a publisher made must fit into it. */
const MAX_DOCUMENT = 128 * 1024 * 1024;
const MAX_ROOT = 512_000;
const MAX_TIMESTAMP = 16_384;
/** A root a day for ten years; a client follows fewer, from a newer anchor. */
const MAX_ROOTS = 4096;
/** Roles that are loaded to see who delegates to whom; hash bins are not among them. */
const MAX_ROLES = 20_000;

export interface LoadOptions {
  /** A root that the publisher trusts: all newer ones must follow from it. */
  readonly anchor: Bytes;
  /** What was verified here before: nothing may have gone back since. */
  readonly floors?: TufStore | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a collection: root, timestamp, snapshot, and every targets role but hash bins, which are read when asked for.
 *
 * @throws {TrustError} as a client's refresh, METADATA_EXPIRED never
 */
export async function loadPublished(place: TufRepository, options: LoadOptions): Promise<PublishedCollection> {
  const { anchor, floors, signal } = options;
  const repository = place.view?.() ?? place;
  const memo = new VerificationMemo();
  const seen = await newestSeenRoot(anchor, floors, memo);
  const set = new TrustedSet({ now: NO_DATE, memo, floors: new Map([["root", seen]]) });
  await set.startFrom(anchor);
  for (let followed = 0; ; followed++) {
    const file = metadataFile("root", set.root.document.signed.version + 1);
    const bytes = await repository.metadata({ file, limit: MAX_ROOT, signal });
    if (bytes === undefined) break;
    if (followed === MAX_ROOTS) throw new FormatError("LIMIT_EXCEEDED", `there are more than ${MAX_ROOTS} roots`);
    await set.advanceRoot(bytes, "network");
  }
  set.settleRoot();
  await applyFloors(set, floors);
  const timestamp = await repository.metadata({ file: metadataFile("timestamp"), limit: MAX_TIMESTAMP, signal });
  await set.updateTimestamp(timestamp ?? withheld("timestamp"), "network");
  const consistent = set.root.document.signed.consistentSnapshot;
  const read = async (role: string, meta: MetaFile): Promise<Bytes> => {
    const file = metadataFile(role, consistent ? meta.version : undefined);
    const most = { usual: MAX_DOCUMENT, most: MAX_DOCUMENT };
    return (
      (await readExpected(role, meta, most, (limit) => repository.metadata({ file, limit, signal }))) ?? withheld(role)
    );
  };
  await set.updateSnapshot(await read("snapshot", set.expectedSnapshot), "network");
  const collection = new PublishedCollection(set, repository, read);
  await collection.loadTree();
  return collection;
}

export class PublishedCollection {
  /** `targets` and every delegated role that is usable, as far as it was loaded. */
  readonly targets = new Map<string, SignedMetadata<Targets>>();
  /** Roles whose published document cannot be used, and why. One that was never published is not among them. */
  readonly unusable = new Map<string, WasmToOciError>();
  /** What it was read from: the place itself, or its view at that moment. */
  readonly repository: TufRepository;
  private readonly set: TrustedSet;
  private readonly read: (role: string, meta: MetaFile) => Promise<Bytes>;

  constructor(set: TrustedSet, repository: TufRepository, read: (role: string, meta: MetaFile) => Promise<Bytes>) {
    this.set = set;
    this.repository = repository;
    this.read = read;
  }

  get root(): SignedMetadata<Root> {
    return this.set.root.document;
  }

  /** The newest root with the keys that signed it. */
  get verifiedRoot(): VerifiedRole<Root> {
    return this.set.root;
  }

  /** Everything that was verified so far, as a client reports it. */
  verifiedRoles(): VerifiedRole[] {
    return this.set.verifiedRoles();
  }

  get timestamp(): SignedMetadata<Timestamp> {
    return this.set.timestamp.document;
  }

  get snapshot(): SignedMetadata<Snapshot> {
    return this.set.snapshot.document;
  }

  /** The version that the snapshot has of a role, also of one that nobody delegates to any more; 0 for none. */
  versionOf(role: string): number {
    return this.snapshot.signed.meta.get(role)?.version ?? 0;
  }

  /** Loads every role that is delegated to by name, each for each of its delegators. */
  async loadTree(): Promise<void> {
    const queue: { role: string; delegator: string | undefined }[] = [{ role: "targets", delegator: undefined }];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const isNew = !this.targets.has(next.role) && !this.unusable.has(next.role);
      const document = await this.load(next.role, next.delegator);
      if (document === undefined || !isNew) continue;
      for (const { name } of document.signed.delegations?.roles ?? []) queue.push({ role: name, delegator: next.role });
      if (queue.length > MAX_ROLES) throw new FormatError("LIMIT_EXCEEDED", `there are more than ${MAX_ROLES} roles`);
    }
  }

  /** A role's document, verified for whoever is seen to delegate to it. */
  async loadAny(role: string): Promise<SignedMetadata<Targets> | undefined> {
    const known = this.targets.get(role);
    if (known !== undefined) return known;
    for (const [delegator, { signed }] of this.targets) {
      if (delegationNamed(signed.delegations, role) !== undefined) return this.load(role, delegator);
    }
    return undefined;
  }

  /**
   * A role's document, verified for a delegator; undefined where it was never published, or cannot be used.
   *
   * @throws {TransportError} where the repository cannot be read; faults of the document itself go to `unusable`
   */
  async load(role: string, delegator: string | undefined): Promise<SignedMetadata<Targets> | undefined> {
    const verified = this.set.targets(role, delegator);
    if (verified !== undefined) return verified.document;
    const meta = this.set.snapshot.document.signed.meta.get(role);
    if (meta === undefined) return undefined;
    if (
      delegator !== undefined &&
      delegationNamed(this.targets.get(delegator)?.signed.delegations, role) === undefined
    ) {
      return undefined;
    }
    try {
      const bytes = this.set.targetsDocument(role)?.document.bytes ?? (await this.read(role, meta));
      const { document } = await this.set.updateTargets(role, delegator, bytes, "network");
      if (!this.unusable.has(role)) this.targets.set(role, document);
      return document;
    } catch (error) {
      if (!(error instanceof TrustError || error instanceof FormatError)) throw error;
      if (role === "targets") throw error;
      this.unusable.set(role, error);
      this.targets.delete(role);
      return undefined;
    }
  }
}

/**
 * The version of the newest root that was verified here before. A place that keeps that one back gets nothing built upon
 * an older one: whoever signs a root there would make a second one of the same version, and undo what the first took away.
 */
async function newestSeenRoot(anchor: Bytes, floors: TufStore | undefined, memo: VerificationMemo): Promise<number> {
  const seen = new TrustedSet({ now: NO_DATE, memo });
  await seen.startFrom(anchor);
  for (;;) {
    const { version } = seen.root.document.signed;
    const stored = await floors?.readRoot(version + 1);
    if (stored === undefined) return version;
    await ignoringFaults(() => seen.advanceRoot(stored, "cache"));
    if (seen.root.document.signed.version === version) return version; // damaged, or another repository's
  }
}

async function applyFloors(set: TrustedSet, floors: TufStore | undefined): Promise<void> {
  if (floors === undefined) return;
  const timestamp = await floors.read("timestamp");
  const snapshot = await floors.read("snapshot");
  // what another root's keys had signed is no floor any more: that is how recovery from a compromise works
  if (timestamp !== undefined) await ignoringFaults(() => set.rememberTimestamp(timestamp));
  if (snapshot !== undefined) await ignoringFaults(() => set.rememberSnapshot(snapshot));
}

function withheld(role: string): never {
  throw new TrustError("TRUST_WITHHELD", `the repository does not have the metadata of ${role} that it must have`, {
    role,
    hint: "Restore it from a backup or a mirror: every file of the current state must be there",
  });
}

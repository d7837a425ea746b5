/**
 * The client workflow of the specification (§5) with its I/O: what to load next, from where, and what to keep. What
 * may be trusted is decided by {@link TrustedSet}. Every document is checked in full before it is kept.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { FormatError, StorageError, TrustError, WasmToOciError, type ErrorCode } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import { searchTarget, type FoundTarget } from "./delegations.ts";
import { decodeMetadata } from "./metadata.ts";
import { metadataFile } from "./names.ts";
import type { TufRepository } from "./repository.ts";
import type { MetadataType, MetaFile, Targets } from "./schema.ts";
import type { CheckRecord, TufStore } from "./store.ts";
import { TrustedSet, type TargetsRole, type VerifiedRole } from "./trusted-set.ts";
import { VerificationMemo } from "./verification-memo.ts";

/**
 * How current the answer must be.
 * - `online`: the repository is asked, always
 * - `max-age`: stored metadata is enough where the repository was asked so many seconds ago, and all is still good
 * - `offline`: stored metadata only, checked for the moment `asOf` (now unless told)
 */
export type Freshness =
  | { readonly mode: "online" }
  | { readonly mode: "max-age"; readonly seconds: number }
  | { readonly mode: "offline"; readonly asOf?: Date | undefined };

/** Bytes of documents whose length nobody signed, and the number of roots to follow. */
export interface TufLimits {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
  /** What even a signed length may not exceed. */
  readonly signedLength: number;
  readonly rootRotations: number;
}

/** As in python-tuf, go-tuf and tuf-js; a signed length allows more, up to what fits into memory easily. */
export const DEFAULT_TUF_LIMITS: TufLimits = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 2_000_000,
  targets: 5_000_000,
  signedLength: 128 * 1024 * 1024,
  rootRotations: 256,
};

/** Clocks that are set by the network step back a little; more than this is a wrong clock, or an attack through it. */
const CLOCK_LEEWAY_MS = 60 * 60 * 1000;

/** Failures that a publish in the middle of our reading can cause: worth one more look. */
const PASSING: ReadonlySet<ErrorCode> = new Set(["TRUST_WITHHELD", "METADATA_TAMPERED"]);

export interface TufClientOptions {
  /** A root document that the caller trusts. It may be old and expired, the stored ones must follow from it. */
  readonly anchor: Bytes;
  readonly repository: TufRepository;
  /** One per repository and anchor. */
  readonly store: TufStore;
  readonly now: Clock;
  readonly limits?: Partial<TufLimits> | undefined;
  /** Start searches at another role than root's `targets` (TAP 13). */
  readonly targetsRole?: TargetsRole | undefined;
}

export interface RefreshOptions {
  /** `online` unless told. */
  readonly freshness?: Freshness | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One run of the workflow. */
interface Run {
  readonly set: TrustedSet;
  readonly online: boolean;
  readonly signal: AbortSignal | undefined;
  /** Roles that are being loaded, so that two searches at once ask once. */
  readonly loading: Map<string, Promise<VerifiedRole<Targets>>>;
  readonly warnings: string[];
}

/** What a refresh found. */
export interface RefreshReport {
  /** Root, timestamp, snapshot, then targets roles in the order they were loaded. */
  readonly roles: readonly VerifiedRole[];
  /** What is not a failure and should be known: a store that cannot be written. */
  readonly warnings: readonly string[];
}

/**
 * A client of one repository.
 *
 * @example
 * ```ts
 * const client = new TufClient({ anchor, repository, store: memoryTufStore(), now: () => new Date() });
 * await client.refresh();
 * const found = await client.find("team/app/v1");
 * ```
 */
export class TufClient {
  private readonly options: TufClientOptions;
  private readonly limits: TufLimits;
  private readonly memo = new VerificationMemo();
  private run: Run | undefined;

  constructor(options: TufClientOptions) {
    this.options = options;
    this.limits = { ...DEFAULT_TUF_LIMITS, ...options.limits };
  }

  /**
   * Verifies the repository's top-level metadata. May be called again at any time; each call starts anew, and only
   * its success replaces what `find` searches.
   *
   * @throws {FormatError} JSON_INVALID, METADATA_INVALID, LIMIT_EXCEEDED
   * @throws {TrustError} METADATA_EXPIRED, METADATA_ROLLED_BACK, METADATA_TAMPERED, SIGNATURE_THRESHOLD,
   *   TRUST_WITHHELD, CLOCK_BEHIND; TRUST_UNAVAILABLE where nothing is stored and the mode is offline
   * @throws {TransportError} where the repository cannot be reached
   */
  async refresh(options: RefreshOptions = {}): Promise<RefreshReport> {
    const freshness = options.freshness ?? { mode: "online" };
    const now = this.options.now();
    if (freshness.mode === "offline") {
      return this.finish(await this.execute(freshness.asOf ?? now, false, options.signal));
    }
    const record = await this.options.store.readRecord();
    if (record !== undefined) checkClock(now, record);
    if (freshness.mode === "max-age" && record !== undefined) {
      const recent = await this.fromRecentStore(now, record, freshness.seconds, options.signal);
      if (recent !== undefined) return this.finish(recent);
    }
    const run = await this.fromRepository(now, options.signal);
    await this.keep(run.warnings, () => this.options.store.writeRecord({ checkedAt: now }));
    return this.finish(run);
  }

  /**
   * Looks a target up, loading delegated roles on the way. Refreshes first where that was not done yet.
   *
   * @returns undefined where no role that covers the name has it
   * @throws as `refresh`: a role on the way that cannot be had or verified ends the search with that error
   */
  async find(
    path: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<FoundTarget | undefined> {
    if (this.run === undefined) await this.refresh(options);
    const run = this.current();
    return searchTarget(path, run.set.topRole, async ({ role, delegator }) => {
      return (await this.load(run, role, delegator)).document.signed;
    });
  }

  /** A targets role, verified for its delegator; undefined stands for who names the top-level role. */
  async targets(role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    return this.load(this.current(), role, delegator);
  }

  /** A targets role that is there already. */
  loadedTargets(role: string, delegator: string | undefined): VerifiedRole<Targets> | undefined {
    return this.current().set.targets(role, delegator);
  }

  /** An account of everything that the last refresh, and searches since, have used. */
  report(): RefreshReport {
    const { set, warnings } = this.current();
    return { roles: set.verifiedRoles(), warnings: [...warnings] };
  }

  /** The role where searches start. */
  get topRole(): string {
    return this.current().set.topRole;
  }

  /** Whether the repository keeps every version of its files under names of their own (§6.2). */
  get consistentSnapshot(): boolean {
    return this.current().set.root.document.signed.consistentSnapshot;
  }

  private current(): Run {
    if (this.run !== undefined) return this.run;
    throw new TrustError("TRUST_UNAVAILABLE", "the repository was not verified yet", { hint: "Refresh first" });
  }

  private finish(run: Run): RefreshReport {
    this.run = run;
    return this.report();
  }

  private async fromRepository(now: Date, signal: AbortSignal | undefined): Promise<Run> {
    try {
      return await this.execute(now, true, signal);
    } catch (error) {
      if (!(error instanceof TrustError) || !PASSING.has(error.code)) throw error;
      return this.execute(now, true, signal);
    }
  }

  /** Stored metadata, where it was checked with the repository lately and is still good; undefined otherwise. */
  private async fromRecentStore(
    now: Date,
    { checkedAt }: CheckRecord,
    seconds: number,
    signal: AbortSignal | undefined,
  ): Promise<Run | undefined> {
    if ((now.getTime() - checkedAt.getTime()) / 1000 > seconds) return undefined;
    return ignoringFaults(() => this.execute(now, false, signal));
  }

  private async execute(now: Date, online: boolean, signal: AbortSignal | undefined): Promise<Run> {
    const { targetsRole } = this.options;
    const set = new TrustedSet({ now, memo: this.memo, targetsRole });
    const run: Run = { set, online, signal, loading: new Map(), warnings: [] };
    await this.updateRoot(run);
    await this.updateTimestamp(run);
    await this.updateSnapshot(run);
    await this.load(run, set.topRole, undefined);
    return run;
  }

  /** §5.3: from the anchor through the stored roots to the newest one. */
  private async updateRoot(run: Run): Promise<void> {
    const { set } = run;
    const { anchor, store } = this.options;
    await set.startFrom(anchor);
    for (let stored = await this.nextStored(set); stored !== undefined; stored = await this.nextStored(set)) {
      const bytes = stored;
      const followed = await ignoringFaults(async () => {
        await set.advanceRoot(bytes, "cache");
        return true;
      });
      if (followed === undefined) break; // damaged or another repository's: the repository has the last word
    }
    if (run.online) {
      await this.followRoots(run);
      const { version } = set.root.document.signed;
      const { bytes } = set.root.document;
      const kept = await store.readRoot(version);
      if (kept === undefined || !equalBytes(kept, bytes)) {
        await this.keep(run.warnings, () => store.writeRoot(version, bytes));
      }
    }
    set.settleRoot();
  }

  private nextStored(set: TrustedSet): Promise<Bytes | undefined> {
    return this.options.store.readRoot(set.root.document.signed.version + 1);
  }

  private async followRoots(run: Run): Promise<void> {
    const { set } = run;
    for (let followed = 0; ; followed++) {
      const version = set.root.document.signed.version + 1;
      const bytes = await this.fetch(run, "root", version, this.limits.root);
      if (bytes === undefined) return;
      if (followed === this.limits.rootRotations) throw tooManyRoots(followed);
      await set.advanceRoot(bytes, "network");
      await this.keep(run.warnings, () => this.options.store.writeRoot(version, bytes));
    }
  }

  /** §5.4 */
  private async updateTimestamp(run: Run): Promise<void> {
    const { set } = run;
    const stored = await this.options.store.read("timestamp");
    if (stored !== undefined) await ignoringFaults(() => set.rememberTimestamp(stored));
    if (run.online) {
      const bytes = await this.fetch(run, "timestamp", undefined, this.limits.timestamp);
      if (bytes === undefined) throw withheld("timestamp");
      if ((await set.updateTimestamp(bytes, "network")) === "new") await this.keepRole(run, "timestamp", bytes, stored);
    } else if (!set.hasTimestamp) {
      throw new TrustError("TRUST_UNAVAILABLE", "no timestamp is stored, so nothing can be verified offline", {
        role: "timestamp",
        hint: "Verify online once",
      });
    }
    set.settleTimestamp();
  }

  /** §5.5 */
  private async updateSnapshot(run: Run): Promise<void> {
    const { set } = run;
    const stored = await this.options.store.read("snapshot");
    if (stored !== undefined) {
      await ignoringFaults(() => set.rememberSnapshot(stored));
      if (await this.usable(run, () => set.updateSnapshot(stored, "cache"))) return;
    }
    const bytes = await this.fetchExpected(run, "snapshot", set.expectedSnapshot, this.limits.snapshot);
    await set.updateSnapshot(bytes, "network");
    await this.keepRole(run, "snapshot", bytes, stored);
  }

  /** §5.6, for the top-level role and delegated ones alike. */
  private load(run: Run, role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    const known = run.set.targets(role, delegator);
    if (known !== undefined) return Promise.resolve(known);
    const name = JSON.stringify([role, delegator ?? null]);
    const loading = run.loading.get(name) ?? this.loadTargets(run, role, delegator);
    run.loading.set(name, loading);
    const done = (): void => void run.loading.delete(name);
    loading.then(done, done);
    return loading;
  }

  private async loadTargets(run: Run, role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    const { set } = run;
    const other = set.targetsDocument(role);
    if (other !== undefined) return set.updateTargets(role, delegator, other.document.bytes, other.from);
    const expected = set.expectedTargets(role);
    const stored = await this.options.store.read(role);
    if (stored !== undefined && (await this.usable(run, () => set.updateTargets(role, delegator, stored, "cache")))) {
      return set.targets(role, delegator)!;
    }
    const bytes = await this.fetchExpected(run, role, expected, this.limits.targets);
    const verified = await set.updateTargets(role, delegator, bytes, "network");
    await this.keepRole(run, role, bytes, stored);
    return verified;
  }

  /** Tries a stored document; offline its fault is the answer, online the repository may have a better one. */
  private async usable(run: Run, use: () => Promise<unknown>): Promise<boolean> {
    if (!run.online) {
      await use();
      return true;
    }
    return (await ignoringFaults(async () => (await use(), true))) ?? false;
  }

  private async fetchExpected(run: Run, role: string, expected: MetaFile, usual: number): Promise<Bytes> {
    if (!run.online) {
      throw new TrustError("TRUST_UNAVAILABLE", `the metadata of ${role} is not stored, and this is offline`, {
        role,
        hint: "Verify online once",
      });
    }
    const limit = expected.length === undefined ? usual : Math.min(expected.length, this.limits.signedLength);
    const version = run.set.root.document.signed.consistentSnapshot ? expected.version : undefined;
    const bytes = await this.fetch(run, role, version, limit);
    if (bytes === undefined) throw withheld(role);
    return bytes;
  }

  private fetch(run: Run, role: string, version: number | undefined, limit: number): Promise<Bytes | undefined> {
    return this.options.repository.metadata({ file: metadataFile(role, version), limit, signal: run.signal });
  }

  /** Keeps a document, unless another run has kept a newer one since this one looked. */
  private async keepRole(run: Run, role: string, bytes: Bytes, seen: Bytes | undefined): Promise<void> {
    await this.keep(run.warnings, () =>
      this.options.store.update(role, (current) => {
        const same = current === undefined || (seen !== undefined && equalBytes(current, seen));
        return same || versionOf(current, role) <= versionOf(bytes, role) ? bytes : undefined;
      }),
    );
  }

  /** A place that cannot be written must not stop a verification: the floors stay where they were, and it is said. */
  private async keep(warnings: string[], write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      warnings.push(
        `what was verified could not be stored, so the next run starts from older metadata: ${error.message}`,
      );
    }
  }
}

/** Stored bytes may be anything: what cannot be read has no version to defend. */
function versionOf(bytes: Bytes, role: string): number {
  const type: MetadataType = role === "timestamp" || role === "snapshot" ? role : "targets";
  try {
    return decodeMetadata(bytes, type, role).signed.version;
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}

/** Runs with stored bytes, whose faults only mean that they are of no use. */
async function ignoringFaults<T>(use: () => Promise<T>): Promise<T | undefined> {
  try {
    return await use();
  } catch (error) {
    if (error instanceof WasmToOciError && (error instanceof TrustError || error instanceof FormatError))
      return undefined;
    throw error;
  }
}

function checkClock(now: Date, { checkedAt }: CheckRecord): void {
  if (now.getTime() >= checkedAt.getTime() - CLOCK_LEEWAY_MS) return;
  throw new TrustError(
    "CLOCK_BEHIND",
    `this machine's clock says ${now.toISOString()}, but metadata was verified here at ${checkedAt.toISOString()} before`,
    {
      hint: "Set the clock: with a wrong one, expired metadata looks good",
      details: { now: now.toISOString(), checkedAt: checkedAt.toISOString() },
    },
  );
}

function withheld(role: string): TrustError {
  return new TrustError("TRUST_WITHHELD", `the repository does not have the metadata of ${role} that it must have`, {
    role,
    hint: "It is being published this very moment, damaged, or withheld; try again, and tell the publisher",
  });
}

function tooManyRoots(limit: number): FormatError {
  return new FormatError(
    "LIMIT_EXCEEDED",
    `the repository has more than ${limit} roots since the one that is trusted`,
    {
      hint: "Those that were verified are kept: run the command again, or use a newer trust anchor",
      details: { role: "root", limit },
    },
  );
}

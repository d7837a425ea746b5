/**
 * The client of one repository: when its metadata must be verified again, and searches in what was verified. The
 * workflow of the specification itself is in `workflow.ts`.
 */
import type { Bytes } from "../base/bytes.ts";
import { TrustError, type ErrorCode } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import type { FoundTarget } from "./delegations.ts";
import { DocumentIo, ignoringFaults } from "./document-io.ts";
import { DEFAULT_TUF_LIMITS, type TufLimits } from "./limits.ts";
import type { TufRepository } from "./repository.ts";
import type { Targets } from "./schema.ts";
import type { CheckRecord, TufStore } from "./store.ts";
import { TrustedSet, type TargetsRole, type VerifiedRole } from "./trusted-set.ts";
import { VerificationMemo } from "./verification-memo.ts";
import { VerifiedState, type RefreshReport } from "./verified-state.ts";
import { Workflow } from "./workflow.ts";

/**
 * How current the answer must be.
 * - `online`: the repository is asked, always
 * - `max-age`: stored metadata is enough where the repository was asked so many seconds ago, and all is still good; it
 *   is asked for delegated roles that are not stored yet, as they were listed then
 * - `offline`: stored metadata only, checked for the moment `asOf` (now unless told)
 */
export type Freshness =
  | { readonly mode: "online" }
  | { readonly mode: "max-age"; readonly seconds: number }
  | { readonly mode: "offline"; readonly asOf?: Date | undefined };

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
  /** A view of the repository that the caller has begun to read, to go on with. */
  readonly view?: TufRepository | undefined;
  /** The lowest version to accept of a role, besides what earlier runs have seen. */
  readonly floors?: ReadonlyMap<string, number> | undefined;
  readonly signal?: AbortSignal | undefined;
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
  private run: Workflow | undefined;
  private state: VerifiedState | undefined;

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
    return (await this.verify(options)).report();
  }

  /** The same; gives what it has verified, which later refreshes leave as it is. */
  async verify(options: RefreshOptions = {}): Promise<VerifiedState> {
    const freshness = options.freshness ?? { mode: "online" };
    const now = this.options.now();
    const record = await this.options.store.readRecord();
    if (freshness.mode === "offline") {
      if (record !== undefined && freshness.asOf === undefined) checkClock(now, record);
      return this.finish(await this.execute(freshness.asOf ?? now, false, options), record?.checkedAt);
    }
    if (record !== undefined) checkClock(now, record);
    if (freshness.mode === "max-age" && record !== undefined) {
      const recent = await this.fromRecentStore(now, record, freshness.seconds, options);
      if (recent !== undefined) return this.finish(recent, record.checkedAt);
    }
    return this.finish(await this.fromRepository(now, options), now);
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
    return (this.state ?? (await this.verify(options))).find(path);
  }

  /** A targets role, verified for its delegator; undefined stands for who names the top-level role. */
  async targets(role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    return this.current().targets(role, delegator);
  }

  /** A targets role that is there already. */
  loadedTargets(role: string, delegator: string | undefined): VerifiedRole<Targets> | undefined {
    return this.current().loadedTargets(role, delegator);
  }

  /** An account of everything that the last refresh, and searches since, have used. */
  report(): RefreshReport {
    return this.current().report();
  }

  /** The role where searches start. */
  get topRole(): string {
    return this.current().topRole;
  }

  /** Whether the repository keeps every version of its files under names of their own (§6.2). */
  get consistentSnapshot(): boolean {
    return this.current().consistentSnapshot;
  }

  private current(): VerifiedState {
    if (this.state !== undefined) return this.state;
    throw new TrustError("TRUST_UNAVAILABLE", "the repository was not verified yet", { hint: "Refresh first" });
  }

  private finish(run: Workflow, checkedAt: Date | undefined): VerifiedState {
    this.run = run;
    this.state = new VerifiedState(run, checkedAt);
    return this.state;
  }

  private async fromRepository(now: Date, options: RefreshOptions): Promise<Workflow> {
    try {
      return await this.execute(now, true, options);
    } catch (error) {
      if (!(error instanceof TrustError) || !PASSING.has(error.code)) throw error;
      return this.execute(now, true, { ...options, view: undefined });
    }
  }

  /** Stored metadata, where it was checked with the repository lately and is still good; undefined otherwise. */
  private async fromRecentStore(
    now: Date,
    { checkedAt }: CheckRecord,
    seconds: number,
    options: RefreshOptions,
  ): Promise<Workflow | undefined> {
    if ((now.getTime() - checkedAt.getTime()) / 1000 > seconds) return undefined;
    const run = await ignoringFaults(() => this.execute(now, false, options));
    run?.io.goOnline(); // delegated roles that no search here has needed yet are not stored
    return run;
  }

  private async execute(now: Date, online: boolean, { view, floors, signal }: RefreshOptions): Promise<Workflow> {
    const { anchor, store, targetsRole } = this.options;
    const repository = view ?? this.options.repository.view?.() ?? this.options.repository;
    const set = new TrustedSet({ now, memo: this.memo, targetsRole, floors });
    const io = new DocumentIo({ repository, store, limits: this.limits, online, signal });
    const run = new Workflow(set, io, this.run?.set);
    try {
      await run.execute(anchor);
      if (online) io.keepCheck(now);
    } finally {
      await io.settled(); // what was verified before a failure is kept, too
    }
    return run;
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

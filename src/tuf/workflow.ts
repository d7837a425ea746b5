/**
 * One run of the client workflow (specification §5): what to load next, from where, and what to keep. What may be
 * trusted is decided by {@link TrustedSet}. Every document is checked in full before it is kept.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { FormatError, TrustError } from "../base/errors.ts";
import { ignoringFaults, withheld, type DocumentIo } from "./document-io.ts";
import type { MetaFile, Targets } from "./schema.ts";
import type { TrustedSet, VerifiedRole } from "./trusted-set.ts";

export class Workflow {
  readonly set: TrustedSet;
  readonly io: DocumentIo;
  /** What the run before had verified: bytes that are still the expected ones need not be read and hashed again. */
  private readonly previous: TrustedSet | undefined;
  /** What was kept when this run began. */
  private storedSnapshot: Bytes | undefined;
  /** Roles that are being loaded, so that two searches at once ask once. */
  private readonly loading = new Map<string, Promise<VerifiedRole<Targets>>>();

  constructor(set: TrustedSet, io: DocumentIo, previous: TrustedSet | undefined) {
    this.set = set;
    this.io = io;
    this.previous = previous;
  }

  /** Verifies the top-level roles, from an anchor on. */
  async execute(anchor: Bytes): Promise<void> {
    await this.updateRoot(anchor);
    // Both before the repository is asked: what another run keeps after that may be newer than our answer, which is none
    // the worse for it.
    const storedTimestamp = await this.io.store.read("timestamp");
    this.storedSnapshot = await this.io.store.read("snapshot");
    await this.updateTimestamp(storedTimestamp);
    await this.updateSnapshot(this.storedSnapshot);
    await this.load(this.set.topRole, undefined);
  }

  /** A targets role, verified for its delegator; loaded where it was not yet (§5.6). */
  load(role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    const known = this.set.targets(role, delegator);
    if (known !== undefined) return Promise.resolve(known);
    const name = JSON.stringify([role, delegator ?? null]);
    const loading = this.loading.get(name) ?? this.loadTargets(role, delegator);
    this.loading.set(name, loading);
    const done = (): void => void this.loading.delete(name);
    loading.then(done, done);
    return loading;
  }

  /** §5.3: from the anchor through the stored roots to the newest one. */
  private async updateRoot(anchor: Bytes): Promise<void> {
    const { set, io } = this;
    await set.startFrom(anchor);
    await this.followStoredRoots();
    if (io.online) {
      await this.followRoots();
      if (set.root.from === "cache") await this.keepKnownRoot();
    }
    set.settleRoot();
  }

  /** The anchor is in nobody's store at first; a stored root may have been damaged. */
  private async keepKnownRoot(): Promise<void> {
    const { bytes, signed } = this.set.root.document;
    const kept = await this.io.store.readRoot(signed.version);
    if (kept === undefined || !equalBytes(kept, bytes)) this.io.keepRoot(signed.version, bytes);
  }

  /** One that is damaged, or another repository's, ends them: the repository has the last word. */
  private async followStoredRoots(): Promise<void> {
    const { set, io } = this;
    for (;;) {
      const version = set.root.document.signed.version + 1;
      const stored = await io.store.readRoot(version);
      if (stored === undefined) return;
      await ignoringFaults(() => set.advanceRoot(stored, "cache"));
      if (set.root.document.signed.version !== version) return;
    }
  }

  private async followRoots(): Promise<void> {
    const { set, io } = this;
    for (let followed = 0; ; followed++) {
      const version = set.root.document.signed.version + 1;
      const bytes = await io.fetch("root", version, io.limits.root);
      if (bytes === undefined) return;
      if (followed === io.limits.rootRotations) throw tooManyRoots(followed);
      await set.advanceRoot(bytes, "network");
      io.keepRoot(version, bytes);
    }
  }

  /** §5.4 */
  private async updateTimestamp(stored: Bytes | undefined): Promise<void> {
    const { set, io } = this;
    if (stored !== undefined) await ignoringFaults(() => set.rememberTimestamp(stored));
    if (io.online) {
      const bytes = (await io.fetch("timestamp", undefined, io.limits.timestamp)) ?? withheld("timestamp");
      if ((await set.updateTimestamp(bytes, "network")) === "new") io.keepRole("timestamp", bytes, stored);
    } else if (!set.hasTimestamp) {
      throw new TrustError("TRUST_UNAVAILABLE", "no timestamp is stored, so nothing can be verified offline", {
        role: "timestamp",
        hint: "Verify online once",
      });
    }
    set.settleTimestamp();
  }

  /** §5.5 */
  private async updateSnapshot(stored: Bytes | undefined): Promise<void> {
    const { set, io } = this;
    if (stored !== undefined) {
      await ignoringFaults(() => set.rememberSnapshot(stored));
      if (await io.usable(() => set.updateSnapshot(stored, "cache"))) return;
    }
    const bytes = await this.fetchExpected("snapshot", set.expectedSnapshot, io.limits.snapshot);
    await set.updateSnapshot(bytes, "network");
    io.keepRole("snapshot", bytes, stored);
  }

  /** §5.6, for the top-level role and delegated ones alike. */
  private async loadTargets(role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    const { set, io } = this;
    const other = set.targetsDocument(role);
    if (other !== undefined) return set.updateTargets(role, delegator, other.document.bytes, other.from);
    const expected = set.expectedTargets(role);
    const before = io.online ? this.previous?.targetsDocument(role)?.document.bytes : undefined;
    if (before !== undefined && (await io.usable(() => set.updateTargets(role, delegator, before, "cache")))) {
      return set.targets(role, delegator)!;
    }
    const stored = await io.store.read(role);
    if (stored !== undefined && (await io.usable(() => set.updateTargets(role, delegator, stored, "cache")))) {
      return set.targets(role, delegator)!;
    }
    const bytes = await this.fetchExpected(role, expected, io.limits.targets);
    const verified = await set.updateTargets(role, delegator, bytes, "network");
    const seen = stored !== undefined && (await this.isOvertaken()) ? undefined : stored;
    io.keepRole(role, bytes, seen);
    return verified;
  }

  /** Whether another run has kept a snapshot since: then what it has kept of other roles is no leftover to be replaced. */
  private async isOvertaken(): Promise<boolean> {
    const kept = await this.io.store.read("snapshot");
    const known = [this.storedSnapshot, this.set.snapshot.document.bytes];
    return kept !== undefined && known.every((bytes) => bytes === undefined || !equalBytes(bytes, kept));
  }

  private fetchExpected(role: string, expected: MetaFile, usual: number): Promise<Bytes> {
    return this.io.fetchExpected(role, expected, this.set.root.document.signed.consistentSnapshot, usual);
  }
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

/** What one refresh has verified. It stays as it is, whatever later ones find: an answer never changes under its holder. */
import { searchTarget, type FoundTarget } from "./delegations.ts";
import type { Targets } from "./schema.ts";
import type { TargetsRole, VerifiedRole } from "./trusted-set.ts";
import type { Workflow } from "./workflow.ts";

/** What a refresh found. */
export interface RefreshReport {
  /** Root, timestamp, snapshot, then targets roles in the order they were loaded. */
  readonly roles: readonly VerifiedRole[];
  /** When the repository was last asked and everything verified; undefined where that was not noted. */
  readonly checkedAt: Date | undefined;
  /** What is not a failure and should be known: a store that cannot be written. */
  readonly warnings: readonly string[];
}

export class VerifiedState {
  readonly checkedAt: Date | undefined;
  private readonly run: Workflow;

  constructor(run: Workflow, checkedAt: Date | undefined) {
    this.run = run;
    this.checkedAt = checkedAt;
  }

  /** Looks a target up, loading delegated roles on the way, as they were listed then. */
  find(path: string): Promise<FoundTarget | undefined> {
    return searchTarget(path, this.topRole, async ({ role, delegator }) => {
      return (await this.targets(role, delegator)).document.signed;
    });
  }

  /** A targets role, verified for its delegator; undefined stands for who names the top-level role. */
  async targets(role: string, delegator: string | undefined): Promise<VerifiedRole<Targets>> {
    try {
      return await this.run.load(role, delegator);
    } finally {
      await this.run.io.settled();
    }
  }

  /** A targets role that is there already. */
  loadedTargets(role: string, delegator: string | undefined): VerifiedRole<Targets> | undefined {
    return this.run.set.targets(role, delegator);
  }

  /** An account of everything that the refresh, and searches since, have used. */
  report(): RefreshReport {
    const { set, io } = this.run;
    return { roles: set.verifiedRoles(), checkedAt: this.checkedAt, warnings: [...io.warnings] };
  }

  /** The role where searches start. */
  get topRole(): string {
    return this.run.set.topRole;
  }

  /** Who must sign that role. */
  get topSigners(): Pick<TargetsRole, "role" | "keys"> {
    return this.run.set.topSigners;
  }

  /** Whether the repository keeps every version of its files under names of their own (§6.2). */
  get consistentSnapshot(): boolean {
    return this.run.set.root.document.signed.consistentSnapshot;
  }
}

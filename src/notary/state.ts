/** One collection as a verification found it. */
import type { WasmToOciError } from "../base/errors.ts";
import type { Delegation, NotaryRoot, NotarySnapshot, NotaryTargets, NotaryTimestamp } from "./metadata.ts";
import type { ResolvedKey } from "./public-keys.ts";
import type { NotaryDocument } from "./wire.ts";

/** Where a document came from in this run. */
export type DocumentOrigin = "network" | "cache";

/** A document whose every check passed, but for its expiry where that was waived. */
export interface VerifiedRole<Metadata> {
  readonly role: string;
  readonly metadata: Metadata;
  readonly document: NotaryDocument;
  readonly expires: Date;
  readonly threshold: number;
  /** The keys whose signatures counted. */
  readonly signedBy: readonly ResolvedKey[];
  readonly from: DocumentOrigin;
}

/** Root and targets documents list keys, theirs and others'. */
export interface VerifiedDelegator<Metadata> extends VerifiedRole<Metadata> {
  /** Every key that the document lists, by id. */
  readonly keys: ReadonlyMap<string, ResolvedKey>;
}

/** A delegation as its delegator has it, and what became of its document. */
export interface DelegatedRole {
  readonly delegation: Delegation;
  /** Its prefixes, cut to those that lie within its delegator's. */
  readonly paths: readonly string[];
  /** Undefined where nothing was published yet, or where what was published is not acceptable. */
  readonly verified: VerifiedDelegator<NotaryTargets> | undefined;
  /** Why its document counts for nothing; names that it covers cannot be looked up past it. */
  readonly fault: WasmToOciError | undefined;
}

export interface NotaryState {
  readonly server: string;
  readonly gun: string;
  readonly root: VerifiedDelegator<NotaryRoot>;
  readonly timestamp: VerifiedRole<NotaryTimestamp>;
  readonly snapshot: VerifiedRole<NotarySnapshot>;
  readonly targets: VerifiedDelegator<NotaryTargets>;
  /** By name, level by level, in the order of the documents. */
  readonly delegations: ReadonlyMap<string, DelegatedRole>;
  /** True where this very run trusted the root because it was the first one seen. */
  readonly firstUse: boolean;
  /** Roles past their expiry: only ever filled where `acceptExpired` was asked for. Such a state is no proof of anything current. */
  readonly expired: readonly string[];
  /** The moment for which everything was checked. */
  readonly checkedAt: Date;
}

/** Root, timestamp, snapshot, targets, then the delegations that are good. */
export function verifiedRoles(state: NotaryState): VerifiedRole<{ readonly version: number }>[] {
  const delegated = [...state.delegations.values()].flatMap(({ verified }) => verified ?? []);
  return [state.root, state.timestamp, state.snapshot, state.targets, ...delegated];
}

/**
 * What a person has let the modules of a repository ask for. Where a policy says so, a version that asks for more is
 * refused until somebody agrees. What was approved once stays approved until it is taken back: going back to an old version
 * takes nothing away.
 */
import { FormatError } from "../../base/errors.ts";
import type { WasmKind } from "../../wasm/info.ts";
import { furtherImports } from "./diff.ts";
import type { Contract } from "./contract.ts";

/** More than any honest module imports, and still a file that a person can read. */
export const MAX_APPROVED_IMPORTS = 10_000;

/** Whose approvals: one repository's, under one collection. A copy of it elsewhere is looked at anew. */
export interface ApprovalScope {
  /** Registry and repository, e.g. `ghcr.io/acme/app`. */
  readonly repository: string;
  readonly collection: string;
}

export interface Approved {
  readonly kinds: readonly WasmKind[];
  /** Sorted, each once. */
  readonly imports: readonly string[];
}

/** What is approved for one repository. */
export type Approval = ApprovalScope & Approved;

/**
 * Keeps approvals.
 *
 * Obligations: every change is atomic and durable and loses no concurrent writer's; `add` takes nothing away; what is
 * withdrawn stays an entry, since a version that follows one is no first version; a file that cannot be read is an
 * error, never "nothing approved yet".
 */
export interface ApprovalStore {
  get(scope: ApprovalScope): Promise<Approved | undefined>;
  add(scope: ApprovalScope, contract: Pick<Contract, "kind" | "imports">): Promise<void>;
  /** All of them, sorted by repository and collection. */
  list(): Promise<readonly Approval[]>;
  /**
   * Takes approval back, so that every further version that asks for it waits to be approved.
   *
   * @param imports these imports; everything, kinds too, unless given
   * @returns what is still approved; undefined where there is no entry
   */
  withdraw(scope: ApprovalScope, imports?: readonly string[]): Promise<Approved | undefined>;
  /** Forgets an entry: the next version is the first one again, and its contract the baseline. False where there is none. */
  forget(scope: ApprovalScope): Promise<boolean>;
}

/** What a run asks of approvals. */
export type ApprovalUse = Pick<ApprovalStore, "get" | "add">;

/** Approvals that count, and to which nothing is added: for runs that change nothing. */
export function readOnlyApprovals(store: Pick<ApprovalStore, "get">): ApprovalUse {
  return { get: (scope) => store.get(scope), add: async () => undefined };
}

/** What a contract asks for beyond what is approved; undefined where that is nothing. */
export function beyondApproved(
  approved: Approved,
  { kind, imports }: Pick<Contract, "kind" | "imports">,
): { readonly kind: WasmKind | undefined; readonly imports: readonly string[] } | undefined {
  const newKind = approved.kinds.includes(kind) ? undefined : kind;
  const added = furtherImports(kind, approved.imports, imports);
  return newKind === undefined && added.length === 0 ? undefined : { kind: newKind, imports: added };
}

/** Adds what a contract asks for. @throws {FormatError} LIMIT_EXCEEDED */
export function withApproved(
  approved: Approved | undefined,
  { kind, imports }: Pick<Contract, "kind" | "imports">,
): Approved {
  const all = [...new Set([...(approved?.imports ?? []), ...imports])].toSorted();
  if (all.length > MAX_APPROVED_IMPORTS) {
    throw new FormatError("LIMIT_EXCEEDED", `approvals would list ${all.length} imports of one repository`, {
      hint: `${MAX_APPROVED_IMPORTS} are allowed, far more than honest modules have`,
    });
  }
  return { kinds: [...new Set([...(approved?.kinds ?? []), kind])].toSorted(), imports: all };
}

/** What is left of an approval. */
export function withoutApproved({ kinds, imports }: Approved, withdrawn: readonly string[] | undefined): Approved {
  if (withdrawn === undefined) return { kinds: [], imports: [] };
  return { kinds, imports: imports.filter((name) => !withdrawn.includes(name)) };
}

/** Sorts by repository, then by collection; neither has a space. */
export function byScope(a: ApprovalScope, b: ApprovalScope): number {
  return scopeKey(a) < scopeKey(b) ? -1 : 1;
}

/** Tells scopes apart. */
export function scopeKey({ repository, collection }: ApprovalScope): string {
  return `${repository} ${collection}`;
}

/** A store in memory, for tests and embedders. */
export function memoryApprovalStore(): ApprovalStore {
  const entries = new Map<string, Approval>();
  const put = ({ repository, collection }: ApprovalScope, { kinds, imports }: Approved): void => {
    entries.set(scopeKey({ repository, collection }), { repository, collection, kinds, imports });
  };
  return {
    get: async (scope) => entries.get(scopeKey(scope)),
    add: async (scope, contract) => put(scope, withApproved(entries.get(scopeKey(scope)), contract)),
    list: async () => [...entries.values()].toSorted(byScope),
    withdraw: async (scope, imports) => {
      const former = entries.get(scopeKey(scope));
      if (former !== undefined) put(scope, withoutApproved(former, imports));
      return entries.get(scopeKey(scope));
    },
    forget: async (scope) => entries.delete(scopeKey(scope)),
  };
}

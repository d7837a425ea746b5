/**
 * What a person has let the modules of a repository ask for. Where a policy says so, a version that asks for more is
 * refused until somebody agrees. What was approved once stays approved: going back to an old version takes nothing away.
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

/**
 * Keeps approvals.
 *
 * Obligations: `add` is atomic and durable, takes nothing away and loses no concurrent writer's addition; a file that
 * cannot be read is an error, never "nothing approved yet".
 */
export interface ApprovalStore {
  get(scope: ApprovalScope): Promise<Approved | undefined>;
  add(scope: ApprovalScope, contract: Pick<Contract, "kind" | "imports">): Promise<void>;
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

/** A store in memory, for tests and embedders. */
export function memoryApprovalStore(): ApprovalStore {
  const entries = new Map<string, Approved>();
  const keyOf = ({ repository, collection }: ApprovalScope): string => `${repository} ${collection}`;
  return {
    get: async (scope) => entries.get(keyOf(scope)),
    add: async (scope, contract) => {
      entries.set(keyOf(scope), withApproved(entries.get(keyOf(scope)), contract));
    },
  };
}

/** Holds an upgrade that asks for more than before, where a policy wants somebody to agree to it. */
import { TrustError, UsageError } from "./base/errors.ts";
import type { ModuleScan } from "./download.ts";
import { beyondApproved, type ApprovalScope, type ApprovalUse } from "./trust/contract/approvals.ts";
import { fullContract, type Contract } from "./trust/contract/contract.ts";
import type { Check } from "./trust/report.ts";
import type { SignedTarget } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";

/** Where approvals are kept, and whether this run gives one. */
export interface Approvals {
  readonly store: ApprovalUse;
  /** Somebody has seen what is asked for, and agrees. */
  readonly approve?: boolean | undefined;
}

/** A module under a policy that wants approvals. */
export interface Asking extends ApprovalScope {
  /** The reference in full, for messages. */
  readonly reference: string;
  readonly approvals: Approvals | undefined;
}

type Asked = Pick<Contract, "kind" | "imports">;

/**
 * Refuses before the download what the signed contract tells already.
 *
 * @returns the check made; none where no contract is signed
 * @throws {TrustError} CONTRACT_WIDENED; {UsageError} USAGE
 */
export async function requireApprovedTarget(asking: Asking, { custom, name }: SignedTarget): Promise<Check[]> {
  const contract = readBinding(custom, name)?.contract;
  return contract === undefined ? [] : [await requireApproved(asking, contract)];
}

/** Remembers as approved what the signed contract asks for: nobody looks at the module of what is locked any more. */
export async function recordApprovedTarget(asking: Asking, { custom, name }: SignedTarget): Promise<void> {
  const contract = readBinding(custom, name)?.contract;
  if (contract !== undefined) await asking.approvals?.store.add(asking, contract);
}

/**
 * Refuses a module that asks for more than was approved; what passes is remembered as approved.
 *
 * @throws {TrustError} CONTRACT_WIDENED, also where nobody can know what it asks for; {UsageError} USAGE
 */
export async function requireApprovedModule(asking: Asking, scan: ModuleScan): Promise<Check> {
  if (scan.info === undefined) {
    throw new TrustError(
      "CONTRACT_WIDENED",
      `nobody can know what ${asking.reference} asks for: ${scan.fault.message}`,
      {
        hint: "The policy wants every version approved that asks for more; this one cannot be read at all",
        details: { reference: asking.reference, kind: null, imports: [] },
      },
    );
  }
  const contract = await fullContract(scan.info);
  const check = await requireApproved(asking, contract);
  await asking.approvals?.store.add(asking, contract);
  return check;
}

/**
 * Refuses what nobody has agreed to. Changes nothing.
 *
 * @throws {TrustError} CONTRACT_WIDENED; {UsageError} USAGE where no store is given: silence is no approval
 */
async function requireApproved(asking: Asking, contract: Asked): Promise<Check> {
  const { reference, approvals } = asking;
  if (approvals === undefined) {
    throw new UsageError("USAGE", `the policy of ${reference} asks for approvals, and there is nowhere to keep them`, {
      hint: "Give the call a store of approvals",
    });
  }
  const approved = await approvals.store.get(asking);
  const beyond = approved && beyondApproved(approved, contract);
  if (approved === undefined)
    return { check: "contract-approved", detail: `the first version seen: ${asks(contract)}` };
  if (beyond === undefined)
    return { check: "contract-approved", detail: "asks for nothing that was not approved before" };
  const wants = [
    ...(beyond.kind === undefined ? [] : [`be a ${beyond.kind}`]),
    ...beyond.imports.slice(0, MAX_NAMED).map((name) => `import ${JSON.stringify(name.slice(0, MAX_NAME_LENGTH))}`),
    ...(beyond.imports.length > MAX_NAMED ? [`import ${beyond.imports.length - MAX_NAMED} more`] : []),
  ].join(", ");
  if (approvals.approve === true) return { check: "contract-approved", detail: `approved by this run: may ${wants}` };
  throw new TrustError("CONTRACT_WIDENED", `${reference} asks for more than was approved: it wants to ${wants}`, {
    hint: "If that is right, run the command again with --approve; `wasm-to-oci diff OLD NEW` shows all of it",
    details: { reference, kind: beyond.kind ?? null, imports: beyond.imports },
  });
}

/** Names that a sentence can hold; JSON has all of them. */
const MAX_NAMED = 5;
const MAX_NAME_LENGTH = 128;

function asks({ kind, imports }: Asked): string {
  return `a ${kind} with ${imports.length} imports`;
}

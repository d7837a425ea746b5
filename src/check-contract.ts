/** Compares a module that was downloaded or read with the contract that was signed with it. */
import type { ModuleScan } from "./download.ts";
import { compareContract, contractMismatch, type Contract } from "./trust/contract/contract.ts";
import type { Check, Note } from "./trust/report.ts";
import type { SignedTarget } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";

export interface CheckedContract {
  /** What was signed, and is true; undefined where the target has no contract. */
  readonly contract: Contract | undefined;
  readonly checks: readonly Check[];
  readonly notes: readonly Note[];
}

/**
 * Checks a module against its signed contract. Targets of Notary's own clients and of older versions have none, which
 * is said.
 *
 * @param name the reference, for messages
 * @throws {TrustError} CONTRACT_MISMATCH
 */
export async function checkContract(target: SignedTarget, scan: ModuleScan, name: string): Promise<CheckedContract> {
  const contract = readBinding(target.custom, target.name)?.contract;
  if (contract === undefined) {
    const message = `the signature of ${name} says nothing of what the module may import; signing it again adds that`;
    return { contract, checks: [], notes: [{ code: "no-contract", message }] };
  }
  if (scan.info === undefined) {
    const fault = `it cannot be read (${scan.fault.message})`;
    throw contractMismatch(name, fault, { expected: contract.digest, got: null });
  }
  await compareContract(contract, scan.info, name);
  return { contract, checks: [{ check: "contract-kept", detail: describeContract(contract) }], notes: [] };
}

function describeContract({ kind, imports, exports, truncated }: Contract): string {
  const more = truncated ? ", and the rest by their digest" : "";
  const offered = kind === "module" ? "" : ` and ${exports.length} exports`;
  return `a ${kind} with the ${imports.length} imports${offered} that were signed${more}`;
}

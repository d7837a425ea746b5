/** What a policy would say of a tag, by signed facts alone: no module is downloaded for it. */
import { requireAllowedTarget } from "./apply-rules.ts";
import { requireApprovedTarget } from "./approve-contract.ts";
import { TrustError } from "./base/errors.ts";
import type { ResolvedModule } from "./release-module.ts";
import { readOnlyApprovals, type ApprovalUse } from "./trust/contract/approvals.ts";
import type { Contract } from "./trust/contract/contract.ts";
import { checkTargetRules, type TrustRules } from "./trust/policy/rules.ts";
import { readBinding } from "./trust/target-custom.ts";

/**
 * - `allowed`: no rule refuses what is signed
 * - `refused`: one does, so a pull of it ends there
 * - `unapproved`: it asks for more than was approved here
 * - `undecided`: what is signed, or was asked for, is not enough to tell; a pull finds out
 */
export interface TagVerdict {
  readonly verdict: "allowed" | "refused" | "unapproved" | "undecided";
  /** Why, where it is not `allowed`. */
  readonly reason: string | undefined;
}

/** A signed tag. Where the registry was not asked, nothing is known of the artifact around the module. */
export type JudgedTag = Pick<ResolvedModule, "name" | "trust" | "collection" | "target"> &
  Partial<Pick<ResolvedModule, "binding" | "found">>;

/**
 * @param repository registry and repository, as approvals are kept
 * @param approvals what was approved here; nothing is added to it
 * @returns undefined where no policy has rules for it
 */
export async function judgeTag(
  tag: JudgedTag,
  repository: string,
  approvals: Pick<ApprovalUse, "get"> | undefined,
): Promise<TagVerdict | undefined> {
  const { rules } = tag.trust;
  if (rules === undefined) return undefined;
  const { name, target, collection, binding } = tag;
  const signed = readBinding(target.custom, target.name);
  try {
    if (binding !== undefined) requireAllowedTarget({ ...tag, binding, found: tag.found });
    else {
      const size = signed === undefined ? undefined : target.length; // docker trust signs the manifest's length
      const { role, home } = target;
      checkTargetRules(rules, { reference: name, role, home, size, contract: signed?.contract });
    }
    const asking = { repository, collection: collection.name, reference: name };
    if (rules.widening === "approve" && approvals !== undefined) {
      await requireApprovedTarget({ ...asking, approvals: { store: readOnlyApprovals(approvals) } }, target);
    }
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    return { verdict: error.code === "CONTRACT_WIDENED" ? "unapproved" : "refused", reason: error.message };
  }
  const reason = openQuestion(rules, signed?.contract, binding !== undefined, signed !== undefined);
  return reason === undefined ? { verdict: "allowed", reason } : { verdict: "undecided", reason };
}

function openQuestion(
  rules: TrustRules,
  contract: Contract | undefined,
  asked: boolean,
  bound: boolean,
): string | undefined {
  const asksContract = rules.kinds !== undefined || rules.imports !== undefined || rules.widening === "approve";
  if (asksContract && contract === undefined) return "its signature does not say what it imports";
  if (rules.imports !== undefined && contract?.truncated === true)
    return "its signed contract does not list everything";
  if (asked) return undefined;
  const asksArtifact = rules.formats !== undefined || rules.verified === "artifact";
  return asksArtifact || (rules.maxSize !== undefined && !bound) ? "the registry was not asked" : undefined;
}

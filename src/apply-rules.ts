/** Holds what a policy demands against what a reference was found to be, and against the module's own bytes. */
import { TrustError } from "./base/errors.ts";
import type { ModuleScan } from "./download.ts";
import type { ResolvedModule } from "./release-module.ts";
import type { Signing } from "./sign-target.ts";
import type { FoundArtifact } from "./trust/binding.ts";
import { fullContract } from "./trust/contract/contract.ts";
import type { Coverage } from "./trust/coverage.ts";
import type { Check } from "./trust/report.ts";
import { checkModuleRules, checkTargetRules, refusesEarly, type TrustRules } from "./trust/policy/rules.ts";
import type { SignedTarget } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";
import type { WasmInfo } from "./wasm/info.ts";

/** Refuses before the download what signed facts tell already. @throws {TrustError} POLICY_REFUSED */
export function requireAllowedTarget({ name, trust, target, binding, found }: ResolvedModule): Check[] {
  if (trust.rules === undefined) return [];
  const delivers = found?.module?.digest === binding.blob.digest; // while a publish is under way, the tag names the former
  return checkTargetRules(trust.rules, {
    reference: name,
    role: target.role,
    home: target.home,
    size: binding.module.length,
    format: delivers ? found?.format : undefined,
    verified: binding.verified,
    contract: readBinding(target.custom, target.name)?.contract,
  });
}

/** The same for an artifact that nobody has signed. @throws {TrustError} POLICY_REFUSED */
export function requireAllowedArtifact(
  rules: TrustRules | undefined,
  reference: string,
  { module, format }: FoundArtifact,
): Check[] {
  return rules === undefined ? [] : checkTargetRules(rules, { reference, size: module?.size, format });
}

/** Refuses a module whose own bytes break a rule, whatever was signed of it. @throws {TrustError} POLICY_REFUSED */
export async function requireAllowedModule(
  rules: TrustRules | undefined,
  reference: string,
  { size, scan }: { readonly size: number; readonly scan: ModuleScan },
): Promise<Check[]> {
  if (rules === undefined) return [];
  const contract = scan.info === undefined ? undefined : await fullContract(scan.info);
  return checkModuleRules(rules, { reference, size, contract });
}

/** What can be held against a file alone: it has no artifact around it. @throws {TrustError} POLICY_REFUSED */
export async function requireAllowedFile(
  rules: TrustRules | undefined,
  reference: string,
  { role, home }: SignedTarget,
  module: { readonly size: number; readonly info: WasmInfo },
): Promise<Check[]> {
  if (rules === undefined) return [];
  const early = checkTargetRules(rules, { reference, role, home, size: module.size });
  return [...early, ...(await requireAllowedModule(rules, reference, { size: module.size, scan: module }))];
}

/**
 * Refuses to sign what the signer's own policy would refuse to pull. Where no role is named, it signs in the one that
 * the policy demands.
 *
 * @throws {TrustError} POLICY_REFUSED
 */
export async function allowedSigning<S extends Signing>(
  signing: S,
  reference: string,
  module: { readonly size: number; readonly format: string; readonly info: WasmInfo },
): Promise<S> {
  const { rules, roles = rules?.roles?.slice(0, 1) } = signing;
  if (rules === undefined) return signing;
  const { size, format } = module;
  checkTargetRules(rules, { reference, size, format });
  for (const role of roles ?? []) checkTargetRules(rules, { reference, role });
  await requireAllowedModule(rules, reference, { size, scan: module });
  return { ...signing, roles };
}

/** Tells whether a module may be fetched before anybody has signed for it: not where a rule refuses it in any case. */
export function isWorthFetching(rules: TrustRules | undefined, { module, format }: FoundArtifact): boolean {
  return rules === undefined || module === undefined || !refusesEarly(rules, { size: module.size, format });
}

/**
 * Tells whether a policy lets a reference be delivered that nobody has signed: only where the source itself says that
 * it has nothing, and nothing here knows better. What could not be checked is a failure, whatever a policy says.
 */
export async function mayBeUnsigned(trust: Coverage, error: unknown): Promise<boolean> {
  const { rules, floors, freshness, source, collection } = trust;
  if (rules === undefined || rules.missing === "reject") return false;
  if ((floors?.size ?? 0) > 0 || freshness?.mode === "offline" || !saysNothingIsThere(error)) return false;
  return !(await source.isKnown(collection));
}

function saysNothingIsThere(error: unknown): boolean {
  if (!(error instanceof TrustError)) return false;
  return error.code === "TRUST_NOT_FOUND" || (error.code === "TRUST_WITHHELD" && error.details["missing"] === "root");
}

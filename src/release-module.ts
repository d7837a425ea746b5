/** The end of every verified pull: one pass over the module's bytes, the last checks, and the report. */
import { requireAllowedModule, requireAllowedTarget } from "./apply-rules.ts";
import { requireApprovedModule, requireApprovedTarget, type Approvals, type Asking } from "./approve-contract.ts";
import type { Runtime } from "./base/runtime.ts";
import { checkContract, type CheckedContract } from "./check-contract.ts";
import { checkModule } from "./check-module.ts";
import type { BlobAddress, Download } from "./download.ts";
import { repositoryName, taggedReference } from "./oci/tagged-reference.ts";
import type { ReadableContent } from "./stored-content.ts";
import type { Binding, FoundArtifact } from "./trust/binding.ts";
import type { Coverage } from "./trust/coverage.ts";
import type { VerificationReport } from "./trust/report.ts";
import { knowledgeNotes, trustChecks, trustNotes, trustReport } from "./trust/resolve.ts";
import type { SignedTarget, TrustedCollection } from "./trust/source.ts";

/** What a reference was found to be, before any byte of the module is released. */
export interface ResolvedModule {
  /** The reference, for messages. */
  readonly name: string;
  readonly trust: Coverage;
  readonly collection: TrustedCollection;
  readonly target: SignedTarget;
  readonly binding: Binding;
  /** The manifest that the reference names; undefined where it names none yet, or it was not asked for. */
  readonly found: FoundArtifact | undefined;
}

export interface ReleaseOptions {
  readonly runtime: Runtime;
  readonly approvals?: Approvals | undefined;
  /** What is locked was approved when it was locked. */
  readonly lock?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads a module and checks it against everything that was signed. The caller commits.
 *
 * @throws {TrustError} TARGET_MISMATCH, CONTRACT_MISMATCH, POLICY_REFUSED, CONTRACT_WIDENED
 */
export async function releaseModule(
  resolved: ResolvedModule,
  download: Download,
  content: ReadableContent,
  options: ReleaseOptions,
): Promise<VerificationReport> {
  const { name, target, binding } = resolved;
  const { runtime, signal } = options;
  const allowed = requireAllowedTarget(resolved);
  const asking = askingOf(resolved, options);
  if (asking !== undefined) await requireApprovedTarget(asking, target);
  const module = await download.complete(content, binding.blob, signal);
  checkModule(binding.module, module, name, target);
  const contract = await checkContract(target, module.scan, name);
  allowed.push(...(await requireAllowedModule(resolved.trust.rules, name, module)));
  const approved = asking === undefined ? [] : [await requireApprovedModule(asking, module.scan)];
  return reportOf(
    resolved,
    module,
    { ...contract, checks: [...contract.checks, ...allowed, ...approved] },
    runtime.now(),
  );
}

/** A module whose contract may need approval; one that nobody has signed, too. */
type Asked = Pick<ResolvedModule, "name" | "trust"> & { readonly collection: Pick<TrustedCollection, "name"> };

/** Whether a wider contract needs somebody's approval here. */
export function askingOf(
  { name, trust, collection }: Asked,
  { approvals, lock }: Pick<ReleaseOptions, "approvals" | "lock">,
): Asking | undefined {
  if (trust.rules?.widening !== "approve" || lock !== undefined) return undefined;
  const repository = repositoryName(taggedReference(name));
  return { repository, collection: collection.name, reference: name, approvals };
}

function reportOf(
  { name, trust, collection, target, binding, found }: ResolvedModule,
  { digest, size }: BlobAddress,
  contract: CheckedContract,
  now: Date,
): VerificationReport {
  return {
    reference: name,
    verified: binding.verified,
    module: { digest, size },
    artifact: found === undefined ? undefined : { digest: found.digest, format: found.format },
    trust: trustReport(trust, collection, target),
    contract: contract.contract,
    checks: [
      ...trustChecks(trust, collection, target),
      ...binding.checks,
      { check: "module-digest", detail: `${digest}, ${size} bytes` },
      ...contract.checks,
    ],
    notes: [...trustNotes(collection, now), ...knowledgeNotes(trust, collection), ...binding.notes, ...contract.notes],
  };
}

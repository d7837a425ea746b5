/** The end of every verified pull: one pass over the module's bytes, the last checks, and the report. */
import type { Runtime } from "./base/runtime.ts";
import { checkContract, type CheckedContract } from "./check-contract.ts";
import { checkModule } from "./check-module.ts";
import type { BlobAddress, Download } from "./download.ts";
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

/**
 * Downloads a module and checks it against everything that was signed. The caller commits.
 *
 * @throws {TrustError} TARGET_MISMATCH, CONTRACT_MISMATCH
 */
export async function releaseModule(
  resolved: ResolvedModule,
  download: Download,
  content: ReadableContent,
  { runtime, signal }: { readonly runtime: Runtime; readonly signal?: AbortSignal | undefined },
): Promise<VerificationReport> {
  const { name, target, binding } = resolved;
  const module = await download.complete(content, binding.blob, signal);
  checkModule(binding.module, module, name, target);
  const contract = await checkContract(target, module.scan, name);
  return reportOf(resolved, module, contract, runtime.now());
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

/**
 * Pull: trust metadata and manifest are fetched side by side; the module is downloaded while metadata is
 * still being checked; one pass hashes and writes; the output is committed after everything has matched.
 */
import type { Digest } from "./base/digest.ts";
import { RegistryError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { checkContract, type CheckedContract } from "./check-contract.ts";
import { checkModule } from "./check-module.ts";
import { Download, type ModuleOutput } from "./download.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStores } from "./oci/content-store.ts";
import type { Reference } from "./oci/reference.ts";
import { formatTagged, taggedReference, type TaggedReference } from "./oci/tagged-reference.ts";
import { bindTarget, type Binding, type FoundArtifact } from "./trust/binding.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import type { Check, Note, VerificationReport } from "./trust/report.ts";
import { chooseTarget, trustChecks, trustNotes, trustReport } from "./trust/resolve.ts";
import type { SignedTarget, TrustedCollection } from "./trust/source.ts";

/** What is fetched before anybody has signed for it: more than modules have, less than fills a disk. */
const MAX_SPECULATIVE_BYTES = 256 * 1024 * 1024;

export interface PullOptions {
  readonly runtime: Runtime;
  readonly registry: ContentStores;
  /** `host/repository:tag`, `…@digest` or both; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  readonly output: ModuleOutput;
  /** What to verify against. Undefined: deliver unverified, and say so in the report. */
  readonly trust?: Coverage | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Pulls a module, verified where `trust` is given.
 *
 * @throws {TrustError} every refusal; the output is then aborted
 * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH, …
 * @throws {FormatError} MODULE_MISSING, MODULE_AMBIGUOUS, MANIFEST_INVALID
 * @example
 * ```ts
 * const report = await pull({ runtime, registry, reference: "ghcr.io/acme/app:v1", output, trust });
 * if (report.verified === "none") throw new Error("not signed");
 * ```
 */
export async function pull(options: PullOptions): Promise<VerificationReport> {
  const download = new Download(options.runtime, options.output, options.onProgress);
  try {
    const report = await (options.trust === undefined
      ? pullUnverified(options, download)
      : pullVerified(options, options.trust, download));
    await options.output.commit();
    return report;
  } catch (error) {
    await download.stop();
    await options.output.abort();
    throw error;
  }
}

async function pullUnverified(options: PullOptions, download: Download): Promise<VerificationReport> {
  const reference = taggedReference(options.reference);
  const repository = options.registry.repository(reference);
  const found = await findArtifact(repository, reference.digest ?? reference.tag, options.signal);
  if (found === undefined) throw notFound(reference);
  if (found.module === undefined) throw found.fault;
  const { digest, size } = await download.complete(repository, found.module, options.signal);
  return {
    reference: formatTagged(reference),
    verified: "none",
    module: { digest, size },
    artifact: { digest: found.digest, format: found.format },
    trust: undefined,
    checks: [{ check: "registry-digests", detail: "manifest and module are what their digests say" }],
    notes: [
      {
        code: "unverified",
        message: `${formatTagged(reference)} was delivered unverified: nobody's signature was checked`,
      },
    ],
  };
}

async function pullVerified(options: PullOptions, trust: Coverage, download: Download): Promise<VerificationReport> {
  const reference = taggedReference(options.reference);
  const name = formatTagged(reference);
  const repository = options.registry.repository(reference);
  const names = reference.tagged ? [targetName(trust, reference.tag)] : undefined; // a digest may have any name
  const opening = trust.source.open(trust.collection, { ...trust, names, signal: options.signal });
  const finding = findArtifact(repository, reference.digest ?? reference.tag, options.signal).then((found) => {
    const module = found?.module;
    if (module !== undefined && module.size <= MAX_SPECULATIVE_BYTES) {
      download.begin(repository, module, options.signal);
    }
    return found;
  });
  const [opened, searched] = await Promise.allSettled([opening, finding]);
  if (opened.status === "rejected") throw opened.reason; // what trust says comes first: it is the graver news
  if (searched.status === "rejected") throw searched.reason;
  const collection = opened.value;
  const found = searched.value;
  if (found === undefined && reference.digest !== undefined) throw notFound(reference);
  const target = chooseTarget(trust, collection, reference, found);
  const binding = bindTarget(target, found, name);
  const module = await download.complete(repository, binding.blob, options.signal);
  checkModule(binding.module, module, name, target);
  const contract = await checkContract(target, module.scan, name);
  const { digest, size } = module;
  const now = options.runtime.now();
  return verifiedReport({ name, trust, collection, target, binding, found, module: { digest, size }, contract, now });
}

interface Verification {
  readonly name: string;
  readonly trust: Coverage;
  readonly collection: TrustedCollection;
  readonly target: SignedTarget;
  readonly binding: Binding;
  readonly found: FoundArtifact | undefined;
  readonly module: { readonly digest: Digest; readonly size: number };
  readonly contract: CheckedContract;
  readonly now: Date;
}

function verifiedReport(verification: Verification): VerificationReport {
  const { name, trust, collection, target, binding, found, module, contract, now } = verification;
  const checks: Check[] = [
    ...trustChecks(trust, collection, target),
    ...binding.checks,
    { check: "module-digest", detail: `${module.digest}, ${module.size} bytes` },
    ...contract.checks,
  ];
  const notes: Note[] = [...trustNotes(collection, now), ...binding.notes, ...contract.notes];
  const artifact = found === undefined ? undefined : { digest: found.digest, format: found.format };
  return {
    reference: name,
    verified: binding.verified,
    module,
    artifact,
    trust: trustReport(trust, collection, target),
    contract: contract.contract,
    checks,
    notes,
  };
}

function notFound(reference: TaggedReference): RegistryError {
  const name = formatTagged(reference);
  return new RegistryError("REGISTRY_NOT_FOUND", `${name} does not exist in the registry`, {
    status: 404,
    hint: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
  });
}

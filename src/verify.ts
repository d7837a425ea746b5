/** Verify: a local file against what a collection signed for a reference, without pulling the module. */
import type { Digest } from "./base/digest.ts";
import { TrustError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import type { ContentCache } from "./content-cache.ts";
import { requireAllowedFile } from "./apply-rules.ts";
import { checkContract } from "./check-contract.ts";
import { checkModule } from "./check-module.ts";
import { findArtifact } from "./find-artifact.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient } from "./oci/registry-client.ts";
import { formatTagged, taggedReference, type TaggedReference } from "./oci/tagged-reference.ts";
import { readModule, type ModuleSource, type ReadModule } from "./read-module.ts";
import { storedContent } from "./stored-content.ts";
import { signsManifest } from "./trust/binding.ts";
import { tagOf, targetName, type Coverage } from "./trust/coverage.ts";
import type { Check, VerificationReport } from "./trust/report.ts";
import { findTarget, knowledgeNotes, trustChecks, trustNotes, trustReport } from "./trust/resolve.ts";
import type { SignedTarget, TrustedCollection } from "./trust/source.ts";
import { hasSoundBinding, readBinding } from "./trust/target-custom.ts";

export interface VerifyOptions {
  readonly runtime: Runtime;
  /** Asked only where the target signs a manifest (docker trust), to learn which module that one holds. */
  readonly registry: RegistryClient;
  /** Whose signed module the file should be; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  readonly module: ModuleSource;
  readonly trust: Coverage;
  /** Where such a manifest may have been kept. */
  readonly cache?: ContentCache | undefined;
  /** Ask nobody: trust data as it is stored (`trust.freshness` says so too), and the cache. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Verifies a module that is at hand.
 *
 * @throws {TrustError} TARGET_MISMATCH where the file is not what was signed; POLICY_REFUSED, TARGET_NOT_FOUND, …
 * @throws {FormatError} WASM_INVALID where the file is no module
 * @example
 * ```ts
 * const report = await verify({ runtime, registry, reference: "ghcr.io/acme/app:v1", module, trust });
 * console.log(report.trust?.role);
 * ```
 */
export async function verify(options: VerifyOptions): Promise<VerificationReport> {
  const reference = taggedReference(options.reference);
  const name = formatTagged(reference);
  const { trust } = options;
  const [opened, read] = await Promise.allSettled([
    trust.source.open(trust.collection, { ...trust, names: namesOf(trust, reference), signal: options.signal }),
    readModule(options.module, options.runtime, options.onProgress),
  ]);
  if (opened.status === "rejected") throw opened.reason;
  if (read.status === "rejected") throw read.reason;
  const collection = opened.value;
  const module = read.value;
  const target = findSigned(trust, collection, reference, module);
  const fileCheck = await checkFile(options, reference, target, module, name);
  const { contract, ...kept } = await checkContract(target, module, name);
  const allowed = await requireAllowedFile(trust.rules, name, target, module);
  return {
    reference: name,
    verified: "module",
    module: { digest: module.digest, size: module.size },
    artifact: undefined,
    trust: trustReport(trust, collection, target),
    contract,
    checks: [...trustChecks(trust, collection, target), fileCheck, ...kept.checks, ...allowed],
    notes: [...trustNotes(collection, options.runtime.now()), ...knowledgeNotes(trust, collection), ...kept.notes],
  };
}

/** A reference by digest alone names the target that signs this very module in that manifest. */
function findSigned(
  trust: Coverage,
  collection: TrustedCollection,
  reference: TaggedReference,
  module: ReadModule,
): SignedTarget {
  const name = formatTagged(reference);
  const tagged = targetName(trust, reference.tag);
  if (reference.digest === undefined) return findTarget(collection, tagged, name);
  const wanted: Digest = reference.digest;
  const target = reference.tagged
    ? findTarget(collection, tagged, name)
    : collection
        .list()
        .find((one) => isBelow(trust, one) && hasSoundBinding(one) && signedManifests(one).includes(wanted));
  if (target !== undefined && signedManifests(target).includes(wanted)) return target;
  throw new TrustError("TARGET_NOT_FOUND", `${name} is not signed: no target of ${collection.name} has this digest`, {
    hint: "Verify against the tag, or check the digest",
    details: { collection: collection.name, got: module.digest },
  });
}

/** A digest may have any name. */
function namesOf(trust: Coverage, { tagged, tag }: TaggedReference): string[] | undefined {
  return tagged ? [targetName(trust, tag)] : undefined;
}

function isBelow(trust: Coverage, { name }: SignedTarget): boolean {
  return tagOf(trust, name) !== undefined;
}

function signedManifests(target: SignedTarget): readonly Digest[] {
  const binding = readBinding(target.custom, target.name);
  if (binding !== undefined) return binding.manifests;
  return target.hashes.sha256 === undefined ? [] : [`sha256:${target.hashes.sha256}`];
}

async function checkFile(
  options: VerifyOptions,
  reference: Reference,
  target: SignedTarget,
  module: ReadModule,
  name: string,
): Promise<Check> {
  const got = { ...module, sha512: module.hashes.sha512 };
  if (target.length !== module.size && readBinding(target.custom, target.name) === undefined) {
    const viaManifest = await signedManifestModule(options, reference, target);
    if (viaManifest?.digest === module.digest && viaManifest.size === module.size) {
      return { check: "module-digest", detail: `${module.digest} is the module of the signed manifest` };
    }
  }
  checkModule(target, got, name, target);
  return { check: "module-digest", detail: `${module.digest}, ${module.size} bytes` };
}

/** Targets of docker trust sign the manifest; its module is then signed through it. */
async function signedManifestModule(
  options: VerifyOptions,
  reference: Reference,
  target: SignedTarget,
): Promise<{ readonly digest: Digest; readonly size: number } | undefined> {
  if (target.hashes.sha256 === undefined) return undefined;
  const { cache, offline, registry } = options;
  const content = storedContent(cache, offline === true ? undefined : registry.repository(reference));
  const found = await findArtifact(content, `sha256:${target.hashes.sha256}`, options.signal);
  return found !== undefined && signsManifest(target, found) ? found.module : undefined;
}

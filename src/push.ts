/**
 * Push: read the module once, upload blobs, then the manifest by digest, sign the target, move the tag last.
 * Until the tag moves, nothing that a consumer sees has changed but the signed mapping, which names the
 * manifest that it replaces; so a push that ends anywhere is no outage, and running it again completes it.
 */
import { allowedSigning } from "./apply-rules.ts";
import type { Digest } from "./base/digest.ts";
import { RegistryError, StorageError, TrustError, UsageError, WasmToOciError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient, Repository } from "./oci/registry-client.ts";
import { formatTagged, repositoryName, taggedReference, type TaggedReference } from "./oci/tagged-reference.ts";
import type { Annotations } from "./oci/types.ts";
import { readModule, type ModuleSource, type ReadModule } from "./read-module.ts";
import { publishTarget, restoreTarget, type Signing } from "./sign-target.ts";
import { contractOf } from "./trust/contract/contract.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import type { Note } from "./trust/report.ts";
import type { PublishResult } from "./trust/source.ts";
import { isTrustTag } from "./trust/oci/tags.ts";
import { buildArtifact, type BuiltArtifact, type WritableFormat } from "./wasm/artifact.ts";
import type { WasmInfo } from "./wasm/binary.ts";

export interface PushOptions {
  readonly runtime: Runtime;
  readonly registry: RegistryClient;
  /** `host/repository:tag`; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  readonly module: ModuleSource;
  /** The artifact's layout; the CNCF Wasm OCI artifact unless told. */
  readonly format?: WritableFormat | undefined;
  /** Manifest annotations (not in the 2019 layout). */
  readonly annotations?: Annotations | undefined;
  /** Creation time for the artifact; a fixed one unless given, so that the same bytes give the same digest. */
  readonly created?: Date | undefined;
  /** Signs the target in this collection before the tag moves. */
  readonly sign?: Signing | undefined;
  /** What consumers verify this reference against, where known: an unsigned push under it is warned about. */
  readonly coverage?: Coverage | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PushReport {
  readonly reference: string;
  readonly module: { readonly digest: Digest; readonly size: number };
  readonly artifact: { readonly digest: Digest; readonly format: WritableFormat };
  readonly info: WasmInfo;
  /** Undefined for an unsigned push. */
  readonly signed: (PublishResult & { readonly collectionName: string; readonly target: string }) | undefined;
  readonly notes: readonly Note[];
}

/**
 * Pushes a module and, where asked, signs it.
 *
 * @throws {UsageError} REFERENCE_INVALID, USAGE
 * @throws {FormatError} WASM_INVALID
 * @throws {StorageError} FILE_CHANGED where the file was written to during the push
 * @throws {RegistryError} TAG_REFUSED where the registry will not move the tag; the signed mapping is then put back
 * @throws {TrustError} anything that stands in the way of signing
 * @example
 * ```ts
 * const report = await push({ runtime, registry, reference: "ghcr.io/acme/app:v1", module: moduleFromBytes("app.wasm", bytes) });
 * console.log(report.artifact.digest);
 * ```
 */
export async function push(options: PushOptions): Promise<PushReport> {
  const reference = pushReference(options.reference);
  const module = await readModule(options.module, options.runtime, options.onProgress);
  const artifact = await buildArtifact({
    format: options.format ?? "cncf-wasm-v0",
    module: { digest: module.digest, size: module.size },
    title: options.module.name,
    info: module.info,
    annotations: options.annotations,
    created: options.created,
  });
  requireDigest(reference, artifact);
  const { size, info } = module;
  const facts = { size, info, format: artifact.format };
  const signing = options.sign && (await allowedSigning(options.sign, formatTagged(reference), facts));
  const repository = options.registry.repository(reference);
  const previous = signing === undefined ? undefined : await tagDigest(repository, reference.tag, options.signal);
  await upload(repository, artifact, options);
  const signed = signing === undefined ? undefined : await sign(signing, reference, module, artifact, previous);
  await moveTag(repository, reference, artifact, options, signed);
  return {
    reference: formatTagged(reference),
    module: { digest: module.digest, size: module.size },
    artifact: { digest: artifact.manifest.digest, format: artifact.format },
    info: module.info,
    signed: signed?.result && {
      ...signed.result,
      collectionName: signed.signing.collection,
      target: targetName(signed.signing, reference.tag),
    },
    notes: notes(options, reference),
  };
}

function pushReference(given: string | Reference): TaggedReference {
  const reference = taggedReference(given);
  if (!reference.tagged) {
    throw new UsageError("USAGE", `a push needs a tag, ${formatTagged(reference)} has a digest only`, {
      hint: `Name a tag: ${repositoryName(reference)}:TAG`,
    });
  }
  if (isTrustTag(reference.tag)) {
    throw new UsageError("USAGE", `the tag ${JSON.stringify(reference.tag)} is reserved for trust data`, {
      hint: "Push the module under another tag",
    });
  }
  return reference;
}

function requireDigest(reference: Reference, artifact: BuiltArtifact): void {
  if (reference.digest === undefined || reference.digest === artifact.manifest.digest) return;
  throw new UsageError("USAGE", `the module does not give ${reference.digest} but ${artifact.manifest.digest}`, {
    hint: "Push without the digest, or check that file, format and annotations are those of that digest",
    details: { expected: reference.digest, got: artifact.manifest.digest },
  });
}

async function tagDigest(repository: Repository, tag: string, signal?: AbortSignal): Promise<Digest | undefined> {
  const found = await repository.manifests.head(tag, { signal });
  return found?.digest;
}

async function upload(repository: Repository, artifact: BuiltArtifact, options: PushOptions): Promise<void> {
  const { signal, onProgress } = options;
  try {
    await repository.blobs.put(artifact.config.descriptor, artifact.config.bytes, { signal });
    await repository.blobs.put(artifact.layer, options.module.body, { signal, onProgress });
  } catch (error) {
    throw changedDuringUpload(error, options.module.name);
  }
  const { bytes, mediaType, digest } = artifact.manifest;
  await repository.manifests.putByDigest(bytes, mediaType, digest, { signal });
}

/** A registry that computes another digest of a local file than we did received other bytes than we read. */
function changedDuringUpload(error: unknown, name: string): unknown {
  if (!(error instanceof RegistryError) || error.details["reason"] !== "DIGEST_INVALID") return error;
  return new StorageError("FILE_CHANGED", `${name} changed while it was uploaded`, {
    cause: error,
    hint: "Wait until the build has finished and push again; the registry refused the changed bytes",
  });
}

interface SignedPush {
  readonly signing: Signing;
  readonly result: PublishResult;
  readonly restore: () => Promise<void>;
}

async function sign(
  signing: Signing,
  reference: TaggedReference,
  module: ReadModule,
  artifact: BuiltArtifact,
  previous: Digest | undefined,
): Promise<SignedPush> {
  const published = await publishTarget(signing, {
    name: targetName(signing, reference.tag),
    length: module.size,
    hashes: module.hashes,
    manifests: [artifact.manifest.digest],
    contract: await contractOf(module.info),
    tagDigest: previous,
  });
  return { signing, result: published.result, restore: () => restoreTarget(signing, published) };
}

async function moveTag(
  repository: Repository,
  reference: TaggedReference,
  artifact: BuiltArtifact,
  options: PushOptions,
  signed: SignedPush | undefined,
): Promise<void> {
  try {
    await repository.manifests.tag(artifact.manifest.bytes, artifact.manifest.mediaType, reference.tag, options);
  } catch (error) {
    if (!isRefusal(error)) throw error; // unknown whether it moved: the signed mapping allows both, a new push completes it
    await undo(signed, error, reference);
    throw new RegistryError(
      "TAG_REFUSED",
      `the registry refused to move ${formatTagged(reference)}: ${error.message}`,
      {
        cause: error,
        status: error.status ?? 0,
        hint: refusedHint(signed),
        details: { digest: artifact.manifest.digest },
      },
    );
  }
}

function isRefusal(error: unknown): error is RegistryError {
  return error instanceof RegistryError && (error.code === "REGISTRY_REFUSED" || error.code === "REGISTRY_DENIED");
}

async function undo(signed: SignedPush | undefined, refusal: RegistryError, reference: TaggedReference): Promise<void> {
  try {
    await signed?.restore();
  } catch (error) {
    const reason = error instanceof WasmToOciError ? error.message : String(error);
    throw new TrustError(
      "PUBLISH_UNREADABLE",
      `the registry refused to move ${formatTagged(reference)} (${refusal.message}), ` +
        `and the signed mapping could not be put back: ${reason}`,
      {
        cause: error,
        hint: "Pull refuses this tag until the push succeeds or `wasm-to-oci sign` signs what the tag names",
      },
    );
  }
}

function refusedHint(signed: SignedPush | undefined): string {
  const restored = signed === undefined ? "" : "; the signed mapping was put back";
  return `Tags may be immutable there, or you may lack the right to move them: push under another tag${restored}`;
}

function notes(options: PushOptions, reference: TaggedReference): Note[] {
  if (options.sign !== undefined || options.coverage === undefined) return [];
  return [
    {
      code: "unsigned-push",
      message:
        `${formatTagged(reference)} was pushed unsigned, but it is covered by ${options.coverage.collection} at ` +
        `${options.coverage.source.location}: consumers that verify will refuse it until it is signed`,
    },
  ];
}

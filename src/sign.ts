/** Sign: what a registry has already, under the name of its tag. */
import { allowedSigning } from "./apply-rules.ts";
import type { Digest } from "./base/digest.ts";
import { RegistryError, TrustError, UsageError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { findArtifact } from "./find-artifact.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient } from "./oci/registry-client.ts";
import { formatTagged, taggedReference } from "./oci/tagged-reference.ts";
import { readModule } from "./read-module.ts";
import { publishTarget, targetEdits, type Signing, type WantedTarget } from "./sign-target.ts";
import type { Staged } from "./trust/administration.ts";
import { contractOf } from "./trust/contract/contract.ts";
import { targetName } from "./trust/coverage.ts";
import type { EditTargets, PublishOptions, PublishResult, SignedTarget } from "./trust/source.ts";

export interface SignOptions {
  readonly runtime: Runtime;
  readonly registry: RegistryClient;
  /** `host/repository:tag`, with `@digest` to sign nothing but that manifest; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  readonly sign: Signing;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SignReport {
  readonly reference: string;
  readonly module: { readonly digest: Digest; readonly size: number };
  readonly artifact: { readonly digest: Digest; readonly format: string };
  readonly signed: PublishResult;
}

/**
 * Signs the artifact that a tag names. The module is read once from the registry, so that what is signed are
 * bytes that exist and are a module, not a number in a manifest.
 *
 * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH
 * @throws {FormatError} MODULE_MISSING, MODULE_AMBIGUOUS, WASM_INVALID
 * @throws {TrustError} TAG_MISMATCH where the tag names another manifest than `@digest`, or without `@digest` another
 * module than is signed already; anything in the way of publishing
 * @example
 * ```ts
 * await sign({ runtime, registry, reference: "ghcr.io/acme/app:v1", sign: { source, collection: "ghcr.io/acme/app", firstUse: "refuse" } });
 * ```
 */
export async function sign(options: SignOptions): Promise<SignReport> {
  const { signing, wanted, report } = await prepare(options);
  const { result } = await publishTarget(signing, wanted);
  return { ...report, signed: result };
}

/** Where changes are left for several people to sign; `TufAdministration` is one. */
export interface Stage {
  stageTargets(collection: string, edit: EditTargets, options: PublishOptions): Promise<Staged>;
}

/**
 * Leaves the signature of what a tag names for several people, where one of them alone cannot give it.
 *
 * @throws as {@link sign}; TRUST_CONFLICT where other changes wait for signatures already
 */
export async function stageSignature(options: SignOptions, stage: Stage): Promise<Omit<SignReport, "signed"> & Staged> {
  const { signing, wanted, report } = await prepare(options);
  const edit: EditTargets = (current) => targetEdits(current?.find(wanted.name), wanted, signing.roles);
  const staged = await stage.stageTargets(signing.collection, edit, { ...signing, names: [wanted.name] });
  return { ...report, ...staged };
}

/** Reads what a tag names, and says what there is to sign of it. */
async function prepare(options: SignOptions) {
  const reference = taggedReference(options.reference);
  const name = formatTagged(reference);
  if (!reference.tagged) {
    throw new UsageError("USAGE", `${name} has no tag, and a signature is for a tag`, {
      hint: "Name the tag as well: REPOSITORY:TAG@DIGEST",
    });
  }
  const repository = options.registry.repository(reference);
  const found = await findArtifact(repository, reference.tag, options.signal);
  if (found === undefined) {
    throw new RegistryError("REGISTRY_NOT_FOUND", `${name} does not exist in the registry`, {
      status: 404,
      hint: "Push the module first; `wasm-to-oci push --server URL` pushes and signs in one step",
    });
  }
  if (reference.digest !== undefined && reference.digest !== found.digest) {
    throw new TrustError("TAG_MISMATCH", `${name}: the tag names ${found.digest}; nothing was signed`, {
      hint: "The tag was moved; check what it names before signing it",
      details: { expected: reference.digest, got: found.digest },
    });
  }
  if (found.module === undefined) throw found.fault;
  const { module } = found;
  const body = {
    size: module.size,
    open: () => repository.blobs.get(module, { signal: options.signal }),
  };
  const read = await readModule({ name, body }, options.runtime, options.onProgress);
  const signing = await allowedSigning(options.sign, name, { ...read, format: found.format });
  const wanted: WantedTarget = {
    name: targetName(signing, reference.tag),
    length: read.size,
    hashes: read.hashes,
    manifests: [found.digest],
    contract: await contractOf(read.info),
    tagDigest: found.digest,
    keepManifests: true,
    onReplace: (former) => {
      if (reference.digest === undefined) throw replaces(name, former, module.digest, found.digest);
    },
  };
  const artifact = { digest: found.digest, format: found.format };
  return { signing, wanted, report: { reference: name, module, artifact } };
}

/** A tag that names another module than was signed may be somebody's work whose signature must not be had by asking. */
function replaces(name: string, former: SignedTarget, module: Digest, manifest: Digest): TrustError {
  const signed = `sha256:${former.hashes.sha256 ?? ""}`;
  return new TrustError(
    "TAG_MISMATCH",
    `${name} names module ${module}, but ${signed} is signed under this name; nothing was signed`,
    {
      role: former.role,
      hint: `If the tag was moved by you, say so by naming what it holds: ${name}@${manifest}`,
      details: { expected: signed, got: module, manifest },
    },
  );
}

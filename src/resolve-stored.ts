/** Resolves a reference without asking what its tag names: offline, or from a lockfile. */
import type { Digest } from "./base/digest.ts";
import { FormatError, TransportError, TrustError } from "./base/errors.ts";
import { findArtifact } from "./find-artifact.ts";
import { formatTagged, type TaggedReference } from "./oci/tagged-reference.ts";
import type { ReceivedManifest } from "./oci/types.ts";
import type { ResolvedModule } from "./release-module.ts";
import type { ReadableContent } from "./stored-content.ts";
import { bindTarget, signedBlob, type Binding, type FoundArtifact } from "./trust/binding.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import type { LockedModule } from "./trust/lock/lockfile.ts";
import { chooseTarget } from "./trust/resolve.ts";
import type { SignedTarget, TrustedCollection } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";

type OnManifest = (manifest: ReceivedManifest) => void;

interface StoredOptions {
  readonly reference: TaggedReference;
  readonly trust: Coverage;
  readonly content: ReadableContent;
  /** Called with each manifest that was read. */
  readonly onManifest?: OnManifest | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Resolves a reference by signed names alone: what the tag names in the registry is not known offline.
 *
 * @throws {TrustError} TRUST_UNAVAILABLE where the trust data is not stored, TARGET_NOT_FOUND, METADATA_EXPIRED, …
 * @throws {TransportError} OFFLINE_MISSING for a digest alone whose manifest is not in the cache
 */
export async function resolveOffline(options: StoredOptions): Promise<ResolvedModule> {
  const { reference, trust, content, signal } = options;
  const name = formatTagged(reference);
  const collection = await openFor(options);
  const named = reference.tagged ? undefined : await findArtifact(content, reference.digest!, signal);
  const target = chooseTarget(trust, collection, reference, named);
  const found = named ?? (await signedArtifact(target, content, reference.digest, signal));
  const binding = found === undefined ? bindModule(target, name) : bindManifest(target, found, name);
  return { name, trust, collection, target, binding, found };
}

/**
 * Resolves a reference to what is locked for it, and requires that it is signed still.
 *
 * @throws {TrustError} LOCK_MISMATCH where another module is signed under the name now; TARGET_NOT_FOUND, …
 */
export async function resolveLocked(options: StoredOptions, locked: LockedModule): Promise<ResolvedModule> {
  const { reference, trust, content, onManifest, signal } = options;
  const name = formatTagged(reference);
  const finding = lockedArtifact(locked, content, signal, onManifest);
  const [opened, searched] = await Promise.allSettled([openFor(options), finding]);
  if (opened.status === "rejected") throw opened.reason;
  if (searched.status === "rejected") throw searched.reason;
  const found = searched.value;
  const target = chooseTarget(trust, opened.value, reference, found);
  requireStillSigned(target, locked, name);
  return { name, trust, collection: opened.value, target, binding: bindManifest(target, found, name), found };
}

/** The locked manifest, which must hold the locked module. @throws {TrustError} LOCK_MISMATCH */
export async function lockedArtifact(
  locked: LockedModule,
  content: ReadableContent,
  signal: AbortSignal | undefined,
  onManifest?: OnManifest,
): Promise<FoundArtifact & { readonly module: NonNullable<FoundArtifact["module"]> }> {
  const found = await findArtifact(content, locked.manifest, signal, onManifest);
  if (found === undefined) {
    throw new TrustError(
      "LOCK_MISMATCH",
      `the registry does not have ${locked.manifest}, locked for ${locked.reference}`,
      {
        hint: "It was deleted there; pull from a registry or cache that has it, or lock the reference again",
        details: { reference: locked.reference, expected: locked.manifest, got: null },
      },
    );
  }
  const { module, fault } = found;
  if (module === undefined) throw fault;
  if (module.digest === locked.module && module.size === locked.size) return { ...found, module };
  throw new TrustError(
    "LOCK_MISMATCH",
    `the lockfile contradicts itself: ${locked.manifest} holds ${module.digest} (${module.size} bytes), ` +
      `locked for ${locked.reference} is ${locked.module} (${locked.size} bytes)`,
    {
      hint: "It was edited or merged by hand; remove the entry, and lock the reference again",
      details: { reference: locked.reference, expected: locked.module, got: module.digest },
    },
  );
}

function openFor({ reference, trust, signal }: StoredOptions): Promise<TrustedCollection> {
  const names = reference.tagged ? [targetName(trust, reference.tag)] : undefined;
  return trust.source.open(trust.collection, { ...trust, names, signal });
}

/** A manifest that the target signs, where the cache has it: without it the module is verified, its artifact is not. */
async function signedArtifact(
  target: SignedTarget,
  content: ReadableContent,
  wanted: Digest | undefined,
  signal: AbortSignal | undefined,
): Promise<FoundArtifact | undefined> {
  const signed = readBinding(target.custom, target.name)?.manifests;
  // a target without our binding may sign a manifest (docker trust), or a module, which is no manifest
  const digest = wanted ?? signed?.[0] ?? signedBlob(target, target.name).digest;
  try {
    return await findArtifact(content, digest, signal);
  } catch (error) {
    if (error instanceof TransportError && error.code === "OFFLINE_MISSING") return undefined;
    if (error instanceof FormatError && signed === undefined && wanted === undefined) return undefined;
    throw error;
  }
}

function bindModule(target: SignedTarget, name: string): Binding {
  return {
    verified: "module",
    module: target,
    blob: signedBlob(target, name),
    checks: [{ check: "tag-not-asked", detail: "the signed name decides; the registry was not asked" }],
    notes: [],
  };
}

/** What a tag names plays no part here. */
function bindManifest(target: SignedTarget, found: FoundArtifact, name: string): Binding {
  const binding = bindTarget(target, found, name);
  const checks = binding.checks.map((check) =>
    check.check === "tag-agrees"
      ? { check: "manifest-signed", detail: `${found.digest} is a signed manifest; what the tag names was not asked` }
      : check,
  );
  return { ...binding, checks };
}

function requireStillSigned(target: SignedTarget, locked: LockedModule, name: string): void {
  const binding = readBinding(target.custom, target.name);
  const signed = signedBlob(target, name).digest;
  // docker trust signs the manifest itself
  const expected = binding === undefined && signed === locked.manifest ? locked.manifest : locked.module;
  if (signed === expected && (binding === undefined || binding.manifests.includes(locked.manifest))) return;
  throw new TrustError(
    "LOCK_MISMATCH",
    `what is locked for ${name} is not what is signed now: locked is ${locked.module} in ${locked.manifest}, signed is ${signed}`,
    {
      role: target.role,
      hint: "The publisher has replaced it since; look at what is new, then run `wasm-to-oci lock`",
      details: { reference: name, expected: locked.module, got: signed },
    },
  );
}

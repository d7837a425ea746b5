/**
 * Compares what a collection signed with what a registry's tag names. Pure: the one place that decides
 * whether the two agree (DESIGN "Pull").
 */
import { digestAlgorithm, digestHex, type Digest } from "../base/digest.ts";
import { InternalError, TrustError, type FormatError } from "../base/errors.ts";
import type { Check, Note, Verified } from "./report.ts";
import type { SignedTarget } from "./source.ts";
import { readBinding } from "./target-custom.ts";

/** A manifest as a reference named it, with the one module found in it. */
export interface FoundArtifact {
  readonly digest: Digest;
  /** Length of the manifest in bytes. */
  readonly size: number;
  /** Lower-case hex of its bytes: a target that signs the manifest may name both hashes. */
  readonly sha512: string;
  readonly format: string;
  readonly module: { readonly digest: Digest; readonly size: number } | undefined;
  /** Why there is no single module, where there is none. */
  readonly fault: FormatError | undefined;
}

type FoundModule = FoundArtifact & { readonly module: { readonly digest: Digest; readonly size: number } };

/** The signed content of a target: what the released bytes must turn out to be. */
export interface ExpectedModule {
  readonly length: number;
  readonly hashes: { readonly sha256?: string; readonly sha512?: string };
}

export interface Binding {
  readonly verified: Exclude<Verified, "none">;
  readonly module: ExpectedModule;
  /** Under which digest the registry has the module. */
  readonly blob: { readonly digest: Digest; readonly size: number };
  readonly checks: readonly Check[];
  readonly notes: readonly Note[];
}

/**
 * Binds a signed target to what the registry's tag names.
 *
 * @param found the tag's artifact; undefined where the registry has no such tag
 * @param reference for messages
 * @throws {TrustError} TAG_MISMATCH, TARGET_MISMATCH
 */
export function bindTarget(target: SignedTarget, found: FoundArtifact | undefined, reference: string): Binding {
  const binding = readBinding(target.custom, target.name);
  if (binding === undefined) return bindForeignTarget(target, found, reference);
  const signed = signedBlob(target, reference);
  if (found !== undefined && binding.manifests.includes(found.digest)) {
    requireSameModule(target, found, reference);
    return {
      verified: "artifact",
      module: target,
      blob: signed,
      checks: [{ check: "tag-agrees", detail: `the tag names the signed manifest ${found.digest}` }],
      notes: [],
    };
  }
  if (found === undefined || found.digest === binding.replaces) {
    const state = found === undefined ? "has no such tag yet" : `still names the previous manifest ${found.digest}`;
    return {
      verified: "module",
      module: target,
      blob: signed,
      checks: [{ check: "tag-replaced", detail: `the registry ${state}, which the signed target replaces` }],
      notes: [
        {
          code: "publish-under-way",
          message: `${reference} was signed, but the registry ${state}; delivered the signed module`,
        },
      ],
    };
  }
  if (sameModule(target, found)) return repackaged(target, found);
  throw new TrustError(
    "TAG_MISMATCH",
    `${reference} is not what was signed: the tag names ${describeModule(found)}, signed is module ${signed.digest} (${signed.size} bytes)`,
    {
      role: target.role,
      hint: "The tag was moved or the registry was tampered with; do not use what it serves, and tell the publisher",
      details: {
        expected: binding.manifests,
        got: found.digest,
        expectedModule: signed.digest,
        gotModule: found.module?.digest ?? null,
      },
    },
  );
}

/** Targets of Notary's own clients: of the module's bytes (2019 wasm-to-oci) or of the manifest's (docker trust). */
function bindForeignTarget(target: SignedTarget, found: FoundArtifact | undefined, reference: string): Binding {
  if (found === undefined) {
    throw new TrustError("TAG_MISMATCH", `${reference} is signed, but the registry has no such tag`, {
      role: target.role,
      hint: "The publisher's push may not be complete; push the module again",
      details: { got: null },
    });
  }
  if (signsManifest(target, found)) {
    if (!hasModule(found)) throw missingModule(found);
    const { digest, size } = found.module;
    return {
      verified: "artifact",
      module: { length: size, hashes: { [digestAlgorithm(digest)]: digestHex(digest) } },
      blob: found.module,
      checks: [{ check: "manifest-signed", detail: `the target signs the manifest ${found.digest} itself` }],
      notes: [],
    };
  }
  if (sameModule(target, found)) return repackaged(target, found);
  throw new TrustError(
    "TARGET_MISMATCH",
    `${reference} is not what was signed: the registry has ${describeModule(found)}, ` +
      `signed is ${describeHashes(target)} (${target.length} bytes)`,
    {
      role: target.role,
      hint: "The module was replaced or pushed without signing; do not use it, and tell the publisher",
      details: { expected: describeHashes(target), got: found.module?.digest ?? null },
    },
  );
}

/** Tells whether a target is a manifest itself, as docker trust signs: its length and every hash that was signed. */
export function signsManifest({ length, hashes }: ExpectedModule, found: FoundArtifact): boolean {
  if (hashes.sha256 !== digestHex(found.digest) || length !== found.size) return false;
  return hashes.sha512 === undefined || hashes.sha512 === found.sha512;
}

function repackaged(target: SignedTarget, found: FoundModule): Binding {
  return {
    verified: "module",
    module: target,
    blob: found.module,
    checks: [{ check: "tag-has-module", detail: `the manifest ${found.digest} holds the signed module` }],
    notes: [
      {
        code: "artifact-not-signed",
        message: `module verified, artifact not: the manifest ${found.digest}, its config and annotations are not signed`,
      },
    ],
  };
}

/** A target without sha256 cannot be compared before the download; its sha512 is checked on the bytes. */
function sameModule(target: SignedTarget, found: FoundArtifact): found is FoundModule {
  if (!hasModule(found)) return false;
  if (target.length !== found.module.size) return false;
  return target.hashes.sha256 === undefined || target.hashes.sha256 === digestHex(found.module.digest);
}

function requireSameModule(target: SignedTarget, found: FoundArtifact, reference: string): void {
  if (sameModule(target, found)) return;
  if (!hasModule(found)) throw missingModule(found);
  throw new TrustError(
    "TARGET_MISMATCH",
    `${reference} contradicts itself: the signed manifest ${found.digest} holds module ${found.module.digest}, ` +
      `the target signs ${describeHashes(target)}`,
    { role: target.role, details: { expected: describeHashes(target), got: found.module.digest } },
  );
}

function hasModule(found: FoundArtifact): found is FoundModule {
  return found.module !== undefined;
}

function missingModule(found: FoundArtifact): Error {
  return found.fault ?? new InternalError(`the artifact ${found.digest} has neither a module nor a reason`);
}

function describeModule(found: FoundArtifact): string {
  return hasModule(found)
    ? `module ${found.module.digest} (${found.module.size} bytes)`
    : `manifest ${found.digest} without a module`;
}

/** The blob that a target signs. @throws {TrustError} TARGET_MISMATCH where it is signed without a sha256 */
export function signedBlob(target: SignedTarget, reference: string): { digest: Digest; size: number } {
  if (target.hashes.sha256 === undefined) {
    throw new TrustError("TARGET_MISMATCH", `${reference} is signed without the sha256 that finds its blob`, {
      role: target.role,
      details: { expected: "sha256", got: describeHashes(target) },
    });
  }
  return { digest: `sha256:${target.hashes.sha256}`, size: target.length };
}

function describeHashes(target: ExpectedModule): string {
  if (target.hashes.sha256 !== undefined) return `sha256:${target.hashes.sha256}`;
  return `sha512:${target.hashes.sha512 ?? ""}`;
}

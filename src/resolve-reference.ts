/** Resolves a reference: trust metadata and manifest are fetched side by side, and then must agree. */
import { RegistryError } from "./base/errors.ts";
import { findArtifact } from "./find-artifact.ts";
import { formatTagged, type TaggedReference } from "./oci/tagged-reference.ts";
import type { ReceivedManifest } from "./oci/types.ts";
import type { ResolvedModule } from "./release-module.ts";
import type { ReadableContent } from "./stored-content.ts";
import { bindTarget, type FoundArtifact } from "./trust/binding.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import { chooseTarget } from "./trust/resolve.ts";

export interface ResolveOptions {
  readonly reference: TaggedReference;
  readonly trust: Coverage;
  readonly content: ReadableContent;
  /** Called with what the reference names in the registry, long before anybody knows whether it is signed. */
  readonly onFound?: ((found: FoundArtifact) => void) | undefined;
  /** Called with each manifest that was read. */
  readonly onManifest?: ((manifest: ReceivedManifest) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @throws {TrustError} every refusal
 * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH, …
 */
export async function resolveReference(options: ResolveOptions): Promise<ResolvedModule> {
  const { reference, trust, content, onFound, onManifest, signal } = options;
  const name = formatTagged(reference);
  const names = reference.tagged ? [targetName(trust, reference.tag)] : undefined; // a digest may have any name
  const opening = trust.source.open(trust.collection, { ...trust, names, signal });
  const finding = findArtifact(content, reference.digest ?? reference.tag, signal, onManifest).then((artifact) => {
    if (artifact !== undefined) onFound?.(artifact);
    return artifact;
  });
  const [opened, searched] = await Promise.allSettled([opening, finding]);
  if (opened.status === "rejected") throw opened.reason; // what trust says comes first: it is the graver news
  if (searched.status === "rejected") throw searched.reason;
  const collection = opened.value;
  const found = searched.value;
  if (found === undefined && reference.digest !== undefined) throw notInRegistry(reference);
  const target = chooseTarget(trust, collection, reference, found);
  return { name, trust, collection, target, binding: bindTarget(target, found, name), found };
}

export function notInRegistry(reference: TaggedReference): RegistryError {
  const name = formatTagged(reference);
  return new RegistryError("REGISTRY_NOT_FOUND", `${name} does not exist in the registry`, {
    status: 404,
    hint: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
  });
}

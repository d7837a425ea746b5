/**
 * Import: a Notary collection becomes one of our own. Names of docker trust sign manifests, names of the 2019 tool sign
 * modules: which is which is looked up, so that people know what they take over.
 */
import { WasmToOciError } from "./base/errors.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStores } from "./oci/content-store.ts";
import type { Reference } from "./oci/reference.ts";
import { taggedReference } from "./oci/tagged-reference.ts";
import { signsManifest } from "./trust/binding.ts";
import { importCollection, type ImportCollectionOptions, type ImportedCollection } from "./trust/import/collection.ts";
import type { ImportedTarget } from "./trust/import/plan.ts";
import { readBinding } from "./trust/target-custom.ts";

/** Requests under way at once: enough to hide latency, few enough for rate limits. */
const CONCURRENCY = 8;

export interface ImportNotaryOptions extends ImportCollectionOptions {
  readonly registry: ContentStores;
  /** The repository that the names are tags of. */
  readonly repository: Pick<Reference, "registry" | "repository">;
}

/**
 * - `manifest`: the artifact's manifest (docker trust)
 * - `module`: the module's own bytes (this tool, in every version)
 * - `other`: neither of what the tag names now
 * - `unknown`: the registry could not be asked, or has no such tag
 */
export type SignedThing = "manifest" | "module" | "other" | "unknown";

export interface ImportReport extends Omit<ImportedCollection, "targets"> {
  readonly targets: readonly (ImportedCollection["targets"][number] & { readonly signs: SignedThing })[];
}

/**
 * Imports a collection: its names and the delegations whose keys are at hand, under a root that the old root keys hand
 * over to. The collection appears whole or not at all, and the old one stays as it is.
 *
 * @throws {TrustError} KEY_MISSING, KEY_PASSPHRASE, TRUST_EXISTS, TRUST_CONFLICT; nothing was written then
 * @throws {UsageError} USAGE where several new root keys could be meant
 * @see https://github.com/theupdateframework/notary for the collections that this reads
 * @example
 * ```ts
 * const state = await readStoredNotary({ dir: "/home/me/.docker/trust", gun, now: new Date(), acceptExpired: true });
 * const { source, publisher } = openOciSource({ registry, repository, passphrases });
 * const { targets, handedOverBy } = await importNotary({
 *   state,
 *   order: "docker",
 *   collection: "acme/app",
 *   publisher,
 *   keyStore: openKeyDir(dir),
 *   oldKeys: openKeyDir("/home/me/.docker/trust"),
 *   passphrases,
 *   now: () => new Date(),
 *   registry,
 *   repository,
 * });
 * ```
 */
export async function importNotary(options: ImportNotaryOptions): Promise<ImportReport> {
  const { targets, ...imported } = await importCollection(options);
  const told: ImportReport["targets"][number][] = [];
  for (let at = 0; at < targets.length; at += CONCURRENCY) {
    const batch = targets.slice(at, at + CONCURRENCY);
    const things = await Promise.all(batch.map((one) => signedThing(options, one)));
    for (const [i, one] of batch.entries()) told.push({ ...one, signs: things[i]! });
  }
  return { ...imported, targets: told };
}

/** What a target signs. It was imported as it is, whatever the answer: this is for people. */
async function signedThing(
  { registry, repository, signal }: ImportNotaryOptions,
  target: ImportedTarget,
): Promise<SignedThing> {
  try {
    if (readBinding(target.custom, target.name) !== undefined) return "module";
    const { tag } = taggedReference(`${repository.registry}/${repository.repository}:${target.name}`);
    const found = await findArtifact(registry.repository(repository), tag, signal);
    if (found === undefined) return "unknown";
    if (signsManifest(target, found)) return "manifest";
    const isModule =
      found.module?.size === target.length && found.module.digest === `sha256:${target.hashes.sha256 ?? ""}`;
    return isModule ? "module" : "other";
  } catch (error) {
    // no tag, no registry, no right, no patience: the collection is there, and that is what counts
    if (error instanceof WasmToOciError) return "unknown";
    throw error;
  }
}

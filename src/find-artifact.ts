/** Fetches the manifest that a tag or digest names and finds the one module in it. */
import { hexEncode } from "./base/bytes.ts";
import { hashBytes } from "./base/digest.ts";
import { FormatError } from "./base/errors.ts";
import type { ReceivedManifest } from "./oci/types.ts";
import type { ReadableContent } from "./stored-content.ts";
import type { FoundArtifact } from "./trust/binding.ts";
import { chooseFromIndex, readArtifact } from "./wasm/artifact.ts";

/**
 * @param reference a tag or a digest
 * @param onManifest called with each manifest that was read
 * @returns undefined where the registry has nothing under that name
 * @throws {FormatError} MANIFEST_INVALID where the manifest cannot be read at all; one that is sound but holds no
 *   single module comes back with the reason in `fault`
 */
export async function findArtifact(
  repository: Pick<ReadableContent, "manifests">,
  reference: string,
  signal?: AbortSignal,
  onManifest?: (manifest: ReceivedManifest) => void,
): Promise<FoundArtifact | undefined> {
  const named = await repository.manifests.get(reference, { signal });
  if (named === undefined) return undefined;
  onManifest?.(named);
  const { digest } = named;
  const size = named.bytes.length;
  const sha512 = hexEncode(await hashBytes("sha512", named.bytes));
  try {
    const manifest = await resolveIndex(repository, named, signal);
    if (manifest !== named) onManifest?.(manifest);
    const artifact = readArtifact(manifest);
    return { digest, size, sha512, format: artifact.format, module: artifact.module, fault: undefined };
  } catch (error) {
    if (!(error instanceof FormatError) || error.code === "MANIFEST_INVALID") throw error;
    return { digest, size, sha512, format: "unknown", module: undefined, fault: error };
  }
}

/**
 * Takes the Wasm entry of an index, whose digest the index's own digest vouches for.
 *
 * @throws {FormatError} MODULE_MISSING, MODULE_AMBIGUOUS
 */
export async function resolveIndex(
  repository: Pick<ReadableContent, "manifests">,
  named: ReceivedManifest,
  signal: AbortSignal | undefined,
): Promise<ReceivedManifest> {
  if (named.content.kind === "manifest") return named;
  const entry = chooseFromIndex(named.content);
  const manifest = await repository.manifests.get(entry.digest, { signal });
  if (manifest !== undefined) return manifest;
  throw new FormatError(
    "MODULE_MISSING",
    `the index ${named.digest} lists ${entry.digest}, which the registry does not have`,
    {
      hint: "The index was copied without what it lists; push or copy it again",
    },
  );
}

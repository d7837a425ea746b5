/** How modules are packed as OCI artifacts: one of them is built here, all that are in use are read. */
import { buildCncfArtifact } from "./cncf-artifact.ts";
import type { ArtifactInput, BuiltArtifact } from "./formats.ts";
import { buildLegacyArtifact } from "./legacy-artifact.ts";

export type { ArtifactFormat, ArtifactInput, BuiltArtifact, WritableFormat } from "./formats.ts";
export { chooseFromIndex, readArtifact, type FoundModule } from "./read-artifact.ts";

/**
 * Packs a module. The same input gives the same bytes, and so the same digest, everywhere and always.
 *
 * @throws {UsageError} USAGE where the layout has no place for what was given, or text is not Unicode
 * @throws {FormatError} LIMIT_EXCEEDED where the module has more imports and exports than a config may list
 * @example
 * ```ts
 * const artifact = await buildArtifact({ format: "cncf-wasm-v0", module: { digest, size }, title: "app.wasm", info });
 * ```
 */
export async function buildArtifact(input: ArtifactInput): Promise<BuiltArtifact> {
  return input.format === "cncf-wasm-v0" ? buildCncfArtifact(input) : buildLegacyArtifact(input);
}

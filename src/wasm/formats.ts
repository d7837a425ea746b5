/** The layouts of Wasm artifacts by name, and what goes into one and comes out. */
import type { Bytes } from "../base/bytes.ts";
import type { Digest } from "../base/digest.ts";
import type { Annotations, Descriptor } from "../oci/types.ts";
import type { WasmInfo } from "./info.ts";

/**
 * - `cncf-wasm-v0`: the CNCF Wasm OCI artifact, the default
 * - `wasm-to-oci`: what the Go program of 2019 wrote, byte for byte
 */
export type WritableFormat = "cncf-wasm-v0" | "wasm-to-oci";

/**
 * What can be read besides:
 * - `solo`: config and module as two layers (wasme; Istio reads it)
 * - `module-layer`: one layer of the same type alone (Trivy, early wasmCloud)
 * - `runwasi`: an image config and a raw module (containerd shims)
 * - `generic`: one layer of any other kind that holds a module (oras)
 */
export type ArtifactFormat = WritableFormat | "solo" | "module-layer" | "runwasi" | "generic";

export interface ArtifactInput {
  readonly format: WritableFormat;
  readonly module: { readonly digest: Digest; /** Length in bytes. */ readonly size: number };
  /** The module's path or file name. The 2019 layout keeps it as typed, the CNCF one its last part. */
  readonly title?: string | undefined;
  readonly info: WasmInfo;
  /** Creation time, e.g. from SOURCE_DATE_EPOCH; a fixed one unless given. CNCF layout only. */
  readonly created?: Date | undefined;
  /** Annotations of the manifest. CNCF layout only. */
  readonly annotations?: Annotations | undefined;
}

export interface BuiltArtifact {
  readonly format: WritableFormat;
  readonly config: { readonly bytes: Bytes; readonly descriptor: Descriptor };
  readonly layer: Descriptor;
  readonly manifest: { readonly bytes: Bytes; readonly mediaType: string; readonly digest: Digest };
}

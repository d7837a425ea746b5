/** The media types of Wasm artifacts in registries. */

export const WasmMediaType = {
  /** CNCF Wasm OCI artifact. https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/ */
  cncfConfig: "application/vnd.wasm.config.v0+json",
  wasm: "application/wasm",
  /** wasm-to-oci of 2019, krustlet, Kubewarden. */
  legacyConfig: "application/vnd.wasm.config.v1+json",
  legacyLayer: "application/vnd.wasm.content.layer.v1+wasm",
  /** Solo.io, Envoy, Istio. */
  soloConfig: "application/vnd.module.wasm.config.v1+json",
  soloLayer: "application/vnd.module.wasm.content.layer.v1+wasm",
  /** containerd's runwasi. */
  runwasiLayer: "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
} as const;

/** The annotation of a layer that gives its file name; oras and others save it under this name. */
export const TITLE_ANNOTATION = "org.opencontainers.image.title";

/**
 * Writes the CNCF Wasm OCI artifact, version 0.
 * https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/
 */
import { compareUtf8, utf8Encode } from "../base/bytes.ts";
import { digestBytes } from "../base/digest.ts";
import { FormatError, UsageError } from "../base/errors.ts";
import { MediaType, type Annotations, type Descriptor } from "../oci/types.ts";
import { requireUnicode } from "./artifact-text.ts";
import type { ArtifactInput, BuiltArtifact } from "./formats.ts";
import { TITLE_ANNOTATION, WasmMediaType } from "./media-types.ts";
import { MAX_WASM_CONFIG_BYTES } from "./wasm-config.ts";

/**
 * Stands where no time is given, so that pushing the same bytes again gives the same digest. It cannot be left
 * out: the Rust tools (oci-wasm, so wkg and wash) refuse a config without it.
 */
const FIXED_TIME = "1970-01-01T00:00:00Z";

export async function buildCncfArtifact(input: ArtifactInput): Promise<BuiltArtifact> {
  const { module, info, title } = input;
  const layer: Descriptor = {
    mediaType: WasmMediaType.wasm,
    digest: module.digest,
    size: module.size,
    ...(title === undefined ? {} : { annotations: { [TITLE_ANNOTATION]: fileName(title) } }),
  };
  // Members in the order of the specification's examples.
  const config = utf8Encode(
    JSON.stringify({
      created: input.created === undefined ? FIXED_TIME : formatTime(input.created),
      architecture: "wasm",
      // Names the kind, not the WASI version: plain modules too are wasip1, components of WASI 0.3 wasip2.
      os: info.kind === "module" ? "wasip1" : "wasip2",
      layerDigests: [module.digest],
      ...(info.kind === "module" ? {} : { component: { exports: names(info.exports), imports: names(info.imports) } }),
    }),
  );
  if (config.length > MAX_WASM_CONFIG_BYTES) {
    throw new FormatError(
      "LIMIT_EXCEEDED",
      `the component's imports and exports take ${config.length} bytes, more than the ${MAX_WASM_CONFIG_BYTES} allowed`,
      { hint: "Compose fewer interfaces into one component, or push it with --format wasm-to-oci, which lists none" },
    );
  }
  const configDescriptor: Descriptor = {
    mediaType: WasmMediaType.cncfConfig,
    digest: await digestBytes(config),
    size: config.length,
  };
  const annotations = sortedAnnotations(input.annotations);
  const manifest = utf8Encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: configDescriptor,
      layers: [layer],
      ...(annotations === undefined ? {} : { annotations }),
    }),
  );
  return {
    format: "cncf-wasm-v0",
    config: { bytes: config, descriptor: configDescriptor },
    layer,
    manifest: { bytes: manifest, mediaType: MediaType.ociManifest, digest: await digestBytes(manifest) },
  };
}

function names(externs: readonly { readonly name: string }[]): string[] {
  return externs.map((extern) => extern.name);
}

/** The last part of a path: where the module was built is nobody's business and differs between machines. */
function fileName(title: string): string {
  requireUnicode(title, "the title");
  return title.split(/[/\\]/).findLast((part) => part !== "") ?? title;
}

/** RFC 3339 with whole seconds, or milliseconds where there are any. */
function formatTime(time: Date): string {
  const year = time.getUTCFullYear(); // NaN for an invalid date
  if (!(year >= 0 && year <= 9999)) {
    throw new UsageError("USAGE", `the creation time is no date that RFC 3339 can write`, {
      hint: "Give a time between the years 0 and 9999; SOURCE_DATE_EPOCH counts seconds",
    });
  }
  return time.toISOString().replace(".000Z", "Z");
}

/** In an order that does not depend on how they were given. */
function sortedAnnotations(annotations: Annotations | undefined): Annotations | undefined {
  const entries = Object.entries(annotations ?? {});
  if (entries.length === 0) return undefined;
  for (const [key, value] of entries) {
    if (key === "") throw new UsageError("USAGE", "an annotation has an empty key");
    requireUnicode(key, "an annotation's key");
    requireUnicode(value, `the annotation ${key}`);
  }
  return Object.fromEntries(entries.toSorted(([a], [b]) => compareUtf8(a, b)));
}

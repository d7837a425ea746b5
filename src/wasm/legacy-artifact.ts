/**
 * Writes the layout of the Go program of 2019, byte for byte, so that the same file pushed by the same path
 * has the digest that it had then.
 */
import { utf8Encode } from "../base/bytes.ts";
import { digestBytes } from "../base/digest.ts";
import { UsageError } from "../base/errors.ts";
import { MediaType, type Descriptor } from "../oci/types.ts";
import { requireUnicode } from "./artifact-text.ts";
import type { ArtifactInput, BuiltArtifact } from "./formats.ts";
import { TITLE_ANNOTATION, WasmMediaType } from "./media-types.ts";

export async function buildLegacyArtifact(input: ArtifactInput): Promise<BuiltArtifact> {
  const { module, title } = input;
  refuse("annotations", Object.keys(input.annotations ?? {}).length > 0);
  refuse("creation time", input.created !== undefined);
  if (title !== undefined) requireUnicode(title, "the title");
  const config = utf8Encode("{}");
  const configDescriptor: Descriptor = {
    mediaType: WasmMediaType.legacyConfig,
    digest: await digestBytes(config),
    size: config.length,
  };
  const layer: Descriptor = {
    mediaType: WasmMediaType.legacyLayer,
    digest: module.digest,
    size: module.size,
    ...(title === undefined ? {} : { annotations: { [TITLE_ANNOTATION]: title } }),
  };
  const manifest = utf8Encode(goJson({ schemaVersion: 2, config: configDescriptor, layers: [layer] }));
  return {
    format: "wasm-to-oci",
    config: { bytes: config, descriptor: configDescriptor },
    layer,
    manifest: { bytes: manifest, mediaType: MediaType.ociManifest, digest: await digestBytes(manifest) },
  };
}

function refuse(what: string, given: boolean): void {
  if (!given) return;
  throw new UsageError("USAGE", `the 2019 layout (wasm-to-oci) has no place for ${what}`, {
    hint: "Leave it out, or push in the default layout (cncf-wasm-v0)",
  });
}

/** What Go's encoding/json escaped in 2019 and JSON.stringify writes otherwise. */
const GO_ESCAPES: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** JSON as Go's encoding/json wrote it in 2019: members in the order given, no white space, HTML-safe. */
function goJson(value: object): string {
  return JSON.stringify(value)
    .replace(/[<>&\u2028\u2029]/g, (character) => GO_ESCAPES[character]!)
    .replace(/\\(.)/g, (escape, letter: string) => {
      if (letter === "b") return "\\u0008";
      return letter === "f" ? "\\u000c" : escape;
    });
}

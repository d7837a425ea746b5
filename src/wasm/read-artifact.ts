/**
 * Finds the module in an artifact by what the manifest says. Where several layers could be it, or none, that is
 * an error that names them: picking the first would let an attacker, or a mistake, choose by order.
 */
import { FormatError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import type { Descriptor, ImageIndex, ImageManifest, ReceivedManifest } from "../oci/types.ts";
import type { ArtifactFormat } from "./formats.ts";
import { TITLE_ANNOTATION, WasmMediaType } from "./media-types.ts";

/** Candidates that a message names; the rest is counted. */
const MAX_NAMED = 8;

/** Layers that hold a raw module, whatever the config. */
const MODULE_LAYERS: Readonly<Record<string, ArtifactFormat>> = {
  [WasmMediaType.wasm]: "generic",
  [WasmMediaType.legacyLayer]: "generic",
  [WasmMediaType.soloLayer]: "module-layer",
  [WasmMediaType.runwasiLayer]: "runwasi",
  "application/vnd.wasm.component.v1": "generic",
  "application/vnd.wasm.component.v1+wasm": "generic",
};

/** Layers that may be anything, and are taken for a module where they are the only one; the bytes decide later. */
const OPAQUE_LAYERS: ReadonlySet<string> = new Set([
  "application/octet-stream",
  "application/vnd.oci.image.layer.v1.tar",
]);

/** Marks a packed directory (oras). */
const UNPACK_ANNOTATION = "io.deis.oras.content.unpack";

export interface FoundModule {
  readonly format: ArtifactFormat;
  readonly module: Descriptor;
  readonly config: Descriptor;
}

/**
 * Finds the one module of a manifest.
 *
 * @throws {FormatError} MODULE_AMBIGUOUS for several candidates or an index, MODULE_MISSING for none
 */
export function readArtifact(received: ReceivedManifest): FoundModule {
  const { content } = received;
  if (content.kind === "index") {
    throw new FormatError("MODULE_AMBIGUOUS", `${received.digest} is an index of ${names(content.manifests)}`, {
      hint: "Name one of its manifests by digest",
      details: { candidates: content.manifests.map(({ digest }) => digest) },
    });
  }
  const found = content.config.mediaType === WasmMediaType.cncfConfig ? readCncf(content) : readOther(content);
  return { ...found, config: content.config };
}

/**
 * Chooses the Wasm entry of an index: the one for the architecture `wasm`, else the only one.
 *
 * @throws {FormatError} MODULE_AMBIGUOUS, MODULE_MISSING
 */
export function chooseFromIndex(index: ImageIndex): Descriptor {
  const wasm = index.manifests.filter(({ platform }) => platform?.architecture === "wasm");
  if (wasm.length > 0) return only(wasm, "the index lists");
  const [first, ...others] = index.manifests;
  if (first !== undefined && others.length === 0 && !isForOtherPlatform(first)) return first;
  if (first === undefined) throw missing("the index is empty");
  throw missing(`the index has no entry for wasm; it lists ${names(index.manifests)}`);
}

/** An only entry without a platform, or with an unknown one, may be anything; one for linux/amd64 is none of ours. */
function isForOtherPlatform({ platform }: Descriptor): boolean {
  return platform !== undefined && platform.architecture !== "" && platform.architecture !== "unknown";
}

/** The specification tells consumers to reject more than one layer. */
function readCncf({ layers }: ImageManifest): Omit<FoundModule, "config"> {
  if (layers.length > 1) throw ambiguous("a CNCF Wasm artifact must have one layer; this one has", layers);
  const [module] = layers;
  if (module?.mediaType === WasmMediaType.wasm) return { format: "cncf-wasm-v0", module };
  throw missing(`a CNCF Wasm artifact must have one layer of ${WasmMediaType.wasm}; this one has ${names(layers)}`);
}

function readOther({ config, layers }: ImageManifest): Omit<FoundModule, "config"> {
  const candidates = layers.filter(({ mediaType }) => Object.hasOwn(MODULE_LAYERS, mediaType));
  if (candidates.length > 0) {
    const module = only(candidates, "the artifact has");
    return { format: formatOf(config, layers, module), module };
  }
  const [single] = layers;
  if (layers.length === 1 && single !== undefined && mayBeModule(single)) return { format: "generic", module: single };
  throw missing(`no layer of the artifact is a Wasm module: it has ${names(layers)}`);
}

function formatOf(config: Descriptor, layers: readonly Descriptor[], module: Descriptor): ArtifactFormat {
  if (module.mediaType === WasmMediaType.legacyLayer && config.mediaType === WasmMediaType.legacyConfig) {
    return "wasm-to-oci";
  }
  if (layers.some(({ mediaType }) => mediaType === WasmMediaType.soloConfig)) return "solo";
  return MODULE_LAYERS[module.mediaType] ?? "generic";
}

function mayBeModule(layer: Descriptor): boolean {
  if (layer.annotations?.[UNPACK_ANNOTATION] === "true") return false;
  if (layer.mediaType.endsWith("+wasm")) return true;
  // Image layers are of these types too; only a file's name tells the difference.
  const isFile = layer.annotations?.[TITLE_ANNOTATION]?.toLowerCase().endsWith(".wasm") === true;
  return OPAQUE_LAYERS.has(layer.mediaType) && isFile;
}

function only(candidates: readonly Descriptor[], who: string): Descriptor {
  const [first, ...others] = candidates;
  if (first !== undefined && others.length === 0) return first;
  throw ambiguous(`${who} several modules:`, candidates);
}

function ambiguous(who: string, candidates: readonly Descriptor[]): FormatError {
  return new FormatError("MODULE_AMBIGUOUS", `${who} ${names(candidates)}`, {
    hint: "Push each module as an artifact of its own; which one is meant is not for us to guess",
    details: { candidates: candidates.map(({ digest }) => digest) },
  });
}

function missing(message: string): FormatError {
  return new FormatError("MODULE_MISSING", message, {
    hint: "Check that the reference names a Wasm artifact and not a container image, signature or attestation",
  });
}

/** Names descriptors for people: digest, type, file name, platform. */
function names(descriptors: readonly Descriptor[]): string {
  if (descriptors.length === 0) return "nothing";
  const named = descriptors.slice(0, MAX_NAMED).map(({ digest, mediaType, annotations, platform }) => {
    const title = annotations?.[TITLE_ANNOTATION];
    const facts = [
      mediaType,
      ...(title === undefined ? [] : [JSON.stringify(title)]),
      ...(platform === undefined ? [] : [`${platform.os}/${platform.architecture}`]),
    ];
    return `${digest} (${escapeUntrusted(facts.join(", "))})`;
  });
  if (descriptors.length > MAX_NAMED) named.push(`${descriptors.length - MAX_NAMED} more`);
  return named.join(", ");
}

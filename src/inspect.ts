/**
 * Inspect: what a module is, what it needs and what it offers. A local file is read through; of an artifact in a
 * registry only manifest and config, where these say enough. Nothing is verified here but digests; what is signed is
 * shown beside it.
 */
import type { Digest } from "./base/digest.ts";
import { FormatError, RegistryError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { resolveIndex } from "./find-artifact.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient, Repository } from "./oci/registry-client.ts";
import { formatTagged, taggedReference } from "./oci/tagged-reference.ts";
import type { Annotations, Descriptor, ReceivedManifest } from "./oci/types.ts";
import { readModule, type ModuleSource } from "./read-module.ts";
import { readSigned, type SignedContract } from "./signed-contract.ts";
import type { Coverage } from "./trust/coverage.ts";
import type { Note } from "./trust/report.ts";
import { readArtifact, type ArtifactFormat, type FoundModule } from "./wasm/artifact.ts";
import { WasmScanner, type WasmInfo } from "./wasm/binary.ts";
import { disagreements, saysEnough } from "./wasm/config-facts.ts";
import type { ExternKind, WasmKind } from "./wasm/info.ts";
import { WasmMediaType } from "./wasm/media-types.ts";
import { MAX_WASM_CONFIG_BYTES, readWasmConfig, type WasmConfig } from "./wasm/wasm-config.ts";

export interface InspectFileOptions {
  readonly runtime: Runtime;
  /** The file or bytes to read. */
  readonly module: ModuleSource;
  readonly onProgress?: OnProgress | undefined;
}

export interface InspectReferenceOptions {
  readonly registry: RegistryClient;
  /** `host/repository:tag`, `…@digest` or both; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  /** Reads the module itself, even where the config says enough, and compares the two. */
  readonly deep?: boolean | undefined;
  /** Where to look for the signed contract. */
  readonly trust?: Coverage | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type InspectOptions = InspectFileOptions | InspectReferenceOptions;

export interface InspectedExtern {
  /** The first half of a core module's import. */
  readonly module?: string;
  readonly name: string;
  /** Not known from a config, which lists names only. */
  readonly kind?: ExternKind;
}

export interface InspectedArtifact {
  /** The manifest's digest; of an index, the manifest chosen from it. */
  readonly digest: Digest;
  readonly mediaType: string;
  readonly format: ArtifactFormat;
  /** The index that the reference named, where it named one. */
  readonly index?: Digest;
  readonly config: { readonly mediaType: string; readonly digest: Digest; readonly size: number };
  readonly layer: { readonly mediaType: string; readonly annotations: Annotations };
  readonly annotations: Annotations;
  /** What the config says besides imports and exports; CNCF layout only. */
  readonly created?: string;
  readonly author?: string;
  readonly os?: string;
  readonly target?: string;
}

/** Plain data, which `--format json` prints as it is. Its text is the publisher's: escape it before showing it. */
export interface Inspection {
  /** The file's name, or the reference in full. */
  readonly subject: string;
  /** Where the facts below come from: the module's own bytes, or the config that lies beside it. */
  readonly from: "module" | "config";
  readonly module: { readonly digest: Digest; /** Length in bytes. */ readonly size: number };
  /** Absent where no trust data was asked for, or it does not sign this name. */
  readonly signed?: SignedContract;
  /** Absent for local files. */
  readonly artifact?: InspectedArtifact;
  /** From a config, a WIT package looks like a component. */
  readonly kind: WasmKind;
  readonly imports: readonly InspectedExtern[];
  readonly exports: readonly InspectedExtern[];
  /** Sections, memories, producers and the like; absent where the module was not read. */
  readonly binary?: Omit<WasmInfo, "kind" | "imports" | "exports" | "notes" | "size">;
  readonly notes: readonly Note[];
}

/**
 * Inspects a local module or an artifact in a registry.
 *
 * @throws {FormatError} WASM_INVALID, MODULE_MISSING, MODULE_AMBIGUOUS, MANIFEST_INVALID, LIMIT_EXCEEDED
 * @throws {RegistryError} REGISTRY_NOT_FOUND, REGISTRY_DENIED, DIGEST_MISMATCH, …
 * @example
 * ```ts
 * const { kind, imports } = await inspect({ registry, reference: "ghcr.io/acme/app:v1" });
 * ```
 */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  return "module" in options ? inspectFile(options) : inspectReference(options);
}

async function inspectFile({ runtime, module, onProgress }: InspectFileOptions): Promise<Inspection> {
  const { info, digest, size } = await readModule(module, runtime, onProgress);
  return { subject: module.name, module: { digest, size }, ...fromModule(info) };
}

async function inspectReference(options: InspectReferenceOptions): Promise<Inspection> {
  const reference = taggedReference(options.reference);
  const subject = formatTagged(reference);
  const repository = options.registry.repository(reference);
  const named = await repository.manifests.get(reference.digest ?? reference.tag, { signal: options.signal });
  if (named === undefined) {
    throw new RegistryError("REGISTRY_NOT_FOUND", `${subject} does not exist in the registry`, {
      status: 404,
      hint: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
    });
  }
  const received = await resolveIndex(repository, named, options.signal);
  const found = readArtifact(received);
  const { config, notes } = await readConfig(repository, found, options.signal);
  const module = { digest: found.module.digest, size: found.module.size };
  const artifact = describeArtifact(named, received, found, config);
  if (options.deep !== true && config !== undefined && saysEnough(config, module.digest)) {
    const facts = fromConfig(config.component);
    const { signed, notes: trustNotes } = await readSigned(options, reference, module.digest);
    return { subject, module, artifact, ...signed, ...facts, notes: [...notes, ...facts.notes, ...trustNotes] };
  }
  const info = await scanLayer(repository, found.module, options);
  const { signed, notes: trustNotes } = await readSigned(options, reference, module.digest, info);
  const facts = fromModule(info);
  const compared = config === undefined ? [] : disagreements(config, info, module.digest).map(disagreement);
  return {
    subject,
    module,
    artifact,
    ...signed,
    ...facts,
    notes: [...notes, ...compared, ...facts.notes, ...trustNotes],
  };
}

/** A config that cannot be read is a note, not a failure: the module can be read instead. */
async function readConfig(
  repository: Repository,
  { config }: FoundModule,
  signal: AbortSignal | undefined,
): Promise<{ config: WasmConfig | undefined; notes: Note[] }> {
  if (config.mediaType !== WasmMediaType.cncfConfig) return { config: undefined, notes: [] };
  try {
    const bytes = await repository.blobs.read(config, MAX_WASM_CONFIG_BYTES, { signal });
    return { config: readWasmConfig(bytes), notes: [] };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { config: undefined, notes: [{ code: "config-unreadable", message: error.message }] };
  }
}

async function scanLayer(
  repository: Repository,
  layer: Descriptor,
  { signal, onProgress }: InspectReferenceOptions,
): Promise<WasmInfo> {
  const scanner = new WasmScanner();
  let done = 0;
  for await (const chunk of repository.blobs.get(layer, { signal })) {
    scanner.push(chunk);
    done += chunk.length;
    onProgress?.({ phase: "downloading", subject: layer.digest, done, total: layer.size });
  }
  return scanner.end();
}

type Facts = Pick<Inspection, "from" | "kind" | "imports" | "exports" | "notes" | "binary">;

function fromModule(info: WasmInfo): Facts {
  const { kind, imports, exports, notes, size: _size, ...binary } = info;
  const unread = notes.map((message) => ({ code: "section-unread", message }));
  return { from: "module", kind, imports, exports, binary, notes: unread };
}

function fromConfig(component: NonNullable<WasmConfig["component"]>): Facts {
  const named = (name: string): InspectedExtern => ({ name });
  const note = {
    code: "from-config",
    message: "imports and exports are what the artifact's config says; a deep inspection reads the module itself",
  };
  return {
    from: "config",
    kind: "component",
    imports: component.imports.map(named),
    exports: component.exports.map(named),
    notes: [note],
  };
}

function disagreement(message: string): Note {
  return { code: "config-disagrees", message };
}

function describeArtifact(
  named: ReceivedManifest,
  received: ReceivedManifest,
  found: FoundModule,
  config: WasmConfig | undefined,
): InspectedArtifact {
  const { mediaType, digest, size } = found.config;
  const target = config?.component?.target;
  return {
    digest: received.digest,
    mediaType: received.mediaType,
    format: found.format,
    ...(named === received ? {} : { index: named.digest }),
    config: { mediaType, digest, size },
    layer: { mediaType: found.module.mediaType, annotations: found.module.annotations ?? {} },
    annotations: received.content.annotations,
    ...(config?.created === undefined ? {} : { created: config.created }),
    ...(config?.author === undefined ? {} : { author: config.author }),
    ...(config === undefined ? {} : { os: config.os }),
    ...(target === undefined ? {} : { target }),
  };
}

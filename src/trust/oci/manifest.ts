/** Writes published states as OCI manifests, within what registries take. */
import { base64Encode, compareUtf8, concatBytes, utf8Encode, type Bytes } from "../../base/bytes.ts";
import { digestBytes, type Digest } from "../../base/digest.ts";
import { FormatError } from "../../base/errors.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { MediaType, type Descriptor } from "../../oci/types.ts";
import {
  FILE_NAME_ANNOTATION,
  METADATA_MEDIA_TYPE,
  PACK_ANNOTATION,
  PACK_MEDIA_TYPE,
  roleOfFile,
  TRUST_ARTIFACT_TYPE,
} from "./layout.ts";

/** What every registry takes: three top-level files, 31 roots, and the packs below. */
const MAX_LAYERS = 100;
const MAX_ROLE_PACKS = 60;
const MAX_ROOT_PACKS = 6;
/** The newest roots are files of their own; older ones are packed for good, so many together. */
const ROOTS_PER_PACK = 32;
/** Longer files are read by themselves: the manifest is read on every pull. */
const MAX_EMBEDDED_FILE = 16 * 1024;
/** What all embedded files have together. */
const MAX_EMBEDDED = 64 * 1024;

/** The kinds of config: some registries know images only. */
export type ConfigKind = "empty" | "image";

const CONFIGS: Readonly<Record<ConfigKind, { readonly mediaType: string; readonly text: string }>> = {
  empty: { mediaType: MediaType.ociEmpty, text: "{}" },
  image: {
    mediaType: MediaType.ociConfig,
    text: '{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}',
  },
};

/** A blob to upload before its manifest. */
export interface TrustBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly bytes: Bytes;
}

export interface TrustManifest {
  readonly bytes: Bytes;
  readonly mediaType: string;
  readonly digest: Digest;
  readonly blobs: readonly TrustBlob[];
}

/**
 * Makes the manifest of a state, and its blobs. The same files give the same bytes.
 *
 * @param files content by name
 * @throws {FormatError} LIMIT_EXCEEDED
 */
export async function buildTrustManifest(files: ReadonlyMap<string, Bytes>, kind: ConfigKind): Promise<TrustManifest> {
  const blobs: TrustBlob[] = [];
  const layers: Descriptor[] = [];
  let embedded = 0;
  const add = async (bytes: Bytes, mediaType: string, annotations: Record<string, string>): Promise<void> => {
    const blob = { digest: await digestBytes(bytes), size: bytes.length, bytes };
    blobs.push(blob);
    const isEmbedded = bytes.length <= MAX_EMBEDDED_FILE && embedded + bytes.length <= MAX_EMBEDDED;
    if (isEmbedded) embedded += bytes.length;
    const { digest, size } = blob;
    layers.push({ mediaType, digest, size, ...(isEmbedded ? { data: bytes } : {}), annotations });
  };
  const { alone, packs } = arrange([...files.keys()]);
  for (const name of alone) await add(files.get(name)!, METADATA_MEDIA_TYPE, { [FILE_NAME_ANNOTATION]: name });
  for (const names of packs) {
    const parts = names.map((name) => files.get(name)!);
    const list = names.map((name, index) => `${name} ${parts[index]!.length}`).join("\n");
    await add(concatBytes(parts), PACK_MEDIA_TYPE, { [PACK_ANNOTATION]: list });
  }
  const config = await configBlob(kind);
  const bytes = await artifactManifest(TRUST_ARTIFACT_TYPE, kind, layers);
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new FormatError("LIMIT_EXCEEDED", `the manifest of the trust data would have ${bytes.length} bytes`, {
      hint: "Split the collection: registries take manifests of 4 MiB at most",
      details: { limit: MAX_MANIFEST_BYTES },
    });
  }
  return { bytes, mediaType: MediaType.ociManifest, digest: await digestBytes(bytes), blobs: [config, ...blobs] };
}

/** The config that artifacts of trust data have: nothing, or an image's where a registry knows nothing else. */
export async function configBlob(kind: ConfigKind): Promise<TrustBlob & { readonly mediaType: string }> {
  const { mediaType, text } = CONFIGS[kind];
  const bytes = utf8Encode(text);
  return { mediaType, digest: await digestBytes(bytes), size: bytes.length, bytes };
}

/** The bytes of an artifact's manifest. */
export async function artifactManifest(
  artifactType: string,
  kind: ConfigKind,
  layers: readonly Descriptor[],
): Promise<Bytes> {
  const { bytes, ...config } = await configBlob(kind);
  return utf8Encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      ...(kind === "empty" ? { artifactType } : {}),
      config: descriptorJson({ ...config, ...(kind === "empty" && { data: bytes }) }),
      layers: layers.map(descriptorJson),
    }),
  );
}

/** What clients read first comes first, and is embedded first. */
const ORDER = ["timestamp", "snapshot", "targets"];

/**
 * Decides which files are layers and which are packed together. Files that change together, or never, share a pack;
 * neighbours stay neighbours, so that a changed file changes one pack.
 */
function arrange(names: readonly string[]): { alone: string[]; packs: string[][] } {
  const sorted = names.toSorted((a, b) => compareUtf8(roleOfFile(a), roleOfFile(b)) || versionOf(a) - versionOf(b));
  const first = ORDER.flatMap((role) => sorted.filter((name) => roleOfFile(name) === role));
  const roots = sorted.filter((name) => roleOfFile(name) === "root").toReversed();
  const others = sorted.filter((name) => !first.includes(name) && roleOfFile(name) !== "root");
  if (names.length <= MAX_LAYERS) return { alone: [...first, ...roots, ...others], packs: [] };
  const full = Math.floor(versionOf(roots[0] ?? "") / ROOTS_PER_PACK);
  const rootsPerPack = ROOTS_PER_PACK * Math.ceil(full / MAX_ROOT_PACKS);
  const recent = roots.filter((name) => versionOf(name) > full * ROOTS_PER_PACK);
  const old = roots.filter((name) => !recent.includes(name)).toReversed();
  const rolesPerPack = Math.ceil(others.length / MAX_ROLE_PACKS);
  return {
    alone: [...first, ...recent],
    packs: [
      ...grouped(old, (name) => Math.floor((versionOf(name) - 1) / rootsPerPack)),
      ...grouped(others, (_, index) => Math.floor(index / rolesPerPack)),
    ],
  };
}

function grouped(names: readonly string[], groupOf: (name: string, index: number) => number): string[][] {
  const groups = new Map<number, string[]>();
  for (const [index, name] of names.entries()) {
    const group = groupOf(name, index);
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [name]);
    else members.push(name);
  }
  return [...groups.values()];
}

function versionOf(name: string): number {
  return Number(/^(\d+)\./.exec(name)?.[1] ?? 0);
}

function descriptorJson({ mediaType, digest, size, annotations, data }: Descriptor): Record<string, unknown> {
  return {
    mediaType,
    digest,
    size,
    ...(annotations && { annotations }),
    ...(data && { data: base64Encode(data) }),
  };
}

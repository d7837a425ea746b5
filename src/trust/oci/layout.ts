/**
 * Trust data as an OCI artifact: one image manifest holds all metadata files of one published state, each as a layer of
 * raw bytes, or packed with others into one. Manifest and annotations say where bytes are, and nothing else is believed
 * of them. The media type and the annotation are those of docker/go-tuf-mirror, whose artifacts are read as well.
 */
import type { ExpectedContent } from "../../base/digest.ts";
import { FormatError } from "../../base/errors.ts";
import { escapeUntrusted } from "../../base/untrusted-text.ts";
import type { Descriptor, ReceivedManifest } from "../../oci/types.ts";

export const TRUST_ARTIFACT_TYPE = "application/vnd.wasm-to-oci.tuf.repository.v1+json";
export const METADATA_MEDIA_TYPE = "application/vnd.tuf.metadata+json";
/** Names the one file that a layer is. */
export const FILE_NAME_ANNOTATION = "tuf.io/filename";
/** Several files, one after the other. */
export const PACK_MEDIA_TYPE = "application/vnd.wasm-to-oci.tuf.pack.v1";
/** Names the files of a pack: a line with name and length in bytes for each, in their order. */
export const PACK_ANNOTATION = "org.wasm-to-oci.tuf.files";

/** What the project's own publisher makes: 16,384 hash bins, their roots and some named roles. */
const MAX_FILES = 20_000;
/** Longer ones than the publisher makes are no metadata that could be verified. */
const MAX_FILE_BYTES = 128 * 1024 * 1024;
/** What is read at once for one file of a pack. */
const MAX_PACK_BYTES = 16 * 1024 * 1024;
/** As role names are published, with their version and suffix. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._%~-]{0,250}\.json$/;
const PACK_LINE = /^([^ ]+) (0|[1-9][0-9]{0,9})$/;

/** Where one file's bytes are. */
export interface TrustFile {
  /** E.g. `3.targets.json`. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** The blob that has it, with its content where the manifest embeds it. */
  readonly blob: ExpectedContent & Pick<Descriptor, "data">;
  /** Where in the blob it begins. */
  readonly offset: number;
}

/** One published state: every file by name. */
export type TrustFiles = ReadonlyMap<string, TrustFile>;

/**
 * Reads the manifest of a published state.
 *
 * @param where names it in messages
 * @throws {FormatError} MANIFEST_INVALID for anything that our publisher or docker/go-tuf-mirror would not have made
 */
export function readTrustFiles({ content }: Pick<ReceivedManifest, "content">, where: string): TrustFiles {
  const fail = (fault: string): never => {
    throw new FormatError("MANIFEST_INVALID", `${where} is no trust data: ${fault}`, {
      hint: "Somebody else wrote to this tag, or the registry changed it; its publisher can publish again",
      details: { where },
    });
  };
  if (content.kind !== "manifest") return fail("it is an index");
  const files = new Map<string, TrustFile>();
  const roles = new Set<string>();
  for (const layer of content.layers) {
    for (const file of filesOf(layer, fail)) {
      if (!FILE_NAME.test(file.name)) fail(`it names a file ${shown(file.name)}`);
      if (file.size > MAX_FILE_BYTES) fail(`${file.name} has ${file.size} bytes`);
      if (files.has(file.name)) fail(`it has ${file.name} twice`);
      files.set(file.name, file);
      if (files.size > MAX_FILES) fail(`it has more than ${MAX_FILES} files`);
      const role = roleOfFile(file.name);
      if (role === "root") continue;
      if (roles.has(role)) fail(`it has two versions of ${role}, so its layers are of two publishes`);
      roles.add(role);
    }
  }
  if (files.size === 0) fail("it has no metadata");
  return files;
}

/** The role's part of a file name, as encoded there: `3.team%2Fa.json` is `team%2Fa`. */
export function roleOfFile(name: string): string {
  return name.replace(/^\d+\./, "").replace(/\.json$/, "");
}

function filesOf(layer: Descriptor, fail: (fault: string) => never): TrustFile[] {
  const { digest, size, data, annotations = {} } = layer;
  const blob = { digest, size, ...(data === undefined ? {} : { data }) };
  if (layer.mediaType === METADATA_MEDIA_TYPE) {
    const name = annotations[FILE_NAME_ANNOTATION] ?? fail(`a layer has no annotation ${FILE_NAME_ANNOTATION}`);
    return [{ name, size, blob, offset: 0 }];
  }
  if (layer.mediaType !== PACK_MEDIA_TYPE) return fail(`a layer is of type ${shown(layer.mediaType)}`);
  if (size > MAX_PACK_BYTES) fail(`a pack has ${size} bytes`);
  const files: TrustFile[] = [];
  let offset = 0;
  for (const line of (annotations[PACK_ANNOTATION] ?? fail(`a pack has no annotation ${PACK_ANNOTATION}`)).split(
    "\n",
  )) {
    const match = PACK_LINE.exec(line) ?? fail(`a pack lists ${shown(line)}`);
    const file = { name: match[1]!, size: Number(match[2]), blob, offset };
    offset += file.size;
    files.push(file);
    if (files.length > MAX_FILES) fail(`it has more than ${MAX_FILES} files`);
  }
  if (offset !== size) fail(`a pack lists files of ${offset} bytes and has ${size}`);
  return files;
}

function shown(text: string): string {
  return JSON.stringify(escapeUntrusted(text, 80));
}

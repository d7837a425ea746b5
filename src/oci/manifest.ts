/**
 * Reads manifests and indexes as strictly as their specifications allow. A document means one thing to every
 * reader or it is refused: no duplicate or case-variant keys, not manifest and index at once, no media type
 * but the one that the registry announced. The bytes are kept as they came; the digest is theirs.
 * https://github.com/opencontainers/image-spec/tree/v1.1.1
 */
import { digestAlgorithm, digestBytes, isDigest, type Digest, type HashAlgorithm } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import { formatFault, JsonCursor, type ObjectCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import {
  MediaType,
  type Annotations,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  type ReceivedManifest,
} from "./types.ts";

/** What the distribution specification tells registries to accept at least, and most to accept at most. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** ECR, the most generous, stops at 500. */
const MAX_LAYERS = 1_000;
/** An index this long fills some 2 MiB; more entries only cost time. */
const MAX_INDEX_ENTRIES = 10_000;
const MAX_ANNOTATIONS = 1_000;
/** `urls` are never fetched, only recognised. */
const MAX_URLS = 100;
/** RFC 6838 §4.2: 127 characters on either side of the slash. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i;

const MANIFEST_TYPES: readonly string[] = [MediaType.ociManifest, MediaType.dockerManifest];
const INDEX_TYPES: readonly string[] = [MediaType.ociIndex, MediaType.dockerIndex];

const DOCUMENT_KEYS = [
  "schemaVersion",
  "mediaType",
  "artifactType",
  "config",
  "layers",
  "manifests",
  "subject",
  "annotations",
  "fsLayers",
  "blobs",
];
const DESCRIPTOR_KEYS = ["mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"];

/** The media types that {@link parseManifest} reads, for an Accept header. */
export const ACCEPTED_MANIFESTS = [...MANIFEST_TYPES, ...INDEX_TYPES].join(", ");

/**
 * Reads a manifest or index.
 *
 * @param contentType the Content-Type that came with it; undefined where it was not received over HTTP
 * @param algorithm of the digest to give it; sha256 unless it was asked for by another
 * @throws {FormatError} JSON_INVALID, MANIFEST_INVALID, LIMIT_EXCEEDED
 */
export async function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  algorithm: HashAlgorithm = "sha256",
): Promise<ReceivedManifest> {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new FormatError(
      "LIMIT_EXCEEDED",
      `the manifest has ${bytes.length} bytes, more than the ${MAX_MANIFEST_BYTES} allowed`,
    );
  }
  const value = parseJson(bytes, { what: "the manifest", integersOnly: true });
  const root = new JsonCursor(value, formatFault("MANIFEST_INVALID", "the manifest"));
  const document = root.object(DOCUMENT_KEYS);
  const version = document.field("schemaVersion");
  if (version.integer() !== 2) {
    version.fail(`expected 2, got ${version.integer()}; Docker's schema 1 is not supported`);
  }
  for (const key of ["fsLayers", "blobs"]) {
    if (!document.field(key).absent) document.field(key).fail("it belongs to another kind of manifest");
  }
  const isIndex = !document.field("manifests").absent;
  if (isIndex && !(document.field("layers").absent && document.field("config").absent)) {
    root.fail("it is a manifest and an index at once");
  }
  const mediaType = mediaTypeOf(root, document, isIndex, contentType);
  const content = await (isIndex ? readIndex(document, mediaType) : readImage(document, mediaType));
  return { bytes, mediaType, digest: await digestBytes(bytes, algorithm), content };
}

/** The part of a Content-Type before its parameters, in lower case. */
export function mediaTypeEssence(contentType: string): string {
  return contentType.split(";", 1)[0]!.trim().toLowerCase();
}

function mediaTypeOf(
  root: JsonCursor,
  document: ObjectCursor,
  isIndex: boolean,
  contentType: string | undefined,
): string {
  const possible = isIndex ? INDEX_TYPES : MANIFEST_TYPES;
  const field = document.field("mediaType");
  const own = field.absent ? undefined : field.string();
  const announced = contentType === undefined ? undefined : mediaTypeEssence(contentType);
  if (own !== undefined && announced !== undefined && own !== announced) {
    field.fail(`it is ${show(own)}, and was announced as ${show(announced)}`);
  }
  const mediaType = own ?? announced ?? possible[0]!;
  if (!possible.includes(mediaType)) {
    root.fail(`it is built like ${isIndex ? "an index" : "a manifest"}, and its media type is ${show(mediaType)}`);
  }
  // OCI made the field optional for the sake of old documents; Docker's always had it.
  if (own === undefined && mediaType !== MediaType.ociManifest && mediaType !== MediaType.ociIndex) {
    field.fail("missing, and Docker's manifests must have it");
  }
  return mediaType;
}

async function readImage(document: ObjectCursor, mediaType: string): Promise<ImageManifest> {
  return {
    kind: "manifest",
    mediaType,
    config: await readDescriptor(document.field("config")),
    layers: await Promise.all(document.field("layers").array(MAX_LAYERS).map(readDescriptor)),
    ...(await readCommon(document)),
  };
}

async function readIndex(document: ObjectCursor, mediaType: string): Promise<ImageIndex> {
  return {
    kind: "index",
    mediaType,
    manifests: await Promise.all(document.field("manifests").array(MAX_INDEX_ENTRIES).map(readDescriptor)),
    ...(await readCommon(document)),
  };
}

async function readCommon(
  document: ObjectCursor,
): Promise<{ artifactType?: string; subject?: Descriptor; annotations: Annotations }> {
  const subject = document.field("subject");
  return {
    ...optionalArtifactType(document),
    ...(subject.empty ? {} : { subject: await readDescriptor(subject) }),
    annotations: readAnnotations(document.field("annotations")),
  };
}

async function readDescriptor(cursor: JsonCursor): Promise<Descriptor> {
  const descriptor = cursor.object(DESCRIPTOR_KEYS);
  const mediaType = descriptor.field("mediaType");
  if (!MEDIA_TYPE.test(mediaType.string())) mediaType.fail(`${show(mediaType.string())} is not a media type`);
  const digest = descriptor.field("digest").string();
  if (!isDigest(digest)) return descriptor.field("digest").fail(`${show(digest)} is not a sha256 or sha512 digest`);
  const size = descriptor.field("size").integer();
  const urls = descriptor.field("urls");
  if (!urls.empty) for (const url of urls.array(MAX_URLS)) url.string();
  const annotations = descriptor.field("annotations");
  const platform = descriptor.field("platform");
  return {
    mediaType: mediaType.string(),
    digest,
    size,
    ...(annotations.empty ? {} : { annotations: readAnnotations(annotations) }),
    ...optionalArtifactType(descriptor),
    ...(platform.empty ? {} : { platform: readPlatform(platform) }),
    ...(await readData(descriptor.field("data"), digest, size)),
  };
}

/** Embedded content is as good as fetched content: only after its length and digest are right. */
async function readData(cursor: JsonCursor, digest: Digest, size: number): Promise<{ data?: Uint8Array }> {
  if (cursor.empty) return {};
  const data = cursor.base64();
  if (data.length !== size) cursor.fail(`expected ${size} bytes, got ${data.length}`);
  const got = await digestBytes(data, digestAlgorithm(digest));
  if (got !== digest) cursor.fail(`expected content with digest ${digest}, got ${got}`);
  return { data };
}

function readPlatform(cursor: JsonCursor): { architecture: string; os: string } {
  const platform = cursor.object(["architecture", "os"]);
  const text = (key: string): string => (platform.field(key).empty ? "" : platform.field(key).string());
  return { architecture: text("architecture"), os: text("os") };
}

function optionalArtifactType(object: ObjectCursor): { artifactType?: string } {
  const field = object.field("artifactType");
  return field.empty ? {} : { artifactType: field.string() };
}

function readAnnotations(cursor: JsonCursor): Annotations {
  const annotations = Object.create(null) as Record<string, string>; // a key may be __proto__
  if (cursor.empty) return annotations;
  for (const [key, value] of cursor.entries(MAX_ANNOTATIONS)) annotations[key] = value.string();
  return annotations;
}

function show(text: string): string {
  return JSON.stringify(escapeUntrusted(text, 128));
}

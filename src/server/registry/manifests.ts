/** Manifests and tags: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests */
import { concatBytes, type Bytes } from "../../base/bytes.ts";
import { digestAlgorithm, type Digest } from "../../base/digest.ts";
import { errorMessage, FormatError } from "../../base/errors.ts";
import { ACCEPTED_MANIFESTS, MAX_MANIFEST_BYTES, parseManifest } from "../../oci/manifest.ts";
import { isTag } from "../../oci/reference.ts";
import type { ReceivedManifest } from "../../oci/types.ts";
import { RegistryFault } from "./errors.ts";
import {
  bodyOf,
  contentLength,
  etag,
  isUnchanged,
  readDigest,
  refuseContentEncoding,
  tagCondition,
  type Exchange,
  type Handler,
} from "./exchange.ts";
import type { NewManifest } from "./store.ts";

/** Tags that one push may move; the specification asks for ten. */
const MAX_TAGS_PER_PUSH = 100;
/**
 * Annotations of a manifest that refers to another are copied into every list of referrers, and clients take
 * 4 MiB of list.
 */
const MAX_REFERRER_ANNOTATION_CHARACTERS = 256 * 1024;

const MANIFEST_TYPES = new Set(ACCEPTED_MANIFESTS.split(", "));

/** Layers that may not be pushed: the image names them, others distribute them. */
const FOREIGN_LAYER = /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1|docker\.image\.rootfs\.foreign)\b/;

export const getManifest: Handler = async ({ store, request, repository, item, headOnly }) => {
  const digest = isTag(item) ? await store.manifests.resolve(repository, item) : readDigest(item);
  const manifest = digest && (await store.manifests.get(repository, digest));
  if (digest === undefined || manifest === undefined) throw await unknown(store, repository, item);
  const headers = { "docker-content-digest": digest, etag: etag(digest) };
  if (isUnchanged(request, digest)) return new Response(null, { status: 304, headers });
  return new Response(headOnly ? null : (manifest.bytes as Bytes), {
    headers: {
      ...headers,
      "content-type": manifest.mediaType,
      "content-length": String(manifest.bytes.length),
    },
  });
};

export const putManifest: Handler = async (exchange) => {
  const { store, request, query, repository, item } = exchange;
  refuseContentEncoding(request);
  const expected = isTag(item) ? undefined : readDigest(item);
  const tags = expected === undefined ? [item] : [...new Set(query.getAll("tag"))];
  checkTags(tags);
  const received = await readManifest(request, expected);
  if (expected !== undefined && received.digest !== expected) {
    throw new RegistryFault("DIGEST_INVALID", undefined, { detail: { expected, received: received.digest } });
  }
  const { digest, content } = received;
  await store.manifests.put(repository, {
    digest,
    mediaType: received.mediaType,
    bytes: received.bytes,
    tags,
    condition: tagCondition(request),
    ...referencedContent(received),
    referrer: referrerOf(received),
  });
  for (const tag of tags) exchange.tagMoved?.(repository, tag);
  const headers = new Headers({
    location: `/v2/${repository}/manifests/${item}`,
    "docker-content-digest": digest,
    etag: etag(digest),
  });
  if (content.subject !== undefined) headers.set("oci-subject", content.subject.digest);
  if (expected !== undefined) for (const tag of tags) headers.append("oci-tag", tag);
  return new Response(null, { status: 201, headers });
};

export const deleteManifest: Handler = async ({ store, request, repository, item }) => {
  const deleted = isTag(item)
    ? await store.manifests.deleteTag(repository, item, tagCondition(request))
    : await store.manifests.delete(repository, readDigest(item));
  if (!deleted) throw await unknown(store, repository, item);
  return new Response(null, { status: 202 });
};

async function unknown(store: Exchange["store"], repository: string, item: string): Promise<RegistryFault> {
  if (!(await store.has(repository))) return new RegistryFault("NAME_UNKNOWN");
  return new RegistryFault("MANIFEST_UNKNOWN", undefined, { detail: { reference: item } });
}

function checkTags(tags: readonly string[]): void {
  if (tags.length > MAX_TAGS_PER_PUSH) {
    throw new RegistryFault("UNSUPPORTED", `at most ${MAX_TAGS_PER_PUSH} tags can be pushed at once`, { status: 414 });
  }
  for (const tag of tags) {
    if (!isTag(tag)) throw new RegistryFault("MANIFEST_INVALID", "a tag is not well formed");
  }
}

async function readManifest(request: Request, expected: Digest | undefined): Promise<ReceivedManifest> {
  const tooLarge = (): RegistryFault =>
    new RegistryFault("SIZE_INVALID", `a manifest may have ${MAX_MANIFEST_BYTES} bytes`, { status: 413 });
  if ((contentLength(request) ?? 0) > MAX_MANIFEST_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(request)) {
    size += chunk.length;
    if (size > MAX_MANIFEST_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  const contentType = request.headers.get("content-type") ?? undefined;
  try {
    const algorithm = expected === undefined ? "sha256" : digestAlgorithm(expected);
    return await parseManifest(concatBytes(chunks), contentType, algorithm);
  } catch (error) {
    if (error instanceof FormatError)
      throw new RegistryFault("MANIFEST_INVALID", errorMessage(error), { cause: error });
    throw error;
  }
}

/** What must be in the repository already. The subject need not be: the specification lets it come later. */
function referencedContent({ content }: ReceivedManifest): Pick<NewManifest, "blobs" | "manifests"> {
  if (content.kind === "manifest") {
    const layers = content.layers.filter((layer) => !FOREIGN_LAYER.test(layer.mediaType));
    return { blobs: [content.config, ...layers].map((blob) => blob.digest), manifests: [] };
  }
  const manifests = content.manifests.filter((entry) => MANIFEST_TYPES.has(entry.mediaType));
  const others = content.manifests.filter((entry) => !MANIFEST_TYPES.has(entry.mediaType));
  return { blobs: others.map((entry) => entry.digest), manifests: manifests.map((entry) => entry.digest) };
}

function referrerOf({ bytes, mediaType, digest, content }: ReceivedManifest): NewManifest["referrer"] {
  if (content.subject === undefined) return undefined;
  const { annotations } = content;
  if (JSON.stringify(annotations).length > MAX_REFERRER_ANNOTATION_CHARACTERS) {
    throw new RegistryFault(
      "MANIFEST_INVALID",
      `a manifest with a subject may have ${MAX_REFERRER_ANNOTATION_CHARACTERS} characters of annotations`,
    );
  }
  // An index without an artifactType has no config whose media type could stand in for it.
  const artifactType =
    content.artifactType || (content.kind === "manifest" ? content.config.mediaType : undefined) || undefined;
  return {
    subject: content.subject.digest,
    descriptor: {
      mediaType,
      digest,
      size: bytes.length,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
  };
}

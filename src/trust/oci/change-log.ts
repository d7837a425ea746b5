/** Change requests in a registry: written once, listed, read within limits. */
import type { Bytes } from "../../base/bytes.ts";
import { digestBytes, type Digest } from "../../base/digest.ts";
import { errorCode, FormatError, RegistryError } from "../../base/errors.ts";
import type { ContentStore } from "../../oci/content-store.ts";
import { MediaType, type Descriptor } from "../../oci/types.ts";
import { decodeMetadata } from "../../tuf/metadata.ts";
import { metadataFile } from "../../tuf/names.ts";
import type { Root, SignedMetadata, Targets } from "../../tuf/schema.ts";
import { decodeChange, encodeChange, isChangeTag, MAX_CHANGE_BYTES, type ChangeRequest } from "./changes.ts";
import { FILE_NAME_ANNOTATION, METADATA_MEDIA_TYPE } from "./layout.ts";
import { artifactManifest, configBlob } from "./manifest.ts";

const CHANGE_ARTIFACT_TYPE = "application/vnd.wasm-to-oci.tuf.change.v1+json";

/** Requests that one publisher looks at; whoever may write to the registry could make any number. */
const MAX_REQUESTS = 1_000;
/** And what it reads of them. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
/** Requests read at once. */
const PARALLEL = 16;
/** Documents of one request: a change that needs more is left to its author. */
const MAX_DOCUMENTS = 16;
/** What one document may have. */
const MAX_DOCUMENT = 1024 * 1024;
/** What is embedded in the manifest, so that a request is read at once. */
const MAX_EMBEDDED = 64 * 1024;

/** A document as its author has signed it, for a role that others cannot sign. */
export type RequestedDocument =
  | { readonly role: "root"; readonly document: SignedMetadata<Root> }
  | { readonly role: string; readonly document: SignedMetadata<Targets> };

/** A request as it was found. */
export interface FoundChange {
  readonly request: ChangeRequest;
  /** What its tag names; undefined for one that was not read. */
  readonly manifest: Digest | undefined;
  /** The signed documents that come with it, by file name. */
  readonly documents: readonly Descriptor[];
}

/** What a registry answers where somebody stored what is none of ours. */
const GARBAGE: ReadonlySet<string> = new Set([
  "DIGEST_MISMATCH",
  "REGISTRY_NOT_FOUND",
  "RESPONSE_INVALID",
  "RESPONSE_TOO_LARGE",
]);

/** The requests of one repository, as one publisher sees them. */
export class ChangeLog {
  private readonly store: ContentStore;
  /** What was read once; undefined is of no use, whatever it is. */
  private readonly known = new Map<string, FoundChange | undefined>();
  private readonly documents = new Map<Digest, RequestedDocument | undefined>();
  private seen: ReadonlySet<string> = new Set();
  private bytesLeft = MAX_READ_BYTES;
  /** Requests that were not looked at, because there are too many. */
  skipped = 0;

  constructor(store: ContentStore) {
    this.store = store;
  }

  /** Reads requests, in the order given; those that are of no use are left out. */
  async read(tags: readonly string[], signal?: AbortSignal): Promise<FoundChange[]> {
    const unread = tags.filter((tag) => !this.known.has(tag));
    const room = Math.max(0, MAX_REQUESTS - this.known.size);
    this.skipped = Math.max(0, unread.length - room);
    for (let at = 0; at < Math.min(room, unread.length) && this.bytesLeft > 0; at += PARALLEL) {
      const batch = unread.slice(at, Math.min(at + PARALLEL, room));
      await Promise.all(batch.map(async (tag) => this.known.set(tag, await this.readOne(tag, signal))));
    }
    return tags.flatMap((tag) => this.known.get(tag) ?? []);
  }

  /** Every request's tag, oldest first. */
  async list(signal?: AbortSignal): Promise<readonly string[]> {
    const tags = await this.tags(signal);
    this.seen = new Set(tags);
    return tags;
  }

  /** Whether there are requests that were not there at the last look. */
  async hasNew(isKnown: (id: string) => boolean, signal?: AbortSignal): Promise<boolean> {
    return (await this.tags(signal)).some((tag) => !this.seen.has(tag) && !isKnown(tag));
  }

  private async tags(signal?: AbortSignal): Promise<string[]> {
    const tags: string[] = [];
    try {
      for await (const tag of this.store.tags.list({ signal })) if (isChangeTag(tag)) tags.push(tag);
    } catch (error) {
      if (errorCode(error) !== "REGISTRY_NOT_FOUND") throw error;
    }
    return tags.toSorted();
  }

  /** Writes a request; its tag is its own. */
  async write(
    request: ChangeRequest,
    documents: readonly { readonly file: string; readonly bytes: Bytes }[],
    signal?: AbortSignal,
  ): Promise<void> {
    const { blobs, manifests } = this.store;
    const config = await configBlob("empty");
    const change = encodeChange(request);
    if (change.length > MAX_CHANGE_BYTES) throw tooLarge(change.length);
    const layers = [await layerOf(change, CHANGE_ARTIFACT_TYPE)];
    const contents = [config.bytes, change];
    for (const { file, bytes } of documents.slice(0, MAX_DOCUMENTS)) {
      if (bytes.length > MAX_DOCUMENT) continue;
      layers.push({ ...(await layerOf(bytes, METADATA_MEDIA_TYPE)), annotations: { [FILE_NAME_ANNOTATION]: file } });
      contents.push(bytes);
    }
    const descriptors = [config, ...layers];
    await Promise.all(descriptors.map((blob, index) => blobs.put(blob, contents[index]!, { signal })));
    const bytes = (kind: "empty" | "image") => artifactManifest(CHANGE_ARTIFACT_TYPE, kind, layers);
    try {
      await manifests.tag(await bytes("empty"), MediaType.ociManifest, request.id, { signal });
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== "REGISTRY_REFUSED") throw error;
      const image = await configBlob("image");
      await blobs.put(image, image.bytes, { signal });
      await manifests.tag(await bytes("image"), MediaType.ociManifest, request.id, { signal });
    }
  }

  /** A document that comes with a request; undefined where it is none. */
  async document(descriptor: Descriptor, signal?: AbortSignal): Promise<RequestedDocument | undefined> {
    if (!this.documents.has(descriptor.digest)) {
      const read = await ignoringGarbage(() => this.readDocument(descriptor, signal));
      this.documents.set(descriptor.digest, read);
    }
    return this.documents.get(descriptor.digest);
  }

  /** Every file that comes with a request, by name, unread; undefined where they cannot be read. */
  async content({ documents }: FoundChange, signal?: AbortSignal): Promise<ReadonlyMap<string, Bytes> | undefined> {
    return ignoringGarbage(async () => {
      const files = new Map<string, Bytes>();
      for (const descriptor of documents) {
        const name = descriptor.annotations?.[FILE_NAME_ANNOTATION] ?? "";
        files.set(name, await this.store.blobs.read(descriptor, MAX_DOCUMENT, { signal }));
      }
      return files;
    });
  }

  private async readOne(tag: string, signal: AbortSignal | undefined): Promise<FoundChange | undefined> {
    return ignoringGarbage(async () => {
      const manifest = await this.store.manifests.get(tag, { signal });
      this.bytesLeft -= manifest?.bytes.length ?? 0;
      if (manifest?.content.kind !== "manifest") return undefined;
      const [change, ...documents] = manifest.content.layers;
      if (change?.mediaType !== CHANGE_ARTIFACT_TYPE || documents.length > MAX_DOCUMENTS) return undefined;
      this.bytesLeft -= change.data === undefined ? change.size : 0;
      const bytes = await this.store.blobs.read(change, MAX_CHANGE_BYTES, { signal });
      return { request: decodeChange(bytes, tag), manifest: manifest.digest, documents };
    });
  }

  private async readDocument(
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
  ): Promise<RequestedDocument | undefined> {
    const file = descriptor.annotations?.[FILE_NAME_ANNOTATION];
    const role = /^\d+\.([A-Za-z0-9._-]+)\.json$/.exec(file ?? "")?.[1];
    if (descriptor.mediaType !== METADATA_MEDIA_TYPE || role === undefined) return undefined;
    const bytes = await this.store.blobs.read(descriptor, MAX_DOCUMENT, { signal });
    const document = decodeMetadata(bytes, role === "root" ? "root" : "targets", role);
    return metadataFile(role, document.signed.version) === file ? ({ role, document } as RequestedDocument) : undefined;
  }
}

/** What cannot be read, for whatever lies in it, is nobody's: it must not keep others from publishing. */
export async function ignoringGarbage<T>(read: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (error instanceof FormatError || GARBAGE.has(code)) return undefined;
    throw error;
  }
}

async function layerOf(bytes: Bytes, mediaType: string): Promise<Descriptor> {
  const data = bytes.length <= MAX_EMBEDDED ? { data: bytes } : {};
  return { mediaType, digest: await digestBytes(bytes), size: bytes.length, ...data };
}

function tooLarge(size: number): FormatError {
  return new FormatError("LIMIT_EXCEEDED", `a change of ${size} bytes is more than is published at once`, {
    hint: "Publish fewer names at a time",
    details: { size, limit: MAX_CHANGE_BYTES },
  });
}

/**
 * An OCI image layout as a content store. Every manifest that it has stands in its index, with or without a name, as
 * oras keeps it; what refers to another is found by reading them. Nothing in a layout is believed: whatever is read
 * is hashed, on every read.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
import { concatBytes, type Bytes } from "../base/bytes.ts";
import {
  digestAlgorithm,
  digestBytes,
  isDigest,
  verifiedStream,
  type CreateHasher,
  type Digest,
  type ExpectedContent,
} from "../base/digest.ts";
import { FormatError, InterruptedError, RegistryError, UsageError } from "../base/errors.ts";
import type { StreamBody } from "../base/http.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import type { UploadOptions, UploadResult } from "./blobs.ts";
import type { BlobStore, ContentStore, ManifestStore, ReferrerStore, TagStore } from "./content-store.ts";
import { LayoutIndex, PLAIN_NAMES, type LayoutNames } from "./layout-index.ts";
import { MAX_MANIFEST_BYTES, parseManifest } from "./manifest.ts";
import { describeManifest } from "./manifest-descriptor.ts";
import type { ManifestHead } from "./manifests.ts";
import { isTag } from "./reference.ts";
import { referrersTag, type ReferrersOptions } from "./referrers.ts";
import type { Descriptor, ReceivedManifest } from "./types.ts";

/**
 * The files of a layout.
 *
 * Obligations: `write` shows a blob under its digest only when all its bytes are there and have that digest; two
 * `updateIndex` never overlap, and readers see the old index or the new one; links are never followed.
 */
export interface LayoutFiles {
  /** For people. */
  readonly location: string;
  /** The bytes of `index.json`, at most as many as a manifest may have. */
  readIndex(): Promise<Bytes | undefined>;
  /** Replaces the index by what `change` makes of the newest one. */
  updateIndex(change: (current: Bytes | undefined) => Promise<Bytes>): Promise<void>;
  /** The length of a blob in bytes; undefined where there is none. */
  size(digest: Digest): Promise<number | undefined>;
  /** The bytes of a blob that is there, as they are. */
  read(digest: Digest): AsyncIterable<Uint8Array>;
  write(blob: ExpectedContent, source: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface LayoutStoreOptions {
  readonly createHasher: CreateHasher;
  /** Which names count as tags; those of the layout itself unless told. */
  readonly names?: LayoutNames | undefined;
  /** For people; the layout's location unless told. */
  readonly name?: string | undefined;
}

/** Makes the store of a layout. Nothing is read yet. */
export function layoutStore(files: LayoutFiles, options: LayoutStoreOptions): ContentStore {
  const { name = files.location, names = PLAIN_NAMES, createHasher } = options;
  const blobs = new LayoutBlobs(files, createHasher);
  const manifests = new LayoutManifests(files, blobs, names, name);
  return { name, blobs, manifests, tags: layoutTags(files, names), referrers: new LayoutReferrers(manifests, files) };
}

class LayoutBlobs implements BlobStore {
  private readonly files: LayoutFiles;
  private readonly createHasher: CreateHasher;

  constructor(files: LayoutFiles, createHasher: CreateHasher) {
    this.files = files;
    this.createHasher = createHasher;
  }

  async has(digest: Digest): Promise<boolean> {
    return (await this.files.size(digest)) !== undefined;
  }

  async *get(blob: ExpectedContent): AsyncGenerator<Uint8Array> {
    const what = `blob ${blob.digest} of ${this.files.location}`;
    const size = await this.files.size(blob.digest);
    if (size === undefined) throw missing(blob.digest, this.files.location);
    if (size !== blob.size) throw wrongSize(what, blob.size, size);
    yield* verifiedStream(this.files.read(blob.digest), blob, this.createHasher, what);
  }

  async read(blob: ExpectedContent & Pick<Descriptor, "data">, limit: number): Promise<Bytes> {
    if (blob.size > limit) {
      throw new FormatError(
        "LIMIT_EXCEEDED",
        `blob ${blob.digest} has ${blob.size} bytes, more than the ${limit} allowed`,
        {
          details: { size: blob.size, limit },
        },
      );
    }
    const chunks: Uint8Array[] = [];
    if (blob.data !== undefined) chunks.push(blob.data);
    else for await (const chunk of this.get(blob)) chunks.push(chunk);
    return concatBytes(chunks);
  }

  async put(blob: ExpectedContent, body: StreamBody | Uint8Array, options: UploadOptions = {}): Promise<UploadResult> {
    if (await this.isWhole(blob)) return { existed: true };
    const source = body instanceof Uint8Array ? once(body) : reporting(body, blob, options);
    await this.files.write(blob, verifiedStream(source, blob, this.createHasher, `blob ${blob.digest}`));
    return { existed: false };
  }

  /** One that is there and damaged is written anew. */
  private async isWhole(blob: ExpectedContent): Promise<boolean> {
    if (!(await this.has(blob.digest))) return false;
    try {
      for await (const _chunk of this.get(blob)); // the iteration checks
      return true;
    } catch (error) {
      if (error instanceof RegistryError && error.code === "DIGEST_MISMATCH") return false;
      throw error;
    }
  }
}

class LayoutManifests implements ManifestStore {
  private readonly files: LayoutFiles;
  private readonly blobs: LayoutBlobs;
  private readonly names: LayoutNames;
  private readonly name: string;

  constructor(files: LayoutFiles, blobs: LayoutBlobs, names: LayoutNames, name: string) {
    this.files = files;
    this.blobs = blobs;
    this.names = names;
    this.name = name;
  }

  async get(reference: string): Promise<ReceivedManifest | undefined> {
    const index = await this.index();
    const entry = this.entry(index, reference);
    const digest = entry?.digest ?? (isDigest(reference) ? reference : undefined);
    const size = digest && (await this.files.size(digest));
    if (digest === undefined || (size === undefined && entry === undefined)) return undefined;
    const bytes = await this.blobs.read({ digest, size: entry?.size ?? size! }, MAX_MANIFEST_BYTES);
    return parseManifest(bytes, entry?.mediaType, digestAlgorithm(digest));
  }

  async head(reference: string): Promise<ManifestHead | undefined> {
    const manifest = await this.get(reference);
    return manifest && { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
  }

  async putByDigest(bytes: Uint8Array, mediaType: string, digest: Digest): Promise<void> {
    const entry = await this.write(bytes, mediaType, digest);
    await this.update((index) => index.withManifest(entry));
  }

  async tag(bytes: Uint8Array, mediaType: string, tag: string): Promise<void> {
    if (!isTag(tag)) throw notAReference(tag);
    const entry = await this.write(bytes, mediaType, await digestBytes(bytes));
    await this.update((index) => index.withTag(entry, tag, this.names));
  }

  async index(): Promise<LayoutIndex> {
    return LayoutIndex.parse(await this.files.readIndex());
  }

  private entry(index: LayoutIndex, reference: string): Descriptor | undefined {
    if (isDigest(reference)) return index.find(reference);
    if (!isTag(reference)) throw notAReference(reference);
    return index.tagged(reference, this.names);
  }

  private async write(bytes: Uint8Array, mediaType: string, digest: Digest): Promise<Descriptor> {
    const manifest = await parseManifest(bytes, mediaType, digestAlgorithm(digest));
    if (manifest.digest !== digest) {
      throw new RegistryError(
        "DIGEST_MISMATCH",
        `the manifest for ${this.name} is not ${digest}: it is ${manifest.digest}`,
        {
          details: { expected: digest, got: manifest.digest },
        },
      );
    }
    await this.blobs.put({ digest, size: bytes.length }, bytes);
    const { annotations: _own, ...entry } = describeManifest(manifest); // those of an entry are its names
    return entry;
  }

  private update(change: (index: LayoutIndex) => LayoutIndex): Promise<void> {
    return this.files.updateIndex(async (current) => change(await LayoutIndex.parse(current)).encode());
  }
}

class LayoutReferrers implements ReferrerStore {
  private readonly manifests: LayoutManifests;
  private readonly files: LayoutFiles;

  constructor(manifests: LayoutManifests, files: LayoutFiles) {
    this.manifests = manifests;
    this.files = files;
  }

  async list(digest: Digest, options: ReferrersOptions = {}): Promise<readonly Descriptor[]> {
    const index = await this.manifests.index();
    const found = new Map<string, Descriptor>();
    for (const entry of index.entries) {
      if (entry.size > MAX_MANIFEST_BYTES || found.has(entry.digest)) continue;
      const manifest = await this.manifests.get(entry.digest);
      if (manifest?.content.subject?.digest === digest) found.set(entry.digest, describeManifest(manifest));
    }
    const listed = await this.manifests.get(referrersTag(digest));
    if (listed?.content.kind === "index") {
      for (const entry of listed.content.manifests) if (!found.has(entry.digest)) found.set(entry.digest, entry);
    }
    const all = [...found.values()];
    return options.artifactType === undefined
      ? all
      : all.filter((entry) => entry.artifactType === options.artifactType);
  }

  /** The index has every manifest, so whoever has a subject is found. */
  async attach(_subject: Digest, referrer: Descriptor): Promise<void> {
    if ((await this.files.size(referrer.digest)) === undefined) throw missing(referrer.digest, this.files.location);
  }
}

function layoutTags(files: LayoutFiles, names: LayoutNames): TagStore {
  return {
    async *list() {
      const { entries } = await LayoutIndex.parse(await files.readIndex());
      yield* new Set(entries.flatMap((entry) => names.tagOf(entry) ?? []));
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* reporting(
  body: StreamBody,
  { digest }: ExpectedContent,
  options: UploadOptions,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of body.open()) {
    if (options.signal?.aborted === true) throw new InterruptedError();
    yield chunk;
    done += chunk.length;
    options.onProgress?.({ phase: "uploading", subject: digest, done, total: body.size });
  }
}

function missing(digest: Digest, location: string): FormatError {
  return new FormatError("LAYOUT_INVALID", `${location} lacks the blob ${digest}`, {
    hint: "It was copied without what it lists; make it again from its source",
    details: { digest },
  });
}

function wrongSize(what: string, expected: number, got: number): RegistryError {
  return new RegistryError("DIGEST_MISMATCH", `${what}: expected ${expected} bytes, got ${got}`, {
    hint: "The content was changed or damaged; nothing was kept",
    details: { expected, got },
  });
}

function notAReference(text: string): UsageError {
  return new UsageError("REFERENCE_INVALID", `"${escapeUntrusted(text, 128)}" is neither a tag nor a digest`, {
    hint: "A tag has 1 to 128 letters, digits, `_`, `.` and `-`; a digest looks like sha256:<64 hexadecimal digits>",
  });
}

/**
 * Brings artifacts from one content store to another: blobs first, then manifests by digest, children before parents,
 * so that nothing is visible that is not whole. What is there is not sent again, so a copy that broke off is completed
 * by running it again.
 */
import type { Digest } from "./base/digest.ts";
import { digestAlgorithm, digestHex } from "./base/digest.ts";
import { FormatError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { ContentStore } from "./oci/content-store.ts";
import { describeManifest } from "./oci/manifest-descriptor.ts";
import type { Descriptor, ReceivedManifest } from "./oci/types.ts";
import type { Note } from "./trust/report.ts";

/** Indexes in indexes: none has more than one level. */
const MAX_DEPTH = 4;
/** Signatures, SBOMs and attestations of one artifact, and what is attached to those. */
const MAX_ATTACHMENTS = 1_000;
/** Signatures of attachments are attachments, and nothing goes further. */
const MAX_ATTACHMENT_DEPTH = 3;
/** Requests at once: enough to hide the way to a registry. */
const PARALLEL = 4;
/** The tags of cosign 1 and 2, below the digest that they are for. */
const COSIGN_SUFFIXES: readonly string[] = ["sig", "att", "sbom"];
const COSIGN_TAG = /^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.(?:sig|att|sbom))?$/;

/** Tells tags that stand for something attached to an artifact: cosign's, and those in place of the referrers API. */
export function isAttachmentTag(tag: string): boolean {
  return COSIGN_TAG.test(tag) || /^sha512-[0-9a-f]{121}$/.test(tag);
}

export interface TransferOptions {
  readonly source: ContentStore;
  readonly destination: ContentStore;
  /** The source's repository, where both are in one registry: blobs are then mounted, not sent. */
  readonly mountFrom?: string | undefined;
  /** Look, and write nothing. */
  readonly dryRun?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TransferCounts {
  /** Manifests that the destination did not have. */
  manifests: number;
  /** Blobs that were sent or mounted. */
  blobs: number;
  /** Bytes of those blobs. */
  bytes: number;
  /** Blobs that were there. */
  existed: number;
  /** Signatures, SBOMs and the like that came along. */
  attachments: number;
}

export class ArtifactTransfer {
  readonly counts: TransferCounts = { manifests: 0, blobs: 0, bytes: 0, existed: 0, attachments: 0 };
  readonly notes: Note[] = [];
  private readonly options: TransferOptions;
  private readonly done = new Set<Digest>();
  private readonly doneBlobs = new Set<Digest>();
  /** What indexes list: it may have attachments of its own. */
  private readonly members = new Map<Digest, readonly Digest[]>();

  constructor(options: TransferOptions) {
    this.options = options;
  }

  /**
   * Brings a manifest with all that it lists.
   *
   * @throws {FormatError} MANIFEST_INVALID where the source lacks what an index lists; LIMIT_EXCEEDED
   * @throws {RegistryError} DIGEST_MISMATCH, and what registries answer
   */
  async artifact(manifest: ReceivedManifest, depth = 0): Promise<void> {
    if (this.done.has(manifest.digest)) return;
    if (depth > MAX_DEPTH) {
      throw new FormatError("LIMIT_EXCEEDED", `${manifest.digest} is an index more than ${MAX_DEPTH} levels deep`, {
        details: { limit: MAX_DEPTH },
      });
    }
    const { source, destination, signal, dryRun } = this.options;
    if (manifest.content.kind === "index") {
      for (const entry of manifest.content.manifests) {
        const child = await source.manifests.get(entry.digest, { signal });
        if (child === undefined) throw lacks(source, manifest.digest, entry.digest);
        await this.artifact(child, depth + 1);
      }
      this.members.set(
        manifest.digest,
        manifest.content.manifests.map(({ digest }) => digest),
      );
    } else {
      const { config, layers } = manifest.content;
      await inParallel([config, ...layers], (blob) => this.blob(blob));
    }
    const there = await destination.manifests.head(manifest.digest, { signal });
    if (there === undefined) {
      this.counts.manifests++;
      if (dryRun !== true)
        await destination.manifests.putByDigest(manifest.bytes, manifest.mediaType, manifest.digest, { signal });
    }
    this.done.add(manifest.digest);
  }

  /**
   * Brings what refers to a manifest or to what it lists, and cosign's signatures of them. The source's list is a claim: what does not name
   * the manifest as its subject is left out, and said.
   */
  async attachments(subject: Digest, depth = 0): Promise<void> {
    const { source, destination, signal, dryRun } = this.options;
    for (const member of this.members.get(subject) ?? []) await this.attachments(member, depth);
    for (const { digest } of await source.referrers.list(subject, { signal })) {
      const referrer = await source.manifests.get(digest, { signal });
      if (referrer?.content.subject?.digest !== subject) {
        this.notes.push({
          code: "attachment-left-out",
          message: `${digest} is listed as attached to ${subject} and is not`,
        });
        continue;
      }
      await this.attachment(referrer);
      if (dryRun !== true) await destination.referrers.attach(subject, describeManifest(referrer), { signal });
      if (depth + 1 < MAX_ATTACHMENT_DEPTH) await this.attachments(digest, depth + 1);
    }
    const prefix = `${digestAlgorithm(subject)}-${digestHex(subject)}`;
    if (prefix.length > 120) return; // no tag is that long
    for (const tag of COSIGN_SUFFIXES.map((suffix) => `${prefix}.${suffix}`)) await this.tagged(tag);
  }

  /** Makes a tag of the destination name a manifest that is there. */
  async tag(manifest: ReceivedManifest, tag: string): Promise<void> {
    const { destination, signal, dryRun } = this.options;
    if (dryRun !== true) await destination.manifests.tag(manifest.bytes, manifest.mediaType, tag, { signal });
  }

  private async tagged(tag: string): Promise<void> {
    const { source, destination, signal } = this.options;
    const manifest = await source.manifests.get(tag, { signal });
    if (manifest === undefined) return;
    await this.attachment(manifest);
    const there = await destination.manifests.head(tag, { signal });
    if (there?.digest === manifest.digest) return;
    if (there !== undefined) {
      this.notes.push({
        code: "attachment-replaced",
        message: `${tag} named ${there.digest} at the destination and was replaced`,
      });
    }
    await this.tag(manifest, tag);
  }

  private async attachment(manifest: ReceivedManifest): Promise<void> {
    if (!this.done.has(manifest.digest)) this.counts.attachments++;
    if (this.counts.attachments > MAX_ATTACHMENTS) {
      throw new FormatError("LIMIT_EXCEEDED", `more than ${MAX_ATTACHMENTS} signatures and the like are attached`, {
        hint: "Somebody floods this artifact with attachments; its owner must clean up",
        details: { limit: MAX_ATTACHMENTS },
      });
    }
    await this.artifact(manifest);
  }

  private async blob(blob: Descriptor): Promise<void> {
    if (this.doneBlobs.has(blob.digest)) return;
    this.doneBlobs.add(blob.digest);
    const { source, destination, mountFrom, onProgress, signal, dryRun } = this.options;
    if (dryRun === true) return this.count(await destination.blobs.has(blob.digest, { signal }), blob);
    const body = blob.data ?? {
      size: blob.size,
      open: (offset = 0) => from(source.blobs.get(blob, { signal }), offset),
    };
    const { existed } = await destination.blobs.put(blob, body, { mountFrom, onProgress, signal });
    this.count(existed, blob);
  }

  private count(existed: boolean, { size }: Descriptor): void {
    if (existed) this.counts.existed++;
    else {
      this.counts.blobs++;
      this.counts.bytes += size;
    }
  }
}

/** A stream without its first bytes. All of them are read: the digest is of the whole. */
async function* from(source: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
  let toSkip = offset;
  for await (const chunk of source) {
    const rest = toSkip === 0 ? chunk : chunk.subarray(Math.min(toSkip, chunk.length));
    toSkip -= chunk.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}

/** Works on several items at once; waits for what is under way before it tells of a failure, and begins nothing more. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      if (failure !== undefined) return;
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  if (failure !== undefined) throw failure.error;
}

function lacks(source: ContentStore, index: Digest, child: Digest): FormatError {
  return new FormatError("MANIFEST_INVALID", `the index ${index} lists ${child}, which ${source.name} does not have`, {
    hint: "The index was copied without what it lists; push or copy it again",
    details: { index, digest: child },
  });
}

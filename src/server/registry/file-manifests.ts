/**
 * Manifests, tags and referrers of each repository, below `repositories/<repository>/`:
 * `manifests/<digest>` (media type and subject; the bytes are in the layout), `tags/<tag>` (a digest),
 * `referrers/<subject>/<digest>` (the descriptor to list). A manifest exists when its file in `manifests/` does.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDigest, type Digest } from "../../base/digest.ts";
import { errorCode, StorageError } from "../../base/errors.ts";
import { formatFault, JsonCursor } from "../../base/json-cursor.ts";
import { parseJson } from "../../base/json.ts";
import type { OciLayout } from "../../node/oci-layout.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { fileExists, filesIn, pageOfNames } from "./durable-files.ts";
import { RegistryFault } from "./errors.ts";
import type { FileBlobs } from "./file-blobs.ts";
import { digestFile, digestOfFile, repositoryFile, tagFile, tagOfFile } from "./file-names.ts";
import type { Intents, Step } from "./intents.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import type {
  ManifestStore,
  NamePage,
  NewManifest,
  ReferrerDescriptor,
  StoredManifest,
  TagCondition,
} from "./store.ts";

export interface FileManifestsOptions {
  /** The store's directory. */
  readonly root: string;
  readonly layout: OciLayout;
  readonly blobs: FileBlobs;
  readonly intents: Intents;
  /** Serialises changes to one repository. */
  readonly repositoryLock: KeyedLock;
}

/** What is written down about a manifest beside its bytes. */
interface ManifestRecord {
  readonly mediaType: string;
  readonly subject: Digest | undefined;
}

export class FileManifests implements ManifestStore {
  private readonly options: FileManifestsOptions;

  constructor(options: FileManifestsOptions) {
    this.options = options;
  }

  async get(repository: string, digest: Digest): Promise<StoredManifest | undefined> {
    const record = await this.record(repository, digest);
    if (record === undefined) return undefined;
    const bytes = await this.options.layout.readVerified(digest, MAX_MANIFEST_BYTES);
    // Deleted between the two reads.
    return bytes && { mediaType: record.mediaType, bytes };
  }

  async resolve(repository: string, tag: string): Promise<Digest | undefined> {
    const path = join(this.options.root, tagPath(repository, tag));
    const text = await readText(path);
    if (text === undefined) return undefined;
    if (!isDigest(text)) throw damaged(path);
    return text;
  }

  put(repository: string, manifest: NewManifest): Promise<void> {
    const { blobs, layout, intents, repositoryLock } = this.options;
    return repositoryLock.run(repository, async () => {
      await intents.settle();
      for (const tag of manifest.tags) await this.demand(repository, tag, manifest.condition);
      await this.demandContent(repository, manifest);
      const { digest, bytes, referrer } = manifest;
      await blobs.add(repository, digest, "manifest", () => layout.write([bytes], { digest, size: bytes.length }));
      const record = { mediaType: manifest.mediaType, ...(referrer && { subject: referrer.subject }) };
      const steps: Step[] = [{ put: manifestPath(repository, digest), text: JSON.stringify(record) }];
      if (referrer !== undefined) {
        const path = referrerPath(repository, referrer.subject, digest);
        steps.push({ put: path, text: JSON.stringify(referrer.descriptor) });
      }
      await intents.run(await this.withoutDone(steps));
      // After the manifest, not with it: a crash in between leaves a manifest without its tags, as whole as one
      // that was pushed by digest, and a push of one tag then needs no intent.
      await intents.run(manifest.tags.map((tag) => ({ put: tagPath(repository, tag), text: digest })));
    });
  }

  delete(repository: string, digest: Digest): Promise<boolean> {
    return this.options.repositoryLock.run(repository, async () => {
      await this.options.intents.settle();
      const record = await this.record(repository, digest);
      if (record === undefined) return false;
      const steps: Step[] = [];
      for await (const file of filesIn(this.tagsDirectory(repository))) {
        const tag = tagOfFile(file);
        if (tag === undefined || (await this.resolve(repository, tag)) !== digest) continue;
        steps.push({ remove: tagPath(repository, tag) });
      }
      if (record.subject !== undefined) steps.push({ remove: referrerPath(repository, record.subject, digest) });
      steps.push({ remove: manifestPath(repository, digest) });
      await this.options.intents.run(steps);
      await this.options.blobs.unlink(repository, digest, "manifest");
      return true;
    });
  }

  deleteTag(repository: string, tag: string, condition: TagCondition): Promise<boolean> {
    return this.options.repositoryLock.run(repository, async () => {
      await this.options.intents.settle();
      await this.demand(repository, tag, condition);
      if ((await this.resolve(repository, tag)) === undefined) return false;
      await this.options.intents.run([{ remove: tagPath(repository, tag) }]);
      return true;
    });
  }

  tags(repository: string, after: string, limit: number): Promise<NamePage<string>> {
    return pageOfNames(this.tagsDirectory(repository), tagOfFile, after, limit);
  }

  referrers(repository: string, subject: Digest, after: string, limit: number): Promise<NamePage<Digest>> {
    return pageOfNames(join(this.options.root, referrersPath(repository, subject)), digestOfFile, after, limit);
  }

  async referrer(repository: string, subject: Digest, digest: Digest): Promise<ReferrerDescriptor | undefined> {
    const path = join(this.options.root, referrerPath(repository, subject, digest));
    const text = await readText(path);
    if (text === undefined) return undefined;
    try {
      return readDescriptor(text);
    } catch (cause) {
      throw damaged(path, cause);
    }
  }

  private tagsDirectory(repository: string): string {
    return join(this.options.root, directory(repository), "tags");
  }

  private async record(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const path = join(this.options.root, manifestPath(repository, digest));
    const text = await readText(path);
    if (text === undefined) return undefined;
    try {
      const record = new JsonCursor(parseJson(text), formatFault("JSON_INVALID", path)).object([
        "mediaType",
        "subject",
      ]);
      const subject = record.field("subject");
      return {
        mediaType: record.field("mediaType").string(),
        subject: subject.absent ? undefined : digestField(subject),
      };
    } catch (cause) {
      throw damaged(path, cause);
    }
  }

  private async demand(repository: string, tag: string, condition: TagCondition): Promise<void> {
    if (condition === undefined) return;
    const current = await this.resolve(repository, tag);
    const holds =
      condition === "absent"
        ? current === undefined
        : condition === "present"
          ? current !== undefined
          : current === condition.digest;
    if (!holds) throw new RegistryFault("DENIED", `the tag ${tag} is ${current ?? "absent"}`, { status: 412 });
  }

  private async demandContent(repository: string, manifest: NewManifest): Promise<void> {
    for (const digest of manifest.blobs) {
      if ((await this.options.blobs.stat(repository, digest)) === undefined) throw unknownContent("blob", digest);
    }
    for (const digest of manifest.manifests) {
      if (!(await fileExists(join(this.options.root, manifestPath(repository, digest))))) {
        throw unknownContent("manifest", digest);
      }
    }
  }

  /** Leaves out what is so already: most pushes after the first only move a tag. */
  private async withoutDone(steps: readonly Step[]): Promise<Step[]> {
    const left: Step[] = [];
    for (const step of steps) {
      if (!("put" in step) || (await readText(join(this.options.root, step.put))) !== step.text) left.push(step);
    }
    return left;
  }
}

function directory(repository: string): string {
  return `repositories/${repositoryFile(repository)}`;
}

function manifestPath(repository: string, digest: Digest): string {
  return `${directory(repository)}/manifests/${digestFile(digest)}`;
}

function tagPath(repository: string, tag: string): string {
  return `${directory(repository)}/tags/${tagFile(tag)}`;
}

function referrersPath(repository: string, subject: Digest): string {
  return `${directory(repository)}/referrers/${digestFile(subject)}`;
}

function referrerPath(repository: string, subject: Digest, digest: Digest): string {
  return `${referrersPath(repository, subject)}/${digestFile(digest)}`;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function readDescriptor(text: string): ReferrerDescriptor {
  const cursor = new JsonCursor(parseJson(text), formatFault("JSON_INVALID", "the referrer"));
  const descriptor = cursor.object(["mediaType", "digest", "size", "artifactType", "annotations"]);
  const artifactType = descriptor.field("artifactType");
  const annotations = descriptor.field("annotations");
  return {
    mediaType: descriptor.field("mediaType").string(),
    digest: digestField(descriptor.field("digest")),
    size: descriptor.field("size").integer(),
    ...(artifactType.absent ? {} : { artifactType: artifactType.string() }),
    ...(annotations.absent
      ? {}
      : {
          annotations: Object.fromEntries(annotations.entries(Infinity).map(([key, value]) => [key, value.string()])),
        }),
  };
}

function digestField(cursor: JsonCursor): Digest {
  const text = cursor.string();
  return isDigest(text) ? text : cursor.fail("it is not a digest");
}

function unknownContent(kind: "blob" | "manifest", digest: Digest): RegistryFault {
  return new RegistryFault("MANIFEST_BLOB_UNKNOWN", `push the ${kind} ${digest} first`, { detail: { digest } });
}

function damaged(path: string, cause?: unknown): StorageError {
  return new StorageError("STATE_INVALID", `${path} is damaged`, {
    hint: "Push the manifest again, or restore the data directory from a backup",
    cause,
  });
}

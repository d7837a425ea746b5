/**
 * Who may see which content: `links/<algorithm>/<hex>/` has one empty file for each repository that the blob
 * was pushed to or mounted in, and one with a mark for each that has it as a manifest. The content goes when
 * the last of them goes.
 */
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import { digestAlgorithm, digestHex, type Digest } from "../../base/digest.ts";
import { errorCode } from "../../base/errors.ts";
import type { OciLayout } from "../../node/oci-layout.ts";
import type { OpenBlob } from "../../node/open-blob.ts";
import { byBytes, ensureDirectory, fileExists, namesIn, removeFile, touchFile } from "./durable-files.ts";
import { repositoryFile, repositoryOfFile } from "./file-names.ts";
import { KeyedLock } from "./keyed-lock.ts";
import type { BlobStore } from "./store.ts";

/** Marks the link of a manifest; occurs in no repository's name. */
const MANIFEST_MARK = "@manifest";

export type LinkKind = "blob" | "manifest";

export class FileBlobs implements BlobStore {
  private readonly root: string;
  private readonly layout: OciLayout;
  private readonly repositoryLock: KeyedLock;
  /** Serialises linking against the removal of content that has no more links; nothing is waited for inside it. */
  private readonly contentLock = new KeyedLock();

  constructor(root: string, layout: OciLayout, repositoryLock: KeyedLock) {
    this.root = root;
    this.layout = layout;
    this.repositoryLock = repositoryLock;
  }

  async stat(repository: string, digest: Digest): Promise<number | undefined> {
    return (await this.isLinked(repository, digest)) ? this.layout.stat(digest) : undefined;
  }

  async open(repository: string, digest: Digest): Promise<OpenBlob | undefined> {
    return (await this.isLinked(repository, digest)) ? this.layout.open(digest) : undefined;
  }

  async holders(digest: Digest): Promise<readonly string[]> {
    const holders: string[] = [];
    for (const name of await namesIn(this.linksOf(digest))) {
      const repository = repositoryOfFile(name);
      if (repository !== undefined) holders.push(repository);
    }
    return holders.toSorted(byBytes);
  }

  async mount(digest: Digest, from: string, to: string): Promise<boolean> {
    return this.contentLock.run(digest, async () => {
      if (!(await this.isLinked(from, digest)) || (await this.layout.stat(digest)) === undefined) return false;
      await this.makeRepository(to);
      await touchFile(this.link(to, digest, "blob"));
      return true;
    });
  }

  async delete(repository: string, digest: Digest): Promise<boolean> {
    // Under the repository's lock: a manifest that is being pushed has counted on its blobs.
    return this.repositoryLock.run(repository, () => this.unlink(repository, digest, "blob"));
  }

  /** Puts content in place with `store` and links it, so that no removal comes between the two. */
  async add(repository: string, digest: Digest, kind: LinkKind, store: () => Promise<void>): Promise<void> {
    await this.makeRepository(repository);
    await this.contentLock.run(digest, async () => {
      await store();
      await touchFile(this.link(repository, digest, kind));
    });
  }

  /** Removes a link, and the content with its last. False where there was no link. */
  async unlink(repository: string, digest: Digest, kind: LinkKind): Promise<boolean> {
    return this.contentLock.run(digest, async () => {
      if (!(await removeFile(this.link(repository, digest, kind)))) return false;
      await this.collect(digest);
      return true;
    });
  }

  /** Removes content that a crash left without a link. Only while nothing is being stored. */
  async sweep(): Promise<number> {
    let swept = 0;
    for await (const digest of this.layout.list()) if (await this.collect(digest)) swept++;
    return swept;
  }

  private async collect(digest: Digest): Promise<boolean> {
    const links = this.linksOf(digest);
    if ((await namesIn(links)).length > 0) return false;
    try {
      await rmdir(links);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    return this.layout.delete(digest);
  }

  private isLinked(repository: string, digest: Digest): Promise<boolean> {
    return fileExists(this.link(repository, digest, "blob"));
  }

  private makeRepository(repository: string): Promise<void> {
    return ensureDirectory(join(this.root, "repositories", repositoryFile(repository)));
  }

  private linksOf(digest: Digest): string {
    return join(this.root, "links", digestAlgorithm(digest), digestHex(digest));
  }

  private link(repository: string, digest: Digest, kind: LinkKind): string {
    return join(this.linksOf(digest), repositoryFile(repository) + (kind === "manifest" ? MANIFEST_MARK : ""));
  }
}

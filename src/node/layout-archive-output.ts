/**
 * An OCI layout archive that is being written: what is added is kept in a folder beside it, and with `commit` the
 * archive appears, or is replaced, in one step. An archive that is there already keeps what it has.
 */
import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Bytes } from "../base/bytes.ts";
import type { Digest, ExpectedContent } from "../base/digest.ts";
import { errorCode, InternalError } from "../base/errors.ts";
import type { LayoutFiles } from "../oci/layout-store.ts";
import { openLayoutArchive, writeLayoutArchive, type ArchivedBlob, type LayoutArchive } from "./layout-archive.ts";
import { openLayoutDirectory } from "./layout-directory.ts";
import { storageError } from "./storage-error.ts";

const STALE_MS = 24 * 60 * 60 * 1000;

export interface LayoutArchiveOutput {
  readonly files: LayoutFiles;
  /** Writes the archive, if anything has changed. Nothing can be added afterwards. */
  commit(): Promise<void>;
  /** Removes what was added and not committed. Does no harm after `commit`. */
  discard(): Promise<void>;
}

export interface LayoutArchiveOptions {
  /** Begin with nothing: an archive that is there already is replaced. */
  readonly fresh?: boolean | undefined;
}

/**
 * Begins an archive.
 *
 * @throws {StorageError} FILE_NOT_FOUND, STORAGE_DENIED
 * @throws {FormatError} LAYOUT_INVALID for what is there already
 */
export async function createLayoutArchive(
  path: string,
  options: LayoutArchiveOptions = {},
): Promise<LayoutArchiveOutput> {
  const former = options.fresh === true ? undefined : await openFormer(path);
  await removeStaleFolders(path);
  let folder: string;
  try {
    folder = await mkdtemp(folderPrefix(path));
  } catch (error) {
    await former?.close();
    throw storageError(error, "write", path);
  }
  return new ArchiveOutput(path, folder, await openLayoutDirectory(folder, { create: true }), former);
}

/** Removes what runs that were killed left beside the archive: no run takes a day. Never fails. */
async function removeStaleFolders(path: string): Promise<void> {
  const prefix = folderPrefix(path);
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names) {
    const folder = join(dirname(path), name);
    if (!folder.startsWith(prefix) || !/^[A-Za-z0-9]{6}$/.test(folder.slice(prefix.length))) continue;
    const stats = await lstat(folder).catch(() => undefined);
    if (stats?.isDirectory() !== true || Date.now() - stats.mtimeMs < STALE_MS) continue;
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

function folderPrefix(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 100)}.`);
}

async function openFormer(path: string): Promise<LayoutArchive | undefined> {
  try {
    return await openLayoutArchive(path);
  } catch (error) {
    if (errorCode(error) === "FILE_NOT_FOUND") return undefined;
    throw error;
  }
}

class ArchiveOutput implements LayoutArchiveOutput, LayoutFiles {
  readonly files: LayoutFiles = this;
  readonly location: string;
  private readonly path: string;
  private readonly folder: string;
  private readonly added: LayoutFiles;
  private readonly former: LayoutArchive | undefined;
  /** Undefined while it is the former archive's. */
  private index: Bytes | undefined;
  private readonly digests = new Map<Digest, number>();
  private changing: Promise<unknown> = Promise.resolve();

  constructor(path: string, folder: string, added: LayoutFiles, former: LayoutArchive | undefined) {
    this.path = path;
    this.folder = folder;
    this.added = added;
    this.former = former;
    this.location = `oci-archive:${path}`;
    for (const [digest, size] of former?.blobs ?? []) this.digests.set(digest, size);
  }

  async readIndex(): Promise<Bytes | undefined> {
    return this.index ?? (await this.former?.readIndex());
  }

  async updateIndex(change: (current: Bytes | undefined) => Promise<Bytes>): Promise<void> {
    const work = this.changing.then(async () => {
      this.index = await change(await this.readIndex());
    });
    this.changing = work.catch(() => undefined);
    return work;
  }

  async size(digest: Digest): Promise<number | undefined> {
    return this.digests.get(digest);
  }

  async *read(digest: Digest): AsyncGenerator<Uint8Array> {
    const added = (await this.added.size(digest)) !== undefined;
    yield* added ? this.added.read(digest) : (this.former?.read(digest) ?? []);
  }

  async write(blob: ExpectedContent, source: AsyncIterable<Uint8Array>): Promise<void> {
    await this.added.write(blob, source);
    this.digests.set(blob.digest, blob.size);
  }

  async commit(): Promise<void> {
    if (this.index !== undefined) {
      const blobs = [...this.digests].map(([digest, size]): ArchivedBlob => ({
        digest,
        size,
        open: () => this.read(digest),
      }));
      await writeLayoutArchive(this.path, this.index, blobs);
    } else if (this.former === undefined) {
      throw new InternalError("an archive without anything in it");
    }
    await this.discard();
  }

  async discard(): Promise<void> {
    await this.former?.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

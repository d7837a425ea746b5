/**
 * Uploads on disk: `uploads/<repository>/<id>` holds the bytes received so far, and its length is the offset;
 * so an upload goes on after a restart. The hash is computed while the bytes arrive and again from the file
 * only where that was not possible: after a restart, or for another algorithm than expected.
 */
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, open, rm, rmdir, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { digestAlgorithm, formatDigest, type Digest, type HashAlgorithm, type Hasher } from "../../base/digest.ts";
import { errorCode } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import { syncDirectory } from "../../node/files.ts";
import { nodeHasher } from "../../node/hasher.ts";
import { ensureDirectory, namesIn } from "./durable-files.ts";
import { BrokenBody, RegistryFault } from "./errors.ts";
import { repositoryFile } from "./file-names.ts";
import type { UploadChunk, UploadStore } from "./store.ts";

/** A push takes minutes; a day lets one that was interrupted go on tomorrow. */
const UPLOAD_MAX_AGE_MS = 24 * 60 * 60 * 1000;
/** With too many open uploads, those that nobody added to for this long make room. */
const UPLOAD_MAX_AGE_FULL_MS = 60 * 60 * 1000;
/** How often abandoned uploads are looked for, at most. */
const SWEEP_INTERVAL_MS = 10 * 60 * 1000;
/** Uploads that may be open at once: each costs a file, and a client that never ends one could open any number. */
const MAX_OPEN_UPLOADS = 1_000;
/** What a client that finds too many open uploads is told to wait, in seconds. */
const RETRY_AFTER_S = 60;

const UPLOAD_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export interface FileUploadsOptions {
  /** The store's directory. */
  readonly root: string;
  /** Bytes that one blob may have. */
  readonly maxBlobBytes: number;
  readonly now: Clock;
  /** Moves a finished file in as a blob of the repository. */
  readonly adopt: (path: string, repository: string, digest: Digest) => Promise<void>;
}

/** The hash of an upload's first `offset` bytes. */
interface RunningHash {
  readonly algorithm: HashAlgorithm;
  readonly hasher: Hasher;
  offset: number;
}

export class FileUploads implements UploadStore {
  private readonly options: FileUploadsOptions;
  private readonly dir: string;
  private readonly hashes = new Map<string, RunningHash>();
  /** Uploads that a request is working on: two at once would mix their bytes. */
  private readonly busy = new Set<string>();
  private readonly known = new Set<string>();
  private nextSweep = 0;

  constructor(options: FileUploadsOptions) {
    this.options = options;
    this.dir = join(options.root, "uploads");
  }

  async start(repository: string, algorithm: HashAlgorithm): Promise<string> {
    await this.sweepNowAndThen();
    if (this.known.size >= MAX_OPEN_UPLOADS) await this.sweep(UPLOAD_MAX_AGE_FULL_MS);
    if (this.known.size >= MAX_OPEN_UPLOADS) {
      throw new RegistryFault("TOOMANYREQUESTS", `${this.known.size} uploads are open`, {
        headers: { "retry-after": String(RETRY_AFTER_S) },
      });
    }
    const id = randomUUID();
    this.known.add(id);
    try {
      await this.create(this.path(repository, id));
    } catch (error) {
      this.known.delete(id);
      throw error;
    }
    this.hashes.set(id, { algorithm, hasher: nodeHasher(algorithm), offset: 0 });
    return id;
  }

  async offset(repository: string, id: string): Promise<number | undefined> {
    if (!UPLOAD_ID.test(id)) return undefined;
    try {
      const stats = await lstat(this.path(repository, id));
      return stats.isFile() ? stats.size : undefined;
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  append(repository: string, id: string, chunk: UploadChunk): Promise<number> {
    return this.exclusively(id, async () => {
      const file = await this.openUpload(repository, id);
      try {
        const { size: before } = await file.stat();
        if (chunk.start !== undefined && chunk.start !== before) throw outOfOrder(before);
        const after = await this.take(id, file, before, chunk);
        await file.sync();
        if (before === 0) await syncDirectory(dirname(this.path(repository, id)));
        return after;
      } finally {
        await file.close();
      }
    });
  }

  finish(repository: string, id: string, digest: Digest): Promise<void> {
    return this.exclusively(id, async () => {
      const path = this.path(repository, id);
      const file = await this.openUpload(repository, id);
      try {
        const got = await this.digestOf(id, file, digestAlgorithm(digest));
        if (got !== digest) {
          await this.remove(repository, id);
          throw new RegistryFault("DIGEST_INVALID", "the upload was dropped", {
            detail: { expected: digest, received: got },
          });
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await this.options.adopt(path, repository, digest);
      this.forget(id);
    });
  }

  async cancel(repository: string, id: string): Promise<boolean> {
    if ((await this.offset(repository, id)) === undefined) return false;
    await this.remove(repository, id);
    return true;
  }

  /** Removes uploads that nobody has added to for too long, and gets to know the others. */
  async sweep(maxAgeMs = UPLOAD_MAX_AGE_MS): Promise<void> {
    const oldest = this.options.now().getTime() - maxAgeMs;
    for (const repository of await namesIn(this.dir)) {
      for (const id of await namesIn(join(this.dir, repository))) {
        const path = join(this.dir, repository, id);
        if (this.busy.has(id) || (await lastChange(path)) > oldest) this.known.add(id);
        else {
          await rm(path, { force: true });
          this.forget(id);
        }
      }
      await removeIfEmpty(join(this.dir, repository));
    }
  }

  private async sweepNowAndThen(): Promise<void> {
    const now = this.options.now().getTime();
    if (now < this.nextSweep) return;
    this.nextSweep = now + SWEEP_INTERVAL_MS;
    await this.sweep();
  }

  private async create(path: string): Promise<void> {
    await ensureDirectory(dirname(path));
    try {
      await (await open(path, "wx")).close();
    } catch (error) {
      // A sweep can remove the empty directory between the two.
      if (errorCode(error) !== "ENOENT") throw error;
      await ensureDirectory(dirname(path));
      await (await open(path, "wx")).close();
    }
  }

  private async take(id: string, file: FileHandle, before: number, chunk: UploadChunk): Promise<number> {
    const hash = this.hashes.get(id);
    const running = hash?.offset === before ? hash : undefined;
    const { maxBlobBytes } = this.options;
    if (chunk.size !== undefined && before + chunk.size > maxBlobBytes) throw tooLarge(maxBlobBytes);
    const limit = chunk.size === undefined ? maxBlobBytes : before + chunk.size;
    let at = before;
    try {
      for await (const bytes of chunk.body) {
        if (at + bytes.length > limit) {
          throw chunk.size === undefined
            ? tooLarge(maxBlobBytes)
            : new RegistryFault("SIZE_INVALID", `expected ${chunk.size} bytes, got more`);
        }
        const written = writeAll(file, bytes, at);
        running?.hasher.update(bytes); // while the disk writes
        await written;
        at += bytes.length;
        if (running !== undefined) running.offset = at;
      }
      if (chunk.size !== undefined && at - before !== chunk.size) {
        throw new RegistryFault("SIZE_INVALID", `expected ${chunk.size} bytes, got ${at - before}`);
      }
      return at;
    } catch (error) {
      // What came before the connection broke is as good as a shorter chunk. Anything else is taken back.
      if (!(error instanceof BrokenBody)) {
        this.hashes.delete(id);
        await file.truncate(before);
      }
      throw error;
    }
  }

  private async digestOf(id: string, file: FileHandle, algorithm: HashAlgorithm): Promise<Digest> {
    const { size } = await file.stat();
    const running = this.hashes.get(id);
    this.hashes.delete(id);
    if (running?.algorithm === algorithm && running.offset === size) {
      return formatDigest(algorithm, running.hasher.digest());
    }
    const hasher = nodeHasher(algorithm);
    for await (const bytes of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 256 * 1024 })) {
      hasher.update(bytes as Uint8Array);
    }
    return formatDigest(algorithm, hasher.digest());
  }

  private async openUpload(repository: string, id: string): Promise<FileHandle> {
    try {
      return await open(this.path(repository, id), constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (errorCode(error) === "ENOENT") throw new RegistryFault("BLOB_UPLOAD_UNKNOWN");
      throw error;
    }
  }

  private async exclusively<T>(id: string, work: () => Promise<T>): Promise<T> {
    if (!UPLOAD_ID.test(id)) throw new RegistryFault("BLOB_UPLOAD_UNKNOWN");
    if (this.busy.has(id)) {
      throw new RegistryFault("BLOB_UPLOAD_INVALID", "another request is adding to this upload", { status: 416 });
    }
    this.busy.add(id);
    try {
      return await work();
    } finally {
      this.busy.delete(id);
    }
  }

  private async remove(repository: string, id: string): Promise<void> {
    await rm(this.path(repository, id), { force: true });
    this.forget(id);
  }

  private forget(id: string): void {
    this.hashes.delete(id);
    this.known.delete(id);
  }

  private path(repository: string, id: string): string {
    return join(this.dir, repositoryFile(repository), id);
  }
}

function outOfOrder(offset: number): RegistryFault {
  return new RegistryFault("BLOB_UPLOAD_INVALID", `the next byte is number ${offset}`, {
    status: 416,
    headers: { range: `0-${Math.max(0, offset - 1)}` },
  });
}

function tooLarge(limit: number): RegistryFault {
  return new RegistryFault("SIZE_INVALID", `a blob may have ${limit} bytes`, { status: 413 });
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

async function lastChange(path: string): Promise<number> {
  try {
    return (await lstat(path)).mtimeMs;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return 0;
    throw error;
  }
}

async function removeIfEmpty(dir: string): Promise<void> {
  try {
    await rmdir(dir);
  } catch (error) {
    if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "ENOENT") throw error;
  }
}

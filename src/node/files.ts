/**
 * Writing files so that a crash at any point leaves the old content or the new, never a mix: a temporary file in
 * the same directory, fsync, rename, fsync of the directory.
 *
 * What touches names, or few bytes, is done at once: it takes microseconds, and the way to another thread and back takes
 * ten times as much of the processor, and its turn on a busy machine. Large writes and syncs go to other threads.
 */
import { randomBytes } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  fsync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
  write,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { errorCode, StorageError } from "../base/errors.ts";
import { storageError } from "./storage-error.ts";

export { withLock } from "./file-lock.ts";
export { openModuleFile, readError, type ModuleFile } from "./module-file.ts";
export { storageError } from "./storage-error.ts";

/** Modules and exported text: readable by all, as any download is. */
const DEFAULT_MODE = 0o644;
/** Names have at most 255 bytes; the temporary one must fit too. */
const MAX_KEPT_NAME = 180;
const writeElsewhere = promisify(write);
const sync = promisify(fsync);

/** Bytes that are written at once. */
const WRITTEN_AT_ONCE = 32 * 1024;
/** Pieces as a network gives them are put together to this: each write is a trip to another thread and back. */
const WRITE_SIZE = 256 * 1024;

export interface WriteOptions {
  /** Permissions of a new file, 0644 unless told; the umask applies. */
  readonly mode?: number | undefined;
  /** False where a power cut may undo the write, as long as a crash of the program alone cannot: for caches. */
  readonly durable?: boolean | undefined;
}

/** A file that appears whole, or not at all. */
export interface AtomicOutput {
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes the content durable and visible under its name. Nothing can be written afterwards. Where the last step
   * alone fails, the sync of the directory, the new content is visible and a power cut may undo it.
   */
  commit(): Promise<void>;
  /** Removes what was written; what was there before stays. Does nothing after `commit`. */
  abort(): Promise<void>;
}

/**
 * Begins to write a file. What cannot succeed fails here, before anything is transferred: a directory, a device, a
 * directory that is missing or cannot be written to. An existing symbolic link is replaced itself: its target
 * stays untouched, so that a prepared link leads no writer elsewhere.
 *
 * @throws {StorageError} OUTPUT_REFUSED, STORAGE_DENIED, STORAGE_FULL, FILE_NOT_FOUND, STORAGE_FAILED
 *
 * @example
 * ```ts
 * const output = await createAtomicOutput("hello.wasm");
 * try {
 *   for await (const chunk of verified) await output.write(chunk);
 *   await output.commit();
 * } finally {
 *   await output.abort();
 * }
 * ```
 */
export async function createAtomicOutput(path: string, options: WriteOptions = {}): Promise<AtomicOutput> {
  try {
    checkReplaceable(path);
    const { file, temporary } = openTemporary(path, options.mode ?? DEFAULT_MODE);
    return new TemporaryOutput(path, temporary, file, options.durable ?? true);
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Replaces a file, or makes it, with all of the content or not at all. When it returns, the content survives a
 * power cut.
 *
 * @throws {StorageError} as {@link createAtomicOutput}; the old content is then still there
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const output = await createAtomicOutput(path, options);
  try {
    if (content instanceof Uint8Array) await output.write(content);
    else for await (const chunk of content) await output.write(chunk);
    await output.commit();
  } finally {
    await output.abort();
  }
}

/** Makes renames and removals in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return; // directories cannot be opened there; its renames are journalled
  const directory = openSync(path, "r");
  try {
    await sync(directory);
  } catch (error) {
    // file systems that cannot (some network ones) say so; those that failed say EIO
    if (!["EINVAL", "ENOTSUP", "EBADF"].includes(errorCode(error) ?? "")) throw error;
  } finally {
    closeSync(directory);
  }
}

class TemporaryOutput implements AtomicOutput {
  private readonly path: string;
  private readonly temporary: string;
  private readonly durable: boolean;
  /** Its descriptor, while it is open. */
  private file: number | undefined;
  /** What another thread does with it at the moment: it may not be closed under its hands, for its number is used again. */
  private running: Promise<unknown> = Promise.resolve();
  private committed = false;
  /** What was taken and not written yet, in the first so many bytes. */
  private readonly pending = { bytes: new Uint8Array(0), size: 0 };

  constructor(path: string, temporary: string, file: number, durable: boolean) {
    this.path = path;
    this.temporary = temporary;
    this.durable = durable;
    this.file = file;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { pending } = this;
    try {
      if (pending.size + chunk.length > WRITE_SIZE) await this.flush();
      if (chunk.length >= WRITE_SIZE) return await this.writeAll(chunk);
      this.opened();
      if (pending.size + chunk.length > pending.bytes.length) this.grow(pending.size + chunk.length);
      pending.bytes.set(chunk, pending.size); // a copy: the caller may use its buffer again
      pending.size += chunk.length;
    } catch (error) {
      throw writeError(error, this.path);
    }
  }

  /** Small files need no large buffer. */
  private grow(needed: number): void {
    const bytes = new Uint8Array(needed * 2 > WRITE_SIZE ? WRITE_SIZE : needed);
    bytes.set(this.pending.bytes.subarray(0, this.pending.size));
    this.pending.bytes = bytes;
  }

  private async flush(): Promise<void> {
    const { bytes, size } = this.pending;
    this.pending.bytes = new Uint8Array(0); // nothing may change what is being written
    this.pending.size = 0;
    await this.writeAll(bytes.subarray(0, size));
  }

  private async writeAll(chunk: Uint8Array): Promise<void> {
    let at = 0;
    // a full disk first writes less than asked for
    while (at < chunk.length) at += await this.writeSome(chunk, at);
  }

  private async writeSome(chunk: Uint8Array, at: number): Promise<number> {
    const file = this.opened();
    const length = chunk.length - at;
    if (length <= WRITTEN_AT_ONCE) return writeSync(file, chunk, at, length);
    const { bytesWritten } = await this.elsewhere(writeElsewhere(file, chunk, at, length));
    return bytesWritten;
  }

  private elsewhere<T>(work: Promise<T>): Promise<T> {
    this.running = work.catch(() => undefined);
    return work;
  }

  async commit(): Promise<void> {
    try {
      await this.flush();
      if (this.durable) await this.elsewhere(sync(this.opened()));
      await this.close();
      checkReplaceable(this.path);
      renameSync(this.temporary, this.path);
      this.committed = true;
      if (this.durable) await syncDirectory(dirname(this.path));
    } catch (error) {
      throw writeError(error, this.path);
    }
  }

  async abort(): Promise<void> {
    if (this.committed) return;
    this.committed = true;
    await this.close().catch(() => undefined); // not the error to report here
    try {
      unlinkSync(this.temporary);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }

  private opened(): number {
    if (this.file === undefined) {
      throw new StorageError("STORAGE_FAILED", `cannot write ${this.path}: it was finished already`);
    }
    return this.file;
  }

  private async close(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await this.running;
    if (file !== undefined) closeSync(file);
  }
}

/** Refuses what a rename would replace and must not, or could not. */
function checkReplaceable(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.isSymbolicLink()) return;
  if (!stats.isFile()) {
    const kind = stats.isDirectory() ? "a directory" : "not a regular file";
    throw new StorageError("OUTPUT_REFUSED", `cannot write ${path}: it is ${kind}`, {
      hint: "Name a file; an existing one is replaced",
      details: { path },
    });
  }
  accessSync(path, constants.W_OK); // a file made read-only is meant to stay, even where the directory permits
}

function openTemporary(path: string, mode: number): { file: number; temporary: string } {
  const { O_CREAT, O_EXCL, O_WRONLY } = constants;
  const noFollow = constants.O_NOFOLLOW ?? 0; // Windows has none
  const kept = Buffer.from(basename(path)).subarray(0, MAX_KEPT_NAME).toString().replaceAll("\uFFFD", "");
  const temporary = join(dirname(path), `.${kept}.${randomBytes(8).toString("hex")}.tmp`);
  return { file: openSync(temporary, O_CREAT | O_EXCL | O_WRONLY | noFollow, mode), temporary };
}

/** A missing directory is the likely reason of ENOENT: says so. */
function writeError(error: unknown, path: string): Error {
  const directory = dirname(path);
  if (errorCode(error) === "ENOENT" && !isThere(directory)) {
    return new StorageError("FILE_NOT_FOUND", `cannot write ${path}: the directory ${directory} does not exist`, {
      hint: `Make it first: mkdir -p ${directory}`,
      details: { path, errno: "ENOENT" },
      cause: error,
    });
  }
  return storageError(error, "write", path);
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

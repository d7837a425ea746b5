/** A module on disk that is read more than once and must be the same bytes each time. */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import type { StreamBody } from "../base/http.ts";
import { StorageError, type WasmToOciError } from "../base/errors.ts";
import { storageError } from "./storage-error.ts";

/** Large enough for few system calls, small enough to be nothing beside a process. */
const CHUNK_SIZE = 256 * 1024;

/** What tells one content of a file from the next without reading it. */
interface FileIdentity {
  readonly size: number;
  /** Nanoseconds; a number would lose the last digits. */
  readonly modified: bigint;
  readonly inode: bigint;
}

/** A regular file as a body that can be sent again; fails rather than giving bytes of two contents. */
export interface ModuleFile extends StreamBody {
  readonly path: string;
  readonly identity: FileIdentity;
  /** @throws {StorageError} FILE_CHANGED where the file is not the one that was opened any more */
  check(): Promise<void>;
}

/**
 * Opens a module for reading.
 *
 * @throws {StorageError} FILE_NOT_FOUND, FILE_UNREADABLE
 */
export async function openModuleFile(path: string): Promise<ModuleFile> {
  const identity = await withFile(path, identify);
  if (identity === undefined) {
    throw new StorageError("FILE_UNREADABLE", `${path} is not a regular file`, {
      hint: "Name a WebAssembly file",
      details: { path },
    });
  }
  return {
    path,
    identity,
    size: identity.size,
    open: (offset = 0) => readFrom(path, identity, offset),
    check: () => withFile(path, (handle) => compare(handle, path, identity)),
  };
}

async function* readFrom(path: string, identity: FileIdentity, offset: number): AsyncGenerator<Uint8Array> {
  const handle = await openForReading(path);
  try {
    await compare(handle, path, identity);
    let at = offset;
    while (at < identity.size) {
      // a new buffer each time: consumers may keep chunks
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_SIZE, identity.size - at));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw changed(path);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    await compare(handle, path, identity);
  } catch (error) {
    throw readError(error, path);
  } finally {
    await handle.close();
  }
}

async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await openForReading(path);
  try {
    return await use(handle);
  } catch (error) {
    throw readError(error, path);
  } finally {
    await handle.close();
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    // without O_NONBLOCK, opening a pipe waits for its writer
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw readError(error, path);
  }
}

async function identify(handle: FileHandle): Promise<FileIdentity | undefined> {
  const stats = await handle.stat({ bigint: true });
  if (!stats.isFile()) return undefined;
  return { size: Number(stats.size), modified: stats.mtimeNs, inode: stats.ino };
}

async function compare(handle: FileHandle, path: string, expected: FileIdentity): Promise<void> {
  const got = await identify(handle);
  const same =
    got !== undefined &&
    got.size === expected.size &&
    got.modified === expected.modified &&
    got.inode === expected.inode;
  if (!same) throw changed(path);
}

function changed(path: string): StorageError {
  return new StorageError("FILE_CHANGED", `${path} changed while it was being read`, {
    hint: "Wait until whatever writes the file is done, and run the command again; nothing was published",
    details: { path },
  });
}

/** What a failed reading means: where the file is there, that it cannot be read. */
export function readError(error: unknown, path: string): WasmToOciError {
  const mapped = storageError(error, "read", path);
  if (mapped === error || mapped.code === "FILE_NOT_FOUND") return mapped;
  return new StorageError("FILE_UNREADABLE", mapped.message, {
    hint: "Check the path and its permissions",
    details: mapped.details,
    cause: error,
  });
}

/** Reading blobs from files: regular files only, never longer or shorter than they were when opened. */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { digestAlgorithm, formatDigest, type Digest } from "../base/digest.ts";
import { errorCode, StorageError } from "../base/errors.ts";
import { storageError } from "./files.ts";
import { nodeHasher } from "./hasher.ts";

/** Large enough that system calls do not count, small enough for many readers at once. */
const READ_CHUNK = 256 * 1024;

/** An open blob; must be closed. Its bytes stay readable when it is deleted meanwhile. */
export interface OpenBlob {
  /** Length in bytes. */
  readonly size: number;
  /**
   * Reads bytes `start` up to, not including, `end`; all of them unless told. The blob is closed when the
   * iteration ends, however it ends.
   *
   * @throws {StorageError} STATE_INVALID where the file became shorter
   */
  read(start?: number, end?: number): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a blob's file, never through a link and never waiting for a pipe; undefined where there is none. */
export async function openBlob(path: string, digest: Digest): Promise<OpenBlob | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    if (errorCode(error) === "ELOOP") throw notRegular(path);
    throw storageError(error, "open", path);
  }
  const stats = await handle.stat();
  if (stats.isFile()) return new FileBlob(handle, stats.size, digest);
  await handle.close();
  throw notRegular(path);
}

class FileBlob implements OpenBlob {
  readonly size: number;
  private readonly handle: FileHandle;
  private readonly digest: Digest;

  constructor(handle: FileHandle, size: number, digest: Digest) {
    this.handle = handle;
    this.size = size;
    this.digest = digest;
  }

  async *read(start = 0, end = this.size): AsyncGenerator<Uint8Array> {
    try {
      for (let at = start; at < end;) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(READ_CHUNK, end - at));
        const { bytesRead } = await this.handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) throw damagedBlob(this.digest, `it ends at ${at} of ${this.size} bytes`);
        at += bytesRead;
        yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
      }
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** Reads a whole blob while hashing it. @throws {StorageError} STATE_INVALID at its end */
export async function* hashedAgain(blob: OpenBlob, digest: Digest): AsyncGenerator<Uint8Array> {
  const algorithm = digestAlgorithm(digest);
  const hasher = nodeHasher(algorithm);
  for await (const chunk of blob.read()) {
    hasher.update(chunk);
    yield chunk;
  }
  const got = formatDigest(algorithm, hasher.digest());
  if (got !== digest) throw damagedBlob(digest, `its digest is ${got}`);
}

export function damagedBlob(digest: Digest, reason: string): StorageError {
  return new StorageError("STATE_INVALID", `the stored blob ${digest} is damaged: ${reason}`, {
    hint: "The disk or somebody with access to it changed the file; delete it and push the content again",
    details: { digest },
  });
}

function notRegular(path: string): StorageError {
  return new StorageError("STATE_INVALID", `${path} is not a regular file`, {
    hint: "Links and devices are never followed; move it away",
  });
}

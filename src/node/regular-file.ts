/** Reads small files whole: what a program keeps or is configured by, never what it ships. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { ownBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, StorageError } from "../base/errors.ts";
import { storageError } from "./storage-error.ts";

/**
 * Reads a regular file. A pipe, a device or a file beyond all reason is an error at once, not a program that hangs.
 *
 * @param limit most bytes that make sense
 * @returns undefined where there is none
 * @throws {StorageError} STATE_INVALID where it is no regular file or too large; STORAGE_DENIED, …
 */
export async function readRegularFile(path: string, limit: number): Promise<Bytes | undefined> {
  try {
    const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe must not block
    try {
      const status = fstatSync(file);
      if (!status.isFile()) throw invalid(path, "is no regular file");
      if (status.size > limit) throw invalid(path, `has ${status.size} bytes, more than the ${limit} that make sense`);
      const { buffer, byteOffset, length } = readFileSync(file); // at once: to parse it takes far longer
      return ownBytes(new Uint8Array(buffer, byteOffset, length));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw storageError(error, "read", path);
  }
}

function invalid(path: string, reason: string): StorageError {
  return new StorageError("STATE_INVALID", `${path} ${reason}`, {
    hint: "Mend it, restore it from a backup, or move it away if it is none of yours",
    details: { path },
  });
}

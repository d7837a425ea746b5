/** Small files that a person names: certificates, keys. */
import { open, type FileHandle } from "node:fs/promises";
import { utf8Decode } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { storageError } from "../node/files.ts";

/** A bundle of every public authority has 250 kB; keys and certificates are far smaller. */
const MAX_TEXT_FILE_BYTES = 4 * 1024 * 1024;

/** Reads a text file. @throws {StorageError} FILE_NOT_FOUND, FILE_UNREADABLE; {FormatError} LIMIT_EXCEEDED */
export async function readTextFile(path: string): Promise<string> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const buffer = new Uint8Array(MAX_TEXT_FILE_BYTES + 1);
    let size = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, size, buffer.length - size, null);
      if (bytesRead === 0) break;
      size += bytesRead;
      if (size > MAX_TEXT_FILE_BYTES) {
        throw new FormatError(
          "LIMIT_EXCEEDED",
          `${path} is larger than the ${MAX_TEXT_FILE_BYTES} bytes allowed for it`,
        );
      }
    }
    return decodeText(buffer.subarray(0, size), path);
  } catch (error) {
    throw error instanceof FormatError ? error : storageError(error, "read", path);
  } finally {
    await file?.close();
  }
}

function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return utf8Decode(bytes, path);
  } catch (cause) {
    throw new FormatError("CONFIG_INVALID", `${path} is not a text file`, { cause, hint: "Name a PEM file" });
  }
}

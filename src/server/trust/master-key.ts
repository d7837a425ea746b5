/** The key that the server's own keys are encrypted under: a file beside the database, never in it. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ownBytes, type Bytes } from "../../base/bytes.ts";
import { errorCode, StorageError } from "../../base/errors.ts";
import { storageError, writeFileAtomic } from "../../node/files.ts";

const KEY_BYTES = 32;

/**
 * Reads the master key; makes one where there is none and none was ever used.
 *
 * @param isInUse tells whether the database has anything that is encrypted
 * @throws {StorageError} STATE_INVALID where the file is lost or damaged, STORAGE_DENIED, STORAGE_FULL
 */
export async function openMasterKey(path: string, isInUse: () => Promise<boolean>): Promise<Bytes> {
  let key: Buffer;
  try {
    key = await readFile(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw storageError(error, "read", path);
    if (await isInUse()) throw fault(path, "it is missing, and the database beside it needs it");
    key = randomBytes(KEY_BYTES);
    await writeFileAtomic(path, key, { mode: 0o600 });
  }
  if (key.length !== KEY_BYTES) throw fault(path, `it has ${key.length} bytes, a key has ${KEY_BYTES}`);
  return ownBytes(key);
}

function fault(path: string, reason: string): StorageError {
  return new StorageError("STATE_INVALID", `the server's key file ${path} cannot be used: ${reason}`, {
    hint: "Restore it from a backup of the data directory; without it the server cannot sign for its collections",
    details: { path },
  });
}

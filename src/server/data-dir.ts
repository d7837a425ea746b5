/** The server's data directory: made at first start, used by one process at a time. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, StorageError } from "../base/errors.ts";
import { storageError } from "../node/files.ts";
import { removeStaleTemporaries } from "../node/stale-files.ts";
import { holdFile } from "./sql/sqlite.ts";

/**
 * Takes a directory for this process, making it where there is none.
 *
 * The lock is SQLite's on a file of its own, so the system's: it ends with the process however that ends, and
 * needs no guess whether an old lock file still means something, e.g. after a container got another host name.
 *
 * @returns gives the directory free
 * @throws {StorageError} LOCKED where another server uses it; STORAGE_DENIED, STORAGE_FULL
 */
export async function lockDataDir(dir: string): Promise<() => void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(error, "make the directory", dir);
  }
  try {
    const release = await holdFile(join(dir, "serve.lock"));
    removeStaleTemporaries(dir);
    return release;
  } catch (error) {
    if (errorCode(error) !== "LOCKED") throw error;
    throw new StorageError("LOCKED", `another server uses the data directory ${dir}`, {
      hint: "End that server, or give this one a directory of its own",
      details: { path: dir },
      cause: error,
    });
  }
}

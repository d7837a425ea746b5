/** Holds what waits for signatures in one file, to be sent to whoever signs next. */
import { open, rm } from "node:fs/promises";
import { ownBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, StorageError } from "../base/errors.ts";
import type { StagingStore } from "../tuf/publisher-store.ts";
import { storageError, writeFileAtomic } from "./files.ts";

/** Staged documents: as large as what they become. */
const MAX_STAGED_BYTES = 256 * 1024 * 1024;

/** @param locked runs an action while nobody else updates the file */
export function stagedFile(path: string, locked: (action: () => Promise<void>) => Promise<void>): StagingStore {
  return {
    location: path,
    read: () => readWhole(path, MAX_STAGED_BYTES),
    update: (change) =>
      locked(async () => {
        const next = await change(await readWhole(path, MAX_STAGED_BYTES));
        if (next !== undefined) await writeFileAtomic(path, next);
        else await removing(path);
      }),
  };
}

/** A file of at most so many bytes; undefined where there is none. */
export async function readWhole(path: string, limit: number): Promise<Bytes | undefined> {
  try {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > limit) throw new StorageError("STATE_INVALID", `${path} is larger than ${limit} bytes`);
      return ownBytes(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw storageError(error, "read", path);
  }
}

async function removing(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw storageError(error, "write", path);
  }
}

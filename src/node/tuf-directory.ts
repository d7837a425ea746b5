/** A TUF repository in a directory: `metadata/` and `targets/`, as any web server can serve them. */
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { ownBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, TransportError } from "../base/errors.ts";
import type { TufRepository } from "../tuf/repository.ts";
import { storageError } from "./storage-error.ts";

/**
 * Opens a repository in a directory. Nothing is read yet.
 *
 * @example
 * ```ts
 * const repository = directoryRepository("/srv/tuf");
 * ```
 */
export function directoryRepository(dir: string): TufRepository {
  return {
    location: dir,
    metadata: ({ file, limit }) => readFile(join(dir, "metadata", file), limit),
    target: async ({ file, signal }) => {
      const path = join(dir, "targets", ...file.split("/").map(decodeURIComponent));
      if (!(await isFile(path))) return undefined;
      return createReadStream(path, { signal });
    },
  };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isAbsent(error)) return false;
    throw storageError(error, "read", path);
  }
}

async function readFile(path: string, limit: number): Promise<Bytes | undefined> {
  try {
    if (!(await isFile(path))) return undefined;
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > limit) throw tooLarge(path, limit);
      return ownBytes(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw storageError(error, "read", path);
  }
}

function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "");
}

function tooLarge(path: string, limit: number): TransportError {
  return new TransportError("RESPONSE_TOO_LARGE", `${path} is larger than the ${limit} bytes allowed for it`, {
    hint: "No honest repository has this much here; check the directory",
    details: { limit },
  });
}

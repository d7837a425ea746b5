/** Trust directories of notary and docker trust, and backups of them, as something to import from. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, StorageError } from "../base/errors.ts";
import { parseGun } from "../notary/gun.ts";
import { readStoredCollection } from "../notary/stored-collection.ts";
import type { NotaryState } from "../notary/state.ts";
import { storageError } from "./files.ts";
import { openMetadataDir } from "./metadata-dir.ts";

/** Collections of one person, with room; far below what fills a screen for ever. */
const MAX_COLLECTIONS = 10_000;
/** Parts of a name: a host, and a path as deep as registries allow. */
const MAX_DEPTH = 64;

/**
 * Lists the collections of a trust directory, sorted.
 *
 * @throws {StorageError} FILE_NOT_FOUND where there is no such directory
 */
export async function listStoredCollections(dir: string): Promise<string[]> {
  const found: string[] = [];
  await walk(join(dir, "tuf"), [], found);
  return found.toSorted();
}

async function walk(path: string, parts: readonly string[], found: string[]): Promise<void> {
  for (const name of await subdirectories(path, parts.length === 0)) {
    if (name === "metadata" && parts.length > 0) {
      if (await isFile(join(path, name, "root.json"))) found.push(parseGun(parts.join("/")));
      if (found.length > MAX_COLLECTIONS) throw tooMany(path);
    }
    if (parts.length < MAX_DEPTH) await walk(join(path, name), [...parts, decodeSegment(name)], found);
  }
}

/** Links are not followed: what they lead to is not part of the directory. */
async function subdirectories(path: string, isTop: boolean): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (errorCode(error) === "ENOENT" && isTop) {
      throw new StorageError("FILE_NOT_FOUND", `${path} does not exist`, {
        cause: error,
        hint: "Name a trust directory: one that has the folders tuf and private",
      });
    }
    throw storageError(error, "read", path);
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isFile();
  } catch {
    return false;
  }
}

/** Windows has no colons in names. */
function decodeSegment(name: string): string {
  return process.platform === "win32" ? name.replaceAll("%3A", ":") : name;
}

function tooMany(path: string): StorageError {
  return new StorageError("STATE_INVALID", `${path} has more than ${MAX_COLLECTIONS} collections`, {
    hint: "Name the ones to import",
  });
}

export interface ReadStoredOptions {
  readonly dir: string;
  readonly gun: string;
  readonly now: Date;
  readonly acceptExpired: boolean;
}

/**
 * Reads and verifies one collection out of a trust directory of `notary` or `docker trust`, or a backup of one. Its root
 * is taken as it is: what hands a collection over is a signature by the private keys of that root.
 *
 * @throws {TrustError} METADATA_EXPIRED unless that is accepted, TRUST_NOT_FOUND, METADATA_TAMPERED, SIGNATURE_THRESHOLD, …
 * @throws {StorageError} FILE_NOT_FOUND, STATE_INVALID
 * @example
 * ```ts
 * const state = await readStoredNotary({ dir: "/backup/trust", gun: "ghcr.io/acme/app", now: new Date(), acceptExpired: true });
 * ```
 */
export async function readStoredNotary({ dir, gun, now, acceptExpired }: ReadStoredOptions): Promise<NotaryState> {
  const documents = await openMetadataDir(dir).read({ server: dir, gun });
  return readStoredCollection({ gun, documents, location: dir, now, acceptExpired });
}

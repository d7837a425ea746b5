/**
 * A trust directory's documents and trust state on disk.
 *
 * Documents lie in `<dir>/tuf/<GUN>/metadata/`, where `notary` and `docker trust` look for them, byte for byte as
 * they do. That place has no room for the server's name, is written by other programs and may be deleted at any
 * time, so nothing there is trusted; what is lies in `<dir>/state/`, one file per server and collection.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import type { Bytes } from "../base/bytes.ts";
import { StorageError } from "../base/errors.ts";
import { parseGun } from "../notary/gun.ts";
import { collectionName, type CollectionKey, type MetadataStore } from "../notary/metadata-store.ts";
import { BASE_ROLES, isBaseRole, isDelegationRole } from "../notary/roles.ts";
import { decodeTrustState, encodeTrustState, type TrustState, type TrustStateStore } from "../notary/trust-state.ts";
import { storageError, syncDirectory, withLock, writeFileAtomic } from "./files.ts";
import { readRegularFile } from "./regular-file.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

/** The largest document that a client downloads. */
const MAX_DOCUMENT_BYTES = 100 * 1024 * 1024;
/** Two roots of 1 MiB at most, in base64, and the versions of 1,024 roles. */
const MAX_STATE_BYTES = 4 * 1024 * 1024;
/** Files looked at below a collection's `metadata/targets`; a client loads at most 256 delegations. */
const MAX_FILES = 4096;

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const SUFFIX = ".json";

/** Opens the documents of a trust directory, e.g. `~/.wasm-to-oci`. Nothing is created before the first write. */
export function openMetadataDir(dir: string): MetadataStore {
  return {
    read: async ({ gun }) => {
      const root = metadataDirectory(dir, gun);
      const documents = new Map<string, Bytes>();
      for (const role of [...BASE_ROLES, ...(await listDelegations(root))]) {
        const bytes = await readCached(rolePath(root, role));
        if (bytes !== undefined) documents.set(role, bytes);
      }
      return documents;
    },
    write: async ({ gun }, documents) => {
      const root = metadataDirectory(dir, gun);
      // a power cut costs another download: what must survive one is in the state
      for (const [role, bytes] of documents) await writeDocument(rolePath(root, role), bytes, false);
    },
    remove: async ({ gun }) => {
      const root = metadataDirectory(dir, gun);
      // file by file: below the same directory may lie what belongs to other programs, or to another collection
      const roles = [...BASE_ROLES, ...(await listDelegations(root))];
      try {
        for (const role of roles) await rm(rolePath(root, role), { force: true });
      } catch (error) {
        throw storageError(error, "remove", root);
      }
    },
  };
}

/** Opens the trust state of a trust directory. */
export function openTrustStateDir(dir: string): TrustStateStore {
  const read = async (collection: CollectionKey): Promise<TrustState | undefined> => {
    const path = statePath(dir, collection);
    const bytes = await readRegularFile(path, MAX_STATE_BYTES);
    return bytes && decodeTrustState(collection, bytes);
  };
  return {
    read,
    update: async (collection, change) => {
      const path = statePath(dir, collection);
      return withLock(`${dirname(path)}.lock`, async () => {
        const state = change(await read(collection));
        await writeDocument(path, encodeTrustState(collection, state));
        return state;
      });
    },
    remove: async (collection) => {
      const path = statePath(dir, collection);
      await withLock(`${dirname(path)}.lock`, async () => {
        try {
          await rm(path, { force: true });
        } catch (error) {
          throw storageError(error, "remove", path);
        }
      });
    },
  };
}

/** A checked GUN has no part that leads elsewhere, so its parts may become directories. */
function metadataDirectory(dir: string, gun: string): string {
  return join(dir, "tuf", ...parseGun(gun).split("/").map(directoryName), "metadata");
}

/** Windows has no colons in names; Notary's own programs cannot store such collections there at all. */
function directoryName(segment: string): string {
  return process.platform === "win32" ? segment.replaceAll(":", "%3A") : segment;
}

function rolePath(root: string, role: string): string {
  if (!isBaseRole(role) && !isDelegationRole(role)) {
    throw new StorageError("STORAGE_FAILED", `${JSON.stringify(role)} is not a role, so it has no file`);
  }
  return join(root, ...role.split("/")) + SUFFIX;
}

function statePath(dir: string, collection: CollectionKey): string {
  parseGun(collection.gun);
  const hash = createHash("sha256").update(collectionName(collection)).digest("hex");
  return join(dir, "state", hash, "trust.json");
}

async function listDelegations(root: string): Promise<string[]> {
  const roles: string[] = [];
  const visit = async (directory: string): Promise<void> => {
    const entries = await readdir(directory, { withFileTypes: true }).catch(() => []); // a cache that is not there, or not readable, holds nothing
    for (const entry of entries) {
      if (roles.length >= MAX_FILES) return;
      const path = join(directory, entry.name);
      const role = relative(root, path).split(sep).join("/");
      if (entry.isDirectory() && isDelegationRole(role)) await visit(path);
      else if (entry.isFile() && role.endsWith(SUFFIX)) roles.push(role.slice(0, -SUFFIX.length));
    }
  };
  await visit(join(root, "targets"));
  return roles.filter(isDelegationRole);
}

/** A document of the cache, or nothing: the cache saves downloads and is no reason to fail. */
async function readCached(path: string): Promise<Bytes | undefined> {
  try {
    return await readRegularFile(path, MAX_DOCUMENT_BYTES);
  } catch {
    return undefined;
  }
}

async function writeDocument(path: string, bytes: Uint8Array, durable = true): Promise<void> {
  try {
    const first = mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    if (first !== undefined && durable) await syncMade(dirname(path), first);
  } catch (error) {
    throw storageError(error, "write", path);
  }
  removeStaleTemporaries(dirname(path));
  await writeFileAtomic(path, bytes, { mode: FILE_MODE, durable });
}

/** A file is as durable as the directories above it: syncs those that hold the ones just made. */
async function syncMade(directory: string, first: string): Promise<void> {
  for (let made = directory; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
}

/**
 * The registry's store in a directory: an OCI image layout for the content (`oci-layout`, `blobs/`), and
 * beside it who has what (`links/`), the manifests, tags and referrers of each repository (`repositories/`),
 * uploads under way (`uploads/`) and changes under way (`intents/`). Tags and records are read from the files at
 * every request: nothing is cached, so a restored backup or a repaired file counts at once.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { StorageError } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import { storageError } from "../../node/files.ts";
import { openOciLayout } from "../../node/oci-layout.ts";
import { lockDataDir } from "../data-dir.ts";
import {
  byBytes,
  directoryExists,
  ensureDirectory,
  fileExists,
  namesIn,
  putFile,
  removeFile,
  touchFile,
} from "./durable-files.ts";
import { FileBlobs } from "./file-blobs.ts";
import { FileManifests } from "./file-manifests.ts";
import { repositoryFile, repositoryOfFile } from "./file-names.ts";
import { FileUploads } from "./file-uploads.ts";
import { Intents } from "./intents.ts";
import { KeyedLock } from "./keyed-lock.ts";
import type { RegistryStore } from "./store.ts";

/** Above any module or layer in use; keeps one upload from filling a large disk. */
const MAX_BLOB_BYTES = 16 * 1024 ** 3;

export interface RegistryStoreOptions {
  /** Bytes that one blob may have; 16 GiB unless told. */
  readonly maxBlobBytes?: number;
  /** The clock that ages abandoned uploads. */
  readonly now?: Clock;
}

/** Changes with every change of the directory that older versions would not understand. */
const FORMAT_TEXT = JSON.stringify({ format: 1 });
/** The file that says so. */
const MARKER = "registry.json";

/**
 * Opens the store in a directory, and makes it where there is none: completes changes and removes content that
 * a crash left over, and uploads that were abandoned. Only one process may use a directory at a time.
 *
 * @throws {StorageError} LOCKED, STATE_INVALID, STORAGE_DENIED
 */
export async function openRegistryStore(dir: string, options: RegistryStoreOptions = {}): Promise<RegistryStore> {
  await checkFormat(dir); // before anything is written: what is somebody else's stays as it is
  const unlock = await lockDataDir(dir);
  try {
    if (!(await checkFormat(dir))) await putFile(join(dir, MARKER), FORMAT_TEXT);
    const layout = await openOciLayout(dir);
    const repositories = join(dir, "repositories");
    await ensureDirectory(repositories);
    await ensureDirectory(join(dir, "uploads"));
    const repositoryLock = new KeyedLock();
    const intents = await Intents.open(dir);
    const blobs = new FileBlobs(dir, layout, repositoryLock);
    // Present while the store is open; found at opening, the last use ended in a crash.
    const inUse = join(dir, "in-use");
    if (await fileExists(inUse)) {
      await blobs.sweep();
      await removeTemporaries(repositories);
    } else await touchFile(inUse);
    const uploads = new FileUploads({
      root: dir,
      maxBlobBytes: options.maxBlobBytes ?? MAX_BLOB_BYTES,
      now: options.now ?? (() => new Date()),
      adopt: (path, repository, digest) => blobs.add(repository, digest, "blob", () => layout.adopt(path, digest)),
    });
    await uploads.sweep();
    return {
      blobs,
      uploads,
      manifests: new FileManifests({ root: dir, layout, blobs, intents, repositoryLock }),
      async repositories() {
        const names = (await namesIn(repositories)).map(repositoryOfFile);
        return names.filter((name) => name !== undefined).toSorted(byBytes);
      },
      has: (repository) => directoryExists(join(repositories, repositoryFile(repository))),
      async close() {
        await removeFile(inUse);
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw storageError(error, "open", dir);
  }
}

/**
 * Makes sure that the directory is a registry's, or nobody's: content without a link is removed after a crash, and
 * in a layout of somebody else that would be all of it.
 *
 * @returns true where it is marked as a registry's
 */
async function checkFormat(dir: string): Promise<boolean> {
  const marker = join(dir, MARKER);
  try {
    if (await fileExists(marker)) {
      if ((await readFile(marker, "utf8")).trim() === FORMAT_TEXT) return true;
      throw new StorageError("STATE_INVALID", `${marker} does not say ${FORMAT_TEXT}`, {
        hint: "A newer version made this directory; use that version",
      });
    }
    if (!(await fileExists(join(dir, "oci-layout")))) return false;
    throw new StorageError("STATE_INVALID", `${dir} holds an OCI layout that is not a registry's`, {
      hint: "Choose an empty directory, and push the layout's content to the registry",
    });
  } catch (error) {
    throw storageError(error, "open", dir);
  }
}

/** Removes what writers that were killed left half-written; it was never visible. */
async function removeTemporaries(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.startsWith(".") && entry.name.endsWith(".tmp")) {
      await rm(join(entry.parentPath, entry.name), { force: true });
    }
  }
}

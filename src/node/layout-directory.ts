/**
 * An OCI image layout in a directory of the user's, as `skopeo` and `oras` read and write it too. A blob appears under
 * its digest only when all its bytes are there; the index is replaced whole, under a lock. Links are never followed.
 */
import { constants } from "node:fs";
import { lstat, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ownBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { digestAlgorithm, digestHex, parseDigest, type Digest, type HashAlgorithm } from "../base/digest.ts";
import { errorCode, FormatError, StorageError } from "../base/errors.ts";
import { isJsonObject, parseJson } from "../base/json.ts";
import { LAYOUT_MARKER } from "../oci/layout-index.ts";
import type { LayoutFiles } from "../oci/layout-store.ts";
import { MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import { createAtomicOutput, storageError, syncDirectory, withLock, writeFileAtomic } from "./files.ts";
import { openBlob } from "./open-blob.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

const ALGORITHMS: readonly HashAlgorithm[] = ["sha256", "sha512"];
/** It has 30 bytes. */
const MAX_MARKER_BYTES = 4096;

export interface LayoutDirectoryOptions {
  /** Make the layout where there is none, with the first thing that is written to it. */
  readonly create?: boolean | undefined;
}

/**
 * Opens a layout.
 *
 * @throws {StorageError} FILE_NOT_FOUND where there is none and none is to be made; STATE_INVALID where a link or a
 *   file stands in a folder's place
 * @throws {FormatError} LAYOUT_INVALID where the directory holds something else
 */
export async function openLayoutDirectory(dir: string, options: LayoutDirectoryOptions = {}): Promise<LayoutFiles> {
  const marker = await readSmallFile(join(dir, "oci-layout"), MAX_MARKER_BYTES);
  if (marker !== undefined) checkLayoutMarker(marker, dir);
  else if (options.create !== true) throw notALayout(dir);
  for (const algorithm of ALGORITHMS) await checkFolder(join(dir, "blobs", algorithm));
  await checkFolder(join(dir, "blobs"));
  return new DirectoryFiles(dir, marker !== undefined);
}

/** Checks the content of `oci-layout`. @throws {FormatError} LAYOUT_INVALID */
export function checkLayoutMarker(bytes: Uint8Array, location: string): void {
  const document = parseJson(bytes, { what: `oci-layout of ${location}` });
  const version = isJsonObject(document) ? document["imageLayoutVersion"] : undefined;
  if (version === "1.0.0") return;
  throw new FormatError("LAYOUT_INVALID", `${location} is a layout of another version: ${JSON.stringify(version)}`, {
    hint: "Version 1.0.0 is read here",
  });
}

class DirectoryFiles implements LayoutFiles {
  readonly location: string;
  private readonly dir: string;
  /** What is to be written fails early now and then, and should leave no empty layout behind. */
  private made: Promise<void> | undefined;

  constructor(dir: string, isThere: boolean) {
    this.dir = dir;
    this.made = isThere ? Promise.resolve() : undefined;
    this.location = `oci:${dir}`;
  }

  readIndex(): Promise<Bytes | undefined> {
    return readSmallFile(join(this.dir, "index.json"), MAX_MANIFEST_BYTES);
  }

  async updateIndex(change: (current: Bytes | undefined) => Promise<Bytes>): Promise<void> {
    await (this.made ??= createLayout(this.dir));
    await withLock(join(this.dir, ".lock"), async () => {
      await writeFileAtomic(join(this.dir, "index.json"), await change(await this.readIndex()));
    });
  }

  async size(digest: Digest): Promise<number | undefined> {
    const blob = await openBlob(this.path(digest), digest);
    await blob?.close();
    return blob?.size;
  }

  async *read(digest: Digest): AsyncGenerator<Uint8Array> {
    const blob = await openBlob(this.path(digest), digest);
    if (blob !== undefined) yield* blob.read();
  }

  async write({ digest }: { digest: Digest }, source: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.path(digest);
    await (this.made ??= createLayout(this.dir));
    try {
      await mkdir(dirname(path), { recursive: true });
    } catch (error) {
      throw storageError(error, "write", path);
    }
    removeStaleTemporaries(dirname(path));
    const output = await createAtomicOutput(path);
    try {
      for await (const chunk of source) await output.write(chunk); // throws at its end where the digest is wrong
      await output.commit();
    } finally {
      await output.abort();
    }
  }

  /** The one place where a path is made; the digest is checked here again, whoever the caller was. */
  private path(digest: Digest): string {
    const checked = parseDigest(digest);
    return join(this.dir, "blobs", digestAlgorithm(checked), digestHex(checked));
  }
}

async function createLayout(dir: string): Promise<void> {
  try {
    await mkdir(join(dir, "blobs", "sha256"), { recursive: true });
    await syncDirectory(dir);
  } catch (error) {
    throw storageError(error, "make", dir);
  }
  const index = join(dir, "index.json");
  if ((await readSmallFile(index, MAX_MANIFEST_BYTES)) === undefined) {
    const empty = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] };
    await writeFileAtomic(index, utf8Encode(JSON.stringify(empty)));
  }
  await writeFileAtomic(join(dir, "oci-layout"), utf8Encode(LAYOUT_MARKER));
}

async function checkFolder(path: string): Promise<void> {
  try {
    if ((await lstat(path)).isDirectory()) return;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw storageError(error, "open", path);
  }
  throw new StorageError("STATE_INVALID", `${path} is not a directory`, {
    hint: "A link or file in its place could lead outside the layout; move it away",
  });
}

/** A regular file's bytes, never through a link; undefined where there is none. */
async function readSmallFile(path: string, limit: number): Promise<Bytes | undefined> {
  try {
    const handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw notRegular(path);
      if (stats.size > limit) {
        throw new FormatError("LIMIT_EXCEEDED", `${path} has ${stats.size} bytes, more than the ${limit} allowed`, {
          details: { size: stats.size, limit },
        });
      }
      return ownBytes(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    if (errorCode(error) === "ELOOP") throw notRegular(path);
    throw storageError(error, "read", path);
  }
}

function notRegular(path: string): StorageError {
  return new StorageError("STATE_INVALID", `${path} is not a regular file`, {
    hint: "Links and devices are never followed; move it away",
  });
}

function notALayout(dir: string): StorageError {
  return new StorageError("FILE_NOT_FOUND", `there is no OCI layout in ${dir}`, {
    hint: "An OCI layout has a file named oci-layout; check the path",
    details: { path: dir },
  });
}

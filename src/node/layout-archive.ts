/**
 * An OCI image layout in a tar archive: read in place through a table of its entries, written whole and always the
 * same for the same content. An archive has its blobs, `oci-layout` and `index.json` once each, and nothing else but
 * what `docker save` adds; nothing is ever unpacked.
 */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { ownBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { digestAlgorithm, digestHex, isDigest, type Digest } from "../base/digest.ts";
import { errorCode, FormatError, StorageError, UsageError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import { LAYOUT_MARKER } from "../oci/layout-index.ts";
import type { LayoutFiles } from "../oci/layout-store.ts";
import { MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import {
  MAX_TAR_ATTRIBUTES,
  readTarAttributes,
  readTarHeader,
  TAR_BLOCK,
  TAR_END,
  tarPadding,
  tarPath,
  writeTarHeader,
  type TarAttributes,
} from "../oci/tar.ts";
import { createAtomicOutput } from "./files.ts";
import { checkLayoutMarker } from "./layout-directory.ts";
import { storageError } from "./storage-error.ts";

/** More than an index can list, with their configs and layers. */
const MAX_ENTRIES = 100_000;
/** Empty blocks at the end: GNU tar fills up to 10 kB, some drives to 1 MiB. */
const MAX_TRAILER = 1024 * 1024;
const READ_CHUNK = 256 * 1024;
const MAX_MARKER_BYTES = 4096;

/** What `docker save` writes for its own older versions; it is not read. */
const IGNORED: ReadonlySet<string> = new Set(["manifest.json", "repositories"]);

interface Place {
  readonly offset: number;
  readonly size: number;
}

/** An archive that is open for reading. */
export interface LayoutArchive extends LayoutFiles {
  /** Every blob with its length, in the archive's order. */
  readonly blobs: ReadonlyMap<Digest, number>;
  /** Files that other tools add, and that are not read. */
  readonly extras: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens an archive and reads its table; no content is read yet.
 *
 * @throws {FormatError} LAYOUT_INVALID for entries that are extra, missing, linked, repeated or lead elsewhere
 * @throws {StorageError} FILE_NOT_FOUND, FILE_UNREADABLE
 */
export async function openLayoutArchive(path: string): Promise<LayoutArchive> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe must not block
  } catch (error) {
    throw storageError(error, "read", path);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new StorageError("FILE_UNREADABLE", `${path} is not a regular file`);
    const table = await readTable(handle, stats.size).catch((error: unknown) => {
      throw named(path, error);
    });
    const archive = new ArchiveFiles(path, handle, table);
    await archive.checkMarker();
    return archive;
  } catch (error) {
    await handle.close();
    throw errorCode(error) === undefined || error instanceof FormatError ? error : storageError(error, "read", path);
  }
}

class ArchiveFiles implements LayoutArchive {
  readonly location: string;
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly extras: readonly string[];
  private readonly handle: FileHandle;
  private readonly table: ReadonlyMap<string, Place>;

  constructor(path: string, handle: FileHandle, table: ReadonlyMap<string, Place>) {
    this.location = `oci-archive:${path}`;
    this.handle = handle;
    this.table = table;
    this.extras = [...table.keys()].filter((name) => IGNORED.has(name));
    this.blobs = new Map([...table].flatMap(([name, { size }]) => [[blobOf(name), size] as const]).filter(isBlob));
  }

  async checkMarker(): Promise<void> {
    checkLayoutMarker(await this.small("oci-layout", MAX_MARKER_BYTES), this.location);
  }

  readIndex(): Promise<Bytes> {
    return this.small("index.json", MAX_MANIFEST_BYTES);
  }

  async size(digest: Digest): Promise<number | undefined> {
    return this.table.get(blobPath(digest))?.size;
  }

  async *read(digest: Digest): AsyncGenerator<Uint8Array> {
    const place = this.table.get(blobPath(digest));
    if (place !== undefined) yield* readPlace(this.handle, place);
  }

  updateIndex(): Promise<void> {
    return Promise.reject(readOnly(this.location));
  }

  write(): Promise<void> {
    return Promise.reject(readOnly(this.location));
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private async small(name: string, limit: number): Promise<Bytes> {
    const place = this.table.get(name);
    if (place === undefined) {
      throw new FormatError("LAYOUT_INVALID", `${this.location} has no ${name}: it is no OCI layout`, {
        hint: "Check the file; an archive that was cut short has lost its end",
        details: { entry: name },
      });
    }
    if (place.size > limit) {
      throw new FormatError(
        "LIMIT_EXCEEDED",
        `${name} of ${this.location} has ${place.size} bytes, more than the ${limit} allowed`,
        {
          details: { size: place.size, limit },
        },
      );
    }
    const bytes = Buffer.alloc(place.size);
    let at = 0;
    for await (const chunk of readPlace(this.handle, place)) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return ownBytes(bytes);
  }
}

/** Finds every entry. What does not belong into a layout is refused before anything is used. */
async function readTable(handle: FileHandle, length: number): Promise<Map<string, Place>> {
  const table = new Map<string, Place>();
  const block = new Uint8Array(TAR_BLOCK);
  let attributes: TarAttributes | undefined;
  for (let at = 0, entries = 0; ; entries++) {
    if (entries > MAX_ENTRIES) {
      throw new FormatError("LIMIT_EXCEEDED", `the archive has more than ${MAX_ENTRIES} entries`, {
        details: { limit: MAX_ENTRIES },
      });
    }
    await fill(handle, block, at);
    at += TAR_BLOCK;
    const header = readTarHeader(block);
    if (header === undefined) {
      if (attributes !== undefined) throw damaged("it ends where an entry should be");
      await checkTrailer(handle, at, length);
      return table;
    }
    const size = header.kind === "attributes" ? header.size : (attributes?.size ?? header.size);
    if (size > length - at) throw damaged(`an entry of ${size} bytes goes beyond its end`);
    if (header.kind === "attributes") {
      if (attributes !== undefined || size > MAX_TAR_ATTRIBUTES) throw damaged("an entry has too many attributes");
      const records = new Uint8Array(size);
      await fill(handle, records, at);
      attributes = readTarAttributes(records);
    } else {
      const path = tarPath(attributes?.path ?? header.path);
      attributes = undefined;
      if (header.kind === "folder") checkFolder(path, size);
      else addFile(table, path, { offset: at, size });
    }
    at += size + tarPadding(size);
  }
}

function addFile(table: Map<string, Place>, path: string | undefined, place: Place): void {
  const known =
    path === "oci-layout" ||
    path === "index.json" ||
    (path !== undefined && (IGNORED.has(path) || blobOf(path) !== undefined));
  if (path === undefined || !known) throw extra(path ?? ".");
  if (table.has(path)) {
    throw new FormatError("LAYOUT_INVALID", `the archive has two entries "${path}"`, {
      hint: "Readers would disagree about which one counts; do not use it",
      details: { entry: path },
    });
  }
  table.set(path, place);
}

function checkFolder(path: string | undefined, size: number): void {
  const known = path === undefined || path === "blobs" || path === "blobs/sha256" || path === "blobs/sha512";
  if (!known || size !== 0) throw extra(path);
}

/** An archive ends with two empty blocks, and more of them at most: one that lacks the second was cut short. */
async function checkTrailer(handle: FileHandle, at: number, length: number): Promise<void> {
  const rest = length - at;
  if (rest < TAR_BLOCK) throw damaged("its end is missing");
  const bytes = new Uint8Array(Math.min(rest, MAX_TRAILER + 1));
  await fill(handle, bytes, at);
  if (rest > MAX_TRAILER || bytes.some((byte) => byte !== 0)) throw damaged("something follows its end");
}

/** A blob of an archive that is to be written. */
export interface ArchivedBlob {
  readonly digest: Digest;
  readonly size: number;
  open(): AsyncIterable<Uint8Array>;
}

/**
 * Writes an archive: the same bytes for the same index and blobs, whoever writes it and whenever. It appears whole, or
 * not at all.
 */
export async function writeLayoutArchive(
  path: string,
  index: Uint8Array,
  blobs: readonly ArchivedBlob[],
): Promise<void> {
  const sorted = blobs.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  const output = await createAtomicOutput(path);
  try {
    const put = async (
      name: string,
      size: number,
      source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    ): Promise<void> => {
      await output.write(writeTarHeader(name, size));
      for await (const chunk of source) await output.write(chunk);
      await output.write(new Uint8Array(tarPadding(size)));
    };
    const marker = utf8Encode(LAYOUT_MARKER);
    await put("oci-layout", marker.length, [marker]);
    await put("index.json", index.length, [index]);
    for (const blob of sorted) await put(blobPath(blob.digest), blob.size, blob.open());
    await output.write(TAR_END);
    await output.commit();
  } finally {
    await output.abort();
  }
}

function blobPath(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

function blobOf(path: string): Digest | undefined {
  const digest = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(path)?.slice(1).join(":") ?? "";
  return isDigest(digest) ? digest : undefined;
}

function isBlob(pair: readonly [Digest | undefined, number]): pair is readonly [Digest, number] {
  return pair[0] !== undefined;
}

async function* readPlace(handle: FileHandle, { offset, size }: Place): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size;) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(READ_CHUNK, size - at));
    await fill(handle, chunk, offset + at);
    at += chunk.length;
    yield chunk;
  }
}

/** Reads all of a buffer. @throws {FormatError} LAYOUT_INVALID where the file ends before */
async function fill(handle: FileHandle, buffer: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < buffer.length;) {
    const { bytesRead } = await handle.read(buffer, at, buffer.length - at, position + at);
    if (bytesRead === 0) throw damaged("it ends in the middle");
    at += bytesRead;
  }
}

function damaged(reason: string): FormatError {
  return new FormatError("LAYOUT_INVALID", `the archive cannot be read: ${reason}`, {
    hint: "It was cut short or changed on the way; get it again",
  });
}

function extra(path: string | undefined): FormatError {
  const shown = escapeUntrusted(path ?? "");
  return new FormatError("LAYOUT_INVALID", `the archive has "${shown}", which is no part of an OCI layout`, {
    hint: "Whoever made it put something extra in; make it again from its source",
    details: { entry: shown },
  });
}

/** Of two archives that a command reads, people must know which one is meant. */
function named(path: string, error: unknown): unknown {
  if (!(error instanceof FormatError)) return error;
  const { code, message, hint, details } = error;
  return new FormatError(code, `${path}: ${message}`, {
    ...(hint === undefined ? {} : { hint }),
    details,
    cause: error,
  });
}

function readOnly(location: string): UsageError {
  return new UsageError("USAGE", `${location} can only be read here`);
}

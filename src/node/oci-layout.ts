/**
 * An OCI image layout on disk as a store of content by digest. A file appears under its digest only when all
 * its bytes are hashed, equal to that digest and on the disk; so whatever is there is whole, also after a
 * crash. A name is built from a checked digest only, and nothing but regular files is ever opened.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { concatBytes, type Bytes } from "../base/bytes.ts";
import {
  digestAlgorithm,
  digestHex,
  formatDigest,
  isDigest,
  parseDigest,
  type Digest,
  type HashAlgorithm,
} from "../base/digest.ts";
import { errorCode, RegistryError, StorageError } from "../base/errors.ts";
import { storageError, syncDirectory, writeFileAtomic } from "./files.ts";
import { nodeHasher } from "./hasher.ts";
import { damagedBlob, hashedAgain, openBlob, type OpenBlob } from "./open-blob.ts";

const ALGORITHMS: readonly HashAlgorithm[] = ["sha256", "sha512"];
/** What {@link OciLayout.write} must find. */
interface ExpectedBlob {
  readonly digest: Digest;
  /** Length in bytes; not checked where undefined. */
  readonly size?: number;
}

export interface OciLayout {
  readonly dir: string;
  /** The length of a blob in bytes, or undefined where there is none. */
  stat(digest: Digest): Promise<number | undefined>;
  open(digest: Digest): Promise<OpenBlob | undefined>;
  /**
   * Reads a small blob and hashes it again.
   *
   * @throws {StorageError} STATE_INVALID where it is longer than `limit` or no longer has its digest
   */
  readVerified(digest: Digest, limit: number): Promise<Bytes | undefined>;
  /**
   * Hashes a blob again, in constant memory.
   *
   * @throws {StorageError} STATE_INVALID where it no longer has its digest
   */
  verify(digest: Digest): Promise<boolean>;
  /**
   * Stores a stream. Returns when it is durable; leaves nothing where it fails.
   *
   * @throws {RegistryError} DIGEST_MISMATCH
   * @throws {StorageError} STORAGE_FULL, STORAGE_DENIED, STORAGE_FAILED
   */
  write(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, expected: ExpectedBlob): Promise<void>;
  /** Moves a file of the same file system in, whose bytes are known to have this digest and are on the disk. */
  adopt(path: string, digest: Digest): Promise<void>;
  /** Returns false where there was none. */
  delete(digest: Digest): Promise<boolean>;
  /** Every digest present, in no order. */
  list(): AsyncGenerator<Digest>;
}

/**
 * Opens the layout in `dir`, and makes it where there is none.
 *
 * @throws {StorageError} STATE_INVALID where `dir` holds something else, or a link where a directory belongs
 */
export async function openOciLayout(dir: string): Promise<OciLayout> {
  await mkdir(dir, { recursive: true });
  const marker = join(dir, "oci-layout");
  if ((await kindOf(marker)) === undefined) {
    await writeFileAtomic(join(dir, "index.json"), Buffer.from('{"schemaVersion":2,"manifests":[]}\n'));
    await writeFileAtomic(marker, Buffer.from('{"imageLayoutVersion":"1.0.0"}\n'));
  }
  const blobs = join(dir, "blobs");
  await makeDirectory(blobs);
  for (const algorithm of ALGORITHMS) await makeDirectory(join(blobs, algorithm));
  // Beside the blobs, so that rename never crosses a file system.
  const temporary = join(dir, "tmp");
  await rm(temporary, { recursive: true, force: true });
  await makeDirectory(temporary);
  return new FileLayout(dir, temporary);
}

class FileLayout implements OciLayout {
  readonly dir: string;
  private readonly temporary: string;

  constructor(dir: string, temporary: string) {
    this.dir = dir;
    this.temporary = temporary;
  }

  async stat(digest: Digest): Promise<number | undefined> {
    const blob = await this.open(digest);
    await blob?.close();
    return blob?.size;
  }

  async open(digest: Digest): Promise<OpenBlob | undefined> {
    return openBlob(this.path(digest), digest);
  }

  async readVerified(digest: Digest, limit: number): Promise<Bytes | undefined> {
    const blob = await this.open(digest);
    if (blob === undefined) return undefined;
    if (blob.size > limit) {
      await blob.close();
      throw damagedBlob(digest, `it has ${blob.size} bytes, more than the ${limit} allowed`);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of hashedAgain(blob, digest)) chunks.push(chunk);
    return concatBytes(chunks);
  }

  async verify(digest: Digest): Promise<boolean> {
    const blob = await this.open(digest);
    if (blob === undefined) return false;
    const chunks = hashedAgain(blob, digest);
    while ((await chunks.next()).done !== true);
    return true;
  }

  async write(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, expected: ExpectedBlob): Promise<void> {
    const path = join(this.temporary, randomUUID());
    try {
      const got = await writeHashed(path, source, expected);
      if (got !== expected.digest) throw mismatch(got, expected.digest);
      await this.adopt(path, expected.digest);
    } catch (error) {
      await rm(path, { force: true });
      throw storageError(error, "store", expected.digest);
    }
  }

  async adopt(path: string, digest: Digest): Promise<void> {
    // Also over a blob that is there already: should that one be damaged on the disk, it is whole again now.
    await rename(path, this.path(digest));
    await syncDirectory(join(this.dir, "blobs", digestAlgorithm(digest)));
  }

  async delete(digest: Digest): Promise<boolean> {
    try {
      await rm(this.path(digest));
    } catch (error) {
      if (errorCode(error) === "ENOENT") return false;
      throw error;
    }
    await syncDirectory(join(this.dir, "blobs", digestAlgorithm(digest)));
    return true;
  }

  async *list(): AsyncGenerator<Digest> {
    for (const algorithm of ALGORITHMS) {
      for (const hex of await readdir(join(this.dir, "blobs", algorithm))) {
        const digest = `${algorithm}:${hex}`;
        if (isDigest(digest)) yield digest;
      }
    }
  }

  /** The one place where a path is made; the digest is checked here again, whoever the caller was. */
  private path(digest: Digest): string {
    const checkedDigest = parseDigest(digest);
    return join(this.dir, "blobs", digestAlgorithm(checkedDigest), digestHex(checkedDigest));
  }
}

async function writeHashed(
  path: string,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expected: ExpectedBlob,
): Promise<Digest> {
  const algorithm = digestAlgorithm(expected.digest);
  const hasher = nodeHasher(algorithm);
  const limit = expected.size ?? Number.POSITIVE_INFINITY;
  const handle = await open(path, "wx", 0o644);
  try {
    let size = 0;
    for await (const chunk of source) {
      size += chunk.length;
      if (size > limit) throw mismatch(`more than ${limit} bytes`, `${limit} bytes`);
      hasher.update(chunk);
      await handle.writeFile(chunk);
    }
    if (expected.size !== undefined && size !== expected.size) {
      throw mismatch(`${size} bytes`, `${expected.size} bytes`);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return formatDigest(algorithm, hasher.digest());
}

async function makeDirectory(path: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "directory") return;
  if (kind !== undefined) {
    throw new StorageError("STATE_INVALID", `${path} is not a directory`, {
      hint: "A link or file in its place could lead outside the store; move it away",
    });
  }
  await mkdir(path);
  await syncDirectory(join(path, ".."));
}

async function kindOf(path: string): Promise<"directory" | "other" | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? "directory" : "other";
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw storageError(error, "open", path);
  }
}

function mismatch(got: string, expected: string): RegistryError {
  return new RegistryError(
    "DIGEST_MISMATCH",
    `the content is not what it should be: expected ${expected}, got ${got}`,
    {
      details: { expected, got },
    },
  );
}

/**
 * The cache of verified content on disk: one file per digest in one flat directory, which all projects of a user
 * share. Nothing in it is trusted: every read is hashed again, and what is damaged is removed.
 */
import { constants, mkdirSync, type Dirent } from "node:fs";
import { lstat, open, readdir, rm, type FileHandle } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { concatBytes, type Bytes } from "../base/bytes.ts";
import { digestAlgorithm, digestHex, type Digest } from "../base/digest.ts";
import { errorCode, errorMessage } from "../base/errors.ts";
import type { CacheEntry, ContentCache } from "../content-cache.ts";
import type { BlobAddress } from "../download.ts";
import { createAtomicOutput, storageError, type AtomicOutput } from "./files.ts";
import { damagedBlob, hashedAgain, openBlob } from "./open-blob.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

const MIB = 1024 * 1024;
/** Some hundred modules of usual size. */
const DEFAULT_CACHE_BYTES = 1024 * MIB;
/** What is larger than this part of the cache would push out too much of the rest, and costs a second copy of much. */
const LARGEST_PART = 1 / 4;
/** Room is made down to this part of the limit, so that not every new entry has to make some. */
const TRIMMED_PART = 0.9;
/** Entries looked at when room is made: ten times what the default size usually has. */
const MAX_ENTRIES = 100_000;
/** The times of an entry's use are kept this exactly, so that a read is seldom a write as well. */
const USE_GRAIN_MS = 60_000;
/** The only names that are ours; nothing else is touched. */
const NAME = /^sha(?:256|512)-[0-9a-f]+$/;

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export interface ModuleCacheOptions {
  /** Where; {@link defaultCacheDir} unless told. */
  readonly dir?: string | undefined;
  /** The most bytes to keep; 1 GiB unless told. */
  readonly maxBytes?: number | undefined;
}

/** Where the cache is unless told: `WASM_TO_OCI_CACHE`, or `wasm-to-oci` in the user's cache directory. */
export function defaultCacheDir(env: Readonly<Record<string, string | undefined>>): string {
  const { WASM_TO_OCI_CACHE: own, XDG_CACHE_HOME: base } = env;
  if (own !== undefined && own !== "") return own;
  if (base !== undefined && base !== "") return join(base, "wasm-to-oci");
  return join(env["HOME"] ?? env["USERPROFILE"] ?? homedir(), ".cache", "wasm-to-oci");
}

/**
 * Opens the cache of a directory. Nothing is made before the first write.
 *
 * @example
 * ```ts
 * const cache = openModuleCache();
 * await pull({ runtime, registry, reference, output, trust, cache });
 * if (cache.problem !== undefined) console.warn(cache.problem);
 * ```
 */
export function openModuleCache(options: ModuleCacheOptions = {}): ContentCache {
  return new ModuleCache(options.dir ?? defaultCacheDir(process.env), options.maxBytes ?? DEFAULT_CACHE_BYTES);
}

class ModuleCache implements ContentCache {
  readonly location: string;
  problem: string | undefined;
  private readonly maxBytes: number;

  constructor(dir: string, maxBytes: number) {
    this.location = dir;
    this.maxBytes = maxBytes;
  }

  async open({ digest, size }: BlobAddress): Promise<AsyncIterable<Uint8Array> | undefined> {
    const path = this.path(digest);
    try {
      const blob = await openBlob(path, digest);
      if (blob === undefined) return undefined;
      if (blob.size === size) {
        await markUsed(path);
        return this.healing(hashedAgain(blob, digest), path);
      }
      await blob.close();
      await this.remove(path, damagedBlob(digest, `it has ${blob.size} bytes, not ${size}`));
    } catch (error) {
      await this.remove(path, error);
    }
    return undefined;
  }

  async read(digest: Digest, limit: number): Promise<Bytes | undefined> {
    const path = this.path(digest);
    try {
      const blob = await openBlob(path, digest);
      if (blob === undefined) return undefined;
      if (blob.size > limit) {
        await blob.close();
        return undefined;
      }
      await markUsed(path);
      const chunks: Uint8Array[] = [];
      for await (const chunk of hashedAgain(blob, digest)) chunks.push(chunk);
      return concatBytes(chunks);
    } catch (error) {
      await this.remove(path, error);
      return undefined;
    }
  }

  async begin({ digest, size }: BlobAddress): Promise<CacheEntry | undefined> {
    if (size > this.maxBytes * LARGEST_PART) return undefined;
    try {
      mkdirSync(this.location, { recursive: true, mode: DIRECTORY_MODE });
      removeStaleTemporaries(this.location);
      const output = await createAtomicOutput(this.path(digest), { mode: FILE_MODE, durable: false });
      return new Entry(output, () => this.trim(), this.note);
    } catch (error) {
      this.note(storageError(error, "use the cache in", this.location));
      return undefined;
    }
  }

  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    // read, not only looked for: what is damaged heals now, not on the day that there is nobody to ask
    if ((await this.read(digest, bytes.length)) !== undefined) return;
    const entry = await this.begin({ digest, size: bytes.length });
    await entry?.write(bytes);
    await entry?.commit();
  }

  private path(digest: Digest): string {
    return join(this.location, `${digestAlgorithm(digest)}-${digestHex(digest)}`);
  }

  /** Passes content on; where it turns out damaged, removes it before it says so. */
  private async *healing(content: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
    try {
      yield* content;
    } catch (error) {
      await this.remove(path, error);
      throw error;
    }
  }

  /** Removes what cannot be used. A directory or a link that somebody put there stays: it is not ours. */
  private async remove(path: string, reason: unknown): Promise<void> {
    this.note(storageError(reason, "read", path));
    try {
      if ((await lstat(path)).isFile()) await rm(path, { force: true });
    } catch (error) {
      if (errorCode(error) !== "ENOENT") this.note(storageError(error, "remove", path));
    }
  }

  private readonly note = (error: unknown): void => {
    this.problem ??= `the cache ${this.location} has a problem, and the work went on without it: ${errorMessage(error)}`;
  };

  /** Removes what was used longest ago until there is room again. Whoever reads a file that goes, reads it to its end. */
  private async trim(): Promise<void> {
    const files: { readonly path: string; readonly size: number; readonly used: number }[] = [];
    for (const { name } of await entriesOf(this.location)) {
      const path = join(this.location, name);
      const stats = await lstat(path).catch(() => undefined); // another process made room too
      if (stats?.isFile() === true) files.push({ path, size: stats.size, used: stats.atimeMs });
    }
    let total = files.reduce((sum, { size }) => sum + size, 0);
    if (total <= this.maxBytes) return;
    for (const { path, size } of files.toSorted((a, b) => a.used - b.used)) {
      if (total <= this.maxBytes * TRIMMED_PART) return;
      await rm(path, { force: true });
      total -= size;
    }
  }
}

/** Content on its way in; the first failure ends it. */
class Entry implements CacheEntry {
  private output: AtomicOutput | undefined;
  private readonly committed: () => Promise<void>;
  private readonly note: (error: unknown) => void;

  constructor(output: AtomicOutput, committed: () => Promise<void>, note: (error: unknown) => void) {
    this.output = output;
    this.committed = committed;
    this.note = note;
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.attempt((output) => output.write(chunk));
  }

  async commit(): Promise<void> {
    await this.attempt(async (output) => {
      await output.commit();
      this.output = undefined;
      await this.committed();
    });
  }

  async abort(): Promise<void> {
    const { output } = this;
    this.output = undefined;
    await output?.abort().catch(this.note);
  }

  private async attempt(step: (output: AtomicOutput) => Promise<void>): Promise<void> {
    if (this.output === undefined) return;
    try {
      await step(this.output);
    } catch (error) {
      this.note(error);
      await this.abort();
    }
  }
}

/** Notes when an entry was last used: a file system may not do so itself, and a read-only one cannot. */
async function markUsed(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { atimeMs, mtime } = await handle.stat();
    if (Date.now() - atimeMs > USE_GRAIN_MS) await handle.utimes(new Date(), mtime);
  } catch {
    // it is only an order in which to make room
  } finally {
    await handle?.close();
  }
}

async function entriesOf(dir: string): Promise<Dirent[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && NAME.test(entry.name)).slice(0, MAX_ENTRIES);
}

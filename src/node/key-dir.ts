/**
 * Private keys in a trust directory, as `notary` and `docker trust` lay them out:
 * `<dir>/private/<canonical key id>.key`, directories 0700, files 0600.
 */
import type { Stats } from "node:fs";
import { lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { constants } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { utf8Decode, utf8Encode } from "../base/bytes.ts";
import { errorCode, FormatError, StorageError, WasmToOciError } from "../base/errors.ts";
import { isKeyId, type KeyOwner } from "../keys/notary-key-file.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { PemKeyStore, type KeyFile, type KeyFiles } from "../keys/pem-key-store.ts";
import { readError, storageError, syncDirectory, withLock, writeFileAtomic } from "./files.ts";
import { decryptLegacyPem } from "./legacy-pem.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

/** The largest key file, an RSA-8192 key with headers, has some 7 kB. */
const MAX_KEY_FILE_BYTES = 64 * 1024;
/** Files and folders looked at in one directory of keys. */
const MAX_ENTRIES = 10_000;
/** GUNs of the old layout are folders below folders. */
const MAX_DEPTH = 32;

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const SUFFIX = ".key";

/** Folders of Notary before 0.4: root keys, and all others in folders named after their GUN. */
const OLD_ROOT_KEYS = "root_keys";
const OLD_OTHER_KEYS = "tuf_keys";

/**
 * Opens the private keys of a trust directory. Nothing is created before the first key is stored.
 *
 * @param dir the trust directory, e.g. `~/.wasm-to-oci`, `~/.docker/trust`
 */
export function openKeyDir(dir: string): KeyStore {
  return new PemKeyStore(new KeyDirectory(dir), decryptLegacyPem);
}

class KeyDirectory implements KeyFiles {
  private readonly private: string;
  private readonly retired: string;
  private readonly lock: string;

  constructor(dir: string) {
    this.private = join(dir, "private");
    this.retired = join(dir, "retired");
    this.lock = join(dir, "private.lock"); // beside it: other programs look at every file inside
  }

  async list(): Promise<readonly KeyFile[]> {
    await checkPrivate(this.private);
    const found: string[] = [];
    await collect(this.private, 0, found);
    const paths = found.filter((path) => path.endsWith(SUFFIX));
    const present: KeyFile[] = [];
    for (const path of paths) {
      const file = await this.readPath(path);
      if (file !== undefined) present.push(file);
    }
    return [...present.filter(({ readOnly }) => !readOnly), ...present.filter(({ readOnly }) => readOnly)];
  }

  async read(id: string): Promise<KeyFile | undefined> {
    await checkPrivate(this.private);
    const file = await this.readPath(this.path(id));
    if (file !== undefined) return file;
    const old: string[] = [];
    for (const folder of [OLD_ROOT_KEYS, OLD_OTHER_KEYS]) await collect(join(this.private, folder), 0, old);
    const path = old.find((each) => this.nameOf(each).id === id);
    return path === undefined ? undefined : this.readPath(path);
  }

  async write(id: string, text: string): Promise<string> {
    const path = this.path(id);
    await this.ensure(this.private);
    removeStaleTemporaries(this.private);
    await writeFileAtomic(path, utf8Encode(text), { mode: FILE_MODE });
    return path;
  }

  async delete(id: string): Promise<void> {
    const path = this.path(id);
    try {
      await rm(path, { force: true });
      await syncDirectory(this.private);
    } catch (error) {
      throw storageError(error, "delete", path);
    }
  }

  async retire(id: string): Promise<string> {
    const path = this.path(id);
    try {
      await this.ensure(this.retired);
      const to = await freeName(this.retired, id);
      await rename(path, to);
      await syncDirectory(this.retired);
      await syncDirectory(this.private);
      return to;
    } catch (error) {
      throw storageError(error, "move", path);
    }
  }

  async exclusive<T>(action: () => Promise<T>): Promise<T> {
    await this.ensure(dirname(this.private));
    return withLock(this.lock, action);
  }

  private path(id: string): string {
    return join(this.private, `${id}${SUFFIX}`);
  }

  private async ensure(path: string): Promise<void> {
    try {
      await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    } catch (error) {
      throw storageError(error, "make the directory", path);
    }
  }

  /** Undefined where there is nothing. */
  private async readPath(path: string): Promise<KeyFile | undefined> {
    const { id, owner, readOnly } = this.nameOf(path);
    try {
      return { id, owner, readOnly, location: path, content: await readKeyText(path) };
    } catch (error) {
      if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
      const reason = error instanceof WasmToOciError ? error : readError(error, path);
      return { id, owner, readOnly, location: path, content: reason };
    }
  }

  /** What folder and name of a file say: `<id>.key`, or in the old layout `<folder>/[<gun>/]<id>_<role>.key`. */
  private nameOf(path: string): { id: string | undefined; owner: Partial<KeyOwner>; readOnly: boolean } {
    const [id = "", role] = basename(path, SUFFIX).split("_");
    const [folder, ...gun] = relative(this.private, dirname(path)).split(sep);
    const isOld = folder === OLD_ROOT_KEYS || folder === OLD_OTHER_KEYS;
    const known = isKeyId(id) && (isOld || (folder === "" && role === undefined)) ? id : undefined;
    return { id: known, owner: isOld ? oldOwner(folder, role, gun) : {}, readOnly: isOld };
  }
}

/** Where others may write, they may exchange keys and watch who uses them: ssh refuses that, and so do we. */
async function checkPrivate(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const stats = await stat(path).catch(() => undefined); // what is wrong with it will be told when it is read
  if (stats === undefined || !stats.isDirectory() || (stats.mode & 0o022) === 0) return;
  throw new StorageError("STATE_INVALID", `${path} can be changed by other users of this machine`, {
    hint: `Look for files that are not yours, then: chmod 700 ${path}`,
    details: { path, mode: (stats.mode & 0o777).toString(8) },
  });
}

function oldOwner(folder: string, role: string | undefined, gun: readonly string[]): Partial<KeyOwner> {
  const named = role ?? (folder === OLD_ROOT_KEYS ? "root" : undefined);
  return { ...(named === undefined ? {} : { role: named }), ...(gun.length === 0 ? {} : { gun: gun.join("/") }) };
}

async function collect(folder: string, depth: number, found: string[]): Promise<void> {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw storageError(error, "read the directory", folder);
  }
  for (const entry of entries) {
    if (found.length >= MAX_ENTRIES) {
      throw new FormatError("LIMIT_EXCEEDED", `${folder} holds more than the ${MAX_ENTRIES} files allowed for keys`);
    }
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) found.push(path);
    else if (depth < MAX_DEPTH) await collect(path, depth + 1, found);
  }
}

/** Reads a key file that is a regular file itself: as Notary does, links are not followed. */
async function readKeyText(path: string): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  try {
    const stats = await handle.stat();
    checkKeyFile(path, stats);
    const buffer = Buffer.alloc(stats.size);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return decode(buffer.subarray(0, bytesRead), path);
  } finally {
    await handle.close();
  }
}

function checkKeyFile(path: string, stats: Stats): void {
  if (!stats.isFile()) {
    throw new StorageError("FILE_UNREADABLE", `${path} is not a regular file`, { details: { path } });
  }
  if (stats.size > MAX_KEY_FILE_BYTES) {
    throw new FormatError("LIMIT_EXCEEDED", `${path} has ${stats.size} bytes, the limit is ${MAX_KEY_FILE_BYTES}`);
  }
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return utf8Decode(bytes);
  } catch (cause) {
    throw new FormatError("KEY_INVALID", `${path} is not text`, { details: { path }, cause });
  }
}

/** A name that is not taken: a backup never replaces another one. Called under the lock. */
async function freeName(folder: string, id: string): Promise<string> {
  for (let number = 0; ; number++) {
    const path = join(folder, number === 0 ? `${id}${SUFFIX}` : `${id}.${number}${SUFFIX}`);
    try {
      await lstat(path);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return path;
      throw error;
    }
  }
}

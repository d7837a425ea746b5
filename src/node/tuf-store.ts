/**
 * Verified TUF metadata in a directory: `<role>.json` as received, every root in `root_history/`, and the moment of
 * the last complete check. Safe against crashes and against other processes on the same directory.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import { FormatError, UsageError, errorCode } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { metadataFile } from "../tuf/names.ts";
import type { TufStore } from "../tuf/store.ts";
import { storageError, withLock, writeFileAtomic } from "./files.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

/** The largest document that a client takes. */
const MAX_DOCUMENT_BYTES = 128 * 1024 * 1024;
/** File names have at most 255 bytes; the temporary one of a write is longer. */
const MAX_NAME = 200;
/** What names in a trust directory may look like. */
const STORE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;

const HISTORY = "root_history";
/** Not `.json`: it is no metadata. */
const RECORD = "last-check";
const LOCK = ".lock";
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Opens the store of one repository and anchor. Nothing is created before the first write.
 *
 * @example
 * ```ts
 * const store = openTufStore(await tufStoreDir("/home/me/.wasm-to-oci/state/tuf", anchor));
 * ```
 */
export function openTufStore(dir: string): TufStore {
  const roleFile = (role: string): string => join(dir, fileName(metadataFile(role)));
  const rootFile = (version: number): string => join(dir, HISTORY, `${version}.root.json`);
  const writes = new LockedWrites(join(dir, LOCK));
  return {
    readRoot: (version) => read(rootFile(version)),
    writeRoot: (version, bytes) =>
      writes.locked(async () => {
        await write(rootFile(version), bytes, true);
        await write(roleFile("root"), bytes);
      }),
    read: (role) => read(roleFile(role)),
    update: (role, change) =>
      writes.locked(async () => {
        const next = change(await read(roleFile(role)));
        if (next !== undefined) await write(roleFile(role), next);
      }),
    readRecord: async () => {
      const bytes = await read(join(dir, RECORD));
      return bytes === undefined ? undefined : parseRecord(bytes);
    },
    // without the lock: it is written whole, and whose comes last does not matter
    writeRecord: ({ checkedAt }) =>
      writes.after(() =>
        write(join(dir, RECORD), utf8Encode(`${JSON.stringify({ checkedAt: checkedAt.toISOString() })}\n`)),
      ),
  };
}

/** Writes of one process, which take the lock together where they come together. Nobody hears of one while it is held. */
class LockedWrites {
  private readonly path: string;
  private readonly waiting: { run: () => Promise<() => void>; fail: (error: unknown) => void }[] = [];
  private working: Promise<void> | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Runs an action under the lock, after those that were asked for before. */
  locked(action: () => Promise<void>): Promise<void> {
    return new Promise((resolve, fail) => {
      const tell = (error: unknown) => () => fail(error);
      this.waiting.push({ run: () => action().then(() => resolve, tell), fail });
      this.working ??= this.work();
    });
  }

  /** Runs an action without the lock, after those that were asked for before. */
  async after(action: () => Promise<void>): Promise<void> {
    await this.working;
    await action();
  }

  private async work(): Promise<void> {
    while (this.waiting.length > 0) {
      const done: (() => void)[] = [];
      try {
        await withLock(this.path, async () => {
          for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
            done.push(await next.run());
          }
        });
      } catch (error) {
        for (const { fail } of this.waiting.splice(0)) fail(error);
      }
      for (const tell of done) tell();
    }
    this.working = undefined;
  }
}

/**
 * Where the store for an anchor is, below a directory that all anchors share: what was verified from one anchor is
 * nothing to another.
 *
 * @param name chosen by the caller; the hash of the anchor unless given
 * @throws {UsageError} USAGE for a name that is not plain
 */
export function tufStoreDir(base: string, anchor: Uint8Array, name?: string): string {
  if (name !== undefined && !STORE_NAME.test(name)) {
    throw new UsageError("USAGE", `${JSON.stringify(name)} cannot name a repository's metadata`, {
      hint: "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit",
    });
  }
  return join(base, name ?? createHash("sha256").update(anchor).digest("hex"));
}

/** Names that are too long for a file system are shortened to their hash. */
function fileName(name: string): string {
  return name.length <= MAX_NAME ? name : `${createHash("sha256").update(name).digest("hex")}.json`;
}

function parseRecord(bytes: Bytes): { checkedAt: Date } | undefined {
  try {
    const record = new JsonCursor(parseJson(bytes), formatFault("CONFIG_INVALID", RECORD)).object(["checkedAt"]);
    const checkedAt = new Date(record.field("checkedAt").string());
    return Number.isNaN(checkedAt.getTime()) ? undefined : { checkedAt };
  } catch (error) {
    if (error instanceof FormatError) return undefined; // as if there were none: the repository is asked
    throw error;
  }
}

/** A regular file's bytes, or nothing: what is stored only ever saves work or tightens checks. */
async function read(path: string): Promise<Bytes | undefined> {
  try {
    const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe must not block
    try {
      const status = fstatSync(file);
      if (!status.isFile() || status.size > MAX_DOCUMENT_BYTES) return undefined;
      const { buffer, byteOffset, byteLength } = readFileSync(file); // at once: to parse it takes far longer
      return new Uint8Array(buffer, byteOffset, byteLength);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** @param durable for roots; everything else is fetched again where a power cut damaged it */
async function write(path: string, bytes: Uint8Array, durable = false): Promise<void> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    throw storageError(error, "write", path);
  }
  removeStaleTemporaries(dirname(path));
  await writeFileAtomic(path, bytes, { mode: FILE_MODE, durable });
}

/** Where a client keeps verified metadata between runs: the floor under versions, and a cache. */
import type { Bytes } from "../base/bytes.ts";

/** What a client notes when it has verified a repository's newest state. */
export interface CheckRecord {
  readonly checkedAt: Date;
}

/**
 * Keeps the metadata of one repository, as seen from one trust anchor.
 *
 * Obligations: bytes come back as they were written, each document whole; a document that is not there, or cannot be
 * read, is undefined; every write is atomic, and writes take place in the order in which they were asked for; `update`
 * loses no concurrent writer's document, in this process or another. What cannot be written ends in a {@link StorageError}. Readers trust nothing that comes back.
 */
export interface TufStore {
  /** A root of one version; all that were ever verified stay. */
  readRoot(version: number): Promise<Bytes | undefined>;
  /** Keeps a root for its version, and as the newest one. */
  writeRoot(version: number, bytes: Bytes): Promise<void>;
  /** The document of timestamp, snapshot or a targets role. */
  read(role: string): Promise<Bytes | undefined>;
  /** Replaces a document by what `change` makes of the one that is there; undefined leaves it. */
  update(role: string, change: (current: Bytes | undefined) => Bytes | undefined): Promise<void>;
  readRecord(): Promise<CheckRecord | undefined>;
  writeRecord(record: CheckRecord): Promise<void>;
}

/** Keeps metadata in memory: for one process, tests, and places without a writable directory. */
export function memoryTufStore(): TufStore {
  const roots = new Map<number, Bytes>();
  const documents = new Map<string, Bytes>();
  let record: CheckRecord | undefined;
  return {
    readRoot: async (version) => roots.get(version),
    writeRoot: async (version, bytes) => void roots.set(version, bytes),
    read: async (role) => documents.get(role),
    update: async (role, change) => {
      const next = change(documents.get(role));
      if (next !== undefined) documents.set(role, next);
    },
    readRecord: async () => record,
    writeRecord: async (next) => {
      record = next;
    },
  };
}

/** Removes what writers that were killed left behind: temporary files that nobody will ever rename. */
import { lstatSync, opendirSync, unlinkSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

/** No write takes a day; one that is under way is younger, on whatever machine that shares the directory. */
const STALE_MS = 24 * 60 * 60 * 1000;
/** Entries looked at in one directory: cleaning must not cost more than the work that it precedes. */
const MAX_ENTRIES = 10_000;
/** The names that `createAtomicOutput` gives to files that are being written. */
const TEMPORARY = /^\..*\.[0-9a-f]{16}\.tmp$/s;

/** Directories that this process has cleaned. */
const cleaned = new Set<string>();

/**
 * Removes stale temporary files of ours from a directory that is ours alone, once in each process. Regular files
 * only, not from directories below. Never fails: what cannot be removed is in nobody's way.
 */
export function removeStaleTemporaries(directory: string): void {
  const key = resolve(directory);
  if (cleaned.has(key)) return;
  cleaned.add(key);
  removeStale(directory, (name) => TEMPORARY.test(name));
}

/** The same for the writes of one file, in a directory that may be anybody's. */
export function removeStaleWritesOf(path: string): void {
  const start = `.${basename(path)}.`;
  removeStale(dirname(path), (name) => name.startsWith(start) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(start.length)));
}

function removeStale(directory: string, isOurs: (name: string) => boolean): void {
  try {
    const entries = opendirSync(directory);
    try {
      for (let seen = 0; seen < MAX_ENTRIES; seen++) {
        const entry = entries.readSync();
        if (entry === null) return;
        if (isOurs(entry.name)) removeIfStale(join(directory, entry.name));
      }
    } finally {
      entries.closeSync();
    }
  } catch {
    // not there yet, or not ours to read
  }
}

function removeIfStale(path: string): void {
  const stats = lstatSync(path);
  if (stats.isFile() && Date.now() - stats.mtimeMs > STALE_MS) unlinkSync(path);
}

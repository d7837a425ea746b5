/** Removes what writers that were killed left behind: temporary files that nobody will ever rename. */
import { lstat, opendir, rm } from "node:fs/promises";
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
export async function removeStaleTemporaries(directory: string): Promise<void> {
  const key = resolve(directory);
  if (cleaned.has(key)) return;
  cleaned.add(key);
  await removeStale(directory, (name) => TEMPORARY.test(name));
}

/** The same for the writes of one file, in a directory that may be anybody's. */
export async function removeStaleWritesOf(path: string): Promise<void> {
  const start = `.${basename(path)}.`;
  await removeStale(
    dirname(path),
    (name) => name.startsWith(start) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(start.length)),
  );
}

async function removeStale(directory: string, isOurs: (name: string) => boolean): Promise<void> {
  try {
    let seen = 0;
    for await (const { name } of await opendir(directory)) {
      if (++seen > MAX_ENTRIES) return;
      if (isOurs(name)) await removeIfStale(join(directory, name));
    }
  } catch {
    // not there yet, or not ours to read
  }
}

async function removeIfStale(path: string): Promise<void> {
  const stats = await lstat(path);
  if (stats.isFile() && Date.now() - stats.mtimeMs > STALE_MS) await rm(path, { force: true });
}

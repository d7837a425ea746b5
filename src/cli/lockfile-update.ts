/** Changes a lockfile on disk so that nobody's entries are lost, whoever else locks at the same time. */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { equalBytes, utf8Decode } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { withLock, writeFileAtomic } from "../node/files.ts";
import { readRegularFile } from "../node/regular-file.ts";
import { parseConflictedLockfile } from "../trust/lock/conflicts.ts";
import { encodeLockfile, MAX_LOCKFILE_BYTES, parseLockfile, type LockedModule } from "../trust/lock/lockfile.ts";

/** What a lockfile has, for locking anew: both sides of a merge that git could not finish, too. */
export interface LockfileState {
  /** False where there is no file yet. */
  readonly exists: boolean;
  /** True where git left conflicts: all entries must be locked anew. */
  readonly conflicted: boolean;
  readonly modules: readonly LockedModule[];
}

/** @throws {FormatError} LOCK_INVALID; {StorageError} */
export async function readLockfileState(path: string): Promise<LockfileState> {
  const bytes = await readRegularFile(path, MAX_LOCKFILE_BYTES);
  if (bytes === undefined) return { exists: false, conflicted: false, modules: [] };
  try {
    return { exists: true, conflicted: false, modules: parseLockfile(bytes, path) };
  } catch (error) {
    if (!(error instanceof FormatError) || !isUtf8(bytes)) throw error;
    const sides = parseConflictedLockfile(utf8Decode(bytes, path), path);
    if (sides === undefined) throw error;
    return { exists: true, conflicted: true, modules: sides };
  }
}

/**
 * Puts entries into a lockfile, in place of those of the same references. A file that would not change is not written.
 *
 * @param dir trust directory, where the lock between processes is
 * @param whole true where the entries are all that the file is to have
 */
export async function updateLockfile(
  dir: string,
  path: string,
  entries: readonly LockedModule[],
  whole: boolean,
): Promise<void> {
  const name = createHash("sha256").update(resolve(path)).digest("hex");
  await withLock(join(dir, "state", "lockfiles", `${name}.lock`), async () => {
    const before = await readRegularFile(path, MAX_LOCKFILE_BYTES);
    const modules = new Map<string, LockedModule>();
    if (!whole && before !== undefined) for (const one of parseLockfile(before, path)) modules.set(one.reference, one);
    for (const entry of entries) modules.set(entry.reference, entry);
    const after = encodeLockfile([...modules.values()]);
    if (before === undefined || !equalBytes(before, after)) await writeFileAtomic(path, after);
  });
}

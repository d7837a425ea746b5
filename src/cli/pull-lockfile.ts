/** `pull` with a lockfile: one reference of it, or all of them into a directory. */
import { StorageError, UsageError } from "../base/errors.ts";
import { formatTagged, taggedReference, type TaggedReference } from "../oci/tagged-reference.ts";
import { pull, type PullLock, type PullOptions } from "../pull.ts";
import type { Coverage } from "../trust/coverage.ts";
import type { LockedModule } from "../trust/lock/lockfile.ts";
import type { VerificationReport } from "../trust/report.ts";
import type { Context } from "./command.ts";
import { lockedCoverage, readLockfile, requireEntry } from "./lock-coverage.ts";
import { ModuleTree, requireDistinctPaths } from "./module-tree.ts";
import { withSession, type Session, type SessionOptions } from "./session.ts";

/** Modules under way at once. */
const CONCURRENCY = 4;

export interface LockfileUse {
  readonly path: string;
  readonly mode: PullLock["mode"];
  readonly modules: readonly LockedModule[];
}

/** Reads the lockfile that flags ask for; undefined where they do not. */
export async function openLockfile(options: {
  readonly lockfile: string;
  readonly locked: boolean;
  readonly frozen: boolean;
}): Promise<LockfileUse | undefined> {
  const { lockfile: path, locked, frozen } = options;
  if (!locked && !frozen) return undefined;
  if (locked && frozen) {
    throw new UsageError("USAGE", "--locked and --frozen exclude each other", {
      hint: "--locked asks whether it is still what is locked; --frozen takes what is locked",
    });
  }
  const modules = await readLockfile(path);
  if (modules !== undefined) return { path, mode: locked ? "locked" : "frozen", modules };
  throw new StorageError("FILE_NOT_FOUND", `there is no lockfile ${path}`, {
    hint: "Make one: wasm-to-oci lock REFERENCE",
    details: { path },
  });
}

/** What a lockfile makes of a pull. A reference that it does not have is refused. @throws {TrustError} LOCK_MISSING */
export async function lockedPull(
  session: Session,
  reference: TaggedReference,
  { path, mode, modules }: LockfileUse,
): Promise<{ readonly trust: Coverage | undefined; readonly lock: PullLock }> {
  const module = requireEntry(modules, reference, path);
  const trust = await lockedCoverage(session, reference, modules, mode === "locked");
  return { trust, lock: { mode, module } };
}

export interface PulledModule {
  readonly report: VerificationReport;
  readonly output: string;
}

/** Pulls every reference of a lockfile. All files appear, or none. */
export async function pullAll(
  context: Context,
  options: SessionOptions,
  use: LockfileUse,
  directory: string,
  more: (session: Session) => Partial<PullOptions>,
): Promise<PulledModule[]> {
  const references = use.modules.map((module) => taggedReference(module.reference));
  requireDistinctPaths(references);
  const tree = new ModuleTree(directory);
  const one = (reference: TaggedReference): Promise<PulledModule> =>
    withSession(context, { ...options, reference }, async (session) => {
      const { output, path } = await tree.open(reference);
      const { runtime, registry, cache, offline } = session;
      const base = { runtime, registry, cache, offline, reference: formatTagged(reference), output };
      const locked = await lockedPull(session, reference, use);
      const report = await pull({ ...base, ...more(session), ...locked, signal: context.signal });
      return { report, output: path };
    });
  try {
    const pulled = await inBatches(references, one);
    await tree.commit();
    return pulled;
  } catch (error) {
    await tree.abort();
    throw error;
  }
}

/** Waits for all of a batch, also where one fails: what is under way must have ended before its output goes. */
async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += CONCURRENCY) {
    for (const settled of await Promise.allSettled(items.slice(at, at + CONCURRENCY).map(work))) {
      if (settled.status === "rejected") throw settled.reason;
      results.push(settled.value);
    }
  }
  return results;
}

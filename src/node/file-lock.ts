/**
 * Locks between processes: a file that exists while somebody works. It names its owner by process id and start
 * time, so that the lock of a process that was killed is recognised and taken over.
 *
 * Taking and releasing is done at once, in some ten system calls of a few microseconds; each on another thread would take
 * ten times as much of the processor, and its turn on a busy machine.
 */
import { randomUUID } from "node:crypto";
import { linkSync, lstatSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errorCode, StorageError } from "../base/errors.ts";
import { storageError } from "./storage-error.ts";

/** How long to wait for another process before giving up; what is locked takes milliseconds. */
const DEFAULT_WAIT_MS = 30_000;
/** Waiting times grow to this, so that many waiters do not keep a disk busy. */
const MAX_PAUSE_MS = 100;
/** A lock without readable content is being written, or was left half-written by a crash this long ago. */
const UNREADABLE_GRACE_MS = 5_000;
/** A lock file has some 150 bytes. */
const MAX_LOCK_BYTES = 4096;

interface Owner {
  readonly host: string;
  readonly pid: number;
  /** When the process started, in the kernel's own count; empty where it cannot be told. */
  readonly start: string;
  readonly token: string;
}

export interface LockOptions {
  /** Milliseconds to wait for another owner, 30 s unless told. */
  readonly waitMs?: number | undefined;
}

/** Locks that this process holds or waits for: callers queue here first, files are for other processes. */
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs an action while no other holder of the same lock runs, in this process or another on this machine. Not
 * re-entrant.
 *
 * @param path the lock file itself; its directory is made if missing
 * @throws {StorageError} LOCKED after waiting in vain
 */
export async function withLock<T>(path: string, action: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  const before = queues.get(path) ?? Promise.resolve();
  const run = before.then(() => lockedAction(path, action, options.waitMs ?? DEFAULT_WAIT_MS));
  const settled = run.catch(() => undefined);
  queues.set(path, settled);
  try {
    return await run;
  } finally {
    if (queues.get(path) === settled) queues.delete(path);
  }
}

async function lockedAction<T>(path: string, action: () => Promise<T>, waitMs: number): Promise<T> {
  const owner: Owner = { host: hostname(), pid: process.pid, start: processStart(process.pid), token: randomUUID() };
  try {
    await acquire(path, owner, waitMs);
  } catch (error) {
    throw storageError(error, "lock", path);
  }
  try {
    return await action();
  } finally {
    release(path, owner);
  }
}

async function acquire(path: string, owner: Owner, waitMs: number): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const deadline = performance.now() + waitMs;
  for (let pause = 1; ; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
    if (tryCreate(path, owner)) return;
    const other = readOwner(path);
    if (other !== "gone" && isAbandoned(other)) {
      removeAbandoned(path, other);
      if (tryCreate(path, owner)) return;
    }
    if (performance.now() >= deadline) throw locked(path, other, waitMs);
    await sleep(pause * (0.5 + Math.random() / 2));
  }
}

/** Creates the lock with its content in one step, so that no reader sees it empty. */
function tryCreate(path: string, owner: Owner): boolean {
  // a name of those that are cleared away some day, if this process is killed before it does so itself
  const unique = owner.token.replaceAll("-", "").slice(0, 16);
  const prepared = join(dirname(path), `.${basename(path)}.${unique}.tmp`);
  try {
    writeFileSync(prepared, JSON.stringify(owner), { flag: "wx", mode: 0o600 });
    linkSync(prepared, path);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "ENOSYS", "EMLINK"].includes(errorCode(error) ?? "")) throw error;
    return createWithoutLinks(path, owner); // FAT and some network file systems have no links
  } finally {
    remove(prepared);
  }
}

function createWithoutLinks(path: string, owner: Owner): boolean {
  try {
    writeFileSync(path, JSON.stringify(owner), { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

type Found = Owner | { readonly unreadableFor: number };

function readOwner(path: string): Found | "gone" {
  try {
    const stats = lstatSync(path);
    const unreadable = { unreadableFor: Date.now() - stats.mtimeMs };
    if (!stats.isFile() || stats.size > MAX_LOCK_BYTES) return unreadable;
    return parseOwner(readFileSync(path, "utf8")) ?? unreadable;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "gone";
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { host, pid, start, token } = JSON.parse(text) as Partial<Record<keyof Owner, unknown>>;
    if (typeof host !== "string" || !Number.isSafeInteger(pid) || (pid as number) < 1) return undefined;
    if (typeof start !== "string" || typeof token !== "string") return undefined;
    return { host, pid: pid as number, start, token };
  } catch {
    return undefined;
  }
}

/** True where the owner cannot be running any more. Owners on other hosts (shared directories) are left alone. */
function isAbandoned(found: Found): boolean {
  if ("unreadableFor" in found) return found.unreadableFor > UNREADABLE_GRACE_MS;
  if (found.host !== hostname()) return false;
  if (!isAlive(found.pid)) return true;
  const start = processStart(found.pid);
  return start !== "" && found.start !== "" && start !== found.start; // the id went to another process
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== "ESRCH"; // EPERM: alive, and somebody else's
  }
}

/** Linux tells since when a process runs; elsewhere the id alone has to do. */
function processStart(pid: number): string {
  if (process.platform !== "linux") return "";
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""; // field 22, counted after the name
  } catch {
    return "";
  }
}

/**
 * Removes an abandoned lock. Only who makes the marker of this very lock may remove it: otherwise the slower of two
 * would remove the new lock of the faster one.
 */
function removeAbandoned(path: string, found: Found): void {
  const marker = `${path}.${"token" in found ? found.token : "unreadable"}.stale`;
  try {
    writeFileSync(marker, "", { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    const age = Date.now() - (lstatSync(marker, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > UNREADABLE_GRACE_MS) remove(marker); // its maker was killed just here
    return;
  }
  try {
    const now = readOwner(path);
    const same = now !== "gone" && ("token" in found ? "token" in now && now.token === found.token : !("token" in now));
    if (same) remove(path);
  } finally {
    remove(marker);
  }
}

function release(path: string, owner: Owner): void {
  if (isOwn(path, owner)) remove(path);
}

function isOwn(path: string, owner: Owner): boolean {
  try {
    const found = readOwner(path);
    return found !== "gone" && "token" in found && found.token === owner.token;
  } catch {
    return false; // what cannot be read is not ours to remove
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

function locked(path: string, found: Found | "gone", waitMs: number): StorageError {
  const owner = typeof found === "object" && "pid" in found ? found : undefined;
  const who = owner === undefined ? "another command" : `process ${owner.pid} on ${owner.host}`;
  return new StorageError("LOCKED", `${path} is held by ${who}; waited ${Math.round(waitMs / 1000)} s for it`, {
    hint: "Wait until the other command is done. If none is running, remove the lock file",
    details: { path, pid: owner?.pid ?? null, host: owner?.host ?? null },
  });
}

/** Small files and directories whose creation and removal survive a crash: whole and on the disk, or absent. */
import type { Stats } from "node:fs";
import { lstat, mkdir, open, opendir, readdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { errorCode } from "../../base/errors.ts";
import { syncDirectory, writeFileAtomic } from "../../node/files.ts";
import type { NamePage } from "./store.ts";

/** Directory entries per system call. */
const READ_AT_ONCE = 1024;
/** Names that are collected before they are sorted and the surplus is dropped. */
const SORT_AT_ONCE = 4096;

/** Makes a directory and its parents, durably. */
export async function ensureDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    if (errorCode(error) !== "ENOENT") throw error;
    await ensureDirectory(dirname(path));
    await ensureDirectory(path);
    return;
  }
  await syncDirectory(dirname(path));
}

/** Replaces a file, making its directory where there is none. */
export async function putFile(path: string, text: string): Promise<void> {
  await ensureDirectory(dirname(path));
  await writeFileAtomic(path, Buffer.from(text));
}

/** Makes an empty file where there is none. */
export async function touchFile(path: string): Promise<void> {
  await ensureDirectory(dirname(path));
  await (await open(path, "a")).close();
  await syncDirectory(dirname(path));
}

/** Removes a file. Returns false where there was none. */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await rm(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return false;
    throw error;
  }
  await syncDirectory(dirname(path));
  return true;
}

/** The names in a directory; none where there is no directory. */
export async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * The first names after a given one in a directory of any size, without holding all of them.
 *
 * @param read gives the name that a file stands for; undefined where it stands for none
 */
export async function pageOfNames<T extends string>(
  dir: string,
  read: (file: string) => T | undefined,
  after: string,
  limit: number,
): Promise<NamePage<T>> {
  let names: T[] = [];
  const keep = (): void => {
    names = names.toSorted(byBytes).slice(0, limit + 1);
  };
  for await (const file of filesIn(dir)) {
    const name = read(file);
    if (name === undefined || name <= after) continue;
    names.push(name);
    if (names.length > 2 * (limit + 1) + SORT_AT_ONCE) keep();
  }
  keep();
  return { names: names.slice(0, limit), more: names.length > limit };
}

/** The names in a directory one by one, in no order; none where there is no directory. */
export async function* filesIn(dir: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(dir, { bufferSize: READ_AT_ONCE })) yield entry.name;
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** Names are ASCII, so that the order of strings is the order of bytes. */
export function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export async function fileExists(path: string): Promise<boolean> {
  return (await statsOf(path))?.isFile() ?? false;
}

export async function directoryExists(path: string): Promise<boolean> {
  return (await statsOf(path))?.isDirectory() ?? false;
}

async function statsOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

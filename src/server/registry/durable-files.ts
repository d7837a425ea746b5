/** Small files and directories whose creation and removal survive a crash: whole and on the disk, or absent. */
import type { Stats } from "node:fs";
import { lstat, mkdir, open, readdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { errorCode } from "../../base/errors.ts";
import { syncDirectory, writeFileAtomic } from "../../node/files.ts";

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

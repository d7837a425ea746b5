/** Tells local modules from references, where a command takes both. */
import { lstat } from "node:fs/promises";

/** What starts with a dot or slash, ends in .wasm, or exists as a file is a file; all else is a reference. */
export async function isModulePath(text: string): Promise<boolean> {
  if (/^[./]|\.wasm$/.test(text)) return true;
  try {
    await lstat(text);
    return true;
  } catch {
    return false; // then it can only be a reference, and if it is none either, that error says so
  }
}

/** A pulled module as a file that appears whole, verified, or not at all. */
import type { ModuleOutput } from "../download.ts";
import { createAtomicOutput, type AtomicOutput } from "./files.ts";
import { removeStaleWritesOf } from "./stale-files.ts";

/** A module is data, not a program of this machine: no execute permission. */
const MODULE_MODE = 0o644;

/**
 * Opens a file for a module. What cannot succeed fails now, before anything is transferred.
 *
 * @throws {StorageError} OUTPUT_REFUSED, STORAGE_DENIED, STORAGE_FULL, FILE_NOT_FOUND
 * @example
 * ```ts
 * await pull({ runtime, registry, reference, output: await fileOutput("app.wasm"), trust });
 * ```
 */
export async function fileOutput(path: string, mode = MODULE_MODE): Promise<ModuleOutput> {
  removeStaleWritesOf(path); // of pulls that were killed
  let output: AtomicOutput = await createAtomicOutput(path, { mode });
  return {
    write: (chunk) => output.write(chunk),
    async restart() {
      await output.abort();
      output = await createAtomicOutput(path, { mode });
    },
    commit: () => output.commit(),
    abort: () => output.abort(),
  };
}

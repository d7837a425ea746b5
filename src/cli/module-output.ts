/** Where `pull` puts a module: a file that appears whole, or stdout once everything is verified. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModuleOutput } from "../download.ts";
import { createAtomicOutput, openModuleFile, type AtomicOutput } from "../node/files.ts";
import type { Output } from "./output.ts";

/** A module is data, not a program of this machine: no execute permission. */
const MODULE_MODE = 0o644;

/** Only we read what waits for verification. */
const SPOOL_MODE = 0o600;

/** Opens a file for a module. What cannot succeed fails now, before anything is transferred. */
export async function fileOutput(path: string, mode = MODULE_MODE): Promise<ModuleOutput> {
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

/** Keeps a module in a private file until it is verified, then copies it to stdout: a pipe cannot be taken back. */
export async function stdoutOutput(out: Output): Promise<ModuleOutput> {
  const directory = await mkdtemp(join(tmpdir(), "wasm-to-oci-"));
  const path = join(directory, "module.wasm");
  const discard = (): Promise<void> => rm(directory, { recursive: true, force: true });
  const spool = await fileOutput(path, SPOOL_MODE);
  return {
    write: (chunk) => spool.write(chunk),
    restart: () => spool.restart(),
    async commit() {
      try {
        await spool.commit();
        const body = await openModuleFile(path);
        for await (const chunk of body.open()) await out.raw(chunk);
      } finally {
        await discard();
      }
    },
    async abort() {
      await spool.abort();
      await discard();
    },
  };
}

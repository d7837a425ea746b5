/** Where `pull` puts a module: a file that appears whole, or stdout once everything is verified. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModuleOutput } from "../download.ts";
import { fileOutput } from "../node/file-output.ts";
import { openModuleFile } from "../node/files.ts";
import type { Output } from "./output.ts";

/** Only we read what waits for verification. */
const SPOOL_MODE = 0o600;

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

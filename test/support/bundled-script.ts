/** Runs TypeScript in a process of its own: to kill it, to take its rights away, to give it a tiny disk. */
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { onTestFinished } from "vitest";

/** Bundles a module of the project for the length of a test, so that Node 20 runs it too. Gives the bundle's path. */
export async function bundle(source: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "wasm-to-oci-script-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const outfile = join(folder, "script.mjs");
  await build({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: "ts" },
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    logLevel: "warning",
  });
  return outfile;
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits for a process and collects what it says. */
export async function finished(child: ChildProcess): Promise<Finished> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}

export function start(command: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "pipe"], ...options });
}

/** Runs as a user without rights where the tests run as root, for whom no file is read-only. */
export function withoutRights(): SpawnOptions {
  return process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
}

/** Runs {@link ./registry-program.ts} in processes that tests may kill. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

export interface RegistryProcess {
  readonly url: string;
  /** Largest resident memory so far, in bytes. */
  peakMemory(): number;
  /** Ends it as a crash does, and waits for its end. */
  kill(): Promise<void>;
  /** Asks it to end; returns its exit status. */
  stop(): Promise<number | null>;
}

export interface RegistryProgram {
  start(dir: string): Promise<RegistryProcess>;
  remove(): void;
}

/** It looks for its native part beside itself, so it stays out of the bundle. */
const sqliteWhereItIs: Plugin = {
  name: "sqlite",
  setup(bundle) {
    const path = fileURLToPath(import.meta.resolve("@photostructure/sqlite"));
    bundle.onResolve({ filter: /^@photostructure\/sqlite$/ }, () => ({ path, external: true }));
  },
};

export async function buildRegistryProgram(): Promise<RegistryProgram> {
  const folder = mkdtempSync(join(tmpdir(), "registry-program-"));
  const program = join(folder, "program.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("./registry-program.ts", import.meta.url))],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    plugins: [sqliteWhereItIs],
    banner: { js: 'import{createRequire as __c}from"node:module";const require=__c(import.meta.url);' },
    logLevel: "error",
  });
  return {
    start: (dir) => startProcess(program, dir),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function startProcess(program: string, dir: string): Promise<RegistryProcess> {
  const child = spawn(process.execPath, [program, dir], { stdio: ["ignore", "pipe", "pipe"], env: {} });
  const ended = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const url = await new Promise<string>((resolve, reject) => {
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      if (out.includes("\n")) resolve(out.trim());
    });
    void ended.then((status) => reject(new Error(`the registry ended with ${status}: ${log}`)));
  });
  return {
    url,
    peakMemory: () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1]) * 1024,
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

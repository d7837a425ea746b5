/** The embedded servers, started as a user starts them, for tests of the command line. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLI, runCli, type CliResult } from "./cli.ts";

export interface Served {
  /** Home of the publisher on the servers' machine. */
  readonly home: string;
  /** `localhost:<port>`, as in references. */
  readonly registry: string;
  /** URL of the trust server. */
  readonly server: string;
  /** File with the certificate of the servers' authority. */
  readonly caFile: string;
  readonly child: ChildProcess;
  /** What the servers have logged so far. */
  log(): string;
  /** Runs a command in a directory of its own below the home. */
  run(words: readonly string[], env?: Readonly<Record<string, string>>): Promise<CliResult>;
  stop(): Promise<void>;
}

export const PASSPHRASE = "canary-passphrase-4711";

/** Starts `serve` on free ports and waits until it says that it serves. @param options more of its options */
export async function startServed(options: readonly string[] = []): Promise<Served> {
  const home = await mkdtemp(join(tmpdir(), "wasm-to-oci-cli-"));
  const child = spawn(
    process.execPath,
    [CLI, "serve", "--registry-port", "0", "--trust-port", "0", "--format", "json", ...options],
    { env: { PATH: process.env["PATH"] ?? "", HOME: home }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const { registry, trust, dataDir } = await announcement(child, () => log);
  const closed = once(child, "close");
  return {
    home,
    child,
    registry: `localhost:${new URL(registry).port}`,
    server: `https://localhost:${new URL(trust).port}`,
    caFile: join(dataDir, "ca", "ca.pem"),
    log: () => log,
    run: (words, env = {}) =>
      runCli(words, { cwd: home, env: { HOME: home, WASM_TO_OCI_PASSPHRASE: PASSPHRASE, ...env } }),
    async stop() {
      child.kill("SIGTERM");
      await closed;
      await rm(home, { recursive: true, force: true });
    },
  };
}

interface Announcement {
  readonly registry: string;
  readonly trust: string;
  readonly dataDir: string;
}

/** Reads stdout until it is the one JSON document that says where the servers are. */
async function announcement(child: ChildProcess, log: () => string): Promise<Announcement> {
  let text = "";
  for await (const chunk of child.stdout!.setEncoding("utf8")) {
    text += String(chunk);
    if (text.trimEnd().endsWith("}")) return JSON.parse(text) as Announcement;
  }
  throw new Error(`serve ended before it served: ${log()}`);
}

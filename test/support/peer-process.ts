/** Runs foreign programs for tests: servers until they are stopped by their handle, commands until they end. */
import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { connect, createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const START_LIMIT_MS = 30_000; // a loaded two-core machine takes some seconds for the signer and server
const STOP_LIMIT_MS = 5_000;
const POLL_MS = 25;
const PORT_TRIES = 5; // a probed port can be taken by another test before the program binds it
const LOG_LIMIT = 256 * 1024; // the last part is what explains a failure

/** Where a program is, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/local/bin", "/usr/sbin"];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Asks the system for a port that is free at this moment. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(address)));
    });
  });
}

export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, in the order in which they arrived. */
  readonly output: string;
}

/** Runs a command to its end, which comes within `timeoutMs` or by SIGKILL. Never throws for its exit status. */
export function runCommand(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string | Uint8Array; timeoutMs?: number } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? {},
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      output += text;
    });
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, stdout, stderr, output }));
    child.stdin.on("error", () => {}); // a program that reads no input closes it early
    child.stdin.end(options.input ?? "");
  });
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface PeerServer {
  readonly port: number;
  /** What the program printed so far (its last 256 KiB). */
  log(): string;
  stop(): Promise<void>;
}

/**
 * Starts a server on a free port and waits until it accepts connections.
 *
 * @param args makes the command line for a port; writes configuration files where the program wants them
 * @throws with the program's log where it does not come up
 */
export async function startServer(
  program: string,
  args: (port: number) => readonly string[] | Promise<readonly string[]>,
  env: NodeJS.ProcessEnv = {},
): Promise<PeerServer> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const child = spawn(program, await args(port), { env, stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    let log = "";
    const keep = (text: string) => {
      log = (log + text).slice(-LOG_LIMIT);
    };
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    const ended = new Promise<void>((resolve) => {
      child.once("error", (error) => {
        keep(String(error));
        resolve();
      });
      child.once("exit", () => {
        running.delete(child);
        resolve();
      });
    });
    if (await accepts(port, child)) {
      return { port, log: () => log, stop: () => stop(child, ended) };
    }
    await stop(child, ended);
    if (!/address already in use/i.test(log) || attempt === PORT_TRIES) {
      throw new Error(`${program} did not start on port ${port}:\n${log}`);
    }
  }
}

async function accepts(port: number, child: ChildProcess): Promise<boolean> {
  const end = Date.now() + START_LIMIT_MS;
  while (Date.now() < end && child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    if (await canConnect(port)) return child.exitCode === null;
    await pause(POLL_MS);
  }
  return false;
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    await ended;
    clearTimeout(timer);
  }
  running.delete(child);
}

#!/usr/bin/env node
/** The entry: signals, defects and the exit status; everything else is in program.ts. */
import { InterruptedError } from "../base/errors.ts";
import { EXIT_STATUS, exitStatusOf } from "./exit-status.ts";
import { Output } from "./output.ts";
import { run } from "./program.ts";
import { terminalPrompt } from "./prompt.ts";

/** How long work that was interrupted may take to clean up; a second signal ends it at once. */
const CLEANUP_MS = 15_000;

const { stdout, stderr, env, argv } = process;
const out = new Output({ stdout, stderr, env });
const abort = new AbortController();

function interrupt(): void {
  if (abort.signal.aborted) process.exit(EXIT_STATUS.interrupted);
  abort.abort(new InterruptedError());
  setTimeout(() => process.exit(EXIT_STATUS.interrupted), CLEANUP_MS).unref();
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);

/** Whatever escapes every catch must not look like success, nor be half of one. */
function defect(error: unknown): never {
  out.error(error);
  process.exit(exitStatusOf(error));
}
process.on("uncaughtException", defect);
process.on("unhandledRejection", defect);

const prompt = terminalPrompt(() => out.status(""));
process.exitCode = EXIT_STATUS.failure; // a run that ends without a verdict (an empty event loop) has failed
process.exitCode = await run(argv.slice(2), { env, out, prompt, signal: abort.signal, now: () => new Date() });

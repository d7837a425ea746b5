/**
 * The rules of output:
 * - stdout carries data and nothing else; what cannot be written there is a failure
 * - everything else goes to stderr, one thought per line, no capital at the start of errors, no full stop
 * - text that came from outside is escaped here, at the one place that it must pass
 * - colour only on a terminal, only for the words `error:`, `hint:` and `warning:`, and never needed
 */
import type { Writable } from "node:stream";
import { errorCode, errorMessage, StorageError, WasmToOciError } from "../base/errors.ts";
import { escapeJsonText, escapeTerminal } from "../base/terminal-text.ts";
import { ERROR_GUIDE } from "./error-guide.ts";
import { EXIT_STATUS, exitStatusOf } from "./exit-status.ts";

export const OUTPUT_FORMATS = ["text", "json"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** The levels of the 2019 tool; `fatal` is silent but for the error that ends the run. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A stream that may be a terminal. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** One text, or several below each other. */
type Cell = string | readonly string[];

export interface OutputOptions {
  stdout: OutputStream;
  stderr: OutputStream;
  env: Readonly<Record<string, string | undefined>>;
}

const RED = "31";
const YELLOW = "33";
const CYAN = "36";

/** How deep a chain of causes is shown at `--log debug`. */
const MAX_CAUSES = 8;

export class Output {
  format: OutputFormat = "text";
  level: LogLevel = "info";
  /** True where a person watches: progress and prompts make sense. */
  readonly terminal: boolean;
  private readonly stdout: OutputStream;
  private readonly stderr: OutputStream;
  private readonly colour: boolean;
  private statusShown = false;

  constructor({ stdout, stderr, env }: OutputOptions) {
    this.stdout = stdout;
    this.stderr = stderr;
    this.terminal = stderr.isTTY === true && env["TERM"] !== "dumb";
    this.colour = this.terminal && (env["NO_COLOR"] ?? "") === "";
    // A failed write is reported by its own callback; without a listener Node would end the process with a stack.
    stdout.on("error", () => undefined);
    stderr.on("error", () => undefined);
  }

  /** Writes bytes or text to stdout as they are. @throws {StorageError} OUTPUT_REFUSED, STORAGE_FULL, STORAGE_FAILED */
  async raw(data: Uint8Array | string): Promise<void> {
    this.clearStatus();
    await new Promise<void>((resolve, reject) => {
      this.stdout.write(data, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(writeFailure(error));
      });
    });
  }

  /** Writes lines of text to stdout, escaped. */
  async lines(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) await this.raw(lines.map((line) => `${escapeTerminal(line)}\n`).join(""));
  }

  /**
   * Writes a table to stdout; columns are as wide as their widest cell. A cell of several texts has a line for each, so
   * that lists do not make a table wider than a terminal.
   */
  async table(header: readonly string[], rows: readonly (readonly Cell[])[]): Promise<void> {
    const cells = [header, ...rows].map((row) => row.map((cell) => [cell].flat().map(escapeTerminal)));
    const widths = header.map((_, column) => longest(cells.flatMap((row) => row[column] ?? [])));
    const lines = cells.flatMap((row) =>
      Array.from({ length: longest(row) }, (_, line) =>
        row.map((cell, column) => (cell[line] ?? "").padEnd(widths[column]!)).join("  "),
      ),
    );
    await this.raw(lines.map((line) => `${line.trimEnd()}\n`).join(""));
  }

  /** Writes a JSON document to stdout. Dates become ISO 8601 in UTC. */
  async json(document: unknown): Promise<void> {
    await this.raw(`${safeJson(document, 2)}\n`);
  }

  /** Says what was done. Silent with `--format json`, where the document says it. */
  info(line: string): void {
    if (this.format === "text" && this.shows("info")) this.say(escapeTerminal(line));
  }

  /** Says what a person should know although all went well. */
  warn(line: string): void {
    if (this.shows("warn")) this.warnAlways(line);
  }

  /** The same, whatever `--log` says. */
  warnAlways(line: string): void {
    this.say(`${this.paint("warning:", YELLOW)} ${escapeTerminal(line)}`);
  }

  debug(line: string): void {
    if (this.shows("debug")) this.say(`debug: ${escapeTerminal(line)}`);
  }

  /** Explains what ended the run. Never silent. */
  error(error: unknown): void {
    if (this.format === "json") {
      this.say(safeJson({ error: describeError(error) }));
      return;
    }
    const known = error instanceof WasmToOciError;
    const message = known ? error.message : `unexpected failure: ${errorMessage(error)}`;
    this.say(`${this.paint("error:", RED)} ${escapeTerminal(message)}`);
    this.say(`${this.paint("hint:", CYAN)} ${escapeTerminal(hintOf(error))}`);
    for (const line of causes(error)) this.debug(line);
  }

  /** Shows one passing line on the terminal, replacing the one before; an empty one removes it. */
  status(line: string): void {
    if (!this.terminal || !this.shows("info")) return;
    this.clearStatus();
    if (line === "") return;
    this.statusShown = true;
    const width = Math.max(20, (this.stderr.columns ?? 80) - 1);
    this.stderr.write(escapeTerminal(line).slice(0, width));
  }

  shows(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.level);
  }

  private say(line: string): void {
    this.clearStatus();
    this.stderr.write(`${line}\n`);
  }

  private clearStatus(): void {
    if (this.statusShown) this.stderr.write("\r\u001b[2K");
    this.statusShown = false;
  }

  private paint(word: string, colour: string): string {
    return this.colour ? `\u001b[1;${colour}m${word}\u001b[0m` : word;
  }
}

/** JSON in which nothing acts on a terminal. */
export function safeJson(document: unknown, indent?: number): string {
  return escapeJsonText(JSON.stringify(document, null, indent));
}

/** An error for programs: the shape of `--format json` on stderr. */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof WasmToOciError)) {
    const message = errorMessage(error);
    return { code: "INTERNAL", kind: "failure", exitStatus: EXIT_STATUS.failure, message, hint: hintOf(error) };
  }
  const { code, kind, message, details } = error;
  return { code, kind, exitStatus: exitStatusOf(error), message, hint: hintOf(error), details };
}

/** What to do next: in the words of whoever threw, else of the error's code. */
function hintOf(error: unknown): string {
  const known: WasmToOciError | undefined = error instanceof WasmToOciError ? error : undefined;
  return known?.hint ?? ERROR_GUIDE[known?.code ?? "INTERNAL"].remedy;
}

function causes(error: unknown): string[] {
  const lines: string[] = [];
  if (!(error instanceof WasmToOciError) && error instanceof Error) lines.push(error.stack ?? error.message);
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && cause !== null && depth < MAX_CAUSES; depth++) {
    const code = errorCode(cause);
    lines.push(`caused by: ${code === undefined ? "" : `${code}: `}${errorMessage(cause)}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return lines;
}

function writeFailure(error: Error): StorageError {
  const code = errorCode(error);
  if (code === "EPIPE") {
    return new StorageError("OUTPUT_REFUSED", "stdout was closed before everything was written to it", {
      cause: error,
    });
  }
  return new StorageError(
    code === "ENOSPC" ? "STORAGE_FULL" : "STORAGE_FAILED",
    `cannot write to stdout: ${code ?? error.message}`,
    { cause: error, hint: "Check the disk or program that stdout goes to" },
  );
}

function longest(list: readonly { readonly length: number }[]): number {
  return list.reduce((most, { length }) => Math.max(most, length), 0);
}

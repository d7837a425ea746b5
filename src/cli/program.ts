/** The program: parses, runs, and turns whatever happens into output and an exit status. Nothing below ends the process. */
import { InterruptedError, UsageError } from "../base/errors.ts";
import type { Context } from "./command.ts";
import { EXIT_STATUS, exitStatusOf } from "./exit-status.ts";
import { PROGRAM, rootHelp } from "./help.ts";
import { programVersion } from "./version.ts";

/**
 * Runs a command line.
 *
 * @param words the command line without the program's name
 * @returns the exit status; never rejects
 */
export async function run(words: readonly string[], context: Context): Promise<number> {
  const { out, signal } = context;
  if (announcesJson(words)) out.format = "json"; // so that a mistake in the command line is reported as asked
  try {
    await dispatch(words, context);
    return EXIT_STATUS.ok;
  } catch (error) {
    const reason = signal.aborted ? interruption(error) : error;
    out.error(reason);
    return exitStatusOf(reason);
  }
}

/** Help and version need no parser, which would take a third of their time. */
async function dispatch(words: readonly string[], context: Context): Promise<void> {
  const [first, second] = words;
  if (first === undefined) {
    throw new UsageError("USAGE", "no command was given", { hint: `Run \`${PROGRAM} --help\`` });
  }
  if (second === undefined && ["--help", "-h", "help"].includes(first)) return context.out.raw(rootHelp());
  if (second === undefined && ["--version", "-V"].includes(first)) return context.out.raw(`${programVersion()}\n`);
  const { arrangeWords } = await import("./words.ts");
  const { Program } = await import("./parser.ts");
  return new Program(context).parse(arrangeWords(words));
}

/** After Ctrl-C every failure is its consequence. */
function interruption(error: unknown): InterruptedError {
  return error instanceof InterruptedError ? error : new InterruptedError("interrupted", { cause: error });
}

function announcesJson(words: readonly string[]): boolean {
  return words.some((word, i) => word === "--format=json" || (word === "json" && words[i - 1] === "--format"));
}

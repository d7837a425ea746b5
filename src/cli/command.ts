/** What a command is: arguments, options and examples as data, and one function that does the work. */
import type { Clock } from "../base/runtime.ts";
import type { ArgumentSpecs, ArgumentValues, OptionSpecs, OptionValues } from "./options.ts";
import type { LogLevel, Output, OutputFormat } from "./output.ts";
import type { Prompt } from "./prompt.ts";

/** What a command is run with besides its words. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: Output;
  readonly prompt: Prompt;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly now: Clock;
}

/** How the output options were set; every command has them in some form. */
export interface OutputChoice {
  readonly format: OutputFormat;
  readonly level: LogLevel;
}

export interface CommandSpec<A extends ArgumentSpecs, O extends OptionSpecs> {
  readonly arguments: A;
  readonly options: O;
  /** Paragraphs for `--help`: what a user must know that the options do not say. */
  readonly about?: readonly string[];
  /** Command lines that work as they stand, each with what it does. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** What `--format json` prints, as the heading of docs/reference/json-output.md that describes it. */
  readonly json: string | undefined;
  /** Where `--format` and `--log` are not the usual ones. */
  readonly output?: (options: OptionValues<O>) => OutputChoice;
  readonly run: (context: Context, args: ArgumentValues<A>, options: OptionValues<O>) => Promise<void>;
}

/** Values whose types were checked where the command was defined. */
type Values = Readonly<Record<string, unknown>>;

/** A command whose types have been checked and are now of no interest: what the table holds. */
export interface Command extends Omit<CommandSpec<ArgumentSpecs, OptionSpecs>, "output" | "run"> {
  readonly output?: (options: Values) => OutputChoice;
  readonly run: (context: Context, args: Values, options: Values) => Promise<void>;
}

/** Checks a command's types against each other. */
export function defineCommand<A extends ArgumentSpecs, O extends OptionSpecs>(spec: CommandSpec<A, O>): Command {
  return spec as unknown as Command;
}

/** Options and arguments as data: one declaration serves the parser, the help, the completion and the reference page. */
import { UsageError } from "../base/errors.ts";

export interface OptionSpec<T> {
  /** All spellings, e.g. `["-o", "--out", "--output"]`. */
  readonly flags: readonly string[];
  /** The value's name in help, e.g. `FILE`; undefined for a switch. */
  readonly placeholder: string | undefined;
  readonly description: string;
  /** What it is where it is not given. */
  readonly initial: T;
  /** `initial` in words, for help; undefined where nothing needs saying. */
  readonly initialText: string | undefined;
  /** Reads one occurrence; `previous` is the value so far. Switches get an empty text. */
  parse(text: string, previous: T): T;
  /** The only values that make sense, for help and completion. */
  readonly choices: readonly string[] | undefined;
  /** The environment variable that stands in for it; an empty one counts as unset. */
  readonly env: string | undefined;
}

/** An option whose type is of no interest. */
export type AnyOption = OptionSpec<unknown>;

export type OptionSpecs = Readonly<Record<string, AnyOption>>;

/** The values that a command receives for its options. */
export type OptionValues<O> = { readonly [K in keyof O]: O[K] extends OptionSpec<infer T> ? T : never };

interface Extras {
  env?: string;
  initialText?: string;
}

/** Splits `-o, --out, --output FILE` into spellings and placeholder. */
function declared(declaration: string): { flags: string[]; placeholder: string | undefined } {
  const flags: string[] = [];
  let placeholder: string | undefined;
  for (const word of declaration.split(/,?\s+/)) {
    if (word.startsWith("-")) flags.push(word);
    else placeholder = word;
  }
  return { flags, placeholder };
}

/** A switch: absent means false. A `--no-…` switch works the same way under its own name. */
export function flag(declaration: string, description: string): OptionSpec<boolean> {
  return {
    ...declared(declaration),
    description,
    initial: false,
    initialText: undefined,
    parse: () => true,
    choices: undefined,
    env: undefined,
  };
}

/** An option whose value is parsed; undefined where it is absent and `initial` is not given. */
export function value<T>(
  declaration: string,
  description: string,
  parse: (text: string) => T,
  extras: Extras & { initial: T },
): OptionSpec<T>;
export function value<T>(
  declaration: string,
  description: string,
  parse: (text: string) => T,
  extras?: Extras,
): OptionSpec<T | undefined>;
export function value<T>(
  declaration: string,
  description: string,
  parse: (text: string) => T,
  extras: Extras & { initial?: T } = {},
): OptionSpec<T | undefined> {
  return {
    ...declared(declaration),
    description,
    initial: extras.initial,
    initialText: extras.initialText ?? (extras.initial === undefined ? undefined : String(extras.initial)),
    parse,
    choices: undefined,
    env: extras.env,
  };
}

/** An option with a fixed set of values. */
export function choice<const C extends readonly string[]>(
  declaration: string,
  description: string,
  choices: C,
  extras: Extras & { initial: C[number] },
): OptionSpec<C[number]>;
export function choice<const C extends readonly string[]>(
  declaration: string,
  description: string,
  choices: C,
  extras?: Extras,
): OptionSpec<C[number] | undefined>;
export function choice<const C extends readonly string[]>(
  declaration: string,
  description: string,
  choices: C,
  extras: Extras & { initial?: C[number] } = {},
): OptionSpec<C[number] | undefined> {
  return { ...value<C[number]>(declaration, description, oneOf(choices), extras), choices };
}

/** An option that may be repeated, each time adding a value. */
export function list<T>(
  declaration: string,
  description: string,
  parse: (text: string) => T,
  extras: Extras = {},
): OptionSpec<readonly T[]> {
  return {
    ...declared(declaration),
    description: `${description} (repeatable)`,
    initial: [],
    initialText: extras.initialText,
    parse: (text, previous) => [...previous, parse(text)],
    choices: undefined,
    env: extras.env,
  };
}

/** Reads a value that must not be empty. @throws {UsageError} USAGE */
export function nonEmpty(input: string): string {
  if (input === "") throw new UsageError("USAGE", "the value is empty");
  return input;
}

/** Makes the reader of one of a few words. */
export function oneOf<const C extends readonly string[]>(choices: C): (input: string) => C[number] {
  return (input) => {
    if (choices.includes(input)) return input;
    throw new UsageError("USAGE", `${JSON.stringify(input)} is none of ${choices.join(", ")}`);
  };
}

/** Makes the reader of a whole number within bounds. */
export function integer(min: number, max: number): (input: string) => number {
  return (input) => {
    const number = Number(input);
    if (/^\d{1,15}$/.test(input) && number >= min && number <= max) return number;
    throw new UsageError("USAGE", `${JSON.stringify(input)} is not a whole number from ${min} to ${max}`);
  };
}

export interface ArgumentSpec<T> {
  /** Its name in help, e.g. `REFERENCE`. */
  readonly name: string;
  readonly description: string;
  readonly arity: "one" | "optional" | "many" | "some";
  /** Carries the type of the value; never read. */
  readonly initial: T;
}

export type ArgumentSpecs = Readonly<Record<string, ArgumentSpec<unknown>>>;

/** The values that a command receives for its arguments. */
export type ArgumentValues<A> = { readonly [K in keyof A]: A[K] extends ArgumentSpec<infer T> ? T : never };

/** A required argument. */
export function argument(name: string, description: string): ArgumentSpec<string> {
  return { name, description, arity: "one", initial: "" };
}

/** An argument that may be left out. Only the last one can be. */
export function optional(name: string, description: string): ArgumentSpec<string | undefined> {
  return { name, description, arity: "optional", initial: undefined };
}

/** One or more arguments (`many`), or any number of them (`some`). Only the last one can be. */
export function variadic(
  name: string,
  description: string,
  arity: "many" | "some" = "many",
): ArgumentSpec<readonly string[]> {
  return { name, description, arity, initial: [] };
}

/** How an argument is written in a usage line. */
export function argumentUsage(spec: ArgumentSpec<unknown>): string {
  const forms = { one: spec.name, optional: `[${spec.name}]`, many: `${spec.name}...`, some: `[${spec.name}...]` };
  return forms[spec.arity];
}

/** Help as text of at most 80 columns, from the same table as everything else. */
import type { ErrorKind } from "../base/errors.ts";
import type { Command } from "./command.ts";
import { EXIT_MEANING, EXIT_STATUS } from "./exit-status.ts";
import { argumentUsage, flag, type AnyOption } from "./options.ts";
import { FAMILIES, TABLE, type Entry } from "./table.ts";
import { wrap } from "./wrap.ts";

/** Where descriptions of options start; longer options put theirs on the next line. */
const DESCRIPTION_COLUMN = 28;

export const PROGRAM = "wasm-to-oci";

const HELP_OPTION = flag("-h, --help", "show this text");
const VERSION_OPTION = flag("-V, --version", "show the version");

/** `wasm-to-oci --help`. */
export function rootHelp(): string {
  const nameWidth = Math.max(...TABLE.flatMap((group) => group.entries.map((entry) => entry.name.length)));
  return [
    "Push and pull WebAssembly modules through OCI registries, signed and verified",
    "with The Update Framework",
    "",
    `Usage: ${PROGRAM} COMMAND [options]`,
    ...TABLE.flatMap((group) => ["", `${group.title}:`, ...entryLines(group.entries, nameWidth)]),
    "",
    "Options:",
    ...optionLines([HELP_OPTION, VERSION_OPTION]),
    "",
    "Exit statuses:",
    ...exitStatusLines(),
    "",
    `Run \`${PROGRAM} COMMAND --help\` for the options and examples of a command`,
    "",
  ].join("\n");
}

/** `wasm-to-oci trust --help`. */
export function familyHelp(family: string): string {
  const entries = TABLE.flatMap((group) => group.entries).filter((entry) => entry.name.startsWith(`${family} `));
  const nameWidth = Math.max(...entries.map((entry) => entry.name.length));
  return [
    FAMILIES[family] ?? family,
    "",
    `Usage: ${PROGRAM} ${family} COMMAND [options]`,
    "",
    "Commands:",
    ...entryLines(entries, nameWidth),
    "",
  ].join("\n");
}

/** `wasm-to-oci push --help`. */
export function commandHelp(entry: Entry, command: Command): string {
  const args = Object.values(command.arguments);
  return [
    entry.summary,
    "",
    ...wrap(`Usage: ${usageLine(entry, command)}`, 0),
    ...(command.about ?? []).flatMap((paragraph) => wrap(`\n${paragraph}`, 0)),
    ...(args.length === 0 ? [] : ["", "Arguments:", ...args.flatMap((arg) => row(arg.name, arg.description))]),
    "",
    "Options:",
    ...optionLines([...Object.values(command.options), HELP_OPTION]),
    "",
    "Examples:",
    ...command.examples.flatMap(([line, meaning]) => [...wrap(`# ${meaning}`, 2), `  $ ${line}`]),
    "",
  ].join("\n");
}

export function usageLine(entry: Entry, command: Command): string {
  const args = Object.values(command.arguments).map(argumentUsage);
  return [PROGRAM, entry.name, ...args, "[options]"].join(" ");
}

/** How an option is written, e.g. `-o, --out, --output FILE`. */
export function optionTerm(spec: AnyOption): string {
  return `${spec.flags.join(", ")}${spec.placeholder === undefined ? "" : ` ${spec.placeholder}`}`;
}

/** What an option does, with its values, default and variable. */
export function optionText(spec: AnyOption): string {
  const choices = spec.choices === undefined ? "" : `: ${spec.choices.join(", ")}`;
  const initial = spec.initialText === undefined ? "" : ` (default: ${spec.initialText})`;
  const env = spec.env === undefined ? "" : ` [env: ${spec.env}]`;
  return `${spec.description}${choices}${initial}${env}`;
}

function optionLines(specs: readonly AnyOption[]): string[] {
  return specs.flatMap((spec) => {
    const indent = spec.flags[0]?.startsWith("--") ? "    " : "";
    return row(`${indent}${optionTerm(spec)}`, optionText(spec));
  });
}

function entryLines(entries: readonly Entry[], nameWidth: number): string[] {
  return entries.map((entry) => `  ${entry.name.padEnd(nameWidth)}  ${entry.summary}`);
}

function exitStatusLines(): string[] {
  return (Object.keys(EXIT_STATUS) as ("ok" | ErrorKind)[]).map(
    (kind) => `  ${String(EXIT_STATUS[kind]).padStart(3)}  ${kind.padEnd(11)}  ${EXIT_MEANING[kind]}`,
  );
}

/** A term and its description beside or below it. */
function row(term: string, description: string): string[] {
  const lines = wrap(description, DESCRIPTION_COLUMN);
  if (term.length + 4 > DESCRIPTION_COLUMN) return [`  ${term}`, ...lines];
  const [first = "", ...rest] = lines;
  return [`  ${term}`.padEnd(DESCRIPTION_COLUMN) + first.trimStart(), ...rest];
}

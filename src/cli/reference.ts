/** The reference page of the command line, from the same table as help and completion. */
import type { ErrorKind } from "../base/errors.ts";
import type { Command } from "./command.ts";
import { EXIT_MEANING, EXIT_STATUS } from "./exit-status.ts";
import { optionTerm, optionText, PROGRAM, usageLine } from "./help.ts";
import { TABLE, type Entry } from "./table.ts";

export { errorsPage } from "./error-reference.ts";

/** Variables that stand for no option. */
const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  [
    "`WASM_TO_OCI_ROOT_PASSPHRASE`, `…_TARGETS_…`, `…_SNAPSHOT_…`, `…_DELEGATION_…`",
    "passphrases by role; also as `SIGNY_ROOT_PASSPHRASE`, `NOTARY_ROOT_PASSPHRASE` and so on",
  ],
  [
    "`DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE`, `DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE`",
    "the same, as Docker has them",
  ],
  ["`WASM_TO_OCI_PASSPHRASE`", "passphrase of every key whose role has no variable of its own"],
  ["`WASM_TO_OCI_NEW_PASSPHRASE`", "the new passphrase of `key passwd`"],
  ["`DOCKER_CONFIG`, `REGISTRY_AUTH_FILE`", "where credentials are kept"],
  ["`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`", "proxies, in capitals or lower case"],
  ["`NO_COLOR`", "no colours, if not empty"],
];

/** Writes docs/reference/cli.md. */
export async function referencePage(): Promise<string> {
  const commands = await Promise.all(
    TABLE.flatMap((group) => group.entries.map(async (entry) => commandSection(entry, await entry.load()))),
  );
  return `${[
    "# Command line",
    "<!-- Made by scripts/generate-cli-reference.mjs from src/cli/table.ts: change that one. -->",
    `stdout carries data, stderr everything else. Options may stand before or after arguments; \`--\` ends them. \`${PROGRAM} COMMAND --help\` shows what is written here.`,
    "## Exit statuses",
    table(
      ["Status", "Kind", "Meaning"],
      (Object.keys(EXIT_STATUS) as ("ok" | ErrorKind)[]).map((kind) => [
        String(EXIT_STATUS[kind]),
        `\`${kind}\``,
        EXIT_MEANING[kind],
      ]),
    ),
    "With `--format json` the error is one line of JSON on stderr: see [json-output.md](json-output.md#errors).",
    "## Environment",
    "Variables that stand for one option are named with it. An empty one counts as unset.",
    table(["Variable", "Meaning"], VARIABLES),
    "## Commands",
    table(
      ["Command", ""],
      TABLE.flatMap((group) => group.entries.map(({ name, summary }) => [`[${name}](#${anchor(name)})`, summary])),
    ),
    ...commands.flat(),
  ].join("\n\n")}\n`;
}

function commandSection(entry: Entry, command: Command): string[] {
  const args = Object.values(command.arguments);
  const options = Object.values(command.options);
  return [
    `### ${entry.name}`,
    entry.summary,
    fenced("", [usageLine(entry, command)]),
    ...(command.about ?? []),
    ...(args.length === 0
      ? []
      : [
          table(
            ["Argument", ""],
            args.map(({ name, description }) => [`\`${name}\``, description]),
          ),
        ]),
    ...(options.length === 0
      ? []
      : [
          table(
            ["Option", ""],
            options.map((spec) => [`\`${optionTerm(spec)}\``, optionText(spec)]),
          ),
        ]),
    fenced(
      "console",
      command.examples.flatMap(([line, meaning]) => [`# ${meaning}`, `$ ${line}`]),
    ),
    ...(command.json === undefined
      ? []
      : [`With \`--format json\`: [${command.json}](json-output.md#${anchor(command.json)})`]),
  ];
}

function anchor(heading: string): string {
  return heading.replaceAll(" ", "-");
}

function fenced(language: string, lines: readonly string[]): string {
  return ["```" + language, ...lines, "```"].join("\n");
}

/** A table in the layout of the formatter, so that the page is in sync with itself. */
function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = header.map((_, i) => Math.max(3, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [first = [], ...rest] = cells;
  return [line(first), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest.map(line)].join("\n");
}

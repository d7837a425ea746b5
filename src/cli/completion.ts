/** Completion scripts for shells, made from the command table. */
import type { Command } from "./command.ts";
import { PROGRAM } from "./help.ts";
import type { AnyOption, ArgumentSpec } from "./options.ts";
import { allEntries, FAMILIES, type Entry } from "./table.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Loaded {
  readonly entry: Entry;
  readonly command: Command;
}

/** Writes the script for a shell. Loads every command, so it is for this and the reference page only. */
export async function completionScript(shell: Shell): Promise<string> {
  const loaded = await Promise.all(allEntries().map(async (entry) => ({ entry, command: await entry.load() })));
  const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
  return scripts[shell](loaded);
}

/** First words: commands and families. */
function firstWords(): [word: string, summary: string][] {
  const commands = allEntries().filter((entry) => !entry.name.includes(" "));
  return [
    ...commands.map((entry): [string, string] => [entry.name, entry.summary]),
    ...Object.entries(FAMILIES),
    ["help", "Show help about a command"],
  ];
}

/** Second words of a family. */
function secondWords(family: string): [word: string, summary: string][] {
  return allEntries()
    .filter((entry) => entry.name.startsWith(`${family} `))
    .map((entry) => [entry.name.slice(family.length + 1), entry.summary]);
}

/** What a value is, from its placeholder; undefined where nothing can be offered. */
function fileKind(placeholder: string | undefined): "file" | "directory" | undefined {
  if (placeholder === undefined) return undefined;
  if (/^(FILE|MODULE|PEM)/.test(placeholder)) return "file";
  return placeholder === "DIR" ? "directory" : undefined;
}

function takesFiles(args: readonly ArgumentSpec<unknown>[]): boolean {
  return args.some((arg) => fileKind(arg.name) === "file");
}

const BASH_FILES = `compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))`;
const BASH_DIRECTORIES = `compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))`;

function bashScript(commands: readonly Loaded[]): string {
  const cases = commands.map(({ entry, command }) => {
    const specs = Object.values(command.options);
    const values = specs.flatMap((spec) => {
      const kind = fileKind(spec.placeholder);
      const offer =
        spec.choices !== undefined
          ? `COMPREPLY=($(compgen -W "${spec.choices.join(" ")}" -- "$cur"))`
          : kind === "file"
            ? BASH_FILES
            : kind === "directory"
              ? BASH_DIRECTORIES
              : "COMPREPLY=()";
      return spec.placeholder === undefined ? [] : [`        ${spec.flags.join("|")}) ${offer}; return ;;`];
    });
    const flags = [...specs.flatMap((spec) => spec.flags), "--help"].join(" ");
    const files = takesFiles(Object.values(command.arguments)) ? BASH_FILES : "COMPREPLY=()";
    return [
      `    "${entry.name}")`,
      `      case "$prev" in`,
      ...values,
      "      esac",
      `      case "$cur" in`,
      `        -*) COMPREPLY=($(compgen -W "${flags}" -- "$cur")) ;;`,
      `        *) ${files} ;;`,
      "      esac",
      "      ;;",
    ].join("\n");
  });
  const families = Object.keys(FAMILIES).map((family) => {
    const words = secondWords(family).map(([word]) => word);
    return `    ${family}) words="${words.join(" ")}" ;;`;
  });
  return `# bash completion for ${PROGRAM}: source this, or put it into /etc/bash_completion.d
_wasm_to_oci() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${firstWords()
      .map(([word]) => word)
      .join(" ")} --help --version" -- "$cur"))
    return
  fi
  command="\${COMP_WORDS[1]}"
  case "$command" in
${families.join("\n")}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
      return
    fi
    command="$command \${COMP_WORDS[2]}"
  fi
  case "$command" in
${cases.join("\n")}
  esac
}
complete -F _wasm_to_oci ${PROGRAM}
`;
}

function zshScript(commands: readonly Loaded[]): string {
  const cases = commands.map(({ entry, command }) => {
    const options = Object.values(command.options).flatMap((spec) => spec.flags.map((flag) => zshOption(flag, spec)));
    const files = takesFiles(Object.values(command.arguments)) ? "'*:file:_files'" : "'*: :'";
    return `    "${entry.name}") _arguments ${[...options, "'--help[show help]'", files].join(" ")} ;;`;
  });
  const describe = (words: readonly (readonly [string, string])[]): string =>
    words.map(([word, summary]) => zshQuote(`${word}:${summary}`)).join(" ");
  const families = Object.keys(FAMILIES).map((family) => `    ${family}) words=(${describe(secondWords(family))}) ;;`);
  return `#compdef ${PROGRAM}
# zsh completion for ${PROGRAM}: put this as _${PROGRAM} into a directory of $fpath
_wasm_to_oci() {
  local command="\${words[2]}"
  if (( CURRENT == 2 )); then
    local -a first=(${describe(firstWords())})
    _describe command first
    return
  fi
  local -a second=()
  () {
    local -a words=()
    case "$command" in
${families.join("\n")}
    esac
    second=("\${words[@]}")
  }
  if (( \${#second} )); then
    if (( CURRENT == 3 )); then
      _describe command second
      return
    fi
    command="$command \${words[3]}"
    shift words
    (( CURRENT-- ))
  fi
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _${PROGRAM} ]; then _wasm_to_oci "$@"; else compdef _wasm_to_oci ${PROGRAM}; fi
`;
}

function zshOption(flag: string, spec: AnyOption): string {
  const text = spec.description.replace(/[[\]:]/g, " ");
  if (spec.placeholder === undefined) return zshQuote(`${flag}[${text}]`);
  const kind = fileKind(spec.placeholder);
  const offer =
    spec.choices !== undefined
      ? `(${spec.choices.join(" ")})`
      : kind === "file"
        ? "_files"
        : kind === "directory"
          ? "_files -/"
          : " ";
  return zshQuote(`${flag}[${text}]:${spec.placeholder}:${offer}`);
}

function zshQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishScript(commands: readonly Loaded[]): string {
  const lines = [`# fish completion for ${PROGRAM}: put this into ~/.config/fish/completions/${PROGRAM}.fish`];
  lines.push(`complete -c ${PROGRAM} -f`);
  for (const [word, summary] of firstWords()) {
    lines.push(`complete -c ${PROGRAM} -n __fish_use_subcommand -a ${word} -d ${fishQuote(summary)}`);
  }
  for (const family of Object.keys(FAMILIES)) {
    const words = secondWords(family);
    const none = words.map(([word]) => word).join(" ");
    const when = fishQuote(`__fish_seen_subcommand_from ${family}; and not __fish_seen_subcommand_from ${none}`);
    for (const [word, summary] of words) {
      lines.push(`complete -c ${PROGRAM} -n ${when} -a ${word} -d ${fishQuote(summary)}`);
    }
  }
  for (const { entry, command } of commands) {
    const seen = entry.name
      .split(" ")
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join("; and ");
    const when = fishQuote(seen);
    for (const spec of Object.values(command.options)) {
      const flags = spec.flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
      const value =
        spec.placeholder === undefined
          ? ""
          : spec.choices !== undefined
            ? ` -x -a ${fishQuote(spec.choices.join(" "))}`
            : fileKind(spec.placeholder) === undefined
              ? " -x"
              : " -r -F";
      lines.push(`complete -c ${PROGRAM} -n ${when} ${flags.join(" ")}${value} -d ${fishQuote(spec.description)}`);
    }
    if (takesFiles(Object.values(command.arguments))) lines.push(`complete -c ${PROGRAM} -n ${when} -F`);
  }
  return `${lines.join("\n")}\n`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

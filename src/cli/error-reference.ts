/** Makes docs/reference/errors.md from the tables of codes. */
import { KIND_OF_CODE, type ErrorCode } from "../base/errors.ts";
import { ERROR_GUIDE } from "./error-guide.ts";
import { EXIT_STATUS } from "./exit-status.ts";

const INTRODUCTION = `# Errors

<!-- Made by scripts/generate-cli-reference.mjs from src/base/errors.ts and src/cli/error-guide.ts: change those. -->

Every refusal has a code, which never changes its meaning, and a kind, which decides the exit status of the command line. With \`--format json\` the last line of stderr is one document, \`{"error":{"code","kind","exitStatus","message","hint","details"}}\`. In the library an error is a \`WasmToOciError\` with \`code\`, \`kind\`, \`hint\` and \`details\`.
`;

/** The page, formatted as the formatter would. */
export function errorsPage(): string {
  const codes = Object.keys(KIND_OF_CODE) as ErrorCode[];
  const rows = [
    ["code", "kind", "exit status", "meaning", "what to do"],
    ...codes.map((code) => {
      const kind = KIND_OF_CODE[code];
      const { meaning, remedy } = ERROR_GUIDE[code];
      return [`\`${code}\``, kind, String(EXIT_STATUS[kind]), meaning, remedy];
    }),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const padded = rows.map((row) => line(row.map((cell, column) => cell.padEnd(widths[column]!))));
  const rule = line(widths.map((width) => "-".repeat(width)));
  return `${INTRODUCTION}\n${[padded[0], rule, ...padded.slice(1)].join("\n")}\n`;
}

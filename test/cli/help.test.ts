import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { commandHelp, familyHelp, rootHelp } from "../../src/cli/help.ts";
import { referencePage } from "../../src/cli/reference.ts";
import { allEntries, FAMILIES } from "../../src/cli/table.ts";

const COMMANDS = await Promise.all(allEntries().map(async (entry) => ({ entry, command: await entry.load() })));

/** Lines that are commands to copy may be as long as they are. */
function proseLines(help: string): string[] {
  return help.split("\n").filter((line) => !line.startsWith("  $ "));
}

describe("help", () => {
  it("fits into 80 columns", () => {
    const texts = [rootHelp(), ...Object.keys(FAMILIES).map(familyHelp)];
    for (const { entry, command } of COMMANDS) texts.push(commandHelp(entry, command));
    const long = texts.flatMap(proseLines).filter((line) => line.length > 80 && line.trim().includes(" "));
    expect(long).toEqual([]);
  });

  it("is there for every command, with examples that call it", () => {
    for (const { entry, command } of COMMANDS) {
      expect(rootHelp()).toContain(`  ${entry.name} `);
      expect(command.examples.length).toBeGreaterThan(0);
      for (const [line] of command.examples) expect(line).toContain(`wasm-to-oci ${entry.name}`);
    }
  });

  it("has no option twice in one command", () => {
    for (const { entry, command } of COMMANDS) {
      const flags = Object.values(command.options).flatMap((spec) => spec.flags);
      expect([entry.name, new Set(flags).size]).toEqual([entry.name, flags.length]);
    }
  });
});

describe("the reference", () => {
  it("is what the command table says (run: node scripts/generate-cli-reference.mjs)", async () => {
    expect(await readFile("docs/reference/cli.md", "utf8")).toBe(await referencePage());
  });

  it("describes the JSON of every command", async () => {
    const page = await readFile("docs/reference/json-output.md", "utf8");
    const headings = COMMANDS.flatMap(({ command }) => (command.json === undefined ? [] : [`\n## ${command.json}\n`]));
    expect(headings.filter((heading) => !page.includes(heading))).toEqual([]);
  });
});

/** Every row of the attack matrix names tests that exist. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const page = new URL("../../docs/concepts/tuf-attacks.md", import.meta.url);
const rows = readFileSync(page, "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\|(?: -|  ?\||.*\| tests +\|$)/.test(line))
  .map((line) =>
    line
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim())
      .slice(1, -1),
  );

/** `[file](address) words of a title`, in code marks of one or two ticks. */
const CITATION = /\[[^\]]+\]\(([^)]+)\) (?:`` (.+?) ``|`([^`]+)`)/g;

describe("docs/concepts/tuf-attacks.md", () => {
  it("has every row of the matrix", () => {
    const numbers = new Set(rows.flatMap(([first]) => (/^A\d+$/.test(first!) ? [first!] : [])));
    expect([...numbers]).toEqual(Array.from({ length: 17 }, (_, index) => `A${index + 1}`));
    expect(rows.length).toBeGreaterThan(70);
  });

  for (const cells of rows) {
    it(`names tests that exist: ${cells[0]}, ${cells[1]}`, () => {
      const cited = [...cells.at(-1)!.matchAll(CITATION)];
      expect(cited).not.toEqual([]);
      expect(cells.at(-1)!.replaceAll(CITATION, "").replaceAll(/[; ]/g, "")).toBe("");
      for (const [, file, plain, single] of cited) {
        const words = (plain ?? single)!.replaceAll(String.raw`\|`, "|");
        expect(readFileSync(new URL(file!, page), "utf8")).toContain(words);
      }
    });
  }
});

/** The page of error codes says what the program does. */
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { KIND_OF_CODE } from "../../src/base/errors.ts";
import { errorsPage } from "../../src/cli/reference.ts";
import { EXIT_STATUS } from "../../src/cli/exit-status.ts";

const page = await readFile(new URL("../../docs/reference/errors.md", import.meta.url), "utf8");
const rows = page.split("\n").flatMap((line) => {
  const [, code, ...cells] = line.split("|").map((cell) => cell.trim());
  return /^`[A-Z_]+`$/.test(code ?? "") ? [[code!.slice(1, -1), ...cells] as const] : [];
});

describe("docs/reference/errors.md", () => {
  it("lists exactly the codes that there are, with their kind and exit status", () => {
    const wanted = Object.entries(KIND_OF_CODE).map(([code, kind]) => [code, kind, String(EXIT_STATUS[kind])]);
    expect(rows.map((row) => row.slice(0, 3))).toEqual(wanted);
  });

  it("says of every code what it means and what to do", () => {
    for (const [code, , , meaning, remedy] of rows) {
      expect({ code, meaning, remedy }).toEqual({
        code,
        meaning: expect.stringMatching(/\w{3}/),
        remedy: expect.stringMatching(/^[A-Z`].*\w{3}/),
      });
    }
  });

  it("is what the generator makes", () => expect(page).toBe(errorsPage()));
});

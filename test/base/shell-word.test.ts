import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, it } from "vitest";
import { shellWord } from "../../src/base/shell-word.ts";

it.each([
  ["ghcr.io/acme/app:v1", "ghcr.io/acme/app:v1"],
  ["https://n.example:4443", "https://n.example:4443"],
  ["/srv/my trust", "'/srv/my trust'"],
  ["$(reboot)", "'$(reboot)'"],
  ["it's", String.raw`'it'\''s'`],
  ["ghcr.io/acme/{rest}", "'ghcr.io/acme/{rest}'"],
  ["", "''"],
])("writes %j as %s", (value, word) => {
  expect(shellWord(value)).toBe(word);
});

const SPECIAL = "a b $ ` ' \" \\ \n * ? ~ # ; & | < > ( ) { } [ ] ! = - é %".split(" ").concat(" ");

it("is read by a shell as the very value, whatever that is", () => {
  const values = fc.array(fc.string({ unit: fc.constantFrom(...SPECIAL) }), {
    maxLength: 50,
  });
  fc.assert(
    fc.property(values, (texts) => {
      const words = texts.map(shellWord).join(" ");
      const said = execFileSync("sh", ["-c", `printf '%s\\0' start ${words}`], { encoding: "utf8" });
      expect(said.split("\0").slice(1, -1)).toEqual(texts);
    }),
    { numRuns: 40 },
  );
});

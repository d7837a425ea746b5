import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { CLI } from "../support/cli.ts";

/** What is read and compiled before the first word is looked at: 10 ms on Node 20. It was 30 kB when this was written. */
const MAX_START_BYTES = 48 * 1024;

/** The files that a bundled file imports statically, itself included, with their texts. */
async function closure(file: string, found = new Map<string, string>()): Promise<Map<string, string>> {
  if (found.has(file)) return found;
  const text = await readFile(file, "utf8");
  found.set(file, text);
  for (const [, path] of text.matchAll(/(?:from|import)"(\.\/[^"]+)"/g))
    await closure(join(dirname(file), path!), found);
  return found;
}

describe("starting", () => {
  it("loads neither the parser nor any command before it knows that it must", async () => {
    const texts = [...(await closure(CLI)).values()];
    const size = texts.reduce((sum, text) => sum + text.length, 0);
    expect(size).toBeLessThan(MAX_START_BYTES);
    const all = texts.join("");
    for (const word of ["commander.", "node:https", "asn1", "hono"]) expect(all).not.toContain(word);
  });
});

import { describe, expect, it } from "vitest";
// @ts-expect-error -- a plain script without types
import { ALLOWED, PACKAGES, importsOf, violation } from "../../scripts/check-boundaries.mjs";

const allowed = ALLOWED as Record<string, string[]>;
const check = violation as (file: string, specifier: string) => string | undefined;

const fileIn = (folder: string): string => (folder === "use cases" ? "push.ts" : `${folder}/file.ts`);
const importOf = (from: string, to: string): string => {
  const up = from === "use cases" ? "./" : "../";
  return to === "use cases" ? `${up}push.ts` : `${up}${to}/file.ts`;
};
const folders = Object.keys(allowed);

describe("check-boundaries", () => {
  it.each(folders.flatMap((from) => folders.filter((to) => to !== from).map((to) => [from, to] as const)))(
    "%s importing %s is refused unless the table allows it",
    (from, to) => {
      const fault = check(fileIn(from), importOf(from, to));
      expect(fault === undefined).toBe(allowed[from]!.includes(to));
    },
  );

  it("has no two folders that may import each other", () => {
    const pairs = folders.flatMap((from) => allowed[from]!.map((to) => [from, to] as const));
    expect(pairs.filter(([from, to]) => allowed[to]?.includes(from))).toEqual([]);
  });

  it.each(folders)("lets only the folders of Node import node: modules (%s)", (folder) => {
    const fault = check(fileIn(folder), "node:fs");
    expect(fault === undefined).toBe(["node", "server", "cli"].includes(folder));
  });

  it.each(folders)("refuses a package that is not in the table (%s)", (folder) => {
    expect(check(fileIn(folder), "left-pad")).toBe(`${folder} may not import the package left-pad`);
    expect(check(fileIn(folder), "@evil/pkg/sub")).toBe(`${folder} may not import the package @evil/pkg`);
  });

  it("lets each package of the table in only where it says", () => {
    for (const [folder, packages] of Object.entries(PACKAGES as Record<string, string[]>)) {
      for (const name of packages) {
        expect(check(fileIn(folder), `${name}/sub`)).toBeUndefined();
        expect(check("trust/file.ts", name)).toBeDefined();
      }
    }
  });

  it("finds every form of import", () => {
    const text = [
      'import a from "./a.ts";',
      'import type { B } from "./b.ts";',
      'import {\n  c,\n  d,\n} from "./c.ts";',
      'export * from "./d.ts";',
      'export type { E } from "./e.ts";',
      'const f = await import("./f.ts");',
      'import "./g.ts";',
      'import * as h from "node:fs";',
    ].join("\n");
    expect(importsOf(text)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts", "node:fs"]);
  });
});

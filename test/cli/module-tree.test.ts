import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { ModuleTree, requireDistinctPaths } from "../../src/cli/module-tree.ts";
import { parseSize } from "../../src/cli/size.ts";
import { taggedReference } from "../../src/oci/tagged-reference.ts";
import { failure } from "../support/use-case.ts";

const APP = taggedReference("localhost:5000/team/app:v1");
const OTHER = taggedReference(`ghcr.io/team/app@sha256:${"a".repeat(64)}`);

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "module-tree-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const files = async (): Promise<string[]> => (await readdir(dir, { recursive: true })).toSorted();

describe("a tree of modules", () => {
  it("has each under its reference, and shows none before all are there", async () => {
    const tree = new ModuleTree(join(dir, "out"));
    for (const [reference, text] of [
      [APP, "one"],
      [OTHER, "two"],
    ] as const) {
      const { output } = await tree.open(reference);
      await output.write(new TextEncoder().encode(text));
      await output.commit();
    }
    expect((await files()).filter((name) => name.endsWith(".wasm"))).toEqual([]);
    await tree.commit();
    const host = join(dir, "out", "localhost_5000", "team", "app");
    expect(await readFile(join(host, "v1.wasm"), "utf8")).toBe("one");
    const digest = `sha256-${"a".repeat(25)}.wasm`;
    expect(await readFile(join(dir, "out", "ghcr.io", "team", "app", digest), "utf8")).toBe("two");
  });

  it("leaves nothing of what was given up, and everything that was there before", async () => {
    await writeFile(join(dir, "mine.txt"), "mine");
    const before = await files();
    const tree = new ModuleTree(dir);
    for (const reference of [APP, OTHER]) await (await tree.open(reference)).output.write(new Uint8Array(5));
    await tree.abort();
    expect(await files()).toEqual(before);
  });

  it("does not follow a link out of its directory", async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), "module-tree-elsewhere-"));
    await symlink(elsewhere, join(dir, "localhost_5000"));
    const tree = new ModuleTree(dir);
    await failure(tree.open(APP), "OUTPUT_REFUSED");
    await tree.abort();
    expect(await readdir(elsewhere, { recursive: true })).toEqual([]);
    await rm(elsewhere, { recursive: true });
  });

  it("refuses references that one name would have to serve", () => {
    const lower = taggedReference("ghcr.io/team/app:v1-rc");
    const upper = taggedReference("ghcr.io/team/app:v1-RC");
    expect(() => requireDistinctPaths([lower, APP, upper])).toThrow(UsageError);
    expect(() => requireDistinctPaths([lower, APP, OTHER])).not.toThrow();
  });
});

describe("a size", () => {
  it.each([
    ["0", 0],
    ["500", 500],
    ["64k", 65_536],
    ["500M", 500 * 1024 ** 2],
    ["2GiB", 2 * 1024 ** 3],
    ["1TB", 1024 ** 4],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(["", "-1", "1.5G", "G", "1 G", "1X", "9999999999999", "999999999999T"])("%s is refused", (text) => {
    expect(() => parseSize(text)).toThrow(UsageError);
  });
});

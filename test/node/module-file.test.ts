import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openModuleFile, type ModuleFile } from "../../src/node/files.ts";
import { codeOf } from "../support/key-fixtures.ts";

const CONTENT = Buffer.from(Array.from({ length: 700_000 }, (_, i) => i % 251));
let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "wasm-to-oci-module-"));
  path = join(dir, "it.wasm");
  writeFileSync(path, CONTENT);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function read(file: ModuleFile, offset?: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.open(offset)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("gives the bytes as often as asked, from any offset", async () => {
  const file = await openModuleFile(path);
  expect(file.size).toBe(CONTENT.length);
  expect((await read(file)).equals(CONTENT)).toBe(true);
  expect((await read(file, 300_001)).equals(CONTENT.subarray(300_001))).toBe(true);
  expect((await read(file, CONTENT.length)).length).toBe(0);
  await file.check();
});

test("reads in pieces, and closes the file when the reader stops early", async () => {
  const file = await openModuleFile(path);
  for await (const chunk of file.open()) {
    expect(chunk.length).toBeLessThan(CONTENT.length / 2);
    break;
  }
  expect((await read(file)).length).toBe(CONTENT.length);
});

test("reads an empty file", async () => {
  writeFileSync(path, "");
  expect((await read(await openModuleFile(path))).length).toBe(0);
});

describe("notices that the file changed", () => {
  test.each([
    ["by growing", () => appendFileSync(path, "x")],
    ["by shrinking", () => truncateSync(path, 1000)],
    ["in place, at the same size", () => (writeFileSync(path, Buffer.alloc(CONTENT.length)), utimesSync(path, 1, 1))],
    ["by being replaced", () => (writeFileSync(join(dir, "b"), CONTENT), renameSync(join(dir, "b"), path))],
  ])("%s, between two readings", async (_, change) => {
    const file = await openModuleFile(path);
    await read(file);
    change();
    expect(await codeOf(() => read(file))).toBe("FILE_CHANGED");
    expect(await codeOf(() => file.check())).toBe("FILE_CHANGED");
    expect((await read(await openModuleFile(path))).length).toBeGreaterThan(0);
  });

  test.each([
    ["by shrinking", () => truncateSync(path, 300_000)],
    ["by growing", () => appendFileSync(path, "x")],
  ])("%s, while it is read", async (_, change) => {
    const file = await openModuleFile(path);
    const code = await codeOf(async () => {
      let first = true;
      for await (const chunk of file.open()) {
        if (first && chunk.length > 0) change();
        first = false;
      }
    });
    expect(code).toBe("FILE_CHANGED");
  });

  test("by going away", async () => {
    const file = await openModuleFile(path);
    rmSync(path);
    expect(await codeOf(() => read(file))).toBe("FILE_NOT_FOUND");
  });
});

test.each([
  ["a directory", () => mkdirSync(join(dir, "x")), "FILE_UNREADABLE"],
  ["a pipe that nobody writes to", () => void execFileSync("mkfifo", [join(dir, "x")]), "FILE_UNREADABLE"],
  ["nothing", () => undefined, "FILE_NOT_FOUND"],
])("refuses %s at once", async (_, make, code) => {
  make();
  expect(await codeOf(() => openModuleFile(join(dir, "x")))).toBe(code);
});

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileOutput } from "../../src/node/file-output.ts";
import { openMetadataDir } from "../../src/node/metadata-dir.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { openLocalCa } from "../../src/node/local-ca.ts";
import { removeStaleTemporaries } from "../../src/node/stale-files.ts";
import { lockDataDir } from "../../src/server/data-dir.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";

const DAY_SECONDS = 86_400;
const LEFT = ".a.key.0123456789abcdef.tmp";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "stale-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Leaves a file as a process that was killed so many days ago would. */
function leave(path: string, days: number): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "half of a secr");
  const time = Date.now() / 1000 - days * DAY_SECONDS;
  utimesSync(path, time, time);
}

test("removes what a writer that was killed left behind, and nothing else", async () => {
  leave(join(dir, LEFT), 1.1);
  leave(join(dir, ".line\nbreak.0123456789abcdef.tmp"), 2);
  const kept = [
    ".young.key.0123456789abcdef.tmp",
    "visible.0123456789abcdef.tmp",
    ".short.0123456789abcde.tmp",
    ".upper.0123456789ABCDEF.tmp",
    ".more.0123456789abcdef.tmp.key",
    "a.key",
  ];
  for (const name of kept) leave(join(dir, name), name.startsWith(".young") ? 0.9 : 400);
  leave(join(dir, "below", LEFT), 400);
  leave(join(dir, ".directory.0123456789abcdef.tmp", "file"), 400);
  symlinkSync(join(dir, "a.key"), join(dir, ".link.0123456789abcdef.tmp"));
  removeStaleTemporaries(dir);
  expect(readdirSync(dir).toSorted()).toEqual(
    [...kept, "below", ".directory.0123456789abcdef.tmp", ".link.0123456789abcdef.tmp"].toSorted(),
  );
  expect(existsSync(join(dir, "below", LEFT))).toBe(true);
});

test("removes what pulls of one file that were killed left beside it, and nothing of others", async () => {
  const path = join(dir, "app.wasm");
  leave(join(dir, ".app.wasm.0123456789abcdef.tmp"), 1.1);
  const kept = [
    ".app.wasm.fedcba9876543210.tmp",
    ".other.wasm.0123456789abcdef.tmp",
    ".app.wasm.new.0123456789abcdef.tmp",
  ];
  for (const name of kept) leave(join(dir, name), name.includes("fedc") ? 0.9 : 400);
  const output = await fileOutput(path);
  expect(readdirSync(dir).filter((name) => !kept.includes(name))).toHaveLength(1); // the one that is being written
  await output.abort();
  expect(readdirSync(dir).toSorted()).toEqual(kept.toSorted());
});

test("says nothing about a directory that is not there", () => {
  expect(() => removeStaleTemporaries(join(dir, "missing"))).not.toThrow();
});

describe("is done before the first write to", () => {
  const passphrase = async () => "passphrase";
  const gun = "localhost:5000/app";
  test.each<[string, string, () => Promise<unknown>]>([
    ["keys", "private", async () => openKeyDir(dir).add(await PrivateKey.generate(), { role: "root" }, passphrase)],
    [
      "metadata",
      `tuf/${gun}/metadata`,
      () => openMetadataDir(dir).write({ server: "https://a", gun }, new Map([["root", new Uint8Array(1)]])),
    ],
    ["a certificate authority", "ca", () => openLocalCa(join(dir, "ca"))],
    ["a server's data directory", "data", async () => (await lockDataDir(join(dir, "data")))()],
  ])("%s", async (_, folder, write) => {
    leave(join(dir, folder, LEFT), 2);
    await write();
    expect(existsSync(join(dir, folder, LEFT))).toBe(false);
  });
});

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeHasher } from "../../src/node/hasher.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { openNotarySource } from "../../src/node/notary-source.ts";
import { add, createWorld, GUN, names, passphrase, REFUSE, type World } from "../support/notary-publisher.ts";

let dir: string;
let world: World;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "notary-source-"));
  world = createWorld();
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function open() {
  const runtime = { transport: world.server.transport, createHasher: nodeHasher, now: world.clock.now };
  const credentials = { get: async () => undefined };
  return openNotarySource({ dir, server: world.server.url, runtime, passphrases: passphrase, credentials });
}

test("writes nothing before it is used, and keeps keys, cache and trust state in the directory", async () => {
  const source = open();
  expect(readdirSync(dir)).toEqual([]);
  await source.publish(GUN, () => add("v1"), REFUSE);
  expect(await openKeyDir(dir).list()).toHaveLength(3);
  expect(readdirSync(join(dir, "tuf", ...GUN.split("/"), "metadata")).toSorted()).toEqual([
    "root.json",
    "snapshot.json",
    "targets.json",
    "timestamp.json",
  ]);
  const later = open();
  expect(await later.isKnown(GUN)).toBe(true);
  expect(names((await later.open(GUN, REFUSE)).list())).toEqual(["v1"]);
});

test("says that the notary command left changes, and leaves them alone", async () => {
  await open().publish(GUN, () => add("v1"), REFUSE);
  const staged = join(dir, "tuf", ...GUN.split("/"), "changelist");
  mkdirSync(staged);
  for (const name of ["1.change", "2.change", "notes.txt"]) writeFileSync(join(staged, name), "{broken");
  const result = await open().publish(GUN, () => add("v2"), REFUSE);
  expect(result.collection.warnings.join("\n")).toContain("2 unpublished change(s)");
  expect(readdirSync(staged)).toHaveLength(3);
});

test("keeps the replaced key as a backup that no program takes for a key", async () => {
  const source = open();
  await source.publish(GUN, () => add("v1"), REFUSE);
  const { backups, oldKeyIds } = await source.rotate(GUN, { role: "targets" });
  expect(backups).toHaveLength(1);
  expect(backups[0]!.startsWith(join(dir, "private"))).toBe(false);
  const keys = readdirSync(join(dir, "private"), { recursive: true }).join(" ");
  expect(keys).not.toContain(oldKeyIds[0]);
  await source.publish(GUN, () => add("v2"), REFUSE);
});

test("without passphrases can read, and says what it lacks to sign", async () => {
  await open().publish(GUN, () => add("v1"), REFUSE);
  const runtime = { transport: world.server.transport, createHasher: nodeHasher, now: world.clock.now };
  const reader = openNotarySource({ dir, server: world.server.url, runtime });
  expect(names((await reader.open(GUN, REFUSE)).list())).toEqual(["v1"]);
  await expect(reader.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({ code: "PASSPHRASE_MISSING" });
});

test.each(["http://notary.example", "ftp://localhost", "nonsense", "https://user:secret@notary.example"])(
  "refuses the server %j before anything is asked or written",
  (server) => {
    expect(() => openNotarySource({ dir, server })).toThrow(expect.objectContaining({ code: "USAGE" }));
    expect(readdirSync(dir)).toEqual([]);
  },
);

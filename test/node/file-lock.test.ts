import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withLock } from "../../src/node/files.ts";
import { bundle, finished, start } from "../support/bundled-script.ts";
import { codeOf } from "../support/key-fixtures.ts";

let dir: string;
let lock: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "wasm-to-oci-lock-"));
  lock = join(dir, "it.lock");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("runs one action at a time in one process, in the order of the calls", async () => {
  const events: string[] = [];
  const run = (name: string) =>
    withLock(lock, async () => {
      events.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      events.push(`${name} ends`);
    });
  await Promise.all([run("a"), run("b"), run("c")]);
  expect(events).toEqual(["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]));
  expect(readdirSync(dir)).toEqual([]);
});

test("gives the action's result or error, and is free afterwards", async () => {
  expect(await withLock(lock, async () => 7)).toBe(7);
  await expect(withLock(lock, () => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
  expect(await withLock(lock, async () => 8)).toBe(8);
  expect(readdirSync(dir)).toEqual([]);
});

test("loses no update among processes", async () => {
  const counter = join(dir, "counter");
  writeFileSync(counter, "0");
  const script = await bundle(`
    import { readFileSync, writeFileSync } from "node:fs";
    import { withLock } from "../../src/node/files.ts";
    for (let i = 0; i < 25; i++) {
      await withLock(${JSON.stringify(lock)}, async () => {
        const value = Number(readFileSync(${JSON.stringify(counter)}, "utf8"));
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 2));
        writeFileSync(${JSON.stringify(counter)}, String(value + 1));
      });
    }`);
  const ends = await Promise.all(Array.from({ length: 4 }, () => finished(start([process.execPath, script]))));
  for (const { status, stderr } of ends) expect(`${status} ${stderr}`).toBe("0 ");
  expect(readFileSync(counter, "utf8")).toBe("100");
  expect(readdirSync(dir)).toEqual(["counter"]);
}, 60_000);

describe("a lock that somebody left", () => {
  test("is taken over where its process was killed", async () => {
    const script = await bundle(`
      import { withLock } from "../../src/node/files.ts";
      setInterval(() => {}, 1000);
      await withLock(${JSON.stringify(lock)}, () => { console.log("held"); return new Promise(() => {}); });`);
    const child = start([process.execPath, script]);
    await new Promise<void>((resolve) => child.stdout!.once("data", () => resolve()));
    const end = finished(child);
    expect(await codeOf(() => withLock(lock, async () => 1, { waitMs: 50 }))).toBe("LOCKED");
    child.kill("SIGKILL");
    await end;
    const results = await Promise.all([1, 2, 3].map((value) => withLock(lock, async () => value)));
    expect(results).toEqual([1, 2, 3]);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("is taken over where the process id went to another process", async () => {
    const owner = { host: hostname(), pid: process.pid, start: "1", token: "old" };
    writeFileSync(lock, JSON.stringify(owner));
    if (process.platform === "linux") expect(await withLock(lock, async () => 1)).toBe(1);
    else expect(await codeOf(() => withLock(lock, async () => 1, { waitMs: 10 }))).toBe("LOCKED");
  });

  test("on another machine is respected, and named", async () => {
    const text = JSON.stringify({ host: "elsewhere", pid: 1, start: "", token: "theirs" });
    writeFileSync(lock, text);
    const failure = withLock(lock, async () => 1, { waitMs: 20 });
    await expect(failure).rejects.toMatchObject({ code: "LOCKED", details: { host: "elsewhere", pid: 1 } });
    expect(readFileSync(lock, "utf8")).toBe(text);
  });

  test.each(["", "{", "[]", '{"pid":0}', `{"host":"x","pid":"1"}`, "x".repeat(5000)])(
    "with the content %j is taken over once it is old, not before",
    async (content) => {
      writeFileSync(lock, content);
      expect(await codeOf(() => withLock(lock, async () => 1, { waitMs: 10 }))).toBe("LOCKED");
      const old = new Date(Date.now() - 60_000);
      utimesSync(lock, old, old);
      expect(await withLock(lock, async () => 1)).toBe(1);
      expect(readdirSync(dir)).toEqual([]);
    },
  );
});

test("a taking-over that was killed half-way does not block the next one", async () => {
  const dead = { host: hostname(), pid: 2 ** 22 + 1, start: "1", token: "dead" }; // above every process id of Linux
  writeFileSync(lock, JSON.stringify(dead));
  writeFileSync(`${lock}.dead.stale`, "");
  expect(await codeOf(() => withLock(lock, async () => 1, { waitMs: 20 }))).toBe("LOCKED");
  const old = new Date(Date.now() - 60_000);
  utimesSync(`${lock}.dead.stale`, old, old);
  expect(await withLock(lock, async () => 1)).toBe(1);
  expect(readdirSync(dir)).toEqual([]);
});

test("a directory in place of a lock is never removed", async () => {
  mkdirSync(lock);
  writeFileSync(join(lock, "precious"), "");
  const old = new Date(Date.now() - 60_000);
  utimesSync(lock, old, old);
  expect(await codeOf(() => withLock(lock, async () => 1, { waitMs: 20 }))).toMatch(
    /^(STORAGE_FAILED|OUTPUT_REFUSED)$/,
  );
  expect(readdirSync(lock)).toEqual(["precious"]);
});

const canInject = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0;

test.skipIf(!canInject)(
  "works where the file system has no links",
  async () => {
    const script = await bundle(`
    import { withLock } from "../../src/node/files.ts";
    const path = ${JSON.stringify(lock)};
    const events = [];
    await withLock(path, async () => {
      events.push("held");
    });
    await withLock(path, async () => events.push("held again"));
    console.log(events.join());`);
    const inject = ["-f", "-o", "/dev/null", "-e", "inject=link,linkat:error=EPERM"];
    const { stdout, stderr } = await finished(start(["strace", ...inject, process.execPath, script]));
    expect(`${stdout}${stderr}`).toBe("held,held again\n");
    expect(readdirSync(dir)).toEqual([]);
  },
  60_000,
);

test("says why a lock cannot be made", async () => {
  writeFileSync(join(dir, "file"), "");
  expect(await codeOf(() => withLock(join(dir, "file", "it.lock"), async () => 1))).toMatch(
    /^(FILE_NOT_FOUND|STORAGE_FAILED)$/,
  );
});

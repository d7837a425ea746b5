import { execFileSync, spawnSync } from "node:child_process";
import { pbkdf2 } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createAtomicOutput, writeFileAtomic } from "../../src/node/files.ts";
import { bundle, finished, start, withoutRights } from "../support/bundled-script.ts";
import { codeOf } from "../support/key-fixtures.ts";

const pbkdf2Async = promisify(pbkdf2);

let dir: string;
let path: string;
const bytes = (text: string): Uint8Array => Buffer.from(text);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "wasm-to-oci-files-"));
  path = join(dir, "out.wasm");
});
afterEach(() => {
  chmodSync(dir, 0o700);
  rmSync(dir, { recursive: true, force: true });
});

describe("writing", () => {
  test("makes a file, and replaces it", async () => {
    await writeFileAtomic(path, bytes("old"));
    await writeFileAtomic(path, bytes("new"));
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(readdirSync(dir)).toEqual(["out.wasm"]);
  });

  test("gives new files the mode asked for, also in place of a file with another one", async () => {
    writeFileSync(path, "old", { mode: 0o644 });
    await writeFileAtomic(path, bytes("secret"), { mode: 0o600 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("writes a stream piece by piece", async () => {
    async function* pieces() {
      for (let i = 0; i < 1000; i++) yield Buffer.alloc(1000, i % 256);
    }
    await writeFileAtomic(path, pieces());
    expect(readFileSync(path).length).toBe(1_000_000);
    expect(readFileSync(path)[999_999]).toBe(999 % 256);
  });

  test("shows nothing under the name before the commit", async () => {
    const output = await createAtomicOutput(path);
    await output.write(bytes("half"));
    expect(() => lstatSync(path)).toThrow("ENOENT");
    await output.commit();
    expect(readFileSync(path, "utf8")).toBe("half");
    await output.abort();
    expect(readFileSync(path, "utf8")).toBe("half");
  });

  test("leaves the old file and nothing else behind when it is given up", async () => {
    writeFileSync(path, "old");
    const output = await createAtomicOutput(path);
    await output.write(bytes("new"));
    await output.abort();
    await output.abort();
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(dir)).toEqual(["out.wasm"]);
    expect(await codeOf(() => output.write(bytes("more")))).toBe("STORAGE_FAILED");
    expect(await codeOf(() => output.commit())).toBe("STORAGE_FAILED");
  });

  test("is given up only when nothing writes to it any more, since another file may get its number", async () => {
    const output = await createAtomicOutput(path);
    const busy = Array.from({ length: 4 }, () => pbkdf2Async("x", "y", 200_000, 64, "sha512")); // every thread there is
    const writing = codeOf(() => output.write(new Uint8Array(1024 * 1024)));
    await new Promise(setImmediate); // the write waits for a thread
    const given = output.abort();
    const other = openSync(join(dir, "other"), "w");
    await Promise.all([...busy, writing, given]);
    expect(await writing).toBe("no error");
    expect(fstatSync(other).size).toBe(0);
    closeSync(other);
    expect(readdirSync(dir)).toEqual(["other"]);
  });

  test("leaves the old file when the stream breaks, and passes its error on", async () => {
    writeFileSync(path, "old");
    async function* breaking() {
      yield bytes("new");
      throw new Error("the connection broke");
    }
    await expect(writeFileAtomic(path, breaking())).rejects.toThrow("the connection broke");
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(dir)).toEqual(["out.wasm"]);
  });

  test("takes the longest file name that there is", async () => {
    const long = join(dir, "ü".repeat(127));
    await writeFileAtomic(long, bytes("it"));
    expect(readFileSync(long, "utf8")).toBe("it");
  });
});

describe("refusing, before anything is transferred", () => {
  test.each([
    ["a directory", () => mkdirSync(path), "OUTPUT_REFUSED"],
    ["a pipe", () => execFileSync("mkfifo", [path]), "OUTPUT_REFUSED"],
    ["a name in a directory that is not there", () => void (path = join(dir, "no", "out.wasm")), "FILE_NOT_FOUND"],
    ["a name below a file", () => (writeFileSync(path, ""), void (path = join(path, "out.wasm"))), "FILE_NOT_FOUND"],
    ["a name of 300 characters", () => void (path = join(dir, "x".repeat(300))), "STORAGE_FAILED"],
    ["a name with a NUL", () => void (path = join(dir, "a\0b")), "STORAGE_FAILED"],
  ])("%s", async (_, prepare, code) => {
    prepare();
    const before = readdirSync(dir);
    expect(await codeOf(() => createAtomicOutput(path))).toBe(code);
    expect(readdirSync(dir)).toEqual(before);
  });

  test("a device", async () => {
    expect(await codeOf(() => createAtomicOutput("/dev/null"))).toBe("OUTPUT_REFUSED");
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  test("says which directory is missing", async () => {
    const failure = createAtomicOutput(join(dir, "no", "out.wasm"));
    await expect(failure).rejects.toThrow(`the directory ${join(dir, "no")} does not exist`);
  });

  test.each([
    ["a directory without the right to write", () => chmodSync(dir, 0o555)],
    ["a file that was made read-only", () => (writeFileSync(path, "old", { mode: 0o444 }), chmodSync(dir, 0o777))],
  ])("%s", async (_, prepare) => {
    prepare();
    const script = await bundle(`
      import { createAtomicOutput } from "../../src/node/files.ts";
      try { await createAtomicOutput(${JSON.stringify(path)}); console.log("no error"); }
      catch (error) { console.log(error.code); }`);
    chmodSync(join(script, ".."), 0o755);
    const { stdout, stderr } = await finished(start([process.execPath, script], withoutRights()));
    expect(`${stdout}${stderr}`.trim()).toBe("STORAGE_DENIED");
  });
});

describe("symbolic links", () => {
  test("are replaced themselves; what they point to stays as it was", async () => {
    const target = join(dir, "target");
    writeFileSync(target, "precious");
    symlinkSync(target, path);
    await writeFileAtomic(path, bytes("new"));
    expect(readFileSync(target, "utf8")).toBe("precious");
    expect(lstatSync(path).isSymbolicLink()).toBe(false);
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  test("that dangle, or turn up while the file is written, are replaced too", async () => {
    const target = join(dir, "elsewhere");
    symlinkSync(target, path);
    const output = await createAtomicOutput(path);
    await output.write(bytes("new"));
    expect(readlinkSync(path)).toBe(target);
    await output.commit();
    expect(() => lstatSync(target)).toThrow("ENOENT");
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  test("a directory that turns up while the file is written is refused, and stays", async () => {
    const output = await createAtomicOutput(path);
    await output.write(bytes("new"));
    mkdirSync(path);
    expect(await codeOf(() => output.commit())).toBe("OUTPUT_REFUSED");
    await output.abort();
    expect(statSync(path).isDirectory()).toBe(true);
    expect(readdirSync(dir)).toEqual(["out.wasm"]);
  });
});

const canMount = spawnSync("unshare", ["-r", "-m", "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;

test.skipIf(!canMount)("keeps the old file and cleans up when the disk is full", async () => {
  const script = await bundle(`
    import { readdirSync, readFileSync, writeFileSync } from "node:fs";
    import { writeFileAtomic } from "../../src/node/files.ts";
    const path = ${JSON.stringify(path)};
    writeFileSync(path, "old");
    try { await writeFileAtomic(path, Buffer.alloc(200_000)); console.log("no error"); }
    catch (error) { console.log(error.code, error.kind); }
    console.log(readFileSync(path, "utf8"), readdirSync(${JSON.stringify(dir)}).join());
    await writeFileAtomic(path, Buffer.from("new"));
    console.log(readFileSync(path, "utf8"));`);
  const mount = `mount -t tmpfs -o size=64k tmpfs ${dir} && exec "$@"`;
  const child = start(["unshare", "-r", "-m", "sh", "-c", mount, "sh", process.execPath, script]);
  const { stdout, stderr } = await finished(child);
  expect(stderr).toBe("");
  expect(stdout).toBe("STORAGE_FULL storage\nold out.wasm\nnew\n");
});

const canInject = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0;

test.skipIf(!canInject).each([
  ["the sync of the file", ["-e", "inject=fsync:error=EIO"], "STORAGE_FAILED", "old"],
  ["the rename", ["-e", "inject=rename:error=ENOSPC"], "STORAGE_FULL", "old"],
  // the name is taken by then: the new content is there, and that it may not survive a power cut is said
  ["the sync of the directory", ["-e", "inject=fsync:error=EIO", "-P", "DIRECTORY"], "STORAGE_FAILED", "new"],
])(
  "says so and cleans up when %s fails",
  async (_, injection, code, content) => {
    const script = await bundle(`
    import { writeFileAtomic } from "../../src/node/files.ts";
    try { await writeFileAtomic(${JSON.stringify(path)}, Buffer.from("new")); console.log("none"); }
    catch (error) { console.log(error.code); }`);
    writeFileSync(path, "old");
    const options = injection.map((option) => option.replace("DIRECTORY", dir));
    const { stdout, stderr } = await finished(
      start(["strace", "-f", "-o", "/dev/null", ...options, process.execPath, script]),
    );
    expect(`${stdout}${stderr}`.trim()).toBe(code);
    expect(readFileSync(path, "utf8")).toBe(content);
    expect(readdirSync(dir)).toEqual(["out.wasm"]);
  },
  60_000,
);

test("killed at any moment, leaves the old content or the new, never a mix", async () => {
  const script = await bundle(`
    import { writeFileAtomic } from "../../src/node/files.ts";
    console.log("ready");
    for (let i = 0; ; i++) await writeFileAtomic(${JSON.stringify(path)}, Buffer.alloc(300_000, 65 + (i % 26)));`);
  writeFileSync(path, Buffer.alloc(300_000, 65));
  let changed = 0;
  for (let kill = 0; kill < 30; kill++) {
    const before = readFileSync(path)[0];
    const child = start([process.execPath, script]);
    await new Promise<void>((resolve) => child.stdout!.once("data", () => resolve()));
    const end = finished(child);
    await new Promise((resolve) => setTimeout(resolve, 1 + ((kill * 7) % 40)));
    child.kill("SIGKILL");
    await end;
    const content = readFileSync(path);
    expect(content.length).toBe(300_000);
    expect(content.every((octet) => octet === content[0])).toBe(true);
    if (content[0] !== before) changed++;
  }
  expect(changed).toBeGreaterThan(0); // the writer was under way when it was killed
  await writeFileAtomic(path, bytes("the next run works"));
  expect(readFileSync(path, "utf8")).toBe("the next run works");
}, 120_000);

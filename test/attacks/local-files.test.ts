/** This machine's files: modules that are none, outputs that cannot be written, disks that fill up. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { chmod, cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.ts";
import { CLI, finished } from "../support/cli.ts";
import { HONEST_MODULE, NAME, OUTPUT, SignedApp } from "../support/signed-app.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf, expectHarmless } from "../support/victim.ts";
import { custom, wasmModule } from "../support/wasm-builder.ts";

let app: SignedApp;

beforeAll(async () => {
  app = await SignedApp.start();
});

beforeEach(() => app.reset());

afterAll(() => app.stop());

function work(name: string): string {
  return join(app.victim.work, name);
}

function push(path: string, tag = "new"): string[] {
  return ["push", path, `${app.registry.host}/${NAME}:${tag}`, "--timeout", "5s"];
}

const WASM = Buffer.from(moduleBytes("new"));

describe("push refuses", () => {
  it.each<[string, () => Promise<unknown>, ErrorCode, number]>([
    ["text", () => writeFile(work("m.wasm"), "hello"), "WASM_INVALID", 7],
    ["an empty file", () => writeFile(work("m.wasm"), ""), "WASM_INVALID", 7],
    ["half a preamble", () => writeFile(work("m.wasm"), WASM.subarray(0, 5)), "WASM_INVALID", 7],
    ["a truncated module", () => writeFile(work("m.wasm"), WASM.subarray(0, -1)), "WASM_INVALID", 7],
    [
      "a module with more behind it",
      () => writeFile(work("m.wasm"), Buffer.concat([WASM, Buffer.from([1])])),
      "WASM_INVALID",
      7,
    ],
    ["an ELF program", () => writeFile(work("m.wasm"), Buffer.from("7f454c46020101", "hex")), "WASM_INVALID", 7],
    ["a missing file", () => Promise.resolve(), "FILE_NOT_FOUND", 3],
    ["a directory", () => mkdir(work("m.wasm")), "FILE_UNREADABLE", 6],
    ["a link to nowhere", () => symlink("nowhere", work("m.wasm")), "FILE_NOT_FOUND", 3],
    ["a pipe", () => Promise.resolve(execFileSync("mkfifo", [work("m.wasm")])), "FILE_UNREADABLE", 6],
    ["a device", () => symlink("/dev/zero", work("m.wasm")), "FILE_UNREADABLE", 6],
  ])("%s", async (_, make, code, status) => {
    await make();
    const sent = app.registry.requests.length;
    const { message } = await app.victim.refused(push("m.wasm"), code, status);
    expect(message).toMatch(/m\.wasm|Wasm/);
    expect(app.registry.requests.slice(sent).filter(({ method }) => method !== "GET" && method !== "HEAD")).toEqual([]);
  });

  it.each<[string, (path: string) => void]>([
    ["overwritten with as many bytes", (path) => writeFileSync(path, moduleBytes("NEW"))],
    ["appended to", (path) => appendFileSync(path, custom("more"))],
    ["truncated", (path) => truncateSync(path, 8)],
    ["touched", (path) => utimesSync(path, new Date(), new Date(Date.now() + 5000))],
  ])("a file that is %s between hashing and upload", async (_, change) => {
    const path = join(app.victim.home, "changing.wasm");
    await writeFile(path, WASM);
    let changed = false;
    app.registry.setFault(({ method }) => {
      if (method === "POST" && !changed) change(path);
      changed ||= method === "POST";
      return undefined;
    });
    const { hint } = await app.victim.refused(push(path), "FILE_CHANGED", 6);
    expect(hint).toMatch(/again/);
    expect(app.registry.manifests.has(`${NAME}:new`)).toBe(false);
    app.registry.setFault(undefined);
    await writeFile(path, WASM);
    await app.victim.succeed(push(path));
  });
});

describe("pull refuses an output that is", () => {
  it.each<[string, string, () => Promise<unknown>, ErrorCode, number]>([
    ["a directory", "out", () => mkdir(work("out")), "OUTPUT_REFUSED", 6],
    ["in a missing directory", "missing/out.wasm", () => Promise.resolve(), "FILE_NOT_FOUND", 3],
    ["below a file", "file/out.wasm", () => writeFile(work("file"), ""), "FILE_NOT_FOUND", 3],
    ["a pipe", "out", () => Promise.resolve(execFileSync("mkfifo", [work("out")])), "OUTPUT_REFUSED", 6],
    ["named too long", "x".repeat(300), () => Promise.resolve(), "STORAGE_FAILED", 6],
    ["the current directory", ".", () => Promise.resolve(), "OUTPUT_REFUSED", 6],
    ["nothing", "", () => Promise.resolve(), "USAGE", 2],
  ])("%s, before anything is transferred", async (_, output, make, code, status) => {
    await make();
    const sent = app.registry.requests.filter(({ path }) => path.includes("/blobs/")).length;
    const { message } = await app.victim.refused(["pull", app.reference(), "-o", output], code, status);
    expect(message.length).toBeLessThan(1000);
    expect(app.registry.requests.filter(({ path }) => path.includes("/blobs/")).length).toBe(sent);
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });

  it("a link, by replacing the link and not what it leads to", async () => {
    await writeFile(join(app.victim.home, "precious"), "precious");
    await symlink(join(app.victim.home, "precious"), work(OUTPUT));
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
    expect(await readFile(join(app.victim.home, "precious"), "utf8")).toBe("precious");
  });
});

/** Without rights of its own, root may write anywhere: these need another user, or a mount. */
const isRoot = process.getuid?.() === 0;
const canMount = spawnSync("unshare", ["-r", "-m", "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;

/** Runs a pull behind a mount that only it sees. */
async function pullBehind(
  mount: string,
  ...more: string[]
): Promise<{ status: number | null; stderr: string; listing: string }> {
  const words = [CLI, "pull", app.reference("big"), "--format", "json", ...more];
  const script = `${mount} && "$@"; status=$?; ls -A out >&3; exit $status`;
  const child = spawn("unshare", ["-r", "-m", "sh", "-c", script, "sh", process.execPath, ...words], {
    cwd: app.victim.work,
    env: { PATH: process.env["PATH"] ?? "", HOME: app.victim.home, WASM_TO_OCI_DIR: join(app.victim.home, "other") },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  let listing = "";
  child.stdio[3]!.on("data", (text: Buffer) => (listing += text.toString()));
  const result = await finished(child);
  expectHarmless(result);
  return { status: result.status, stderr: result.stderr, listing };
}

describe("pull onto", () => {
  const big = wasmModule(custom("big", Buffer.alloc(300_000)));

  beforeEach(async () => {
    app.push(big, "big");
    await mkdir(work("out"));
  });

  it.skipIf(!canMount)("a read-only file system is refused before anything is transferred", async () => {
    const mount = "mount -t tmpfs -o ro tmpfs out";
    const { status, stderr, listing } = await pullBehind(mount, "-o", "out/m.wasm");
    expect({ status, listing, code: errorOf({ status, stderr, stdout: "" }).code }).toEqual({
      status: 6,
      listing: "",
      code: "STORAGE_DENIED",
    });
  });

  it.skipIf(!canMount)("a full disk leaves the old file and nothing else", async () => {
    const mount = "mount -t tmpfs -o size=128k tmpfs out && echo old > out/m.wasm";
    const { status, stderr, listing } = await pullBehind(mount, "-o", "out/m.wasm");
    const { code, hint } = errorOf({ status, stderr, stdout: "" });
    expect({ status, listing, code }).toEqual({ status: 6, listing: "m.wasm\n", code: "STORAGE_FULL" });
    expect(hint).toMatch(/space/);
  });

  it.skipIf(!isRoot)("a directory that this user may not write to is refused", async () => {
    const copy = join(app.victim.home, "copy"); // the checkout may be closed to other users
    await cp(join(CLI, ".."), join(copy, "dist", "bin"), { recursive: true });
    await cp(join(CLI, "..", "..", "..", "package.json"), join(copy, "package.json"));
    for (const path of [app.victim.home, app.victim.work]) await chmod(path, 0o755);
    const child = spawn(
      process.execPath,
      [
        join(copy, "dist", "bin", "wasm-to-oci.js"),
        "pull",
        app.reference("big"),
        "-o",
        "out/m.wasm",
        "--format",
        "json",
      ],
      {
        cwd: app.victim.work,
        env: { PATH: process.env["PATH"] ?? "", HOME: work("out") },
        uid: 65_534,
        gid: 65_534,
      },
    );
    const result = await finished(child);
    expect({ status: result.status, code: errorOf(result).code }).toEqual({ status: 6, code: "STORAGE_DENIED" });
    expect(await readdir(work("out"))).toEqual([]);
  });

  it.skipIf(!existsSync("/dev/full"))("a full stdout is refused", async () => {
    const script = '"$@" > /dev/full';
    const words = [CLI, "pull", app.reference("big"), "-o", "-"];
    const child = spawn("sh", ["-c", script, "sh", process.execPath, ...words], {
      cwd: app.victim.work,
      env: { PATH: process.env["PATH"] ?? "", HOME: app.victim.home },
    });
    const result = await finished(child);
    expect(result).toMatchObject({ status: 6, stderr: expect.stringMatching(/error: .*stdout.*\nhint: /) });
  });
});

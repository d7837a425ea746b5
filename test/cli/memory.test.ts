import { spawn } from "node:child_process";
import { open, stat } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLI } from "../support/cli.ts";
import { PASSPHRASE, startServed, type Served } from "../support/served.ts";

const MIB = 1024 * 1024;

const isMeasured = process.env["CI"] !== undefined && process.version.startsWith("v20.");

/** The bar is for a module of 1 GiB; a quarter of it shows a leak as well and does not slow everyday runs. */
const MODULE_BYTES = (isMeasured ? 1024 : 256) * MIB;
const ALLOWED_MIB = 64;

let served: Served;

/** Runs a command and gives the most memory that it ever had resident, in MiB. */
function peak(...args: string[]): Promise<number> {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: served.home,
    env: { PATH: process.env["PATH"], HOME: served.home, WASM_TO_OCI_PASSPHRASE: PASSPHRASE },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  let highest = 0;
  const sample = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      highest = Math.max(highest, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // it has just ended
    }
  };
  const timer = setInterval(sample, 20);
  return new Promise((resolve, reject) => {
    child.once("exit", (status) => {
      clearInterval(timer);
      if (status === 0) resolve(highest);
      else reject(new Error(`exit ${status}: ${said}`));
    });
  });
}

/** A module that is one large custom section, sparse on disk. */
async function writeModule(name: string, size: number): Promise<void> {
  const handle = await open(join(served.home, name), "w");
  const header = 8 + 1 + 5;
  const payload = size - header;
  const length = Array.from({ length: 5 }, (_, index) => ((payload >>> (7 * index)) & 0x7f) | (index < 4 ? 0x80 : 0));
  await handle.write(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0, ...length, 4, 0x64, 0x61, 0x74, 0x61));
  await handle.truncate(size);
  await handle.close();
}

beforeAll(async () => {
  served = await startServed();
  await writeModule("small.wasm", 1024);
  await writeModule("large.wasm", MODULE_BYTES);
});

afterAll(async () => served.stop());

describe.runIf(process.platform === "linux")("a large module", () => {
  it("is pushed signed and pulled verified in the memory of a small one and 64 MiB", { timeout: 300_000 }, async () => {
    const reference = `${served.registry}/memory`;
    const server = ["--server", served.server];
    const pushBase = await peak("push", "small.wasm", `${reference}:small`, ...server);
    const pullBase = await peak("pull", `${reference}:small`, ...server, "-o", "pulled-small.wasm");
    const push = await peak("push", "large.wasm", `${reference}:large`, ...server);
    const pull = await peak("pull", `${reference}:large`, ...server, "-o", "pulled.wasm");
    console.log(
      `${MODULE_BYTES / MIB} MiB: push ${Math.round(push - pushBase)} MiB, pull ${Math.round(pull - pullBase)} MiB above base`,
    );
    expect((await stat(join(served.home, "pulled.wasm"))).size).toBe(MODULE_BYTES);
    expect(push - pushBase).toBeLessThan(ALLOWED_MIB);
    expect(pull - pullBase).toBeLessThan(ALLOWED_MIB);
  });

  it(
    "is saved in a bundle and loaded from it in the memory of a small one and 64 MiB",
    { timeout: 600_000 },
    async () => {
      const reference = `${served.registry}/bundled`;
      const peaks: number[] = [];
      for (const name of ["small", "large"]) {
        await peak("push", `${name}.wasm`, `${reference}:${name}`, "--sign");
        const save = await peak("bundle", "save", `${reference}:${name}`, "--sign", "-o", `${name}.tar`);
        const load = await peak("bundle", "load", `${name}.tar`, `${served.registry}/loaded/${name}`);
        peaks.push(save, load);
      }
      const [saveBase, loadBase, save, load] = peaks.map(Math.round) as [number, number, number, number];
      console.log(`${MODULE_BYTES / MIB} MiB: save ${save - saveBase} MiB, load ${load - loadBase} MiB above base`);
      expect((await stat(join(served.home, "large.tar"))).size).toBeGreaterThan(MODULE_BYTES);
      expect(save - saveBase).toBeLessThan(ALLOWED_MIB);
      expect(load - loadBase).toBeLessThan(ALLOWED_MIB);
      await peak(
        "pull",
        `${served.registry}/loaded/large:large`,
        "--sign",
        "--collection",
        "bundled",
        "-o",
        "loaded.wasm",
      );
      expect((await stat(join(served.home, "loaded.wasm"))).size).toBe(MODULE_BYTES);
    },
  );
});

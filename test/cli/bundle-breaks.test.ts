/** `bundle save` that is killed, or has no room: the file that was there stays, or the new one is there whole. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLI, finished, startCli } from "../support/cli.ts";
import { PASSPHRASE, startServed, type Served } from "../support/served.ts";
import { custom, wasmModule } from "../support/wasm-builder.ts";

const MIB = 1024 * 1024;
/** Large enough that a save takes a while after it has begun to write. */
const MODULE_BYTES = 24 * MIB;
const KILLS = 12;

let served: Served;
let reference: string;
let folder: string;
let former: Buffer;

async function ok(...words: string[]): Promise<void> {
  const { status, stderr } = await served.run(words);
  if (status !== 0) throw new Error(`${words.join(" ")}: ${status} ${stderr}`);
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  served = await startServed();
  folder = join(served.home, "bundles");
  await mkdir(folder);
  reference = `${served.registry}/app:v1`;
  for (const [name, size] of [
    ["small", 1024],
    ["large", MODULE_BYTES],
  ] as const) {
    await writeFile(join(served.home, `${name}.wasm`), wasmModule(custom("data", new Uint8Array(size))));
    await ok("push", `${name}.wasm`, reference, "--sign");
    await ok("bundle", "save", reference, "--sign", "-o", `${name}.tar`);
  }
  former = await readFile(join(served.home, "small.tar"));
});
afterAll(async () => served.stop());

describe("bundle save", () => {
  it("leaves the former bundle or the new one when it is killed at any moment", { timeout: 180_000 }, async () => {
    const path = join(folder, "app.tar");
    const wanted = digestOf(await readFile(join(served.home, "large.tar")));
    const save = () =>
      startCli(["bundle", "save", reference, "--sign", "-o", path], {
        cwd: served.home,
        env: { HOME: served.home, WASM_TO_OCI_PASSPHRASE: PASSPHRASE },
      });
    await writeFile(path, former);
    const start = performance.now();
    expect((await finished(save())).status).toBe(0);
    const usual = performance.now() - start;
    const outcomes = new Map<string, number>();
    for (let kill = 0; kill < KILLS; kill++) {
      await writeFile(path, former);
      const child = save();
      const timer = setTimeout(() => child.kill("SIGKILL"), usual * (0.3 + (0.7 * (kill + Math.random())) / KILLS));
      await once(child, "close");
      clearTimeout(timer);
      const found = digestOf(await readFile(path));
      const outcome = found === wanted ? "new" : found === digestOf(former) ? "former" : "neither";
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect(outcomes.get("neither")).toBeUndefined();
    expect(outcomes.get("former")).toBeGreaterThan(0);
    await ok("bundle", "save", reference, "--sign", "-o", path);
    expect(digestOf(await readFile(path))).toBe(wanted);
  });

  const canMount = spawnSync("unshare", ["-r", "-m", "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;

  it.skipIf(!canMount)(
    "keeps the former bundle and leaves nothing behind on a full disk",
    { timeout: 120_000 },
    async () => {
      const disk = join(served.home, "disk");
      await mkdir(disk);
      const script = [
        `mount -t tmpfs -o size=${Math.floor((MODULE_BYTES * 3) / MIB)}m tmpfs "$1"`,
        `cp "$2" "$1/app.tar"`,
        // room for half a module more: what is collected does not fit; then for one and a half: the archive does not
        `for full in 2.5 1.5; do`,
        `  dd if=/dev/zero of="$1/filler" bs=$(awk "BEGIN { print int($full * ${MODULE_BYTES}) }") count=1 2>/dev/null`,
        `  "$3" "$4" bundle save "$5" --sign -o "$1/app.tar" --format json; echo "status $?"`,
        `  cmp "$2" "$1/app.tar" && ls -A "$1" | tr '\\n' ' '; rm "$1/filler"`,
        `done`,
        `"$3" "$4" bundle save "$5" --sign -o "$1/app.tar" && sha256sum < "$1/app.tar"`,
      ].join("\n");
      const child = spawn(
        "unshare",
        ["-r", "-m", "sh", "-c", script, "sh", disk, join(served.home, "small.tar"), process.execPath, CLI, reference],
        {
          cwd: served.home,
          env: { PATH: process.env["PATH"], HOME: served.home, WASM_TO_OCI_PASSPHRASE: PASSPHRASE },
        },
      );
      const { stdout, stderr } = await finished(child);
      expect(stdout.match(/status 6/g)).toHaveLength(2);
      expect(stderr.match(/"code":\s*"STORAGE_FULL"/g)).toHaveLength(2);
      expect(stdout.match(/app\.tar filler /g)).toHaveLength(2);
      expect(stdout).toContain(digestOf(await readFile(join(served.home, "large.tar"))));
      expect(await readdir(disk)).toEqual([]); // it was mounted for the script alone
    },
  );
});

/** Contracts on the command line, with trust data in a registry of our own: diff, explain, inspect, approval. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServed, type Served } from "../support/served.ts";
import { componentAsking, moduleAsking } from "../support/wasm-builder.ts";

let served: Served;
let repository: string;

const wasi = (...names: string[]): Uint8Array => componentAsking(...names.map((name) => `wasi:${name}@0.2.0`));

beforeAll(async () => {
  served = await startServed();
  repository = `${served.registry}/team/app`;
  const core = (...names: string[]): Uint8Array => moduleAsking("wasi_snapshot_preview1", ...names);
  await writeFile(join(served.home, "v1.wasm"), wasi("cli/stdin"));
  await writeFile(join(served.home, "v2.wasm"), wasi("cli/stdin", "sockets/tcp"));
  await writeFile(join(served.home, "old.wasm"), core("fd_write"));
  await writeFile(join(served.home, "new.wasm"), core("fd_write", "sock_open\u001b[31m"));
  await succeeds("push", "v1.wasm", `${repository}:v1`, "--sign");
  await succeeds("push", "v2.wasm", `${repository}:v2`, "--sign");
}, 60_000);

afterAll(() => served.stop());

async function succeeds(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await served.run(words);
  expect({ words, status, stderr }).toMatchObject({ status: 0 });
  return stdout;
}

describe("diff", () => {
  it("compares signed contracts of two tags", async () => {
    const text = await succeeds("diff", `${repository}:v1`, `${repository}:v2`);
    expect(text).toContain("by its signed contract");
    expect(text).toContain("+ imports wasi:sockets/tcp@0.2.0");
    const { status, stdout, stderr } = await served.run([
      "diff",
      `${repository}:v1`,
      `${repository}:v2`,
      "--exit-code",
    ]);
    expect(status).toBe(12);
    expect(stdout).toBe(text);
    expect(stderr).toContain("may do what");
    await succeeds("diff", `${repository}:v2`, `${repository}:v1`, "--exit-code");
  });

  it("says which of two files is no module", async () => {
    await writeFile(join(served.home, "notwasm.wasm"), "no module");
    for (const words of [
      ["v1.wasm", "notwasm.wasm"],
      ["notwasm.wasm", "v1.wasm"],
    ]) {
      const { status, stdout, stderr } = await served.run(["diff", ...words]);
      expect([status, stdout]).toEqual([7, ""]);
      expect(stderr).toMatch(/error: notwasm\.wasm: not a valid Wasm binary: /);
    }
    const pushed = await served.run(["push", "notwasm.wasm", `${repository}:none`, "--sign"]);
    expect([pushed.status, pushed.stdout]).toEqual([7, ""]);
    expect(pushed.stderr).toContain("error: notwasm.wasm: not a valid Wasm binary: ");
    expect((await served.run(["list", repository])).stdout).not.toContain("none");
    await succeeds("diff", "v1.wasm", "v2.wasm");
  });

  it("compares files function by function, and keeps a module's names from the terminal", async () => {
    const text = await succeeds("diff", "old.wasm", "new.wasm");
    expect(text).toContain("+ imports wasi_snapshot_preview1 sock_open");
    expect(text).not.toContain("\u001b");
    const report = JSON.parse(await succeeds("diff", "old.wasm", "new.wasm", "--format", "json")) as object;
    expect(report).toMatchObject({ widens: true, same: false, contract: { widens: false } });
  });
});

describe("inspect", () => {
  it("shows the signed contract beside what the module says", async () => {
    const text = await succeeds("inspect", `${repository}:v2`, "--deep");
    expect(text).toContain("Signed: v2 by targets, 2 imports, 0 exports, what the module does");
  });
});

describe("explain", () => {
  it("shows who may publish, by keys that are here, and the checks", async () => {
    const text = await succeeds("explain", `${repository}:v1`);
    expect(text).toContain("1. targets has signed it: this is what counts");
    expect(text).toMatch(/[0-9a-f]{64}, here as targets key/);
    expect(text).toContain("tag-agrees");
    const { authorities } = JSON.parse(await succeeds("explain", `${repository}:v1`, "--format", "json")) as {
      authorities: { keys: { held: boolean }[] }[];
    };
    expect(authorities[0]!.keys[0]!.held).toBe(true);
  });

  it("shows why a reference is refused, and ends with that status", async () => {
    const { status, stdout, stderr } = await served.run(["explain", `${repository}:v9`]);
    expect(status).toBe(11);
    expect(stdout).toContain("Refused: TARGET_NOT_FOUND");
    expect(stdout).toContain("1. targets is asked, and has not signed it");
    expect(stderr).toContain("error:");
  });

  it("says that nothing covers a reference", async () => {
    expect(await succeeds("explain", "localhost:1/nobody/knows:v1")).toContain("is not covered");
  });
});

describe("a policy that wants wider contracts approved", () => {
  it("holds a wider version until it is approved, and remembers that", async () => {
    const policy = join(served.home, "policy.json");
    const entry = { pattern: repository, widening: "approve" };
    await writeFile(policy, JSON.stringify({ version: 1, entries: [entry] }));
    const pull = (tag: string, ...more: string[]) =>
      served.run(["pull", `${repository}:${tag}`, "--policy", policy, "-o", `${tag}.out`, ...more]);
    expect(await pull("v1")).toMatchObject({ status: 0 });
    const refused = await pull("v2");
    expect(refused.status).toBe(12);
    expect(refused.stderr).toContain('import "wasi:sockets/tcp@0.2.0"');
    await expect(readFile(join(served.home, "v2.out"))).rejects.toThrow("ENOENT");
    expect(await pull("v2", "--approve")).toMatchObject({ status: 0 });
    expect(await pull("v2")).toMatchObject({ status: 0 });
    const kept = await readFile(join(served.home, ".wasm-to-oci", "approvals.json"), "utf8");
    expect(kept).toContain("wasi:sockets/tcp@0.2.0");
  });
});

/** A policy's rules where modules travel, and approvals that are taken back, as users see them. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServed, type Served } from "../support/served.ts";
import { errorOf } from "../support/victim.ts";
import { componentAsking } from "../support/wasm-builder.ts";

let served: Served;
let repository: string;

const wasi = (...names: string[]): Uint8Array => componentAsking(...names.map((name) => `wasi:${name}@0.2.0`));

async function ok(...words: string[]): Promise<{ stdout: string; stderr: string }> {
  const { status, stdout, stderr } = await served.run(words);
  expect({ words, status, stderr }).toMatchObject({ status: 0 });
  return { stdout, stderr };
}

async function refused(status: number, code: string, ...words: string[]): Promise<void> {
  const result = await served.run([...words, "--format", "json"]);
  expect(errorOf(result)).toMatchObject({ code, exitStatus: status, hint: expect.stringMatching(/\w{3}/) });
  expect([result.status, result.stdout]).toEqual([status, ""]);
}

/** Writes a policy, and gives the flag that names it. */
async function policy(name: string, ...entries: object[]): Promise<string[]> {
  await writeFile(join(served.home, name), JSON.stringify({ version: 1, entries }));
  return ["--policy", name];
}

/** A repository of the registry has nothing. */
async function isEmpty(path: string): Promise<void> {
  const { status } = await served.run(["list", `${served.registry}/${path}`]);
  expect(status).toBe(3);
}

const noSockets = { wasm: { imports: { deny: ["wasi:sockets/*"] } } };

beforeAll(async () => {
  served = await startServed();
  repository = `${served.registry}/team/app`;
  await writeFile(join(served.home, "v1.wasm"), wasi("cli/stdin"));
  await writeFile(join(served.home, "v2.wasm"), wasi("cli/stdin", "sockets/tcp"));
  await ok("push", "v1.wasm", `${repository}:v1`, "--sign");
  await ok("push", "v2.wasm", `${repository}:v2`, "--sign");
  await ok("bundle", "save", `${repository}:v1`, `${repository}:v2`, "-o", "both.tar");
}, 60_000);

afterAll(() => served.stop());

describe("rules of a policy", () => {
  it.each([
    ["the source", () => ({ pattern: repository, ...noSockets })],
    ["the destination", () => ({ pattern: `${served.registry}/mirror/{rest}`, ...noSockets })],
  ])("for %s keep a module from being copied, and let others through", async (end, entry) => {
    const flag = await policy(`copy-${end.slice(4)}.json`, entry());
    const path = `mirror/${end.slice(4)}`;
    await refused(15, "POLICY_REFUSED", "copy", `${repository}:v2`, `${served.registry}/${path}`, ...flag);
    await isEmpty(path);
    await ok("copy", `${repository}:v1`, `${served.registry}/${path}`, ...flag);
    const { stdout, stderr } = await ok("copy", "--all-tags", repository, `${served.registry}/${path}`, ...flag);
    expect(stdout).toMatch(/^v2 +left out +refused by policy/m);
    expect(stderr).toContain("wasi:sockets/tcp@0.2.0");
    expect((await ok("list", `${served.registry}/${path}`)).stdout).not.toContain("v2");
  });

  it("for the source keep a module out of a bundle, of which then nothing is there", async () => {
    const flag = await policy("save.json", { pattern: repository, ...noSockets });
    const words = ["bundle", "save", `${repository}:v1`, `${repository}:v2`, "-o", "none.tar"];
    await refused(15, "POLICY_REFUSED", ...words, ...flag);
    expect(existsSync(join(served.home, "none.tar"))).toBe(false);
    await ok("bundle", "save", `${repository}:v1`, "-o", "one.tar", ...flag);
  });

  it("for the destination hold when a bundle is loaded, signatures among them", async () => {
    const place = `${served.registry}/island/app`;
    const flag = await policy("load.json", { pattern: `${served.registry}/island/{rest}`, ...noSockets });
    const load = ["bundle", "load", "both.tar", place];
    await refused(15, "POLICY_REFUSED", ...load, `${repository}:v2`, ...flag);
    await refused(15, "POLICY_REFUSED", ...load, `${repository}:v1`, ...flag, "--dir", "nobody");
    await isEmpty("island/app");
    await ok(...load, `${repository}:v1`, ...flag);
    const other = await policy("other.json", {
      pattern: `${served.registry}/island/{rest}`,
      collection: "else/{rest}",
    });
    await refused(12, "COLLECTION_MISMATCH", ...load, `${repository}:v1`, ...other);
    expect((await ok("list", place)).stdout).toMatch(/^v1 /m);
  });

  it("are shown by list for each tag, and end in no failure", async () => {
    const flag = await policy("list.json", { pattern: repository, ...noSockets });
    const { stdout, stderr } = await ok("list", repository, ...flag);
    expect(stdout).toMatch(/^TAG .*POLICY$/m);
    expect(stdout).toMatch(/^v1 +signed .*allowed$/m);
    expect(stdout).toMatch(/^v2 +signed .*REFUSED$/m);
    expect(stderr).toContain("wasi:sockets/tcp@0.2.0");
    const report = JSON.parse((await ok("list", repository, ...flag, "--format", "json")).stdout) as {
      tags: { policy?: { verdict: string } }[];
    };
    expect(report.tags.map((tag) => tag.policy?.verdict)).toEqual(["allowed", "refused"]);
  });
});

describe("approvals", () => {
  const kept = async (): Promise<{ repository: string; kinds: string[]; imports: string[] }[]> =>
    (JSON.parse((await ok("trust", "approvals", "--format", "json")).stdout) as { approvals: [] }).approvals;

  it("hold a bundle's module as they hold a pull, and are not given by verifying one", async () => {
    const flag = [...(await policy("bundled.json", { pattern: repository, widening: "approve" })), "--dir", "islander"];
    const pin = ["--root-fingerprint", await rootKey()];
    const extract = (tag: string, ...more: string[]) => [
      "bundle",
      "extract",
      "both.tar",
      `${repository}:${tag}`,
      "-o",
      `${tag}.out`,
      ...pin,
      ...flag,
      ...more,
    ];
    await ok("bundle", "verify", "both.tar", ...pin, ...flag);
    expect((await ok("trust", "approvals", "--dir", "islander")).stdout).toBe("");
    await ok(...extract("v1"));
    await refused(12, "CONTRACT_WIDENED", ...extract("v2"));
    await refused(12, "CONTRACT_WIDENED", "bundle", "verify", "both.tar", ...pin, ...flag);
    expect(existsSync(join(served.home, "v2.out"))).toBe(false);
    await ok(...extract("v2", "--approve"));
    await ok("bundle", "verify", "both.tar", ...pin, ...flag);
    await rm(join(served.home, "v1.out"));
    await rm(join(served.home, "v2.out"));
  });

  it("are shown, taken back in part or whole, and forgotten", async () => {
    const flag = await policy("approve.json", { pattern: repository, widening: "approve" });
    const pull = (tag: string, ...more: string[]) => [
      "pull",
      `${repository}:${tag}`,
      "-o",
      "out.wasm",
      ...flag,
      ...more,
    ];
    expect(await kept()).toEqual([]);
    await ok(...pull("v1"));
    await ok(...pull("v2", "--approve"));
    const [first] = await kept();
    expect(first).toMatchObject({
      repository,
      kinds: ["component"],
      imports: ["wasi:cli/stdin@0.2.0", "wasi:sockets/tcp@0.2.0"],
    });
    expect((await ok("trust", "approvals", repository)).stdout).toContain('  may import "wasi:sockets/tcp@0.2.0"');

    const sockets = ["--import", "wasi:sockets/tcp@0.2.0"];
    await ok("trust", "approvals", repository, "--revoke", ...sockets);
    await rm(join(served.home, "out.wasm"));
    await refused(12, "CONTRACT_WIDENED", ...pull("v2"));
    expect(existsSync(join(served.home, "out.wasm"))).toBe(false);
    await ok(...pull("v1"));

    await ok("trust", "approvals", repository, "--revoke");
    expect(await kept()).toMatchObject([{ repository, kinds: [], imports: [] }]);
    await refused(12, "CONTRACT_WIDENED", ...pull("v1"));
    await ok(...pull("v1", "--approve"));

    await ok("trust", "approvals", repository, "--forget");
    expect(await kept()).toEqual([]);
    await ok(...pull("v2"));
    expect(await kept()).toMatchObject([{ imports: ["wasi:cli/stdin@0.2.0", "wasi:sockets/tcp@0.2.0"] }]);
  });

  it("are not taken back where it is not clear which, and nothing changes then", async () => {
    const file = join(served.home, ".wasm-to-oci", "approvals.json");
    const before = await readFile(file, "utf8");
    for (const words of [
      ["--revoke"],
      [repository, "--revoke", "--forget"],
      [repository, "--import", "wasi:sockets/tcp@0.2.0"],
      [repository, "--revoke", "--import", "wasi:sockets/tcp"],
      [`${repository}-other`, "--revoke"],
      [repository, "--revoke", "--collection", "other"],
    ]) {
      const result = await served.run(["trust", "approvals", ...words, "--format", "json"]);
      expect([words, errorOf(result).code, result.status, result.stdout]).toEqual([words, "USAGE", 2, ""]);
    }
    expect(await readFile(file, "utf8")).toBe(before);
    await ok("trust", "approvals", repository, "--revoke", "--collection", "team/app");
  });

  async function rootKey(): Promise<string> {
    const shown = JSON.parse((await ok("trust", "show", repository, "--format", "json")).stdout) as {
      rootKeys: { fingerprint: string }[];
    };
    return shown.rootKeys[0]!.fingerprint;
  }
});

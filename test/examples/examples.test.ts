import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLI } from "../support/cli.ts";
import { PASSPHRASE, startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";

const ROOT = join(import.meta.dirname, "..", "..");

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

let served: Served;
let reference: string;
let server: string;

function node(...args: string[]): Promise<Ended> {
  const env = { ...process.env, HOME: served.home, WASM_TO_OCI_PASSPHRASE: PASSPHRASE };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: served.home, env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

const example = (name: string, ...args: string[]): Promise<Ended> => node(join(ROOT, "examples", name), ...args);

beforeAll(async () => {
  served = await startServed();
  reference = `${served.registry}/examples/app:v1`;
  server = served.server;
  await writeFile(join(served.home, "app.wasm"), moduleBytes("app"));
  await writeFile(join(served.home, "evil.wasm"), moduleBytes("evil"));
});

afterAll(async () => served.stop());

describe("the example programs", () => {
  it("push and sign, pull verified, and verify a local file", async () => {
    const pushed = await example("push.mjs", "app.wasm", reference, server);
    expect(pushed).toMatchObject({ status: 0, stderr: "" });
    expect(pushed.stdout).toMatch(/^sha256:[0-9a-f]{64} signed until 20/);

    const pulled = await example("pull.mjs", reference, server, "pulled.wasm");
    expect(pulled).toMatchObject({ status: 0, stderr: "" });
    expect(pulled.stdout).toMatch(/^artifact verified, signed by targets, fresh until 20/);
    expect(new Uint8Array(await readFile(join(served.home, "pulled.wasm")))).toEqual(moduleBytes("app"));

    expect((await example("verify.mjs", "app.wasm", reference, server)).stdout).toContain("checks passed");
  });

  it("refuse what is not what was signed", async () => {
    const verified = await example("verify.mjs", "evil.wasm", reference, server);
    expect(verified.status).toBe(10);
    expect(verified.stderr).toContain("TARGET_MISMATCH");

    const moved = await node(CLI, "push", "evil.wasm", reference);
    expect(moved.status).toBe(0);
    const pulled = await example("pull.mjs", reference, server, "evil-pulled.wasm");
    expect(pulled.status).toBe(1);
    expect(pulled.stderr).toContain("TAG_MISMATCH");
    expect(existsSync(join(served.home, "evil-pulled.wasm"))).toBe(false);

    expect((await node(CLI, "push", "app.wasm", reference)).status).toBe(0);
    expect((await example("pull.mjs", reference, server, "pulled.wasm")).status).toBe(0);
  });
});

describe("npm run demo", () => {
  it("comes out as it must, fits on a screen and leaves nothing behind", async () => {
    const ended = await node(join(ROOT, "examples", "demo.mjs"));
    expect(ended.status).toBe(0);
    expect(ended.stdout.match(/✓/g)?.length).toBe(6);
    expect(ended.stdout).toContain("hello from wasm");
    expect(ended.stdout).toContain("your files are mine now");
    expect(ended.stdout.split("\n").length).toBeLessThan(45);
  });
});

describe("the story of trust in the registry", () => {
  it("comes out as it must without a trust server, a first registry or a network", async () => {
    const ended = await node(join(ROOT, "examples", "trust-in-the-registry.mjs"));
    expect(ended.stderr).toBe("");
    expect(ended.status).toBe(0);
    expect(ended.stdout.match(/✓/g)?.length).toBe(14);
    expect(ended.stdout).toContain("As of 20");
  });
});

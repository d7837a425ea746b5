import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { moduleBytes } from "../support/use-case.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CLI = join(ROOT, "dist", "bin", "wasm-to-oci.js");

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

let home: string;
let servers: ChildProcess;
let reference: string;
let server: string;

function node(...args: string[]): Promise<Ended> {
  const env = { ...process.env, HOME: home, WASM_TO_OCI_PASSPHRASE: "examples under test" };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: home, env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

const example = (name: string, ...args: string[]): Promise<Ended> => node(join(ROOT, "examples", name), ...args);

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "wasm-to-oci-examples-"));
  const args = ["serve", "--registry-port", "0", "--trust-port", "0", "--format", "json"];
  servers = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, HOME: home },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  for await (const chunk of servers.stdout!.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.endsWith("}\n")) break;
  }
  const urls = JSON.parse(text) as { registry: string; trust: string };
  reference = `localhost:${new URL(urls.registry).port}/examples/app:v1`;
  server = `https://localhost:${new URL(urls.trust).port}`;
  await writeFile(join(home, "app.wasm"), moduleBytes("app"));
  await writeFile(join(home, "evil.wasm"), moduleBytes("evil"));
});

afterAll(async () => {
  const ended = new Promise((resolve) => {
    servers.once("exit", resolve);
  });
  servers.kill("SIGTERM");
  await ended;
  await rm(home, { recursive: true, force: true });
});

describe("the example programs", () => {
  it("push and sign, pull verified, and verify a local file", async () => {
    const pushed = await example("push.mjs", "app.wasm", reference, server);
    expect(pushed).toMatchObject({ status: 0, stderr: "" });
    expect(pushed.stdout).toMatch(/^sha256:[0-9a-f]{64} signed until 20/);

    const pulled = await example("pull.mjs", reference, server, "pulled.wasm");
    expect(pulled).toMatchObject({ status: 0, stderr: "" });
    expect(pulled.stdout).toMatch(/^artifact verified, signed by targets, fresh until 20/);
    expect(new Uint8Array(await readFile(join(home, "pulled.wasm")))).toEqual(moduleBytes("app"));

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
    expect(existsSync(join(home, "evil-pulled.wasm"))).toBe(false);

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

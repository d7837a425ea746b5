/** What escapes every catch must not look like success. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runCli } from "../support/cli.ts";
import { startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";

vi.setConfig({ testTimeout: 60_000 });

let registry: HostileRegistry;
let home: string;

beforeEach(async () => {
  registry = await startHostileRegistry({ fault: () => ({ hang: true }) });
  home = await mkdtemp(join(tmpdir(), "wasm-to-oci-defect-"));
});

afterEach(async () => {
  await registry.stop();
  await rm(home, { recursive: true, force: true });
});

/** Runs code inside the program once it has begun and waits for a server that never answers. */
function during(code: string): ReturnType<typeof runCli> {
  const wait = `const timer = setInterval(() => {
    if (process.listenerCount("uncaughtException") === 0) return;
    clearInterval(timer);
    ${code}
  }, 10)`;
  const preload = `data:text/javascript,${encodeURIComponent(wait)}`;
  const env = { HOME: home, NODE_OPTIONS: `--import=${preload}` };
  return runCli(["pull", `${registry.host}/app:v1`, "-o", join(home, "out.wasm"), "--log", "debug"], { env });
}

describe("a defect", () => {
  it.each([
    ["an exception nobody caught", "throw new TypeError('boom')"],
    ["a rejection nobody handled", "Promise.reject(new TypeError('boom'))"],
    ["a thrown text", "throw 'boom'"],
  ])("fails on %s, and says so", async (_name, code) => {
    const { status, stdout, stderr } = await during(code);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain("error: unexpected failure");
    expect(stderr).toContain("boom");
  });
});

/** Servers that misbehave, and being interrupted: each ends in its own status and leaves nothing behind. */
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { finished, runCli, startCli, type CliResult } from "../support/cli.ts";
import { startHostileRegistry, type FaultRule, type HostileRegistry } from "../support/hostile-registry.ts";

vi.setConfig({ testTimeout: 120_000 }); // each step is a process of its own, on a machine that may be busy

const MODULE = Buffer.concat([
  Buffer.from("0061736d0100000000", "hex"),
  Buffer.from([0x80, 0x80, 0x10, 0x01, 0x78]),
  Buffer.alloc(262_142),
]);
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const PASSWORD = "canary-password-0815";

let registry: HostileRegistry;
let home: string;

beforeEach(async () => {
  registry = await startHostileRegistry();
  home = await mkdtemp(join(tmpdir(), "wasm-to-oci-hostile-"));
  const layer = registry.addBlob("app", MODULE);
  const config = registry.addBlob("app", Buffer.from("{}"));
  registry.addManifest(
    "app",
    {
      schemaVersion: 2,
      config: { mediaType: "application/vnd.wasm.config.v1+json", digest: config, size: 2 },
      layers: [{ mediaType: "application/vnd.wasm.content.layer.v1+wasm", digest: layer, size: MODULE.length }],
    },
    MANIFEST_TYPE,
    "v1",
  );
});

afterEach(async () => {
  await registry.stop();
  await rm(home, { recursive: true, force: true });
});

function run(words: readonly string[], input?: string): Promise<CliResult> {
  return runCli(words, { cwd: home, env: { HOME: home }, ...(input === undefined ? {} : { input }) });
}

function pull(...more: string[]): Promise<CliResult> {
  return run(["pull", `${registry.host}/app:v1`, "-o", "out.wasm", "-t", "1s", ...more]);
}

describe("pull from a registry that misbehaves", () => {
  const blob: (fault: ReturnType<FaultRule>) => FaultRule = (fault) => (request) =>
    request.path.includes("/blobs/") ? fault : undefined;

  it.each<[string, FaultRule, number]>([
    ["knows nothing", () => ({ status: 404, body: "{}" }), 3],
    ["asks for credentials", () => ({ status: 401, headers: { "www-authenticate": "Basic realm=x" }, body: "{}" }), 4],
    ["denies", () => ({ status: 403, body: "{}" }), 4],
    ["is broken", () => ({ status: 500, body: "no" }), 5],
    ["never answers", () => ({ hang: true }), 5],
    ["sends no manifest", (request) => (request.path.includes("/manifests/") ? { body: "[]" } : undefined), 7],
    ["sends another blob", blob({ body: Buffer.alloc(MODULE.length) }), 10],
    [
      "sends a blob without end",
      blob({ headers: { "transfer-encoding": "chunked" }, endless: Buffer.alloc(65_536) }),
      10,
    ],
    ["cuts the blob", blob({ alter: (honest) => honest, cutAfter: 1000 }), 5],
    ["stalls in the blob", blob({ alter: (honest) => honest, stallAfter: 1000 }), 5],
  ])("that %s", async (_name, fault, status) => {
    registry.setFault(fault);
    await writeFile(join(home, "out.wasm"), "what was there");
    const result = await pull();
    expect({ status: result.status, stdout: result.stdout, stderr: result.stderr }).toMatchObject({
      status,
      stdout: "",
    });
    expect(result.stderr).toMatch(/^error: /m);
    expect(await readFile(join(home, "out.wasm"), "utf8")).toBe("what was there");
    expect((await readdir(home)).filter((name) => name !== ".wasm-to-oci")).toEqual(["out.wasm"]);
    registry.setFault(undefined);
    expect(await pull()).toMatchObject({ status: 0 });
    expect(await readFile(join(home, "out.wasm"))).toEqual(MODULE);
  });

  it("shows what it says without letting it drive the terminal", async () => {
    const message = "\u001b[2Jall is well\r\n\u202eerror";
    const body = JSON.stringify({ errors: [{ code: "DENIED", message, detail: message }] });
    registry.setFault(() => ({ status: 403, headers: { "content-type": "application/json" }, body }));
    const { stderr } = await pull("--log", "debug");
    expect(stderr).toContain("all is well");
    // oxlint-disable-next-line no-control-regex -- exactly these must not come out
    expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});

describe("Ctrl-C", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "during a download: %s ends it with 130 and leaves nothing",
    async (signal) => {
      registry.setFault((request) =>
        request.path.includes("/blobs/") ? { alter: (honest) => honest, stallAfter: 1000 } : undefined,
      );
      const child = startCli(["pull", `${registry.host}/app:v1`, "-o", "out.wasm"], { cwd: home, env: { HOME: home } });
      const end = finished(child);
      await vi.waitFor(async () => expect((await readdir(home)).some((name) => name.endsWith(".tmp"))).toBe(true), {
        timeout: 30_000,
        interval: 20,
      });
      await vi.waitFor(() => expect(registry.log().some((line) => line.includes("/blobs/"))).toBe(true), {
        timeout: 30_000,
      });
      child.kill(signal);
      const { status, stdout, stderr } = await end;
      expect({ status, stdout }).toEqual({ status: 130, stdout: "" });
      expect(stderr).toMatch(/^error: interrupted/m);
      expect((await readdir(home)).filter((name) => name !== ".wasm-to-oci")).toEqual([]);
    },
  );

  it("a second time ends it at once", async () => {
    registry.setFault(() => ({ hang: true }));
    const child = startCli(["pull", `${registry.host}/app:v1`], { cwd: home, env: { HOME: home } });
    const end = once(child, "exit");
    await vi.waitFor(() => expect(registry.requests.length).toBeGreaterThan(0), { timeout: 30_000 });
    child.kill("SIGINT");
    child.kill("SIGINT");
    expect(await end).toEqual([130, null]);
  });
});

describe("login", () => {
  const wanted = `Basic ${Buffer.from(`alice:${PASSWORD}`).toString("base64")}`;
  const guarded: FaultRule = ({ headers }) =>
    headers["authorization"] === wanted
      ? undefined
      : {
          status: 401,
          headers: { "www-authenticate": 'Basic realm="here"' },
          body: '{"errors":[{"code":"UNAUTHORIZED"}]}',
        };

  it("stores credentials that work, which pull then uses, and logout removes them", async () => {
    registry.setFault(guarded);
    expect(await pull()).toMatchObject({ status: 4 });
    const login = ["login", registry.host, "-u", "alice", "--password-stdin", "--log", "debug"];
    const { status, stdout, stderr } = await run(login, `${PASSWORD}\n`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toContain(`Logged in to ${registry.host} as alice`);
    const pulled = await pull("--log", "debug");
    expect(pulled.status).toBe(0);
    expect(stderr + pulled.stderr).not.toContain(PASSWORD);
    expect(stderr + pulled.stderr).not.toContain(wanted.slice(6));
    const logout = await run(["logout", registry.host, "--format", "json"]);
    expect(JSON.parse(logout.stdout)).toEqual({ server: registry.host, removed: true });
    expect(await pull()).toMatchObject({ status: 4 });
  });

  it("stores nothing that the server refuses", async () => {
    registry.setFault(guarded);
    const refused = await run(["login", registry.host, "-u", "alice", "--password-stdin"], "wrong");
    expect(refused).toMatchObject({ status: 4, stdout: "" });
    expect(refused.stderr).not.toContain("wrong");
    expect(await readdir(home)).not.toContain(".docker");
  });

  it.each([
    { words: ["login"], input: "", message: "no user name was given" },
    { words: ["login", "-u", "alice"], input: "", message: "no password was given" },
    { words: ["login", "-u", "alice", "--password-stdin"], input: "\n", message: "stdin is empty" },
    { words: ["login", "-u", "alice", "--password-stdin"], input: "x".repeat(70_000), message: "stdin has more than" },
  ])("refuses $words with $message", async ({ words, input, message }) => {
    const { status, stderr } = await run(words, input);
    expect({ status, said: stderr.includes(message) }).toEqual({ status: 2, said: true });
  });
});

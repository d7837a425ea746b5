/** Runs that end in the middle, by a signal or by a server that dies: nothing half done, and the next run completes. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { finished, startCli } from "../support/cli.ts";
import { createFakeNotaryServer } from "../support/fake-notary-server.ts";
import type { Fault, SeenRequest } from "../support/faulty-server.ts";
import { startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";
import { makeAuthority, startHostileTrustServer, type HostileTrustServer } from "../support/hostile-trust-server.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf, expectHarmless, Victim } from "../support/victim.ts";

const notary = createFakeNotaryServer({ now: () => new Date() });
let folder: string;
let registry: HostileRegistry;
let trust: HostileTrustServer;
let user: Victim;
let releases = 0;

/** A user who publishes and pulls; one version is there. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "wasm-to-oci-authority-"));
  registry = await startHostileRegistry();
  trust = await startHostileTrustServer(await makeAuthority(folder), notary.transport);
  user = await Victim.create({ WASM_TO_OCI_TLSCACERT: trust.caFile });
  await user.succeed(await pushNext());
  await user.save();
});

beforeEach(async () => {
  registry.setFault(undefined);
  trust.setFault(undefined);
  await user.reset();
});

afterAll(async () => {
  await registry.stop();
  await trust.stop();
  await user.remove();
  await rm(folder, { recursive: true, force: true });
});

/** Writes the next version of the module and gives the command that publishes it. */
async function pushNext(): Promise<string[]> {
  const file = join(user.home, "app.wasm");
  await writeFile(file, moduleBytes(`release ${++releases}`));
  return ["push", file, `${registry.host}/app:v1`, "--server", trust.url];
}

function pullWords(): string[] {
  return ["pull", `${registry.host}/app:v1`, "-o", "app.wasm"];
}

/** Starts a command, waits until a server holds a request that matters, and kills it there. */
async function killAt(
  words: string[],
  server: HostileRegistry | HostileTrustServer,
  concerned: (request: SeenRequest) => boolean,
  how: { signal: NodeJS.Signals; fault: Fault },
) {
  let held = false;
  server.setFault((request) => {
    if (!concerned(request)) return undefined;
    held = true;
    return how.fault;
  });
  const child = startCli([...words, "--format", "json"], {
    cwd: user.work,
    env: {
      HOME: user.home,
      WASM_TO_OCI_DIR: user.dir,
      WASM_TO_OCI_TLSCACERT: trust.caFile,
      WASM_TO_OCI_PASSPHRASE: "canary-passphrase-4711",
    },
  });
  const end = finished(child);
  await vi.waitFor(() => expect(held).toBe(true), { timeout: 30_000, interval: 10 });
  child.kill(how.signal);
  const result = await end;
  server.setFault(undefined);
  expectHarmless(result);
  return result;
}

const HANG: Fault = { hang: true };
const STALL: Fault = { alter: (honest) => honest, stallAfter: 5 };
const BLOBS = ({ method, path }: SeenRequest): boolean => method === "GET" && path.includes("/blobs/");
const POLITE = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Files of the working folder but the one that is meant to be there. */
async function leftovers(): Promise<string[]> {
  return (await readdir(user.work)).filter((name) => name !== "app.wasm");
}

describe("a pull", () => {
  it.each(POLITE)("that gets %s in the download ends with 130, leaves the old file and no other", async (signal) => {
    await writeFile(join(user.work, "app.wasm"), "old");
    const before = await user.possessions();
    const result = await killAt(pullWords(), registry, BLOBS, { signal, fault: STALL });
    expect({ status: result.status, code: errorOf(result).code }).toEqual({ status: 130, code: "INTERRUPTED" });
    expect(errorOf(result).hint).toMatch(/again/);
    const after = await user.possessions();
    expect({ files: Object.keys(after), file: after["work/app.wasm"] }).toEqual({
      files: Object.keys(before),
      file: before["work/app.wasm"],
    });
    await pullsWhatIsSigned();
  });

  it.each(POLITE)("that gets %s while the trust server is silent changes nothing at all", async (signal) => {
    const before = await user.possessions();
    const result = await killAt(pullWords(), trust, ({ path }) => path.endsWith("/timestamp.json"), {
      signal,
      fault: HANG,
    });
    expect({ status: result.status, code: errorOf(result).code }).toEqual({ status: 130, code: "INTERRUPTED" });
    expect(await user.possessions()).toEqual(before);
    await pullsWhatIsSigned();
  });

  it("that is killed in the download shows nothing under the file's name, and the next one works", async () => {
    await writeFile(join(user.work, "app.wasm"), "old");
    const { status } = await killAt(pullWords(), registry, BLOBS, { signal: "SIGKILL", fault: STALL });
    expect(status).toBeNull();
    expect(await readFile(join(user.work, "app.wasm"), "utf8")).toBe("old");
    // what a killed process cannot remove is hidden and named for what it is
    expect((await leftovers()).filter((name) => !/^\.app\.wasm\.[0-9a-f]{16}\.tmp$/.test(name))).toEqual([]);
    await pullsWhatIsSigned();
  });

  it("whose registry dies in the download ends in time, leaves nothing, and works when it is back", async () => {
    const before = Object.keys(await user.possessions());
    let up: Promise<() => Promise<void>> | undefined;
    registry.setFault((request) => {
      if (!BLOBS(request)) return undefined;
      setImmediate(() => void (up ??= registry.goDown()));
      return STALL;
    });
    const result = await user.run([...pullWords(), "--format", "json", "-t", "1s"]);
    expect({ status: result.status, code: errorOf(result).code }).toEqual({ status: 5, code: "NETWORK" });
    expect(Object.keys(await user.possessions())).toEqual(before);
    await (
      await up!
    )();
    registry.setFault(undefined);
    await pullsWhatIsSigned();
  });

  it("to a program that ends early says so", async () => {
    const child = startCli(["pull", `${registry.host}/app:v1`, "-o", "-"], {
      cwd: user.work,
      env: { HOME: user.home },
    });
    child.stdout!.destroy();
    const { status, stderr } = await finished(child);
    expect({ status, said: /stdout was closed/.test(stderr) }).toEqual({ status: 6, said: true });
  });
});

/** Where a push can be killed: what has been reached by then, and whether the new version is signed already. */
const PLACES: readonly (readonly [
  string,
  () => HostileRegistry | HostileTrustServer,
  (request: SeenRequest) => boolean,
])[] = [
  ["an upload begins", () => registry, ({ method, path }) => method === "POST" && path.includes("/uploads")],
  ["a blob is sent", () => registry, ({ method, path }) => method === "PUT" && path.includes("/uploads")],
  [
    "the manifest is sent",
    () => registry,
    ({ method, path }) => method === "PUT" && path.includes("/manifests/sha256"),
  ],
  ["the collection is read", () => trust, ({ path }) => path.endsWith("/timestamp.json")],
  ["the signature is published", () => trust, ({ method }) => method === "POST"],
  ["the tag is moved", () => registry, ({ method, path }) => method === "PUT" && path.endsWith("/manifests/v1")],
];

describe.each(PLACES)("a push that is ended while %s", (place, server, concerned) => {
  it.each(["SIGTERM", "SIGKILL"] as const)("by %s can be run again, and pulls work all the time", async (signal) => {
    const formerTag = registry.manifests.get("app:v1");
    const words = await pushNext();
    const result = await killAt(words, server(), concerned, { signal, fault: HANG });
    if (signal !== "SIGKILL")
      expect({ status: result.status, code: errorOf(result).code }).toEqual({ status: 130, code: "INTERRUPTED" });
    expect(registry.manifests.get("app:v1")).toEqual(formerTag);
    const signed = place === "the tag is moved" ? releases : releases - 1;
    expect(await pulledModule()).toEqual(new Uint8Array(moduleBytes(`release ${signed}`)));
    await user.succeed(words);
    expect(registry.manifests.get("app:v1")).not.toEqual(formerTag);
    await pullsWhatIsSigned();
    await user.save();
  });
});

async function pulledModule(): Promise<Uint8Array> {
  await user.succeed([...pullWords(), "--server", trust.url]);
  const bytes = new Uint8Array(await readFile(join(user.work, "app.wasm")));
  await rm(join(user.work, "app.wasm"));
  return bytes;
}

/** The newest version is what a verified pull delivers. */
async function pullsWhatIsSigned(): Promise<void> {
  expect(await pulledModule()).toEqual(new Uint8Array(moduleBytes(`release ${releases}`)));
}

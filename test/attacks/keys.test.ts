/** Keys that cannot be used: signing is refused, nothing is published, and no key is harmed. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.ts";
import { createFakeNotaryServer } from "../support/fake-notary-server.ts";
import { startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";
import { makeAuthority, startHostileTrustServer, type HostileTrustServer } from "../support/hostile-trust-server.ts";
import { moduleBytes } from "../support/use-case.ts";
import { Victim } from "../support/victim.ts";

let folder: string;
let registry: HostileRegistry;
let trust: HostileTrustServer;
let publisher: Victim;
let releases = 0;
/** Files of the publisher's keys, by role. */
const keyFiles = new Map<string, string>();

const notary = createFakeNotaryServer({ now: () => new Date() });

/** A publisher who has signed once. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "wasm-to-oci-authority-"));
  registry = await startHostileRegistry();
  trust = await startHostileTrustServer(await makeAuthority(folder), notary.transport);
  publisher = await Victim.create({ WASM_TO_OCI_TLSCACERT: trust.caFile });
  await writeFile(join(publisher.home, "one.wasm"), moduleBytes("one"));
  await publisher.succeed(push("one", "--server", trust.url));
  await publisher.save();
  for (const name of await readdir(join(publisher.dir, "private"))) {
    const path = join(publisher.dir, "private", name);
    const role = /^role: (\w+)$/m.exec(await readFile(path, "utf8"))?.[1] ?? "root";
    keyFiles.set(role, path);
  }
});

beforeEach(() => publisher.reset());

afterAll(async () => {
  await registry.stop();
  await trust.stop();
  await publisher.remove();
  await rm(folder, { recursive: true, force: true });
});

function push(text: string, ...more: string[]): string[] {
  return ["push", join(publisher.home, `${text}.wasm`), `${registry.host}/app:v1`, "--sign", ...more];
}

/** A signed push that must be refused: neither the collection nor the tag changes; with the key back it works. */
async function pushRefused(code: ErrorCode, status: number, env: Record<string, string> = {}): Promise<string> {
  const gun = notary.guns()[0]!;
  const before = [notary.version(gun, "targets"), registry.manifests.get("app:v1")];
  const name = `next-${++releases}`; // what is signed already needs no key
  await writeFile(join(publisher.home, `${name}.wasm`), moduleBytes(name));
  const { message, hint } = await publisher.refused(push(name), code, status, { env, mayAdvance: true });
  expect([notary.version(gun, "targets"), registry.manifests.get("app:v1")]).toEqual(before);
  await publisher.reset();
  await publisher.succeed(push(name));
  return `${message}\n${hint}`;
}

function keyFile(role = "targets"): string {
  return keyFiles.get(role)!;
}

describe("a signed push is refused with", () => {
  it("a wrong passphrase", async () => {
    expect(await pushRefused("KEY_PASSPHRASE", 4, { WASM_TO_OCI_PASSPHRASE: "wrong-passphrase" })).toMatch(/targets/);
  });

  it("a wrong passphrase for one role only", async () => {
    const env = { WASM_TO_OCI_TARGETS_PASSPHRASE: "wrong-passphrase", WASM_TO_OCI_PASSPHRASE: "" };
    expect(await pushRefused("KEY_PASSPHRASE", 4, env)).not.toContain("wrong-passphrase");
  });

  it("no passphrase and no terminal", async () => {
    const said = await pushRefused("PASSPHRASE_MISSING", 2, { WASM_TO_OCI_PASSPHRASE: "" });
    expect(said).toContain("PASSPHRASE");
  });

  it("its key gone", async () => {
    await rm(keyFile());
    expect(await pushRefused("KEY_MISSING", 4)).toMatch(/targets/);
  });

  it.each<[string, (text: string) => string | Uint8Array, ErrorCode, number]>([
    ["nothing in it", () => "", "KEY_INVALID", 7],
    ["text that is no key", () => "not a key", "KEY_INVALID", 7],
    ["half of the key", (text) => text.slice(0, text.length / 2), "KEY_INVALID", 7],
    ["bytes that are no text", () => Uint8Array.of(0xff, 0xfe, 0x00), "KEY_INVALID", 7],
    ["another letter in its base64", (text) => text.replace(/\nMIH/, "\nMIX"), "KEY_INVALID", 7],
    ["the last letters of the ciphertext changed", (text) => flipTail(text), "KEY_PASSPHRASE", 4],
    [
      "a certificate in its place",
      () => "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "KEY_INVALID",
      7,
    ],
    ["a megabyte", () => "x".repeat(1024 * 1024), "LIMIT_EXCEEDED", 7],
    ["terminal escapes", () => "-----BEGIN \u001b[2J-----\nAAAA\n-----END \u001b[2J-----\n", "KEY_INVALID", 7],
  ])("a key file that has %s", async (_, change, code, status) => {
    await writeFile(keyFile(), change(await readFile(keyFile(), "utf8")));
    expect(await pushRefused(code, status)).toMatch(/key/);
  });

  it("a directory where its key file should be", async () => {
    await rm(keyFile());
    await mkdir(keyFile());
    expect(await pushRefused("FILE_UNREADABLE", 6)).toContain(keyFile());
  });

  it("a link where its key file should be", async () => {
    await rename(keyFile(), join(publisher.home, "elsewhere.key"));
    await symlink(join(publisher.home, "elsewhere.key"), keyFile());
    expect(await pushRefused("FILE_UNREADABLE", 6)).toMatch(/link/);
  });

  it("another key under its id", async () => {
    await writeFile(keyFile(), await readFile(keyFile("snapshot")));
    expect(await pushRefused("KEY_INVALID", 7)).toMatch(/key/);
  });

  it.skipIf(process.getuid?.() === 0)("a key file that may not be read", async () => {
    await chmod(keyFile(), 0);
    expect(await pushRefused("FILE_UNREADABLE", 6)).toMatch(/permission/);
  });

  it("a folder of keys that others may write to", async () => {
    await chmod(join(publisher.dir, "private"), 0o777);
    expect(await pushRefused("STATE_INVALID", 6)).toMatch(/chmod 700/);
  });
});

describe("key import refuses", () => {
  it.each<[string, string, ErrorCode, number]>([
    ["nothing", "", "KEY_INVALID", 7],
    ["text", "hello", "KEY_INVALID", 7],
    ["a broken block", "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n", "KEY_INVALID", 7],
    ["a key of no known kind", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "KEY_INVALID", 7],
  ])("%s", async (_, text, code, status) => {
    const file = join(publisher.home, "import.pem");
    await writeFile(file, text);
    const { hint } = await publisher.refused(["key", "import", file], code, status);
    expect(hint).not.toBe("");
  });

  it("a file that is not there", async () => {
    const { message } = await publisher.refused(["key", "import", "missing.pem"], "FILE_NOT_FOUND", 3);
    expect(message).toContain("missing.pem");
  });
});

describe("key passwd", () => {
  it("changes nothing where the old passphrase is wrong", async () => {
    const id = /([0-9a-f]{64})\.key$/.exec(keyFile())![1]!;
    const env = { WASM_TO_OCI_PASSPHRASE: "wrong-passphrase", WASM_TO_OCI_NEW_PASSPHRASE: "new-passphrase" };
    const report = await publisher.refused(["key", "passwd", id], "KEY_PASSPHRASE", 4, { env });
    expect(report.message).not.toContain("new-passphrase");
    await publisher.succeed(push("one"));
  });
});

/** Changes bytes of the ciphertext, not of the structure around it. */
function flipTail(text: string): string {
  return text.replace(/(.{4})(\n-----END)/, (_, tail: string, end: string) => {
    const other = tail.startsWith("A") ? "B" : "A";
    return `${other}${tail.slice(1)}${end}`;
  });
}

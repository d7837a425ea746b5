import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli, type CliResult } from "../support/cli.ts";

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "wasm-to-oci-keys-"));
});

afterEach(async () => rm(home, { recursive: true, force: true }));

function key(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return runCli(["key", ...words], { cwd: home, env: { HOME: home, ...env } });
}

async function generated(): Promise<string> {
  const { stdout } = await key(["generate", "--role", "alice", "--format", "json"], {
    WASM_TO_OCI_PASSPHRASE: "first-one",
  });
  return (JSON.parse(stdout) as { id: string }).id;
}

describe("key", () => {
  it("makes, lists, exports, imports and removes keys", async () => {
    const id = await generated();
    const listed = await key(["list"]);
    expect(listed.stdout).toMatch(new RegExp(`^${id}  alice {2}- {11}yes$`, "m"));
    expect(await key(["export", id.slice(0, 8), "-o", "backup.pem"])).toMatchObject({ status: 0, stdout: "" });
    expect((await stat(join(home, "backup.pem"))).mode & 0o777).toBe(0o600);
    const pem = await readFile(join(home, "backup.pem"), "utf8");
    expect(pem).toContain("BEGIN ENCRYPTED PRIVATE KEY");
    expect(await key(["export"])).toMatchObject({ status: 0, stdout: pem });

    const refused = await key(["export", id, "-o", "backup.pem"]);
    expect(refused).toMatchObject({ status: 6 });
    expect(refused.stderr).toContain("may be the only copy of other keys");
    expect(await readFile(join(home, "backup.pem"), "utf8")).toBe(pem);
    expect(await key(["export", id, "-o", "backup.pem", "--yes"])).toMatchObject({ status: 0 });

    expect(await key(["remove", id])).toMatchObject({ status: 2 });
    expect(await key(["remove", id, "--yes"])).toMatchObject({ status: 0 });
    expect((await key(["list"])).stdout).toBe("");
    expect(await key(["remove", id, "--yes"])).toMatchObject({ status: 4 });
    expect(await key(["import", "backup.pem"])).toMatchObject({ status: 0 });
    const again = await key(["import", "backup.pem", "--format", "json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ keys: [{ id, role: "alice", added: false, collection: null }] });
  });

  it("prints a public key for whoever delegates", async () => {
    const { status, stdout } = await key(["generate"], { SIGNY_DELEGATION_PASSPHRASE: "of-the-2019-tool" });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n$/);
  });

  it("shows the names that trust data has for keys, once they are opened", async () => {
    const made = await key(["generate", "--role", "alice", "--format", "json"], {
      WASM_TO_OCI_PASSPHRASE: "first-one",
    });
    const { id, fingerprint } = JSON.parse(made.stdout) as { id: string; fingerprint: string };
    const open = { WASM_TO_OCI_PASSPHRASE: "first-one" };
    const listed = await key(["list", "--fingerprints", "--format", "json"], open);
    const { keys } = JSON.parse(listed.stdout) as { keys: { tufKeyId: string }[] };
    expect(keys).toEqual([expect.objectContaining({ id, fingerprint, role: "alice" })]);
    expect(keys[0]!.tufKeyId).toMatch(/^[0-9a-f]{64}$/);
    expect([id, fingerprint]).not.toContain(keys[0]!.tufKeyId);
    const { stdout } = await key(["list", "--fingerprints"], open);
    expect(stdout).toContain(`fingerprint  ${fingerprint}\n`);
    expect(stdout).toContain(`TUF key id   ${keys[0]!.tufKeyId}\n`);
    const wrong = await key(["list", "--fingerprints"], { WASM_TO_OCI_PASSPHRASE: "another-one" });
    expect([wrong.status, wrong.stdout]).toEqual([4, ""]);
    expect(wrong.stderr).toContain("passphrase");
    expect((await key(["list"])).stdout).toContain(id);
  });

  it.each([
    "WASM_TO_OCI_TARGETS_PASSPHRASE",
    "WASM_TO_OCI_PASSPHRASE",
    "SIGNY_TARGETS_PASSPHRASE",
    "NOTARY_TARGETS_PASSPHRASE",
    "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
  ])("takes the passphrase of a targets key from %s", async (variable) => {
    const words = ["generate", "--role", "targets", "--gun", "localhost:5000/x"];
    expect(await key(words, { [variable]: "long enough" })).toMatchObject({ status: 0 });
  });

  it("changes a passphrase, so that the old one no longer opens the key", async () => {
    const id = await generated();
    const change = (from: string, to: string): Promise<CliResult> =>
      key(["passwd", id.slice(0, 7)], { WASM_TO_OCI_PASSPHRASE: from, WASM_TO_OCI_NEW_PASSPHRASE: to });
    expect(await change("wrong-one", "second-one")).toMatchObject({ status: 4 });
    expect(await change("first-one", "second-one")).toMatchObject({ status: 0 });
    const refused = await change("first-one", "third-one");
    expect(refused).toMatchObject({ status: 4, stdout: "" });
    expect(refused.stderr).not.toContain("first-one");
    expect(await change("second-one", "third-one")).toMatchObject({ status: 0 });
  });

  it("makes no key where no passphrase can be had, and says where one could come from", async () => {
    const { status, stderr } = await key(["generate"]);
    expect(status).toBe(2);
    expect(stderr).toContain("no passphrase was given");
    expect(stderr).toContain("WASM_TO_OCI_PASSPHRASE");
    expect((await key(["list"])).stdout).toBe("");
  });

  it.each([
    { words: ["export"], status: 4 },
    { words: ["export", "0123456"], status: 4 },
    { words: ["passwd", "01"], status: 2 },
    { words: ["passwd", "../../etc"], status: 2 },
    { words: ["import", "absent.pem"], status: 3 },
    { words: ["import", "text.pem"], status: 7 },
    { words: ["generate", "--role", "targets"], status: 2 },
  ])("refuses $words", async ({ words, status }) => {
    await writeFile(join(home, "text.pem"), "no key\n");
    const result = await key(words, { WASM_TO_OCI_PASSPHRASE: "long enough" });
    expect(result).toMatchObject({ status, stdout: "" });
    expect(result.stderr).toMatch(/^error: /);
  });

  it("lists what is no usable key as a problem", async () => {
    const id = await generated();
    await writeFile(join(home, ".wasm-to-oci/private", `${"0".repeat(64)}.key`), "damaged");
    const { status, stdout, stderr } = await key(["list"]);
    expect({ status, rows: stdout.trimEnd().split("\n").length }).toEqual({ status: 0, rows: 2 });
    expect(stdout).toContain(id);
    expect(stderr).toContain("is no usable key");
  });
});

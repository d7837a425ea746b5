/** A16: what a publisher must keep to himself is in no output, no published or stored file, and open to nobody else. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { base64Encode, hexEncode, ownBytes } from "../../src/base/bytes.ts";
import type { PrivateKey } from "../../src/keys/private-key.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { runCli, type CliResult } from "../support/cli.ts";

const PASSPHRASE = "correct horse battery staple";
const WRONG = "incorrect horse battery staple";
const REFERENCE = "registry.example/acme/app";

const dir = mkdtempSync(join(tmpdir(), "tuf-secrets-"));
const trust = join(dir, "trust");
const place = join(dir, "published");
/** Keys, and those that a rotation has put out of use. */
const KEY_FOLDERS = [join(trust, "private"), join(trust, "retired")];
const outputs: CliResult[] = [];

async function run(words: readonly string[], passphrase = PASSPHRASE): Promise<CliResult> {
  const env = { WASM_TO_OCI_PASSPHRASE: passphrase, HOME: dir };
  const result = await runCli([...words, "--dir", trust, "--log", "debug"], { env });
  outputs.push(result);
  return result;
}

const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** Each private key, as it may be written: in hex and in base64, and the passphrases that were given. */
async function secrets(): Promise<string[]> {
  const store = openKeyDir(trust);
  const found: string[] = [PASSPHRASE, WRONG];
  for (const { id } of await store.list()) {
    const key = (await store.open(id, async () => PASSPHRASE)) as PrivateKey;
    const seed = ownBytes(key.toPkcs8().slice(-32));
    found.push(hexEncode(seed), base64Encode(seed).slice(0, 40));
  }
  return found;
}

/** What a publisher does, with one wrong passphrase on the way. */
async function lifecycle(): Promise<void> {
  const at = ["--trust", place];
  const done = [
    await run(["trust", "init", REFERENCE, ...at]),
    await run(["trust", "rotate", REFERENCE, "targets", ...at]),
    await run(["key", "generate"]),
    await run(["trust", "status", REFERENCE, ...at, "--format", "json"]),
    await run(["key", "list", "--format", "json"]),
  ];
  const denied = await run(["trust", "rotate", REFERENCE, "targets", ...at], WRONG);
  const statuses = [...done, denied].map(({ status }) => status).join();
  if (statuses !== "0,0,0,0,0,4") throw new Error(`not what was to be looked at: ${statuses} ${denied.stderr}`);
}

describe("a publisher's secrets", () => {
  beforeAll(lifecycle);
  afterAll(() => rmSync(dir, { recursive: true }));

  it("are in no line that a command prints, whether it works or not, and however much it is asked to say", async () => {
    const text = outputs.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    const all = await secrets();
    expect(all).toHaveLength(2 + 2 * 5);
    expect(all.filter((secret) => text.includes(secret))).toEqual([]);
    expect(text).not.toContain("PRIVATE KEY");
  });

  it("are in no file that is published, or that is kept beside the keys", async () => {
    const all = await secrets();
    const open = files(dir).filter((file) => !KEY_FOLDERS.some((folder) => file.startsWith(folder)));
    expect(open.some((file) => file.endsWith("timestamp.json"))).toBe(true);
    const telling = open.filter((file) => {
      const text = readFileSync(file, "latin1");
      return [...all, "PRIVATE KEY"].some((secret) => text.includes(secret));
    });
    expect(telling).toEqual([]);
  });

  it("are in files that are encrypted, and that nobody else may read or replace", async () => {
    const keys = KEY_FOLDERS.flatMap(files);
    expect(keys).toHaveLength(6);
    const all = await secrets();
    for (const file of keys) {
      const text = readFileSync(file, "utf8");
      expect(text).toContain("-----BEGIN ENCRYPTED PRIVATE KEY-----");
      expect(all.filter((secret) => text.replaceAll("\n", "").includes(secret))).toEqual([]);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
    for (const folder of [trust, ...KEY_FOLDERS]) expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it("stay where they are: nothing of the keys is in the place that others read", () => {
    expect(existsSync(join(place, "private"))).toBe(false);
    expect(files(place).filter((file) => !/\/metadata\/(?:\d+\.)?[a-z]+\.json$/.test(file))).toEqual([]);
  });
});

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { keyStoreContract } from "../keys/key-store-contract.ts";
import { bundle, finished, start, withoutRights } from "../support/bundled-script.ts";
import {
  always,
  codeOf,
  notary,
  NOTARY_KEYS,
  notaryKeyNames,
  notaryPassphrase,
  openssl,
} from "../support/key-fixtures.ts";

const ROOT = "2e6d9b55a3fca7bd3c83ea0a50375ca3160982c267d7a73c2383383c6ddecede";
const ALICE = "cfc6b9e6cdbbaf55ca65e67a0fe0878f14bf95b7a49e3abfec4f39842d01be87";
const created: string[] = [];
let dir: string;

function newDirectory(): string {
  const made = mkdtempSync(join(tmpdir(), "wasm-to-oci-keys-"));
  created.push(made);
  return made;
}

/** A trust directory of Notary's. */
function notaryDirectory(): string {
  const made = newDirectory();
  cpSync(join(NOTARY_KEYS, "private"), join(made, "private"), { recursive: true });
  chmodSync(join(made, "private"), 0o700);
  return made;
}

const file = (id: string): string => join(dir, "private", `${id}.key`);

beforeEach(() => (dir = notaryDirectory()));
afterEach(() => {
  for (const made of created.splice(0)) rmSync(made, { recursive: true, force: true });
});

describe("a directory of keys", () => {
  keyStoreContract(async () => {
    const made = newDirectory();
    return () => openKeyDir(made);
  });
});

describe("Notary's trust directory", () => {
  test("is listed and every key opens", async () => {
    const store = openKeyDir(dir);
    const keys = await store.list();
    expect(keys.map(({ id }) => `${id}.key`)).toEqual((await notaryKeyNames()).toSorted());
    for (const { id, role } of keys) expect(await store.open(id, always(notaryPassphrase(role)))).toBeDefined();
    expect(keys.filter(({ gun }) => gun !== undefined)).toMatchObject([
      { role: "targets", gun: "localhost:5000/demo/hello" },
      { role: "targets", gun: "ed/gun" },
    ]);
  });

  test("is not touched by reading", async () => {
    const before = readdirSync(dir, { recursive: true });
    const store = openKeyDir(dir);
    await store.list();
    await store.open(ROOT, always("rootpass1"));
    expect(readdirSync(dir, { recursive: true })).toEqual(before);
  });
});

test("creates nothing before the first key, then private directories and files", async () => {
  const made = join(newDirectory(), "deep", "trust");
  const store = openKeyDir(made);
  expect(await store.list()).toEqual([]);
  expect(existsSync(made)).toBe(false);
  const id = await store.add(await PrivateKey.generate(), { role: "root" }, always("x"));
  expect(statSync(join(made, "private")).mode & 0o777).toBe(0o700);
  expect(statSync(join(made, "private", `${id}.key`)).mode & 0o777).toBe(0o600);
  expect(readdirSync(made)).toEqual(["private"]);
});

test("keeps a retired key where no program looks for keys, and never replaces a backup", async () => {
  const store = openKeyDir(dir);
  const text = readFileSync(file(ALICE), "utf8");
  const first = (await store.retire(ALICE))!;
  writeFileSync(file(ALICE), text.replace("role: alice", "role: again"), { mode: 0o600 });
  const second = (await store.retire(ALICE))!;
  expect(readFileSync(first, "utf8")).toBe(text);
  expect(readFileSync(second, "utf8")).toContain("role: again");
  expect(statSync(join(dir, "retired")).mode & 0o777).toBe(0o700);
  expect((await openKeyDir(dir).list()).some(({ id }) => id === ALICE)).toBe(false);
});

describe("files that are no usable keys are reported and left alone:", () => {
  const key = "d".repeat(64);
  test.each([
    ["another key under its name", () => renameSync(file(ROOT), file(key)), undefined],
    ["text", () => writeFileSync(file(key), "hello"), "KEY_INVALID"],
    ["bytes that are no text", () => writeFileSync(file(key), Buffer.of(0xff, 0xfe)), "KEY_INVALID"],
    ["nothing", () => writeFileSync(file(key), ""), "KEY_INVALID"],
    ["half a key", () => writeFileSync(file(key), notary("alice-key.pem").slice(0, 300)), "KEY_INVALID"],
    ["two keys", () => writeFileSync(file(key), notary("exported.pem")), "KEY_INVALID"],
    ["100 kB", () => writeFileSync(file(key), "x".repeat(100_000)), "LIMIT_EXCEEDED"],
    ["a link, which Notary does not follow either", () => symlinkSync(file(ROOT), file(key)), "FILE_UNREADABLE"],
    ["a name that is no id", () => writeFileSync(file("my-key"), notary("alice-key.pem")), "KEY_INVALID"],
  ])("%s", async (_, spoil, code) => {
    spoil();
    const before = readdirSync(join(dir, "private")).map((name) => [name, statSync(join(dir, "private", name)).size]);
    const store = openKeyDir(dir);
    const problems = await store.problems();
    expect(problems.map(({ error }) => error.code)).toEqual(code === undefined ? [] : [code]);
    expect(await codeOf(() => store.open(key, always("rootpass1")))).not.toBe("KEY_PASSPHRASE");
    expect((await store.list()).some(({ role }) => role === "alice")).toBe(true);
    expect(await store.open(ALICE, always("delegpass1"))).toBeDefined();
    const after = readdirSync(join(dir, "private")).map((name) => [name, statSync(join(dir, "private", name)).size]);
    expect(after).toEqual(before);
  });

  test("a key that was exchanged is not opened, whatever its passphrase", async () => {
    writeFileSync(file(ROOT), readFileSync(file(ALICE)));
    const failure = openKeyDir(dir).open(ROOT, always("delegpass1"));
    await expect(failure).rejects.toMatchObject({ code: "KEY_INVALID", details: { expected: ROOT, got: ALICE } });
  });

  test("a damaged file is not replaced by adding its key: it may be all that is left", async () => {
    const [exported, made] = [notary("alice-key-with-path.pem"), newDirectory()];
    mkdirSync(join(made, "private"), { mode: 0o700 });
    writeFileSync(join(made, "private", `${ALICE}.key`), "damaged");
    expect(await codeOf(() => openKeyDir(made).importPem(exported, {}, always("x")))).toBe("KEY_INVALID");
    expect(readFileSync(join(made, "private", `${ALICE}.key`), "utf8")).toBe("damaged");
  });
});

test("reads the layout before Notary 0.4, and does not change it", async () => {
  const made = newDirectory();
  const [roots, others] = [
    join(made, "private", "root_keys"),
    join(made, "private", "tuf_keys", "localhost:5000", "x"),
  ];
  mkdirSync(roots, { recursive: true, mode: 0o700 });
  mkdirSync(others, { recursive: true, mode: 0o700 });
  const bare = (name: string): string =>
    notary(`private/${name}.key`)
      .replace(/^(?:gun|role): .*\n/gm, "")
      .replace("KEY-----\n\n", "KEY-----\n");
  writeFileSync(join(roots, `${ROOT}_root.key`), bare(ROOT));
  writeFileSync(join(others, `${ALICE}_targets.key`), bare(ALICE));
  const store = openKeyDir(made);
  expect(await store.list()).toMatchObject([
    { id: ROOT, role: "root", gun: undefined },
    { id: ALICE, role: "targets", gun: "localhost:5000/x" },
  ]);
  expect(await store.problems()).toEqual([]);
  expect(await store.open(ROOT, always("rootpass1"))).toBeDefined();
  expect(await store.open(ALICE, always("delegpass1"))).toBeDefined();
  expect(await codeOf(() => store.remove(ROOT))).toBe("STATE_INVALID");
  expect(await codeOf(() => store.retire(ALICE))).toBe("STATE_INVALID");
  expect(existsSync(join(roots, `${ROOT}_root.key`))).toBe(true);
  expect(await store.exportPem([ALICE])).toContain(`gun: localhost:5000/x\npath: ${ALICE}\nrole: targets\n`);
});

test.skipIf(process.platform === "win32")("refuses a directory that others can change", async () => {
  for (const mode of [0o777, 0o770, 0o702]) {
    chmodSync(join(dir, "private"), mode);
    expect(await codeOf(() => openKeyDir(dir).list())).toBe("STATE_INVALID");
    expect(await codeOf(() => openKeyDir(dir).open(ROOT, always("rootpass1")))).toBe("STATE_INVALID");
  }
  chmodSync(join(dir, "private"), 0o755);
  expect(await openKeyDir(dir).open(ROOT, always("rootpass1"))).toBeDefined();
});

test("says what is wrong where the keys cannot be read or written", async () => {
  const made = newDirectory();
  writeFileSync(join(made, "private"), "a file");
  expect(await codeOf(() => openKeyDir(made).list())).toBe("FILE_NOT_FOUND");
  const key = await PrivateKey.generate();
  expect(await codeOf(() => openKeyDir(made).add(key, { role: "root" }, always("x")))).toMatch(
    /^(FILE_NOT_FOUND|STORAGE_FAILED)$/,
  );
  expect(await codeOf(() => openKeyDir(join(made, "private")).add(key, { role: "root" }, always("x")))).toMatch(
    /^(FILE_NOT_FOUND|STORAGE_FAILED)$/,
  );
  expect(readFileSync(join(made, "private"), "utf8")).toBe("a file");
});

test("reports a key file without the right to read it, and uses the others", async () => {
  chmodSync(dir, 0o755);
  chmodSync(join(dir, "private"), 0o755);
  for (const name of readdirSync(join(dir, "private"))) chmodSync(join(dir, "private", name), 0o644);
  chmodSync(file(ROOT), 0o000);
  const script = await bundle(`
    import { openKeyDir } from "../../src/node/key-dir.ts";
    const store = openKeyDir(${JSON.stringify(dir)});
    console.log((await store.list()).length, (await store.problems()).map(({ error }) => error.code).join());
    try { await store.open(${JSON.stringify(ROOT)}, async () => "rootpass1"); } catch (error) { console.log(error.code); }
    console.log((await store.open(${JSON.stringify(ALICE)}, async () => "delegpass1")) !== undefined);
    try { await store.remove(${JSON.stringify(ALICE)}); } catch (error) { console.log(error.code); }`);
  chmodSync(join(script, ".."), 0o755);
  const { stdout, stderr } = await finished(start([process.execPath, script], withoutRights()));
  expect(`${stdout}${stderr}`).toBe("6 FILE_UNREADABLE\nFILE_UNREADABLE\ntrue\nSTORAGE_DENIED\n");
  expect(existsSync(file(ALICE))).toBe(true);
});

test("imports OpenSSL's old encryption", async () => {
  const made = newDirectory();
  const text = openssl("p256-aes256.sec1.pem") + openssl("rsa2048-aes128.pkcs1.pem");
  const keys = await openKeyDir(made).importPem(text, { role: "root" }, always("testpass"));
  expect(keys.map(({ added }) => added)).toEqual([true, true]);
  for (const { id, location } of keys) {
    expect(await openKeyDir(made).open(id, always("testpass"))).toBeDefined();
    expect(readFileSync(location, "utf8")).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\nrole: root\n\n/);
  }
});

test("keys that many processes add at once are all there", async () => {
  const made = newDirectory();
  const script = await bundle(`
    import { openKeyDir } from "../../src/node/key-dir.ts";
    import { PrivateKey } from "../../src/keys/private-key.ts";
    const store = openKeyDir(${JSON.stringify(made)});
    for (let i = 0; i < 5; i++) console.log(await store.add(await PrivateKey.generate(), { role: "root" }, async () => "x"));`);
  const ends = await Promise.all(Array.from({ length: 4 }, () => finished(start([process.execPath, script]))));
  const added = ends.flatMap(({ stdout }) => stdout.trim().split("\n"));
  expect(added.length).toBe(20);
  expect((await openKeyDir(made).list()).map(({ id }) => id)).toEqual(added.toSorted());
}, 60_000);

/** Keys that go back and forth between us, `notary` and `openssl`. */
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createSelfSignedCertificate, parseCertificates } from "../../src/keys/certificate.ts";
import { encryptPkcs8 } from "../../src/keys/encrypted-pkcs8.ts";
import { formatKey } from "../../src/keys/notary-key-file.ts";
import { canonicalKeyId } from "../../src/keys/notary-key-id.ts";
import { formatPem, parsePem } from "../../src/keys/pem.ts";
import { PrivateKey, type KeyAlgorithmName } from "../../src/keys/private-key.ts";
import type { PassphraseProvider } from "../../src/keys/signer.ts";
import { openKeyDir } from "../../src/node/key-dir.ts";
import { openLocalCa } from "../../src/node/local-ca.ts";
import { always, NOTARY_KEYS, openssl } from "../support/key-fixtures.ts";
import { runCommand, type CommandResult } from "../support/peer-process.ts";
import {
  describeWithPeers,
  findPeers,
  NOTARY_PASSPHRASES,
  notaryCli,
  startNotaryServer,
  type NotaryServer,
} from "../support/peers.ts";

const GUN = "localhost:5000/demo/keys";
const ALGORITHMS: KeyAlgorithmName[] = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519"];
let dir: string;

beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "wasm-to-oci-peer-keys-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The passphrases that the notary command is given. */
const passphrases: PassphraseProvider = async ({ role }) =>
  NOTARY_PASSPHRASES[role as keyof typeof NOTARY_PASSPHRASES] ?? NOTARY_PASSPHRASES.delegation;

async function notary(args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
  return notaryCli(args, { dir, server: "https://localhost:1", ca: "/nonexistent", env });
}

async function successful(result: Promise<CommandResult>): Promise<string> {
  const { status, output } = await result;
  expect(`${status} ${output}`).toMatch(/^0 /);
  return output;
}

describeWithPeers(["notary"], "notary, without a server,", () => {
  test.each(ALGORITHMS)("lists and opens the %s keys that we store", async (algorithm) => {
    const store = openKeyDir(dir);
    const ids = [
      await store.add(await PrivateKey.generate(algorithm), { role: "root" }, passphrases),
      await store.add(await PrivateKey.generate(algorithm), { role: "targets", gun: GUN }, passphrases),
      await store.add(await PrivateKey.generate(algorithm), { role: "targets/releases" }, passphrases),
    ];
    const listed = await successful(notary(["key", "list"]));
    expect(listed).toMatch(new RegExp(`root +${ids[0]}`));
    expect(listed).toMatch(new RegExp(`targets +${GUN} +${ids[1]}`));
    expect(listed).toMatch(new RegExp(`targets/releases +${ids[2]}`));
    for (const id of ids) {
      const before = readFileSync(join(dir, "private", `${id}.key`), "utf8");
      await successful(notary(["key", "passwd", id])); // opens the key and writes it anew
      const after = readFileSync(join(dir, "private", `${id}.key`), "utf8");
      expect(after).not.toBe(before);
      expect(after.length).toBe(before.length);
      expect(await openKeyDir(dir).open(id, passphrases)).toBeDefined();
    }
  });

  test("opens an RSA key that we imported, and refuses a wrong passphrase", async () => {
    const [key] = await openKeyDir(dir).importPem(openssl("rsa2048.pem"), { role: "root" }, passphrases);
    await successful(notary(["key", "passwd", key!.id]));
    expect(await openKeyDir(dir).open(key!.id, passphrases)).toBeDefined();
    const { status } = await notary(["key", "passwd", key!.id], { NOTARY_ROOT_PASSPHRASE: "wrong" });
    expect(status).toBe(1);
  });

  test("imports what we export, and we import what it exports", async () => {
    const store = openKeyDir(dir);
    const ids = [
      await store.add(await PrivateKey.generate(), { role: "root" }, passphrases),
      await store.add(await PrivateKey.generate(), { role: "targets", gun: GUN }, passphrases),
      await store.add(await PrivateKey.generate("ed25519"), { role: "alice" }, passphrases),
    ].toSorted();
    const [ours, theirs] = [join(dir, "ours.pem"), join(dir, "theirs.pem")];
    writeFileSync(ours, await store.exportPem(ids));
    await successful(notary(["key", "export", "-o", theirs]));
    expect(blocks(readFileSync(theirs, "utf8"))).toEqual(blocks(readFileSync(ours, "utf8")));
    rmSync(join(dir, "private"), { recursive: true });
    await successful(notary(["key", "import", ours]));
    expect((await openKeyDir(dir).list()).map(({ id }) => id)).toEqual(ids);
    rmSync(join(dir, "private"), { recursive: true });
    await openKeyDir(dir).importPem(readFileSync(theirs, "utf8"), {}, always(undefined));
    for (const id of ids) {
      expect(await openKeyDir(dir).open(id, passphrases)).toBeDefined();
      await successful(notary(["key", "passwd", id]));
    }
  });

  test("writes keys of its own beside ours that we open", async () => {
    const output = await successful(notary(["key", "generate", "--role", "root"]));
    const id = /[0-9a-f]{64}/.exec(output)![0];
    const key = await openKeyDir(dir).open(id, passphrases);
    expect(await canonicalKeyId(key!.publicKey)).toBe(id);
    await openKeyDir(dir).changePassphrase(id, async ({ isNew }) => (isNew ? "another one" : NOTARY_PASSPHRASES.root));
    await successful(notary(["key", "passwd", id], { NOTARY_ROOT_PASSPHRASE: "another one" }));
    await openKeyDir(dir).retire(id);
    expect(await successful(notary(["key", "list"]))).toContain("No signing keys found");
  });

  test("makes a key pair in files that it cannot import itself, and we can", async () => {
    await successful(notary(["key", "generate", "--role", "alice", "-o", join(dir, "alice")]));
    expect((await notary(["key", "import", join(dir, "alice-key.pem")])).status).toBe(1);
    const text = readFileSync(join(dir, "alice-key.pem"), "utf8");
    const [key] = await openKeyDir(dir).importPem(text, {}, passphrases);
    expect(await successful(notary(["key", "list"]))).toMatch(new RegExp(`alice +${key!.id}`));
  });

  test("removes a key that we then no longer have", async () => {
    cpSync(join(NOTARY_KEYS, "private"), join(dir, "private"), { recursive: true });
    chmodSync(join(dir, "private"), 0o700);
    const { id } = (await openKeyDir(dir).list())[0]!;
    const { status } = await notaryCli(["key", "remove", id], { dir, server: "https://x", ca: "/x", input: "yes\n" });
    expect(status).toBe(0);
    expect(await openKeyDir(dir).open(id, passphrases)).toBeUndefined();
  });
});

describeWithPeers(["notary", "notary-server", "notary-signer", "openssl"], "notary, with a server,", () => {
  let server: NotaryServer;
  beforeAll(async () => {
    server = await startNotaryServer();
  }, 60_000);
  afterAll(() => server.stop());

  const command = (args: readonly string[]) => notaryCli(args, { dir, server: server.url, ca: server.caFile, env: {} });

  test("signs with a root key that we made, and we keep all keys that it makes", async () => {
    const id = await openKeyDir(dir).add(await PrivateKey.generate(), { role: "root" }, passphrases);
    const output = await successful(command(["init", `${GUN}/reuse`, "--publish"]));
    expect(output).toContain(`Root key found, using: ${id}`);
    const roles = (await openKeyDir(dir).list()).map(({ role }) => role).toSorted();
    expect(roles).toEqual(["root", "snapshot", "targets"]);
    for (const key of await openKeyDir(dir).list())
      expect(await openKeyDir(dir).open(key.id, passphrases)).toBeDefined();
  });

  test.each([
    ["an ECDSA key", `${GUN}/ecdsa`, async () => PrivateKey.generate()],
    ["a name of 200 characters", `${GUN}/${"long/".repeat(35)}x`, async () => PrivateKey.generate()],
    ["a P-384 key", `${GUN}/p384`, async () => PrivateKey.generate("ecdsa-p384")],
    ["an RSA key", `${GUN}/rsa`, async () => PrivateKey.fromPkcs8(parsePem(openssl("rsa2048.pem"))[0]!.bytes)],
  ])("accepts our root certificate: %s", async (_, gun, make) => {
    const key = await make();
    const now = Date.now();
    const certificate = await createSelfSignedCertificate({
      commonName: gun,
      signer: key,
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + 3650 * 24 * 60 * 60 * 1000),
    });
    const [keyFile, certificateFile] = [join(dir, "root.pem"), join(dir, "root.crt")];
    writeFileSync(keyFile, await formatKey(key, { role: "root" }, NOTARY_PASSPHRASES.root));
    writeFileSync(certificateFile, certificate);
    await successful(command(["init", gun, "--rootkey", keyFile, "--rootcert", certificateFile, "--publish"]));
    rmSync(join(dir, "tuf"), { recursive: true });
    await successful(command(["list", gun])); // as a client that sees the collection for the first time
    const root = JSON.parse(readFileSync(join(dir, "tuf", gun, "metadata", "root.json"), "utf8"));
    const keys = Object.values(root.signed.keys as Record<string, { keyval: { public: string } }>);
    expect(keys.map(({ keyval }) => Buffer.from(keyval.public, "base64").toString())).toContain(certificate);
  });
});

describeWithPeers(["openssl"], "openssl", () => {
  const run = (args: readonly string[], input?: string) =>
    runCommand(findPeers().openssl!, args, input === undefined ? {} : { input });

  test.each(ALGORITHMS)("opens our encrypted %s keys", async (algorithm) => {
    const key = await PrivateKey.generate(algorithm);
    const bytes = await encryptPkcs8(key.toPkcs8(), "passphrase");
    const pem = formatPem({ label: "ENCRYPTED PRIVATE KEY", headers: new Map(), bytes });
    const { status, stdout } = await run(["pkcs8", "-passin", "pass:passphrase"], pem);
    expect(status).toBe(0);
    expect(parsePem(stdout)[0]!.bytes).toEqual(key.toPkcs8());
    expect((await run(["pkcs8", "-passin", "pass:wrong"], pem)).status).not.toBe(0);
  });

  test("accepts our authority and its server certificates by its strictest rules", async () => {
    const ca = await openLocalCa(dir);
    const { cert } = await ca.serverCertificate(["registry.internal"]);
    writeFileSync(join(dir, "server.crt"), cert);
    for (const host of [
      ["-verify_hostname", "registry.internal"],
      ["-verify_hostname", "localhost"],
      ["-verify_ip", "::1"],
    ]) {
      const checks = ["-x509_strict", "-check_ss_sig", "-purpose", "sslserver", ...host];
      const { status, output } = await run([
        "verify",
        ...checks,
        "-CAfile",
        join(dir, "ca.pem"),
        join(dir, "server.crt"),
      ]);
      expect(`${status} ${output}`).toMatch(/^0 .*OK/s);
    }
    const other = ["-verify_hostname", "other.internal", "-CAfile", join(dir, "ca.pem"), join(dir, "server.crt")];
    expect((await run(["verify", ...other])).status).not.toBe(0);
  });

  test.each(ALGORITHMS)("accepts the signature of our root certificate by an %s key", async (algorithm) => {
    const signer = await PrivateKey.generate(algorithm);
    const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000_000)];
    const pem = await createSelfSignedCertificate({ commonName: GUN, signer, notBefore, notAfter });
    writeFileSync(join(dir, "root.crt"), pem);
    const { status, output } = await run([
      "verify",
      "-check_ss_sig",
      "-partial_chain",
      "-CAfile",
      join(dir, "root.crt"),
      join(dir, "root.crt"),
    ]);
    expect(`${status} ${output}`).toMatch(/^0 .*OK/s);
    const text = await run(["x509", "-noout", "-text", "-in", join(dir, "root.crt")]);
    expect(text.stdout).toContain(`Subject: CN = ${GUN}`);
    expect(text.stdout).toContain("Code Signing");
  });

  test("makes certificates of every kind that we read in agreement with it", async () => {
    for (const [name, options] of [
      ["ec.crt", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]],
      ["rsa.crt", ["-newkey", "rsa:2048", "-sha512"]],
    ] as const) {
      const file = join(dir, name);
      const made = await run([
        "req",
        "-x509",
        "-nodes",
        "-keyout",
        join(dir, "key.pem"),
        "-out",
        file,
        "-subj",
        "/C=NL/O=Test/CN=it",
        ...options,
      ]);
      expect(made.status).toBe(0);
      const [certificate] = parseCertificates(readFileSync(file, "utf8"));
      expect(certificate).toMatchObject({ commonName: "it", isCa: true });
      expect(await certificate!.isIssuedBy(certificate!)).toBe(true);
    }
  });
});

/** The blocks of an export, whatever their order. */
function blocks(text: string): string[] {
  return parsePem(text)
    .map((block) => formatPem(block))
    .toSorted();
}

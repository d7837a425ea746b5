import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { WasmToOciError } from "../../src/base/errors.ts";
import { decryptLegacyPem } from "../../src/node/legacy-pem.ts";
import { parseCertificates } from "../../src/keys/certificate.ts";
import { formatKey, openKeyBlock, parseKeyBlocks } from "../../src/keys/notary-key-file.ts";
import { canonicalKeyId } from "../../src/keys/notary-key-id.ts";
import { parsePem } from "../../src/keys/pem.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { PublicKey } from "../../src/keys/public-key.ts";
import { codeOf, notary, notaryKeyNames, notaryPassphrase, openssl } from "../support/key-fixtures.ts";

const only = (text: string) => parseKeyBlocks(text, "it")[0]!;

describe("Notary's own files", () => {
  test("open with their passphrases and have the ids that they are named after", async () => {
    const names = await notaryKeyNames();
    expect(names.length).toBe(7);
    for (const name of names) {
      const block = only(notary(`private/${name}`));
      expect(block.encrypted).toBe(true);
      const key = await openKeyBlock(block, notaryPassphrase(block.role!));
      expect(`${await canonicalKeyId(key.publicKey)}.key`).toBe(name);
    }
  });

  test("say what they are for", () => {
    const block = only(notary("private/53f010604e6687d56aaaef83010f0dc2be17912007a111d4d936d5c0d492f9e0.key"));
    expect(block).toMatchObject({ role: "targets", gun: "localhost:5000/demo/hello", id: undefined });
    expect(only(notary("alice-key-with-path.pem")).id).toBe(
      "cfc6b9e6cdbbaf55ca65e67a0fe0878f14bf95b7a49e3abfec4f39842d01be87",
    );
  });

  test("hold the key that the public file beside them shows", async () => {
    const key = await openKeyBlock(only(notary("alice-key.pem")), "delegpass1");
    expect(hexEncode(PublicKey.fromSpki(parsePem(notary("alice.pem"))[0]!.bytes).spki)).toBe(
      hexEncode(key.publicKey.spki),
    );
  });

  test("hold the RSA key of the certificate that OpenSSL made", async () => {
    const key = await openKeyBlock(only(notary("exported.pem")), "delegpass1");
    const [certificate] = parseCertificates(notary("bob.crt"));
    expect(hexEncode(certificate!.publicKey.spki)).toBe(hexEncode(key.publicKey.spki));
  });

  test("do not open with another passphrase", async () => {
    for (const passphrase of ["", "rootpass2", "ROOTPASS1"]) {
      const block = only(notary("private/2e6d9b55a3fca7bd3c83ea0a50375ca3160982c267d7a73c2383383c6ddecede.key"));
      expect(await codeOf(() => openKeyBlock(block, passphrase))).toBe("KEY_PASSPHRASE");
    }
  });
});

describe("writing", () => {
  test.each(["ecdsa-p256", "ecdsa-p384", "ed25519"] as const)("gives back %s keys", async (algorithm) => {
    const key = await PrivateKey.generate(algorithm);
    const text = await formatKey(key, { role: "targets", gun: "ghcr.io/acme/app" }, "passphrase");
    expect(text).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: ghcr\.io\/acme\/app\nrole: targets\n\n/);
    const opened = await openKeyBlock(only(text), "passphrase");
    expect(hexEncode(opened.publicKey.spki)).toBe(hexEncode(key.publicKey.spki));
  });

  test("leaves a key unencrypted only where the passphrase is empty", async () => {
    const key = await PrivateKey.generate();
    const text = await formatKey(key, { role: "root" }, "");
    expect(text).toMatch(/^-----BEGIN PRIVATE KEY-----\nrole: root\n\n/);
    expect(only(text).encrypted).toBe(false);
  });

  test("names a collection only for the keys that belong to one", async () => {
    const key = await PrivateKey.generate();
    expect(await formatKey(key, { role: "root", gun: "ghcr.io/acme/app" }, "")).not.toContain("gun");
  });

  test.each(["a\nrole: root", "", "a\u0000", "x".repeat(5000)])("refuses the role %j", async (role) => {
    const key = await PrivateKey.generate();
    expect(await codeOf(() => formatKey(key, { role }, "passphrase"))).toBe("KEY_INVALID");
  });
});

describe("OpenSSL's files", () => {
  test.each([
    "p256.pem",
    "p256.sec1.pem",
    "p256-with-parameters.sec1.pem",
    "p256-default.enc.pem",
    "p256-aes256.sec1.pem",
    "p256-des3.sec1.pem",
  ])("opens %s", async (name) => {
    const key = await openKeyBlock(only(openssl(name)), "testpass", decryptLegacyPem);
    expect(hexEncode(key.publicKey.spki)).toBe(hexEncode(parsePem(openssl("p256.pub.pem"))[0]!.bytes));
  });

  test("opens an encrypted PKCS#1 key", async () => {
    const key = await openKeyBlock(only(openssl("rsa2048-aes128.pkcs1.pem")), "testpass", decryptLegacyPem);
    expect(hexEncode(key.publicKey.spki)).toBe(hexEncode(parsePem(openssl("rsa2048.pub.pem"))[0]!.bytes));
  });

  test("refuses the old encryption where it cannot be read, and says how to convert it", async () => {
    const block = only(openssl("p256-aes256.sec1.pem"));
    expect(await codeOf(() => openKeyBlock(block, "testpass"))).toBe("KEY_INVALID");
    await expect(openKeyBlock(block, "testpass")).rejects.toMatchObject({ hint: expect.stringContaining("openssl") });
  });

  test("refuses a kind of key that is not known", async () => {
    const text = openssl("p256.sec1.pem").replaceAll("EC PRIVATE", "OPENSSH PRIVATE");
    expect(await codeOf(() => parseKeyBlocks(text, "it"))).toBe("KEY_INVALID");
  });
});

test("passes over everything that is no private key", () => {
  expect(parseKeyBlocks(openssl("authority.crt") + openssl("p256.pub.pem"), "it")).toEqual([]);
});

test("takes the collection from the path of exports before Notary 0.4", () => {
  const text = notary("alice-key.pem").replace(
    "role: alice",
    `path: tuf_keys/localhost:5000/x/${"a".repeat(64)}\nrole: targets`,
  );
  expect(only(text)).toMatchObject({ gun: "localhost:5000/x", id: "a".repeat(64) });
});

test.each(["../../escape", "a".repeat(63), `${"a".repeat(64)}.key`])("takes the path %j for no id", (path) => {
  expect(only(notary("alice-key.pem").replace("role: alice", `path: ${path}`)).id).toBeUndefined();
});

test("ends changed files in a key or an error of ours", async () => {
  const texts = [notary("alice-key.pem"), openssl("p256.sec1.pem"), openssl("p256-aes256.sec1.pem")];
  const change = fc.record({ text: fc.constantFrom(...texts), at: fc.nat(500), put: fc.string({ maxLength: 3 }) });
  await fc.assert(
    fc.asyncProperty(change, async ({ text, at, put }) => {
      try {
        for (const block of parseKeyBlocks(text.slice(0, at) + put + text.slice(at + 1), "it")) {
          await openKeyBlock(block, "delegpass1", decryptLegacyPem);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(WasmToOciError);
      }
    }),
    { numRuns: 500 },
  );
});

import { createPrivateKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { WasmToOciError } from "../../src/base/errors.ts";
import { decryptPkcs8, encryptPkcs8, isNotaryEncryption } from "../../src/keys/encrypted-pkcs8.ts";
import { integer, nothing, octetString, oid, sequence } from "../../src/keys/der-writer.ts";
import { parsePem } from "../../src/keys/pem.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { codeOf, notary, openssl } from "../support/key-fixtures.ts";

const bytesOf = (name: string): Uint8Array<ArrayBuffer> => parsePem(openssl(name)).at(-1)!.bytes;
const PLAIN = bytesOf("p256.pem");

test("gives back what was encrypted, and lets Node open it", async () => {
  for (const passphrase of ["x", "correct horse", "pässwörd \u{1F511}", "a".repeat(1000)]) {
    const encrypted = await encryptPkcs8(PLAIN, passphrase);
    expect(await decryptPkcs8(encrypted, passphrase)).toEqual(PLAIN);
    const node = createPrivateKey({ key: Buffer.from(encrypted), format: "der", type: "pkcs8", passphrase });
    expect(node.export({ format: "der", type: "pkcs8" })).toEqual(Buffer.from(PLAIN));
  }
});

test("writes the very structure that Notary writes: only salt, initial vector and ciphertext differ", async () => {
  const theirs = parsePem(notary("private/2e6d9b55a3fca7bd3c83ea0a50375ca3160982c267d7a73c2383383c6ddecede.key"))[0]!
    .bytes;
  const info = (await PrivateKey.fromPkcs8(await decryptPkcs8(theirs, "rootpass1"))).toNotaryPkcs8();
  const ours = await encryptPkcs8(info, "rootpass1");
  const structure = (der: Uint8Array): string => {
    const hex = hexEncode(der);
    return [hex.slice(0, 70), hex.slice(86, 124), hex.slice(156, 162)].join("…");
  };
  expect(ours.length).toBe(theirs.length);
  expect(structure(ours)).toBe(structure(theirs));
  expect(hexEncode(info)).toBe(hexEncode(await decryptPkcs8(theirs, "rootpass1")));
});

test("uses a new salt and initial vector each time", async () => {
  const [one, two] = [await encryptPkcs8(PLAIN, "x"), await encryptPkcs8(PLAIN, "x")];
  expect(hexEncode(one).slice(70, 86)).not.toBe(hexEncode(two).slice(70, 86));
  expect(hexEncode(one).slice(124, 156)).not.toBe(hexEncode(two).slice(124, 156));
});

describe("reading OpenSSL's", () => {
  test.each(["p256-default", "p256-sha1-aes128", "p256-sha512-aes192"])("opens %s", async (name) => {
    expect(await decryptPkcs8(bytesOf(`${name}.enc.pem`), "testpass")).toEqual(PLAIN);
    expect(await codeOf(() => decryptPkcs8(bytesOf(`${name}.enc.pem`), "wrong"))).toBe("KEY_PASSPHRASE");
  });

  test.each([
    ["scrypt", "p256-scrypt", "KEY_INVALID"],
    ["triple DES", "p256-des3", "KEY_INVALID"],
    ["more iterations than we are willing to pay for", "p256-many-iterations", "LIMIT_EXCEEDED"],
  ])("refuses %s before any work", async (_, name, code) => {
    const started = performance.now();
    expect(await codeOf(() => decryptPkcs8(bytesOf(`${name}.enc.pem`), "testpass"))).toBe(code);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("refuses, before any work,", () => {
  const pbes2 = "1.2.840.113549.1.5.13";
  const pbkdf2 = "1.2.840.113549.1.5.12";
  const aes256 = "2.16.840.1.101.3.4.1.42";
  const sha256 = sequence(oid("1.2.840.113549.2.9"), nothing());
  interface Parts {
    scheme: string;
    derivation: string;
    kdf: Uint8Array[];
    cipher: Uint8Array[];
    ciphertext: Uint8Array;
  }
  const usual: Parts = {
    scheme: pbes2,
    derivation: pbkdf2,
    kdf: [octetString(new Uint8Array(8)), integer(2048)],
    cipher: [oid(aes256), octetString(new Uint8Array(16))],
    ciphertext: new Uint8Array(160),
  };
  const build = (changed: Partial<Parts>): Uint8Array => {
    const { scheme, derivation, kdf, cipher, ciphertext } = { ...usual, ...changed };
    const parameters = sequence(sequence(oid(derivation), sequence(...kdf)), sequence(...cipher));
    return sequence(sequence(oid(scheme), parameters), octetString(ciphertext));
  };
  const [salt, count] = usual.kdf as [Uint8Array, Uint8Array];

  test("nothing that is in order", async () => {
    for (const kdf of [
      [salt, count],
      [salt, count, integer(32)],
      [salt, count, integer(32), sha256],
      [salt, count, sha256],
    ]) {
      expect(await codeOf(() => decryptPkcs8(build({ kdf }), "x"))).toBe("KEY_PASSPHRASE");
    }
  });

  test.each<[string, Partial<Parts>, string]>([
    ["another scheme than PBES2", { scheme: "1.2.840.113549.1.5.3" }, "KEY_INVALID"],
    ["another derivation than PBKDF2", { derivation: "1.3.6.1.4.1.11591.4.11" }, "KEY_INVALID"],
    ["no iterations", { kdf: [salt, integer(0)] }, "KEY_INVALID"],
    ["2^31 iterations", { kdf: [salt, integer(Uint8Array.of(0x80, 0, 0, 0))] }, "KEY_INVALID"],
    ["5,000,001 iterations", { kdf: [salt, integer(5_000_001)] }, "LIMIT_EXCEEDED"],
    ["a salt of 2 kB", { kdf: [octetString(new Uint8Array(2048)), count] }, "LIMIT_EXCEEDED"],
    ["a key length that does not fit", { kdf: [salt, count, integer(16)] }, "KEY_INVALID"],
    ["HMAC with MD5", { kdf: [salt, count, sequence(oid("1.2.840.113549.2.6"), nothing())] }, "KEY_INVALID"],
    ["something after the parameters", { kdf: [salt, count, sha256, nothing()] }, "KEY_INVALID"],
    [
      "a cipher that is not AES-CBC",
      { cipher: [oid("1.2.840.113549.3.7"), octetString(new Uint8Array(16))] },
      "KEY_INVALID",
    ],
    ["an initial vector of 8 bytes", { cipher: [oid(aes256), octetString(new Uint8Array(8))] }, "KEY_INVALID"],
    ["an empty ciphertext", { ciphertext: new Uint8Array() }, "KEY_INVALID"],
    ["a ciphertext that is not whole blocks", { ciphertext: new Uint8Array(161) }, "KEY_INVALID"],
    ["a ciphertext of 32 kB", { ciphertext: new Uint8Array(32 * 1024) }, "LIMIT_EXCEEDED"],
  ])("%s", async (_, parts, code) => {
    expect(await codeOf(() => decryptPkcs8(build(parts), "x"))).toBe(code);
    expect(await codeOf(() => isNotaryEncryption(build(parts)))).toBe(code);
  });
});

test("tells what Notary can open from what it cannot", () => {
  const theirs = parsePem(notary("alice-key.pem"))[0]!.bytes;
  expect(isNotaryEncryption(theirs)).toBe(true);
  expect(isNotaryEncryption(bytesOf("p256-default.enc.pem"))).toBe(false);
  expect(isNotaryEncryption(bytesOf("p256-sha1-aes128.enc.pem"))).toBe(false);
});

test("calls every wrong passphrase wrong, also the one in 256 that leaves padding that looks right", async () => {
  const encrypted = parsePem(notary("alice-key.pem"))[0]!.bytes;
  for (const passphrase of ["", "wrong", "DELEGPASS1", "wrong 325", "wrong 569", "wrong 1506"]) {
    expect(await codeOf(() => decryptPkcs8(encrypted, passphrase))).toBe("KEY_PASSPHRASE");
  }
});

test("ends damaged files in an error of ours, never in another key", async () => {
  const encrypted = await encryptPkcs8(PLAIN, "right");
  const change = fc.record({ at: fc.nat(encrypted.length - 1), octet: fc.nat(255), cut: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, octet, cut }) => {
      const der = cut ? encrypted.slice(0, at) : encrypted.slice();
      if (!cut) der[at] = octet;
      try {
        const opened = await decryptPkcs8(der, "right");
        // the format has no check of its own: the first block follows changes of the initial vector
        expect(opened.length).toBeLessThanOrEqual(PLAIN.length);
      } catch (error) {
        expect(error).toBeInstanceOf(WasmToOciError);
      }
    }),
    { numRuns: 400 },
  );
});

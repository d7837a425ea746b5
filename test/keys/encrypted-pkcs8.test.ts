import { createPrivateKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { WasmToOciError } from "../../src/base/errors.ts";
import { decryptPkcs8, encryptPkcs8, isNotaryEncryption } from "../../src/keys/encrypted-pkcs8.ts";
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

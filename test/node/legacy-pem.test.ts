import { describe, expect, test } from "vitest";
import { parsePem, type PemBlock } from "../../src/keys/pem.ts";
import { decryptLegacyPem } from "../../src/node/legacy-pem.ts";
import { codeOf, openssl } from "../support/key-fixtures.ts";

const block = (name: string): PemBlock => parsePem(openssl(name))[0]!;

test.each([
  ["p256-aes256.sec1.pem", "p256.sec1.pem"],
  ["p256-des3.sec1.pem", "p256.sec1.pem"],
  ["rsa2048-aes128.pkcs1.pem", "rsa2048.pkcs1.pem"],
])("decrypts %s", (encrypted, plain) => {
  expect(decryptLegacyPem(block(encrypted), "testpass")).toEqual(block(plain).bytes);
});

describe("refuses", () => {
  test("a wrong passphrase", async () => {
    const codes = new Set<string>();
    const key = block("p256-aes256.sec1.pem");
    const right = Buffer.from(block("p256.sec1.pem").bytes);
    for (let i = 0; i < 20; i++) {
      codes.add(
        await codeOf(() => {
          // what wrong padding does not catch is caught by the reader of the key
          if (!Buffer.from(decryptLegacyPem(key, `wrong ${i}`)).equals(right))
            throw Object.assign(new Error(), { code: "KEY_PASSPHRASE" });
        }),
      );
    }
    expect([...codes]).toEqual(["KEY_PASSPHRASE"]);
  });

  test.each([
    ["a cipher that is not known", { "DEK-Info": "RC2-CBC,0011223344556677" }],
    ["no cipher", { "DEK-Info": "" }],
    ["a vector of the wrong length", { "DEK-Info": "AES-256-CBC,00" }],
    ["a vector that is no hexadecimal", { "DEK-Info": `AES-256-CBC,${"x".repeat(32)}` }],
    ["another kind of processing", { "Proc-Type": "4,MIC-ONLY" }],
    ["a name that every object has", { "DEK-Info": "constructor,00" }],
  ])("%s", async (_, headers) => {
    const key = block("p256-aes256.sec1.pem");
    const changed = { ...key, headers: new Map([...key.headers, ...Object.entries(headers)]) };
    expect(await codeOf(() => decryptLegacyPem(changed, "testpass"))).toBe("KEY_INVALID");
  });

  test("a ciphertext that is cut off", async () => {
    const key = block("p256-aes256.sec1.pem");
    expect(await codeOf(() => decryptLegacyPem({ ...key, bytes: key.bytes.slice(0, 17) }, "testpass"))).toBe(
      "KEY_PASSPHRASE",
    );
  });
});

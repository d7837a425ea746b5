import { constants, createPrivateKey, createPublicKey, verify } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexEncode, utf8Encode } from "../../src/base/bytes.ts";
import { WasmToOciError } from "../../src/base/errors.ts";
import { parsePem } from "../../src/keys/pem.ts";
import { readNotaryEd25519, readPkcs1, readSec1 } from "../../src/keys/pkcs8.ts";
import { PrivateKey, type KeyAlgorithmName } from "../../src/keys/private-key.ts";
import { verifySignature } from "../../src/keys/public-key.ts";
import { DEFAULT_SCHEME, type SignatureScheme } from "../../src/keys/signature-scheme.ts";
import { codeOf, openssl } from "../support/key-fixtures.ts";

const MESSAGE = utf8Encode("the bytes that are signed");
const GENERATED: KeyAlgorithmName[] = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519"];
const bytesOf = (name: string): Uint8Array<ArrayBuffer> => parsePem(openssl(name)).at(-1)!.bytes;
const spkiOf = (name: string): string => hexEncode(bytesOf(`${name}.pub.pem`));

test.each(GENERATED)("makes %s keys whose signatures verify", async (algorithm) => {
  const key = await PrivateKey.generate(algorithm);
  const scheme = DEFAULT_SCHEME[key.publicKey.type];
  expect(await verifySignature(key.publicKey, scheme, MESSAGE, await key.sign(MESSAGE))).toBe(true);
  const other = await PrivateKey.generate(algorithm);
  expect(await verifySignature(other.publicKey, scheme, MESSAGE, await key.sign(MESSAGE))).toBe(false);
});

describe("the scheme of a signature", () => {
  const ALL: [string, SignatureScheme, string][] = [
    ["p256", "ecdsa-sha256", "sha256"],
    ["p384", "ecdsa-sha256", "sha256"],
    ["p384", "ecdsa-sha384", "sha384"],
    ["p521", "ecdsa-sha512", "sha512"],
    ["rsa2048", "rsassa-pss-sha256", "sha256"],
    ["rsa2048", "rsassa-pss-sha512", "sha512"],
    ["rsa2048", "rsassa-pss-sha256-max-salt", "sha256"],
    ["rsa2048", "rsassa-pkcs1v15-sha256", "sha256"],
    ["rsa2048", "rsassa-pkcs1v15-sha384", "sha384"],
  ];

  test.each(ALL)("of %s is %s where that is asked for, as OpenSSL verifies it", async (name, scheme, hash) => {
    const key = await PrivateKey.fromPkcs8(bytesOf(`${name}.pem`));
    const signature = await key.sign(MESSAGE, scheme);
    const isPss = scheme.startsWith("rsassa-pss");
    const publicKey = createPublicKey({ key: Buffer.from(key.publicKey.spki), format: "der", type: "spki" });
    const padding = isPss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
    const how = scheme.startsWith("ecdsa")
      ? { key: publicKey, dsaEncoding: "ieee-p1363" as const }
      : { key: publicKey, padding, ...(isPss ? { saltLength: constants.RSA_PSS_SALTLEN_AUTO } : {}) };
    expect(verify(hash, MESSAGE, how, signature)).toBe(true);
    expect(await verifySignature(key.publicKey, scheme, MESSAGE, signature)).toBe(true);
    expect(await verifySignature(key.publicKey, scheme, utf8Encode("another message"), signature)).toBe(false);
  });

  test.each<[string, SignatureScheme]>([
    ["p256", "ed25519"],
    ["p256", "rsassa-pss-sha256"],
    ["ed25519", "ecdsa-sha256"],
    ["rsa2048", "ecdsa-sha384"],
  ])("of %s cannot be %s", async (name, scheme) => {
    const key = await PrivateKey.fromPkcs8(bytesOf(`${name}.pem`));
    expect(await codeOf(() => key.sign(MESSAGE, scheme))).toBe("USAGE");
    expect(await verifySignature(key.publicKey, scheme, MESSAGE, await key.sign(MESSAGE))).toBe(false);
  });
});

describe("reading", () => {
  test.each(["p256", "p384", "p521", "ed25519", "rsa2048"])("opens OpenSSL's %s key", async (name) => {
    const key = await PrivateKey.fromPkcs8(bytesOf(`${name}.pem`));
    expect(hexEncode(key.publicKey.spki)).toBe(spkiOf(name));
    expect(
      await verifySignature(key.publicKey, DEFAULT_SCHEME[key.publicKey.type], MESSAGE, await key.sign(MESSAGE)),
    ).toBe(true);
  });

  test.each(["p256", "p384", "p521", "ed25519", "rsa2048"])(
    "writes the %s key as Node and Notary read it",
    async (name) => {
      const key = await PrivateKey.fromPkcs8(bytesOf(`${name}.pem`));
      for (const der of [key.toPkcs8(), key.toNotaryPkcs8()]) {
        expect(hexEncode((await PrivateKey.fromPkcs8(der)).publicKey.spki)).toBe(spkiOf(name));
      }
      const node = createPrivateKey({ key: Buffer.from(key.toPkcs8()), format: "der", type: "pkcs8" });
      expect(
        hexEncode((await PrivateKey.fromPkcs8(node.export({ format: "der", type: "pkcs8" }))).publicKey.spki),
      ).toBe(spkiOf(name));
    },
  );

  test.each(["p256.sec1.pem", "p256-with-parameters.sec1.pem", "p256-no-public.sec1.pem"])("opens %s", async (name) => {
    const key = await PrivateKey.fromParts(readSec1(bytesOf(name)));
    expect(hexEncode(key.publicKey.spki)).toBe(spkiOf("p256"));
    expect(key.toPkcs8()).toEqual(bytesOf("p256.pem"));
  });

  test("opens a PKCS#1 key", async () => {
    const key = await PrivateKey.fromParts(readPkcs1(bytesOf("rsa2048.pkcs1.pem")));
    expect(key.toPkcs8()).toEqual(bytesOf("rsa2048.pem"));
  });

  test.each([
    ["P-224", "p224.pem"],
    ["RSA below 2048 bits", "rsa1024.pem"],
    ["a key for PSS only", "rsa-pss.pem"],
    ["a public key", "p256.pub.pem"],
  ])("refuses %s", async (_, name) => {
    expect(await codeOf(() => PrivateKey.fromPkcs8(bytesOf(name)))).toBe("KEY_INVALID");
  });

  test("refuses a key whose public half is another key's: it would get the other's id", async () => {
    const own = hexEncode(bytesOf("p256.sec1.pem"));
    const other = await PrivateKey.generate("ecdsa-p256");
    const point = (spki: Uint8Array): string => hexEncode(spki.slice(-64));
    const forged = own.replace(spkiOf("p256").slice(-128), point(other.publicKey.spki));
    expect(forged).not.toBe(own);
    const der = Uint8Array.from(Buffer.from(forged, "hex"));
    expect(await codeOf(async () => PrivateKey.fromParts(readSec1(der)))).toBe("KEY_INVALID");
  });

  test("refuses Notary's Ed25519 form when its copies of the public key differ, or are another key's", async () => {
    const key = await PrivateKey.generate("ed25519");
    const other = await PrivateKey.generate("ed25519");
    const content = key.toNotaryPkcs8().slice(-96);
    const flipped = content.slice();
    flipped[95]! ^= 1;
    expect(await codeOf(() => readNotaryEd25519(flipped))).toBe("KEY_INVALID");
    const foreign = content.slice();
    foreign.set(other.publicKey.ed25519Bytes!, 0);
    foreign.set(other.publicKey.ed25519Bytes!, 64);
    expect(await codeOf(() => PrivateKey.fromParts(readNotaryEd25519(foreign)))).toBe("KEY_INVALID");
    expect((await PrivateKey.fromParts(readNotaryEd25519(content))).publicKey.spki).toEqual(key.publicKey.spki);
  });

  test("never signs with a damaged RSA key: a wrong signature would give the key away", async () => {
    const whole = bytesOf("rsa2048.pem");
    const scheme = DEFAULT_SCHEME.rsa;
    let refused = 0;
    for (let at = 40; at < whole.length; at += 53) {
      const der = whole.slice();
      der[at]! ^= 1;
      try {
        const key = await PrivateKey.fromPkcs8(der); // the engine works around some damage
        expect(await verifySignature(key.publicKey, scheme, MESSAGE, await key.sign(MESSAGE))).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "KEY_INVALID" });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
  });

  test("ends changed keys in a key that works, or an error of ours", async () => {
    const keys = ["p256.pem", "p521.pem", "ed25519.pem"].map(bytesOf);
    const change = fc.record({ key: fc.constantFrom(...keys), at: fc.nat(260), octet: fc.nat(255), cut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(change, async ({ key, at, octet, cut }) => {
        const der = cut ? key.slice(0, at) : key.slice();
        if (!cut && at < der.length) der[at] = octet;
        try {
          const opened = await PrivateKey.fromPkcs8(der);
          const scheme = DEFAULT_SCHEME[opened.publicKey.type];
          expect(await verifySignature(opened.publicKey, scheme, MESSAGE, await opened.sign(MESSAGE))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(WasmToOciError);
        }
      }),
      { numRuns: 400 },
    );
  });
});

test("shows nothing secret when it is printed, logged or serialised", async () => {
  const key = await PrivateKey.fromPkcs8(bytesOf("p256.pem"));
  const secret = bytesOf("p256.sec1.pem").slice(7, 39);
  const shown = `${inspect(key, { depth: 9, showHidden: true })}${JSON.stringify(key)}`;
  for (const form of [hexEncode(secret), Buffer.from(secret).toString("base64"), [...secret].join(", ")]) {
    expect(shown).not.toContain(form.slice(0, 20));
  }
  expect(Object.keys(key)).toEqual(["publicKey"]);
});

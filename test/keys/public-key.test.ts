import { createHash, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { bitString, integer, nothing, oid, sequence } from "../../src/keys/der-writer.ts";
import { OID } from "../../src/keys/oid.ts";
import { parsePem } from "../../src/keys/pem.ts";
import { PublicKey, verifySignature } from "../../src/keys/public-key.ts";
import type { SignatureScheme } from "../../src/keys/signature-scheme.ts";
import { codeOf, openssl } from "../support/key-fixtures.ts";

const MESSAGE = utf8Encode("the bytes that are signed");

function load(name: string): PublicKey {
  return PublicKey.fromSpki(parsePem(openssl(`${name}.pub.pem`))[0]!.bytes);
}

describe("reading", () => {
  test.each([
    ["p256", "ecdsa", "P-256", undefined],
    ["p384", "ecdsa", "P-384", undefined],
    ["p521", "ecdsa", "P-521", undefined],
    ["rsa2048", "rsa", undefined, 2048],
    ["ed25519", "ed25519", undefined, undefined],
  ])("reads OpenSSL's %s key", (name, type, curve, bits) => {
    expect(load(name)).toMatchObject({ type, curve, bits });
  });

  test("gives a fingerprint that is the sha256 of the encoded key", async () => {
    const { spki } = load("p256");
    expect(await load("p256").fingerprint()).toBe(createHash("sha256").update(spki).digest("hex"));
  });

  test("makes the same key from the bytes of an Ed25519 point", () => {
    const key = load("ed25519");
    expect(PublicKey.fromEd25519(key.ed25519Bytes!).spki).toEqual(key.spki);
    expect(load("p256").ed25519Bytes).toBeUndefined();
  });

  test.each([
    ["P-224, by name", "p224", /P-224/],
    ["RSA below 2048 bits", "rsa1024", /1024/],
    ["a key for PSS only", "rsa-pss", /1\.2\.840\.113549\.1\.1\.10/],
    ["a compressed point, a second spelling of a key", "p256-compressed", /uncompressed/],
  ])("refuses %s", async (_, name, message) => {
    expect(await codeOf(() => load(name))).toBe("KEY_INVALID");
    expect(() => load(name)).toThrow(message);
  });

  test.each([
    ["no bytes", new Uint8Array()],
    ["bytes after the key", Uint8Array.of(...load("p256").spki, 0)],
    ["a key that is cut off", load("p256").spki.slice(0, -1)],
    ["RSA without its NULL, a second spelling", rsaSpki(load("rsa2048"), false)],
    ["an even RSA modulus", rsaKey(new Uint8Array(256).fill(0xfe), 65537)],
    ["the RSA exponent 1, whose signatures are the message itself", rsaKey(new Uint8Array(256).fill(0xff), 1)],
    ["a huge RSA exponent", rsaKey(new Uint8Array(256).fill(0xff), new Uint8Array(256).fill(0xff))],
    ["an RSA modulus of 16384 bits", rsaKey(new Uint8Array(2048).fill(0xff), 65537)],
    ["31 bytes of Ed25519", sequence(sequence(oid(OID.ed25519)), bitString(new Uint8Array(31)))],
    ["parameters of Ed25519", sequence(sequence(oid(OID.ed25519), nothing()), bitString(new Uint8Array(32)))],
  ])("refuses %s", async (_, der) => {
    expect(await codeOf(() => PublicKey.fromSpki(der))).toBe("KEY_INVALID");
  });

  test("refuses 31 bytes as an Ed25519 point", async () => {
    expect(await codeOf(() => PublicKey.fromEd25519(new Uint8Array(31)))).toBe("KEY_INVALID");
  });

  test("refuses a point that is not on its curve when it is first used", async () => {
    const spki = load("p256").spki.slice();
    spki[spki.length - 1]! ^= 1;
    const key = PublicKey.fromSpki(spki);
    expect(await codeOf(() => verifySignature(key, "ecdsa-sha256", MESSAGE, new Uint8Array(64)))).toBe("KEY_INVALID");
  });

  test("ends changed keys in the same key, or an error of the format", () => {
    const keys = ["p256", "p521", "rsa2048", "ed25519"].map((name) => load(name).spki);
    const changed = fc.record({
      key: fc.constantFrom(...keys),
      at: fc.nat(400),
      octet: fc.nat(255),
      cut: fc.boolean(),
    });
    fc.assert(
      fc.property(changed, ({ key, at, octet, cut }) => {
        const der = cut ? key.slice(0, at) : key.slice();
        if (!cut && at < der.length) der[at] = octet;
        try {
          expect(PublicKey.fromSpki(der).spki).toEqual(der);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("verifying what node:crypto signed", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pss = (saltLength: number) => ({ key: rsa.privateKey, padding: 6, saltLength });
  const cases: [SignatureScheme, PublicKey, Buffer][] = [
    ...(["P-256", "P-384", "P-521"] as const).flatMap((namedCurve) => {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
      const key = PublicKey.fromSpki(publicKey.export({ type: "spki", format: "der" }));
      return (["sha256", "sha384", "sha512"] as const).map((hash): [SignatureScheme, PublicKey, Buffer] => [
        `ecdsa-${hash}`,
        key,
        sign(hash, MESSAGE, { key: privateKey, dsaEncoding: "ieee-p1363" }),
      ]);
    }),
    ["rsassa-pss-sha256", fromNode(rsa.publicKey), sign("sha256", MESSAGE, pss(32))],
    ["rsassa-pss-sha384", fromNode(rsa.publicKey), sign("sha384", MESSAGE, pss(48))],
    ["rsassa-pss-sha512", fromNode(rsa.publicKey), sign("sha512", MESSAGE, pss(64))],
    ["rsassa-pkcs1v15-sha256", fromNode(rsa.publicKey), sign("sha256", MESSAGE, rsa.privateKey)],
    ["rsassa-pkcs1v15-sha384", fromNode(rsa.publicKey), sign("sha384", MESSAGE, rsa.privateKey)],
    ["rsassa-pkcs1v15-sha512", fromNode(rsa.publicKey), sign("sha512", MESSAGE, rsa.privateKey)],
    ((): [SignatureScheme, PublicKey, Buffer] => {
      const { privateKey, publicKey } = generateKeyPairSync("ed25519");
      return ["ed25519", fromNode(publicKey), sign(null, MESSAGE, privateKey)];
    })(),
  ];

  test.each(cases)("accepts %s and nothing near it", async (scheme, key, signature) => {
    expect(await verifySignature(key, scheme, MESSAGE, signature)).toBe(true);
    expect(await verifySignature(key, scheme, utf8Encode("other bytes"), signature)).toBe(false);
    const flipped = Uint8Array.from(signature);
    flipped[7]! ^= 1;
    expect(await verifySignature(key, scheme, MESSAGE, flipped)).toBe(false);
    for (const other of [signature.subarray(1), Buffer.concat([signature, Buffer.of(0)]), Buffer.alloc(0)]) {
      expect(await verifySignature(key, scheme, MESSAGE, other)).toBe(false);
    }
    expect(await verifySignature(key, scheme, MESSAGE, new Uint8Array(signature.length))).toBe(false);
    for (const [name] of cases) {
      if (name !== scheme) expect(await verifySignature(key, name, MESSAGE, signature)).toBe(false);
    }
  });

  test("refuses a PSS signature with a salt of another length", async () => {
    const signature = sign("sha256", MESSAGE, pss(20));
    expect(await verifySignature(fromNode(rsa.publicKey), "rsassa-pss-sha256", MESSAGE, signature)).toBe(false);
  });

  test("refuses an ECDSA signature in DER, which Notary does not write", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const signature = sign("sha256", MESSAGE, { key: privateKey, dsaEncoding: "der" });
    expect(await verifySignature(fromNode(publicKey), "ecdsa-sha256", MESSAGE, signature)).toBe(false);
  });
});

function fromNode(key: ReturnType<typeof generateKeyPairSync>["publicKey"]): PublicKey {
  return PublicKey.fromSpki((key as unknown as { export(o: object): Buffer }).export({ type: "spki", format: "der" }));
}

function rsaKey(modulus: Uint8Array, exponent: number | Uint8Array): Uint8Array {
  const bits = bitString(sequence(integer(modulus), integer(exponent)));
  return sequence(sequence(oid(OID.rsaEncryption), nothing()), bits);
}

function rsaSpki({ spki }: PublicKey, withNull: boolean): Uint8Array {
  const bits = spki.slice(24); // after the outer header, the algorithm and the header of the bit string
  return sequence(sequence(oid(OID.rsaEncryption), ...(withNull ? [nothing()] : [])), bitString(bits));
}

import {
  createHash,
  createPrivateKey,
  createSign,
  constants,
  generateKeyPairSync,
  sign as nodeSign,
  type KeyObject,
} from "node:crypto";
import { describe, expect, it } from "vitest";
import { hexEncode, utf8Encode } from "../../src/base/bytes.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { PublicKey } from "../../src/keys/public-key.ts";
import { signMessage, TufKey, tufKeyOf, verifyThreshold } from "../../src/tuf/keys.ts";

const MESSAGE = utf8Encode("signed");
const ed25519 = generateKeyPairSync("ed25519");
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const weakRsa = generateKeyPairSync("rsa", { modulusLength: 1024 });

const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }) as string;
const raw = (key: KeyObject, octets: number): string =>
  (key.export({ type: "spki", format: "der" }) as Buffer).subarray(-octets).toString("hex");
const ecdsa = (hash: string, key: KeyObject): string => nodeSign(hash, MESSAGE, key).toString("hex");
const pss = (hash: string, saltLength: number, key = rsa.privateKey): string =>
  createSign(hash).update(MESSAGE).sign({ key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }).toString("hex");

async function isGood(keytype: string, scheme: string, text: string, sig: string): Promise<boolean> {
  const key = new TufKey("id", { keytype, scheme, text }, {});
  const role = { keyIds: ["id"], threshold: 1, extra: {} };
  const document = { message: MESSAGE, signatures: [{ keyId: "id", sig, extra: {} }] };
  try {
    return (await verifyThreshold("targets", document, role, new Map([["id", key]]))).length === 1;
  } catch (error) {
    expect(error).toMatchObject({ code: "SIGNATURE_THRESHOLD" });
    return false;
  }
}

describe("keys in every spelling that is in use", () => {
  const ed = hexEncode(nodeSign(null, MESSAGE, ed25519.privateKey));
  const good: [string, string, string, string][] = [
    ["ed25519", "ed25519", raw(ed25519.publicKey, 32), ed],
    ["ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey), ecdsa("sha256", p256.privateKey)],
    ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", pem(p256.publicKey), ecdsa("sha256", p256.privateKey)],
    ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", raw(p256.publicKey, 65), ecdsa("sha256", p256.privateKey)],
    ["ecdsa", "ecdsa-sha2-nistp384", pem(p384.publicKey), ecdsa("sha384", p384.privateKey)],
    ["ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", raw(p384.publicKey, 97), ecdsa("sha384", p384.privateKey)],
    ["rsa", "rsassa-pss-sha256", pem(rsa.publicKey), pss("sha256", 32)],
    ["rsa", "rsassa-pss-sha256", pem(rsa.publicKey), pss("sha256", 222)],
    ["rsa", "rsassa-pss-sha512", pem(rsa.publicKey), pss("sha512", 64)],
    ["rsa", "rsassa-pss-sha384", pem(rsa.publicKey), pss("sha384", 206)],
    ["rsa", "rsa-pkcs1v15-sha256", pem(rsa.publicKey), nodeSign("sha256", MESSAGE, rsa.privateKey).toString("hex")],
    ["rsa", "rsa-pkcs1v15-sha512", pem(rsa.publicKey), nodeSign("sha512", MESSAGE, rsa.privateKey).toString("hex")],
    ["rsa", "rsassa-pss-sha256", rsa.publicKey.export({ type: "pkcs1", format: "pem" }) as string, pss("sha256", 32)],
  ];
  for (const [index, [keytype, scheme, text, sig]] of good.entries()) {
    it(`verifies ${keytype} with ${scheme} (${index}), and nothing that was changed`, async () => {
      expect(await isGood(keytype, scheme, text, sig)).toBe(true);
      const at = sig.length - 10;
      const changed = `${sig.slice(0, at)}${sig[at] === "0" ? "1" : "0"}${sig.slice(at + 1)}`;
      expect(await isGood(keytype, scheme, text, changed)).toBe(false);
    });
  }

  it("lets our own signers sign for what TUF prescribes", async () => {
    for (const algorithm of ["ed25519", "ecdsa-p256"] as const) {
      const signer = await PrivateKey.generate(algorithm);
      const key = await tufKeyOf(signer.publicKey);
      const { sig } = await signMessage(key, signer, MESSAGE);
      expect(await isGood(key.keytype, key.scheme, (key.json["keyval"] as { public: string }).public, sig)).toBe(true);
    }
  });

  it("gives the id that the specification prescribes, as python-tuf computes it", async () => {
    const key = await tufKeyOf(PublicKey.fromEd25519(new Uint8Array(32)));
    const text = `{"keytype":"ed25519","keyval":{"public":"${"00".repeat(32)}"},"scheme":"ed25519"}`;
    expect(key.id).toBe(createHash("sha256").update(text).digest("hex"));
    expect(key.json).toEqual({ keytype: "ed25519", scheme: "ed25519", keyval: { public: "00".repeat(32) } });
  });
});

describe("A3: algorithm confusion", () => {
  const edSig = hexEncode(nodeSign(null, MESSAGE, ed25519.privateKey));
  const ecSig = ecdsa("sha256", p256.privateKey);
  const der = (r: string, s: string): string => {
    const number = (hex: string): string => `02${(hex.length / 2).toString(16).padStart(2, "0")}${hex}`;
    const body = number(r) + number(s);
    return `30${(body.length / 2).toString(16).padStart(2, "0")}${body}`;
  };
  const bad: Record<string, [string, string, string, string]> = {
    "a key type that does not fit the scheme": ["ecdsa", "ed25519", raw(ed25519.publicKey, 32), edSig],
    "a scheme that does not fit the key type": ["ed25519", "ecdsa-sha2-nistp256", pem(p256.publicKey), ecSig],
    "an RSA key that is labelled ed25519": ["ed25519", "ed25519", pem(rsa.publicKey), edSig],
    "an RSA key that is labelled ECDSA": ["ecdsa", "ecdsa-sha2-nistp256", pem(rsa.publicKey), ecSig],
    "a P-384 key that is labelled P-256": [
      "ecdsa",
      "ecdsa-sha2-nistp256",
      pem(p384.publicKey),
      ecdsa("sha256", p384.privateKey),
    ],
    "P-384 with SHA-256": ["ecdsa", "ecdsa-sha2-nistp384", pem(p384.publicKey), ecdsa("sha256", p384.privateKey)],
    "an ed25519 key of 31 bytes": ["ed25519", "ed25519", raw(ed25519.publicKey, 31), edSig],
    "an ed25519 key of 33 bytes": ["ed25519", "ed25519", raw(ed25519.publicKey, 33), edSig],
    "an ed25519 key that is no hex": ["ed25519", "ed25519", "x".repeat(64), edSig],
    "an RSA key of 1024 bits": [
      "rsa",
      "rsassa-pss-sha256",
      pem(weakRsa.publicKey),
      pss("sha256", 32, weakRsa.privateKey),
    ],
    "PKCS#1 v1.5 where PSS is demanded": [
      "rsa",
      "rsassa-pss-sha256",
      pem(rsa.publicKey),
      nodeSign("sha256", MESSAGE, rsa.privateKey).toString("hex"),
    ],
    "PSS with a salt of neither length": ["rsa", "rsassa-pss-sha256", pem(rsa.publicKey), pss("sha256", 20)],
    "a keyed hash with the public key": ["hmac", "hmac-sha256", pem(rsa.publicKey), "00".repeat(32)],
    "an unknown scheme": ["ecdsa", "ecdsa-sha2-nistp256k1", pem(p256.publicKey), ecSig],
    "a scheme named constructor": ["constructor", "constructor", pem(p256.publicKey), ecSig],
    "an ECDSA signature with r = 0": ["ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey), der("00", "01")],
    "an ECDSA signature with s = 0": ["ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey), der("01", "00")],
    "an ECDSA signature in BER": ["ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey), `3081${ecSig.slice(2)}`],
    "an ECDSA signature with something after it": ["ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey), `${ecSig}00`],
    "an ECDSA signature as r‖s": [
      "ecdsa",
      "ecdsa-sha2-nistp256",
      pem(p256.publicKey),
      nodeSign("sha256", MESSAGE, { key: p256.privateKey, dsaEncoding: "ieee-p1363" }).toString("hex"),
    ],
    "an empty signature": ["ed25519", "ed25519", raw(ed25519.publicKey, 32), ""],
    "a signature that is no hex": ["ed25519", "ed25519", raw(ed25519.publicKey, 32), "zz"],
    "a point off its curve": ["ecdsa", "ecdsa-sha2-nistp256", `04${"11".repeat(64)}`, ecSig],
    "two PEM blocks": ["ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey) + pem(p256.publicKey), ecSig],
    "a private key": [
      "ecdsa",
      "ecdsa-sha2-nistp256",
      createPrivateKey(p256.privateKey.export({ type: "pkcs8", format: "pem" })).export({
        type: "pkcs8",
        format: "pem",
      }) as string,
      ecSig,
    ],
  };
  for (const [name, [keytype, scheme, text, sig]] of Object.entries(bad)) {
    it(`counts nothing for ${name}`, async () => {
      expect(await isGood(keytype, scheme, text, sig)).toBe(false);
    });
  }

  it("accepts a signature with a high s, which ECDSA itself allows", async () => {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const both = nodeSign("sha256", MESSAGE, { key: p256.privateKey, dsaEncoding: "ieee-p1363" }).toString("hex");
    const s = BigInt(`0x${both.slice(64)}`);
    const forms = [s, order - s].map((value) => {
      const text = value.toString(16).padStart(64, "0");
      const plain = (hex: string): string => {
        const short = hex.replace(/^(?:00)+(?=[0-9a-f]{2})/, "");
        return Number.parseInt(short.slice(0, 2), 16) >= 0x80 ? `00${short}` : short;
      };
      return der(plain(both.slice(0, 64)), plain(text));
    });
    for (const sig of forms) expect(await isGood("ecdsa", "ecdsa-sha2-nistp256", pem(p256.publicKey), sig)).toBe(true);
  });
});

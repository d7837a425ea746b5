import { describe, expect, it } from "vitest";
import { hexEncode, utf8Encode } from "../../src/base/bytes.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { PublicKey } from "../../src/keys/public-key.ts";
import { signMessage, TufKey, tufKeyOf, verifyThreshold } from "../../src/tuf/keys.ts";
import signatures from "../fixtures/tuf/signatures.json" with { type: "json" };

const MESSAGE = utf8Encode(signatures.message);
/** Made by another program: see make-signatures.mjs beside them. */
type Case = readonly [name: string, keytype: string, scheme: string, key: string, sig: string];
const good = signatures.good as unknown as readonly Case[];
const bad = signatures.bad as unknown as readonly Case[];

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
  for (const [name, keytype, scheme, text, sig] of good) {
    it(`verifies ${name}, and nothing that was changed`, async () => {
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
    expect(key.id).toBe(hexEncode(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8Encode(text)))));
    expect(key.json).toEqual({ keytype: "ed25519", scheme: "ed25519", keyval: { public: "00".repeat(32) } });
  });
});

describe("a key object that is made of a public key", () => {
  const kinds = [
    ["ed25519", "ed25519", "ed25519", "ed25519"],
    ["ecdsa-p256", "ecdsa", "ecdsa-sha2-nistp256", "ecdsa-sha256"],
    ["ecdsa-p384", "ecdsa", "ecdsa-sha2-nistp384", "ecdsa-sha384"],
  ] as const;
  for (const [algorithm, keytype, scheme, signingScheme] of kinds) {
    it(`is one of ${scheme}, and is read again as that key`, async () => {
      const { publicKey } = await PrivateKey.generate(algorithm);
      const key = await tufKeyOf(publicKey);
      const text = (key.json["keyval"] as { public: string }).public;
      expect(key).toMatchObject({
        keytype,
        scheme,
        signingScheme,
        json: { keytype, scheme, keyval: { public: text } },
      });
      expect(key.publicKey!.spki).toEqual(publicKey.spki);
      expect(text.startsWith("-----BEGIN PUBLIC KEY-----")).toBe(algorithm !== "ed25519");
      const again = new TufKey("x", { keytype, scheme, text }, {});
      expect(again.publicKey!.spki).toEqual(publicKey.spki);
    });
  }

  it("is one of the RSA scheme that is asked for, PSS unless told", async () => {
    const [, keytype, scheme, text] = good.find(([name]) => name.startsWith("RSA-PSS"))!;
    const { publicKey } = new TufKey("x", { keytype, scheme, text }, {});
    const [pss, pkcs1] = [await tufKeyOf(publicKey!), await tufKeyOf(publicKey!, "rsa-pkcs1v15-sha256")];
    expect([pss.keytype, pss.scheme, pss.signingScheme]).toEqual(["rsa", "rsassa-pss-sha256", "rsassa-pss-sha256"]);
    expect([pkcs1.scheme, pkcs1.signingScheme]).toEqual(["rsa-pkcs1v15-sha256", "rsassa-pkcs1v15-sha256"]);
    expect(pss.id).not.toBe(pkcs1.id);
  });

  it("is none of a curve that clients differ in", async () => {
    const { publicKey } = await PrivateKey.generate("ecdsa-p521");
    await expect(tufKeyOf(publicKey)).rejects.toMatchObject({
      code: "KEY_INVALID",
      message: "TUF clients differ in whether they verify with ECDSA on P-521",
      hint: expect.stringContaining("Ed25519"),
    });
  });
});

/** RFC 8410 §10.1 */
const ED25519_PEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`;

describe("a key that we cannot verify with", () => {
  const [, , , pem] = good.find(([name]) => name === "P-256 as ecdsa")!;
  const [, , , pkcs1] = good.find(([name]) => name === "an RSA key in PKCS#1")!;
  const unusable: [string, string, string, string][] = [
    ["of an unknown scheme", "ecdsa", "ecdsa-sha2-nistp256k1", pem],
    ["of a type that does not fit", "ed25519", "ecdsa-sha2-nistp256", pem],
    ["on another curve", "ecdsa", "ecdsa-sha2-nistp384", pem],
    ["that is empty", "ecdsa", "ecdsa-sha2-nistp256", ""],
    ["that is no PEM", "ecdsa", "ecdsa-sha2-nistp256", "-----BEGIN"],
    ["in a block of another kind", "rsa", "rsassa-pss-sha256", pem.replaceAll("PUBLIC KEY", "CERTIFICATE")],
    ["labelled as RSA's own", "rsa", "rsassa-pss-sha256", pem.replaceAll("PUBLIC KEY", "RSA PUBLIC KEY")],
    ["in two blocks", "ecdsa", "ecdsa-sha2-nistp256", `${pem}\n${pem}`],
    ["that is empty, of RSA", "rsa", "rsassa-pss-sha256", ""],
    ["that is no PEM, of RSA", "rsa", "rsassa-pss-sha256", "a key"],
    ["that is hex, of RSA", "rsa", "rsassa-pss-sha256", `04${"00".repeat(64)}`],
    ["of Ed25519, listed as RSA", "rsa", "rsassa-pss-sha256", ED25519_PEM],
    ["of RSA under another label", "rsa", "rsassa-pss-sha256", pkcs1.replaceAll("RSA PUBLIC KEY", "CERTIFICATE")],
    ["that is a point of another curve", "ecdsa", "ecdsa-sha2-nistp256", `04${"00".repeat(96)}`],
  ];
  for (const [what, keytype, scheme, text] of unusable) {
    it(`is none: ${what}`, () => {
      const key = new TufKey("x", { keytype, scheme, text }, {});
      expect([key.publicKey, key.signingScheme]).toEqual([undefined, undefined]);
      expect(key.candidates("00")).toEqual([]);
    });
  }
});

describe("a signature that is no hex", () => {
  it.each(good)("is none of %s", (_, keytype, scheme, text) => {
    const key = new TufKey("id", { keytype, scheme, text }, {});
    for (const sig of ["not hex", "abc", "0x00"]) expect(key.candidates(sig)).toEqual([]);
  });
});

it("passes a defect of the program on, and does not take it for a bad key", () => {
  const key = new TufKey("id", { keytype: "ed25519", scheme: "ed25519", text: undefined as unknown as string }, {});
  expect(() => key.publicKey).toThrow(TypeError);
});

describe("A3: algorithm confusion", () => {
  for (const [name, keytype, scheme, text, sig] of bad) {
    it(`counts nothing for ${name}`, async () => {
      expect(await isGood(keytype, scheme, text, sig)).toBe(false);
    });
  }
});

describe("signatures", () => {
  it("are made as others read them: hex, DER for ECDSA, under the key's id, nothing more", async () => {
    for (const [algorithm, form] of [
      ["ed25519", /^[0-9a-f]{128}$/],
      ["ecdsa-p256", /^30[0-9a-f]{2}02[0-9a-f]+$/],
    ] as const) {
      const signer = await PrivateKey.generate(algorithm);
      const key = await tufKeyOf(signer.publicKey);
      const signature = await signMessage(key, signer, MESSAGE);
      expect(signature).toEqual({ keyId: key.id, sig: expect.stringMatching(form), extra: {} });
    }
  });

  it("of keys that the role does not name are not looked at", async () => {
    const signer = await PrivateKey.generate("ed25519");
    const key = await tufKeyOf(signer.publicKey);
    const document = { message: MESSAGE, signatures: [await signMessage(key, signer, MESSAGE)] };
    const role = { keyIds: ["other"], threshold: 1, extra: {} };
    await expect(verifyThreshold("r", document, role, new Map([[key.id, key]]))).rejects.toMatchObject({
      code: "SIGNATURE_THRESHOLD",
      details: { role: "r", expected: 1, got: 0, candidates: 0 },
    });
  });
});

describe("a role whose keys are not all listed", () => {
  it("counts the others, and fails where they are too few", async () => {
    const [signer, other] = [await PrivateKey.generate("ed25519"), await PrivateKey.generate("ed25519")];
    const [key, missing] = [await tufKeyOf(signer.publicKey), await tufKeyOf(other.publicKey)];
    const made = [await signMessage(key, signer, MESSAGE), await signMessage(missing, other, MESSAGE)];
    const document = { message: MESSAGE, signatures: made };
    const listed = new Map([[key.id, key]]);
    const role = (threshold: number) => ({ keyIds: [missing.id, key.id], threshold, extra: {} });
    expect(await verifyThreshold("r", document, role(1), listed)).toEqual([key]);
    await expect(verifyThreshold("r", document, role(2), listed)).rejects.toMatchObject({
      code: "SIGNATURE_THRESHOLD",
      details: { role: "r", expected: 2, got: 1, candidates: 1 },
    });
  });
});

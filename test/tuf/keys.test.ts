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

describe("A3: algorithm confusion", () => {
  for (const [name, keytype, scheme, text, sig] of bad) {
    it(`counts nothing for ${name}`, async () => {
      expect(await isGood(keytype, scheme, text, sig)).toBe(false);
    });
  }
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

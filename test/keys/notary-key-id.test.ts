import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { base64Decode, utf8Encode } from "../../src/base/bytes.ts";
import { parseCertificates } from "../../src/keys/certificate.ts";
import { canonicalKeyId, notaryKeyId } from "../../src/keys/notary-key-id.ts";
import { PublicKey, verifySignature } from "../../src/keys/public-key.ts";
import type { SignatureScheme } from "../../src/keys/signature-scheme.ts";
import { FIXTURES } from "../support/key-fixtures.ts";

const SCHEMES: Record<string, SignatureScheme> = {
  ecdsa: "ecdsa-sha256",
  eddsa: "ed25519",
  rsapss: "rsassa-pss-sha256",
};
const SESSION = "session1/states/28-nested/trust/tuf/localhost:5000/demo/hello/metadata";

interface Listed {
  keytype: string;
  keyval: { public: string };
}
interface Document {
  signed: { keys?: Record<string, Listed>; delegations?: { keys: Record<string, Listed> } };
  signatures: { keyid: string; method: string; sig: string }[];
}

function load(path: string): { text: string; document: Document } {
  const text = readFileSync(join(FIXTURES, "notary-v1", path), "utf8");
  return { text, document: JSON.parse(text) as Document };
}

function keysOf(folder: string): Record<string, Listed> {
  const [root, targets] = [load(join(folder, "root.json")).document, load(join(folder, "targets.json")).document];
  return { ...root.signed.keys, ...targets.signed.delegations?.keys };
}

function toKey({ keytype, keyval }: Listed): PublicKey {
  const bytes = base64Decode(keyval.public)!;
  if (keytype.endsWith("-x509")) return parseCertificates(new TextDecoder().decode(bytes))[0]!.publicKey;
  return keytype === "ed25519" ? PublicKey.fromEd25519(bytes) : PublicKey.fromSpki(bytes);
}

const unit = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16));

test.each([SESSION, "ed25519-local-signer"])("computes the ids under which %s lists its keys", async (folder) => {
  const keys = Object.entries(keysOf(folder));
  expect(keys.length).toBeGreaterThan(3);
  for (const [id, { keytype, keyval }] of keys) {
    expect(await notaryKeyId(keytype, base64Decode(keyval.public)!)).toBe(id);
    if (!keytype.endsWith("-x509")) expect(await canonicalKeyId(toKey({ keytype, keyval }))).toBe(id);
  }
});

test.each([
  ...["root", "targets", "targets/releases", "snapshot", "timestamp"].map((role) => [SESSION, role]),
  ...["root", "targets", "snapshot", "timestamp"].map((role) => ["ed25519-local-signer", role]),
])("verifies every signature of Notary's own %s/%s.json", async (folder, role) => {
  const keys = keysOf(folder);
  const { text, document } = load(join(folder, `${role}.json`));
  const wire = text.slice('{"signed":'.length, text.lastIndexOf(',"signatures":'));
  // what is signed is the text before Go escapes it for the wire
  const signed = utf8Encode(wire.replaceAll(/\\u(003c|003e|0026|2028|2029)/g, (_, hex: string) => unit(hex)));
  expect(document.signatures.length).toBeGreaterThan(0);
  for (const { keyid, method, sig } of document.signatures) {
    const [key, signature] = [toKey(keys[keyid]!), base64Decode(sig)!];
    expect(await verifySignature(key, SCHEMES[method]!, signed, signature)).toBe(true);
    expect(await verifySignature(key, SCHEMES[method]!, signed.slice(1), signature)).toBe(false);
  }
});

/** Public keys that people hand over for a delegation: PEM files of keys or certificates. */
import { utf8Encode } from "../base/bytes.ts";
import { FormatError, UsageError } from "../base/errors.ts";
import { parseCertificates, type Certificate } from "../keys/certificate.ts";
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import { formatPem, parsePem } from "../keys/pem.ts";
import { PublicKey } from "../keys/public-key.ts";
import { newKey, type NewKey } from "./changes.ts";
import { keyIdOf } from "./public-keys.ts";

/**
 * Reads every public key and certificate of a PEM text.
 *
 * Certificates must be valid now; nobody looks at their dates later, as with Notary.
 *
 * @throws {FormatError} KEY_INVALID, CERTIFICATE_INVALID
 * @throws {UsageError} USAGE where the text has a private key, which nobody should hand over
 */
export async function readDelegationKeys(pem: string, now: Date): Promise<NewKey[]> {
  const keys: NewKey[] = [];
  for (const block of parsePem(pem, "the public key file")) {
    if (block.label.endsWith("PRIVATE KEY")) {
      throw new UsageError("USAGE", "the file holds a private key, a delegation needs the public one", {
        hint: "Ask the signer for the public key or certificate, and to keep the private key",
      });
    }
    if (block.label === "PUBLIC KEY") keys.push(await newKey(PublicKey.fromSpki(block.bytes)));
    if (block.label === "CERTIFICATE") keys.push(await certifiedKey(formatPem({ ...block, headers: new Map() }), now));
  }
  if (keys.length > 0) return keys;
  throw new FormatError("KEY_INVALID", "the file holds no public key and no certificate", {
    hint: "It should have a block that begins with -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----",
  });
}

async function certifiedKey(pem: string, now: Date): Promise<NewKey> {
  const certificate = parseCertificates(pem)[0]!;
  const fault = certificateFault(certificate, now);
  if (fault !== undefined) throw new FormatError("CERTIFICATE_INVALID", `the certificate cannot be used: ${fault}`);
  const { publicKey } = certificate;
  const key = { keytype: `${publicKey.type}-x509`, public: utf8Encode(pem) };
  return { key, keyId: await keyIdOf(key), canonicalId: await canonicalKeyId(publicKey) };
}

function certificateFault({ notBefore, notAfter, usesSha1, publicKey }: Certificate, now: Date): string | undefined {
  if (usesSha1) return "it is signed with SHA-1";
  if (now > notAfter) return `it expired on ${notAfter.toISOString()}`;
  if (now < notBefore) return `it is not valid before ${notBefore.toISOString()}`;
  if (publicKey.type === "ed25519") return "Notary knows no Ed25519 certificates; give the public key itself";
  return undefined;
}

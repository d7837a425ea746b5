/** Root keys: Notary lists them inside certificates that carry the collection's name. */
import { utf8Encode } from "../base/bytes.ts";
import { TrustError, UsageError } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import { createSelfSignedCertificate, parseCertificates } from "../keys/certificate.ts";
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import { formatPem } from "../keys/pem.ts";
import type { Signer } from "../keys/signer.ts";
import type { NewKey } from "./changes.ts";
import type { NotaryKey } from "./metadata.ts";
import { keyIdOf } from "./public-keys.ts";
import { EXPIRY_DAYS } from "./sign-documents.ts";

const DAY_MS = 86_400_000;

/**
 * Wraps a root key for a collection.
 *
 * @param certificate PEM, leaf first: the owner's own; one is made unless given
 * @throws {UsageError} USAGE where the key is of a kind that Notary has no certificates for
 * @throws {TrustError} KEY_MISSING where the certificate is for another key
 */
export async function certifyRootKey(
  gun: string,
  signer: Signer,
  options: { now: Clock; certificate?: string | undefined },
): Promise<NewKey> {
  const { type } = signer.publicKey;
  if (type === "ed25519") {
    throw new UsageError("USAGE", "a root key of Notary is ECDSA or RSA, this one is Ed25519", {
      hint: "Let a new root key be made, or import an ECDSA or RSA key",
    });
  }
  const canonicalId = await canonicalKeyId(signer.publicKey);
  const now = options.now();
  const pem =
    (options.certificate && rewrite(options.certificate)) ??
    (await createSelfSignedCertificate({
      commonName: gun,
      signer,
      notBefore: now,
      notAfter: new Date(now.getTime() + EXPIRY_DAYS.root * DAY_MS),
    }));
  const certified = await certifiedKeyId(pem);
  if (certified !== canonicalId) {
    throw new TrustError("KEY_MISSING", `the certificate is for the key ${certified}, not for ${canonicalId}`, {
      role: "root",
      hint: "Give the certificate of the root key, leaf first",
    });
  }
  const key: NotaryKey = { keytype: `${type}-x509`, public: utf8Encode(pem) };
  return { key, keyId: await keyIdOf(key), canonicalId };
}

/** The id of the key that a PEM bundle's first certificate is for. @throws {FormatError} CERTIFICATE_INVALID */
export async function certifiedKeyId(pem: string): Promise<string> {
  const [leaf] = parseCertificates(pem, "the root certificate");
  return canonicalKeyId(leaf!.publicKey);
}

/** The same certificates without whatever stands around them. */
function rewrite(pem: string): string {
  return parseCertificates(pem, "the root certificate")
    .map(({ bytes }) => formatPem({ label: "CERTIFICATE", headers: new Map(), bytes }))
    .join("");
}

/** The signature algorithms of certificates (RFC 5280 §4.1.1.2, RFC 4055, RFC 5758, RFC 8410), both ways. */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import type { DerFault, DerReader } from "./der.ts";
import { explicit, integer, nothing, oid, sequence } from "./der-writer.ts";
import { OID } from "./oid.ts";
import type { SignatureScheme } from "./signature-scheme.ts";

/** `sha1` is known and never accepted; undefined is any other. */
export type CertificateSignature = SignatureScheme | "sha1" | undefined;

const BY_OID: Readonly<Record<string, SignatureScheme | "sha1">> = {
  [OID.ecdsaSha1]: "sha1",
  [OID.ecdsaSha256]: "ecdsa-sha256",
  [OID.ecdsaSha384]: "ecdsa-sha384",
  [OID.ecdsaSha512]: "ecdsa-sha512",
  [OID.rsaSha1]: "sha1",
  [OID.rsaSha256]: "rsassa-pkcs1v15-sha256",
  [OID.rsaSha384]: "rsassa-pkcs1v15-sha384",
  [OID.rsaSha512]: "rsassa-pkcs1v15-sha512",
  [OID.ed25519]: "ed25519",
};

/** The PSS parameters in use: one hash throughout and a salt as long as it. */
const PSS: readonly { scheme: SignatureScheme; parameters: readonly Bytes[] }[] = [
  { scheme: "rsassa-pss-sha256", parameters: [pssParameters(OID.sha256, 32), pssParameters(OID.sha256, 32, false)] },
  { scheme: "rsassa-pss-sha384", parameters: [pssParameters(OID.sha384, 48), pssParameters(OID.sha384, 48, false)] },
  { scheme: "rsassa-pss-sha512", parameters: [pssParameters(OID.sha512, 64), pssParameters(OID.sha512, 64, false)] },
];

/** What {@link writeSignatureAlgorithm} writes: what a `Signer` makes, per type of key. */
const WRITTEN = {
  ecdsa: sequence(oid(OID.ecdsaSha256)),
  rsa: sequence(oid(OID.rsaPss), pssParameters(OID.sha256, 32)),
  ed25519: sequence(oid(OID.ed25519)),
} as const;

/** Reads an AlgorithmIdentifier. */
export function readSignatureAlgorithm(reader: DerReader, fault: DerFault): CertificateSignature {
  const algorithm = reader.enter("the signature algorithm");
  reader.end("the signature algorithm");
  const name = algorithm.oid("the signature algorithm");
  const parameters = algorithm.done ? undefined : algorithm.element("the algorithm's parameters").bytes;
  if (!algorithm.done) throw fault("its signature algorithm has too many parts");
  if (name === OID.rsaPss) {
    if (parameters === undefined) return "sha1"; // the default hash
    return PSS.find((known) => known.parameters.some((bytes) => equalBytes(bytes, parameters)))?.scheme;
  }
  return Object.hasOwn(BY_OID, name) ? BY_OID[name] : undefined;
}

/** The AlgorithmIdentifier of certificates signed by a `Signer`. */
export function writeSignatureAlgorithm(type: keyof typeof WRITTEN): Bytes {
  return WRITTEN[type];
}

/** With or without the NULL that hash algorithms should have and some writers leave out. */
function pssParameters(hash: string, saltLength: number, withNull = true): Bytes {
  const hashAlgorithm = sequence(oid(hash), ...(withNull ? [nothing()] : []));
  const mask = sequence(oid(OID.mgf1), hashAlgorithm);
  return sequence(explicit(0, hashAlgorithm), explicit(1, mask), explicit(2, integer(saltLength)));
}

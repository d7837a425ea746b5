/** Making certificates: Notary's root certificate, a local authority, and the server certificates it issues. */
import type { Bytes } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import { DER_TAG, DerReader } from "./der.ts";
import {
  bitString,
  element,
  explicit,
  integer,
  isTrue,
  octetString,
  oid,
  sequence,
  time,
  utf8String,
} from "./der-writer.ts";
import { ecdsaToDer } from "./ecdsa-signature.ts";
import { OID } from "./oid.ts";
import { formatPem } from "./pem.ts";
import type { PublicKey } from "./public-key.ts";
import { writeSignatureAlgorithm } from "./signature-algorithm.ts";
import type { Signer } from "./signer.ts";

/** A GUN may be long; beyond this a name is an attack. */
const MAX_COMMON_NAME_OCTETS = 4096;

export interface CertificateSubject {
  readonly commonName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** The names that a server certificate is good for. */
export interface ServerNames {
  readonly dnsNames: readonly string[];
  /** 4 or 16 octets each. */
  readonly ipAddresses: readonly Uint8Array[];
}

/**
 * Makes the certificate in which Notary wraps a root key: self-signed, the collection's name as common name, for
 * code signing, no authority. Names longer than X.509's 64 characters are written as they are, as Go does.
 *
 * @returns PEM
 * @throws {FormatError} CERTIFICATE_INVALID where the name is empty or too long
 *
 * @example
 * ```ts
 * const pem = await createSelfSignedCertificate({ commonName: "ghcr.io/acme/app", signer, notBefore, notAfter });
 * ```
 */
export async function createSelfSignedCertificate(options: CertificateSubject & { signer: Signer }): Promise<string> {
  const { signer } = options;
  const extensions = [
    extension(OID.keyUsage, keyUsage(0xa0, 5), true), // digitalSignature, keyEncipherment
    extension(OID.extendedKeyUsage, sequence(oid(OID.codeSigning))),
    extension(OID.basicConstraints, sequence(), true),
  ];
  return certificatePem({ ...options, publicKey: signer.publicKey, issuer: options.commonName, extensions });
}

/** Makes a self-signed authority that may issue leaves and nothing else. @returns PEM */
export async function createCaCertificate(options: CertificateSubject & { signer: Signer }): Promise<string> {
  const { signer } = options;
  const extensions = [
    extension(OID.keyUsage, keyUsage(0x06, 1), true), // keyCertSign, cRLSign
    extension(OID.basicConstraints, sequence(isTrue(), integer(0)), true),
    extension(OID.subjectKeyIdentifier, octetString(await keyIdentifier(signer.publicKey))),
  ];
  return certificatePem({ ...options, publicKey: signer.publicKey, issuer: options.commonName, extensions });
}

/**
 * Makes a TLS server certificate issued by an authority of {@link createCaCertificate}.
 *
 * @param options.issuer the authority's common name
 * @param options.signer the authority's key
 * @returns PEM
 */
export async function createServerCertificate(
  options: CertificateSubject & { publicKey: PublicKey; names: ServerNames; issuer: string; signer: Signer },
): Promise<string> {
  const { dnsNames, ipAddresses } = options.names;
  const names = [
    ...dnsNames.map((name) => element(0x82, new TextEncoder().encode(name))),
    ...ipAddresses.map((address) => element(0x87, address)),
  ];
  const authorityKeyId = element(0x80, await keyIdentifier(options.signer.publicKey));
  const extensions = [
    extension(OID.keyUsage, keyUsage(0x80, 7), true), // digitalSignature
    extension(OID.extendedKeyUsage, sequence(oid(OID.serverAuth))),
    extension(OID.basicConstraints, sequence(), true),
    extension(OID.subjectKeyIdentifier, octetString(await keyIdentifier(options.publicKey))),
    extension(OID.authorityKeyIdentifier, sequence(authorityKeyId)),
    extension(OID.subjectAltName, sequence(...names)),
  ];
  return certificatePem({ ...options, extensions });
}

interface Content extends CertificateSubject {
  readonly publicKey: PublicKey;
  readonly issuer: string;
  readonly signer: Signer;
  readonly extensions: readonly Bytes[];
}

async function certificatePem(content: Content): Promise<string> {
  const { signer, publicKey } = content;
  const algorithm = writeSignatureAlgorithm(signer.publicKey.type);
  const tbs = sequence(
    explicit(0, integer(2)),
    integer(serialNumber()),
    algorithm,
    commonName(content.issuer),
    sequence(time(content.notBefore), time(content.notAfter)),
    commonName(content.commonName),
    publicKey.spki,
    explicit(3, sequence(...content.extensions)),
  );
  const signature = await signer.sign(tbs);
  const bits = signer.publicKey.type === "ecdsa" ? ecdsaToDer(signature, signer.publicKey.curve!) : signature;
  const bytes = sequence(tbs, algorithm, bitString(bits));
  return formatPem({ label: "CERTIFICATE", headers: new Map(), bytes });
}

/** 126 random bits, always 16 octets and never negative. */
function serialNumber(): Bytes {
  const serial = crypto.getRandomValues(new Uint8Array(16));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

function commonName(name: string): Bytes {
  const text = utf8String(name);
  if (name === "" || text.length > MAX_COMMON_NAME_OCTETS) {
    throw new FormatError("CERTIFICATE_INVALID", "the common name of a certificate must not be empty or too long", {
      details: { limit: MAX_COMMON_NAME_OCTETS },
    });
  }
  return sequence(element(DER_TAG.set, sequence(oid(OID.commonName), text)));
}

function extension(id: string, value: Bytes, critical = false): Bytes {
  return sequence(oid(id), ...(critical ? [isTrue()] : []), octetString(value));
}

function keyUsage(bits: number, unusedBits: number): Bytes {
  return bitString(Uint8Array.of(bits), unusedBits);
}

/** RFC 7093 §2 method 1: 160 bits of the SHA-256 of the key's own bits. */
async function keyIdentifier(key: PublicKey): Promise<Bytes> {
  const info = new DerReader(key.spki, (message) => new FormatError("KEY_INVALID", message)).enter("the key");
  info.element("the algorithm");
  return (await hashBytes("sha256", info.bitString("the key bits"))).slice(0, 20);
}

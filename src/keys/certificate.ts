/**
 * X.509 certificates (RFC 5280): what Notary's root keys are wrapped in and what authorities sign. Read strictly
 * and once through; whom to trust is decided elsewhere.
 */
import { equalBytes, utf8Decode, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { readExtensions, type Extensions } from "./certificate-extensions.ts";
import { contextTag, DER_TAG, DerReader } from "./der.ts";
import { ecdsaFromDer } from "./ecdsa-signature.ts";
import { OID } from "./oid.ts";
import { parsePem } from "./pem.ts";
import { PublicKey, verifySignature } from "./public-key.ts";
import { readSignatureAlgorithm, type CertificateSignature } from "./signature-algorithm.ts";

export { createSelfSignedCertificate } from "./certificate-template.ts";

/** Root certificates have some 500 octets, the largest ones of public authorities some thousands. */
const MAX_CERTIFICATE_OCTETS = 64 * 1024;
/** Certificates in one bundle; system bundles have about 150. */
const MAX_CERTIFICATES = 500;
/** Parts of a name; ten would be many. */
const MAX_NAME_PARTS = 64;

/** A certificate that was read; nothing about it is verified. */
export class Certificate {
  /** DER of the whole certificate. */
  readonly bytes: Bytes;
  /** The subject's common name; empty where it has none. May be longer than X.509's 64 characters. */
  readonly commonName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKey: PublicKey;
  readonly extensions: Extensions;
  private readonly tbs: Bytes;
  private readonly issuer: Bytes;
  private readonly subject: Bytes;
  private readonly algorithm: CertificateSignature;
  private readonly signature: Bytes;

  /** @throws {FormatError} CERTIFICATE_INVALID; KEY_INVALID where its public key is not acceptable */
  constructor(der: Uint8Array) {
    if (der.length > MAX_CERTIFICATE_OCTETS)
      throw fault(`it has ${der.length} bytes, the limit is ${MAX_CERTIFICATE_OCTETS}`);
    this.bytes = new Uint8Array(der);
    const outer = new DerReader(this.bytes, fault);
    const certificate = outer.enter("the certificate");
    outer.end("the certificate");
    const tbs = certificate.element("the content");
    const algorithm = certificate.element("the signature algorithm");
    this.signature = certificate.bitString("the signature");
    certificate.end("the signature");
    if (tbs.tag !== DER_TAG.sequence) throw fault("its content is not a sequence");
    this.tbs = tbs.bytes;
    this.algorithm = readSignatureAlgorithm(certificate.within(algorithm.bytes), fault);

    const content = certificate.within(tbs.content);
    const version = content.optional(contextTag(0), "the version");
    const isV3 = version !== undefined && readVersion(content.within(version));
    content.integer("the serial number");
    if (!equalBytes(content.element("the inner algorithm").bytes, algorithm.bytes)) {
      throw fault("it names two signature algorithms");
    }
    this.issuer = content.element("the issuer").bytes;
    const validity = content.enter("the validity");
    this.notBefore = readTime(validity);
    this.notAfter = readTime(validity);
    validity.end("the validity");
    const subject = content.element("the subject");
    this.subject = subject.bytes;
    this.commonName = readCommonName(content.within(subject.bytes));
    this.publicKey = PublicKey.fromSpki(content.element("the public key").bytes);
    content.optional(0x81, "the issuer's id");
    content.optional(0x82, "the subject's id");
    const extensions = content.optional(contextTag(3), "the extensions");
    content.end("the extensions");
    if (extensions !== undefined && !isV3) throw fault("it has extensions and is not of version 3");
    this.extensions = readExtensions(extensions === undefined ? undefined : content.within(extensions), fault);
  }

  /** True for authorities: certificates that may issue others. */
  get isCa(): boolean {
    return this.extensions.isCa;
  }

  /** True where its signature is one that can be forged today. */
  get usesSha1(): boolean {
    return this.algorithm === "sha1";
  }

  /**
   * Tells whether an authority issued this certificate: its name, its right to issue, and its signature with
   * SHA-2. Dates are not looked at.
   */
  async isIssuedBy(authority: Certificate): Promise<boolean> {
    return this.namesIssuer(authority) && this.isSignedBy(authority.publicKey);
  }

  /** Tells whether it names an authority that may issue as its issuer: all of {@link isIssuedBy} but the signature. */
  namesIssuer(authority: Certificate): boolean {
    return authority.isCa && authority.extensions.mayIssue && equalBytes(this.issuer, authority.subject);
  }

  /** Tells whether a key made its signature; false for SHA-1 and for algorithms that are not known. */
  async isSignedBy(key: PublicKey): Promise<boolean> {
    if (this.algorithm === "sha1" || this.algorithm === undefined) return false;
    const signature = key.type === "ecdsa" ? ecdsaFromDer(this.signature, key.curve!) : this.signature;
    return signature !== undefined && verifySignature(key, this.algorithm, this.tbs, signature);
  }
}

/**
 * Reads every certificate of a PEM text, in order; other blocks are passed over.
 *
 * @throws {FormatError} CERTIFICATE_INVALID, also where there is none; KEY_INVALID where a public key is not
 * acceptable; LIMIT_EXCEEDED
 */
export function parseCertificates(pem: string, what = "the certificate"): Certificate[] {
  const blocks = parsePem(pem, what, "CERTIFICATE_INVALID").filter(({ label }) => label === "CERTIFICATE");
  if (blocks.length === 0) {
    throw new FormatError("CERTIFICATE_INVALID", `${what} holds no certificate`, {
      hint: "A certificate is PEM text between BEGIN CERTIFICATE and END CERTIFICATE lines",
    });
  }
  if (blocks.length > MAX_CERTIFICATES) {
    throw new FormatError(
      "LIMIT_EXCEEDED",
      `${what} holds ${blocks.length} certificates, the limit is ${MAX_CERTIFICATES}`,
    );
  }
  return blocks.map(({ bytes }) => new Certificate(bytes));
}

/** Version 3 is 2. */
function readVersion(reader: DerReader): boolean {
  const version = reader.smallInteger("the version");
  reader.end("the version");
  if (version !== 1 && version !== 2) throw fault(`its version ${version} is not known`);
  return version === 2;
}

/** RFC 5280 §4.1.2.5: UTC to the second; two-digit years from 1950 on. */
function readTime(reader: DerReader): Date {
  const { tag, content } = reader.element("a time");
  const text = String.fromCharCode(...content.subarray(0, 32));
  const match = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const isShort = tag === DER_TAG.utcTime;
  if (match === null || (match[1] === undefined) !== isShort || (!isShort && tag !== DER_TAG.generalizedTime)) {
    throw fault("a time is not in the form of RFC 5280");
  }
  const [century, year] = [match[1] ?? (Number(match[2]) < 50 ? "20" : "19"), match[2]!];
  const iso = `${century}${year}-${match[3]}-${match[4]}T${match[5]}:${match[6]}:${match[7]}.000Z`;
  const date = new Date(iso);
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso) throw fault(`${iso} is not a time`);
  return date;
}

function readCommonName(reader: DerReader): string {
  const name = reader.enter("the subject");
  let found: string | undefined;
  for (let parts = 0; !name.done; parts++) {
    const set = name.enter("a part of the subject", DER_TAG.set);
    for (; !set.done; parts++) {
      if (parts > MAX_NAME_PARTS) throw fault("its subject has too many parts");
      const pair = set.enter("a part of the subject");
      const type = pair.oid("a name's type");
      const value = pair.element("a name");
      pair.end("a name");
      if (type !== OID.commonName) continue;
      if (found !== undefined) throw fault("it has two common names, of which programs would choose either");
      found = readText(value.tag, value.content);
    }
  }
  return found ?? "";
}

const TEXT_TAGS: ReadonlySet<number> = new Set([
  DER_TAG.utf8String,
  DER_TAG.printableString,
  DER_TAG.ia5String,
  DER_TAG.t61String,
]);

function readText(tag: number, content: Bytes): string {
  if (!TEXT_TAGS.has(tag)) throw fault(`its common name has the text type 0x${tag.toString(16)}, which is not read`);
  if (tag !== DER_TAG.utf8String && content.some((octet) => octet > 0x7e)) throw fault("its common name is not ASCII");
  try {
    return utf8Decode(content);
  } catch {
    throw fault("its common name is not UTF-8");
  }
}

function fault(message: string): FormatError {
  return new FormatError("CERTIFICATE_INVALID", `the certificate is not acceptable: ${message}`);
}

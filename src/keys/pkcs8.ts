/**
 * The inside of private keys: PKCS#8 PrivateKeyInfo (RFC 5208, 5958) in its standard forms and in Notary's, SEC 1
 * and PKCS#1. Secrets are never part of a message.
 */
import { concatBytes, equalBytes, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { contextTag, DER_TAG, DerReader } from "./der.ts";
import { bitString, explicit, integer, nothing, octetString, oid, sequence } from "./der-writer.ts";
import { OID } from "./oid.ts";
import { CURVE_OID, CURVE_SIZE, readCurve, type Curve } from "./spki.ts";

/** An RSA-8192 private key has about 4,700 octets. */
const MAX_PRIVATE_KEY_OCTETS = 16 * 1024;

export type PrivateKeyParts =
  /** `point` is the uncompressed public point, where the file holds one. */
  | { readonly type: "ecdsa"; readonly curve: Curve; readonly scalar: Bytes; readonly point: Bytes | undefined }
  /** PKCS#1 RSAPrivateKey. */
  | { readonly type: "rsa"; readonly pkcs1: Bytes }
  | { readonly type: "ed25519"; readonly seed: Bytes; readonly point: Bytes | undefined };

/**
 * Reads a PrivateKeyInfo, standard or Notary's.
 *
 * @throws {FormatError} KEY_INVALID
 */
export function readPkcs8(der: Uint8Array): PrivateKeyParts {
  const info = open(der);
  const version = info.smallInteger("the version");
  if (version > 1) throw fault(`its version ${version} is not known`);
  const algorithm = info.enter("the algorithm");
  const content = info.octetString("the key");
  info.optional(contextTag(0), "the attributes");
  const attached = info.optional(0x81, "the public key");
  info.end("the key");
  const name = algorithm.oid("the algorithm");
  switch (name) {
    case OID.ecPublicKey: {
      const curve = readCurve(algorithm.oid("the curve"), fault);
      algorithm.end("the curve");
      return readSec1(content, curve);
    }
    case OID.rsaEncryption:
      if (!algorithm.done) algorithm.null("the algorithm's parameters"); // Notary leaves them out
      algorithm.end("the algorithm");
      return readPkcs1(content);
    case OID.ed25519: {
      algorithm.end("the algorithm");
      const inner = info.within(content);
      const seed = inner.octetString("the seed");
      inner.end("the seed");
      if (attached !== undefined && attached[0] !== 0) throw fault("its public key is not whole octets");
      return ed25519(seed, attached?.subarray(1));
    }
    case OID.notaryEd25519:
      return readNotaryEd25519(content);
    default:
      throw fault(`its algorithm ${name} is not one of ECDSA, RSA and Ed25519`);
  }
}

/**
 * Reads SEC 1 ECPrivateKey (RFC 5915).
 *
 * @param curve where the algorithm outside names one; a curve inside must then be the same
 * @throws {FormatError} KEY_INVALID
 */
export function readSec1(der: Uint8Array, curve?: Curve): PrivateKeyParts {
  const key = open(der);
  if (key.smallInteger("the version") !== 1) throw fault("its EC version is not 1");
  const scalar = key.octetString("the private number");
  const parameters = key.optional(contextTag(0), "the curve");
  const attached = key.optional(contextTag(1), "the public point");
  key.end("the public point");
  const named = parameters === undefined ? undefined : readCurve(key.within(parameters).oid("the curve"), fault);
  const found = curve ?? named;
  if (found === undefined || (named !== undefined && named !== found)) throw fault("its curve is not clear");
  if (scalar.length !== CURVE_SIZE[found]) throw fault(`a private number of ${found} has ${CURVE_SIZE[found]} bytes`);
  const point = attached === undefined ? undefined : key.within(attached).bitString("the public point");
  if (point !== undefined && (point[0] !== 4 || point.length !== 1 + 2 * CURVE_SIZE[found])) {
    throw fault("its public point is not in uncompressed form");
  }
  return { type: "ecdsa", curve: found, scalar, point };
}

/** Reads PKCS#1 RSAPrivateKey (RFC 8017 §A.1.2), two primes only. @throws {FormatError} KEY_INVALID */
export function readPkcs1(der: Uint8Array): PrivateKeyParts {
  const key = open(der);
  if (key.smallInteger("the version") !== 0) throw fault("it has more than two primes");
  for (const number of RSA_NUMBERS) key.unsigned(number);
  key.end("the RSA numbers");
  return { type: "rsa", pkcs1: new Uint8Array(der) };
}

/** Writes the standard PrivateKeyInfo. */
export function writePkcs8(key: PrivateKeyParts): Bytes {
  if (key.type === "ecdsa") {
    const algorithm = sequence(oid(OID.ecPublicKey), oid(CURVE_OID[key.curve]));
    return sequence(integer(0), algorithm, octetString(sec1(key, false)));
  }
  if (key.type === "rsa") {
    return sequence(integer(0), sequence(oid(OID.rsaEncryption), nothing()), octetString(key.pkcs1));
  }
  return sequence(integer(0), sequence(oid(OID.ed25519)), octetString(octetString(key.seed)));
}

/**
 * Writes the PrivateKeyInfo that Notary writes: for EC version 1 and the curve inside as well, for RSA no NULL,
 * for Ed25519 Notary's own algorithm around public key, seed and public key.
 */
export function writeNotaryPkcs8(key: PrivateKeyParts): Bytes {
  if (key.type === "ecdsa") {
    const algorithm = sequence(oid(OID.ecPublicKey), oid(CURVE_OID[key.curve]));
    return sequence(integer(1), algorithm, octetString(sec1(key, true)));
  }
  if (key.type === "rsa") return sequence(integer(0), sequence(oid(OID.rsaEncryption)), octetString(key.pkcs1));
  if (key.point === undefined) throw fault("its public key is missing");
  const content = concatBytes([key.point, key.seed, key.point]);
  return sequence(integer(0), sequence(oid(OID.notaryEd25519)), octetString(content));
}

const RSA_NUMBERS = ["n", "e", "d", "p", "q", "dP", "dQ", "qInv"] as const;

function sec1(key: PrivateKeyParts & { type: "ecdsa" }, withCurve: boolean): Bytes {
  const curve = withCurve ? [explicit(0, oid(CURVE_OID[key.curve]))] : [];
  const point = key.point === undefined ? [] : [explicit(1, bitString(key.point))];
  return sequence(integer(1), octetString(key.scalar), ...curve, ...point);
}

/** Reads Notary's form of an Ed25519 key: public key, seed, public key again. @throws {FormatError} KEY_INVALID */
export function readNotaryEd25519(content: Bytes): PrivateKeyParts {
  if (content.length !== 96) throw fault(`Notary's Ed25519 keys have 96 bytes, got ${content.length}`);
  const point = content.subarray(0, 32);
  if (!equalBytes(point, content.subarray(64))) throw fault("its two copies of the public key differ");
  return ed25519(content.subarray(32, 64), point);
}

function ed25519(seed: Bytes, point: Bytes | undefined): PrivateKeyParts {
  if (seed.length !== 32) throw fault(`an Ed25519 seed has 32 bytes, got ${seed.length}`);
  if (point !== undefined && point.length !== 32) throw fault(`an Ed25519 key has 32 bytes, got ${point.length}`);
  return { type: "ed25519", seed: new Uint8Array(seed), point: point && new Uint8Array(point) };
}

function open(der: Uint8Array): DerReader {
  if (der.length > MAX_PRIVATE_KEY_OCTETS) {
    throw fault(`it has ${der.length} bytes, the limit is ${MAX_PRIVATE_KEY_OCTETS}`);
  }
  const outer = new DerReader(der, fault);
  const inner = outer.enter("the key", DER_TAG.sequence);
  outer.end("the key");
  return inner;
}

function fault(message: string): FormatError {
  return new FormatError("KEY_INVALID", `the private key is not acceptable: ${message}`, {
    hint: "Use an ECDSA P-256, P-384 or P-521 key, an RSA key of at least 2048 bits, or an Ed25519 key",
  });
}

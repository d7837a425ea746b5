/** Reading SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), in the one encoding that each key has here. */
import type { Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { DerReader, type DerFault } from "./der.ts";
import { OID } from "./oid.ts";

export type KeyType = "ecdsa" | "rsa" | "ed25519";
export type Curve = "P-256" | "P-384" | "P-521";

export const CURVE_OID: Readonly<Record<Curve, string>> = { "P-256": OID.p256, "P-384": OID.p384, "P-521": OID.p521 };

/** Octets of one coordinate; signatures are two numbers of this size. */
export const CURVE_SIZE: Readonly<Record<Curve, number>> = { "P-256": 32, "P-384": 48, "P-521": 66 };

/** An RSA-8192 key has about 1,100 octets. */
const MAX_SPKI_OCTETS = 2048;
/** Below 2048 bits RSA can be broken; Notary refuses it too. */
const MIN_RSA_BITS = 2048;
/** Verifying takes time with the square of the size: an enemy's 64k-bit key must cost nothing. */
const MAX_RSA_BITS = 8192;
/** Public exponents in use are 3, 17 and 65537; a huge one makes verifying as slow as signing. */
const MAX_RSA_EXPONENT_OCTETS = 4;

/** What an encoded key says of itself. */
export interface SpkiFacts {
  readonly type: KeyType;
  /** The curve of an ECDSA key. */
  readonly curve: Curve | undefined;
  /** The size of an RSA modulus. */
  readonly bits: number | undefined;
}

/**
 * Reads DER SubjectPublicKeyInfo. Whether a point lies on its curve is not checked here.
 *
 * @throws {FormatError} KEY_INVALID for anything else, and for keys of a kind that we do not verify with
 */
export function readSpki(spki: Bytes): SpkiFacts {
  if (spki.length > MAX_SPKI_OCTETS) throw keyFault(`it has ${spki.length} bytes, the limit is ${MAX_SPKI_OCTETS}`);
  const outer = new DerReader(spki, keyFault);
  const info = outer.enter("the key");
  outer.end("the key");
  const algorithm = info.enter("the algorithm");
  const bits = info.bitString("the key bits");
  info.end("the key bits");
  const oid = algorithm.oid("the algorithm");
  switch (oid) {
    case OID.ecPublicKey:
      return { type: "ecdsa", curve: readPoint(algorithm, bits), bits: undefined };
    case OID.rsaEncryption:
      return { type: "rsa", curve: undefined, bits: readRsa(algorithm, bits) };
    case OID.ed25519:
      algorithm.end("the algorithm");
      if (bits.length !== 32) throw keyFault(`an Ed25519 key has 32 bytes, got ${bits.length}`);
      return { type: "ed25519", curve: undefined, bits: undefined };
    default:
      throw keyFault(`its algorithm ${oid} is not one of ECDSA, RSA and Ed25519`);
  }
}

/** Finds a curve by its object identifier. */
export function readCurve(oid: string, fault: DerFault): Curve {
  for (const curve of ["P-256", "P-384", "P-521"] as const) if (CURVE_OID[curve] === oid) return curve;
  // Notary accepts P-224, WebCrypto does not know it
  throw fault(`its curve ${oid === OID.p224 ? "P-224" : oid} is not one of P-256, P-384 and P-521`);
}

function readPoint(algorithm: DerReader, bits: Bytes): Curve {
  const curve = readCurve(algorithm.oid("the curve"), keyFault);
  algorithm.end("the curve");
  if (bits[0] !== 0x04) throw keyFault("its point is not in uncompressed form");
  const size = 1 + 2 * CURVE_SIZE[curve];
  if (bits.length !== size) throw keyFault(`a point of ${curve} has ${size} bytes, got ${bits.length}`);
  return curve;
}

function readRsa(algorithm: DerReader, bits: Bytes): number {
  algorithm.null("the algorithm's parameters");
  algorithm.end("the algorithm");
  const outer = algorithm.within(bits);
  const numbers = outer.enter("the RSA key");
  outer.end("the RSA key");
  const modulus = numbers.unsigned("the modulus");
  const exponent = numbers.unsigned("the exponent");
  numbers.end("the exponent");
  const size = modulus.length * 8 - Math.clz32(modulus[0]!) + 24;
  if (size < MIN_RSA_BITS || size > MAX_RSA_BITS) {
    throw keyFault(`RSA keys of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits are accepted, this one has ${size}`);
  }
  const even = (modulus.at(-1)! & 1) === 0 || (exponent.at(-1)! & 1) === 0;
  const one = exponent.length === 1 && exponent[0]! < 3;
  if (even || one || exponent.length > MAX_RSA_EXPONENT_OCTETS) throw keyFault("its RSA numbers are unsafe");
  return size;
}

/** The error for every public key that is refused. */
export function keyFault(message: string): FormatError {
  return new FormatError("KEY_INVALID", `the public key is not acceptable: ${message}`, {
    hint: "Use an ECDSA P-256, P-384 or P-521 key, an RSA key of at least 2048 bits, or an Ed25519 key",
  });
}

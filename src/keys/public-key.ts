/** Public keys and the signatures that they check, whatever format they came in. */
import { concatBytes, hexEncode, ownBytes, type Bytes } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import { schemeNamed, type ImportAlgorithm, type SignatureScheme } from "./signature-scheme.ts";
import { CURVE_SIZE, keyFault, readSpki, type Curve, type KeyType, type SpkiFacts } from "./spki.ts";

const ED25519_SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);

/**
 * A public key of a kind that we verify with: ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, Ed25519.
 *
 * One key has one encoding here: compressed points, other RSA parameters and lax DER are refused, so that equal
 * keys have equal `spki` bytes and thresholds cannot be met by one key in two spellings.
 */
export class PublicKey {
  readonly type: KeyType;
  /** The curve of an ECDSA key. */
  readonly curve: Curve | undefined;
  /** The size of an RSA modulus. */
  readonly bits: number | undefined;
  /** DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). */
  readonly spki: Bytes;
  private imported: Map<string, Promise<CryptoKey>> | undefined;

  private constructor(spki: Bytes, { type, curve, bits }: SpkiFacts) {
    this.type = type;
    this.spki = spki;
    this.curve = curve;
    this.bits = bits;
  }

  /**
   * Reads DER SubjectPublicKeyInfo. Whether a point lies on its curve is checked at the first verification.
   *
   * @throws {FormatError} KEY_INVALID for anything else, and for keys of a kind that we do not verify with
   */
  static fromSpki(der: Uint8Array): PublicKey {
    const spki = new Uint8Array(der);
    return new PublicKey(spki, readSpki(spki));
  }

  /** Makes a key from the 32 bytes of an Ed25519 point. @throws {FormatError} KEY_INVALID */
  static fromEd25519(raw: Uint8Array): PublicKey {
    if (raw.length !== 32) throw keyFault(`an Ed25519 key has 32 bytes, got ${raw.length}`);
    return PublicKey.fromSpki(concatBytes([ED25519_SPKI_PREFIX, raw]));
  }

  /** The 32 bytes of an Ed25519 key; undefined for other types. */
  get ed25519Bytes(): Bytes | undefined {
    return this.type === "ed25519" ? this.spki.slice(ED25519_SPKI_PREFIX.length) : undefined;
  }

  /** Lower-case hex sha256 of `spki`: how people and pins name a key, in any format. */
  async fingerprint(): Promise<string> {
    return hexEncode(await hashBytes("sha256", this.spki));
  }

  /**
   * The key for WebCrypto under one algorithm; imported once.
   *
   * @throws {FormatError} KEY_INVALID where the numbers are no key, e.g. a point off its curve
   */
  async cryptoKey(algorithm: ImportAlgorithm): Promise<CryptoKey> {
    const name = JSON.stringify(algorithm);
    this.imported ??= new Map();
    let key = this.imported.get(name);
    if (key === undefined) {
      key = this.import(algorithm);
      this.imported.set(name, key);
    }
    return key;
  }

  /** The point alone, where the key is one: OpenSSL takes five times as long to read the same out of its DER. */
  private async import(algorithm: ImportAlgorithm): Promise<CryptoKey> {
    const { spki } = this;
    const size = this.pointSize;
    try {
      return size === undefined
        ? await crypto.subtle.importKey("spki", ownBytes(spki), algorithm, false, ["verify"])
        : await crypto.subtle.importKey("raw", spki.slice(-size), algorithm, false, ["verify"]);
    } catch (cause) {
      throw new FormatError("KEY_INVALID", "the public key is not acceptable: its numbers do not make a key", {
        cause,
      });
    }
  }

  /** Octets of the point that an Ed25519 or ECDSA key ends with, in the one form that `readSpki` accepts. */
  private get pointSize(): number | undefined {
    if (this.type === "ed25519") return this.spki.length - ED25519_SPKI_PREFIX.length;
    return this.curve && 1 + 2 * CURVE_SIZE[this.curve];
  }
}

/**
 * Tells whether a signature is the key's own over a message. A scheme that does not fit the key, or a signature
 * of the wrong length, is simply not valid.
 *
 * @throws {FormatError} KEY_INVALID where the key's numbers are no key
 */
export async function verifySignature(
  key: PublicKey,
  scheme: SignatureScheme,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const { type, importAs, useAs } = schemeNamed(scheme);
  if (key.type !== type || signature.length !== signatureSize(key)) return false;
  const cryptoKey = await key.cryptoKey(importAs(key));
  return crypto.subtle.verify(useAs(key), cryptoKey, ownBytes(signature), ownBytes(message));
}

function signatureSize(key: PublicKey): number {
  if (key.type === "rsa") return Math.ceil(key.bits! / 8);
  return key.type === "ed25519" ? 64 : 2 * CURVE_SIZE[key.curve!];
}

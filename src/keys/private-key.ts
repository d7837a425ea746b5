/** A private key in memory, behind WebCrypto. */
import { base64Decode, concatBytes, equalBytes, hexEncode, ownBytes, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { DerReader } from "./der.ts";
import { bitString, integer, nothing, oid, sequence } from "./der-writer.ts";
import { OID } from "./oid.ts";
import { readPkcs8, writeNotaryPkcs8, writePkcs8, type PrivateKeyParts } from "./pkcs8.ts";
import { PublicKey, verifySignature, type SignatureScheme } from "./public-key.ts";
import type { Signer } from "./signer.ts";
import { CURVE_OID } from "./spki.ts";

/** What {@link PrivateKey.generate} can make. RSA keys are only ever brought along. */
export type KeyAlgorithmName = "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "ed25519";

const GENERATE: Readonly<Record<KeyAlgorithmName, Algorithm | EcKeyGenParams>> = {
  "ecdsa-p256": { name: "ECDSA", namedCurve: "P-256" },
  "ecdsa-p384": { name: "ECDSA", namedCurve: "P-384" },
  "ecdsa-p521": { name: "ECDSA", namedCurve: "P-521" },
  ed25519: { name: "Ed25519" },
};

/** The scheme that {@link PrivateKey.sign} uses for each type of key. */
export const SIGNING_SCHEME = {
  ecdsa: "ecdsa-sha256",
  rsa: "rsassa-pss-sha256",
  ed25519: "ed25519",
} as const satisfies Record<PublicKey["type"], SignatureScheme>;

/** Signed and verified once when a key is opened, see {@link PrivateKey.fromPkcs8}. */
const PROBE = new TextEncoder().encode("wasm-to-oci key check");

/**
 * A private key that signs. Its secret is in private fields: printing, logging or serialising the object shows
 * the public key only.
 *
 * @example
 * ```ts
 * const key = await PrivateKey.generate("ecdsa-p256");
 * const signature = await key.sign(message);
 * await verifySignature(key.publicKey, "ecdsa-sha256", message, signature); // true
 * ```
 */
export class PrivateKey implements Signer {
  readonly publicKey: PublicKey;
  readonly #parts: PrivateKeyParts;
  readonly #key: CryptoKey;

  private constructor(parts: PrivateKeyParts, key: CryptoKey, publicKey: PublicKey) {
    this.#parts = parts;
    this.#key = key;
    this.publicKey = publicKey;
  }

  static async generate(algorithm: KeyAlgorithmName = "ecdsa-p256"): Promise<PrivateKey> {
    const pair = (await crypto.subtle.generateKey(GENERATE[algorithm], true, ["sign", "verify"])) as CryptoKeyPair;
    return PrivateKey.fromPkcs8(new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)));
  }

  /**
   * Opens an unencrypted PrivateKeyInfo, standard or Notary's.
   *
   * The key signs and verifies once: a file whose public half is not its own would get the wrong id, and one
   * with damaged RSA numbers would give its secret away with its first signature.
   *
   * @throws {FormatError} KEY_INVALID
   */
  static async fromPkcs8(der: Uint8Array): Promise<PrivateKey> {
    return PrivateKey.fromParts(readPkcs8(der));
  }

  /** Opens a key that was read from any format, as {@link PrivateKey.fromPkcs8} does. */
  static async fromParts(parts: PrivateKeyParts): Promise<PrivateKey> {
    const { key, publicKey } = await open(parts);
    if (parts.type === "ed25519" && parts.point !== undefined && !equalBytes(parts.point, publicKey.ed25519Bytes!)) {
      throw notAPair();
    }
    const complete = parts.type === "rsa" ? parts : { ...parts, point: publicPoint(publicKey) };
    const opened = new PrivateKey(complete, key, publicKey);
    const signature = await opened.sign(PROBE);
    if (!(await verifySignature(publicKey, SIGNING_SCHEME[publicKey.type], PROBE, signature))) throw notAPair();
    return opened;
  }

  async sign(message: Uint8Array): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign(SIGN[this.publicKey.type], this.#key, ownBytes(message)));
  }

  /** The standard PrivateKeyInfo, unencrypted: for writing key files. */
  toPkcs8(): Bytes {
    return writePkcs8(this.#parts);
  }

  /** The PrivateKeyInfo as Notary writes it, unencrypted. */
  toNotaryPkcs8(): Bytes {
    return writeNotaryPkcs8(this.#parts);
  }

  /** What `JSON.stringify` and loggers see. */
  toJSON(): { type: string; spki: string } {
    return { type: this.publicKey.type, spki: hexEncode(this.publicKey.spki) };
  }
}

const SIGN = {
  ecdsa: { name: "ECDSA", hash: "SHA-256" },
  rsa: { name: "RSA-PSS", saltLength: 32 },
  ed25519: { name: "Ed25519" },
} as const;

async function open(parts: PrivateKeyParts): Promise<{ key: CryptoKey; publicKey: PublicKey }> {
  const algorithm =
    parts.type === "ecdsa"
      ? { name: "ECDSA", namedCurve: parts.curve }
      : parts.type === "rsa"
        ? { name: "RSA-PSS", hash: "SHA-256" }
        : { name: "Ed25519" };
  const publicRsa = parts.type === "rsa" ? PublicKey.fromSpki(rsaSpki(parts.pkcs1)) : undefined; // its size first
  try {
    const key = await crypto.subtle.importKey("pkcs8", writePkcs8(parts), algorithm, true, ["sign"]);
    return { key, publicKey: publicRsa ?? publicOf(parts, await crypto.subtle.exportKey("jwk", key)) };
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    // the cause is left out: some engines quote key material in it
    throw new FormatError("KEY_INVALID", "the private key is not acceptable: its numbers do not make a key");
  }
}

function publicOf(parts: PrivateKeyParts, jwk: JsonWebKey): PublicKey {
  const x = base64UrlDecode(jwk.x);
  if (parts.type === "ed25519") return PublicKey.fromEd25519(x);
  const curve = (parts as PrivateKeyParts & { type: "ecdsa" }).curve;
  const point = concatBytes([Uint8Array.of(4), x, base64UrlDecode(jwk.y)]);
  return PublicKey.fromSpki(sequence(sequence(oid(OID.ecPublicKey), oid(CURVE_OID[curve])), bitString(point)));
}

function publicPoint(key: PublicKey): Bytes {
  if (key.ed25519Bytes !== undefined) return key.ed25519Bytes;
  const info = new DerReader(key.spki, () => notAPair()).enter("the key");
  info.element("the algorithm");
  return info.bitString("the point");
}

function rsaSpki(pkcs1: Bytes): Bytes {
  const numbers = new DerReader(pkcs1, () => notAPair()).enter("the key");
  numbers.integer("the version");
  const modulus = numbers.unsigned("the modulus");
  const exponent = numbers.unsigned("the exponent");
  const key = sequence(integer(modulus), integer(exponent));
  return sequence(sequence(oid(OID.rsaEncryption), nothing()), bitString(key));
}

function base64UrlDecode(text: string | undefined): Bytes {
  const base64 = (text ?? "").replaceAll("-", "+").replaceAll("_", "/");
  return base64Decode(base64.padEnd(Math.ceil(base64.length / 4) * 4, "=")) ?? new Uint8Array();
}

function notAPair(): FormatError {
  return new FormatError("KEY_INVALID", "the private key is not acceptable: its private and public halves do not fit", {
    hint: "The key file is damaged or was changed; restore it from a backup",
  });
}

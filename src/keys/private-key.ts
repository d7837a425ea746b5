/** A private key in memory, behind WebCrypto. */
import { base64Decode, concatBytes, equalBytes, hexEncode, ownBytes, type Bytes } from "../base/bytes.ts";
import { FormatError, UsageError } from "../base/errors.ts";
import { DerReader } from "./der.ts";
import { bitString, integer, nothing, oid, sequence } from "./der-writer.ts";
import { OID } from "./oid.ts";
import { readPkcs8, writeNotaryPkcs8, writePkcs8, type PrivateKeyParts } from "./pkcs8.ts";
import { PublicKey, verifySignature } from "./public-key.ts";
import { DEFAULT_SCHEME, schemeNamed, type ImportAlgorithm, type SignatureScheme } from "./signature-scheme.ts";
import type { Signer } from "./signer.ts";
import { CURVE_OID } from "./spki.ts";

/** What {@link PrivateKey.generate} can make. */
export type KeyAlgorithmName = "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "ed25519" | "rsa-3072" | "rsa-4096";

/** The exponent of every RSA key that is made today. */
const F4 = Uint8Array.of(1, 0, 1);
const rsa = (modulusLength: number): RsaHashedKeyGenParams => ({
  name: "RSA-PSS",
  modulusLength,
  publicExponent: F4,
  hash: "SHA-256",
});

const GENERATE: Readonly<Record<KeyAlgorithmName, Algorithm | EcKeyGenParams | RsaHashedKeyGenParams>> = {
  "ecdsa-p256": { name: "ECDSA", namedCurve: "P-256" },
  "ecdsa-p384": { name: "ECDSA", namedCurve: "P-384" },
  "ecdsa-p521": { name: "ECDSA", namedCurve: "P-521" },
  ed25519: { name: "Ed25519" },
  "rsa-3072": rsa(3072),
  "rsa-4096": rsa(4096),
};

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
  readonly #keys = new Map<string, Promise<CryptoKey>>();

  private constructor(parts: PrivateKeyParts, publicKey: PublicKey) {
    this.#parts = parts;
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
    const publicKey = await publicKeyOf(parts);
    if (parts.type === "ed25519" && parts.point !== undefined && !equalBytes(parts.point, publicKey.ed25519Bytes!)) {
      throw notAPair();
    }
    const complete = parts.type === "rsa" ? parts : { ...parts, point: publicPoint(publicKey) };
    const opened = new PrivateKey(complete, publicKey);
    const signature = await opened.sign(PROBE);
    if (!(await verifySignature(publicKey, DEFAULT_SCHEME[publicKey.type], PROBE, signature))) throw notAPair();
    return opened;
  }

  /** @throws {UsageError} USAGE for a scheme of another type of key */
  async sign(message: Uint8Array, name: SignatureScheme = DEFAULT_SCHEME[this.publicKey.type]): Promise<Bytes> {
    const { type, importAs, useAs } = schemeNamed(name);
    if (type !== this.publicKey.type) {
      throw new UsageError("USAGE", `a key of type ${this.publicKey.type} cannot sign as ${name}`);
    }
    const key = await this.#keyFor(importAs(this.publicKey));
    return new Uint8Array(await crypto.subtle.sign(useAs(this.publicKey), key, ownBytes(message)));
  }

  /** The key under one algorithm: WebCrypto binds an RSA key to padding and hash when it is imported. */
  #keyFor(algorithm: ImportAlgorithm): Promise<CryptoKey> {
    const name = JSON.stringify(algorithm);
    const key = this.#keys.get(name) ?? importPrivate(this.#parts, algorithm);
    this.#keys.set(name, key);
    return key;
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

async function publicKeyOf(parts: PrivateKeyParts): Promise<PublicKey> {
  if (parts.type === "rsa") return PublicKey.fromSpki(rsaSpki(parts.pkcs1));
  const algorithm = parts.type === "ecdsa" ? { name: "ECDSA", namedCurve: parts.curve } : { name: "Ed25519" };
  const key = await importPrivate(parts, algorithm, true);
  return publicOf(parts, await crypto.subtle.exportKey("jwk", key));
}

async function importPrivate(
  parts: PrivateKeyParts,
  algorithm: ImportAlgorithm,
  extractable = false,
): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey("pkcs8", writePkcs8(parts), algorithm, extractable, ["sign"]);
  } catch {
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

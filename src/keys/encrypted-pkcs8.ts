/**
 * PKCS#8 EncryptedPrivateKeyInfo with PBES2 (RFC 8018). Written exactly as Notary writes it, because Notary looks
 * at no PRF and knows one cipher; read also as OpenSSL and Node write it. The format cannot tell a wrong
 * passphrase from damage.
 */
import { ownBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { FormatError, TrustError } from "../base/errors.ts";
import { DER_TAG, DerReader } from "./der.ts";
import { integer, octetString, oid, sequence } from "./der-writer.ts";
import { readPkcs8 } from "./pkcs8.ts";

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const HMAC_SHA1 = "1.2.840.113549.2.7";
const AES_256_CBC = "2.16.840.1.101.3.4.1.42";

const PRF_HASH: Readonly<Record<string, string>> = {
  [HMAC_SHA1]: "SHA-1",
  "1.2.840.113549.2.9": "SHA-256",
  "1.2.840.113549.2.10": "SHA-384",
  "1.2.840.113549.2.11": "SHA-512",
};

const CIPHER_BITS: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.1.2": 128,
  "2.16.840.1.101.3.4.1.22": 192,
  [AES_256_CBC]: 256,
};

/** What Notary writes; weak by today's measure, and the only count that its readers were ever given. */
const NOTARY_ITERATIONS = 2048;
const NOTARY_SALT_OCTETS = 8;
const IV_OCTETS = 16;
/** A count is the file's to choose and ours to pay: this many take some seconds. OWASP asks for 1.3 million with SHA-1. */
const MAX_ITERATIONS = 5_000_000;
/** Salts in use have 8 to 64 octets. */
const MAX_SALT_OCTETS = 1024;
/** The largest private key, and a block of padding. */
const MAX_CIPHERTEXT_OCTETS = 16 * 1024 + 16;

interface Envelope {
  readonly salt: Bytes;
  readonly iterations: number;
  readonly hash: string;
  readonly bits: number;
  readonly iv: Bytes;
  readonly ciphertext: Bytes;
}

/**
 * Encrypts a PrivateKeyInfo as Notary does: PBKDF2-HMAC-SHA1 with 2,048 iterations, AES-256-CBC. It keeps a key
 * from casual readers; what protects it is the passphrase's own strength and the file's permissions.
 */
export async function encryptPkcs8(info: Uint8Array, passphrase: string): Promise<Bytes> {
  const salt = crypto.getRandomValues(new Uint8Array(NOTARY_SALT_OCTETS));
  const iv = crypto.getRandomValues(new Uint8Array(IV_OCTETS));
  const parameters = { salt, iterations: NOTARY_ITERATIONS, hash: "SHA-1", bits: 256 };
  const key = await deriveKey(parameters, passphrase, "encrypt");
  const ciphertext = await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, ownBytes(info));
  const kdf = sequence(oid(PBKDF2), sequence(octetString(salt), integer(NOTARY_ITERATIONS)));
  const cipher = sequence(oid(AES_256_CBC), octetString(iv));
  return sequence(sequence(oid(PBES2), sequence(kdf, cipher)), octetString(new Uint8Array(ciphertext)));
}

/**
 * Decrypts to a PrivateKeyInfo.
 *
 * @throws {TrustError} KEY_PASSPHRASE where the passphrase is wrong or the content damaged
 * @throws {FormatError} KEY_INVALID where the encryption is damaged or not one that we know; LIMIT_EXCEEDED
 */
export async function decryptPkcs8(der: Uint8Array, passphrase: string): Promise<Bytes> {
  const envelope = readEnvelope(der);
  const key = await deriveKey(envelope, passphrase, "decrypt");
  try {
    const plain = await crypto.subtle.decrypt({ name: "AES-CBC", iv: envelope.iv }, key, envelope.ciphertext);
    const info = new Uint8Array(plain);
    readPkcs8(info); // one wrong passphrase in 256 leaves padding that looks right
    return info;
  } catch {
    throw wrongPassphrase();
  }
}

/**
 * Tells whether Notary can open this encryption.
 *
 * @throws {FormatError} KEY_INVALID; LIMIT_EXCEEDED
 */
export function isNotaryEncryption(der: Uint8Array): boolean {
  const { hash, bits } = readEnvelope(der);
  return hash === "SHA-1" && bits === 256;
}

/** The one error for a passphrase that does not open a key. */
export function wrongPassphrase(): TrustError {
  return new TrustError(
    "KEY_PASSPHRASE",
    "the private key could not be decrypted: wrong passphrase, or a damaged file",
    {
      hint: "Try again with the passphrase that the key was made with",
    },
  );
}

function readEnvelope(der: Uint8Array): Envelope {
  const outer = new DerReader(der, fault);
  const info = outer.enter("the encrypted key");
  outer.end("the encrypted key");
  const algorithm = info.enter("the encryption");
  const ciphertext = info.octetString("the ciphertext");
  info.end("the ciphertext");
  const scheme = algorithm.oid("the encryption");
  if (scheme !== PBES2) throw fault(`its encryption ${scheme} is not PBES2`);
  const parameters = algorithm.enter("the parameters");
  algorithm.end("the parameters");
  const kdf = parameters.enter("the key derivation");
  const cipher = parameters.enter("the cipher");
  parameters.end("the cipher");
  const derivation = kdf.oid("the key derivation");
  if (derivation !== PBKDF2) throw fault(`its key derivation ${derivation} is not PBKDF2`);
  const { salt, iterations, keyLength, prf } = readPbkdf2(kdf);
  const name = cipher.oid("the cipher");
  const iv = cipher.octetString("the initial vector");
  cipher.end("the initial vector");
  const bits = CIPHER_BITS[name];
  if (bits === undefined) throw fault(`its cipher ${name} is not AES-CBC`);
  if (keyLength !== undefined && keyLength * 8 !== bits) throw fault("its key length does not fit its cipher");
  const hash = PRF_HASH[prf];
  if (hash === undefined) throw fault(`its pseudo-random function ${prf} is not HMAC with SHA-1 or SHA-2`);
  if (iv.length !== IV_OCTETS) throw fault(`its initial vector has ${iv.length} bytes, not ${IV_OCTETS}`);
  if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) throw fault("its ciphertext is not whole blocks");
  if (ciphertext.length > MAX_CIPHERTEXT_OCTETS) throw tooMuch(`${ciphertext.length} bytes`, MAX_CIPHERTEXT_OCTETS);
  return { salt, iterations, hash, bits, iv, ciphertext };
}

function readPbkdf2(kdf: DerReader): { salt: Bytes; iterations: number; keyLength: number | undefined; prf: string } {
  const parameters = kdf.enter("the derivation's parameters");
  kdf.end("the derivation's parameters");
  const salt = parameters.octetString("the salt");
  const iterations = parameters.smallInteger("the iteration count");
  const keyLength = parameters.peek() === DER_TAG.integer ? parameters.smallInteger("the key length") : undefined;
  let prf: string = HMAC_SHA1;
  if (!parameters.done) {
    const named = parameters.enter("the pseudo-random function");
    prf = named.oid("the pseudo-random function");
    if (!named.done) named.null("the function's parameters");
    named.end("the function's parameters");
  }
  parameters.end("the pseudo-random function");
  if (iterations < 1) throw fault("its iteration count is 0");
  if (iterations > MAX_ITERATIONS) throw tooMuch(`${iterations} iterations`, MAX_ITERATIONS);
  if (salt.length > MAX_SALT_OCTETS) throw tooMuch(`a salt of ${salt.length} bytes`, MAX_SALT_OCTETS);
  return { salt, iterations, keyLength, prf };
}

async function deriveKey(
  parameters: Pick<Envelope, "salt" | "iterations" | "hash" | "bits">,
  passphrase: string,
  usage: "encrypt" | "decrypt",
): Promise<CryptoKey> {
  const secret = await crypto.subtle.importKey("raw", utf8Encode(passphrase), "PBKDF2", false, ["deriveKey"]);
  const { salt, iterations, hash, bits } = parameters;
  const derivation = { name: "PBKDF2", salt: ownBytes(salt), iterations, hash };
  return crypto.subtle.deriveKey(derivation, secret, { name: "AES-CBC", length: bits }, false, [usage]);
}

function fault(message: string): FormatError {
  return new FormatError("KEY_INVALID", `the encrypted private key is not acceptable: ${message}`, {
    hint: "Convert it first: openssl pkcs8 -topk8 -v2 aes-256-cbc",
  });
}

function tooMuch(got: string, limit: number): FormatError {
  return new FormatError("LIMIT_EXCEEDED", `the encrypted private key asks for ${got}, the limit is ${limit}`);
}

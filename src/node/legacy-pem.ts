/** OpenSSL's old encryption of PEM blocks (RFC 1421 headers, MD5 of passphrase and salt). Read, never written. */
import { createDecipheriv, createHash } from "node:crypto";
import { concatBytes, hexDecode, type Bytes } from "../base/bytes.ts";
import { errorCode, FormatError } from "../base/errors.ts";
import { wrongPassphrase } from "../keys/encrypted-pkcs8.ts";
import type { PemBlock } from "../keys/pem.ts";

/** Name in DEK-Info → octets of key and initial vector. */
const CIPHERS: Readonly<Record<string, { cipher: string; key: number; iv: number }>> = {
  "AES-128-CBC": { cipher: "aes-128-cbc", key: 16, iv: 16 },
  "AES-192-CBC": { cipher: "aes-192-cbc", key: 24, iv: 16 },
  "AES-256-CBC": { cipher: "aes-256-cbc", key: 32, iv: 16 },
  "DES-EDE3-CBC": { cipher: "des-ede3-cbc", key: 24, iv: 8 },
};

/**
 * Decrypts a block with `Proc-Type: 4,ENCRYPTED`.
 *
 * @throws {TrustError} KEY_PASSPHRASE
 * @throws {FormatError} KEY_INVALID
 */
export function decryptLegacyPem(block: PemBlock, passphrase: string): Bytes {
  const [name = "", salt = ""] = (block.headers.get("DEK-Info") ?? "").split(",");
  const known = Object.hasOwn(CIPHERS, name) ? CIPHERS[name] : undefined;
  const iv = hexDecode(salt.trim());
  if (block.headers.get("Proc-Type") !== "4,ENCRYPTED" || known === undefined || iv?.length !== known.iv) {
    throw new FormatError("KEY_INVALID", "the key is encrypted in a way that is not known", {
      hint: "Convert it first: openssl pkcs8 -topk8",
    });
  }
  const key = deriveKey(passphrase, iv.subarray(0, 8), known.key);
  try {
    const decipher = createDecipheriv(known.cipher, key, iv);
    return concatBytes([decipher.update(block.bytes), decipher.final()]);
  } catch (error) {
    if (errorCode(error) === "ERR_OSSL_BAD_DECRYPT" || errorCode(error) === "ERR_OSSL_WRONG_FINAL_BLOCK_LENGTH") {
      throw wrongPassphrase();
    }
    throw new FormatError("KEY_INVALID", `the key's encryption ${name} is not available here`, { cause: error });
  }
}

/** EVP_BytesToKey with MD5 and one round. */
function deriveKey(passphrase: string, salt: Uint8Array, length: number): Buffer {
  let key = Buffer.alloc(0);
  let last = Buffer.alloc(0);
  while (key.length < length) {
    last = createHash("md5").update(last).update(passphrase, "utf8").update(salt).digest();
    key = Buffer.concat([key, last]);
  }
  return key.subarray(0, length);
}

/** Key ids as Notary computes them: sha256 over the key's own canonical JSON. */
import { base64Encode, hexEncode, utf8Encode } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import type { PublicKey } from "./public-key.ts";

/**
 * The keyid of a key as a document lists it, lower-case hex.
 *
 * @param keytype as in the document, e.g. `ecdsa` or `ecdsa-x509`; must need no JSON escapes
 * @param publicBytes what the document holds as base64: SPKI, PEM certificates, or 32 bytes of Ed25519
 */
export async function notaryKeyId(keytype: string, publicBytes: Uint8Array): Promise<string> {
  const value = base64Encode(publicBytes);
  const canonical = `{"keytype":"${keytype}","keyval":{"private":null,"public":"${value}"}}`;
  return hexEncode(await hashBytes("sha256", utf8Encode(canonical)));
}

/**
 * The canonical id: the keyid of the plain key, also where a document wraps it in a certificate. Names key files
 * and is what Notary's command line prints.
 */
export async function canonicalKeyId(key: PublicKey): Promise<string> {
  return notaryKeyId(key.type, key.ed25519Bytes ?? key.spki);
}

/** Public keys that people hand over: PEM files of keys or certificates. */
import { FormatError, UsageError } from "../base/errors.ts";
import { parseCertificates } from "./certificate.ts";
import { formatPem, parsePem } from "./pem.ts";
import { PublicKey } from "./public-key.ts";

/**
 * Reads every public key of a PEM text. Of certificates only the key is taken: nobody looks at what else they say.
 *
 * @param what names the text in messages, e.g. the file
 * @throws {FormatError} KEY_INVALID, CERTIFICATE_INVALID
 * @throws {UsageError} USAGE where the text has a private key, which nobody should hand over
 */
export function readPublicKeys(pem: string, what: string): PublicKey[] {
  const keys: PublicKey[] = [];
  for (const block of parsePem(pem, what)) {
    if (block.label.endsWith("PRIVATE KEY")) {
      throw new UsageError("USAGE", `${what} holds a private key, and the public one is needed`, {
        hint: "Ask its owner for the public key, and to keep the private one; import a key of your own and name its id",
      });
    }
    if (block.label === "PUBLIC KEY") keys.push(PublicKey.fromSpki(block.bytes));
    if (block.label === "CERTIFICATE") {
      const own = formatPem({ ...block, headers: new Map() });
      keys.push(...parseCertificates(own, what).map(({ publicKey }) => publicKey));
    }
  }
  if (keys.length > 0) return keys;
  throw new FormatError("KEY_INVALID", `${what} holds no public key and no certificate`, {
    hint: "It should have a block that begins with -----BEGIN PUBLIC KEY-----",
  });
}

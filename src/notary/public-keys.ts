/** Keys as Notary's documents list them, and what they mean: key ids, canonical ids, certificates, schemes. */
import { utf8Decode } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { parseCertificates, type Certificate } from "../keys/certificate.ts";
import { canonicalKeyId, notaryKeyId } from "../keys/notary-key-id.ts";
import { PublicKey } from "../keys/public-key.ts";
import type { SignatureScheme } from "../keys/signature-scheme.ts";
import type { NotaryKey, NotaryKeys } from "./metadata.ts";

/** A key of a document, with its id checked and its content understood where we can. */
export interface ResolvedKey {
  /** The id under which the document lists it. */
  readonly keyId: string;
  /** The id of the plain key inside; equal to `keyId` except for certificates. Undefined for keys we do not know. */
  readonly canonicalId: string | undefined;
  /** Undefined for keys we do not know: their signatures count for nothing. */
  readonly publicKey: PublicKey | undefined;
  /** For keys given as certificates: the bundle, leaf first. */
  readonly certificates: readonly Certificate[];
}

/** Signature methods that a key may be used with: decided by the key, never by the signature alone. */
const SCHEME_OF_METHOD: Readonly<Record<PublicKey["type"], Readonly<Record<string, SignatureScheme>>>> = {
  ecdsa: { ecdsa: "ecdsa-sha256" },
  rsa: {
    rsapss: "rsassa-pss-sha256",
    rsapkcs1v15: "rsassa-pkcs1v15-sha256",
    "pycrypto-pkcs#1 pss": "rsassa-pss-sha256",
  },
  ed25519: { eddsa: "ed25519" },
};

/** The method that notary itself writes for a key. */
const METHOD_OF_TYPE: Readonly<Record<PublicKey["type"], string>> = { ecdsa: "ecdsa", rsa: "rsapss", ed25519: "eddsa" };

/** How a signature of this method by this key is checked; undefined where the two do not fit. */
export function schemeFor(key: PublicKey, method: string): SignatureScheme | undefined {
  const schemes = SCHEME_OF_METHOD[key.type];
  return Object.hasOwn(schemes, method) ? schemes[method] : undefined;
}

/** The `method` of signatures that we make with a key. */
export function methodFor(key: PublicKey): string {
  return METHOD_OF_TYPE[key.type];
}

/** A plain key in the form of documents. */
export function toNotaryKey(key: PublicKey): NotaryKey {
  return { keytype: key.type, public: key.ed25519Bytes ?? key.spki };
}

/** The id of a key in a document, recomputed. */
export function keyIdOf(key: NotaryKey): Promise<string> {
  return notaryKeyId(key.keytype, key.public);
}

/**
 * Understands every key of a document.
 *
 * @param what names the document in messages
 * @throws {FormatError} METADATA_INVALID where a key is listed under an id that is not its own
 */
export async function resolveKeys(keys: NotaryKeys, what: string): Promise<ReadonlyMap<string, ResolvedKey>> {
  const resolved = await Promise.all(Array.from(keys, ([keyId, key]) => resolveKey(keyId, key, what)));
  return new Map(resolved.map((key) => [key.keyId, key]));
}

async function resolveKey(keyId: string, key: NotaryKey, what: string): Promise<ResolvedKey> {
  const computed = await keyIdOf(key);
  if (computed !== keyId) {
    throw new FormatError("METADATA_INVALID", `${what} lists a key under the id ${keyId}, its own id is ${computed}`, {
      details: { expected: computed, got: keyId },
    });
  }
  try {
    const { publicKey, certificates } = readKey(key);
    const canonicalId = publicKey === undefined ? undefined : await canonicalKeyId(publicKey);
    return { keyId, canonicalId, publicKey, certificates };
  } catch (error) {
    // Root keeps the certificates of all times, old and odd ones too: a key that we cannot read signs for nothing.
    if (!(error instanceof FormatError)) throw error;
    return { keyId, canonicalId: undefined, publicKey: undefined, certificates: [] };
  }
}

function readKey(key: NotaryKey): Pick<ResolvedKey, "publicKey" | "certificates"> {
  switch (key.keytype) {
    case "ecdsa":
    case "rsa":
      return { publicKey: ofType(PublicKey.fromSpki(key.public), key.keytype), certificates: [] };
    case "ecdsa-x509":
    case "rsa-x509": {
      const certificates = parseCertificates(utf8Decode(key.public, "a certificate"));
      const leaf = certificates[0];
      const type = key.keytype.slice(0, -"-x509".length);
      return { publicKey: leaf && ofType(leaf.publicKey, type), certificates };
    }
    case "ed25519":
      return { publicKey: PublicKey.fromEd25519(key.public), certificates: [] };
    default:
      return { publicKey: undefined, certificates: [] };
  }
}

function ofType(key: PublicKey, type: string): PublicKey | undefined {
  return key.type === type ? key : undefined;
}

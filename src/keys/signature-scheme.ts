/** The forms of signature that keys make and check, and what each is called by WebCrypto. */
import type { KeyType, SpkiFacts } from "./spki.ts";

/**
 * How a signature was made.
 * - `ecdsa-sha256`: ECDSA over SHA-256, on any of our curves; r‖s, each as long as the curve's coordinates
 * - `rsassa-pss-sha256`: PSS with SHA-256, MGF1 with SHA-256, a salt of 32 bytes; `-max-salt`: the longest that fits
 * - `rsassa-pkcs1v15-sha256`: RSASSA-PKCS1-v1_5
 * - `ed25519`: over the message itself
 */
export type SignatureScheme = keyof typeof SCHEMES;

/** What WebCrypto imports a key under. */
export type ImportAlgorithm = EcKeyImportParams | RsaHashedImportParams | Algorithm;

interface Scheme {
  /** Of the keys that it is for. */
  readonly type: KeyType;
  readonly importAs: (key: SpkiFacts) => ImportAlgorithm;
  /** For signing and verifying alike. */
  readonly useAs: (key: SpkiFacts) => Algorithm | EcdsaParams | RsaPssParams;
}

const ecdsa = (hash: string): Scheme => ({
  type: "ecdsa",
  importAs: (key) => ({ name: "ECDSA", namedCurve: key.curve! }),
  useAs: () => ({ name: "ECDSA", hash }),
});

const rsa = (name: string, hash: string, saltLength: number): Scheme => ({
  type: "rsa",
  importAs: () => ({ name, hash }),
  useAs: () => ({ name, saltLength }),
});

/** RFC 8017 §9.1.1: what the encoded message has room for beside the hash and two octets. */
const pssMaxSalt = (hash: string, hashOctets: number): Scheme => ({
  ...rsa("RSA-PSS", hash, hashOctets),
  useAs: (key) => ({ name: "RSA-PSS", saltLength: Math.ceil((key.bits! - 1) / 8) - hashOctets - 2 }),
});

const SCHEMES = {
  "ecdsa-sha256": ecdsa("SHA-256"),
  "ecdsa-sha384": ecdsa("SHA-384"),
  "ecdsa-sha512": ecdsa("SHA-512"),
  "rsassa-pss-sha256": rsa("RSA-PSS", "SHA-256", 32),
  "rsassa-pss-sha384": rsa("RSA-PSS", "SHA-384", 48),
  "rsassa-pss-sha512": rsa("RSA-PSS", "SHA-512", 64),
  "rsassa-pss-sha256-max-salt": pssMaxSalt("SHA-256", 32),
  "rsassa-pss-sha384-max-salt": pssMaxSalt("SHA-384", 48),
  "rsassa-pss-sha512-max-salt": pssMaxSalt("SHA-512", 64),
  "rsassa-pkcs1v15-sha256": rsa("RSASSA-PKCS1-v1_5", "SHA-256", 0),
  "rsassa-pkcs1v15-sha384": rsa("RSASSA-PKCS1-v1_5", "SHA-384", 0),
  "rsassa-pkcs1v15-sha512": rsa("RSASSA-PKCS1-v1_5", "SHA-512", 0),
  ed25519: { type: "ed25519", importAs: () => ({ name: "Ed25519" }), useAs: () => ({ name: "Ed25519" }) },
} as const satisfies Record<string, Scheme>;

export function schemeNamed(name: SignatureScheme): Scheme {
  return SCHEMES[name];
}

/** What a signer uses unless it is told otherwise: what Notary and certificates expect of each type of key. */
export const DEFAULT_SCHEME = {
  ecdsa: "ecdsa-sha256",
  rsa: "rsassa-pss-sha256",
  ed25519: "ed25519",
} as const satisfies Record<KeyType, SignatureScheme>;

/** Signing, whatever holds the private key: a file, memory, an agent, hardware. */
import type { Bytes } from "../base/bytes.ts";
import type { PublicKey } from "./public-key.ts";
import type { SignatureScheme } from "./signature-scheme.ts";

/**
 * One private key that can sign.
 *
 * Obligations: `sign` makes a signature of the scheme that it is given, or fails; without one, that of
 * `DEFAULT_SCHEME` for the key's type (SHA-256 for ECDSA on every curve, PSS with SHA-256 for RSA). ECDSA signatures
 * are raw r‖s, each padded to the size of the curve; the private key is never exposed or logged. Who asks for a scheme
 * verifies what comes back.
 */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(message: Uint8Array, scheme?: SignatureScheme): Promise<Bytes>;
}

/** What a passphrase is wanted for. */
export interface PassphraseRequest {
  /** `root`, `targets`, `snapshot`, a delegation's name, or `key` where the role is not known. */
  readonly role: string;
  /** The key's id, or undefined for a key that is about to be made. */
  readonly keyId: string | undefined;
  /** True where a new passphrase is chosen: ask twice, refuse short ones. */
  readonly isNew: boolean;
  /** 1 for the first try; higher after a wrong passphrase. */
  readonly attempt: number;
}

/**
 * Gives passphrases: from the environment, a prompt, a test.
 *
 * @returns undefined to give up; the caller then fails with KEY_PASSPHRASE or PASSPHRASE_MISSING
 */
export type PassphraseProvider = (request: PassphraseRequest) => Promise<string | undefined>;

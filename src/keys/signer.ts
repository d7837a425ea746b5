/** Signing, whatever holds the private key: a file, memory, an agent, hardware. */
import type { Bytes } from "../base/bytes.ts";
import type { PublicKey } from "./public-key.ts";

/**
 * One private key that can sign.
 *
 * Obligations: `sign` hashes as the key's type demands (SHA-256 for ECDSA P-256 and RSA-PSS, none for
 * Ed25519); ECDSA signatures are raw r‖s, each padded to the size of the curve, RSA is PSS with a salt as
 * long as the hash; the private key is never exposed or logged.
 */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(message: Uint8Array): Promise<Bytes>;
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

/** Asking for passphrases: how often, and what it means when none comes. */
import { errorCode, TrustError, UsageError } from "../base/errors.ts";
import type { PassphraseProvider, PassphraseRequest } from "./signer.ts";

/** Tries before giving up, as Notary's programs allow: a provider that repeats itself must not loop for ever. */
const MAX_ATTEMPTS = 4;

/** Whose key it is about. */
export type PassphraseSubject = Pick<PassphraseRequest, "role" | "keyId">;

/**
 * Asks for passphrases until one opens the key.
 *
 * @param open throws KEY_PASSPHRASE where the passphrase is wrong
 * @throws {UsageError} PASSPHRASE_MISSING where none was given
 * @throws {TrustError} KEY_PASSPHRASE where none of those given fits
 */
export async function openWithPassphrase<T>(
  provider: PassphraseProvider,
  subject: PassphraseSubject,
  open: (passphrase: string) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const passphrase = await provider({ ...subject, isNew: false, attempt });
    if (passphrase === undefined) throw attempt === 1 ? missing(subject) : wrong(subject, attempt - 1);
    try {
      return await open(passphrase);
    } catch (error) {
      if (errorCode(error) !== "KEY_PASSPHRASE") throw error;
    }
  }
  throw wrong(subject, MAX_ATTEMPTS);
}

/**
 * Asks for the passphrase of a key that is about to be written; `""` means that it stays unencrypted.
 *
 * @throws {UsageError} PASSPHRASE_MISSING
 */
export async function choosePassphrase(provider: PassphraseProvider, subject: PassphraseSubject): Promise<string> {
  const passphrase = await provider({ ...subject, isNew: true, attempt: 1 });
  if (passphrase === undefined) throw missing(subject);
  return passphrase;
}

function missing({ role, keyId }: PassphraseSubject): UsageError {
  return new UsageError("PASSPHRASE_MISSING", `no passphrase was given for ${name(role, keyId)}`, {
    hint: "Set WASM_TO_OCI_PASSPHRASE, or the variable of the role, or run on a terminal to be asked",
    details: { role, keyId: keyId ?? null },
  });
}

function wrong({ role, keyId }: PassphraseSubject, tries: number): TrustError {
  const times = tries === 1 ? "the passphrase given does not open" : `none of ${tries} passphrases opens`;
  return new TrustError("KEY_PASSPHRASE", `${times} ${name(role, keyId)}`, {
    hint: "Give the passphrase that the key was made with; if it is right, the key file is damaged",
    details: { keyRole: role, keyId: keyId ?? null },
  });
}

function name(role: string, keyId: string | undefined): string {
  const which = role === "key" ? "the key" : `the ${role} key`;
  return keyId === undefined ? which : `${which} ${keyId.slice(0, 7)}`;
}

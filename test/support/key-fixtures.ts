/** Keys and certificates made by other programs; see the README and make.sh beside them. */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { PassphraseProvider } from "../../src/keys/signer.ts";

export { codeOf } from "./error-code.ts";

export const FIXTURES = join(import.meta.dirname, "..", "fixtures");
export const NOTARY_KEYS = join(FIXTURES, "notary-v1", "keys");

export function openssl(name: string): string {
  return readFileSync(join(FIXTURES, "openssl", name), "utf8");
}

export function notary(name: string): string {
  return readFileSync(join(NOTARY_KEYS, name), "utf8");
}

/** Passphrases of Notary's keys by role; of OpenSSL's `testpass`. */
export function notaryPassphrase(role: string): string {
  return { root: "rootpass1", targets: "targetpass1", snapshot: "snappass1" }[role] ?? "delegpass1";
}

export async function notaryKeyNames(): Promise<string[]> {
  return readdir(join(NOTARY_KEYS, "private"));
}

/** Always gives the same passphrase. */
export function always(passphrase: string | undefined): PassphraseProvider {
  return async () => passphrase;
}

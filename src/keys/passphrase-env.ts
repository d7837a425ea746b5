/** Passphrases from environment variables: ours, then those of the programs whose keys we share. */
import type { PassphraseProvider, PassphraseRequest } from "./signer.ts";

/** The word for a role in the names of variables. Delegations and users share one, as in Notary. */
function roleWord(role: string): string | undefined {
  if (role === "root" || role === "targets" || role === "snapshot") return role.toUpperCase();
  return role === "timestamp" ? undefined : "DELEGATION";
}

/**
 * The variables that are looked at for a role, first one first:
 *
 * 1. `WASM_TO_OCI_<ROLE>_PASSPHRASE` with ROOT, TARGETS, SNAPSHOT or, for any other key, DELEGATION
 * 2. `WASM_TO_OCI_PASSPHRASE`
 * 3. `SIGNY_<ROLE>_PASSPHRASE`, as the Go wasm-to-oci
 * 4. `NOTARY_<ROLE>_PASSPHRASE`
 * 5. `DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE` for root, `DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE` for all others
 */
export function passphraseVariables(role: string): string[] {
  const word = roleWord(role);
  const named = (prefix: string): string[] => (word === undefined ? [] : [`${prefix}_${word}_PASSPHRASE`]);
  const docker = role === "root" ? "ROOT" : "REPOSITORY";
  return [
    ...named("WASM_TO_OCI"),
    "WASM_TO_OCI_PASSPHRASE",
    ...named("SIGNY"),
    ...named("NOTARY"),
    `DOCKER_CONTENT_TRUST_${docker}_PASSPHRASE`,
  ];
}

/**
 * Gives passphrases from an environment. The first variable that is set counts for new keys; to open a key, the
 * others are tried after it, each different text once. An empty variable counts as not set: a slip in a CI
 * configuration must not leave a key unencrypted.
 */
export function passphrasesFromEnv(env: Readonly<Record<string, string | undefined>>): PassphraseProvider {
  return async ({ role, isNew, attempt }: PassphraseRequest) => {
    const set = passphraseVariables(role).flatMap((name) => env[name] || []);
    return [...new Set(set)][isNew ? 0 : attempt - 1];
  };
}

import { errorCode } from "../../base/errors.ts";
import type { PublicKey } from "../../keys/public-key.ts";
import type { KeyStore, StoredKey } from "../../keys/key-store.ts";
import type { PassphraseProvider } from "../../keys/signer.ts";
import { tufKeyOf } from "../../tuf/keys.ts";
import { defineCommand } from "../command.ts";
import { keyDirectory, keyDocument } from "../key-directory.ts";
import { flag } from "../options.ts";
import { passphrases } from "../passphrases.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

export const keyListCommand = defineCommand({
  arguments: {},
  options: {
    fingerprints: flag(
      "--fingerprints",
      "open each key, with its passphrase, and show the names that trust data has for it",
    ),
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "A KEY ID is Notary's, by which key files are named. `trust show`, pins and policies name keys by the sha256 of their public key, the fingerprint; TUF metadata has key ids of its own. What is encrypted does not tell these: --fingerprints opens it.",
  ],
  examples: [
    ["wasm-to-oci key list", "show the keys in ~/.wasm-to-oci"],
    ["wasm-to-oci key list --fingerprints", "which of them is the key that `trust show` and a policy name?"],
    ["wasm-to-oci key list --dir ~/.docker/trust", "show the keys of Docker Content Trust"],
  ],
  json: "key list",
  async run(context, _, { dir, fingerprints }) {
    const { out } = context;
    const store = keyDirectory(context, dir);
    const keys = await store.list();
    const problems = await store.problems();
    const names = fingerprints ? await publicNames(store, keys, passphrases(context)) : undefined;
    if (out.format === "json") {
      const broken = problems.map(({ location, error }) => ({ location, code: error.code, message: error.message }));
      return out.json({ keys: keys.map((key) => ({ ...keyDocument(key), ...names?.get(key.id) })), problems: broken });
    }
    for (const { location, error } of problems) out.warn(`${location} is no usable key: ${error.message}`);
    if (keys.length === 0) return out.info("There are no keys here");
    if (names !== undefined) {
      return out.lines(
        keys.flatMap(({ id, role, gun, encrypted }) => [
          `${role} key${gun === undefined ? "" : ` of ${gun}`}${encrypted ? "" : ", NOT encrypted"}`,
          `  key id       ${id}`,
          `  fingerprint  ${names.get(id)?.fingerprint ?? "-"}`,
          `  TUF key id   ${names.get(id)?.tufKeyId ?? "-"}`,
        ]),
      );
    }
    return out.table(
      ["KEY ID", "ROLE", "COLLECTION", "ENCRYPTED"],
      keys.map(({ id, role, gun, encrypted }) => [id, role, gun ?? "-", encrypted ? "yes" : "NO"]),
    );
  },
});

/** What others call a key. */
interface PublicNames {
  readonly fingerprint: string;
  /** Undefined for a kind that TUF has no name for. */
  readonly tufKeyId: string | undefined;
}

/** @throws {TrustError} KEY_PASSPHRASE */
async function publicNames(
  store: KeyStore,
  keys: readonly StoredKey[],
  ask: PassphraseProvider,
): Promise<Map<string, PublicNames>> {
  const names = new Map<string, PublicNames>();
  for (const { id } of keys) {
    const publicKey = (await store.open(id, ask))?.publicKey;
    if (publicKey === undefined) continue; // it was removed at this moment
    names.set(id, { fingerprint: await publicKey.fingerprint(), tufKeyId: await tufIdOf(publicKey) });
  }
  return names;
}

async function tufIdOf(publicKey: PublicKey): Promise<string | undefined> {
  try {
    return (await tufKeyOf(publicKey)).id;
  } catch (error) {
    if (errorCode(error) === "KEY_INVALID") return undefined;
    throw error;
  }
}

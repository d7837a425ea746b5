/** Keys on the command line: `new`, the id of one that is here, or a PEM file of somebody's public key. */
import { basename } from "node:path";
import { UsageError } from "../base/errors.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { KeyAlgorithmName } from "../keys/private-key.ts";
import { readPublicKeys } from "../keys/public-key-file.ts";
import type { KeyChoice } from "../trust/key-choice.ts";
import { readTextFile } from "./input-file.ts";
import { findKey } from "./key-directory.ts";
import { choice } from "./options.ts";

/** Kinds of keys that every TUF client verifies. */
const NEW_KEY_ALGORITHMS = ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-3072", "rsa-4096"] as const;

export const newKeyOptions = {
  algorithm: choice("--algorithm NAME", "kind of a key that is made", NEW_KEY_ALGORITHMS, { initial: "ed25519" }),
};

/** How the value of such an option is described. */
export const KEY_FORMS = "`new`, the id of a key here, or a PEM file with somebody's public key";

/** An id, as `key list` shows it, or its beginning; a file of such a name is written as `./5d1e0ab`. */
const ID = /^[0-9a-f]{7,64}$/;

/** What the name of a key's owner may look like where a file's name gives it. */
const OWNER = /^[\p{L}\p{N}@][\p{L}\p{N}@._+-]{0,63}$/u;

/** Reads what names a key. A file may hold several. @throws {TrustError} KEY_MISSING, {StorageError} FILE_NOT_FOUND */
export async function readKeyChoice(
  store: KeyStore,
  text: string,
  algorithm: KeyAlgorithmName,
): Promise<readonly KeyChoice[]> {
  if (text === "new") return [{ kind: "new", algorithm }];
  if (ID.test(text)) return [{ kind: "stored", id: (await findKey(store, text)).id }];
  const owner = ownerOfFile(text);
  return readPublicKeys(await readTextFile(text), text).map((publicKey) => ({ kind: "public", publicKey, owner }));
}

export async function readKeyChoices(
  store: KeyStore,
  texts: readonly string[],
  algorithm: KeyAlgorithmName,
): Promise<KeyChoice[]> {
  const choices: KeyChoice[] = [];
  for (const text of texts) choices.push(...(await readKeyChoice(store, text, algorithm)));
  return choices;
}

/** `keys/alice.pub.pem` is alice's: whoever adds a key gives it the name that others will see. */
function ownerOfFile(path: string): string | undefined {
  const name = basename(path).replace(/(?:\.pub|\.public|\.pem|\.key|\.crt)+$/i, "");
  return OWNER.test(name) ? name.normalize("NFC") : undefined;
}

/** Splits `ROLE=VALUE`; several roles may stand before the sign, between commas. @throws {UsageError} USAGE */
export function splitAssignment(text: string): { readonly names: readonly string[]; readonly value: string } {
  const at = text.indexOf("=");
  const names = text.slice(0, Math.max(at, 0)).split(",");
  const value = text.slice(at + 1);
  if (at > 0 && value !== "" && !names.includes("")) return { names, value };
  throw new UsageError("USAGE", `${JSON.stringify(text)} gives no role a value`, { hint: "Write ROLE=VALUE" });
}

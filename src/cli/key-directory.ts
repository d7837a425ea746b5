/** The private keys of the trust directory, for the `key` commands. */
import { TrustError, UsageError } from "../base/errors.ts";
import type { KeyStore, StoredKey } from "../keys/key-store.ts";
import { openKeyDir } from "../node/key-dir.ts";
import type { Context } from "./command.ts";
import { trustDirectory } from "./trust-directory.ts";

/** Enough of an id to be sure that nobody types it by accident. */
const MIN_ID_PREFIX = 7;

export function keyDirectory(context: Context, dir: string | undefined): KeyStore {
  return openKeyDir(trustDirectory(context, dir));
}

/** Finds the one key whose id starts with a text. @throws {TrustError} KEY_MISSING */
export async function findKey(store: KeyStore, prefix: string): Promise<StoredKey> {
  if (!/^[0-9a-f]+$/.test(prefix) || prefix.length < MIN_ID_PREFIX) {
    throw new UsageError("USAGE", `${JSON.stringify(prefix)} is not the id of a key`, {
      hint: `Give at least the first ${MIN_ID_PREFIX} digits of an id that \`wasm-to-oci key list\` shows`,
    });
  }
  const found = (await store.list()).filter((key) => key.id.startsWith(prefix));
  const [key] = found;
  if (key === undefined) {
    throw new TrustError("KEY_MISSING", `there is no private key ${prefix} here`, {
      hint: "List the keys with: wasm-to-oci key list",
      details: { keyId: prefix },
    });
  }
  if (found.length > 1) {
    throw new UsageError("USAGE", `${found.length} keys start with ${prefix}`, {
      hint: "Give more digits",
      details: { keyIds: found.map(({ id }) => id) },
    });
  }
  return key;
}

/** A key as `--format json` shows it. */
export function keyDocument({ id, role, gun, encrypted, location }: StoredKey): Record<string, unknown> {
  return { id, role, collection: gun ?? null, encrypted, location };
}

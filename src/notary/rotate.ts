/** Replaces the keys of a base role, and hands the snapshot key over between client and server. */
import { UsageError, WasmToOciError } from "../base/errors.ts";
import { PrivateKey } from "../keys/private-key.ts";
import type { Signer } from "../keys/signer.ts";
import { newKey, type NewKey } from "./changes.ts";
import type { NotaryCollection } from "./collection.ts";
import { makeKey } from "./initialise.ts";
import { isUnanswered, publishChanges, type Published, type PublishEnvironment } from "./publish.ts";
import { certifyRootKey, openKey } from "./root-keys.ts";
import { BASE_ROLES, type BaseRole } from "./roles.ts";
import type { NotaryState } from "./state.ts";
import type { SigningKeys } from "./signing-keys.ts";

export interface RotateOptions {
  readonly role: BaseRole;
  /** Who holds the new key. Targets and root keys are the client's, timestamp keys the server's; only snapshot may change. */
  readonly manager?: "client" | "server" | undefined;
  /** Canonical ids of keys to change to; a new key is made unless given. */
  readonly keyIds?: readonly string[] | undefined;
  /** Root only: PEM of the new key's own certificate, leaf first. */
  readonly certificate?: string | undefined;
  /** Delete the private keys that were replaced, instead of keeping them as backups. */
  readonly deleteOld?: boolean | undefined;
}

export interface Rotated extends Published {
  /** Canonical ids of the new keys. */
  readonly newKeyIds: readonly string[];
  readonly oldKeyIds: readonly string[];
  /** Files of replaced keys that were taken out of use. Root keys stay: other collections may have the same one. */
  readonly backups: readonly string[];
}

/**
 * Rotates a role's keys and publishes.
 *
 * @throws {UsageError} USAGE where the role's keys cannot be held there
 * @throws {TrustError} as a publish does; KEY_MISSING where root (or the former root) cannot be signed
 */
export async function rotateKeys(
  collection: NotaryCollection,
  options: RotateOptions,
  environment: PublishEnvironment,
): Promise<Rotated> {
  const manager = checkManager(options);
  const before = await collection.read();
  const made: string[] = [];
  const { keys } = environment;
  try {
    const added =
      manager === "server"
        ? [await collection.newServerKey(options.role === "timestamp" ? "timestamp" : "snapshot")]
        : await clientKeys(collection.gun, options, environment, made);
    const change = { action: "replace-keys", role: options.role, keys: added } as const;
    const published = await publishChanges(collection, () => [change], environment);
    const newKeyIds = added.map(({ canonicalId }) => canonicalId);
    const oldKeyIds = idsOf(before, options.role).filter((id) => !newKeyIds.includes(id));
    const backups = await retireKeys(keys, collection.gun, oldKeyIds, options.deleteOld === true);
    return { ...published, newKeyIds, oldKeyIds, backups };
  } catch (error) {
    await forgetUnused(collection, keys, made, error);
    throw error;
  }
}

/** Removes keys that were made for a rotation which certainly did not happen: in doubt they stay. */
async function forgetUnused(
  collection: NotaryCollection,
  keys: SigningKeys,
  made: readonly string[],
  failure: unknown,
): Promise<void> {
  const unclear = !(failure instanceof WasmToOciError) || isUnanswered(failure) || UNCLEAR.has(failure.code);
  if (made.length === 0 || unclear) return;
  let state: NotaryState;
  try {
    state = await collection.read();
  } catch {
    return; // what the server has is not known
  }
  const listed = new Set(BASE_ROLES.flatMap((role) => idsOf(state, role)));
  for (const id of made) if (!listed.has(id)) await keys.store.remove(id);
}

const UNCLEAR: ReadonlySet<string> = new Set(["PUBLISH_UNREADABLE", "INTERRUPTED"]);

function checkManager({ role, manager, keyIds, certificate }: RotateOptions): "client" | "server" {
  const chosen = manager ?? (role === "timestamp" ? "server" : "client");
  const fault = (message: string) =>
    new UsageError("USAGE", message, { hint: "Rotate without saying who holds the key" });
  if (role === "timestamp" && chosen === "client") throw fault("only the server can hold the timestamp key");
  if (chosen === "server" && (role === "root" || role === "targets"))
    throw fault(`a server may not hold the ${role} key`);
  if (chosen === "server" && keyIds !== undefined) throw fault("the server makes its own key; none can be named");
  if (certificate !== undefined && role !== "root") throw fault("only root keys have certificates");
  if (certificate !== undefined && keyIds?.length !== 1) throw fault("a certificate needs the one key that it is for");
  return chosen;
}

async function clientKeys(
  gun: string,
  { role, keyIds, certificate }: RotateOptions,
  { keys, now }: PublishEnvironment,
  made: string[],
): Promise<NewKey[]> {
  if (role === "root") {
    const signers: Signer[] = [];
    for (const id of keyIds ?? []) signers.push(await openKey(keys, id, role));
    if (keyIds === undefined) {
      const key = await PrivateKey.generate("ecdsa-p256");
      made.push(await keys.store.add(key, { role }, keys.passphrases));
      signers.push(key);
    }
    return Promise.all(signers.map((signer) => certifyRootKey(gun, signer, { now, certificate })));
  }
  if (keyIds === undefined) return [await makeKey(keys, role, gun, made)];
  const chosen: NewKey[] = [];
  for (const id of keyIds) chosen.push(await newKey((await openKey(keys, id, role)).publicKey));
  return chosen;
}

function idsOf({ root }: NotaryState, role: BaseRole): string[] {
  return root.metadata.roles.get(role)!.keyIds.map((id) => root.keys.get(id)?.canonicalId ?? id);
}

/** Takes keys out of use that belonged to this collection alone. */
async function retireKeys(
  keys: SigningKeys,
  gun: string,
  ids: readonly string[],
  deleteThem: boolean,
): Promise<string[]> {
  const own = (await keys.store.list()).filter((key) => ids.includes(key.id) && key.gun === gun);
  const backups: string[] = [];
  for (const { id } of own) {
    if (deleteThem) {
      await keys.store.remove(id);
      continue;
    }
    const location = await keys.store.retire(id);
    if (location !== undefined) backups.push(location);
  }
  return backups;
}

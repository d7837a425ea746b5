/**
 * Makes a TUF collection out of a Notary one. The old root keys sign the hand-over; the new collection appears whole,
 * with its first version, or not at all, and keys that were brought along for nothing are taken away again.
 */
import { errorCode, TrustError } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import type { KeyStore } from "../../keys/key-store.ts";
import { PrivateKey } from "../../keys/private-key.ts";
import type { PassphraseProvider, Signer } from "../../keys/signer.ts";
import type { SearchOrder } from "../../notary/lookup.ts";
import type { ResolvedKey } from "../../notary/public-keys.ts";
import type { NotaryState } from "../../notary/state.ts";
import type { TufChange } from "../../tuf/changes.ts";
import type { NewRole } from "../../tuf/create.ts";
import { tufKeyOf, type TufKey } from "../../tuf/keys.ts";
import { HANDOVER_FIELD, signHandover } from "./handover.ts";
import { planImport, type ImportedDelegation, type ImportedTarget, type ImportPlan } from "./plan.ts";
import { ChosenKeys, type KeyChoice } from "../key-choice.ts";
import { newRoleKey } from "../new-role-keys.ts";
import type { Note } from "../report.ts";
import type { KeyReport } from "../source.ts";
import type { NewTufRoles, TufPublisher } from "../tuf/publisher.ts";

export interface ImportCollectionOptions {
  /** The verified old collection. */
  readonly state: NotaryState;
  /** The order in which its readers ask its roles. */
  readonly order: SearchOrder;
  /** The new collection's name. */
  readonly collection: string;
  /** Puts it where it is to be. */
  readonly publisher: TufPublisher;
  /** Where keys will be. */
  readonly keyStore: KeyStore;
  /** Where the old keys are; may be the same. */
  readonly oldKeys: KeyStore;
  readonly passphrases: PassphraseProvider;
  /** Canonical id of the new root key; one that is there already, or a new one, but not the old one, unless told. */
  readonly rootKeyId?: string | undefined;
  /** The keys of the new root role, instead of one. All must be at hand: each signs, to show that it exists. */
  readonly root?: NewRootRole | undefined;
  readonly now: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Who is to hold the new root. */
export interface NewRootRole {
  readonly keys: readonly KeyChoice[];
  /** How many of them must sign; 1 unless told. */
  readonly threshold?: number | undefined;
}

export interface ImportedCollection {
  readonly gun: string;
  readonly collection: string;
  /** Of the new collection. */
  readonly rootKeys: readonly KeyReport[];
  /** How many of them must sign. */
  readonly rootThreshold: number;
  /** Fingerprints of the old root keys that signed the hand-over. */
  readonly handedOverBy: readonly string[];
  readonly targets: readonly (ImportedTarget & { readonly role: string })[];
  readonly delegations: readonly { readonly role: string; readonly oldRole: string }[];
  /** Canonical ids of private keys that were brought along. */
  readonly keys: readonly string[];
  readonly notes: readonly Note[];
}

/**
 * Imports a collection.
 *
 * @throws {TrustError} KEY_MISSING where the old root keys, or some of the new ones, are not at hand; KEY_PASSPHRASE,
 *   TRUST_EXISTS, …
 * @throws {UsageError} USAGE for more signatures than there are root keys
 */
export async function importCollection(options: ImportCollectionOptions): Promise<ImportedCollection> {
  const plan = planImport(options.state, options.order);
  const oldRoot = await openOldRoot(options, plan); // first, so that a wrong passphrase costs nothing
  const keys = new BroughtKeys(options);
  try {
    return await build(options, plan, oldRoot, keys);
  } catch (error) {
    // keys of a collection that may exist must not get lost
    if (errorCode(error) !== "PUBLISH_UNREADABLE") await keys.takeBack();
    throw error;
  }
}

async function build(
  { collection, publisher, root, now, signal }: ImportCollectionOptions,
  plan: ImportPlan,
  oldRoot: readonly Signer[],
  keys: BroughtKeys,
): Promise<ImportedCollection> {
  const notes = [...plan.notes];
  const rootRole = { keys: await keys.newRoot(), threshold: root?.threshold ?? 1 };
  const rootKeys = await Promise.all(rootRole.keys.map(keyReport));
  const fingerprints = rootKeys.map(({ fingerprint }) => fingerprint).toSorted();
  const { threshold } = rootRole;
  const statement = { from: plan.gun, to: collection, rootKeys: fingerprints, threshold, created: now() };
  const handover = await signHandover(statement, oldRoot);

  const targetsKeys = await keys.enough(plan.targetsKeys, plan.targetsThreshold);
  if (targetsKeys === undefined)
    notes.push(note("new-key", "the targets key is not here: a new one signs from now on"));
  const delegations: ImportedDelegation[] = [];
  const changes: TufChange[] = [];
  for (const delegation of plan.delegations) {
    const { role, oldRole, paths } = delegation;
    const own = await keys.enough(delegation.keys, delegation.threshold);
    if (own === undefined) {
      const message =
        `the keys of ${oldRole} are not here: what it signed is signed by targets from now on; ` +
        "its holders get their say back with `wasm-to-oci trust delegate`";
      notes.push(note("delegation-left-out", message));
      continue;
    }
    delegations.push(delegation);
    changes.push({ action: "delegate", delegator: "targets", role, keys: own, paths, threshold: delegation.threshold });
    changes.push(...["snapshot", "timestamp"].map((online): TufChange => ({ action: "keys", role: online, add: own })));
  }
  const targets = plan.targets.map((target) => {
    const role = delegations.find(({ oldRole }) => oldRole === target.oldRole)?.role ?? "targets";
    return { ...target, role };
  });
  for (const { name, role, length, hashes, custom } of targets) {
    changes.push({ action: "add", role, name, content: { length, hashes: { ...hashes }, custom } });
  }
  const published = await publisher.initWith(
    collection,
    rolesOf(rootRole, targetsKeys, plan.targetsThreshold),
    { changes, extra: { [HANDOVER_FIELD]: handover } },
    { signal },
  );
  notes.push(...published.warnings.map((message) => note("trust-warning", message)));
  return {
    gun: plan.gun,
    collection,
    rootKeys,
    rootThreshold: threshold,
    handedOverBy: await Promise.all(oldRoot.map(({ publicKey }) => publicKey.fingerprint())),
    targets,
    delegations: delegations.map(({ role, oldRole }) => ({ role, oldRole })),
    keys: keys.brought,
    notes,
  };
}

async function keyReport(key: TufKey): Promise<KeyReport> {
  return { keyId: key.id, fingerprint: (await key.publicKey?.fingerprint()) ?? "" };
}

/** Whoever signs targets must be able to publish alone, so that those keys sign snapshot and timestamp as well. */
function rolesOf(root: NewRole, targetsKeys: readonly TufKey[] | undefined, threshold: number): NewTufRoles {
  if (targetsKeys === undefined) return { root };
  const online = { keys: targetsKeys };
  return { root, targets: { keys: targetsKeys, threshold }, snapshot: online, timestamp: online };
}

/** Opens as many old root keys as the old root needs. @throws {TrustError} KEY_MISSING, KEY_PASSPHRASE */
async function openOldRoot(
  { oldKeys, passphrases }: ImportCollectionOptions,
  { gun, rootKeys, rootThreshold }: ImportPlan,
): Promise<Signer[]> {
  const signers: Signer[] = [];
  for (const { canonicalId } of rootKeys) {
    if (signers.length === rootThreshold) break;
    const signer = canonicalId === undefined ? undefined : await oldKeys.open(canonicalId, passphrases);
    if (signer !== undefined) signers.push(signer);
  }
  if (signers.length >= rootThreshold) return signers;
  throw new TrustError("KEY_MISSING", `the root key of ${gun} is not here, and nobody else can hand its name over`, {
    role: "root",
    hint: "Bring it along: `wasm-to-oci key import`, or name the directory that has it",
    details: { collection: gun, keyIds: rootKeys.map(({ canonicalId, keyId }) => canonicalId ?? keyId) },
  });
}

/** Old keys on their way into the new key store, and the new root key. */
class BroughtKeys {
  readonly brought: string[] = [];
  private readonly options: ImportCollectionOptions;
  private readonly made: string[] = [];

  constructor(options: ImportCollectionOptions) {
    this.options = options;
  }

  /** The chosen root keys, the one that is there already, or a new one; the old one only where it is chosen. */
  async newRoot(): Promise<readonly TufKey[]> {
    const { keyStore, passphrases, collection, root } = this.options;
    if (root === undefined) return [await this.oneRoot()];
    const ofOld = this.oldRootIds();
    await this.bring(root.keys.flatMap((key) => (key.kind === "stored" && ofOld.has(key.id) ? [key.id] : [])));
    return new ChosenKeys(keyStore, passphrases, this.made).resolve(root.keys, "root", collection);
  }

  private oldRootIds(): ReadonlySet<string | undefined> {
    const { root } = this.options.state;
    return new Set(root.metadata.roles.get("root")!.keyIds.map((id) => root.keys.get(id)?.canonicalId));
  }

  private async oneRoot(): Promise<TufKey> {
    const { keyStore, passphrases, rootKeyId, collection } = this.options;
    const ofOld = this.oldRootIds();
    if (rootKeyId !== undefined && ofOld.has(rootKeyId)) await this.bring([rootKeyId]);
    const held = (await keyStore.list()).filter(({ role, id }) => role === "root" && !ofOld.has(id));
    if (rootKeyId !== undefined || held.length > 0) {
      const only = held.length === 1 ? held[0]!.id : undefined; // of several, one must be chosen
      return newRoleKey("root", collection, { keyStore, passphrases, rootKeyId: rootKeyId ?? only }, this.made);
    }
    const key = await PrivateKey.generate("ed25519");
    this.made.push(await keyStore.add(key, { role: "root" }, passphrases));
    return tufKeyOf(key.publicKey);
  }

  /** A role's keys, where enough of them are at hand to sign for it; those are brought along. */
  async enough(keys: readonly ResolvedKey[], threshold: number): Promise<TufKey[] | undefined> {
    const { keyStore, oldKeys } = this.options;
    const stored = new Set([...(await oldKeys.list()), ...(await keyStore.list())].map(({ id }) => id));
    const held = keys.flatMap(({ canonicalId }) =>
      canonicalId !== undefined && stored.has(canonicalId) ? [canonicalId] : [],
    );
    if (new Set(held).size < threshold) return undefined;
    await this.bring(held);
    const usable = keys.flatMap(({ publicKey }) => publicKey ?? []);
    return Promise.all(usable.map((publicKey) => tufKeyOf(publicKey)));
  }

  async takeBack(): Promise<void> {
    for (const id of [...this.made, ...this.brought]) await this.options.keyStore.remove(id);
  }

  /** Keys travel encrypted as they are, under the passphrases that they have. */
  private async bring(ids: readonly string[]): Promise<void> {
    const { keyStore, oldKeys, passphrases } = this.options;
    if (keyStore === oldKeys) return;
    const there = new Set((await oldKeys.list()).map(({ id }) => id));
    const wanted = ids.filter((id) => there.has(id));
    if (wanted.length === 0) return;
    const imported = await keyStore.importPem(await oldKeys.exportPem(wanted), {}, passphrases);
    this.brought.push(...imported.filter(({ added }) => added).map(({ id }) => id));
  }
}

function note(code: string, message: string): Note {
  return { code, message };
}

/** Signs again what has expired or soon will, as far as the keys at hand go; and takes keys out of use. */
import { TrustError, UsageError } from "../base/errors.ts";
import type { TufChange } from "./changes.ts";
import { binNames } from "./delegations.ts";
import { TufDraft } from "./draft.ts";
import type { TufKey } from "./keys.ts";
import { DAY_MS, isDue, periodsOf } from "./periods.ts";
import { publishChanges, type PublishAccess, type Published, type PublishEnvironment } from "./publish.ts";
import type { Signed } from "./schema.ts";
import { canSign, listedKeys } from "./signing-keys.ts";

export interface RepairOptions {
  /** Sign what expires within so many days; each role's own signing period unless told. */
  readonly withinDays?: number | undefined;
}

/** A role that still needs somebody else's signature. */
export interface Unrepaired {
  readonly role: string;
  readonly expires: Date;
}

export interface Repaired extends Published {
  readonly repaired: readonly string[];
  readonly remaining: readonly Unrepaired[];
}

/**
 * Repairs a collection, also one that no client can open any more because something in it has expired.
 *
 * @throws {TrustError} as a publish does; METADATA_EXPIRED never
 */
export async function repairCollection(
  access: PublishAccess,
  options: RepairOptions,
  environment: PublishEnvironment,
): Promise<Repaired> {
  let remaining: Unrepaired[] = [];
  const isFirst = onceEach();
  const published = await publishChanges(
    access,
    async (draft) => {
      const changes: TufChange[] = [];
      remaining = [];
      for (const { role, signed } of await dueDocuments(draft, options, environment.now())) {
        const keyed = draft.keyedRoles(role);
        const able = await Promise.all(keyed.map((one) => canSign(one, environment.signing)));
        // a role that nobody delegates to any more has nobody who could sign it either
        if (keyed.length === 0 || !able.every(Boolean)) remaining.push({ role, expires: signed.expires });
        else if (isFirst(signed, role)) changes.push({ action: "renew", role });
      }
      return changes;
    },
    environment,
    { lenient: true },
  );
  return { ...published, repaired: published.files.map(({ role }) => role), remaining };
}

/**
 * Changes are computed again in every round of a publish: what was signed in one is not signed once more in the next,
 * however long before its end it is wanted.
 *
 * @returns whether a role still has the version that it was first seen with
 */
export function onceEach(): (signed: Pick<Signed, "version">, role: string) => boolean {
  const first = new Map<string, number>();
  return ({ version }, role) => {
    if (!first.has(role)) first.set(role, version);
    return first.get(role) === version;
  };
}

/** Documents that should be signed again by now. */
async function dueDocuments(
  draft: TufDraft,
  { withinDays }: RepairOptions,
  now: Date,
): Promise<{ role: string; signed: Signed }[]> {
  const { root } = draft;
  return (await allDocuments(draft)).filter(({ signed }) => {
    const { signing } = periodsOf(signed.type, root, signed);
    return withinDays === undefined
      ? isDue(signed.expires, { expiry: 0, signing }, now)
      : signed.expires.getTime() - now.getTime() <= withinDays * DAY_MS;
  });
}

/** Every document of a collection: root, timestamp, snapshot, targets, then delegated roles, bins included. */
export async function allDocuments(draft: TufDraft): Promise<{ role: string; signed: Signed }[]> {
  const { base } = draft;
  if (base === undefined) return [];
  const list: { role: string; signed: Signed }[] = [
    { role: "root", signed: base.root.signed },
    { role: "timestamp", signed: base.timestamp.signed },
    { role: "snapshot", signed: base.snapshot.signed },
  ];
  const binned = Array.from(base.targets.values(), ({ signed }) => signed.delegations?.succinct);
  for (const succinct of binned) {
    if (succinct !== undefined) for (const bin of binNames(succinct)) await base.loadAny(bin);
  }
  for (const [role, { signed }] of base.targets) list.push({ role, signed });
  return list;
}

export interface RevokeOptions {
  /** Hex sha256 of the SubjectPublicKeyInfo of the key that must not count any more. */
  readonly fingerprint: string;
  /** Takes its place in every role that had it. */
  readonly replacement?: TufKey | undefined;
  /**
   * After a compromise of online keys: versions of timestamp and snapshot start anew where the key could sign for them,
   * since a thief may have pushed them up to where no honest publish can follow. All other keys of such a role go, too:
   * clients forget versions only where no key that signed them counts any more (§5.3.11).
   */
  readonly resetVersions?: boolean | undefined;
}

/**
 * The changes that take a key out of every role of a collection.
 *
 * @throws {TrustError} KEY_MISSING where no role has it
 */
export async function revocation(draft: TufDraft, options: RevokeOptions): Promise<TufChange[]> {
  const { fingerprint, replacement, resetVersions = false } = options;
  if (!/^[0-9a-f]{64}$/.test(fingerprint)) {
    throw new UsageError("USAGE", `${JSON.stringify(fingerprint.slice(0, 80))} is no fingerprint of a key`, {
      hint: "Give all of its 64 hexadecimal digits, in lower case",
    });
  }
  const changes: TufChange[] = [];
  for (const { role, delegator, keys } of keyedEverywhere(draft)) {
    for (const key of keys) {
      if ((await key.publicKey?.fingerprint()) !== fingerprint) continue;
      const add = replacement === undefined ? [] : [replacement];
      const isReset = resetVersions && (role === "timestamp" || role === "snapshot");
      const remove = isReset ? keys.map(({ id }) => id).filter((id) => id !== replacement?.id) : [key.id];
      changes.push({ action: "keys", role, delegator, add, remove });
      if (isReset) changes.push({ action: "reset-version", role });
    }
  }
  if (changes.length > 0) return changes;
  throw new TrustError("KEY_MISSING", `no role has the key ${fingerprint}`, {
    hint: "The collection's status lists the keys of its roles",
    details: { fingerprint },
  });
}

/** Every role with its keys, once per delegator; one entry for all hash bins of a role. */
function* keyedEverywhere(
  draft: TufDraft,
): Generator<{ role: string; delegator: string | undefined; keys: readonly TufKey[] }> {
  const { root } = draft;
  for (const [role, roleKeys] of root.roles) {
    yield { role, delegator: undefined, keys: listedKeys({ role, roleKeys, keys: root.keys }) };
  }
  for (const [delegator, { delegations }] of draft.documents()) {
    if (delegations === undefined) continue;
    const { keys, roles, succinct } = delegations;
    for (const role of roles)
      yield { role: role.name, delegator, keys: listedKeys({ role: role.name, roleKeys: role, keys }) };
    if (succinct === undefined) continue;
    const [bin = succinct.namePrefix] = binNames(succinct);
    yield { role: bin, delegator, keys: listedKeys({ role: bin, roleKeys: succinct, keys }) };
  }
}

/** From what key holders ask for to changes of a TUF collection, worked out from its newest documents. */
import { TrustError, UsageError } from "../../base/errors.ts";
import type { TufChange } from "../../tuf/changes.ts";
import { refused, type TufDraft } from "../../tuf/draft.ts";
import { prefixPatterns } from "../../tuf/editor.ts";
import type { TufKey } from "../../tuf/keys.ts";
import { describeKey } from "../../tuf/requirement-text.ts";
import { listedKeys, type KeyedRole, type SigningKeys } from "../../tuf/signing-keys.ts";
import { findKeyNamed } from "../key-choice.ts";

/** Roles that every publisher signs: what a delegate needs to publish alone. */
const ONLINE_ROLES = ["snapshot", "timestamp"] as const;

export interface Delegation {
  readonly role: string;
  readonly keys: readonly TufKey[];
  /** Path patterns; see {@link patternsOf}. */
  readonly paths: readonly string[];
  /** Signatures needed; 1 for a new role unless told. */
  readonly threshold?: number | undefined;
  readonly terminating?: boolean | undefined;
  /** Spread over 2^bits hash bins instead, of which the role's name is the beginning. */
  readonly bits?: number | undefined;
  /** `targets` unless told. */
  readonly delegator?: string | undefined;
  /** Whether the keys may sign snapshot and timestamp too, without which nobody publishes alone. */
  readonly mayPublish: boolean;
}

/** The patterns of a prefix (`team/`, or nothing for every name); anything else is a pattern already. */
export function patternsOf(path: string): string[] {
  return path === "" || path.endsWith("/") ? prefixPatterns(path) : [path];
}

/** Lets keys sign for names, or adds keys and names to a delegation that is there. */
export function delegationChanges(draft: TufDraft, wanted: Delegation): TufChange[] {
  const { role, keys, bits, delegator = "targets", mayPublish } = wanted;
  const change = bits === undefined ? roleChange(draft, wanted, delegator) : binChange(draft, wanted, delegator, bits);
  const online = mayPublish && keys.length > 0 ? ONLINE_ROLES : [];
  if (role === "") throw new UsageError("ROLE_INVALID", "a delegation needs a name");
  return [change, ...online.map((name): TufChange => ({ action: "keys", role: name, add: keys }))];
}

function roleChange(draft: TufDraft, { role, keys, paths, threshold, terminating }: Delegation, delegator: string) {
  if (keys.length === 0 && draft.delegationBy(delegator, role) === undefined) {
    throw refused(role, "it is not there yet, and a new delegation needs a key", "Name the public keys of its signers");
  }
  return { action: "delegate" as const, delegator, role, keys, paths, threshold, terminating };
}

/** Bins without keys of their own are signed by whoever signs for their delegator. */
function binChange(draft: TufDraft, { role, keys, threshold }: Delegation, delegator: string, bitLength: number) {
  const [own] = draft.keyedRoles(delegator);
  if (own === undefined) throw refused(delegator, "there is no such role", "The collection's status lists the roles");
  const signers = keys.length === 0 ? listedKeys(own) : keys;
  const needed = threshold ?? (keys.length === 0 ? own.roleKeys.threshold : 1);
  return { action: "bins" as const, delegator, namePrefix: role, bitLength, keys: signers, threshold: needed };
}

export interface Undelegation {
  readonly role: string;
  /** Names of keys, see {@link findKeyNamed}. */
  readonly keyIds: readonly string[];
  readonly paths: readonly string[];
}

/** What a delegation's end leaves behind. */
export interface Undelegated {
  readonly changes: readonly TufChange[];
  /** Keys that sign for no name any more, and may sign snapshot and timestamp still. */
  readonly left: readonly TufKey[];
}

/** Takes keys or names away from a delegation, or ends it. */
export async function undelegationChanges(draft: TufDraft, wanted: Undelegation): Promise<Undelegated> {
  const { role, keyIds, paths } = wanted;
  const changes: TufChange[] = [];
  const gone: TufKey[] = [];
  const delegators = draft.delegatorsOf(role);
  if (delegators.length === 0) {
    throw refused(role, "there is no such delegation", "The collection's status lists them");
  }
  for (const delegator of delegators) {
    const { keys, roleKeys } = draft.delegationBy(delegator, role)!;
    const own = listedKeys({ role, roleKeys, keys });
    const remove = await Promise.all(keyIds.map((name) => findKeyNamed(own, name)));
    const whole = remove.length === 0 && paths.length === 0;
    if (remove.length > 0) changes.push({ action: "keys", role, delegator, remove: remove.map(({ id }) => id) });
    if (whole) changes.push({ action: "undelegate", delegator, role });
    if (paths.length > 0) changes.push({ action: "undelegate", delegator, role, paths: paths.flatMap(patternsOf) });
    gone.push(...(whole ? own : remove));
  }
  return { changes, left: gone.filter((key) => !signsElsewhere(draft, role, key)) };
}

/** Takes keys out of snapshot and timestamp, as far as others are left there to sign. */
export function offlineChanges(draft: TufDraft, keys: readonly TufKey[]): TufChange[] {
  return ONLINE_ROLES.flatMap((role): TufChange[] => {
    const [online] = draft.keyedRoles(role);
    const listed = listedKeys(online!);
    const remove = listed.filter((key) => keys.some((other) => isSameKey(key, other))).map(({ id }) => id);
    if (remove.length === 0 || listed.length - remove.length < online!.roleKeys.threshold) return [];
    return [{ action: "keys", role, remove }];
  });
}

/** Whether a key signs for names in any role but one. */
function signsElsewhere(draft: TufDraft, role: string, key: TufKey): boolean {
  const isKey = (other: TufKey): boolean => isSameKey(key, other);
  if (["root", "targets"].some((name) => listedKeys(draft.keyedRoles(name)[0]!).some(isKey))) return true;
  for (const [, { delegations }] of draft.documents()) {
    if (delegations === undefined) continue;
    const { keys, roles, succinct } = delegations;
    const others = roles.filter(({ name }) => name !== role);
    for (const roleKeys of succinct === undefined ? others : [succinct]) {
      if (listedKeys({ role, roleKeys, keys }).some(isKey)) return true;
    }
  }
  return false;
}

export function isSameKey(a: TufKey, b: TufKey): boolean {
  if (a.publicKey === undefined || b.publicKey === undefined) return a.id === b.id;
  return a.publicKey.spki.join() === b.publicKey.spki.join();
}

/** The one role of that name, by its only delegator. @throws {TrustError} DELEGATION_REFUSED */
export function keyedRole(draft: TufDraft, role: string): KeyedRole {
  const [keyed, other] = draft.keyedRoles(role);
  if (keyed === undefined) throw refused(role, "there is no such role", "The collection's status lists the roles");
  if (other === undefined) return keyed;
  throw refused(role, "several roles delegate to it, each with keys of its own", "Delegate anew from each of them");
}

/**
 * The keys that a rotation replaces: those that are named; otherwise the role's only one, or the only one that is here.
 *
 * @throws {TrustError} KEY_MISSING, {UsageError} USAGE where it is not clear which
 */
export async function replacedKeys(
  { role, roleKeys, keys }: KeyedRole,
  names: readonly string[],
  signing: SigningKeys,
): Promise<TufKey[]> {
  const listed = listedKeys({ role, roleKeys, keys });
  if (names.length > 0) return Promise.all(names.map((name) => findKeyNamed(listed, name)));
  if (listed.length === 1) return listed;
  const held: TufKey[] = [];
  for (const key of listed) if (key.publicKey !== undefined && (await signing.holds(key.publicKey))) held.push(key);
  if (held.length === 1) return held;
  const known = (await Promise.all(listed.map(describeKey))).join(", ");
  throw new UsageError("USAGE", `${role} has ${listed.length} keys, and ${held.length} of them are here`, {
    hint: `Name those to replace, of ${known}`,
    details: { role, keys: listed.length },
  });
}

/** Every key that a collection lists, each once. */
export function everyKey(draft: TufDraft): TufKey[] {
  const keys = [...draft.root.keys.values()];
  for (const [, { delegations }] of draft.documents()) keys.push(...(delegations?.keys.values() ?? []));
  return keys.filter((key, index) => keys.findIndex((other) => isSameKey(key, other)) === index);
}

/** The first role, in the order of a status, that a key may sign for. */
export function roleOfKey(draft: TufDraft, key: TufKey): string {
  for (const [role, roleKeys] of draft.root.roles) {
    if (listedKeys({ role, roleKeys, keys: draft.root.keys }).some((other) => isSameKey(key, other))) return role;
  }
  for (const [, { delegations }] of draft.documents()) {
    for (const roleKeys of delegations?.roles ?? []) {
      const { name: role } = roleKeys;
      if (listedKeys({ role, roleKeys, keys: delegations!.keys }).some((other) => isSameKey(key, other))) return role;
    }
  }
  throw new TrustError("KEY_MISSING", `no role has the key ${key.id}`, { details: { keyId: key.id } });
}

/** Changes to who may sign what: delegations, hash bins, and the keys of any role. */
import { hexEncode } from "../base/bytes.ts";
import { TrustError, UsageError } from "../base/errors.ts";
import type { TufChange } from "./changes.ts";
import { binName, binNames, delegationNamed, pathHash } from "./delegations.ts";
import { emptyDelegations, refused, type TufDraft } from "./draft.ts";
import type { TufKey } from "./keys.ts";
import { checkBins, checkDelegation, checkRoleKeys } from "./publishable.ts";
import type { DelegatedRole, Delegations, RoleKeys, SuccinctRoles, TargetFile } from "./schema.ts";

type Change<Action extends TufChange["action"]> = TufChange & { readonly action: Action };

export async function delegate(draft: TufDraft, change: Change<"delegate">): Promise<void> {
  const { role, delegator, paths, threshold, terminating } = change;
  const document = await draft.document(delegator);
  const delegations = document.delegations ?? emptyDelegations();
  if (delegations.succinct !== undefined) {
    const hint = "Delegate from another role, or give the bins up first";
    throw refused(delegator, "its targets are spread over hash bins, which leaves no room for delegations", hint);
  }
  const former = delegations.roles.find(({ name }) => name === role);
  if (former?.pathHashPrefixes !== undefined) {
    throw refused(role, "it is delegated to by hash prefixes, not by paths", "Give another name to the new role");
  }
  const { added, ids } = withoutTwins(delegations, former?.keyIds ?? [], change.keys);
  const next: DelegatedRole = {
    extra: {},
    ...former,
    name: role,
    keyIds: ids,
    threshold: threshold ?? former?.threshold ?? 1,
    terminating: terminating ?? former?.terminating ?? false,
    paths: unique([...(former?.paths ?? []), ...paths]),
  };
  checkDelegation(next);
  checkNoCycle(draft, delegator, role);
  const roles = former === undefined ? [...delegations.roles, next] : replaced(delegations.roles, next);
  const keys = keysInUse([...delegations.keys.values(), ...added], roles);
  checkRoleKeys(role, next, keys);
  if (former !== undefined && sameDelegation(former, next)) return;
  draft.update(delegator, { ...document, delegations: { ...delegations, roles, keys } });
  // clients fail on a delegation to a role that has no document, so its first one comes with it
  await touch(draft, role, former, next);
}

export async function undelegate(draft: TufDraft, { delegator, role, paths }: Change<"undelegate">): Promise<void> {
  const document = await draft.document(delegator);
  const delegations = document.delegations ?? emptyDelegations();
  const former = delegations.roles.find(({ name }) => name === role) ?? missing(role);
  const left = paths === undefined ? [] : (former.paths ?? []).filter((path) => !paths.includes(path));
  if (paths !== undefined && left.length === (former.paths ?? []).length) return;
  if (paths !== undefined && left.length === 0) {
    throw refused(role, "it would be left without any path", "End the whole delegation instead");
  }
  const roles =
    paths === undefined
      ? delegations.roles.filter(({ name }) => name !== role)
      : replaced(delegations.roles, { ...former, paths: left });
  const keys = keysInUse(delegations.keys.values(), roles);
  draft.update(delegator, { ...document, delegations: { ...delegations, roles, keys } });
  if (paths !== undefined || draft.delegatorsOf(role).length > 0) return;
  draft.changed.delete(role);
  draft.dirty.delete(role);
}

/** Moves every target of a role, and of its former bins, to the bins that their names fall in. */
export async function spreadOverBins(draft: TufDraft, change: Change<"bins">): Promise<void> {
  const { delegator, namePrefix, bitLength, threshold } = change;
  const document = await draft.document(delegator);
  const former = document.delegations?.succinct;
  if ((document.delegations?.roles.length ?? 0) > 0) {
    const hint = "Spread the targets of another role";
    throw refused(delegator, "it delegates to roles by name, which leaves no room for hash bins", hint);
  }
  const targets = new Map(document.targets);
  for (const bin of former === undefined ? [] : binNames(former)) {
    for (const [name, file] of (await draft.document(bin)).targets) targets.set(name, file);
  }
  const { added, ids } = withoutTwins(emptyDelegations(), [], change.keys);
  const succinct: SuccinctRoles = { keyIds: ids, threshold, bitLength, namePrefix, extra: former?.extra ?? {} };
  checkBins(succinct);
  const keys = new Map(added.map((key) => [key.id, key]));
  checkRoleKeys(`${namePrefix}-*`, succinct, keys);
  const bins = new Map<string, Map<string, TargetFile>>();
  for (const bin of binNames(succinct)) bins.set(bin, new Map());
  for (const [name, file] of targets) bins.get(binName(succinct, await pathHash(name)))!.set(name, file);
  const delegations: Delegations = { keys, roles: [], succinct, extra: document.delegations?.extra ?? {} };
  draft.update(delegator, { ...document, targets: new Map(), delegations });
  for (const [bin, files] of bins) draft.update(bin, { ...(await draft.document(bin)), targets: files });
}

export async function changeKeys(draft: TufDraft, change: Change<"keys">): Promise<void> {
  const { role, add = [], remove = [], threshold } = change;
  const top = draft.root.roles.get(role);
  if (top !== undefined) {
    const { keys, next } = rekeyed(role, top, draft.root.keys.values(), add, remove, threshold);
    if (sameKeys(top, next)) return;
    const roles = new Map(draft.root.roles).set(role, next);
    draft.root = { ...draft.root, roles, keys: keysInUse(keys, roles.values()) };
    checkRoleKeys(role, next, draft.root.keys);
    draft.dirty.add("root");
    if (role === "targets") await touch(draft, role, top, next);
    return;
  }
  const delegators = draft.delegatorsOf(role);
  const [delegator = missing(role), other] = change.delegator === undefined ? delegators : [change.delegator];
  if (other !== undefined) {
    throw new UsageError("USAGE", `${role} has several delegators: ${delegators.join(", ")}`, { hint: "Name one" });
  }
  const document = await draft.document(delegator);
  const delegations = document.delegations ?? missing(role);
  const former = delegationNamed(delegations, role) ?? missing(role);
  const { keys: candidates, next } = rekeyed(role, former, delegations.keys.values(), add, remove, threshold);
  if (sameKeys(former, next)) return;
  const changed = withRole(delegations, role, next, candidates);
  checkRoleKeys(role, next, changed.keys);
  draft.update(delegator, { ...document, delegations: changed });
  if (changed.succinct === undefined) await touch(draft, role, former, next);
  else for (const bin of binNames(changed.succinct)) draft.update(bin, await draft.document(bin));
}

function withRole(
  delegations: Delegations,
  role: string,
  { keyIds, threshold }: RoleKeys,
  candidates: readonly TufKey[],
): Delegations {
  const { succinct } = delegations;
  if (succinct !== undefined) {
    const next = { ...succinct, keyIds, threshold };
    return { ...delegations, succinct: next, keys: keysInUse(candidates, [next]) };
  }
  const roles = delegations.roles.map((other) => (other.name === role ? { ...other, keyIds, threshold } : other));
  return { ...delegations, roles, keys: keysInUse(candidates, roles) };
}

function rekeyed(
  role: string,
  former: RoleKeys,
  listed: Iterable<TufKey>,
  add: readonly TufKey[],
  remove: readonly string[],
  threshold: number | undefined,
): { keys: TufKey[]; next: RoleKeys } {
  for (const id of remove) {
    if (former.keyIds.includes(id)) continue;
    throw new TrustError("KEY_MISSING", `${role} has no key ${id}`, {
      role,
      hint: `Its keys: ${former.keyIds.join(", ")}`,
      details: { keyId: id },
    });
  }
  const known = [...listed];
  const kept = former.keyIds.filter((id) => !remove.includes(id));
  const { added, ids } = withoutTwins({ keys: new Map(known.map((key) => [key.id, key])) }, kept, add);
  return { keys: [...known, ...added], next: { ...former, keyIds: ids, threshold: threshold ?? former.threshold } };
}

/**
 * Adds keys to those of a role. A key that is listed already, under whatever id, is not listed twice; another key
 * under a listed id is refused, since ids are ours to choose and theirs to fake.
 */
function withoutTwins(
  { keys: listed }: Pick<Delegations, "keys">,
  ids: readonly string[],
  add: readonly TufKey[],
): { added: TufKey[]; ids: string[] } {
  const byKey = new Map<string, string>();
  for (const [id, { publicKey }] of listed) if (publicKey !== undefined) byKey.set(hexEncode(publicKey.spki), id);
  const added: TufKey[] = [];
  const all = [...ids];
  for (const key of add) {
    const identity = key.publicKey === undefined ? undefined : hexEncode(key.publicKey.spki);
    const known = identity === undefined ? undefined : byKey.get(identity);
    if (known === undefined && listed.has(key.id)) {
      throw new UsageError("USAGE", `another key has the id ${key.id} already`, { details: { keyId: key.id } });
    }
    if (known === undefined) {
      added.push(key);
      if (identity !== undefined) byKey.set(identity, key.id);
    }
    const id = known ?? key.id;
    if (!all.includes(id)) all.push(id);
  }
  return { added, ids: all };
}

/** A role whose keys changed must satisfy the new ones: it is signed again. */
async function touch(draft: TufDraft, role: string, former: RoleKeys | undefined, next: RoleKeys): Promise<void> {
  const document = await draft.document(role);
  const isUnsigned = document.version === 0 && !draft.dirty.has(role);
  if (isUnsigned || former === undefined || !sameKeys(former, next)) draft.update(role, document);
}

/** A role must not delegate, over whatever others, to one that delegates to it. @throws {UsageError} ROLE_INVALID */
export function checkNoCycle(draft: TufDraft, delegator: string, role: string): void {
  const seen = new Set<string>();
  const queue = [role];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (next === delegator) {
      throw new UsageError("ROLE_INVALID", `${delegator} cannot delegate to ${role}: that would be a circle`, {
        hint: `${role} delegates to ${delegator}, itself or through others`,
        details: { role, delegator },
      });
    }
    if (seen.has(next)) continue;
    seen.add(next);
    const known = draft.changed.get(next) ?? draft.base?.targets.get(next)?.signed;
    for (const { name } of known?.delegations?.roles ?? []) queue.push(name);
  }
}

function replaced(roles: readonly DelegatedRole[], next: DelegatedRole): DelegatedRole[] {
  return roles.map((role) => (role.name === next.name ? next : role));
}

/** Keys that no role uses leave the document. */
function keysInUse(keys: Iterable<TufKey>, roles: Iterable<RoleKeys>): Map<string, TufKey> {
  const used = new Set<string>();
  for (const { keyIds } of roles) for (const id of keyIds) used.add(id);
  const kept = new Map<string, TufKey>();
  for (const key of keys) if (used.has(key.id)) kept.set(key.id, key);
  return kept;
}

function sameDelegation(a: DelegatedRole, b: DelegatedRole): boolean {
  return sameKeys(a, b) && a.terminating === b.terminating && a.paths?.join("\n") === b.paths?.join("\n");
}

function sameKeys(a: RoleKeys, b: RoleKeys): boolean {
  return a.threshold === b.threshold && a.keyIds.join() === b.keyIds.join();
}

function missing(role: string): never {
  throw refused(role, "there is no such delegation", "The collection's status lists them");
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

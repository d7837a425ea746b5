/** Changes to who may sign what: delegations and their keys and paths. */
import { TrustError, UsageError } from "../base/errors.ts";
import type { DelegationChange, NewKey } from "./changes.ts";
import { refused, type Draft } from "./draft.ts";
import type { Delegation, NotaryKey, NotaryTargets } from "./metadata.ts";
import { resolveKeys } from "./public-keys.ts";
import { isDelegationRole, parentRole } from "./roles.ts";

/** A path is a prefix of names, which have at most 1024 bytes themselves. */
const MAX_PATH_LENGTH = 1024;

// oxlint-disable-next-line no-control-regex -- Go's canonical JSON writes them raw and cannot read them again
const CONTROL = /[\u0000-\u001f\u007f\p{Cs}]/u;

/**
 * Applies one change.
 *
 * @throws {UsageError} ROLE_INVALID, USAGE
 * @throws {TrustError} DELEGATION_REFUSED, KEY_MISSING
 */
export async function changeDelegation(draft: Draft, change: DelegationChange): Promise<void> {
  if (change.action === "witness") {
    draft.update(change.role, change.document ?? draft.document(change.role));
    return;
  }
  if (!isDelegationRole(change.role)) {
    throw new UsageError(
      "ROLE_INVALID",
      `${JSON.stringify(change.role.slice(0, 255))} is not the name of a delegation`,
      {
        hint: "Names look like targets/releases: parts of lower-case letters, digits, - and _, at most 255 characters",
      },
    );
  }
  switch (change.action) {
    case "grant":
      await grant(draft, change);
      break;
    case "revoke":
      await revoke(draft, change);
      break;
    case "delete":
      remove(draft, change.role);
  }
}

/** The roles of a collection that list one of these keys (by canonical id), with the ids that each lists. */
export async function delegationsOfKeys(
  draft: Draft,
  canonicalIds: ReadonlySet<string>,
): Promise<{ role: string; keyIds: string[] }[]> {
  const found: { role: string; keyIds: string[] }[] = [];
  for (const [parent, document] of draft.targets) {
    const resolved = await resolveKeys(document.delegations.keys, `the metadata of ${parent}`);
    for (const role of document.delegations.roles) {
      const keyIds = role.keyIds.map((id) => resolved.get(id)?.canonicalId ?? id).filter((id) => canonicalIds.has(id));
      if (keyIds.length > 0) found.push({ role: role.name, keyIds });
    }
  }
  return found;
}

async function grant(draft: Draft, change: DelegationChange & { action: "grant" }): Promise<void> {
  const { role, paths } = change;
  for (const path of paths) checkPath(path);
  const parent = parentRole(role);
  const document = draft.document(parent);
  const former = draft.delegation(role);
  const listed = await resolveKeys(document.delegations.keys, `the metadata of ${parent}`);
  const held = new Set(former?.keyIds.map((id) => listed.get(id)?.canonicalId));
  const keys = change.keys.filter(({ canonicalId }) => !held.has(canonicalId)); // one key in two forms is one key
  if (former === undefined && (change.keys.length === 0 || paths.length === 0)) {
    throw new UsageError("USAGE", `the new delegation ${role} needs a key and a path`, {
      hint: "Name the public keys (or certificates) that may sign, and the paths; the empty path means every name",
    });
  }
  checkWithinParent(draft, parent, role, paths);
  const keyIds = unique([...(former?.keyIds ?? []), ...keys.map(({ keyId }) => keyId)]);
  const next: Delegation = {
    name: role,
    keyIds,
    paths: unique([...(former?.paths ?? []), ...paths]),
    threshold: change.threshold ?? former?.threshold ?? 1,
  };
  if (!Number.isSafeInteger(next.threshold) || next.threshold < 1 || next.threshold > keyIds.length) {
    throw new UsageError("USAGE", `${role} cannot need ${next.threshold} signatures, it has ${keyIds.length} keys`);
  }
  if (former !== undefined && sameDelegation(former, next)) return;
  replace(draft, parent, document, role, next, keys);
}

async function revoke(draft: Draft, change: DelegationChange & { action: "revoke" }): Promise<void> {
  const { role } = change;
  const parent = parentRole(role);
  const document = draft.document(parent);
  const former = draft.delegation(role) ?? missing(role);
  const resolved = await resolveKeys(document.delegations.keys, `the metadata of ${parent}`);
  const canonical = (id: string) => resolved.get(id)?.canonicalId ?? id;
  const known = new Set(former.keyIds.flatMap((id) => [id, canonical(id)]));
  for (const id of change.keyIds) {
    if (known.has(id)) continue;
    throw new TrustError("KEY_MISSING", `${role} has no key ${id}`, {
      role,
      hint: `Its keys: ${former.keyIds.map(canonical).join(", ")}`,
      details: { keyId: id },
    });
  }
  const gone = new Set(change.keyIds);
  const keyIds = former.keyIds.filter((id) => !gone.has(id) && !gone.has(canonical(id)));
  const paths = former.paths.filter((path) => !change.paths.includes(path));
  if (keyIds.length < former.threshold) {
    throw refused(
      role,
      `it needs ${former.threshold} signature(s) and would have ${keyIds.length} key(s) left`,
      "Add another key first, or delete the delegation",
    );
  }
  replace(draft, parent, document, role, { ...former, keyIds, paths }, []);
}

function remove(draft: Draft, role: string): void {
  if (draft.delegation(role) === undefined) missing(role);
  const parent = parentRole(role);
  replace(draft, parent, draft.document(parent), role, undefined, []);
  for (const name of [role, ...[...draft.targets.keys()].filter((other) => other.startsWith(`${role}/`))]) {
    draft.targets.delete(name);
    draft.dirty.delete(name);
    draft.deleted.add(name);
  }
}

function replace(
  draft: Draft,
  parent: string,
  document: NotaryTargets,
  role: string,
  next: Delegation | undefined,
  added: readonly NewKey[],
): void {
  const others = document.delegations.roles;
  const exists = others.some(({ name }) => name === role);
  const changed = others.flatMap((other) => (other.name !== role ? [other] : next === undefined ? [] : [next]));
  const roles = exists || next === undefined ? changed : [...others, next];
  const used = new Set(roles.flatMap(({ keyIds }) => keyIds));
  const keys = new Map<string, NotaryKey>([...document.delegations.keys].filter(([id]) => used.has(id)));
  for (const { keyId, key } of added) keys.set(keyId, key);
  draft.update(parent, { ...document, delegations: { keys, roles } });
}

function checkWithinParent(draft: Draft, parent: string, role: string, paths: readonly string[]): void {
  if (parent === "targets") return;
  const allowed = draft.delegation(parent)?.paths ?? [];
  for (const path of paths) {
    if (allowed.some((prefix) => path.startsWith(prefix))) continue;
    throw refused(
      role,
      `the path ${JSON.stringify(path)} is not within those of ${parent}`,
      `Add it to ${parent} first`,
    );
  }
}

function checkPath(path: string): void {
  if (path.length <= MAX_PATH_LENGTH && !CONTROL.test(path)) return;
  throw new UsageError("USAGE", `${JSON.stringify(path.slice(0, 80))} cannot be a delegation's path`, {
    hint: `A path is the beginning of target names, at most ${MAX_PATH_LENGTH} characters without controls`,
  });
}

function missing(role: string): never {
  throw refused(role, "there is no such delegation", "List them with `wasm-to-oci trust show`");
}

function sameDelegation(a: Delegation, b: Delegation): boolean {
  return a.threshold === b.threshold && a.keyIds.join() === b.keyIds.join() && a.paths.length === b.paths.length;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/** Applies changes to a draft: targets, delegations, keys of base roles. */
import { equalBytes, hexDecode, type Bytes } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { canonicalJson } from "../tuf/canonical-json.ts";
import type { Change, KeyChange, NewKey, TargetChange } from "./changes.ts";
import { changeDelegation } from "./delegations.ts";
import { refused, type Draft } from "./draft.ts";
import type { FileMeta, KeyRole, NotaryKey, NotaryRoot } from "./metadata.ts";
import { parentRole } from "./roles.ts";
import { checkTargetContent, checkTargetName, type TargetContent } from "./target-limits.ts";

/**
 * Applies changes in order. A change to what is already so leaves its role unsigned, as it is.
 *
 * @throws {UsageError} TARGET_NAME_INVALID, TARGET_INVALID, ROLE_INVALID, USAGE
 * @throws {TrustError} DELEGATION_REFUSED where a role does not exist, is unusable, or its paths forbid a name
 */
export async function applyChanges(draft: Draft, changes: readonly Change[]): Promise<void> {
  for (const change of changes) {
    switch (change.action) {
      case "add":
        addTarget(draft, change);
        break;
      case "remove":
        removeTarget(draft, change.role, change.name);
        break;
      case "replace-keys":
        replaceKeys(draft, change);
        break;
      case "renew":
        draft.dirty.add(change.role);
        break;
      case "grant":
      case "revoke":
      case "delete":
      case "witness":
        await changeDelegation(draft, change);
    }
  }
}

function addTarget(draft: Draft, { role, name, content }: TargetChange & { action: "add" }): void {
  checkTargetName(name);
  checkTargetContent(name, content);
  const document = draft.document(role);
  checkPaths(draft, role, name);
  const meta = fileMeta(content);
  const former = document.targets.get(name);
  if (former !== undefined && sameMeta(former, meta)) return;
  draft.update(role, { ...document, targets: new Map(document.targets).set(name, meta) });
}

function removeTarget(draft: Draft, role: string, name: string): void {
  const document = draft.document(role);
  if (!document.targets.has(name)) return;
  const targets = new Map(document.targets);
  targets.delete(name);
  draft.update(role, { ...document, targets });
}

/** Tells whether consumers would find a name in a role: it must be within the paths of the role and of all above it. */
export function mayHold(draft: Draft, role: string, name: string): boolean {
  return forbiddingRole(draft, role, name) === undefined;
}

function checkPaths(draft: Draft, role: string, name: string): void {
  const forbidding = forbiddingRole(draft, role, name);
  if (forbidding === undefined) return;
  const paths = draft.delegation(forbidding)?.paths ?? [];
  const allowed = paths.map((path) => JSON.stringify(path)).join(", ") || "none";
  throw refused(
    forbidding,
    `it may not sign ${JSON.stringify(name)}; its paths: ${allowed}`,
    "Add the path with `wasm-to-oci trust delegate`, or sign in another role",
  );
}

function forbiddingRole(draft: Draft, role: string, name: string): string | undefined {
  for (let at = role; at !== "targets"; at = parentRole(at)) {
    const paths = draft.delegation(at)?.paths ?? [];
    if (!paths.some((path) => name.startsWith(path))) return at;
  }
  return undefined;
}

function replaceKeys(draft: Draft, { role, keys }: KeyChange): void {
  const former = draft.root.roles.get(role);
  if (former === undefined || keys.length === 0)
    throw new UsageError("USAGE", `the role ${role} needs at least one key`);
  const keyIds = keys.map(({ keyId }) => keyId);
  if (keyIds.join() === former.keyIds.join()) return; // an earlier round arrived after all
  if (former.threshold > keyIds.length) {
    throw new UsageError("USAGE", `${role} needs ${former.threshold} signatures, so at least as many keys`, {
      hint: `Name ${former.threshold} keys`,
    });
  }
  const roles = new Map(draft.root.roles).set(role, { keyIds, threshold: former.threshold });
  draft.root = { ...draft.root, roles, keys: keysAfterChange(draft.root, roles, keys) };
  draft.dirty.add("root");
  if (role === "targets") draft.update("targets", draft.document("targets"));
}

/** Keys that no role uses leave root, but certificates stay: clients that are behind verify old roots with them. */
function keysAfterChange(
  root: NotaryRoot,
  roles: ReadonlyMap<string, KeyRole>,
  added: readonly NewKey[],
): Map<string, NotaryKey> {
  const used = new Set([...roles.values()].flatMap(({ keyIds }) => keyIds));
  const keys = new Map<string, NotaryKey>();
  for (const [id, key] of root.keys) {
    if (used.has(id) || key.keytype.endsWith("-x509")) keys.set(id, key);
  }
  for (const { keyId, key } of added) keys.set(keyId, key);
  return keys;
}

function fileMeta({ length, hashes, custom }: TargetContent): FileMeta {
  const raw = new Map<string, Bytes>();
  for (const algorithm of ["sha256", "sha512"] as const) {
    const hex = hashes[algorithm];
    if (hex !== undefined) raw.set(algorithm, hexDecode(hex)!);
  }
  return custom === undefined || custom === null ? { length, hashes: raw } : { length, hashes: raw, custom };
}

function sameMeta(a: FileMeta, b: FileMeta): boolean {
  if (a.length !== b.length || a.hashes.size !== b.hashes.size) return false;
  for (const [algorithm, hash] of a.hashes) {
    const other = b.hashes.get(algorithm);
    if (other === undefined || !equalBytes(hash, other)) return false;
  }
  return canonicalJson(a.custom ?? null) === canonicalJson(b.custom ?? null);
}

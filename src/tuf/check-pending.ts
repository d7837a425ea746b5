/** The last look at documents before anybody signs or publishes them, wherever they came from. */
import { TrustError, UsageError } from "../base/errors.ts";
import { canonicalJson } from "./canonical-json.ts";
import { checkNoCycle } from "./edit-delegations.ts";
import { draftOf, type PendingSet, type Pending } from "./pending.ts";
import type { TufKey } from "./keys.ts";
import type { PublishedCollection } from "./published.ts";
import {
  checkBins,
  checkDelegation,
  checkNamesTogether,
  checkRoleKeys,
  checkTargetFile,
  checkTargetName,
} from "./publishable.ts";
import type { DelegatedRole, Delegations, RoleKeys, Root, Targets } from "./schema.ts";
import { sameTarget } from "./target-file.ts";

type Keys = ReadonlyMap<string, TufKey>;

/** Versions that a publisher among others may leave out, see the draft's `leap`. */
export const MAX_LEAP = 4096;

/**
 * Checks that documents follow the published ones and hold nothing that a strict client refuses. What was published
 * like that before is let be.
 *
 * @throws {TrustError} TRUST_CONFLICT where a version is not the next one
 * @throws {UsageError} USAGE, ROLE_INVALID, TARGET_NAME_INVALID, TARGET_INVALID
 */
export function checkPending(base: PublishedCollection | undefined, pending: PendingSet, now: Date): void {
  const draft = draftOf(base, pending);
  for (const document of pending.values()) {
    checkNext(base, document);
    const { role, signed } = document;
    if (signed.expires <= now) {
      throw new UsageError("USAGE", `${role} would expire in the past: ${signed.expires.toISOString()}`, {
        hint: "Check this machine's clock, or prepare the change again",
        details: { role, expires: signed.expires.toISOString() },
      });
    }
    if (signed.type === "root") {
      checkRoot(signed, base?.root.signed);
      continue;
    }
    const before = base?.targets.get(role)?.signed;
    checkTargets(signed, before);
    const known = new Set(before?.delegations?.roles.map(({ name }) => name));
    for (const { name } of signed.delegations?.roles ?? []) if (!known.has(name)) checkNoCycle(draft, role, name);
  }
}

function checkNext(base: PublishedCollection | undefined, { role, signed }: Pending): void {
  const before = role === "root" ? (base?.root.signed.version ?? 0) : (base?.versionOf(role) ?? 0);
  const isReset = role === "targets" && signed.version < before;
  const isLeap = role !== "root" && signed.version > before && signed.version <= before + MAX_LEAP;
  if (signed.version === before + 1 || isReset || isLeap) return; // whether clients follow a reset, the dry run shows
  throw new TrustError(
    "TRUST_CONFLICT",
    `version ${signed.version} of ${role} does not follow the published one, ${before}`,
    {
      role,
      hint: "Somebody has published since it was prepared: prepare the change again",
      details: { expected: before + 1, got: signed.version },
    },
  );
}

function checkRoot(root: Root, before: Root | undefined): void {
  if (!root.consistentSnapshot) {
    throw new UsageError("USAGE", "root would turn consistent snapshots off", {
      hint: "Clients could then meet a state that is half-written",
    });
  }
  for (const [role, roleKeys] of root.roles) {
    checkKeysOf(role, roleKeys, root.keys, before?.roles.get(role), before?.keys);
  }
}

function checkTargets(document: Targets, before: Targets | undefined): void {
  for (const [name, file] of document.targets) {
    if (sameTarget(before?.targets.get(name), file)) continue;
    checkTargetName(name);
    checkTargetFile(name, file);
  }
  checkNamesTogether(document.targets, before?.targets ?? new Map());
  if (document.delegations !== undefined) checkDelegations(document.delegations, before?.delegations);
}

function checkDelegations({ keys, roles, succinct }: Delegations, before: Delegations | undefined): void {
  for (const role of roles) {
    const former = before?.roles.find(({ name }) => name === role.name);
    if (former === undefined || coverOf(former) !== coverOf(role)) checkDelegation(role);
    checkKeysOf(role.name, role, keys, former, before?.keys);
  }
  if (succinct === undefined) return;
  const former = before?.succinct;
  const { namePrefix, bitLength } = succinct;
  if (namePrefix !== former?.namePrefix || bitLength !== former.bitLength) checkBins(succinct);
  checkKeysOf(`${namePrefix}-*`, succinct, keys, former, before?.keys);
}

function coverOf({ paths = [], pathHashPrefixes = [] }: DelegatedRole): string {
  return canonicalJson([[...paths], [...pathHashPrefixes]]);
}

/** Compared by what they say: staged documents are made anew whenever they are read. */
function checkKeysOf(
  role: string,
  roleKeys: RoleKeys,
  keys: Keys,
  former: RoleKeys | undefined,
  formerKeys: Keys = new Map(),
): void {
  if (former === undefined || signersOf(former, formerKeys) !== signersOf(roleKeys, keys))
    checkRoleKeys(role, roleKeys, keys);
}

function signersOf({ keyIds, threshold }: RoleKeys, keys: Keys): string {
  return canonicalJson([threshold, ...keyIds.map((id) => [id, keys.get(id)?.json ?? null])]);
}

/** Role names of Notary: four base roles, and delegations below `targets/`. */
import { UsageError } from "../base/errors.ts";

export const BASE_ROLES = ["root", "targets", "snapshot", "timestamp"] as const;
export type BaseRole = (typeof BASE_ROLES)[number];

/** Notary: whole name below 256 bytes. */
const MAX_ROLE_LENGTH = 255;
const DELEGATION = /^targets(?:\/[-a-z0-9_]+)+$/;

export function isBaseRole(name: string): name is BaseRole {
  return (BASE_ROLES as readonly string[]).includes(name);
}

/** Tells names that Notary takes for a delegation: `targets/…`, lower case, no empty or dotted parts. */
export function isDelegationRole(name: string): boolean {
  return name.length <= MAX_ROLE_LENGTH && DELEGATION.test(name);
}

/** Tells roles that hold targets: `targets` and delegations. */
export function isTargetsRole(name: string): boolean {
  return name === "targets" || isDelegationRole(name);
}

/** The role that delegates to this one: `targets/a/b` → `targets/a`. */
export function parentRole(delegation: string): string {
  return delegation.slice(0, delegation.lastIndexOf("/"));
}

/** Checks the name of a role that holds targets. @throws {UsageError} ROLE_INVALID */
export function parseTargetsRole(name: string): string {
  if (isTargetsRole(name)) return name;
  throw new UsageError(
    "ROLE_INVALID",
    `${JSON.stringify(name.slice(0, MAX_ROLE_LENGTH))} is not a role that holds targets`,
    {
      hint: "Name targets, or a delegation such as targets/releases: parts of lower-case letters, digits, - and _",
    },
  );
}

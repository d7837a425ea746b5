/**
 * Finding names in verified metadata. A delegation counts only for names that start with one of its prefixes; the
 * first role with the name wins. Where a role that comes before is not acceptable and covers the name, there is no
 * answer: whoever can spoil one role must not be able to choose another's.
 */
import { compareUtf8 } from "../base/bytes.ts";
import type { WasmToOciError } from "../base/errors.ts";
import type { FileMeta, NotaryTargets } from "./metadata.ts";
import { parentRole, parseTargetsRole } from "./roles.ts";
import type { NotaryState, VerifiedRole } from "./state.ts";

/**
 * - `docker`: `targets/releases`, then `targets`, and no other role, as Docker Content Trust reads
 * - `notary`: `targets`, then all delegations level by level, as the notary command reads
 * - roles: these in order, each with what is below it and not named itself
 */
export type SearchOrder = "docker" | "notary" | readonly string[];

export interface FoundTarget {
  readonly name: string;
  readonly meta: FileMeta;
  /** The role that signed it. */
  readonly role: VerifiedRole<NotaryTargets>;
}

/** A role as a search meets it. */
export interface SearchedRole {
  readonly name: string;
  readonly paths: readonly string[];
  readonly verified: VerifiedRole<NotaryTargets> | undefined;
  readonly fault: WasmToOciError | undefined;
}

/**
 * Finds the mapping of a name.
 *
 * @returns undefined where no role of the order has signed the name
 * @throws the fault of a role that would have been asked first and cannot be relied upon
 * @throws {UsageError} ROLE_INVALID
 */
export function findTarget(state: NotaryState, name: string, order: SearchOrder): FoundTarget | undefined {
  for (const role of rolesInOrder(state, order)) {
    if (!covers(role, name)) continue;
    if (role.fault !== undefined) throw role.fault;
    const meta = role.verified?.metadata.targets.get(name);
    if (meta !== undefined) return { name, meta, role: role.verified! };
  }
  return undefined;
}

/** Finds every role that signed a name, in Notary's order: who vouches for it. */
export function findInEveryRole(state: NotaryState, name: string): FoundTarget[] {
  return rolesInOrder(state, "notary").flatMap((role) => {
    const meta = covers(role, name) ? role.verified?.metadata.targets.get(name) : undefined;
    return meta === undefined ? [] : [{ name, meta, role: role.verified! }];
  });
}

/** Every name that `findTarget` finds, once, as the first role of the order has it; sorted. */
export function listTargets(state: NotaryState, order: SearchOrder): FoundTarget[] {
  const found = new Map<string, FoundTarget>();
  const spoiled: SearchedRole[] = [];
  for (const role of rolesInOrder(state, order)) {
    if (role.fault !== undefined) spoiled.push(role);
    for (const [name, meta] of role.verified?.metadata.targets ?? []) {
      if (found.has(name) || !covers(role, name) || spoiled.some((before) => covers(before, name))) continue;
      found.set(name, { name, meta, role: role.verified! });
    }
  }
  const targets = [...found.values()];
  targets.sort((a, b) => compareUtf8(a.name, b.name));
  return targets;
}

function covers(role: SearchedRole, name: string): boolean {
  return role.paths.some((path) => name.startsWith(path));
}

/** The roles of an order, whatever name is looked for. */
export function rolesInOrder(state: NotaryState, order: SearchOrder): SearchedRole[] {
  const all = everyRole(state);
  if (order === "notary") return all;
  if (order === "docker")
    return ["targets/releases", "targets"].flatMap((name) => all.filter((role) => role.name === name));
  const roots = new Set(order.map(parseTargetsRole));
  return [...roots].flatMap((root) => all.filter((role) => hides(role, root) || belongsTo(role.name, root, roots)));
}

/** Tells whether a role that cannot be relied upon stands above another, whose document is then not even known. */
function hides({ name, fault }: SearchedRole, below: string): boolean {
  return fault !== undefined && below.startsWith(`${name}/`);
}

/** Tells whether the nearest of `roots` at or above a role is this one. */
function belongsTo(name: string, root: string, roots: ReadonlySet<string>): boolean {
  let at = name;
  while (!roots.has(at) && at !== "targets") at = parentRole(at);
  return at === root;
}

/** `targets`, then delegations breadth first: they were added level by level, in the order of their documents. */
function everyRole(state: NotaryState): SearchedRole[] {
  const top = { name: "targets", paths: [""], verified: state.targets, fault: undefined };
  const below = Array.from(state.delegations, ([name, { paths, verified, fault }]) => ({
    name,
    paths,
    verified,
    fault,
  }));
  return [top, ...below];
}

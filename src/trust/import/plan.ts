/**
 * What of a Notary collection goes into a TUF collection, so that every name means what it meant: worked out from the
 * verified state, before anything is written. Notary and TUF ask roles in different orders, so each name comes along
 * with the role that answered for it and with no other.
 */
import type { JsonValue } from "../../base/json.ts";
import { listTargets, rolesInOrder, type SearchOrder } from "../../notary/lookup.ts";
import type { ResolvedKey } from "../../notary/public-keys.ts";
import type { NotaryState } from "../../notary/state.ts";
import { prefixPatterns } from "../../tuf/editor.ts";
import { signedTarget } from "../notary/collection.ts";
import type { Note } from "../report.ts";

/** Notary's prefixes stop anywhere; patterns have a number of parts. Tags have one, paths of repositories some more. */
const PREFIX_PARTS = 8;

/** A name that comes along. */
export interface ImportedTarget {
  readonly name: string;
  /** Length in bytes. */
  readonly length: number;
  readonly hashes: { readonly sha256?: string; readonly sha512?: string };
  readonly custom: JsonValue | undefined;
  /** Who signed it. */
  readonly oldRole: string;
}

/** A role that comes along if its keys are at hand. */
export interface ImportedDelegation {
  readonly oldRole: string;
  /** Its name in the new collection. */
  readonly role: string;
  /** Path patterns. */
  readonly paths: readonly string[];
  readonly threshold: number;
  readonly keys: readonly ResolvedKey[];
}

export interface ImportPlan {
  readonly gun: string;
  readonly targets: readonly ImportedTarget[];
  readonly delegations: readonly ImportedDelegation[];
  readonly rootKeys: readonly ResolvedKey[];
  readonly rootThreshold: number;
  readonly targetsKeys: readonly ResolvedKey[];
  readonly targetsThreshold: number;
  /** What does not come along, and why. */
  readonly notes: readonly Note[];
}

/** @param order in which the collection's readers ask its roles: `docker` unless they were told otherwise */
export function planImport(state: NotaryState, order: SearchOrder): ImportPlan {
  const notes: Note[] = [];
  const targets = listTargets(state, order).map((found): ImportedTarget => {
    const { role: oldRole, ...file } = signedTarget(found);
    return Object.assign(file, { oldRole });
  });
  const asked = rolesInOrder(state, order);
  const names = new Set(asked.map(({ name }) => name));
  for (const { name } of rolesInOrder(state, "notary")) {
    if (!names.has(name)) notes.push(leftOut(`${name} is asked by no reader in this order: it gets no say`));
  }
  const delegations: ImportedDelegation[] = [];
  for (const { name, paths, fault } of asked) {
    const delegated = state.delegations.get(name);
    if (delegated === undefined) continue;
    if (fault !== undefined)
      notes.push(leftOut(`${name} cannot be used (${fault.message}): what it signs is left out`));
    const patterns = paths.flatMap((path) => patternsOfPrefix(path) ?? []);
    if (patterns.length === 0) {
      notes.push(leftOut(`${name} may sign names that no pattern describes: ${paths.join(", ")}`));
      continue;
    }
    const parent = parentKeys(state, name);
    const keys = delegated.delegation.keyIds.flatMap((id) => parent?.get(id) ?? []);
    const { threshold } = delegated.delegation;
    delegations.push({ oldRole: name, role: newRoleName(name), paths: patterns, threshold, keys });
  }
  const { root } = state;
  const keysOf = (role: string): ResolvedKey[] =>
    root.metadata.roles.get(role)!.keyIds.flatMap((id) => root.keys.get(id) ?? []);
  return {
    gun: state.gun,
    targets,
    delegations,
    rootKeys: keysOf("root"),
    rootThreshold: root.metadata.roles.get("root")!.threshold,
    targetsKeys: keysOf("targets"),
    targetsThreshold: root.metadata.roles.get("targets")!.threshold,
    notes,
  };
}

/** `targets/releases` → `releases`. Notary's names have slashes, which ours cannot, and no dots. */
function newRoleName(name: string): string {
  return name.slice("targets/".length).replaceAll("/", ".");
}

function parentKeys(state: NotaryState, name: string): ReadonlyMap<string, ResolvedKey> | undefined {
  const parent = name.slice(0, name.lastIndexOf("/"));
  return parent === "targets" ? state.targets.keys : state.delegations.get(parent)?.verified?.keys;
}

/** The patterns of a plain prefix; undefined where it has characters that patterns take for wildcards. */
function patternsOfPrefix(prefix: string): string[] | undefined {
  if (/[*?[\]\\]/.test(prefix)) return undefined;
  if (prefix === "" || prefix.endsWith("/")) return prefixPatterns(prefix);
  const below = (parts: number): string => `${prefix}*${"/*".repeat(parts)}`;
  return Array.from({ length: PREFIX_PARTS }, (_, parts) => below(parts));
}

function leftOut(message: string): Note {
  return { code: "left-out", message };
}

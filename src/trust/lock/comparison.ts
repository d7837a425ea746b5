/** What a lockfile's entries say of what is found later: how old it may be, and whether it is the same. */
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import type { Floors } from "./floors.ts";
import type { LockedModule } from "./lockfile.ts";

/**
 * The floors that a lockfile sets for a repository's collection: the highest of all entries for it, so that one that
 * was left behind does not lower what another has seen. Other repositories count where they share a root key with
 * this one: two publishers may give their collections one name.
 *
 * @param repository registry and repository without tag, e.g. `ghcr.io/acme/app`
 */
export function lockFloors(modules: readonly LockedModule[], repository: string, collection: string): Floors {
  const ofCollection = modules.filter((module) => module.collection === collection);
  const own = ofCollection.filter(({ reference }) => repositoryName(taggedReference(reference)) === repository);
  const keys = new Set(own.flatMap(({ rootKeys }) => rootKeys));
  const floors = new Map<string, number>();
  for (const module of ofCollection) {
    if (!own.includes(module) && !module.rootKeys.some((key) => keys.has(key))) continue;
    for (const [role, version] of module.versions) floors.set(role, Math.max(version, floors.get(role) ?? 0));
  }
  return floors;
}

/** Says what differs between what is locked and what there is now, in words; nothing where they agree. */
export function lockDifferences(locked: LockedModule, now: LockedModule): string[] {
  const pairs: readonly (readonly [what: string, locked: string | undefined, now: string | undefined])[] = [
    ["collection", locked.collection, now.collection],
    ["target", locked.target, now.target],
    ["module", locked.module, now.module],
    ["size", String(locked.size), String(now.size)],
    ["sha512", locked.sha512, now.sha512],
    ["contract", locked.contract, now.contract],
    ["manifest", locked.manifest, now.manifest],
    ["format", locked.format, now.format],
  ];
  return pairs
    .filter(([, a, b]) => a !== b)
    .map(([what, a, b]) => `${what} is ${b ?? "none"}, locked is ${a ?? "none"}`);
}

/** New collections: who signs for which role, and for how long. */
import type { JsonObject } from "../base/json.ts";
import { emptyTargets, SPEC_VERSION, TufDraft } from "./draft.ts";
import type { TufKey } from "./keys.ts";
import { withPeriods, type Periods } from "./periods.ts";
import { checkRoleKeys } from "./publishable.ts";
import { TOP_LEVEL_ROLES, type ExtraFields, type MetadataType, type RoleKeys, type Root } from "./schema.ts";

/** Who signs for a role of a new collection. */
export interface NewRole {
  readonly keys: readonly TufKey[];
  /** Signatures needed, 1 unless told. */
  readonly threshold?: number | undefined;
  /** The usual ones unless given. */
  readonly periods?: Periods | undefined;
}

export interface NewCollection {
  readonly roles: Readonly<Record<MetadataType, NewRole>>;
  /** Further fields of root, such as the collection's name. */
  readonly extra?: ExtraFields | undefined;
}

/**
 * Makes the documents of an empty collection, unsigned.
 *
 * @throws {UsageError} USAGE where a role could not be signed for
 */
export function newCollection({ roles, extra = {} }: NewCollection): TufDraft {
  const keys = new Map<string, TufKey>();
  const listed = new Map<string, RoleKeys>();
  for (const name of TOP_LEVEL_ROLES) {
    const { keys: own, threshold = 1, periods } = roles[name];
    for (const key of own) keys.set(key.id, key);
    const isOnline = name === "timestamp" || name === "snapshot";
    const fields: ExtraFields = isOnline && periods !== undefined ? withPeriods(name, {}, periods) : {};
    listed.set(name, { keyIds: [...new Set(own.map(({ id }) => id))], threshold, extra: fields });
  }
  for (const [name, roleKeys] of listed) checkRoleKeys(name, roleKeys, keys);
  const rootFields: JsonObject = { ...extra };
  const root: Root = {
    type: "root",
    version: 0,
    specVersion: SPEC_VERSION,
    expires: new Date(0),
    consistentSnapshot: true,
    keys,
    roles: listed,
    extra: roles.root.periods === undefined ? rootFields : withPeriods("root", rootFields, roles.root.periods),
  };
  const draft = new TufDraft(undefined, root);
  draft.dirty.add("root");
  const targets = emptyTargets();
  const periods = roles.targets.periods;
  draft.update(
    "targets",
    periods === undefined ? targets : { ...targets, extra: withPeriods("targets", targets.extra, periods) },
  );
  return draft;
}

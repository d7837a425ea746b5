/**
 * What is remembered about a collection and must outlive any cache: the root that is trusted, how that began, and
 * the highest versions seen. Losing it would mean trusting on first use again, and accepting old metadata.
 */
import { base64Encode, equalBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { StorageError, TrustError } from "../base/errors.ts";
import { JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { collectionName, type CollectionKey } from "./metadata-store.ts";

/** Roles whose versions are remembered: four times what a client loads, so that delegations may come and go. */
const MAX_ROLES = 1024;
/** The form of the stored state; another number is a newer program's. */
const FORMAT = 1;

export interface TrustState {
  /** The newest root that was verified, in wire form. */
  readonly root: Bytes;
  readonly rootVersion: number;
  /** The root that trust began with, in wire form: what a pin is compared with after rotations. */
  readonly anchor: Bytes;
  /** True where nobody vouched for the anchor: it was the first root seen. */
  readonly firstUse: boolean;
  /** When trust began. */
  readonly since: Date;
  /** When the server was last asked and everything verified. */
  readonly checkedAt: Date;
  /** The highest version verified of each role but root, whatever keys signed it. */
  readonly versions: ReadonlyMap<string, number>;
}

/**
 * Keeps trust state.
 *
 * Obligations: durable once `update` resolves; a crash leaves the old state or the new one; two updates of one
 * collection never overlap, in any number of processes; state that cannot be read is STATE_INVALID, never absence.
 */
export interface TrustStateStore {
  read(collection: CollectionKey): Promise<TrustState | undefined>;
  /** Replaces the state by what `change` makes of the newest one. Where `change` throws, nothing changes. */
  update(collection: CollectionKey, change: (current: TrustState | undefined) => TrustState): Promise<TrustState>;
  /** Forgets a collection: the next contact is the first again. */
  remove(collection: CollectionKey): Promise<void>;
}

/** Keeps state in memory. */
export function memoryTrustStateStore(): TrustStateStore {
  const stored = new Map<string, TrustState>();
  return {
    read: async (collection) => stored.get(collectionName(collection)),
    update: async (collection, change) => {
      const state = change(stored.get(collectionName(collection)));
      stored.set(collectionName(collection), state);
      return state;
    },
    remove: async (collection) => {
      stored.delete(collectionName(collection));
    },
  };
}

/**
 * Joins what a verification saw with what is stored, which another process may have moved on meanwhile: the newer
 * root, the higher versions. The two must have begun with one root: of two that did not, the newer never was signed by
 * the older, and a first use could slip its root under another's pin.
 *
 * @throws {TrustError} ROOT_UNTRUSTED where the two started from different roots; verifying again from what is stored
 *   tells whether they belong together
 */
export function mergeTrustState(stored: TrustState | undefined, seen: TrustState): TrustState {
  if (stored === undefined) return seen;
  const forked = stored.rootVersion === seen.rootVersion && !equalBytes(stored.root, seen.root);
  if (forked || !equalBytes(stored.anchor, seen.anchor)) {
    throw new TrustError(
      "ROOT_UNTRUSTED",
      "another process has meanwhile trusted a different root of this collection",
      {
        role: "root",
        hint: "Two servers or two publishers claim this name; compare the fingerprints and pin the right one",
        details: { version: stored.rootVersion },
      },
    );
  }
  const newer = stored.rootVersion > seen.rootVersion ? stored : seen;
  return {
    root: newer.root,
    rootVersion: newer.rootVersion,
    anchor: stored.anchor,
    firstUse: stored.firstUse,
    since: stored.since,
    checkedAt: new Date(Math.max(stored.checkedAt.getTime(), seen.checkedAt.getTime())),
    versions: mergeVersions(stored.versions, seen.versions),
  };
}

/** The higher version of each role. A publisher who invents delegations forever pushes out those gone longest. */
function mergeVersions(
  stored: ReadonlyMap<string, number>,
  seen: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const versions = new Map(stored);
  for (const [role, version] of seen) {
    const highest = Math.max(version, versions.get(role) ?? 0);
    versions.delete(role); // to the end: the order is that of when a role was last seen
    versions.set(role, highest);
  }
  for (const role of versions.keys()) {
    if (versions.size <= MAX_ROLES) break;
    versions.delete(role);
  }
  return versions;
}

/** Writes state as the JSON text that stores keep. */
export function encodeTrustState(collection: CollectionKey, state: TrustState): Bytes {
  const json = {
    format: FORMAT,
    server: collection.server,
    gun: collection.gun,
    firstUse: state.firstUse,
    since: state.since.toISOString(),
    checkedAt: state.checkedAt.toISOString(),
    versions: Object.fromEntries(state.versions),
    rootVersion: state.rootVersion,
    root: base64Encode(state.root),
    anchor: base64Encode(state.anchor),
  };
  return utf8Encode(`${JSON.stringify(json, undefined, 2)}\n`);
}

/** Reads stored state. @throws {StorageError} STATE_INVALID where it is damaged, or another collection's */
export function decodeTrustState(collection: CollectionKey, bytes: Uint8Array): TrustState {
  const fault = (message: string) =>
    new StorageError("STATE_INVALID", `the trust state of ${collection.gun} is not readable: ${message}`, {
      hint: "It says which root keys are trusted, so it is not replaced silently; restore it, or remove it and pin the collection again",
    });
  let json;
  try {
    json = parseJson(bytes, { what: "it" });
  } catch (cause) {
    throw Object.assign(fault("it is damaged"), { cause });
  }
  const keys = [
    "format",
    "server",
    "gun",
    "firstUse",
    "since",
    "checkedAt",
    "versions",
    "rootVersion",
    "root",
    "anchor",
  ];
  const at = new JsonCursor(json, fault).object(keys);
  if (at.field("format").integer() !== FORMAT) at.field("format").fail("written by a newer version of this program");
  for (const name of ["server", "gun"] as const) {
    if (at.field(name).string() !== collection[name]) at.field(name).fail("it is of another collection");
  }
  return {
    root: at.field("root").base64(),
    rootVersion: at.field("rootVersion").integer(1),
    anchor: at.field("anchor").base64(),
    firstUse: at.field("firstUse").boolean(),
    since: readDate(at.field("since")),
    checkedAt: readDate(at.field("checkedAt")),
    versions: new Map(
      at
        .field("versions")
        .entries(MAX_ROLES)
        .map(([role, version]) => [role, version.integer(1)]),
    ),
  };
}

function readDate(cursor: JsonCursor): Date {
  const date = new Date(cursor.string());
  return Number.isNaN(date.getTime()) ? cursor.fail("expected a time") : date;
}

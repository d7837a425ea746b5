/**
 * Notary's four documents: their types, strict readers of the signed part, and writers of its canonical text.
 * Readers accept what notary itself writes, its genuine nulls included, and check every type before use.
 */
import { base64Encode, type Bytes } from "../base/bytes.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { canonicalJson } from "../tuf/canonical-json.ts";
import { parseGoTime } from "./go-time.ts";
import { BASE_ROLES, isDelegationRole, parentRole } from "./roles.ts";

/** Keys in one document. Rotations leave old certificates in root; nobody comes near this many. */
const MAX_KEYS = 1024;
/** Keys of one role. */
const MAX_ROLE_KEYS = 256;
/** Roles in root (four, and whatever else somebody added), and delegations of one role. */
const MAX_ROLES = 256;
/** Files in a snapshot: root and all targets roles; a client loads far fewer. */
const MAX_SNAPSHOT_FILES = 16_384;
/** Path prefixes of one delegation. */
const MAX_PATHS = 1024;
/** Targets of one role; a role's document is limited to 100 MiB, which holds fewer. */
const MAX_TARGETS = 1_000_000;
/** Hash algorithms of one file: two in use, others are kept. */
const MAX_HASHES = 16;
/** No hash function has longer results. */
const MAX_HASH_BYTES = 128;

const HASH_BYTES: Readonly<Record<string, number>> = { sha256: 32, sha512: 64 };
const HEX_KEY_ID = /^[0-9a-f]{64}$/;
/** Printable ASCII without quote and backslash: goes into canonical JSON as it is. */
const KEYTYPE = /^[ !#-[\]-~]{1,64}$/;

/** A key as documents hold it. */
export interface NotaryKey {
  /** `ecdsa`, `ecdsa-x509`, `rsa`, `rsa-x509`, `ed25519`, or one that we do not know. */
  readonly keytype: string;
  /** SPKI, PEM certificates, or raw Ed25519, by type. */
  readonly public: Bytes;
}

export type NotaryKeys = ReadonlyMap<string, NotaryKey>;

/** Who signs for a role. */
export interface KeyRole {
  readonly keyIds: readonly string[];
  readonly threshold: number;
}

export interface NotaryRoot {
  readonly consistentSnapshot: boolean;
  /** RFC 3339 text exactly as signed; see `parseGoTime`. */
  readonly expires: string;
  readonly keys: NotaryKeys;
  /** The four base roles are always there. */
  readonly roles: ReadonlyMap<string, KeyRole>;
  readonly version: number;
}

export interface FileMeta {
  /** Length in bytes. */
  readonly length: number;
  /** Raw hashes by algorithm: sha256, sha512 or both, and any that we do not know. */
  readonly hashes: ReadonlyMap<string, Bytes>;
  readonly custom?: JsonValue;
}

export interface Delegation extends KeyRole {
  /** E.g. `targets/releases`. */
  readonly name: string;
  /** Plain string prefixes of target names; the empty one means all, no prefix means none. */
  readonly paths: readonly string[];
}

export interface NotaryTargets {
  readonly delegations: { readonly keys: NotaryKeys; readonly roles: readonly Delegation[] };
  readonly expires: string;
  readonly targets: ReadonlyMap<string, FileMeta>;
  readonly version: number;
}

/** Hashes and lengths of root and of every targets role, by role name. */
export interface NotarySnapshot {
  readonly expires: string;
  readonly meta: ReadonlyMap<string, FileMeta>;
  readonly version: number;
}

/** Hashes and length of the snapshot. */
export interface NotaryTimestamp {
  readonly expires: string;
  readonly meta: ReadonlyMap<string, FileMeta>;
  readonly version: number;
}

/** Reads the signed part of a root document. @throws {FormatError} METADATA_INVALID */
export function readRoot(signed: JsonObject): NotaryRoot {
  const at = open(signed, "root", "Root", ["_type", "consistent_snapshot", "expires", "keys", "roles", "version"]);
  const keys = readKeys(at.field("keys"));
  const roles = new Map<string, KeyRole>();
  for (const [name, role] of at.field("roles").entries(MAX_ROLES)) {
    const member = role.object(["keyids", "threshold"]);
    roles.set(name, readKeyRole(member.field("keyids"), member.field("threshold"), keys));
  }
  for (const name of BASE_ROLES) {
    if (!roles.has(name)) at.field("roles").fail(`the role ${name} is missing`);
  }
  const consistent = at.field("consistent_snapshot");
  return {
    consistentSnapshot: consistent.absent ? false : consistent.boolean(),
    expires: readTime(at.field("expires")),
    keys,
    roles,
    version: at.field("version").integer(1),
  };
}

/**
 * Reads the signed part of a targets document, top-level or delegated.
 *
 * @param role `targets` or the delegation's name: its own delegations must lie directly below it
 * @throws {FormatError} METADATA_INVALID
 */
export function readTargets(signed: JsonObject, role: string): NotaryTargets {
  const at = open(signed, role, "Targets", ["_type", "delegations", "expires", "targets", "version"]);
  const targets = new Map<string, FileMeta>();
  for (const [name, meta] of at.field("targets").entries(MAX_TARGETS)) targets.set(name, readFileMeta(meta));
  return {
    delegations: readDelegations(at.field("delegations"), role),
    expires: readTime(at.field("expires")),
    targets,
    version: at.field("version").integer(1),
  };
}

/** Reads the signed part of a snapshot document. @throws {FormatError} METADATA_INVALID */
export function readSnapshot(signed: JsonObject): NotarySnapshot {
  return readMeta(signed, "snapshot", "Snapshot", ["root", "targets"]);
}

/** Reads the signed part of a timestamp document. @throws {FormatError} METADATA_INVALID */
export function readTimestamp(signed: JsonObject): NotaryTimestamp {
  return readMeta(signed, "timestamp", "Timestamp", ["snapshot"]);
}

/** The canonical text of a root document's signed part: what is signed. */
export function writeRoot(root: NotaryRoot): string {
  return canonicalJson(rootJson(root));
}

/** The canonical text of a targets document's signed part. */
export function writeTargets(targets: NotaryTargets): string {
  return canonicalJson(targetsJson(targets));
}

/** The canonical text of a snapshot document's signed part. */
export function writeSnapshot(snapshot: NotarySnapshot): string {
  return canonicalJson(snapshotJson(snapshot));
}

/** The canonical text of a timestamp document's signed part. */
export function writeTimestamp(timestamp: NotaryTimestamp): string {
  return canonicalJson(timestampJson(timestamp));
}

/** The signed part that `writeRoot` writes, before it is text. The objects are new, custom data is the very same. */
export function rootJson(root: NotaryRoot): JsonObject {
  return {
    _type: "Root",
    consistent_snapshot: root.consistentSnapshot,
    expires: root.expires,
    keys: jsonMap(root.keys, jsonKey),
    roles: jsonMap(root.roles, jsonKeyRole),
    version: root.version,
  };
}

/** As {@link rootJson}. */
export function targetsJson(targets: NotaryTargets): JsonObject {
  return {
    _type: "Targets",
    delegations: {
      keys: jsonMap(targets.delegations.keys, jsonKey),
      roles: targets.delegations.roles.map(jsonDelegation),
    },
    expires: targets.expires,
    targets: jsonMap(targets.targets, jsonFileMeta),
    version: targets.version,
  };
}

/** As {@link rootJson}. */
export function snapshotJson(snapshot: NotarySnapshot): JsonObject {
  return metaJson("Snapshot", snapshot);
}

/** As {@link rootJson}. */
export function timestampJson(timestamp: NotaryTimestamp): JsonObject {
  return metaJson("Timestamp", timestamp);
}

function open(signed: JsonObject, role: string, type: string, known: readonly string[]) {
  const at = new JsonCursor(signed, formatFault("METADATA_INVALID", `the metadata of ${role}`)).object(known);
  const got = at.field("_type").string();
  if (got !== type) at.field("_type").fail(`expected ${JSON.stringify(type)}, got ${JSON.stringify(got.slice(0, 40))}`);
  return at;
}

function readKeys(cursor: JsonCursor): Map<string, NotaryKey> {
  const keys = new Map<string, NotaryKey>();
  for (const [id, key] of cursor.entries(MAX_KEYS)) {
    if (!HEX_KEY_ID.test(id)) key.fail("a key id has 64 lower-case hexadecimal digits");
    const member = key.object(["keytype", "keyval"]);
    const value = member.field("keyval").object(["private", "public"]);
    const keytype = member.field("keytype").string();
    if (!KEYTYPE.test(keytype)) member.field("keytype").fail("not the name of a key type");
    if (!value.field("private").empty) value.field("private").fail("a private key in public metadata");
    keys.set(id, { keytype, public: value.field("public").base64() });
  }
  return keys;
}

function readKeyRole(keyIds: JsonCursor, threshold: JsonCursor, keys: NotaryKeys): KeyRole {
  const ids = new Set<string>();
  for (const element of keyIds.empty ? [] : keyIds.array(MAX_ROLE_KEYS)) {
    const id = element.string();
    if (ids.has(id)) element.fail("a key id that is listed twice");
    if (!keys.has(id)) element.fail("a key that the document does not hold");
    ids.add(id);
  }
  return { keyIds: [...ids], threshold: threshold.integer(1) };
}

function readDelegations(cursor: JsonCursor, delegator: string): NotaryTargets["delegations"] {
  if (cursor.empty) return { keys: new Map(), roles: [] };
  const member = cursor.object(["keys", "roles"]);
  const keys = member.field("keys").empty ? new Map<string, NotaryKey>() : readKeys(member.field("keys"));
  const roles: Delegation[] = [];
  const names = new Set<string>();
  for (const element of member.field("roles").empty ? [] : member.field("roles").array(MAX_ROLES)) {
    const role = element.object(["keyids", "name", "paths", "threshold"]);
    const name = role.field("name").string();
    if (!isDelegationRole(name) || parentRole(name) !== delegator) {
      role.field("name").fail(`not the name of a delegation directly below ${delegator}`);
    }
    if (names.has(name)) role.field("name").fail("a delegation that is listed twice");
    names.add(name);
    const paths = role.field("paths").empty ? [] : role.field("paths").array(MAX_PATHS);
    roles.push({
      ...readKeyRole(role.field("keyids"), role.field("threshold"), keys),
      name,
      paths: paths.map((path) => path.string()),
    });
  }
  return { keys, roles };
}

function readMeta(signed: JsonObject, role: string, type: string, required: readonly string[]): NotarySnapshot {
  const at = open(signed, role, type, ["_type", "expires", "meta", "version"]);
  const meta = new Map<string, FileMeta>();
  for (const [name, entry] of at.field("meta").entries(MAX_SNAPSHOT_FILES)) {
    const file = readFileMeta(entry);
    if (!file.hashes.has("sha256")) entry.fail("no sha256");
    meta.set(name, file);
  }
  for (const name of required) {
    if (!meta.has(name)) at.field("meta").fail(`no entry for ${name}`);
  }
  return { expires: readTime(at.field("expires")), meta, version: at.field("version").integer(1) };
}

function readFileMeta(cursor: JsonCursor): FileMeta {
  const member = cursor.object(["custom", "hashes", "length"]);
  const hashes = new Map<string, Bytes>();
  for (const [algorithm, value] of member.field("hashes").entries(MAX_HASHES)) {
    const hash = value.base64();
    const size = HASH_BYTES[algorithm];
    if (size !== undefined && hash.length !== size) {
      value.fail(`${algorithm} has ${size} bytes, got ${hash.length}`);
    }
    if (hash.length > MAX_HASH_BYTES) value.fail(`expected at most ${MAX_HASH_BYTES} bytes, got ${hash.length}`);
    hashes.set(algorithm, hash);
  }
  if (!hashes.has("sha256") && !hashes.has("sha512")) member.field("hashes").fail("neither sha256 nor sha512");
  const length = member.field("length").integer();
  const custom = member.field("custom").value;
  return custom === undefined ? { length, hashes } : { length, hashes, custom };
}

function readTime(cursor: JsonCursor): string {
  const text = cursor.string();
  if (parseGoTime(text) === undefined) cursor.fail("expected a time such as 2030-01-31T12:00:00Z");
  return text;
}

function metaJson(type: string, { expires, meta, version }: NotarySnapshot): JsonObject {
  return { _type: type, expires, meta: jsonMap(meta, jsonFileMeta), version };
}

function jsonMap<T>(map: ReadonlyMap<string, T>, toJson: (value: T) => JsonValue): JsonObject {
  const object = Object.create(null) as JsonObject;
  for (const [key, value] of map) object[key] = toJson(value);
  return object;
}

function jsonKey(key: NotaryKey): JsonValue {
  return { keytype: key.keytype, keyval: { private: null, public: base64Encode(key.public) } };
}

function jsonKeyRole(role: KeyRole): JsonValue {
  return { keyids: [...role.keyIds], threshold: role.threshold };
}

function jsonDelegation(role: Delegation): JsonValue {
  const json: JsonObject = { keyids: [...role.keyIds], name: role.name, threshold: role.threshold };
  if (role.paths.length > 0) json["paths"] = [...role.paths];
  return json;
}

/** A `custom` of null is left out, as Go's writer does. */
function jsonFileMeta(meta: FileMeta): JsonValue {
  const json: JsonObject = { hashes: jsonMap(meta.hashes, base64Encode), length: meta.length };
  if (meta.custom !== undefined && meta.custom !== null) json["custom"] = meta.custom;
  return json;
}

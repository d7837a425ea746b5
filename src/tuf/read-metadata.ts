/** Strict readers of the signed parts of TUF metadata (specification §4.3 to §4.6): every type before any use. */
import { JsonCursor, type ObjectCursor } from "../base/json-cursor.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { TufKey } from "./keys.ts";
import {
  TOP_LEVEL_ROLES,
  type DelegatedRole,
  type Delegations,
  type ExtraFields,
  type Hashes,
  type MetadataType,
  type MetaFile,
  type RoleKeys,
  type Root,
  type Signature,
  type Signed,
  type SignedTypes,
  type Snapshot,
  type SuccinctRoles,
  type TargetFile,
  type Targets,
  type Timestamp,
} from "./schema.ts";
import { parseTime } from "./time.ts";

/** Keys in one document; the largest known roots have about 20. */
const MAX_KEYS = 1024;
/** Keys of one role. */
const MAX_ROLE_KEYS = 1024;
/** Roles in root: four, mirrors, and whatever else somebody added. */
const MAX_ROOT_ROLES = 256;
/** Delegations of one role; a limit of work comes from the search, this one only keeps arrays sane. */
const MAX_DELEGATIONS = 100_000;
/** Patterns or prefixes of one delegation: 16,384 bins of one role would be 65,536 prefixes at most. */
const MAX_PATHS = 65_536;
/** Files in a snapshot, targets in a role: bounded by the length of their documents. */
const MAX_FILES = 10_000_000;
/** Signatures of one document: bounded by its length, and only those of a role's own keys are ever looked at. */
const MAX_SIGNATURES = 1_000_000;
/** Hash algorithms of one file: two in use, others are kept. */
const MAX_HASHES = 16;
/** Role names go into URLs and file names, percent-encoded. */
const MAX_ROLE_NAME = 512;
/** Target names; the longest paths that file systems and URLs carry. */
const MAX_TARGET_NAME = 4096;
/** Key ids are 64 hex digits almost everywhere. */
const MAX_KEY_ID = 1024;

const HASH_HEX: ReadonlyMap<string, RegExp> = new Map([
  ["sha256", /^[0-9a-f]{64}$/],
  ["sha512", /^[0-9a-f]{128}$/],
]);
const HEX_PREFIX = /^[0-9a-f]{1,64}$/;
const SPEC_VERSION = /^1\.\d{1,9}(?:\.\d{1,9})?$/;
const SUFFIX = ".json";

/** For the many objects that have no unknown field. */
const NO_EXTRA: ExtraFields = Object.freeze(Object.create(null) as JsonObject);

const COMMON = ["_type", "expires", "spec_version", "version"] as const;
type CommonFields = Pick<Root, "version" | "specVersion" | "expires">;

/** The targets, or what a snapshot lists, where they were read already. */
type Entries = ReadonlyMap<string, TargetFile | MetaFile>;

/** Reads the value of `signed`. @throws {FormatError} METADATA_INVALID */
export function readSigned<Type extends MetadataType>(
  cursor: JsonCursor,
  type: Type,
  entries?: Entries,
): SignedTypes[Type] {
  return READERS[type](cursor, entries) as SignedTypes[Type];
}

/** Reads the signatures around it. */
export function readSignatures(cursor: JsonCursor): Signature[] {
  const plain = plainSignatures(cursor.value);
  if (plain !== undefined) return plain;
  const seen = new Set<string>();
  return cursor.array(MAX_SIGNATURES).map((element) => {
    const member = element.object(["keyid", "sig"]);
    const keyId = member.field("keyid").string();
    if (seen.has(keyId)) element.fail("a second signature of the same key id");
    seen.add(keyId);
    return { keyId, sig: member.field("sig").string(), extra: extraOf(member.value, ["keyid", "sig"]) };
  });
}

/** Signatures without anything special, of which an enemy may send very many; undefined leaves them to the full reader. */
function plainSignatures(value: JsonValue | undefined): Signature[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_SIGNATURES) return undefined;
  const signatures = new Map<string, Signature>();
  for (const element of value) {
    if (!isJsonObject(element)) return undefined;
    for (const key in element) if (key !== "keyid" && key !== "sig") return undefined;
    const { keyid, sig } = element;
    if (typeof keyid !== "string" || typeof sig !== "string") return undefined;
    signatures.set(keyid, { keyId: keyid, sig, extra: NO_EXTRA });
  }
  return signatures.size === value.length ? [...signatures.values()] : undefined;
}

const READERS: Readonly<Record<MetadataType, (cursor: JsonCursor, entries: Entries | undefined) => Signed>> = {
  root: readRoot,
  timestamp: readTimestamp,
  snapshot: readSnapshot,
  targets: readTargets,
};

function readRoot(cursor: JsonCursor): Root {
  const known = [...COMMON, "consistent_snapshot", "keys", "roles"];
  const at = cursor.object(known);
  const common = readCommon(at, "root");
  const roles = new Map<string, RoleKeys>();
  for (const [name, role] of at.field("roles").entries(MAX_ROOT_ROLES)) {
    const member = role.object(["keyids", "threshold"]);
    roles.set(name, { ...readRoleKeys(member), extra: extraOf(member.value, ["keyids", "threshold"]) });
  }
  for (const name of TOP_LEVEL_ROLES) if (!roles.has(name)) at.field("roles").fail(`the role ${name} is missing`);
  const consistent = at.field("consistent_snapshot");
  return {
    type: "root",
    ...common,
    consistentSnapshot: consistent.absent ? false : consistent.boolean(),
    keys: readKeys(at.field("keys")),
    roles,
    extra: extraOf(at.value, known),
  };
}

function readTimestamp(cursor: JsonCursor): Timestamp {
  const known = [...COMMON, "meta"];
  const at = cursor.object(known);
  const common = readCommon(at, "timestamp");
  const entries = at.field("meta").entries(1);
  const [name, entry] = entries[0] ?? at.field("meta").fail("the entry snapshot.json is missing");
  if (name !== "snapshot.json") entry.fail("expected snapshot.json only");
  return { type: "timestamp", ...common, snapshot: readMetaFile(entry), extra: extraOf(at.value, known) };
}

function readSnapshot(cursor: JsonCursor, entries: Entries | undefined): Snapshot {
  const known = [...COMMON, "meta"];
  const at = cursor.object(known);
  const common = readCommon(at, "snapshot");
  const files = at.field("meta");
  const meta = (entries as Snapshot["meta"] | undefined) ?? readMetaFiles(files);
  if (!meta.has("targets")) files.fail("the entry targets.json is missing");
  return { type: "snapshot", ...common, meta, extra: extraOf(at.value, known) };
}

function readTargets(cursor: JsonCursor, entries: Entries | undefined): Targets {
  const known = [...COMMON, "delegations", "targets"];
  const at = cursor.object(known);
  const common = readCommon(at, "targets");
  const delegations = at.field("delegations");
  return {
    type: "targets",
    ...common,
    targets: (entries as Targets["targets"] | undefined) ?? readTargetFiles(at.field("targets")),
    ...(delegations.absent ? {} : { delegations: readDelegations(delegations) }),
    extra: extraOf(at.value, known),
  };
}

function readCommon(at: ObjectCursor, type: MetadataType): CommonFields {
  const got = at.field("_type").string();
  if (got !== type) at.field("_type").fail(`expected ${JSON.stringify(type)}, got ${JSON.stringify(got.slice(0, 40))}`);
  const specVersion = at.field("spec_version").string();
  if (!SPEC_VERSION.test(specVersion)) at.field("spec_version").fail("expected a version 1 of the TUF specification");
  const text = at.field("expires").string();
  const expires = parseTime(text) ?? at.field("expires").fail("expected a time such as 2030-01-31T12:00:00Z");
  return { version: at.field("version").integer(1), specVersion, expires };
}

function readKeys(cursor: JsonCursor): Map<string, TufKey> {
  const keys = new Map<string, TufKey>();
  for (const [id, key] of cursor.entries(MAX_KEYS)) {
    checkKeyId(key, id);
    const member = key.object(["keytype", "keyval", "scheme"]);
    const keytype = member.field("keytype").string();
    const scheme = member.field("scheme").string();
    const value = member.field("keyval").object(["public", "private"]);
    const text = value.field("public").string();
    if (!value.field("private").empty && value.field("private").string() !== "") {
      value.field("private").fail("a private key in public metadata");
    }
    keys.set(id, new TufKey(id, { keytype, scheme, text }, member.value));
  }
  return keys;
}

function readRoleKeys(at: ObjectCursor): Pick<RoleKeys, "keyIds" | "threshold"> {
  const ids = new Set<string>();
  for (const element of at.field("keyids").array(MAX_ROLE_KEYS)) {
    const id = element.string();
    checkKeyId(element, id);
    if (ids.has(id)) element.fail("a key id that is listed twice");
    ids.add(id);
  }
  return { keyIds: [...ids], threshold: at.field("threshold").integer(1) };
}

function checkKeyId(cursor: JsonCursor, id: string): void {
  if (id === "" || id.length > MAX_KEY_ID) cursor.fail(`a key id has 1 to ${MAX_KEY_ID} characters`);
}

function readDelegations(cursor: JsonCursor): Delegations {
  const known = ["keys", "roles", "succinct_roles"];
  const at = cursor.object(known);
  const keys = readKeys(at.field("keys"));
  const extra = extraOf(at.value, known);
  const list = at.field("roles");
  const succinct = at.field("succinct_roles");
  if (list.absent === succinct.absent) cursor.fail("expected either roles or succinct_roles");
  if (list.absent) return { keys, roles: [], succinct: readSuccinct(succinct), extra };
  const names = new Set<string>();
  const roles = list.array(MAX_DELEGATIONS).map((element) => {
    const role = readDelegatedRole(element);
    if (names.has(role.name)) element.fail(`the role ${JSON.stringify(role.name)} is listed twice`);
    names.add(role.name);
    return role;
  });
  return { keys, roles, extra };
}

function readDelegatedRole(element: JsonCursor): DelegatedRole {
  const known = ["keyids", "name", "path_hash_prefixes", "paths", "terminating", "threshold"];
  const at = element.object(known);
  const name = at.field("name").string();
  checkRoleName(at.field("name"), name);
  const paths = at.field("paths");
  const prefixes = at.field("path_hash_prefixes");
  if (paths.absent === prefixes.absent) element.fail("expected either paths or path_hash_prefixes");
  return {
    ...readRoleKeys(at),
    name,
    terminating: at.field("terminating").boolean(),
    ...(paths.absent
      ? { pathHashPrefixes: prefixes.array(MAX_PATHS).map(readHashPrefix) }
      : { paths: paths.array(MAX_PATHS).map((path) => path.string()) }),
    extra: extraOf(at.value, known),
  };
}

function readHashPrefix(cursor: JsonCursor): string {
  const prefix = cursor.string();
  if (!HEX_PREFIX.test(prefix)) cursor.fail("expected 1 to 64 lower-case hexadecimal digits");
  return prefix;
}

function readSuccinct(cursor: JsonCursor): SuccinctRoles {
  const known = ["bit_length", "keyids", "name_prefix", "threshold"];
  const at = cursor.object(known);
  const bitLength = at.field("bit_length").integer(1);
  if (bitLength > 32) at.field("bit_length").fail(`expected at most 32, got ${bitLength}`);
  const namePrefix = at.field("name_prefix").string();
  checkRoleName(at.field("name_prefix"), namePrefix);
  return { ...readRoleKeys(at), bitLength, namePrefix, extra: extraOf(at.value, known) };
}

function checkRoleName(cursor: JsonCursor, name: string): void {
  if (name === "" || name.length > MAX_ROLE_NAME) cursor.fail(`a role's name has 1 to ${MAX_ROLE_NAME} characters`);
  if ((TOP_LEVEL_ROLES as readonly string[]).includes(name)) cursor.fail(`${name} is no name for a delegation`);
}

function readMetaFiles(cursor: JsonCursor): Map<string, MetaFile> {
  const meta = new Map<string, MetaFile>();
  if (isJsonObject(cursor.value)) {
    for (const name in cursor.value) {
      const file = name.endsWith(SUFFIX) ? plainMetaFile(cursor.value[name]) : undefined;
      if (file === undefined) break;
      meta.set(name.slice(0, -SUFFIX.length), file);
    }
    if (meta.size === Object.keys(cursor.value).length) return meta;
  }
  for (const [name, entry] of cursor.entries(MAX_FILES)) {
    if (!name.endsWith(SUFFIX)) entry.fail("expected a name that ends in .json");
    meta.set(name.slice(0, -SUFFIX.length), readMetaFile(entry));
  }
  return meta;
}

/** An entry without anything special; undefined leaves the judgement to the full reader. */
function plainMetaFile(value: JsonValue | undefined): MetaFile | undefined {
  if (!isJsonObject(value)) return undefined;
  for (const key in value) if (key !== "version" && key !== "length" && key !== "hashes") return undefined;
  const { version, length, hashes } = value;
  if (typeof version !== "number" || version < 1) return undefined;
  if (length === undefined && hashes === undefined) return { version, extra: NO_EXTRA };
  if (typeof length !== "number" || length < 0 || !isJsonObject(hashes) || !arePlainHashes(hashes)) return undefined;
  return { version, length, hashes: hashes as Hashes, extra: NO_EXTRA };
}

function arePlainHashes(hashes: JsonObject): boolean {
  let algorithms = 0;
  for (const algorithm in hashes) {
    const hash = hashes[algorithm];
    if (typeof hash !== "string" || HASH_HEX.get(algorithm)?.test(hash) !== true) return false;
    algorithms++;
  }
  return algorithms > 0;
}

function readMetaFile(cursor: JsonCursor): MetaFile {
  const at = cursor.object(["hashes", "length", "version"]);
  const length = at.field("length");
  const hashes = at.field("hashes");
  return {
    version: at.field("version").integer(1),
    ...(length.absent ? {} : { length: length.integer() }),
    ...(hashes.absent ? {} : { hashes: readHashes(hashes) }),
    extra: extraOf(at.value, ["hashes", "length", "version"]),
  };
}

function readTargetFiles(cursor: JsonCursor): Map<string, TargetFile> {
  const targets = new Map<string, TargetFile>();
  if (isJsonObject(cursor.value)) {
    for (const name in cursor.value) {
      const file = isTargetName(name) ? plainTargetFile(cursor.value[name]) : undefined;
      if (file === undefined) break;
      targets.set(name, file);
    }
    if (targets.size === Object.keys(cursor.value).length) return targets;
  }
  for (const [name, file] of cursor.entries(MAX_FILES)) {
    if (!targets.has(name)) targets.set(name, readTargetFile(file, name));
  }
  return targets;
}

function isTargetName(name: string): boolean {
  return name !== "" && name.length <= MAX_TARGET_NAME;
}

/** A target without anything special, which nearly all are; undefined leaves the judgement to the full reader. */
function plainTargetFile(value: JsonValue | undefined): TargetFile | undefined {
  if (!isJsonObject(value)) return undefined;
  for (const key in value) if (key !== "length" && key !== "hashes" && key !== "custom") return undefined;
  const { length, hashes, custom } = value;
  if (typeof length !== "number" || length < 0 || !isJsonObject(hashes)) return undefined;
  if (!arePlainHashes(hashes)) return undefined;
  return custom === undefined
    ? { length, hashes: hashes as Hashes, extra: NO_EXTRA }
    : { length, hashes: hashes as Hashes, custom, extra: NO_EXTRA };
}

function readTargetFile(cursor: JsonCursor, name: string): TargetFile {
  if (!isTargetName(name)) cursor.fail(`a target's name has 1 to ${MAX_TARGET_NAME} characters`);
  const at = cursor.object(["custom", "hashes", "length"]);
  const custom = at.field("custom").value;
  return {
    length: at.field("length").integer(),
    hashes: readHashes(at.field("hashes")),
    ...(custom === undefined ? {} : { custom }),
    extra: extraOf(at.value, ["custom", "hashes", "length"]),
  };
}

function readHashes(cursor: JsonCursor): Hashes {
  const entries = cursor.entries(MAX_HASHES);
  if (entries.length === 0) cursor.fail("expected at least one hash");
  const hashes = Object.create(null) as Record<string, string>;
  for (const [algorithm, hash] of entries) {
    const text = hash.string();
    const form = HASH_HEX.get(algorithm);
    if (form !== undefined && !form.test(text)) hash.fail(`expected ${algorithm} in lower-case hexadecimal digits`);
    hashes[algorithm] = text;
  }
  return hashes;
}

function extraOf(value: JsonObject, known: readonly string[]): ExtraFields {
  let extra: JsonObject | undefined;
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    extra ??= Object.create(null) as JsonObject;
    extra[key] = value[key]!;
  }
  return extra ?? NO_EXTRA;
}

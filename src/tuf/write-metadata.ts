/** Writers of TUF metadata: from the types back to JSON, unknown fields included. */
import { compareUtf8 } from "../base/bytes.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../base/json.ts";
import type {
  DelegatedRole,
  Delegations,
  MetaFile,
  RoleKeys,
  Signature,
  Signed,
  SuccinctRoles,
  TargetFile,
} from "./schema.ts";
import { formatTime } from "./time.ts";

/** The JSON of `signed`. A known field always wins over an unknown one of the same name. */
export function signedJson(signed: Signed): JsonObject {
  const common = {
    ...signed.extra,
    _type: signed.type,
    expires: formatTime(signed.expires),
    spec_version: signed.specVersion,
    version: signed.version,
  };
  return object({ ...common, ...ownFields(signed) });
}

function ownFields(signed: Signed): JsonObject {
  if (signed.type === "root") {
    return {
      consistent_snapshot: signed.consistentSnapshot,
      keys: members(signed.keys, (key) => key.json),
      roles: members(signed.roles, (role) => object(roleKeys(role))),
    };
  }
  if (signed.type === "timestamp") return { meta: object({ "snapshot.json": metaFile(signed.snapshot) }) };
  if (signed.type === "snapshot") return { meta: members(signed.meta, metaFile, ".json") };
  return {
    targets: members(signed.targets, targetFile),
    ...(signed.delegations && { delegations: delegations(signed.delegations) }),
  };
}

/** The whole document as text. */
export function documentText(signed: Signed, signatures: readonly Signature[]): string {
  return `{"signatures":${signaturesText(signatures)},"signed":${sortedJson(signedJson(signed))}}`;
}

export function signaturesText(signatures: readonly Signature[]): string {
  return sortedJson(signatures.map(({ keyId, sig, extra }) => object({ ...extra, keyid: keyId, sig })));
}

/** JSON without white space, members sorted as canonical JSON sorts them. */
function sortedJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value);
  keys.sort(compareUtf8);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${sortedJson(value[key]!)}`).join(",")}}`;
}

function roleKeys({ keyIds, threshold, extra }: RoleKeys): JsonObject {
  return { ...extra, keyids: [...keyIds], threshold };
}

function delegations({ keys, roles, succinct, extra }: Delegations): JsonObject {
  return object({
    ...extra,
    keys: members(keys, (key) => key.json),
    ...(succinct === undefined ? { roles: roles.map(delegatedRole) } : { succinct_roles: succinctRoles(succinct) }),
  });
}

function delegatedRole(role: DelegatedRole): JsonObject {
  return object({
    ...roleKeys(role),
    name: role.name,
    terminating: role.terminating,
    ...(role.paths && { paths: [...role.paths] }),
    ...(role.pathHashPrefixes && { path_hash_prefixes: [...role.pathHashPrefixes] }),
  });
}

function succinctRoles(role: SuccinctRoles): JsonObject {
  return object({ ...roleKeys(role), bit_length: role.bitLength, name_prefix: role.namePrefix });
}

function metaFile({ version, length, hashes, extra }: MetaFile): JsonObject {
  return object({
    ...extra,
    version,
    ...(length !== undefined && { length }),
    ...(hashes !== undefined && { hashes: object(hashes) }),
  });
}

function targetFile({ length, hashes, custom, extra }: TargetFile): JsonObject {
  return object({ ...extra, length, hashes: object(hashes), ...(custom !== undefined && { custom }) });
}

/** Without prototype, so that `__proto__` is a name like any other. */
function object(fields: Readonly<JsonObject>): JsonObject {
  return Object.assign(Object.create(null) as JsonObject, fields);
}

function members<T>(map: ReadonlyMap<string, T>, toJson: (value: T) => JsonValue, suffix = ""): JsonObject {
  const json = Object.create(null) as JsonObject;
  for (const [name, value] of map) json[`${name}${suffix}`] = toJson(value);
  return json;
}

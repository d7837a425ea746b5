/**
 * TUF metadata as this project holds it: the documents of the specification's §4 with every type checked, and with
 * the fields that we do not know kept, since they are signed too.
 * https://theupdateframework.github.io/specification/v1.0.34/#document-formats
 */
import type { Bytes } from "../base/bytes.ts";
import type { JsonObject, JsonValue } from "../base/json.ts";
import type { TufKey } from "./keys.ts";

export const TOP_LEVEL_ROLES = ["root", "timestamp", "snapshot", "targets"] as const;

/** The four documents of TUF; delegated roles are of type `targets`. */
export type MetadataType = (typeof TOP_LEVEL_ROLES)[number];

/** Fields that are not known to us: kept, written again, never looked at. */
export type ExtraFields = Readonly<JsonObject>;

interface Common {
  /** From 1 up. */
  readonly version: number;
  /** E.g. `1.0.34`; always of major version 1. */
  readonly specVersion: string;
  /** UTC, whole seconds. */
  readonly expires: Date;
  readonly extra: ExtraFields;
}

/** Who signs for a role. */
export interface RoleKeys {
  /** Opaque ids, unique; one that no listed key has is passed over. */
  readonly keyIds: readonly string[];
  /** Different keys that must have signed, from 1 up. */
  readonly threshold: number;
  readonly extra: ExtraFields;
}

export interface Root extends Common {
  readonly type: "root";
  readonly consistentSnapshot: boolean;
  /** By id. */
  readonly keys: ReadonlyMap<string, TufKey>;
  /** By name: the four top-level roles, always, and any others that somebody listed. */
  readonly roles: ReadonlyMap<string, RoleKeys>;
}

/** What is signed about another metadata file. */
export interface MetaFile {
  readonly version: number;
  /** In bytes. */
  readonly length?: number | undefined;
  /** Lower-case hex by algorithm; never empty. */
  readonly hashes?: Hashes | undefined;
  readonly extra: ExtraFields;
}

/** Lower-case hex by algorithm. Algorithms other than sha256 and sha512 are kept and never relied on. */
export type Hashes = Readonly<Record<string, string>>;

export interface Timestamp extends Common {
  readonly type: "timestamp";
  readonly snapshot: MetaFile;
}

export interface Snapshot extends Common {
  readonly type: "snapshot";
  /** By role name: `targets` and every delegated role. */
  readonly meta: ReadonlyMap<string, MetaFile>;
}

export interface TargetFile {
  /** In bytes. */
  readonly length: number;
  /** Never empty, though perhaps without an algorithm that we know: such a target cannot be verified. */
  readonly hashes: Hashes;
  readonly custom?: JsonValue | undefined;
  readonly extra: ExtraFields;
}

/** A delegation to one role, by path patterns or by prefixes of the path's hash. */
export interface DelegatedRole extends RoleKeys {
  readonly name: string;
  /** Ends the search where this role covers a name and does not have it. */
  readonly terminating: boolean;
  /** Patterns; exactly one of `paths` and `pathHashPrefixes` is there. */
  readonly paths?: readonly string[] | undefined;
  /** Lower-case hex. */
  readonly pathHashPrefixes?: readonly string[] | undefined;
}

/** A delegation to 2^bitLength hash bins (TAP 15). */
export interface SuccinctRoles extends RoleKeys {
  /** From 1 to 32. */
  readonly bitLength: number;
  readonly namePrefix: string;
}

export interface Delegations {
  /** By id. */
  readonly keys: ReadonlyMap<string, TufKey>;
  /** In order of priority; empty where `succinct` is there. */
  readonly roles: readonly DelegatedRole[];
  readonly succinct?: SuccinctRoles | undefined;
  readonly extra: ExtraFields;
}

/** A targets document, top-level or delegated. */
export interface Targets extends Common {
  readonly type: "targets";
  /** By name. */
  readonly targets: ReadonlyMap<string, TargetFile>;
  readonly delegations?: Delegations | undefined;
}

/** The type of each document. */
export interface SignedTypes {
  root: Root;
  timestamp: Timestamp;
  snapshot: Snapshot;
  targets: Targets;
}

export type Signed = SignedTypes[MetadataType];

export interface Signature {
  readonly keyId: string;
  /** As signed documents hold it: hex, or anything else, which then is no good signature. */
  readonly sig: string;
  readonly extra: ExtraFields;
}

/** A document as it was received. Its types are checked, its signatures are not. */
export interface SignedMetadata<T extends Signed = Signed> {
  readonly signed: T;
  /** Unique by key id. */
  readonly signatures: readonly Signature[];
  /** As received: what is hashed and stored. */
  readonly bytes: Bytes;
  /** The canonical form of the received `signed`: what signatures are over. */
  readonly message: Bytes;
}

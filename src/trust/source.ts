/**
 * Where a collection's trust data is read from and published to. A Notary v1 server is one source; plain TUF
 * repositories and registries are others. Use cases know this interface only.
 */
import type { JsonValue } from "../base/json.ts";
import type { Freshness } from "../tuf/client.ts";
import type { Floors } from "./lock/floors.ts";
import type { Authority } from "./authorities.ts";
import type { Pin } from "./pin.ts";

/** A public key as reports show it. */
export interface KeyReport {
  /** The id under which the metadata lists the key (Notary: its canonical id). */
  readonly keyId: string;
  /** Lower-case hex sha256 of the key's SubjectPublicKeyInfo DER. */
  readonly fingerprint: string;
}

/** One role's metadata as it was verified. */
export interface RoleReport {
  readonly role: string;
  readonly version: number;
  readonly expires: Date;
  /** From when on it should be signed again, where its publisher says so. */
  readonly signAgainFrom?: Date | undefined;
  readonly threshold: number;
  /** The keys whose signatures counted. */
  readonly signedBy: readonly KeyReport[];
  readonly from: "network" | "cache";
}

/** A signed name → content mapping. */
export interface SignedTarget {
  readonly name: string;
  /** Length of the content in bytes. */
  readonly length: number;
  /** Lower-case hex by algorithm; sha256, sha512 or both. Others are dropped. */
  readonly hashes: { readonly sha256?: string; readonly sha512?: string };
  readonly custom: JsonValue | undefined;
  /** The role that signed this mapping, e.g. `targets` or `targets/releases`. */
  readonly role: string;
  /** Where that one is a hash bin, the role that has spread its names so, if its own keys have signed the bin. */
  readonly home?: string | undefined;
}

/** Verified metadata of one collection at one moment. Pure, but for `authorities`: no other call does I/O. */
export interface TrustedCollection {
  /** The name signed in root: for Notary the GUN. */
  readonly name: string;
  /** Root, timestamp, snapshot, targets, then delegations in the order they are searched. */
  readonly roles: readonly RoleReport[];
  /** The root role's keys. */
  readonly rootKeys: readonly KeyReport[];
  /** True where the root was trusted because it was the first one seen, by this very call. */
  readonly firstUse: boolean;
  /** When its source was last asked and everything verified: just now, or before, offline; undefined where unknown. */
  readonly checkedAt?: Date | undefined;
  /**
   * False where nothing of the collection was seen here before, nor given as floors: an older state that has not
   * expired would have looked the same. Undefined where the source cannot tell.
   */
  readonly seenBefore?: boolean | undefined;
  /** Anything a person should know that is not a failure: near expiry, a skipped delegation. */
  readonly warnings: readonly string[];
  /** The mapping for a name, in the search order of the source; undefined where none is signed. */
  find(name: string): SignedTarget | undefined;
  /** Every signed name once, sorted by name. */
  list(): readonly SignedTarget[];
  /**
   * The roles that may sign a name, in the order in which they are asked, also past the one that answers: for people
   * who ask who could. May load roles that nobody needed so far; one that cannot be relied on is part of the answer.
   */
  authorities(name: string): Promise<readonly Authority[]>;
}

export interface OpenOptions {
  /** What the root must match. */
  readonly pin?: Pin | undefined;
  /** What to do where there is neither a pin nor a stored root: trust the first root seen, or refuse. */
  readonly firstUse: "accept" | "refuse";
  /**
   * The only names that `find` will be asked for, so that a source need not load roles that cannot have them; all
   * unless given. A source may load more.
   */
  readonly names?: readonly string[] | undefined;
  /** How current the answer must be; what the source was made with unless told. */
  readonly freshness?: Freshness | undefined;
  /** Versions below which a role is refused, besides those that were seen before. Nothing is kept of a refused state. */
  readonly floors?: Floors | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Changes to one role's targets. */
export type TargetEdit =
  | {
      readonly action: "add";
      readonly name: string;
      readonly length: number;
      readonly hashes: { readonly sha256?: string; readonly sha512?: string };
      readonly custom?: JsonValue | undefined;
    }
  | { readonly action: "remove"; readonly name: string };

/**
 * Computes the wanted edits from the newest verified state (undefined: the collection does not exist yet).
 * Called again with the newer state when another publisher was faster, so it must be a pure function of it.
 */
export type EditTargets = (current: TrustedCollection | undefined) => readonly TargetEdit[];

export interface PublishOptions extends OpenOptions {
  /** Roles to sign in, e.g. `["targets/releases"]`; undefined: where the source's conventions put it. */
  readonly roles?: readonly string[] | undefined;
  /** The caller knows of the collection from elsewhere: one that is not there was lost, and is not made anew. */
  readonly mustExist?: boolean | undefined;
}

export interface PublishResult {
  /** True where this publish made the collection. */
  readonly created: boolean;
  /** The state that the source now serves, read back and verified. */
  readonly collection: TrustedCollection;
  /** Until when the published state verifies without another signature. */
  readonly freshUntil: Date;
}

/**
 * A trust source.
 *
 * Obligations: `open` runs the whole client workflow and persists nothing before everything is verified; a
 * failed read is never "no such collection" (TRUST_NOT_FOUND is only for the source's own statement that it
 * has none, and never where a root is stored or pinned: that is a failure too); `publish` loses no
 * concurrent publisher's update, creates a collection only where there is none, and on failure leaves what
 * is served as it was.
 */
export interface TrustSource {
  readonly kind: "notary" | "tuf" | "oci" | "bundle";
  /** Where: a URL or a path, for people. */
  readonly location: string;
  open(collection: string, options: OpenOptions): Promise<TrustedCollection>;
  /** True where a root for this collection is stored: it was opened, or first used, before. */
  isKnown(collection: string): Promise<boolean>;
  publish(collection: string, edit: EditTargets, options: PublishOptions): Promise<PublishResult>;
}

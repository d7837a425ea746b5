/**
 * A collection's documents while they are edited: what was verified, plus changes, not yet signed. The verified
 * documents are never changed: an edit that fails half-way leaves nothing behind.
 */
import { hexEncode } from "../base/bytes.ts";
import { TrustError } from "../base/errors.ts";
import { delegationNamed } from "./delegations.ts";
import type { TufKey } from "./keys.ts";
import type { PublishedCollection } from "./published.ts";
import type { Delegations, Root, Targets } from "./schema.ts";
import type { KeyedRole } from "./signing-keys.ts";

/** Of documents that we make. */
export const SPEC_VERSION = "1.0.34";

export class TufDraft {
  /** Undefined for a collection that is about to be made. */
  readonly base: PublishedCollection | undefined;
  root: Root;
  /** Targets documents that differ from the base's. */
  readonly changed = new Map<string, Targets>();
  /** Roles whose documents must be signed again; `timestamp` and `snapshot` where that is wanted for its own sake. */
  readonly dirty = new Set<string>();
  /** Roles that start again at a low version. */
  readonly reset = new Set<string>();
  /** Versions to leave out: where publishers overwrite each other, others may have used them for what nobody sees now. */
  leap = 0;

  constructor(base: PublishedCollection | undefined, root: Root) {
    this.base = base;
    this.root = root;
  }

  static of(base: PublishedCollection): TufDraft {
    return new TufDraft(base, base.root.signed);
  }

  get isChanged(): boolean {
    return this.dirty.size > 0;
  }

  /**
   * The document of a targets role, to be changed; an empty one where the role exists and was never signed.
   *
   * @throws {TrustError} DELEGATION_REFUSED
   */
  async document(role: string): Promise<Targets> {
    const known = this.changed.get(role) ?? this.base?.targets.get(role)?.signed;
    if (known !== undefined) return known;
    const delegators = this.delegatorsOf(role);
    if (role !== "targets" && delegators.length === 0) {
      throw refused(role, "there is no such role", "The collection's status lists the roles");
    }
    const loaded = await this.base?.loadAny(role);
    if (loaded !== undefined) return loaded.signed;
    const fault = this.base?.unusable.get(role);
    if (fault === undefined) return emptyTargets();
    const hint = "Its key holders can sign it again (repair)";
    throw refused(role, `its published metadata cannot be used: ${fault.message}`, hint);
  }

  /** Puts a changed document in place. */
  update(role: string, document: Targets): void {
    this.changed.set(role, document);
    this.dirty.add(role);
  }

  /** Every targets document that is loaded, changes included. */
  *documents(): Generator<readonly [string, Targets]> {
    yield* this.changed;
    for (const [role, { signed }] of this.base?.targets ?? []) if (!this.changed.has(role)) yield [role, signed];
  }

  /** The roles that delegate to a role. */
  delegatorsOf(role: string): string[] {
    const found: string[] = [];
    for (const [name, { delegations }] of this.documents()) {
      if (delegationNamed(delegations, role) !== undefined) found.push(name);
    }
    return found;
  }

  /** Who must have signed a role: what root says, or each of its delegators. */
  keyedRoles(role: string): KeyedRole[] {
    const top = this.root.roles.get(role);
    if (top !== undefined) return [{ role, roleKeys: top, keys: this.root.keys }];
    return this.delegatorsOf(role).map((delegator) => {
      const { keys, roleKeys } = this.delegationBy(delegator, role)!;
      return { role, roleKeys, keys };
    });
  }

  /** One delegator's word on a role. */
  delegationBy(delegator: string, role: string): Omit<KeyedRole, "role"> | undefined {
    const { delegations } = this.changed.get(delegator) ?? this.base?.targets.get(delegator)?.signed ?? {};
    const roleKeys = delegationNamed(delegations, role);
    return roleKeys && { roleKeys, keys: delegations!.keys };
  }
}

/** Keys, by what they are, that documents of a collection list already. */
export function knownKeys(base: PublishedCollection | undefined): ReadonlySet<string> {
  const known = new Set<string>();
  const add = (keys: Iterable<TufKey>): void => {
    for (const { publicKey } of keys) if (publicKey !== undefined) known.add(hexEncode(publicKey.spki));
  };
  if (base === undefined) return known;
  add(base.root.signed.keys.values());
  for (const { signed } of base.targets.values()) add(signed.delegations?.keys.values() ?? []);
  return known;
}

/** A targets document with nothing in it; version and expiry come with its signature. */
export function emptyTargets(): Targets {
  return {
    type: "targets",
    version: 0,
    specVersion: SPEC_VERSION,
    expires: new Date(0),
    targets: new Map(),
    extra: {},
  };
}

export function emptyDelegations(): Delegations {
  return { keys: new Map(), roles: [], extra: {} };
}

/** The error of a role that cannot take a change. */
export function refused(role: string, reason: string, hint: string): TrustError {
  return new TrustError("DELEGATION_REFUSED", `nothing can be signed as ${role}: ${reason}`, { role, hint });
}

/** Who may sign a name: the roles that are asked for it, in order, and who answers. */

/** A key that may sign for a role, whether it has or not. */
export interface AuthorityKey {
  /** As the metadata lists it. */
  readonly keyId: string;
  /** Lower-case hex sha256 of its SubjectPublicKeyInfo DER; undefined for keys of an unknown kind. */
  readonly fingerprint: string | undefined;
  /** The id under which key stores keep its private half. */
  readonly storedAs: string | undefined;
  /** Who it belongs to, as the collection says. */
  readonly owner?: string | undefined;
}

/**
 * - `answers`: the first role with an entry for the name: what it says counts
 * - `silent`: is asked before that, or nobody has an entry, and has none
 * - `unusable`: is asked, and its metadata cannot be relied on, so that there is no answer
 * - `shadowed`: comes after the one that answers; counts once that one has no entry any more
 * - `never-asked`: may sign the name as its delegator says, but readers do not get to it
 */
export type AuthorityState = "answers" | "silent" | "unusable" | "shadowed" | "never-asked";

/** A role that is allowed to sign a name. */
export interface Authority {
  readonly role: string;
  /** Who delegates the name to it; undefined for the role that root names. */
  readonly delegator: string | undefined;
  /** Patterns (TUF) or prefixes (Notary) that it was delegated; undefined for all names. */
  readonly paths: readonly string[] | undefined;
  readonly terminating: boolean;
  readonly threshold: number;
  readonly keys: readonly AuthorityKey[];
  readonly state: AuthorityState;
  /** The role because of which it is shadowed or never asked. */
  readonly because: string | undefined;
  /** Its own entry for the name, hidden or not: lower-case hex of the hash, sha256 before sha512. */
  readonly signs: string | undefined;
  /** Why it is unusable. */
  readonly fault: string | undefined;
}

/**
 * What the holders of a collection's keys can do with it besides signing targets, in whatever place its trust data is.
 * Commands know this interface; what only one kind of source can do is in its own class.
 */
import type { KeyStatus as NotaryKeyStatus, RoleStatus as NotaryRoleStatus } from "../notary/status.ts";
import type { StagedReview } from "../tuf/staged.ts";
import type { Pin } from "./pin.ts";
import type { TrustedCollection, TrustSource } from "./source.ts";

/** How a collection is reached. */
export interface ReachOptions {
  readonly pin?: Pin | undefined;
  /** Whether an existing collection that was never seen here may be trusted as it is; `refuse` unless told. */
  readonly firstUse?: "accept" | "refuse" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A role's key. */
export interface KeyStatus extends NotaryKeyStatus {
  /** Who it belongs to, where the collection says so. */
  readonly owner?: string | undefined;
}

export interface RoleStatus extends Omit<NotaryRoleStatus, "keys"> {
  readonly keys: readonly KeyStatus[];
}

export interface CollectionStatus {
  readonly collection: string;
  readonly source: TrustSource["kind"];
  readonly location: string;
  readonly roles: readonly RoleStatus[];
  /** True where any role has expired. */
  readonly expired: boolean;
  /** What waits for signatures; undefined where nothing does. */
  readonly staged?: StagedReview | undefined;
  readonly warnings: readonly string[];
}

/** What a change of a collection's roles and keys led to. */
export interface Administered {
  /** The state that is served now, read back and verified. */
  readonly collection: Pick<TrustedCollection, "name" | "roles" | "rootKeys">;
  /** Roles that were signed and published; empty where everything was so already. */
  readonly published: readonly string[];
  /** What the caller should know, e.g. keys that must be brought along. */
  readonly warnings: readonly string[];
}

/** A change that waits for signatures instead of being published. */
export interface Staged {
  readonly staged: StagedReview;
}

export interface RoleExpiry {
  readonly role: string;
  readonly expires: Date;
  /** What is in the way of signing it here. */
  readonly reason: string;
}

export interface RepairOptions extends ReachOptions {
  /** Sign what expires within so many days, too. */
  readonly withinDays?: number | undefined;
}

export interface UndelegateOptions extends ReachOptions {
  readonly role: string;
  /** Keys to take away. Without keys and paths the whole role is deleted. */
  readonly keyIds?: readonly string[] | undefined;
  readonly paths?: readonly string[] | undefined;
}

/**
 * Obligations: nothing is published that clients would refuse; a change that fails leaves what is served as it was; a
 * change to what is already so publishes nothing.
 */
export interface Administration {
  readonly location: string;
  /** Tells every role's version, expiry and keys, also of a collection that has expired. */
  status(collection: string, options: ReachOptions): Promise<CollectionStatus>;
  /** Signs again what has expired, as far as the keys at hand go. */
  repair(
    collection: string,
    options: RepairOptions,
  ): Promise<Administered & { readonly remaining: readonly RoleExpiry[] }>;
  /** Signs roles again as they are. */
  witness(
    collection: string,
    options: ReachOptions & { readonly roles: readonly string[] },
  ): Promise<Administered | Staged>;
  /** Takes keys or paths away from a delegation, or deletes it. */
  undelegate(collection: string, options: UndelegateOptions): Promise<Administered | Staged>;
  /** Forgets a collection here, so that the next contact is the first again. Private keys stay. */
  remove(
    collection: string,
    options: { readonly remote?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
}

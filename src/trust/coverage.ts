/** Which collection answers for a reference, and why: the outcome of policy, pins, first-use records and flags. */
import type { Freshness } from "../tuf/client.ts";
import type { Floors } from "./lock/floors.ts";
import type { Pin } from "./pin.ts";
import type { TrustRules } from "./policy/rules.ts";
import type { TrustSource } from "./source.ts";

export interface Coverage {
  readonly source: TrustSource;
  /** The collection to ask, e.g. `acme/app`; for Notary a GUN, `ghcr.io/acme/app`. */
  readonly collection: string;
  /**
   * What stands before a tag in the collection's names: nothing where it is one repository's, `team/app/` where many
   * share it. Undefined where names are no paths (Notary).
   */
  readonly prefix?: string | undefined;
  /** What decided: a policy, a pin, the record of a first use, the caller's flags, or a lockfile where nothing else did. */
  readonly reason: "policy" | "pin" | "first-use-record" | "flags" | "lock";
  readonly pin?: Pin | undefined;
  /** Whether the first root ever seen may be trusted. Never unless the caller said so. */
  readonly firstUse: "accept" | "refuse";
  /** How current trust data must be; what the source was made with unless told. */
  readonly freshness?: Freshness | undefined;
  /** Versions below which a role is refused, whatever this machine has seen: from a lockfile. */
  readonly floors?: Floors | undefined;
  /** What a policy demands besides signatures. */
  readonly rules?: TrustRules | undefined;
}

/** The signed name of a tag. */
export function targetName({ prefix }: Pick<Coverage, "prefix">, tag: string): string {
  return `${prefix ?? ""}${tag}`;
}

/** The tag that a signed name is for; undefined where it is another repository's. */
export function tagOf({ prefix }: Pick<Coverage, "prefix">, name: string): string | undefined {
  if (prefix === undefined) return name;
  const tag = name.startsWith(prefix) ? name.slice(prefix.length) : "/";
  return tag.includes("/") ? undefined : tag;
}

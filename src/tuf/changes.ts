/** What publishers do to a TUF collection, as data. */
import type { JsonValue } from "../base/json.ts";
import type { TufKey } from "./keys.ts";
import type { Periods } from "./periods.ts";
import type { Hashes } from "./schema.ts";

/** What a target is. */
export interface TargetContent {
  /** In bytes. */
  readonly length: number;
  /** Lower-case hex; sha256, sha512 or both. */
  readonly hashes: Hashes;
  readonly custom?: JsonValue | undefined;
}

export type TufChange =
  | { readonly action: "add"; readonly role: string; readonly name: string; readonly content: TargetContent }
  | { readonly action: "remove"; readonly role: string; readonly name: string }
  /** Lets keys sign for names: a new role with these keys and patterns, or more of them for one that exists. */
  | {
      readonly action: "delegate";
      readonly delegator: string;
      readonly role: string;
      readonly keys: readonly TufKey[];
      /** Path patterns; see `prefixPatterns` for "all below". */
      readonly paths: readonly string[];
      /** Signatures needed; 1 for a new role unless told. */
      readonly threshold?: number | undefined;
      /** Whether nobody else is asked for a name that the role covers and does not have; false unless told. */
      readonly terminating?: boolean | undefined;
    }
  /** Ends a delegation, or takes patterns away from it. */
  | {
      readonly action: "undelegate";
      readonly delegator: string;
      readonly role: string;
      /** All of it unless told. */
      readonly paths?: readonly string[] | undefined;
    }
  /** Spreads all targets of a role over 2^bitLength bins (TAP 15). */
  | {
      readonly action: "bins";
      readonly delegator: string;
      readonly namePrefix: string;
      readonly bitLength: number;
      readonly keys: readonly TufKey[];
      readonly threshold: number;
    }
  /** Changes who signs for a role, and how many must; for a hash bin: for all bins of its delegator. */
  | {
      readonly action: "keys";
      readonly role: string;
      /** For delegated roles, where more than one delegates to it. */
      readonly delegator?: string | undefined;
      readonly add?: readonly TufKey[] | undefined;
      /** Ids as the metadata lists them. */
      readonly remove?: readonly string[] | undefined;
      readonly threshold?: number | undefined;
    }
  | { readonly action: "periods"; readonly role: string; readonly periods: Periods }
  /** Signs a role again, as it is. */
  | { readonly action: "renew"; readonly role: string }
  /** After a compromise that pushed versions up: timestamp, snapshot or targets start again at a low one. */
  | { readonly action: "reset-version"; readonly role: "timestamp" | "snapshot" | "targets" };

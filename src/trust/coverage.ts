/** Which collection answers for a reference, and why: the outcome of flags, pins and first-use records. */
import type { Pin } from "./pin.ts";
import type { TrustSource } from "./source.ts";

export interface Coverage {
  readonly source: TrustSource;
  /** The collection to ask, e.g. `ghcr.io/acme/app` (a Notary GUN). */
  readonly collection: string;
  /** What decided: the caller's flags, a pin, or the record of a first use. */
  readonly reason: "flags" | "pin" | "first-use-record";
  readonly pin?: Pin | undefined;
  /** Whether the first root ever seen may be trusted. Never unless the caller said so. */
  readonly firstUse: "accept" | "refuse";
}

/**
 * What a verification found: the one object that `pull` and `verify` return, that `--format json` prints and
 * that the short list for people is made from.
 */
import type { Digest } from "../base/digest.ts";
import type { Contract } from "./contract/contract.ts";
import type { KeyReport, RoleReport } from "./source.ts";

/**
 * - `artifact`: the manifest is signed, and so the module, its config and annotations
 * - `module`: the module's bytes are signed, the manifest around them is not
 * - `none`: nothing was checked but the registry's own digests
 */
export type Verified = "artifact" | "module" | "none";

/** One check that was made and passed. Checks that fail end in an error, never in a report. */
export interface Check {
  /** Stable name, e.g. `root-trusted`, `timestamp-fresh`, `target-signed`, `tag-agrees`, `module-digest`. */
  readonly check: string;
  /** What was compared, for people. */
  readonly detail: string;
}

/** Something to know that is not a failure. */
export interface Note {
  /** Stable name, e.g. `unverified`, `first-use`, `publish-under-way`, `artifact-not-signed`, `near-expiry`. */
  readonly code: string;
  readonly message: string;
}

export interface TrustReport {
  readonly source: "notary" | "tuf" | "oci" | "bundle";
  readonly location: string;
  readonly collection: string;
  /** The signed name that was looked up. */
  readonly target: string;
  /** The role that signed the mapping. */
  readonly role: string;
  readonly rootKeys: readonly KeyReport[];
  readonly firstUse: boolean;
  readonly roles: readonly RoleReport[];
  /** When the source was last asked and everything verified; before this run where it was offline. Absent if unknown. */
  readonly asOf?: Date | undefined;
  /** The earliest expiry among the roles used. */
  readonly freshUntil: Date;
}

export interface VerificationReport {
  /** The reference in full, e.g. `ghcr.io/acme/app:v1`. */
  readonly reference: string;
  readonly verified: Verified;
  readonly module: { readonly digest: Digest; readonly size: number };
  /** The manifest that the reference named; undefined where only a local file was compared. */
  readonly artifact: { readonly digest: Digest; readonly format: string } | undefined;
  /** Undefined where nothing was verified. */
  readonly trust: TrustReport | undefined;
  /** What the module was signed to import and export, and does; absent where nobody signed that. */
  readonly contract?: Contract | undefined;
  readonly checks: readonly Check[];
  readonly notes: readonly Note[];
}

/** What the verbs of {@link TufAdministration} take and give. */
import type { Clock } from "../../base/runtime.ts";
import type { KeyStore } from "../../keys/key-store.ts";
import type { PassphraseProvider } from "../../keys/signer.ts";
import type { Periods } from "../../tuf/periods.ts";
import type { MetadataType } from "../../tuf/schema.ts";
import type { Administered, ReachOptions } from "../administration.ts";
import type { KeyChoice } from "../key-choice.ts";
import type { KeyReport } from "../source.ts";
import type { TufPublisher } from "./publisher.ts";
import type { TufSource } from "./source.ts";

export interface TufAdministrationOptions {
  readonly source: TufSource;
  /** Without it the collection can be looked at, not changed. */
  readonly publisher: TufPublisher | undefined;
  readonly keyStore: KeyStore;
  readonly passphrases: PassphraseProvider;
  /** Where the keys are, for people. */
  readonly keyLocation: string;
  readonly now: Clock;
}

/** How a change is made. */
export interface ChangeOptions extends ReachOptions {
  /** Leave it for others to sign, instead of publishing it. */
  readonly stage?: boolean | undefined;
}

/** Who signs for a role of a new collection. */
export interface RoleChoice {
  /** A new key unless given; for root the only one here, if there is one. */
  readonly keys?: readonly KeyChoice[] | undefined;
  readonly threshold?: number | undefined;
  readonly periods?: Periods | undefined;
}

export interface InitOptions extends ChangeOptions {
  readonly roles?: Partial<Readonly<Record<MetadataType, RoleChoice>>> | undefined;
}

export interface TufDelegateOptions extends ChangeOptions {
  readonly role: string;
  readonly keys: readonly KeyChoice[];
  /** Prefixes that end with a slash, the empty one for every name, or path patterns. */
  readonly paths: readonly string[];
  /** Signatures needed; 1 for a new role unless told. */
  readonly threshold?: number | undefined;
  /** Ask nobody else for names that the role covers. */
  readonly terminating?: boolean | undefined;
  /** Spread the delegator's targets over 2^bits hash bins; `role` is what their names begin with. */
  readonly bits?: number | undefined;
  /** `targets` unless told. */
  readonly delegator?: string | undefined;
  /** Whether the keys may publish alone, by signing snapshot and timestamp too. */
  readonly mayPublish: boolean;
}

export interface ThresholdOptions extends ChangeOptions {
  readonly role: string;
  readonly threshold: number;
  /** Keys to add to the role at the same time. */
  readonly add?: readonly KeyChoice[] | undefined;
}

export interface PeriodsOptions extends ChangeOptions {
  readonly role: string;
  readonly periods: Periods;
}

export interface TufRotateOptions extends ChangeOptions {
  readonly role: string;
  /** A new key unless given. */
  readonly add?: readonly KeyChoice[] | undefined;
  /** Names of the keys to replace: owner, or first digits; the only one, or the only one here, unless given. */
  readonly remove?: readonly string[] | undefined;
  /** Delete the private keys that were replaced, instead of keeping them as backups. */
  readonly deleteOld?: boolean | undefined;
}

export interface RevokeKeyOptions extends ChangeOptions {
  /** Its owner, or the first digits of its fingerprint or id. */
  readonly key: string;
  readonly replacement?: KeyChoice | undefined;
  /** The key was stolen: versions of snapshot and timestamp that it may have pushed up start anew. */
  readonly compromised?: boolean | undefined;
}

/** Keys that came and went. */
export interface KeyExchange {
  readonly newKeys: readonly KeyReport[];
  readonly oldKeys: readonly KeyReport[];
  /** Files of replaced private keys that were taken out of use. Root keys stay: other collections may have the same. */
  readonly backups: readonly string[];
}

export interface Refreshed extends Administered {
  /** Until when everything verifies without another signature. */
  readonly freshUntil: Date;
}

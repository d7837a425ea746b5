/**
 * How long signatures are good for, and when to renew them. Kept in the metadata itself, in the fields of tuf-on-ci, so
 * that any signer can sign again without a configuration file: for timestamp and snapshot in root's entry of the role,
 * for all others in their own document.
 */
import { UsageError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import type { ExtraFields, Root, Signed } from "./schema.ts";

export const DAY_MS = 86_400_000;
/** Ten years: more is a way to forget that a role exists. */
const MAX_DAYS = 3650;

const EXPIRY = "x-tuf-on-ci-expiry-period";
const SIGNING = "x-tuf-on-ci-signing-period";

/** In days. */
export interface Periods {
  /** From a signature to its expiry. */
  readonly expiry: number;
  /** Before expiry: from then on the role should be signed again. */
  readonly signing: number;
}

/** Offline roles a year, online ones a month: somebody or something must sign them that often. */
const DEFAULT_PERIODS = {
  root: { expiry: 365, signing: 60 },
  targets: { expiry: 365, signing: 60 },
  snapshot: { expiry: 30, signing: 10 },
  timestamp: { expiry: 30, signing: 10 },
} as const satisfies Record<Signed["type"], Periods>;

/** The periods of a role, or the usual ones. @param own the role's document; of no use for timestamp and snapshot */
export function periodsOf(type: Signed["type"], root: Root, own: Signed | undefined): Periods {
  const extra = fieldsOf(type, root, own);
  const { expiry, signing } = DEFAULT_PERIODS[type];
  const given = days(extra?.[EXPIRY]);
  return {
    expiry: given ?? expiry,
    signing: days(extra?.[SIGNING]) ?? Math.min(signing, Math.floor((given ?? expiry) / 2)),
  };
}

/**
 * When a role should be signed again, as its publisher has said it.
 *
 * @returns undefined where the metadata does not say: how long others sign for is their own affair
 */
export function statedRenewal(root: Root, own: Signed): Date | undefined {
  const signing = days(fieldsOf(own.type, root, own)?.[SIGNING]);
  return signing === undefined ? undefined : new Date(own.expires.getTime() - signing * DAY_MS);
}

function fieldsOf(type: Signed["type"], root: Root, own: Signed | undefined): ExtraFields | undefined {
  const online = type === "timestamp" || type === "snapshot";
  return online ? root.roles.get(type)?.extra : own?.extra;
}

/** Fields with other periods in them. @throws {UsageError} USAGE */
export function withPeriods(role: string, extra: ExtraFields, { expiry, signing }: Periods): ExtraFields {
  if (days(expiry) !== expiry || days(signing) !== signing || signing >= expiry) {
    throw new UsageError("USAGE", `${role} cannot expire after ${expiry} days and be due ${signing} days before`, {
      hint: `Whole days from 1 to ${MAX_DAYS}, and fewer for signing again than for the expiry`,
      details: { role, expiry, signing },
    });
  }
  const fields: JsonObject = { ...extra, [EXPIRY]: expiry, [SIGNING]: signing };
  return fields;
}

/** When a signature of today ends: whole seconds, as metadata has them. */
export function expiryAfter(now: Date, { expiry }: Periods): Date {
  return new Date(Math.floor(now.getTime() / 1000) * 1000 + expiry * DAY_MS);
}

/** Tells whether a role should be signed again by now. */
export function isDue(expires: Date, { signing }: Periods, now: Date): boolean {
  return expires.getTime() - now.getTime() <= signing * DAY_MS;
}

function days(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= MAX_DAYS
    ? value
    : undefined;
}

/** What a new collection's roles are like: keys, thresholds and lifetimes, one option each, by role. */
import { UsageError } from "../base/errors.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { KeyAlgorithmName } from "../keys/private-key.ts";
import type { KeyChoice } from "../trust/key-choice.ts";
import type { RoleChoice } from "../trust/tuf/administration-options.ts";
import type { Periods } from "../tuf/periods.ts";
import { TOP_LEVEL_ROLES, type MetadataType } from "../tuf/schema.ts";
import { parseDuration } from "./duration.ts";
import { KEY_FORMS, readKeyChoice, splitAssignment } from "./key-choice-option.ts";
import { integer, list, oneOf } from "./options.ts";

const DAY_MS = 86_400_000;
/** Of an expiry period, where nothing says when to sign again. */
const USUAL_SHARE = 1 / 3;

const topLevelRole = oneOf(TOP_LEVEL_ROLES);

interface ForRoles<T> {
  readonly roles: readonly MetadataType[];
  readonly value: T;
}

export const roleOptions = {
  keys: list("--key ROLE=KEY", `who signs for a role: ${KEY_FORMS}`, (text) => assigned(text, (value) => value)),
  thresholds: list("--threshold ROLE=N", "how many of a role's keys must sign (default: 1)", (text) =>
    assigned(text, integer(1, 64)),
  ),
  expiries: list(
    "--expiry ROLE=TIME[/TIME]",
    "how long a role's signatures last, and how long before their end they are due again, e.g. timestamp=7d/2d",
    (text) => assigned(text, parsePeriods),
  ),
};

/** Turns the options of `trust init` into roles. @throws {UsageError} USAGE, {TrustError} KEY_MISSING */
export async function readRoles(
  store: KeyStore,
  given: {
    readonly keys: readonly ForRoles<string>[];
    readonly thresholds: readonly ForRoles<number>[];
    readonly expiries: readonly ForRoles<Periods>[];
    readonly algorithm: KeyAlgorithmName;
    readonly rootKey: string | undefined;
  },
): Promise<Partial<Record<MetadataType, RoleChoice>>> {
  const roles: Partial<Record<MetadataType, RoleChoice>> = {};
  const keys = new Map<MetadataType, KeyChoice[]>();
  const root = given.rootKey === undefined ? [] : [{ roles: ["root"] as const, value: given.rootKey }];
  for (const { roles: names, value } of [...root, ...given.keys]) {
    const choices = await readKeyChoice(store, value, given.algorithm);
    for (const name of names) keys.set(name, [...(keys.get(name) ?? []), ...choices]);
  }
  for (const [name, choices] of keys) roles[name] = { keys: choices };
  for (const { roles: names, value: threshold } of given.thresholds) {
    for (const name of names) roles[name] = { ...roles[name], threshold };
  }
  for (const { roles: names, value: periods } of given.expiries) {
    for (const name of names) roles[name] = { ...roles[name], periods };
  }
  return roles;
}

/** Reads `30d/10d`: both in whole days. @throws {UsageError} USAGE */
export function parsePeriods(text: string): Periods {
  const [first = "", second, ...rest] = text.split("/");
  const expiry = parseDuration(first) / DAY_MS;
  const signing = second === undefined ? Math.max(1, Math.floor(expiry * USUAL_SHARE)) : parseDuration(second) / DAY_MS;
  if (rest.length === 0 && Number.isInteger(expiry) && Number.isInteger(signing) && signing < expiry) {
    return { expiry, signing };
  }
  throw new UsageError("USAGE", `${JSON.stringify(text)} is no lifetime of signatures`, {
    hint: "Write whole days, the shorter time last, for example 30d/10d",
  });
}

function assigned<T>(text: string, parse: (value: string) => T): ForRoles<T> {
  const { names, value } = splitAssignment(text);
  return { roles: names.map(topLevelRole), value: parse(value) };
}

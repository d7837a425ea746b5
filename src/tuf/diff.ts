/**
 * What changes from one document to the next, for the people who are asked to sign it: keys and thresholds, who may
 * sign what, targets with their digests. Nothing that is signed is left out.
 */
import { escapeTerminal } from "../base/terminal-text.ts";
import type { JsonValue } from "../base/json.ts";
import { canonicalJson } from "./canonical-json.ts";
import { identifyKey } from "./requirement-text.ts";
import type { TufKey } from "./keys.ts";
import type { Delegations, ExtraFields, RoleKeys, Root, TargetFile, Targets } from "./schema.ts";
import { sameTarget } from "./target-file.ts";
import { formatTime } from "./time.ts";

/** One thing that a signature would change. */
export interface Difference {
  readonly kind: "added" | "removed" | "changed";
  /** For people; text from the documents is made harmless. */
  readonly text: string;
}

/**
 * Compares a document with the one that it follows.
 *
 * @param before undefined where there is none
 */
export async function diffDocuments(before: Root | Targets | undefined, after: Root | Targets): Promise<Difference[]> {
  const found = new Differences();
  found.value("version", before?.version, after.version);
  found.value("expires", before && formatTime(before.expires), formatTime(after.expires));
  found.value("spec_version", before?.specVersion, after.specVersion);
  found.extra("", before?.extra ?? {}, after.extra);
  if (after.type === "root") await diffRoot(found, before?.type === "root" ? before : undefined, after);
  else await diffTargets(found, before?.type === "targets" ? before : undefined, after);
  return found.list;
}

async function diffRoot(found: Differences, before: Root | undefined, after: Root): Promise<void> {
  found.value("consistent_snapshot", before?.consistentSnapshot, after.consistentSnapshot);
  await diffKeys(found, before?.keys, after.keys);
  await found.roles(before?.roles ?? new Map(), after.roles, before?.keys, after.keys);
}

async function diffTargets(found: Differences, before: Targets | undefined, after: Targets): Promise<void> {
  for (const [name, file] of after.targets) {
    const former = before?.targets.get(name);
    if (former === undefined) found.add(`target ${shown(name)} ${content(file)}`);
    else if (!sameTarget(former, file)) found.change(`target ${shown(name)} ${content(former)} → ${content(file)}`);
    found.extra(`target ${shown(name)}: `, former?.extra ?? {}, file.extra);
  }
  for (const [name, file] of before?.targets ?? []) {
    if (!after.targets.has(name)) found.remove(`target ${shown(name)} ${content(file)}`);
  }
  await diffDelegations(found, before?.delegations, after.delegations);
}

async function diffDelegations(
  found: Differences,
  before: Delegations | undefined,
  after: Delegations | undefined,
): Promise<void> {
  await diffKeys(found, before?.keys, after?.keys ?? new Map());
  found.extra("delegations: ", before?.extra ?? {}, after?.extra ?? {});
  await found.roles(rolesOf(before), rolesOf(after), before?.keys, after?.keys ?? new Map());
  const former = new Map(before?.roles.map((role) => [role.name, role]));
  for (const role of after?.roles ?? []) {
    const name = `delegation ${shown(role.name)}`;
    const old = former.get(role.name);
    found.set(`${name} path`, old?.paths ?? [], role.paths ?? [], shown);
    found.set(`${name} hash prefix`, old?.pathHashPrefixes ?? [], role.pathHashPrefixes ?? [], shown);
    found.value(`${name} terminating`, old?.terminating, role.terminating);
  }
  found.value("order of delegations", orderOf(before), orderOf(after));
  found.value("hash bins", binsOf(before), binsOf(after));
}

/** The keys themselves: an id says nothing of the key under it. */
async function diffKeys(
  found: Differences,
  before: ReadonlyMap<string, TufKey> | undefined,
  after: ReadonlyMap<string, TufKey>,
): Promise<void> {
  for (const [id, key] of after) {
    const former = before?.get(id);
    const text = await identifyKey(key);
    if (former === undefined) {
      found.add(`key ${text}`);
      continue;
    }
    const formerText = await identifyKey(former);
    if (formerText === text) found.value(`fields of key ${text}`, json(former.json), json(key.json));
    else found.change(`key ${shown(id)}: ${formerText} → ${text}`);
  }
  for (const [id, key] of before ?? []) if (!after.has(id)) found.remove(`key ${await identifyKey(key)}`);
}

class Differences {
  readonly list: Difference[] = [];

  add(text: string): void {
    this.list.push({ kind: "added", text });
  }

  remove(text: string): void {
    this.list.push({ kind: "removed", text });
  }

  change(text: string): void {
    this.list.push({ kind: "changed", text });
  }

  value(what: string, before: Value, after: Value): void {
    if (before === after) return;
    if (before === undefined) this.add(`${what} ${String(after)}`);
    else if (after === undefined) this.remove(`${what} ${String(before)}`);
    else this.change(`${what} ${String(before)} → ${String(after)}`);
  }

  set(what: string, before: readonly string[], after: readonly string[], show: (text: string) => string): void {
    for (const text of after) if (!before.includes(text)) this.add(`${what} ${show(text)}`);
    for (const text of before) if (!after.includes(text)) this.remove(`${what} ${show(text)}`);
  }

  /** Fields that are not known to us are signed like any other. */
  extra(what: string, before: ExtraFields, after: ExtraFields): void {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const [old, fresh] = [before[name], after[name]].map((value) => (value === undefined ? undefined : json(value)));
      this.value(`${what}${shown(name)}`, old, fresh);
    }
  }

  async roles(
    before: ReadonlyMap<string, RoleKeys>,
    after: ReadonlyMap<string, RoleKeys>,
    formerKeys: ReadonlyMap<string, TufKey> | undefined,
    keys: ReadonlyMap<string, TufKey>,
  ): Promise<void> {
    for (const [name, role] of after) {
      const former = before.get(name);
      if (former === undefined) this.add(`role ${shown(name)}`);
      this.value(`role ${shown(name)} threshold`, former?.threshold, role.threshold);
      this.extra(`role ${shown(name)}: `, former?.extra ?? {}, role.extra);
      const old = await Promise.all((former?.keyIds ?? []).map((id) => keyNamed(id, formerKeys)));
      const fresh = await Promise.all(role.keyIds.map((id) => keyNamed(id, keys)));
      this.set(`role ${shown(name)} signer`, old, fresh, (text) => text);
    }
    for (const name of before.keys()) if (!after.has(name)) this.remove(`role ${shown(name)}`);
  }
}

type Value = string | number | boolean | undefined;

async function keyNamed(id: string, keys: ReadonlyMap<string, TufKey> | undefined): Promise<string> {
  const key = keys?.get(id);
  return key === undefined ? `unknown key ${shown(id)}` : identifyKey(key);
}

function rolesOf(delegations: Delegations | undefined): Map<string, RoleKeys> {
  const roles = new Map<string, RoleKeys>(delegations?.roles.map((role) => [role.name, role]));
  const { succinct } = delegations ?? {};
  return succinct === undefined ? roles : roles.set(`${succinct.namePrefix}-*`, succinct);
}

function orderOf(delegations: Delegations | undefined): string | undefined {
  const names = delegations?.roles.map(({ name }) => shown(name)) ?? [];
  return names.length < 2 ? undefined : names.join(" ");
}

function binsOf(delegations: Delegations | undefined): string | undefined {
  const { succinct } = delegations ?? {};
  return succinct && `2^${succinct.bitLength} named ${shown(succinct.namePrefix)}`;
}

function content({ length, hashes, custom }: TargetFile): string {
  const digests = Object.entries(hashes).map(([algorithm, hash]) => `${escapeTerminal(algorithm)}:${hash}`);
  const said = custom === undefined ? "" : ` ${json(custom)}`;
  return `${length} bytes ${digests.join(" ")}${said}`;
}

/** Whole, however long: what is cut off is signed, too. */
function json(value: JsonValue): string {
  return escapeTerminal(canonicalJson(value));
}

function shown(text: string): string {
  return JSON.stringify(escapeTerminal(text));
}

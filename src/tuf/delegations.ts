/**
 * Which role answers for a target's name: path patterns, hash prefixes, hash bins (TAP 15) and the order of the
 * search. Pure: the caller brings the roles' metadata (specification §5.6.7).
 */
import { hexEncode, utf8Encode } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import type { Delegations, RoleKeys, SuccinctRoles, TargetFile, Targets } from "./schema.ts";

/** Delegated roles visited for one name; the limit of every other client too. A longer search is an attack. */
export const MAX_VISITED_ROLES = 32;

/** A delegation that covers a name. */
export interface Delegation {
  readonly name: string;
  readonly terminating: boolean;
  /** Who must have signed the role's metadata, as its delegator says. */
  readonly role: RoleKeys;
}

/**
 * Tells whether a pattern covers a path. Both have the same number of parts between slashes; within a part `*` is
 * any run of characters and `?` is one. Everything else stands for itself, on every platform, case and dots included.
 *
 * @example
 * ```ts
 * matchesPattern("team/*.wasm", "team/app.wasm"); // true
 * matchesPattern("team/*", "team/app/v1"); // false
 * ```
 */
export function matchesPattern(pattern: string, path: string): boolean {
  const patternParts = pattern.split("/");
  const pathParts = path.split("/");
  return (
    patternParts.length === pathParts.length &&
    patternParts.every((part, index) => matchesPart(part, pathParts[index]!))
  );
}

/** Greedy with one way back, to the last star: linear for what people write, at worst the product of the lengths. */
function matchesPart(pattern: string, text: string): boolean {
  const wanted = Array.from(pattern); // by code point: `?` is one emoji, not half of one
  const given = Array.from(text);
  let at = 0;
  let star = -1;
  let mark = 0;
  for (let i = 0; i < given.length;) {
    if (wanted[at] === "*") {
      star = at++;
      mark = i;
    } else if (wanted[at] === "?" || wanted[at] === given[i]) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++mark;
    } else {
      return false;
    }
  }
  while (wanted[at] === "*") at++;
  return at === wanted.length;
}

/** Lower-case hex sha256 of a target's name: what prefixes and bins go by. */
export async function pathHash(path: string): Promise<string> {
  return hexEncode(await hashBytes("sha256", utf8Encode(path)));
}

/** The bin that a name falls in. @param hash of {@link pathHash} */
export function binName({ bitLength, namePrefix }: SuccinctRoles, hash: string): string {
  const first32 = Number.parseInt(hash.slice(0, 8), 16);
  const bin = Math.floor(first32 / 2 ** (32 - bitLength));
  return `${namePrefix}-${bin.toString(16).padStart(Math.ceil(bitLength / 4), "0")}`;
}

/** Every bin, in order. */
export function* binNames({ bitLength, namePrefix }: SuccinctRoles): Generator<string> {
  const digits = Math.ceil(bitLength / 4);
  for (let bin = 0; bin < 2 ** bitLength; bin++) yield `${namePrefix}-${bin.toString(16).padStart(digits, "0")}`;
}

/** The delegations that cover a name, in order; none after a terminating one. */
export function delegationsFor(delegations: Delegations, path: string, hash: string): Delegation[] {
  const { roles, succinct } = delegations;
  if (succinct !== undefined) return [{ name: binName(succinct, hash), terminating: true, role: succinct }];
  const found: Delegation[] = [];
  for (const role of roles) {
    const covers =
      role.pathHashPrefixes === undefined
        ? role.paths!.some((pattern) => matchesPattern(pattern, path))
        : role.pathHashPrefixes.some((prefix) => hash.startsWith(prefix));
    if (!covers) continue;
    found.push({ name: role.name, terminating: role.terminating, role });
    if (role.terminating) break;
  }
  return found;
}

/** Finds a role's delegation in its delegator's metadata; undefined where it delegates to no such role. */
export function delegationNamed(delegations: Delegations | undefined, name: string): RoleKeys | undefined {
  const { succinct } = delegations ?? {};
  if (succinct === undefined) return delegations?.roles.find((role) => role.name === name);
  const bin = name.startsWith(`${succinct.namePrefix}-`) ? name.slice(succinct.namePrefix.length + 1) : "";
  const wellFormed = /^[0-9a-f]+$/.test(bin) && bin.length === Math.ceil(succinct.bitLength / 4);
  return wellFormed && Number.parseInt(bin, 16) < 2 ** succinct.bitLength ? succinct : undefined;
}

/** A target as the search found it. */
export interface FoundTarget {
  readonly path: string;
  readonly file: TargetFile;
  /** The role that signed it. */
  readonly role: string;
}

/** A role that a search wants to see, verified for the delegator on the way to it. */
export interface RoleVisit {
  readonly role: string;
  /** Undefined for the role where the search starts. */
  readonly delegator: string | undefined;
}

/**
 * Looks a name up: depth first, in the order of the delegations, each role once, so that circles end. Yields each
 * role that it wants to see and is given its metadata.
 *
 * @param top the role where the search starts
 * @param hash of {@link pathHash}
 * @throws {FormatError} LIMIT_EXCEEDED after {@link MAX_VISITED_ROLES} roles: not the same as "not found"
 */
export function* searchSteps(
  path: string,
  top: string,
  hash: string,
): Generator<RoleVisit, FoundTarget | undefined, Targets> {
  const visited = new Set<string>();
  let queue: RoleVisit[] = [{ role: top, delegator: undefined }];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { role } = next;
    if (visited.has(role)) continue;
    if (visited.size > MAX_VISITED_ROLES) throw tooManyRoles(path);
    visited.add(role);
    const { targets, delegations } = yield next;
    const file = targets.get(path);
    if (file !== undefined) return { path, file, role };
    const covering = delegations === undefined ? [] : delegationsFor(delegations, path, hash);
    if (covering.at(-1)?.terminating === true) queue = []; // nobody else is asked, on any level
    for (const { name } of covering.toReversed()) queue.push({ role: name, delegator: role });
  }
  return undefined;
}

/** Runs {@link searchSteps} with roles that have to be loaded. */
export async function searchTarget(
  path: string,
  top: string,
  load: (visit: RoleVisit) => Promise<Targets>,
): Promise<FoundTarget | undefined> {
  const steps = searchSteps(path, top, await pathHash(path));
  for (let step = steps.next(); ;) {
    if (step.done === true) return step.value;
    step = steps.next(await load(step.value));
  }
}

function tooManyRoles(path: string): FormatError {
  return new FormatError(
    "LIMIT_EXCEEDED",
    `looking for ${JSON.stringify(path)} leads through more than ${MAX_VISITED_ROLES} delegated roles`,
    { hint: "Its publisher must delegate more directly", details: { target: path, limit: MAX_VISITED_ROLES } },
  );
}

/**
 * What a publisher refuses, although some readers would take it: names, patterns and thresholds that clients read in
 * different ways, or that strict ones refuse. Stricter than reading on purpose.
 */
import { hexEncode, utf8Encode } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import type { TufKey } from "./keys.ts";
import { encodeName } from "./names.ts";
import { TOP_LEVEL_ROLES, type DelegatedRole, type RoleKeys, type SuccinctRoles, type TargetFile } from "./schema.ts";

/** Octets of a target's name: what file systems and URLs carry with the hash that repositories put before it. */
const MAX_TARGET_NAME = 1024;
/** Octets of one part of a name, encoded: file names have 255, of which a sha512 and its dot take 129. */
const MAX_NAME_PART = 125;
/** Characters of a role's name: file names have 255 octets, of which version, suffix and temporary names take some. */
const MAX_ROLE_NAME = 180;
/** Bins of one publish; PEP 458 plans 2^14. Each is a document, signed anew when their number changes. */
const MAX_BIT_LENGTH = 14;
/** Keys of one role: a quorum of people, not a directory. */
const MAX_KEYS = 64;
/** Patterns of one delegation: every client tries each for every name. */
const MAX_PATTERNS = 1024;

const ROLE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const HASH = { sha256: /^[0-9a-f]{64}$/, sha512: /^[0-9a-f]{128}$/ } as const;
const ACTIVE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/** Canonical JSON orders these differently in different implementations. */
const ASTRAL = /[\u{10000}-\u{10ffff}]/u;

/** @throws {UsageError} TARGET_NAME_INVALID for a name that some client would not find or fetch */
export function checkTargetName(name: string): void {
  const fault = faultOfPath(name);
  if (fault === undefined) return;
  throw new UsageError("TARGET_NAME_INVALID", `${shown(name)} cannot be published as a target: ${fault}`, {
    hint: `A name has parts between slashes, none of them empty, . or .., and at most ${MAX_TARGET_NAME} bytes`,
    details: { target: name.slice(0, MAX_TARGET_NAME) },
  });
}

/** @throws {UsageError} TARGET_INVALID */
export function checkTargetFile(name: string, { length, hashes }: Pick<TargetFile, "length" | "hashes">): void {
  const fail = (fault: string): never => {
    throw new UsageError("TARGET_INVALID", `${shown(name)} cannot be signed: ${fault}`, { details: { target: name } });
  };
  if (!Number.isSafeInteger(length) || length < 0) fail(`its length is ${length}`);
  const algorithms = Object.keys(hashes);
  if (algorithms.length === 0) fail("it has no hash");
  for (const algorithm of algorithms) {
    if (algorithm !== "sha256" && algorithm !== "sha512") fail(`${shown(algorithm)} is no hash that clients know`);
    else if (!HASH[algorithm].test(hashes[algorithm]!)) fail(`its ${algorithm} is not in lower-case hexadecimal`);
  }
}

/**
 * Checks a pattern of paths: `*` and `?` and nothing else that any client takes for more than itself.
 *
 * @throws {UsageError} USAGE
 */
function checkPattern(pattern: string): void {
  const fault = /[[\]{}]/.test(pattern) ? "clients differ in what brackets mean" : faultOfPath(pattern);
  const leading = /(?:^|\/)[!#]/.test(pattern) ? "clients differ in what a leading ! or # means" : undefined;
  if (fault === undefined && leading === undefined) return;
  throw new UsageError("USAGE", `${shown(pattern)} cannot be published as a path pattern: ${fault ?? leading}`, {
    hint: "A pattern is a name in which * stands for any characters within a part, and ? for one",
  });
}

/**
 * Checks a role's name: characters that are the same in a URL and in a file name, so that any web server finds the
 * file that clients ask for.
 *
 * @throws {UsageError} ROLE_INVALID
 */
function checkRoleName(name: string): void {
  const isReserved = (TOP_LEVEL_ROLES as readonly string[]).includes(name);
  // a name like 1.x could be taken for version 1 of the role x
  if (ROLE_NAME.test(name) && name.length <= MAX_ROLE_NAME && !isReserved && !/^\d+\./.test(name)) return;
  throw new UsageError("ROLE_INVALID", `${shown(name)} cannot name a role`, {
    hint: `Use at most ${MAX_ROLE_NAME} letters, digits, dashes, dots and underscores, beginning with a letter or digit`,
    details: { role: name.slice(0, MAX_ROLE_NAME) },
  });
}

/**
 * Checks that a role can be signed for at all: different keys, at least as many as its threshold.
 *
 * @throws {UsageError} USAGE
 */
export function checkRoleKeys(role: string, { keyIds, threshold }: RoleKeys, keys: ReadonlyMap<string, TufKey>): void {
  const fail = (fault: string, hint: string): never => {
    throw new UsageError("USAGE", `${role} ${fault}`, { hint, details: { role, threshold, keys: keyIds.length } });
  };
  if (keyIds.length === 0) fail("would have no key left", "Add another key first, or remove the delegation");
  if (keyIds.length > MAX_KEYS) fail(`would have ${keyIds.length} keys`, `A role has at most ${MAX_KEYS}`);
  const distinct = new Set<string>();
  for (const id of keyIds) {
    const publicKey = keys.get(id)?.publicKey;
    if (publicKey === undefined) fail(`has the key ${id}, which no client could verify with`, "Use another key");
    else distinct.add(hexEncode(publicKey.spki));
  }
  if (distinct.size < keyIds.length) fail("has one key under two ids", "It counts once: name it once");
  if (Number.isSafeInteger(threshold) && threshold >= 1 && threshold <= distinct.size) return;
  fail(
    `cannot need ${threshold} signatures, it has ${distinct.size} key(s)`,
    "A threshold is from 1 to the number of keys",
  );
}

/** @throws {UsageError} USAGE, ROLE_INVALID */
export function checkDelegation(role: DelegatedRole): void {
  checkRoleName(role.name);
  const patterns = role.paths ?? role.pathHashPrefixes ?? [];
  if (patterns.length === 0 || patterns.length > MAX_PATTERNS) {
    throw new UsageError("USAGE", `${role.name} cannot have ${patterns.length} path patterns`, {
      hint: `Name what it may sign, in 1 to ${MAX_PATTERNS} patterns`,
    });
  }
  for (const pattern of role.paths ?? []) checkPattern(pattern);
}

/** @throws {UsageError} USAGE, ROLE_INVALID */
export function checkBins({ bitLength, namePrefix }: SuccinctRoles): void {
  checkRoleName(`${namePrefix}-0`);
  if (Number.isSafeInteger(bitLength) && bitLength >= 1 && bitLength <= MAX_BIT_LENGTH) return;
  throw new UsageError("USAGE", `2^${bitLength} hash bins cannot be published`, {
    hint: `Use 1 to ${MAX_BIT_LENGTH} bits: so many that about 100 targets fall in each bin`,
  });
}

/**
 * Checks the names of one document against each other: a space or `!` sorts before the quote that ends a key, so
 * that one of the known canonical forms orders `a b` before `a`.
 *
 * @param published names that stand beside each other already, and may go on to
 * @throws {UsageError} TARGET_NAME_INVALID
 */
export function checkNamesTogether(names: ReadonlyMap<string, unknown>, published: ReadonlyMap<string, unknown>): void {
  for (const name of names.keys()) {
    for (let at = name.search(/[ !]/); at >= 0 && at < name.length; at++) {
      const other = name.slice(0, at);
      if ((name[at] !== " " && name[at] !== "!") || !names.has(other)) continue;
      if (published.has(name) && published.has(other)) continue;
      throw new UsageError("TARGET_NAME_INVALID", `${shown(name)} cannot be published beside ${shown(other)}`, {
        hint: "Clients differ in how they order these two; leave out the space or exclamation mark",
      });
    }
  }
}

function faultOfPath(path: string): string | undefined {
  const fault = faultOfText(path);
  if (fault !== undefined) return fault;
  if (utf8Encode(path).length > MAX_TARGET_NAME) return `it is longer than ${MAX_TARGET_NAME} bytes`;
  if (path.includes("\\")) return "it has a backslash";
  for (const part of path.split("/")) {
    if (part === "") return "it has an empty part, or begins or ends with a slash";
    if (part === "." || part === "..") return `it has a part ${part}`;
    if (encodedSize(part) > MAX_NAME_PART) return `a part of it is longer than ${MAX_NAME_PART} bytes in a URL`;
  }
  return undefined;
}

function faultOfText(text: string): string | undefined {
  if (ACTIVE.test(text)) return "it has control or invisible characters";
  if (ASTRAL.test(text)) return "clients differ in how they order characters beyond U+FFFF";
  return text.normalize("NFC") === text ? undefined : "it is not in Unicode normal form C";
}

function encodedSize(text: string): number {
  return encodeName(text).length;
}

function shown(text: string): string {
  return JSON.stringify(escapeUntrusted(text, 80));
}

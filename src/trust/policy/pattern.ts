/**
 * Patterns of a policy: which repositories an entry is for. A pattern is spelled as references are in full,
 * `ghcr.io/acme/app`, in parts between slashes:
 * - `*` stands for any run of characters within one part; in the host it stands alone between its dots, or as the port
 * - `/{rest}` at the end stands for one or more further parts; `{rest}` alone for every repository
 */
import { UsageError } from "../../base/errors.ts";
import { isRepositoryName, parseReference } from "../../oci/reference.ts";
import { globMatches, globOverlap } from "./glob.ts";

/** A host (253), its port and the longest repository (255). */
const MAX_PATTERN_LENGTH = 520;

const REST = "{rest}";

const WILD_HOST = /^(?:\*|[a-z0-9-]+)(?:\.(?:\*|[a-z0-9-]+))*(?::(?:\*|\d{1,5}))?$/;
const WILD_PART = /^[a-z0-9._*-]+$/;

export interface RepositoryPattern {
  /** As it is written in the policy. */
  readonly text: string;
  /** Between the slashes, without `{rest}`. */
  readonly parts: readonly string[];
  readonly hasRest: boolean;
  /** True where a part has a `*`. */
  readonly isWild: boolean;
}

/**
 * Reads a pattern.
 *
 * @throws {UsageError} REFERENCE_INVALID for one that is not well formed, or that no reference in full can match
 */
export function parsePattern(text: string): RepositoryPattern {
  const fault = text.length > MAX_PATTERN_LENGTH ? "it is too long" : faultOf(text);
  if (fault !== undefined) {
    throw new UsageError("REFERENCE_INVALID", `the pattern ${JSON.stringify(text.slice(0, 128))} is wrong: ${fault}`, {
      hint: "Patterns look like ghcr.io/acme/app, ghcr.io/acme/app-*, ghcr.io/acme/{rest} or {rest}",
    });
  }
  const parts = text.split("/");
  const hasRest = parts.at(-1) === REST;
  if (hasRest) parts.pop();
  return { text, parts, hasRest, isWild: parts.some((part) => part.includes("*")) };
}

function faultOf(text: string): string | undefined {
  if (text === REST) return undefined;
  const hasRest = text.endsWith(`/${REST}`);
  const prefix = hasRest ? text.slice(0, -REST.length - 1) : text;
  if (/[{}]/.test(prefix)) return `${REST} stands only once, at the end, after a slash`;
  if (prefix.includes("@")) return "patterns are for repositories, not for digests";
  if (prefix.includes("**")) return "two `*` in a row mean no more than one";
  const [host = "", ...path] = prefix.split("/");
  const fault = hostFault(host) ?? path.map(partFault).find((found) => found !== undefined);
  if (fault !== undefined) return fault;
  if (path.length === 0 && !hasRest) return `it names a host only; ${host}/${REST} is all that it has`;
  if (host === "docker.io" && path.length === 1 && !hasRest) {
    return `in full that is docker.io/library/${path[0] ?? ""}`;
  }
  return undefined;
}

function hostFault(host: string): string | undefined {
  const shown = JSON.stringify(host);
  if (!/[.:*]/.test(host) && host !== "localhost") {
    return `${shown} is not a host; references in full begin with one, on Docker Hub docker.io`;
  }
  if (host.includes("*")) {
    return WILD_HOST.test(host)
      ? undefined
      : `in a host a \`*\` stands alone between dots, or as the port: not ${shown}`;
  }
  const { registry } = registryOf(host) ?? {};
  if (registry === undefined) return `${shown} is not a host`;
  return registry === host ? undefined : `references in full have the host ${registry}, not ${shown}`;
}

function registryOf(host: string): { readonly registry: string } | undefined {
  try {
    return parseReference(`${host}/any/thing`);
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

function partFault(part: string): string | undefined {
  const sound = part.includes("*")
    ? WILD_PART.test(part) && isRepositoryName(part.replaceAll("*", "a"))
    : isRepositoryName(part);
  if (sound) return undefined;
  const hint = part.includes(":") ? "; patterns are for repositories, not for tags" : "";
  return `no repository has the part ${JSON.stringify(part.slice(0, 64))}${hint}`;
}

/**
 * Compares a repository with a pattern.
 *
 * @param parts registry and repository without tag, between the slashes: `["ghcr.io", "acme", "app"]`
 */
export function matchesPattern(pattern: RepositoryPattern, parts: readonly string[]): boolean {
  const { length } = pattern.parts;
  if (pattern.hasRest ? parts.length <= length : parts.length !== length) return false;
  for (let i = 0; i < length; i++) if (!globMatches(pattern.parts[i] ?? "", parts[i] ?? "")) return false;
  return true;
}

/** What `{rest}` stands for in a repository that the pattern matches; undefined where it has none. */
export function restOf(pattern: RepositoryPattern, repository: string): string | undefined {
  return pattern.hasRest ? repository.split("/").slice(pattern.parts.length).join("/") : undefined;
}

/** Tells whether a pattern matches everything that another one matches: the other is as specific or more so. */
export function includes(pattern: RepositoryPattern, other: RepositoryPattern): boolean {
  const { length } = pattern.parts;
  const fewest = other.parts.length + (other.hasRest ? 1 : 0); // {rest} stands for at least one part
  if (pattern.hasRest ? fewest <= length : other.hasRest || fewest !== length) return false;
  // a `*` of the other is a character like any that no name has: only a `*` can match it
  return pattern.parts.every((part, i) => globMatches(part, other.parts[i] ?? ""));
}

/** Gives a repository that both patterns match; undefined where there is none. */
export function overlap(a: RepositoryPattern, b: RepositoryPattern): string | undefined {
  if (differ(a, b)) return undefined;
  const length = Math.max(a.parts.length + (a.hasRest ? 1 : 0), b.parts.length + (b.hasRest ? 1 : 0));
  if ((!a.hasRest && a.parts.length !== length) || (!b.hasRest && b.parts.length !== length)) return undefined;
  const parts: string[] = [];
  for (let i = 0; i < length; i++) {
    const part = globOverlap(a.parts[i] ?? "*", b.parts[i] ?? "*", i === 0 ? "1" : "x");
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return parts.join("/");
}

/** A quick look, since most pairs of a large policy have nothing in common. */
function differ(a: RepositoryPattern, b: RepositoryPattern): boolean {
  const length = Math.min(a.parts.length, b.parts.length);
  for (let i = 0; i < length; i++) {
    const one = a.parts[i] ?? "";
    const other = b.parts[i] ?? "";
    if (one !== other && !one.includes("*") && !other.includes("*")) return true;
  }
  return false;
}

/** Names of roles and targets in URLs and file names: encoded, never used as they are. */
import { UsageError } from "../base/errors.ts";
import type { Hashes } from "./schema.ts";

/** A text that is safe as one part of a path: everything but letters, digits and `_.-~` percent-encoded. */
export function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The file of a role's metadata in a repository, e.g. `3.team%2Fa.json`; without a version `team%2Fa.json`. */
export function metadataFile(role: string, version?: number): string {
  return version === undefined ? `${encodeName(role)}.json` : `${version}.${encodeName(role)}.json`;
}

/**
 * Where a target lies below a repository's base: each part encoded, with the hash before the last one where the
 * repository says so (specification §6.2).
 *
 * @throws {UsageError} TARGET_NAME_INVALID for a path that could lead elsewhere: `..`, `//`, a leading slash
 */
export function targetFile(path: string, hashes: Hashes | undefined): string {
  const parts = path.split("/");
  const unsafe =
    parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\\") || path.includes("\0");
  if (unsafe || /\p{Cs}/u.test(path)) {
    throw new UsageError("TARGET_NAME_INVALID", `${JSON.stringify(path)} cannot be fetched by its name`, {
      hint: "Parts of a target's path must not be empty, . or .., and hold no backslash",
      details: { target: path },
    });
  }
  const encoded = parts.map(encodeName);
  const hash = hashes?.["sha256"] ?? hashes?.["sha512"];
  if (hash !== undefined) encoded.push(`${hash}.${encoded.pop()!}`);
  return encoded.join("/");
}

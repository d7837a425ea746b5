/**
 * How repositories, tags and digests are spelled as file names: one flat name each, the same meaning on file
 * systems that fold case, and nothing that another name could be a prefix of. Reading a name back checks it.
 */
import { isDigest, type Digest } from "../../base/digest.ts";
import { isRepositoryName, isTag } from "../../oci/reference.ts";

/**
 * Longest repository name. With a registry's host and port it makes the 255 that clients take, and a mark
 * fits behind it in a file name.
 */
const MAX_REPOSITORY_BYTES = 229;

/** Tells the repository names that this registry takes. */
export function isStoredRepository(name: string): boolean {
  return name.length <= MAX_REPOSITORY_BYTES && isRepositoryName(name);
}

/** `team/app` becomes `team+app`; a `+` occurs in no name. */
export function repositoryFile(name: string): string {
  return name.replaceAll("/", "+");
}

export function repositoryOfFile(file: string): string | undefined {
  const name = file.replaceAll("+", "/");
  return !file.includes("/") && isStoredRepository(name) ? name : undefined;
}

/**
 * `v1` becomes `v1+`, `V1-RC` becomes `v1-rc+19`: in lower case, then a bit map of the upper-case letters in
 * hexadecimal, the first character being the lowest bit.
 */
export function tagFile(tag: string): string {
  let upper = 0n;
  for (let at = 0; at < tag.length; at++) {
    if (tag[at] !== tag[at]!.toLowerCase()) upper |= 1n << BigInt(at);
  }
  return `${tag.toLowerCase()}+${upper === 0n ? "" : upper.toString(16)}`;
}

export function tagOfFile(file: string): string | undefined {
  const match = /^([^+]+)\+([0-9a-f]{0,32})$/.exec(file);
  if (match === null) return undefined;
  const upper = BigInt(`0x${match[2] === "" ? "0" : match[2]}`);
  const tag = match[1]!.replace(/./g, (letter, at: number) =>
    (upper >> BigInt(at)) & 1n ? letter.toUpperCase() : letter,
  );
  return isTag(tag) && tagFile(tag) === file ? tag : undefined;
}

/** A colon means something else in file names of some systems. */
export function digestFile(digest: Digest): string {
  return digest.replace(":", "-");
}

export function digestOfFile(file: string): Digest | undefined {
  const digest = file.replace("-", ":");
  return isDigest(digest) ? digest : undefined;
}

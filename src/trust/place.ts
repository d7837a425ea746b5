/** Where trust data is, in the words that flags and the pin file have for it. */
import { UsageError } from "../base/errors.ts";
import { shellWord } from "../base/shell-word.ts";
import { quoteAddress } from "../base/untrusted-text.ts";
import { parseReference } from "../oci/reference.ts";
import { repositoryName } from "../oci/tagged-reference.ts";
import type { PinnedSource } from "./pins.ts";
import type { TrustSource } from "./source.ts";

const OCI = "oci:";
const OCI_REPOSITORY = "oci://";
const BUNDLE = "bundle:";

/** Every place but a Notary server's. */
export type TrustPlace = Exclude<PinnedSource, { kind: "notary" }>;

/**
 * A file that has trust data as it was when the file was saved. It is a place for one run and for none to remember:
 * nothing newer is ever found there, so what is pinned to it would stop at the first expiry.
 */
export interface BundlePlace {
  readonly kind: "bundle";
  readonly path: string;
}

/**
 * Reads a place that one run may read from: as {@link parsePlace} does, and `bundle:FILE`.
 *
 * @throws {UsageError} USAGE, REFERENCE_INVALID
 */
export function parseReadablePlace(text: string, toAbsolute: (path: string) => string): TrustPlace | BundlePlace {
  const path = text.startsWith(BUNDLE) ? text.slice(BUNDLE.length) : "";
  return path === "" ? parsePlace(text, toAbsolute) : { kind: "bundle", path: toAbsolute(path) };
}

/**
 * Reads a place: `oci:` (the registry, beside the module), `oci://HOST/REPOSITORY`, the URL of a TUF repository's
 * metadata, or a directory.
 *
 * @param toAbsolute makes an absolute path of a directory's; what is no address stays as it is without it
 * @throws {UsageError} USAGE, REFERENCE_INVALID
 */
export function parsePlace(text: string, toAbsolute: (path: string) => string = (path) => path): TrustPlace {
  if (text === OCI) return { kind: "oci" };
  if (text.startsWith(OCI_REPOSITORY)) return { kind: "oci", repository: trustRepository(text) };
  if (text.startsWith(BUNDLE)) throw noPlaceToKeep(text);
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1];
  if (scheme === undefined && text !== "") return { kind: "tuf", location: toAbsolute(text) };
  if (scheme !== undefined && /^https?$/i.test(scheme) && URL.canParse(text) && new URL(text).username === "") {
    return { kind: "tuf", location: text };
  }
  throw new UsageError("USAGE", `${quoteAddress(text)} is no place for trust data`, {
    hint: "Write oci://HOST/REPOSITORY, the URL of a TUF repository's metadata without a user name, or a directory",
  });
}

function noPlaceToKeep(text: string): UsageError {
  return new UsageError("USAGE", `${quoteAddress(text)} can be read in one run, and neither written nor pinned`, {
    hint:
      "A bundle never learns of anything newer: bring it into a registry with `wasm-to-oci bundle load` and name that, " +
      "or give --trust bundle:FILE to a command that verifies",
  });
}

function trustRepository(text: string): string {
  const reference = parseReference(text.slice(OCI_REPOSITORY.length));
  if (reference.tag === undefined && reference.digest === undefined) return repositoryName(reference);
  throw new UsageError("USAGE", `${quoteAddress(text)} names a tag or a digest, and trust data has its own`, {
    hint: "Name the repository alone",
  });
}

/** Writes a place so that {@link parsePlace} reads it. */
export function formatPlace(place: TrustPlace): string {
  if (place.kind === "tuf") return place.location;
  return place.repository === undefined ? OCI : `${OCI_REPOSITORY}${place.repository}`;
}

/** The flags that name a place on a command line, quoted for a shell where that is needed. */
export function placeFlags(place: PinnedSource): string {
  if (place.kind === "notary") return `--server ${shellWord(place.server)}`;
  return `--trust ${shellWord(formatPlace(place))}`;
}

/**
 * The place that a source reads for a repository, to be remembered.
 *
 * @returns undefined for a source that is only there for one run
 */
export function placeOf(
  { kind, location }: Pick<TrustSource, "kind" | "location">,
  repository: string,
): PinnedSource | undefined {
  if (kind === "notary") return { kind, server: location };
  if (kind === "tuf") return { kind, location };
  if (kind !== "oci") return undefined;
  const place = parsePlace(location);
  return place.kind === "oci" && place.repository === repository ? { kind } : place;
}

/**
 * The name of a repository's collection where nothing else says it. Notary's names have the host; others have none, so
 * that trust stays good wherever it is copied to.
 *
 * @param repository registry and repository without tag, e.g. `ghcr.io/acme/app`
 */
export function defaultCollection(kind: TrustSource["kind"], repository: string): string {
  return kind === "notary" ? repository : pathOf(repository);
}

/**
 * What stands before tags in a collection's names: nothing where it is the repository's own, else the repository's
 * path below the collection's name. Notary's collections are one repository's each, and their names are no paths.
 */
export function prefixIn(kind: TrustSource["kind"], collection: string, repository: string): string | undefined {
  if (kind === "notary") return undefined;
  const path = pathOf(repository);
  return path.startsWith(`${collection}/`) ? `${path.slice(collection.length + 1)}/` : "";
}

function pathOf(repository: string): string {
  return repository.slice(repository.indexOf("/") + 1);
}

/** References where a tag is needed: Docker's default fills it in. */
import { formatReference, parseReference, type Reference } from "./reference.ts";

/** The tag of a reference that names none. */
const DEFAULT_TAG = "latest";

export interface TaggedReference extends Reference {
  readonly tag: string;
  /** False where the tag is only the default of a reference that has a digest: the digest alone counts. */
  readonly tagged: boolean;
}

/**
 * Reads a reference, or takes a parsed one, and fills in the default tag. One that has been here before is as it was: its
 * default tag must not be taken for one that somebody named.
 *
 * @throws {UsageError} REFERENCE_INVALID
 */
export function taggedReference(given: string | Reference): TaggedReference {
  const reference = typeof given === "string" ? parseReference(given) : given;
  if (isTagged(reference)) return reference;
  const tagged = reference.tag !== undefined || reference.digest === undefined;
  return { ...reference, tag: reference.tag ?? DEFAULT_TAG, tagged };
}

function isTagged(reference: Reference): reference is TaggedReference {
  return "tagged" in reference;
}

/** Writes the reference as it was meant: a default tag is not shown beside a digest. */
export function formatTagged(reference: TaggedReference): string {
  if (reference.tagged) return formatReference(reference);
  const { tag: _default, tagged: _tagged, ...digestOnly } = reference;
  return formatReference(digestOnly);
}

/** Registry and repository without tag and digest, e.g. `ghcr.io/acme/app`; the GUN of Notary and key of pins. */
export function repositoryName(reference: Pick<Reference, "registry" | "repository">): string {
  return `${reference.registry}/${reference.repository}`;
}

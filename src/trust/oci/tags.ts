/** The tags of a repository that are trust data's, and never a module's. */

/** Names the newest published state. */
export const TRUST_TAG = "tuf";
/** Begins the tags of changes that publishers ask for; see `docs/adr/0010-trust-in-the-registry.md`. */
export const CHANGE_TAG_PREFIX = "tuf-change-";

/** Names what waits for signatures. */
export const STAGED_TAG = "tuf-staged";

/** Begins the tags of signatures for what is staged: one for each time that somebody signs. */
export const SIGNATURES_TAG_PREFIX = "tuf-staged-";

/** Tells whether a tag belongs to what waits for signatures. */
export function isStagedTag(tag: string): boolean {
  return tag === STAGED_TAG || tag.startsWith(SIGNATURES_TAG_PREFIX);
}

/** Tells whether a tag belongs to trust data. */
export function isTrustTag(tag: string): boolean {
  return tag === TRUST_TAG || isStagedTag(tag) || tag.startsWith(CHANGE_TAG_PREFIX);
}

/** A verified state as the editor takes it. */
import type { CollectionDocuments, Loaded } from "./draft.ts";
import type { NotaryTargets } from "./metadata.ts";
import type { NotaryState, VerifiedRole } from "./state.ts";

/**
 * @param versions versions from which roles that have no document must go on, where they are known
 */
export function documentsOf(
  state: NotaryState,
  versions: ReadonlyMap<string, number> = new Map(),
): CollectionDocuments {
  const targets = new Map<string, Loaded<NotaryTargets>>([["targets", loaded(state.targets)]]);
  const unusable = new Map<string, string>();
  for (const [role, { verified, fault }] of state.delegations) {
    if (verified !== undefined) targets.set(role, loaded(verified));
    else if (state.snapshot.metadata.meta.has(role)) unusable.set(role, fault?.message ?? "it could not be read");
  }
  return { root: loaded(state.root), snapshot: state.snapshot.metadata, targets, unusable, versions };
}

function loaded<Document>({ metadata, document }: VerifiedRole<Document>): Loaded<Document> {
  return { document: metadata, bytes: document.bytes };
}

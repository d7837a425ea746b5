/** In which roles a target is signed where the caller does not say: Docker's convention. */
import { TrustError } from "../base/errors.ts";
import type { TargetChange } from "./changes.ts";
import type { Draft } from "./draft.ts";
import { mayHold } from "./editor.ts";
import { parseTargetsRole } from "./roles.ts";
import { keysOfRole } from "./sign-documents.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { TargetContent } from "./target-limits.ts";

const RELEASES_ROLE = "targets/releases";

/** What is wanted, before roles are known. */
export type WantedEdit =
  | ({ readonly action: "add"; readonly name: string } & TargetContent)
  | { readonly action: "remove"; readonly name: string };

/**
 * Turns edits into changes of roles.
 *
 * Without roles: `targets`, unless the collection has `targets/releases`, which Docker and we read first; then
 * every delegation directly below `targets` whose key is at hand and whose paths allow the name, as `docker trust
 * sign` does. A removal goes to every role that has the name and whose key is at hand, so that no older mapping
 * comes to light below it.
 *
 * @throws {TrustError} KEY_MISSING where `targets/releases` exists and none of its keys is at hand
 * @throws {UsageError} ROLE_INVALID
 */
export async function changesOf(
  edits: readonly WantedEdit[],
  draft: Draft,
  keys: SigningKeys,
  roles: readonly string[] | undefined,
): Promise<TargetChange[]> {
  const changes: TargetChange[] = [];
  for (const edit of edits) {
    const chosen = roles?.map(parseTargetsRole) ?? (await conventionalRoles(edit, draft, keys));
    for (const role of chosen) {
      if (edit.action === "remove") {
        changes.push({ action: "remove", role, name: edit.name });
      } else {
        const { length, hashes, custom } = edit;
        changes.push({ action: "add", role, name: edit.name, content: { length, hashes, custom } });
      }
    }
  }
  return changes;
}

async function conventionalRoles(edit: WantedEdit, draft: Draft, keys: SigningKeys): Promise<string[]> {
  if (edit.action === "remove") return rolesToRemoveFrom(edit.name, draft, keys);
  if (draft.delegation(RELEASES_ROLE) === undefined) return ["targets"];
  const signable: string[] = [];
  for (const { name } of draft.targets.get("targets")?.delegations.roles ?? []) {
    if (mayHold(draft, name, edit.name) && (await canSign(name, draft, keys))) signable.push(name);
  }
  if (signable.includes(RELEASES_ROLE)) return signable;
  const ids = (await keysOfRole(draft, RELEASES_ROLE))?.keys.flatMap(({ canonicalId }) => canonicalId ?? []) ?? [];
  throw new TrustError(
    "KEY_MISSING",
    `${JSON.stringify(edit.name)} belongs into ${RELEASES_ROLE}, which consumers read first, and that role cannot be signed here`,
    {
      role: RELEASES_ROLE,
      hint: `Bring one of its keys (${ids.join(", ")}), check its paths, or name the roles to sign in`,
      details: { missing: ids },
    },
  );
}

async function rolesToRemoveFrom(name: string, draft: Draft, keys: SigningKeys): Promise<string[]> {
  const holding = [...draft.targets].filter(([, document]) => document.targets.has(name)).map(([role]) => role);
  const signable: string[] = [];
  for (const role of holding) if (await canSign(role, draft, keys)) signable.push(role);
  return signable.length > 0 ? signable : holding; // none: signing then says which key is missing
}

/**
 * Tells whether enough of a role's keys are at hand.
 *
 * @param without canonical ids of keys that the role is about to lose
 */
export async function canSign(
  role: string,
  draft: Draft,
  keys: SigningKeys,
  without: ReadonlySet<string> = new Set(),
): Promise<boolean> {
  const signers = await keysOfRole(draft, role);
  if (signers === undefined) return false;
  const left = signers.keys.filter(({ canonicalId }) => canonicalId === undefined || !without.has(canonicalId));
  return (await keys.heldOf({ ...signers, keys: left })) >= signers.threshold;
}

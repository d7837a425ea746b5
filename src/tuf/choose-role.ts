/** In which role a target is signed, where the publisher does not say. */
import { delegationsFor, pathHash } from "./delegations.ts";
import type { TufDraft } from "./draft.ts";
import { canSign, keysMissing, type SigningKeys } from "./signing-keys.ts";

/** Roles that are looked at for one name: as many as a client visits. */
const MAX_ROLES = 32;

/**
 * The role to sign a name in: the one that clients take its word of now, where its keys are at hand; otherwise the
 * first delegated role in their search order that covers the name and can be signed here; otherwise `targets`.
 *
 * @param suffices what it takes to sign here; {@link canHelpSign} where others are to sign, too
 * @throws {TrustError} KEY_MISSING where no role that covers the name can be signed here
 */
export async function chooseRole(
  draft: TufDraft,
  name: string,
  signing: SigningKeys,
  suffices: typeof canSign = canSign,
): Promise<string> {
  const candidates = await candidateRoles(draft, name);
  const signable: string[] = [];
  for (const role of candidates) {
    const able = await Promise.all(draft.keyedRoles(role).map((keyed) => suffices(keyed, signing)));
    if (!able.every(Boolean)) continue;
    if ((await draft.document(role)).targets.has(name)) return role;
    signable.push(role);
  }
  const chosen = signable.find((role) => role !== "targets") ?? signable[0];
  if (chosen !== undefined) return chosen;
  const [keyed] = draft.keyedRoles(candidates.at(-1)!);
  throw await keysMissing(keyed!, signing); // each candidate but `targets` was found in its delegator's document
}

/** The role that has a name now; undefined where none has. */
export async function roleOf(draft: TufDraft, name: string): Promise<string | undefined> {
  for (const role of await candidateRoles(draft, name)) {
    if ((await draft.document(role)).targets.has(name)) return role;
  }
  return undefined;
}

/** Roles that cover a name, in the order in which clients ask them. One that cannot be used ends the list. */
async function candidateRoles(draft: TufDraft, name: string): Promise<string[]> {
  const hash = await pathHash(name);
  const visited: string[] = [];
  let queue = ["targets"];
  for (let role = queue.pop(); role !== undefined && visited.length <= MAX_ROLES; role = queue.pop()) {
    if (visited.includes(role)) continue;
    if (draft.base?.unusable.has(role) === true) break;
    visited.push(role);
    const { delegations } = await draft.document(role);
    const covering = delegations === undefined ? [] : delegationsFor(delegations, name, hash);
    if (covering.at(-1)?.terminating === true) queue = [];
    queue.push(...covering.map((delegation) => delegation.name).toReversed());
  }
  return visited;
}

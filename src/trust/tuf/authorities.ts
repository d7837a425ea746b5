/** Who may sign a name in a TUF collection. */
import { FormatError, TrustError, type WasmToOciError } from "../../base/errors.ts";
import { canonicalKeyId } from "../../keys/notary-key-id.ts";
import { delegationsFor, MAX_VISITED_ROLES, pathHash } from "../../tuf/delegations.ts";
import type { TufKey } from "../../tuf/keys.ts";
import { ownerOf } from "../../tuf/requirement-text.ts";
import type { Delegations, RoleKeys, Targets } from "../../tuf/schema.ts";
import type { VerifiedState } from "../../tuf/verified-state.ts";
import type { Authority, AuthorityKey, AuthorityState } from "../authorities.ts";

interface Step {
  readonly role: string;
  readonly delegator: string | undefined;
  readonly signers: { readonly role: RoleKeys; readonly keys: ReadonlyMap<string, TufKey> };
  readonly paths: readonly string[] | undefined;
  readonly terminating: boolean;
  /** The terminating role that keeps the search from getting here. */
  readonly cutOffBy: string | undefined;
}

/**
 * Walks the whole search for a name, also past the role that answers, loading what a search would not need.
 *
 * @throws the faults of the transport; a role that cannot be relied on is part of the answer
 */
export async function tufAuthorities(state: VerifiedState, name: string): Promise<Authority[]> {
  const hash = await pathHash(name);
  const start = { role: state.topRole, delegator: undefined, signers: state.topSigners };
  let queue: Step[] = [{ ...start, paths: undefined, terminating: false, cutOffBy: undefined }];
  const visited = new Set<string>();
  const found: Authority[] = [];
  let decided: string | undefined;
  for (let step = queue.pop(); step !== undefined; step = queue.pop()) {
    if (visited.has(step.role) || visited.size > MAX_VISITED_ROLES) continue;
    visited.add(step.role);
    const { targets, fault } = await load(state, step);
    const standing = standingOf(step, decided, targets, fault, name);
    const because = standing === "shadowed" ? decided : step.cutOffBy;
    found.push(await authorityOf(step, standing, because, targets?.targets.get(name)?.hashes, fault));
    if (standing === "answers" || standing === "unusable") decided = step.role;
    const next = targets?.delegations === undefined ? [] : stepsBelow(targets.delegations, step, name, hash);
    const terminator = next.find(({ terminating, cutOffBy }) => terminating && cutOffBy === undefined);
    if (terminator !== undefined) queue = queue.map((one) => ({ ...one, cutOffBy: one.cutOffBy ?? terminator.role }));
    queue.push(...next.toReversed());
  }
  return found;
}

async function load(
  state: VerifiedState,
  { role, delegator }: Step,
): Promise<{ targets: Targets | undefined; fault: WasmToOciError | undefined }> {
  try {
    return { targets: (await state.targets(role, delegator)).document.signed, fault: undefined };
  } catch (error) {
    if (!(error instanceof TrustError || error instanceof FormatError)) throw error;
    return { targets: undefined, fault: error };
  }
}

function standingOf(
  { cutOffBy }: Step,
  decided: string | undefined,
  targets: Targets | undefined,
  fault: WasmToOciError | undefined,
  name: string,
): AuthorityState {
  if (cutOffBy !== undefined) return "never-asked";
  if (decided !== undefined) return "shadowed";
  if (fault !== undefined) return "unusable";
  return targets?.targets.has(name) === true ? "answers" : "silent";
}

/** Every delegation that covers the name, also those behind a terminating one. */
function stepsBelow(delegations: Delegations, { role: delegator, cutOffBy }: Step, name: string, hash: string): Step[] {
  const roles = delegations.roles.map((role) => ({ ...role, terminating: false }));
  const asked = new Set(delegationsFor(delegations, name, hash).map((one) => one.name));
  const terminator = delegationsFor(delegations, name, hash).at(-1);
  return delegationsFor({ ...delegations, roles }, name, hash).map(({ name: role, role: signers }) => {
    const listed = delegations.roles.find((one) => one.name === role);
    const terminating = listed?.terminating ?? true; // hash bins end the search (TAP 15)
    const behind = asked.has(role) ? undefined : terminator?.name;
    const paths = listed?.paths ?? listed?.pathHashPrefixes?.map((prefix) => `hash ${prefix}…`);
    const keyed = { role: signers, keys: delegations.keys };
    return { role, delegator, signers: keyed, paths, terminating, cutOffBy: cutOffBy ?? behind };
  });
}

async function authorityOf(
  { role, delegator, paths, terminating, signers }: Step,
  state: AuthorityState,
  because: string | undefined,
  hashes: Readonly<Record<string, string>> | undefined,
  fault: WasmToOciError | undefined,
): Promise<Authority> {
  const keys = signers.role.keyIds.flatMap((id) => signers.keys.get(id) ?? []);
  return {
    role,
    delegator,
    paths,
    terminating,
    threshold: signers.role.threshold,
    keys: await Promise.all(keys.map(reportKey)),
    state,
    because,
    signs: hashes?.["sha256"] ?? hashes?.["sha512"],
    fault: fault?.message,
  };
}

async function reportKey(key: TufKey): Promise<AuthorityKey> {
  const { publicKey } = key;
  return {
    keyId: key.id,
    fingerprint: await publicKey?.fingerprint(),
    storedAs: publicKey && (await canonicalKeyId(publicKey)),
    owner: ownerOf(key),
  };
}

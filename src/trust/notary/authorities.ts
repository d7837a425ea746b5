/** Who may sign a name in a Notary collection. */
import { hexEncode } from "../../base/bytes.ts";
import { rolesInOrder, type SearchedRole, type SearchOrder } from "../../notary/lookup.ts";
import type { KeyRole } from "../../notary/metadata.ts";
import type { ResolvedKey } from "../../notary/public-keys.ts";
import { parentRole } from "../../notary/roles.ts";
import type { NotaryState } from "../../notary/state.ts";
import type { Authority, AuthorityKey, AuthorityState } from "../authorities.ts";

/** The roles that cover a name: those of the order first, then those that it passes over. */
export async function notaryAuthorities(state: NotaryState, name: string, order: SearchOrder): Promise<Authority[]> {
  const covering = (role: SearchedRole): boolean => role.paths.some((path) => name.startsWith(path));
  const asked = rolesInOrder(state, order).filter(covering);
  const names = new Set(asked.map((role) => role.name));
  const passedOver = rolesInOrder(state, "notary").filter((role) => covering(role) && !names.has(role.name));
  const found: Authority[] = [];
  let decided: string | undefined;
  for (const role of asked) {
    const meta = role.verified?.metadata.targets.get(name);
    let standing: AuthorityState = decided === undefined ? "silent" : "shadowed";
    if (decided === undefined && role.fault !== undefined) standing = "unusable";
    else if (decided === undefined && meta !== undefined) standing = "answers";
    found.push(await authorityOf(state, role, name, standing, decided));
    if (standing === "answers" || standing === "unusable") decided = role.name;
  }
  for (const role of passedOver) found.push(await authorityOf(state, role, name, "never-asked", undefined));
  return found;
}

async function authorityOf(
  state: NotaryState,
  { name: role, paths, verified, fault }: SearchedRole,
  target: string,
  standing: AuthorityState,
  because: string | undefined,
): Promise<Authority> {
  const delegator = role === "targets" ? undefined : parentRole(role);
  const { threshold, keys } = keysOf(state, role, delegator);
  const hashes = verified?.metadata.targets.get(target)?.hashes;
  const hash = hashes?.get("sha256") ?? hashes?.get("sha512");
  return {
    role,
    delegator,
    paths: delegator === undefined ? undefined : paths,
    terminating: false,
    threshold,
    keys: await Promise.all(keys.map(reportKey)),
    state: standing,
    because,
    signs: hash && hexEncode(hash),
    fault: fault?.message,
  };
}

/** A delegation's keys are listed by its delegator, those of `targets` by root. */
function keysOf(
  state: NotaryState,
  role: string,
  delegator: string | undefined,
): { threshold: number; keys: ResolvedKey[] } {
  const entry: KeyRole | undefined =
    delegator === undefined ? state.root.metadata.roles.get(role) : state.delegations.get(role)?.delegation;
  const listed =
    delegator === undefined
      ? state.root.keys
      : delegator === "targets"
        ? state.targets.keys
        : state.delegations.get(delegator)?.verified?.keys;
  const keys = (entry?.keyIds ?? []).flatMap((id) => listed?.get(id) ?? []);
  return { threshold: entry?.threshold ?? 0, keys };
}

async function reportKey({ keyId, canonicalId, publicKey }: ResolvedKey): Promise<AuthorityKey> {
  return { keyId: canonicalId ?? keyId, fingerprint: await publicKey?.fingerprint(), storedAs: canonicalId };
}

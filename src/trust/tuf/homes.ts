/**
 * Which role a hash bin belongs to. A collection moves to bins by itself when it grows, so whoever relies on a role by
 * its name relies on its bins: but only where the role's own keys have signed them.
 */
import { delegationNamed } from "../../tuf/delegations.ts";
import type { TufKey } from "../../tuf/keys.ts";
import type { RoleKeys, Targets } from "../../tuf/schema.ts";
import type { VerifiedRole } from "../../tuf/trusted-set.ts";
import type { VerifiedState } from "../../tuf/verified-state.ts";
import type { RoleReport } from "../source.ts";

interface Signers {
  readonly fingerprints: ReadonlySet<string>;
  readonly threshold: number;
}

/**
 * The roles that have spread their names over bins which they have signed themselves, by bin.
 *
 * @param reports of the same roles, in the same order
 */
export async function homesOf(
  state: VerifiedState,
  verified: readonly VerifiedRole[],
  reports: readonly RoleReport[],
): Promise<ReadonlyMap<string, string>> {
  const targets = new Map<string, Targets>();
  for (const { role, document } of verified) {
    if (document.signed.type === "targets") targets.set(role, document.signed);
  }
  const signers = new Map<string, Promise<Signers[]>>();
  const signersOf = (role: string): Promise<Signers[]> => {
    const known = signers.get(role) ?? readSigners(state, verified, targets, role);
    signers.set(role, known);
    return known;
  };
  const homes = new Map<string, string>();
  const others = new Set<string>();
  for (const [index, { role, delegator }] of verified.entries()) {
    if (delegator === undefined) continue;
    const { delegations } = targets.get(delegator) ?? {};
    const isBin = delegations?.succinct !== undefined && delegationNamed(delegations, role) !== undefined;
    const by = new Set(reports[index]!.signedBy.map(({ fingerprint }) => fingerprint));
    const wanted = isBin ? await signersOf(delegator) : [];
    if (wanted.length > 0 && wanted.every((one) => isEnough(one, by))) homes.set(role, delegator);
    else others.add(role); // who delegates to it by another way speaks of other keys
  }
  for (const role of others) homes.delete(role);
  return homes;
}

function isEnough({ fingerprints, threshold }: Signers, by: ReadonlySet<string>): boolean {
  return [...by].filter((fingerprint) => fingerprints.has(fingerprint)).length >= threshold;
}

/** Who must sign a role, for each of those who delegate to it. */
async function readSigners(
  state: VerifiedState,
  verified: readonly VerifiedRole[],
  targets: ReadonlyMap<string, Targets>,
  name: string,
): Promise<Signers[]> {
  const found: Signers[] = [];
  for (const { role, delegator } of verified) {
    if (role !== name) continue;
    const { delegations } = (delegator === undefined ? undefined : targets.get(delegator)) ?? {};
    const listed = delegationNamed(delegations, name);
    if (delegator === undefined) found.push(await signersIn(state.topSigners.role, state.topSigners.keys));
    else if (delegations !== undefined && listed !== undefined) found.push(await signersIn(listed, delegations.keys));
  }
  return found;
}

async function signersIn({ keyIds, threshold }: RoleKeys, keys: ReadonlyMap<string, TufKey>): Promise<Signers> {
  const found = await Promise.all(keyIds.map(async (id) => keys.get(id)?.publicKey?.fingerprint()));
  return { fingerprints: new Set(found.filter((fingerprint) => fingerprint !== undefined)), threshold };
}

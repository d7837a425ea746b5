/** A verified Notary collection as use cases see it. */
import { hexEncode } from "../../base/bytes.ts";
import { findTarget, listTargets, type FoundTarget, type SearchOrder } from "../../notary/lookup.ts";
import type { ResolvedKey } from "../../notary/public-keys.ts";
import { verifiedRoles, type NotaryState } from "../../notary/state.ts";
import { notaryAuthorities } from "./authorities.ts";
import type { KeyReport, RoleReport, SignedTarget, TrustedCollection } from "../source.ts";

/**
 * @param order in which roles are searched for a name
 * @param more warnings besides those of the metadata itself
 */
export async function trustedCollection(
  state: NotaryState,
  order: SearchOrder,
  more: readonly string[] = [],
): Promise<TrustedCollection> {
  const rootIds = state.root.metadata.roles.get("root")!.keyIds;
  const roles: RoleReport[] = [];
  for (const { role, metadata, expires, threshold, signedBy, from } of verifiedRoles(state)) {
    const { version } = metadata;
    roles.push({ role, version, expires, threshold, from, signedBy: await keyReports(signedBy) });
  }
  return {
    name: state.gun,
    roles,
    rootKeys: await keyReports(rootIds.flatMap((id) => state.root.keys.get(id) ?? [])),
    firstUse: state.firstUse,
    checkedAt: state.checkedAt,
    warnings: [...warningsOf(state), ...more],
    find: (name) => {
      const found = findTarget(state, name, order);
      return found && signedTarget(found);
    },
    list: () => listTargets(state, order).map(signedTarget),
    authorities: (name) => notaryAuthorities(state, name, order),
  };
}

async function keyReports(keys: readonly ResolvedKey[]): Promise<KeyReport[]> {
  const reports: KeyReport[] = [];
  for (const { publicKey, canonicalId, keyId } of keys) {
    if (publicKey !== undefined)
      reports.push({ keyId: canonicalId ?? keyId, fingerprint: await publicKey.fingerprint() });
  }
  return reports;
}

/** A target as the dialect found it, in the terms of every source. */
export function signedTarget({ name, meta, role }: FoundTarget): SignedTarget {
  const sha256 = meta.hashes.get("sha256");
  const sha512 = meta.hashes.get("sha512");
  return {
    name,
    length: meta.length,
    hashes: { ...(sha256 && { sha256: hexEncode(sha256) }), ...(sha512 && { sha512: hexEncode(sha512) }) },
    custom: meta.custom,
    role: role.role,
  };
}

function warningsOf(state: NotaryState): string[] {
  const warnings: string[] = [];
  for (const [role, { fault }] of state.delegations) {
    if (fault !== undefined) warnings.push(`${role} cannot be used: ${fault.message}`);
  }
  return warnings;
}

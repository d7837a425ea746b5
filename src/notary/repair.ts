/**
 * Signs again what has expired or soon will, in collections that Notary's own client can no longer open: expired
 * documents are loaded deliberately, verified in everything but their date, and published with new ones.
 */
import type { Change } from "./changes.ts";
import type { NotaryCollection } from "./collection.ts";
import { Draft } from "./draft.ts";
import { documentsOf } from "./documents.ts";
import { isTargetsRole } from "./roles.ts";
import { publishChanges, readBack, type Published, type PublishEnvironment } from "./publish.ts";
import { canSign } from "./role-choice.ts";
import { renewRootChanges, rootGoodUntil } from "./root-keys.ts";
import { verifiedRoles, type NotaryState } from "./state.ts";
import type { SigningKeys } from "./signing-keys.ts";

const DAY_MS = 86_400_000;

export interface RepairOptions {
  /** Sign what expires within so many days, too; 0 unless told. */
  readonly withinDays?: number | undefined;
}

/** A role that still needs somebody else's signature. */
export interface Unrepaired {
  readonly role: string;
  readonly expires: Date;
  /** What is in the way. */
  readonly reason: string;
}

export interface Repaired extends Published {
  /** Roles that were signed again. */
  readonly repaired: readonly string[];
  readonly remaining: readonly Unrepaired[];
}

/**
 * Repairs a collection as far as the keys at hand go.
 *
 * @throws {TrustError} as a publish does; METADATA_EXPIRED never
 */
export async function repairCollection(
  collection: NotaryCollection,
  options: RepairOptions,
  environment: PublishEnvironment,
): Promise<Repaired> {
  const { keys, now } = environment;
  const limit = now().getTime() + (options.withinDays ?? 0) * DAY_MS;
  const access = collection.pastExpiry();
  let before: NotaryState | undefined;
  const published = await publishChanges(
    access,
    (draft, state) => {
      before = state;
      return renewals(draft, state!, limit, collection.gun, environment);
    },
    environment,
  );
  const repaired = published.files.map(({ role }) => role);
  const draft = new Draft(documentsOf(published.state));
  const remaining: Unrepaired[] = [];
  for (const { role, version, expires } of due(published.state, limit)) {
    const old = verifiedRoles(before!).find((other) => other.role === role);
    // signed just now, a role may still end within a long time ahead: a timestamp lasts for two weeks
    if (old !== undefined && version > old.metadata.version && expires > now()) continue;
    const reason = (await isRenewable(draft, role, keys))
      ? "the server signs it, and has not signed it again"
      : "too few of its private keys are at hand";
    remaining.push({ role, expires, reason });
  }
  if (remaining.length > 0 || published.files.length === 0) return { ...published, repaired, remaining };
  const state = await readBack(collection, published.files); // now as every consumer reads it, dates and all
  return { ...published, state, repaired, remaining };
}

function due(state: NotaryState, limit: number): { role: string; version: number; expires: Date }[] {
  return verifiedRoles(state)
    .map(({ role, metadata, expires }) => ({
      role,
      version: metadata.version,
      expires: role === "root" ? rootGoodUntil(state.root) : expires,
    }))
    .filter(({ expires }) => expires.getTime() <= limit);
}

async function renewals(
  draft: Draft,
  state: NotaryState,
  limit: number,
  gun: string,
  { keys, now }: PublishEnvironment,
): Promise<Change[]> {
  const changes: Change[] = [];
  for (const { role } of due(state, limit)) {
    if (!(await isRenewable(draft, role, keys))) continue;
    if (role === "root") changes.push(...(await renewRootChanges(state.root, gun, keys, now)));
    else if (isTargetsRole(role)) changes.push({ action: "witness", role });
    else changes.push({ action: "renew", role: "snapshot" });
  }
  return changes;
}

/** Timestamp and snapshot come with every publish: ours where the key is at hand, else the server's. */
async function isRenewable(draft: Draft, role: string, keys: SigningKeys): Promise<boolean> {
  return role === "timestamp" || role === "snapshot" || canSign(role, draft, keys);
}

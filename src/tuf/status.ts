/** What a collection looks like to its key holders: versions, dates, keys, and which of them are at hand. */
import { TufDraft } from "./draft.ts";
import { DAY_MS, isDue, periodsOf } from "./periods.ts";
import type { PublishedCollection } from "./published.ts";
import { allDocuments } from "./repair.ts";
import { ownerOf } from "./requirement-text.ts";
import { listedKeys, type SigningKeys } from "./signing-keys.ts";

export interface TufKeyStatus {
  /** As the metadata lists it. */
  readonly keyId: string;
  /** Hex sha256 of its SubjectPublicKeyInfo; undefined for keys of an unknown kind. */
  readonly fingerprint: string | undefined;
  /** Who it belongs to, as its collection says. */
  readonly owner: string | undefined;
  /** Whether the private key is at hand. */
  readonly held: boolean;
}

export interface TufRoleStatus {
  readonly role: string;
  /** Undefined for a delegated role whose document cannot be used. */
  readonly version: number | undefined;
  readonly expires: Date | undefined;
  /** Whole days until it expires; negative where it has. */
  readonly daysLeft: number | undefined;
  readonly expired: boolean;
  /** Whether it should be signed again by now. */
  readonly due: boolean;
  readonly threshold: number;
  readonly keys: readonly TufKeyStatus[];
  /** Whether enough keys are at hand to sign it here. */
  readonly signable: boolean;
  /** How many targets it signs. */
  readonly targets: number | undefined;
  /** Path patterns of a delegated role. */
  readonly paths: readonly string[] | undefined;
  /** Why its published document cannot be used. */
  readonly fault: string | undefined;
}

/** Gives the status of every role: root, timestamp, snapshot, targets, then delegated ones. */
export async function statusOf(base: PublishedCollection, signing: SigningKeys, now: Date): Promise<TufRoleStatus[]> {
  const draft = TufDraft.of(base);
  const documents = await allDocuments(draft);
  const faults = Array.from(base.unusable, ([role, fault]) => ({ role, signed: undefined, fault: fault.message }));
  const usable = documents.map(({ role, signed }) => ({ role, signed, fault: undefined }));
  const entries = [...usable, ...faults];
  return Promise.all(
    entries.map(async ({ role, signed, fault }) => {
      const [keyed] = draft.keyedRoles(role);
      const keys = await Promise.all(
        (keyed === undefined ? [] : listedKeys(keyed)).map(async (key) => ({
          keyId: key.id,
          fingerprint: await key.publicKey?.fingerprint(),
          owner: ownerOf(key),
          held: key.publicKey !== undefined && (await signing.holds(key.publicKey)),
        })),
      );
      const threshold = keyed === undefined ? 0 : keyed.roleKeys.threshold;
      const left = signed && signed.expires.getTime() - now.getTime();
      return {
        role,
        version: signed?.version,
        expires: signed?.expires,
        daysLeft: left === undefined ? undefined : Math.floor(left / DAY_MS),
        expired: left !== undefined && left <= 0,
        due: signed !== undefined && isDue(signed.expires, periodsOf(signed.type, draft.root, signed), now),
        threshold,
        keys,
        signable: keyed !== undefined && keys.filter(({ held }) => held).length >= threshold,
        targets: signed?.type === "targets" ? signed.targets.size : undefined,
        paths: pathsOf(draft, role),
        fault,
      };
    }),
  );
}

function pathsOf(draft: TufDraft, role: string): string[] | undefined {
  const paths: string[] = [];
  for (const delegator of draft.delegatorsOf(role)) {
    const { delegations } = draft.base!.targets.get(delegator)!.signed;
    paths.push(...(delegations?.roles.find(({ name }) => name === role)?.paths ?? []));
  }
  return paths.length === 0 ? undefined : [...new Set(paths)];
}

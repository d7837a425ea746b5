/** What a collection looks like to its key holders: versions, dates, keys, and which of them are at hand. */
import { documentsOf } from "./documents.ts";
import { Draft } from "./draft.ts";
import { rootGoodUntil } from "./root-keys.ts";
import { keysOfRole } from "./sign-documents.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { NotaryState } from "./state.ts";

const DAY_MS = 86_400_000;

export interface KeyStatus {
  /** Canonical id; the document's own where the key is of an unknown kind. */
  readonly keyId: string;
  /** Hex sha256 of its SubjectPublicKeyInfo; undefined for keys of an unknown kind. */
  readonly fingerprint: string | undefined;
  /** Whether the private key is at hand. */
  readonly held: boolean;
}

export interface RoleStatus {
  readonly role: string;
  /** Undefined for a delegation that was never published, or cannot be used. */
  readonly version: number | undefined;
  readonly expires: Date | undefined;
  /** Whole days until it expires; negative where it has. */
  readonly daysLeft: number | undefined;
  readonly expired: boolean;
  readonly threshold: number;
  readonly keys: readonly KeyStatus[];
  /** Whether enough keys are at hand to sign it here. */
  readonly signable: boolean;
  /** How many targets it signs. */
  readonly targets: number | undefined;
  /** What a delegated role may sign: prefixes of names (path patterns in plain TUF). */
  readonly paths: readonly string[] | undefined;
  /** Why its published document cannot be used. */
  readonly fault: string | undefined;
}

/** Gives the status of every role: root, timestamp, snapshot, targets, then delegations. */
export async function statusOf(state: NotaryState, keys: SigningKeys, now: Date): Promise<RoleStatus[]> {
  const draft = new Draft(documentsOf(state));
  const held = await keys.held();
  const describe = async (role: string, extra: Partial<RoleStatus>): Promise<RoleStatus> => {
    const signers = (await keysOfRole(draft, role))!;
    const list = await Promise.all(
      signers.keys.map(async ({ keyId, canonicalId, publicKey }) => ({
        keyId: canonicalId ?? keyId,
        fingerprint: await publicKey?.fingerprint(),
        held: canonicalId !== undefined && held.has(canonicalId),
      })),
    );
    const { expires } = extra;
    return {
      role,
      version: extra.version,
      expires,
      daysLeft: expires && Math.floor((expires.getTime() - now.getTime()) / DAY_MS),
      expired: expires !== undefined && expires <= now,
      threshold: signers.threshold,
      targets: extra.targets,
      paths: extra.paths,
      fault: extra.fault,
      keys: list,
      signable: new Set(list.filter((key) => key.held).map(({ keyId }) => keyId)).size >= signers.threshold,
    };
  };
  const base = [{ ...state.root, expires: rootGoodUntil(state.root) }, state.timestamp, state.snapshot].map(
    ({ role, metadata, expires }) => describe(role, { version: metadata.version, expires }),
  );
  const { metadata, expires } = state.targets;
  const top = describe("targets", { version: metadata.version, expires, targets: metadata.targets.size });
  const delegated = Array.from(state.delegations, ([role, { paths, verified, fault }]) =>
    describe(role, {
      version: verified?.metadata.version,
      expires: verified?.expires,
      targets: verified?.metadata.targets.size,
      paths,
      fault: fault?.message,
    }),
  );
  return Promise.all([...base, top, ...delegated]);
}

/**
 * Documents between an edit and their publication: complete but for signatures, which may come from several people
 * over days. What is still missing is worked out from the documents themselves.
 */
import { hexEncode, type Bytes } from "../base/bytes.ts";
import { InternalError } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import { knownKeys, refused, TufDraft } from "./draft.ts";
import type { TufKey } from "./keys.ts";
import { encodeMetadata, signedMessage } from "./metadata.ts";
import { expiryAfter, periodsOf } from "./periods.ts";
import type { PublishedCollection } from "./published.ts";
import type { Root, Signature, Signed, Targets } from "./schema.ts";
import type { SignatureSet } from "./staged-signatures.ts";
import { isSignedBy, listedKeys, signWith, type KeyedRole, type SigningKeys } from "./signing-keys.ts";

/** A document that was not published yet. */
export interface Pending<T extends Signed = Root | Targets> {
  readonly role: string;
  readonly signed: T;
  /** What signatures are over. */
  readonly message: Bytes;
  readonly signatures: readonly Signature[];
}

/** By role: root and targets roles. Snapshot and timestamp follow from them when they are published. */
export type PendingSet = ReadonlyMap<string, Pending>;

/** Signatures that a document needs before it can be published. */
export interface Requirement {
  readonly role: string;
  /**
   * - `role`: the keys that may sign for the role
   * - `former-root`: those of the root before, without whom clients do not follow
   * - `possession`: a key that the document introduces, which must show that somebody holds it
   */
  readonly reason: "role" | "former-root" | "possession";
  /** Different keys that must sign. */
  readonly threshold: number;
  readonly keys: readonly TufKey[];
  readonly signedBy: readonly TufKey[];
}

export function isFulfilled({ threshold, signedBy }: Requirement): boolean {
  return signedBy.length >= threshold;
}

/** Makes the documents of a draft, with their next versions and expiries, unsigned. */
export function pendingOf(draft: TufDraft, now: Clock, versions: ReadonlyMap<string, number> = new Map()): PendingSet {
  const pending = new Map<string, Pending>();
  const moment = now();
  for (const role of draft.dirty) {
    if (role === "snapshot" || role === "timestamp") continue;
    const own = role === "root" ? draft.root : draft.changed.get(role);
    if (own === undefined) throw new InternalError(`the document of ${role} is to be signed and is not there`);
    const before = role === "root" ? draft.base?.root.signed.version : draft.base?.versionOf(role);
    const expires = expiryAfter(moment, periodsOf(own.type, draft.root, own));
    const leap = role === "root" ? 0 : draft.leap; // clients follow every single version of root
    const signed = { ...own, version: versions.get(role) ?? (before ?? 0) + 1 + leap, expires };
    pending.set(role, { role, signed, message: signedMessage(signed), signatures: [] });
  }
  return pending;
}

/** The draft that pending documents stand for. */
export function draftOf(base: PublishedCollection | undefined, pending: PendingSet): TufDraft {
  const root = (pending.get("root")?.signed ?? base?.root.signed) as Root | undefined;
  if (root === undefined) throw new InternalError("a new collection needs a root");
  const draft = new TufDraft(base, root);
  for (const [role, { signed }] of pending) {
    if (signed.type === "targets") draft.update(role, signed);
    else draft.dirty.add(role);
  }
  return draft;
}

/** Says which signatures each document needs, and which it has. */
export async function requirementsOf(
  base: PublishedCollection | undefined,
  pending: PendingSet,
): Promise<Requirement[]> {
  const draft = draftOf(base, pending);
  const requirements: Requirement[] = [];
  for (const document of pending.values()) {
    for (const { reason, role } of rolesToSign(draft, document)) {
      const keys = listedKeys(role);
      const signedBy = await signersOf(document, keys);
      requirements.push({ role: document.role, reason, threshold: role.roleKeys.threshold, keys, signedBy });
    }
    for (const key of newKeys(draft, document)) {
      const signedBy = await signersOf(document, [key]);
      requirements.push({ role: document.role, reason: "possession", threshold: 1, keys: [key], signedBy });
    }
  }
  return requirements;
}

/** Adds the signatures of every key at hand that is wanted, and keeps those that are there. */
export async function signPending(
  base: PublishedCollection | undefined,
  pending: PendingSet,
  signing: SigningKeys,
): Promise<{ pending: PendingSet; failure: unknown }> {
  const draft = draftOf(base, pending);
  const signedSet = new Map<string, Pending>();
  let failure: unknown;
  for (const [role, document] of pending) {
    const wanted: TufKey[] = [];
    for (const key of wantedKeys(draft, document)) {
      if (!(await isSignedBy(key, document.message, document.signatures))) wanted.push(key);
    }
    const own = await signWith(wanted, document.message, signing);
    failure ??= own.failure;
    const fresh = new Set(own.signatures.map(({ keyId }) => keyId));
    const kept = document.signatures.filter(({ keyId }) => !fresh.has(keyId));
    signedSet.set(role, { ...document, signatures: sorted([...kept, ...own.signatures]) });
  }
  return { pending: signedSet, failure };
}

/** Adds those of some signatures that are wanted and good: anybody may have written them. */
export async function withSignatures(
  base: PublishedCollection | undefined,
  pending: PendingSet,
  given: readonly SignatureSet[],
): Promise<PendingSet> {
  const draft = draftOf(base, pending);
  const result = new Map<string, Pending>();
  for (const [role, document] of pending) {
    const added: Signature[] = [];
    for (const key of wantedKeys(draft, document)) {
      if (await isSignedBy(key, document.message, document.signatures)) continue;
      for (const set of given) {
        const [own] = set.get(role)?.filter(({ keyId }) => keyId === key.id) ?? [];
        if (own === undefined || !(await isSignedBy(key, document.message, [own]))) continue;
        added.push(own);
        break;
      }
    }
    const fresh = new Set(added.map(({ keyId }) => keyId));
    const kept = document.signatures.filter(({ keyId }) => !fresh.has(keyId));
    result.set(role, { ...document, signatures: sorted([...kept, ...added]) });
  }
  return result;
}

/** Every key whose signature counts for a document, once. */
function wantedKeys(draft: TufDraft, document: Pending): TufKey[] {
  const listed = rolesToSign(draft, document).flatMap((entry) => listedKeys(entry.role));
  const keys = [...listed, ...newKeys(draft, document), ...formerKeys(draft, document.role)];
  return [...new Map(keys.map((key) => [key.id, key])).values()];
}

/** The bytes to publish. */
export function bytesOf({ signed, message, signatures }: Pending<Signed>): Bytes {
  return encodeMetadata(signed, signatures, message);
}

function rolesToSign(
  draft: TufDraft,
  { role }: Pending,
): { readonly reason: "role" | "former-root"; readonly role: KeyedRole }[] {
  const roles = draft.keyedRoles(role).map((keyed) => ({ reason: "role" as const, role: keyed }));
  const former = draft.base?.root.signed;
  if (roles.length === 0) {
    throw refused(role, "nobody delegates to it", "Leave it out: a document that nobody vouches for is not published");
  }
  if (role !== "root" || former === undefined) return roles;
  const keyed: KeyedRole = { role, roleKeys: former.roles.get("root")!, keys: former.keys };
  if (isSameRole(keyed, roles[0]!.role)) return roles;
  return [{ reason: "former-root", role: keyed }, ...roles];
}

/**
 * Keys that the root before lists for a top-level role: where they sign too, the new state is good for clients on
 * either side of a change of root, and a publish that is cut short leaves nobody behind.
 */
export function formerKeys({ base, root, reset }: TufDraft, role: string): TufKey[] {
  const former = base?.root.signed;
  const roleKeys = former?.roles.get(role);
  if (former === undefined || former === root || roleKeys === undefined || reset.has(role)) return [];
  return listedKeys({ role, roleKeys, keys: former.keys });
}

/** Keys that a document lists and no published one of the collection. */
function newKeys({ base }: TufDraft, { signed }: Pending): TufKey[] {
  const known = knownKeys(base);
  const listed = signed.type === "root" ? signed.keys : signed.delegations?.keys;
  return [...(listed?.values() ?? [])].filter(
    ({ publicKey }) => publicKey !== undefined && !known.has(hexEncode(publicKey.spki)),
  );
}

function isSameRole(a: KeyedRole, b: KeyedRole): boolean {
  return a.roleKeys.threshold === b.roleKeys.threshold && identities(a) === identities(b);
}

function identities(role: KeyedRole): string {
  const spki = listedKeys(role).map(({ publicKey, id }) => (publicKey === undefined ? id : hexEncode(publicKey.spki)));
  return spki.toSorted().join();
}

async function signersOf({ message, signatures }: Pending, keys: readonly TufKey[]): Promise<TufKey[]> {
  const signers = new Map<string, TufKey>();
  for (const key of keys) {
    if (key.publicKey === undefined || !(await isSignedBy(key, message, signatures))) continue;
    signers.set(hexEncode(key.publicKey.spki), key);
  }
  return [...signers.values()];
}

/** By key id, so that the order in which people signed does not show. */
function sorted(signatures: readonly Signature[]): Signature[] {
  return signatures.toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1));
}

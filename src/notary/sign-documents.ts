/** Signs what changed in a draft, and the snapshot over it, into the files of one publish. */
import { hashBytes } from "../base/digest.ts";
import type { Bytes } from "../base/bytes.ts";
import type { Clock } from "../base/runtime.ts";
import type { Draft } from "./draft.ts";
import { formatGoTime } from "./go-time.ts";
import {
  writeRoot,
  writeSnapshot,
  writeTargets,
  type FileMeta,
  type NotaryRoot,
  type NotarySnapshot,
  type NotaryTargets,
} from "./metadata.ts";
import { parentRole } from "./roles.ts";
import { roleKeys, type RoleKeys, type SigningKeys } from "./signing-keys.ts";
import { assertGoBytes, encodeDocument } from "./wire.ts";

const DAY_MS = 86_400_000;

/** How long what we sign is good for, in days: Notary's own periods. */
export const EXPIRY_DAYS = { root: 3650, targets: 1095, snapshot: 1095 } as const;

/** A file to upload. */
export interface SignedFile {
  readonly role: string;
  readonly version: number;
  readonly bytes: Bytes;
}

/**
 * Signs every dirty document with a version one higher and a new expiry, and the snapshot where its key is held
 * by the client. Nothing that Go's notary would print differently leaves this function.
 *
 * @param options.snapshot whether to sign a snapshot: false where the server holds its key
 * @throws {TrustError} KEY_MISSING, KEY_PASSPHRASE
 * @throws {FormatError} METADATA_INVALID where a document could not be represented on the server
 */
export async function signDraft(
  draft: Draft,
  keys: SigningKeys,
  options: { now: Clock; snapshot: boolean },
): Promise<SignedFile[]> {
  const files: SignedFile[] = [];
  if (draft.dirty.has("root")) files.push(await signRoot(draft, keys, options.now));
  for (const role of draft.dirty) {
    if (role !== "root" && role !== "snapshot") files.push(await signTargets(draft, role, keys, options.now));
  }
  if (options.snapshot) files.push(await signSnapshot(draft, files, keys, options.now));
  for (const { role, bytes } of files) assertGoBytes(bytes, role);
  return files;
}

/** The keys that a role's document must be signed with in this draft. */
export async function keysOfRole(draft: Draft, role: string): Promise<RoleKeys | undefined> {
  const listed = draft.root.roles.get(role);
  if (listed !== undefined) return roleKeys(role, listed, draft.root.keys, "the metadata of root");
  const delegation = draft.delegation(role);
  if (delegation === undefined) return undefined;
  const parent = parentRole(role);
  const lister = draft.targets.get(parent)?.delegations.keys ?? new Map();
  return roleKeys(role, delegation, lister, `the metadata of ${parent}`);
}

async function signRoot(draft: Draft, keys: SigningKeys, now: Clock): Promise<SignedFile> {
  const former = draft.base.root.document;
  const version = former.version + 1;
  const root: NotaryRoot = { ...draft.root, version, expires: expiry(now, EXPIRY_DAYS.root) };
  const canonical = writeRoot(root);
  const current = await roleKeys("root", root.roles.get("root")!, root.keys, "the new root");
  const signatures = await keys.sign(canonical, current);
  const previous = await roleKeys("root", former.roles.get("root")!, former.keys, "the metadata of root");
  const added = new Set(current.keys.map(({ keyId }) => keyId));
  if (previous.keys.some(({ keyId }) => !added.has(keyId))) {
    // clients that trust the former root accept the new one only with the former keys' signatures
    for (const signature of await keys.sign(canonical, previous)) {
      if (!added.has(signature.keyId)) signatures.push(signature);
    }
  }
  return { role: "root", version, bytes: encodeDocument(canonical, signatures) };
}

async function signTargets(draft: Draft, role: string, keys: SigningKeys, now: Clock): Promise<SignedFile> {
  const document = draft.document(role);
  const signers = (await keysOfRole(draft, role))!;
  const version = document.version + 1;
  const next: NotaryTargets = { ...document, version, expires: expiry(now, EXPIRY_DAYS.targets) };
  const canonical = writeTargets(next);
  return { role, version, bytes: encodeDocument(canonical, await keys.sign(canonical, signers)) };
}

async function signSnapshot(
  draft: Draft,
  files: readonly SignedFile[],
  keys: SigningKeys,
  now: Clock,
): Promise<SignedFile> {
  const former = draft.base.snapshot;
  const meta = new Map(former?.meta);
  for (const name of draft.deleted) meta.delete(name);
  const loaded = new Map<string, Uint8Array>([["root", draft.base.root.bytes]]);
  for (const [role, { bytes }] of draft.base.targets) if (!draft.deleted.has(role)) loaded.set(role, bytes);
  for (const { role, bytes } of files) loaded.set(role, bytes);
  for (const [role, bytes] of loaded) meta.set(role, await fileMeta(bytes));
  const version = (former?.version ?? 0) + 1;
  const snapshot: NotarySnapshot = { meta, version, expires: expiry(now, EXPIRY_DAYS.snapshot) };
  const canonical = writeSnapshot(snapshot);
  const signers = await roleKeys(
    "snapshot",
    draft.root.roles.get("snapshot")!,
    draft.root.keys,
    "the metadata of root",
  );
  return { role: "snapshot", version, bytes: encodeDocument(canonical, await keys.sign(canonical, signers)) };
}

async function fileMeta(bytes: Uint8Array): Promise<FileMeta> {
  const hashes = new Map([
    ["sha256", await hashBytes("sha256", bytes)],
    ["sha512", await hashBytes("sha512", bytes)],
  ]);
  return { length: bytes.length, hashes };
}

function expiry(now: Clock, days: number): string {
  return formatGoTime(new Date(now().getTime() + days * DAY_MS));
}

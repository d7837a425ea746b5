/** From signed documents to the files of one publish: snapshot and timestamp over them, each only where it must be. */
import { hexEncode, type Bytes } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { TrustError } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import { SPEC_VERSION, type TufDraft } from "./draft.ts";
import { verifyThreshold } from "./keys.ts";
import { signedMessage } from "./metadata.ts";
import { metadataFile } from "./names.ts";
import { bytesOf, formerKeys, type Pending, type PendingSet } from "./pending.ts";
import { expiryAfter, isDue, periodsOf } from "./periods.ts";
import type { MetaFile, Signed, SignedMetadata, Snapshot, Timestamp } from "./schema.ts";
import { canSign, keysMissing, listedKeys, signWith, type SigningKeys } from "./signing-keys.ts";

/** A file to publish. */
export interface MetadataFile {
  readonly role: string;
  readonly version: number;
  /** Its name in a repository with consistent snapshots. */
  readonly file: string;
  readonly bytes: Bytes;
}

export interface FilesOptions {
  readonly signing: SigningKeys;
  readonly now: Clock;
  /** Versions to use instead of the next ones, by role. */
  readonly versions?: ReadonlyMap<string, number> | undefined;
  /** Leaves a snapshot that is only due to whoever has its keys, where they are not at hand. */
  readonly lenient?: boolean | undefined;
}

/**
 * Completes a publish: the given documents, a snapshot if it would list anything else than the one before, and a
 * timestamp likewise. Doing it twice gives nothing the second time.
 *
 * @returns targets roles, snapshot, timestamp, root: empty where all is as it was
 * @throws {TrustError} KEY_MISSING where snapshot or timestamp must be signed and cannot be
 */
export async function filesOf(draft: TufDraft, pending: PendingSet, options: FilesOptions): Promise<MetadataFile[]> {
  const files: MetadataFile[] = [];
  for (const [role, document] of pending) if (role !== "root") files.push(fileOf(document));
  const snapshot = await nextSnapshot(draft, files, options);
  if (snapshot !== undefined) files.push(fileOf(snapshot));
  const timestamp = await nextTimestamp(draft, files.at(-1), snapshot, options);
  if (timestamp !== undefined) files.push(fileOf(timestamp));
  const root = pending.get("root");
  if (root !== undefined) files.push(fileOf(root));
  return files;
}

async function nextSnapshot(
  draft: TufDraft,
  files: readonly MetadataFile[],
  options: FilesOptions,
): Promise<Pending<Snapshot> | undefined> {
  const base = draft.base?.snapshot;
  const isGood = base !== undefined && (await isGoodFor(draft, base));
  const meta = new Map(base?.signed.meta);
  if (base !== undefined && !isGood) dropRemoved(draft, meta);
  for (const { role, version, bytes } of files) meta.set(role, await metaOf(version, bytes, meta.get(role)));
  const isWanted = draft.dirty.has("snapshot") || !isGood || (await isToRenew(draft, base.signed, options));
  if (!isWanted && files.length === 0) return undefined;
  const fresh = { ...(base?.signed ?? emptySnapshot()), meta };
  return sealed(draft, { ...fresh, ...nextOf(draft, fresh, options) }, options);
}

async function nextTimestamp(
  draft: TufDraft,
  last: MetadataFile | undefined,
  snapshot: Pending<Snapshot> | undefined,
  options: FilesOptions,
): Promise<Pending<Timestamp> | undefined> {
  const base = draft.base?.timestamp;
  const isGood = base !== undefined && (await isGoodFor(draft, base));
  const wanted = draft.dirty.has("timestamp") || !isGood || isOld(draft, base.signed, options);
  if (!wanted && snapshot === undefined) return undefined;
  const meta =
    snapshot === undefined
      ? base!.signed.snapshot
      : await metaOf(snapshot.signed.version, last!.bytes, base?.signed.snapshot);
  const fresh = { ...(base?.signed ?? emptyTimestamp(meta)), snapshot: meta };
  return sealed(draft, { ...fresh, ...nextOf(draft, fresh, options) }, options);
}

/** Clients of the former snapshot keys miss no role; with other keys they forget what they had seen. */
function dropRemoved(draft: TufDraft, meta: Map<string, MetaFile>): void {
  for (const role of meta.keys()) {
    if (role !== "targets" && draft.delegatorsOf(role).length === 0) meta.delete(role);
  }
}

async function isToRenew(draft: TufDraft, signed: Snapshot, options: FilesOptions): Promise<boolean> {
  if (!isOld(draft, signed, options)) return false;
  const [keyed] = draft.keyedRoles("snapshot");
  return options.lenient !== true || (await canSign(keyed!, options.signing));
}

function isOld({ root }: TufDraft, signed: Signed, { now }: FilesOptions): boolean {
  return isDue(signed.expires, periodsOf(signed.type, root, signed), now());
}

function nextOf({ root, leap }: TufDraft, { type, version }: Signed, { now, versions }: FilesOptions) {
  return {
    version: versions?.get(type) ?? version + 1 + leap,
    expires: expiryAfter(now(), periodsOf(type, root, undefined)),
  };
}

/** Whether root as it will be accepts a document as it is. */
async function isGoodFor({ root }: TufDraft, document: SignedMetadata): Promise<boolean> {
  const { type } = document.signed;
  try {
    await verifyThreshold(type, document, root.roles.get(type)!, root.keys);
    return true;
  } catch (error) {
    /* v8 ignore else -- @preserve: only a defect of this program gets there, and is passed on */
    if (error instanceof TrustError) return false;
    throw error;
  }
}

async function sealed<T extends Signed>(draft: TufDraft, signed: T, { signing }: FilesOptions): Promise<Pending<T>> {
  const role = signed.type;
  const [keyed] = draft.keyedRoles(role);
  const message = signedMessage(signed);
  const own = listedKeys(keyed!);
  const { signatures, failure } = await signWith([...own, ...formerKeys(draft, role)], message, signing);
  const counted = signatures.filter(({ keyId }) => keyed!.roleKeys.keyIds.includes(keyId));
  if (counted.length < keyed!.roleKeys.threshold) throw failure ?? (await keysMissing(keyed!, signing));
  return { role, signed, message, signatures };
}

async function metaOf(version: number, bytes: Bytes, former: MetaFile | undefined): Promise<MetaFile> {
  const hashes = { sha256: hexEncode(await hashBytes("sha256", bytes)) };
  return { version, length: bytes.length, hashes, extra: former?.extra ?? {} };
}

function fileOf(document: Pending<Signed>): MetadataFile {
  const { role, signed } = document;
  const file = metadataFile(role, role === "timestamp" ? undefined : signed.version);
  return { role, version: signed.version, file, bytes: bytesOf(document) };
}

function emptySnapshot(): Snapshot {
  return { type: "snapshot", version: 0, specVersion: SPEC_VERSION, expires: new Date(0), meta: new Map(), extra: {} };
}

function emptyTimestamp(snapshot: MetaFile): Timestamp {
  return { type: "timestamp", version: 0, specVersion: SPEC_VERSION, expires: new Date(0), snapshot, extra: {} };
}

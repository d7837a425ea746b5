/**
 * The roles that the server signs: always the timestamp, and the snapshot where root gives it that key. What is
 * signed here goes through the same byte rules as what is uploaded.
 */
import { utf8Encode } from "../../base/bytes.ts";
import { digestBytes, hashBytes } from "../../base/digest.ts";
import { errorCode } from "../../base/errors.ts";
import { formatGoTime, parseGoTime } from "../../notary/go-time.ts";
import {
  readRoot,
  readSnapshot,
  readTimestamp,
  writeSnapshot,
  writeTimestamp,
  type FileMeta,
  type NotaryRoot,
} from "../../notary/metadata.ts";
import { methodFor } from "../../notary/public-keys.ts";
import { assertGoBytes, decodeDocument, encodeDocument } from "../../notary/wire.ts";
import type { OnlineKeys, OnlineSigner } from "./online-keys.ts";
import type { TrustService } from "./service.ts";
import type { OnlineRole, TrustDocument } from "./store.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * How long what we sign is good for. The timestamp bounds the freshness of the whole collection; the snapshot has
 * Notary's three years, since a shorter life adds nothing under the same server's timestamp and makes Notary's
 * client warn at each command.
 */
export const LIFETIME_MS: Readonly<Record<OnlineRole, number>> = { timestamp: 14 * DAY_MS, snapshot: 3 * 365 * DAY_MS };

/** What a new document is made of. */
export interface OnlineDocument {
  readonly gun: string;
  readonly root: NotaryRoot;
  readonly version: number;
  readonly meta: ReadonlyMap<string, FileMeta>;
  readonly now: Date;
}

/**
 * Signs a new timestamp or snapshot with every key of the role that the server holds.
 *
 * @returns undefined where it holds fewer than root's threshold
 * @throws {FormatError} METADATA_INVALID where the document could not be read again, e.g. too many delegations
 */
export async function signOnlineRole(
  onlineKeys: OnlineKeys,
  role: OnlineRole,
  { gun, root, version, meta, now }: OnlineDocument,
): Promise<TrustDocument | undefined> {
  const signers = await heldSigners(onlineKeys, gun, role, root);
  if (signers === undefined) return undefined;
  const expires = formatGoTime(new Date(now.getTime() + LIFETIME_MS[role]));
  const canonical = (role === "timestamp" ? writeTimestamp : writeSnapshot)({ expires, meta, version });
  const message = utf8Encode(canonical);
  const signatures = await Promise.all(
    signers.map(async ({ keyId, signer }) => {
      return { keyId, method: methodFor(signer.publicKey), signature: await signer.sign(message) };
    }),
  );
  const bytes = encodeDocument(canonical, signatures);
  assertGoBytes(bytes, role);
  return { role, version, bytes, digest: await digestBytes(bytes) };
}

async function heldSigners(
  onlineKeys: OnlineKeys,
  gun: string,
  role: OnlineRole,
  root: NotaryRoot,
): Promise<readonly OnlineSigner[] | undefined> {
  const { keyIds, threshold } = root.roles.get(role)!;
  const signers = await onlineKeys.signers(gun, role, keyIds);
  return signers.length >= threshold ? signers : undefined;
}

/** The entry of a document in a snapshot or timestamp, over its bytes as they are. */
export async function fileMeta(bytes: Uint8Array): Promise<FileMeta> {
  const [sha256, sha512] = await Promise.all([hashBytes("sha256", bytes), hashBytes("sha512", bytes)]);
  return { length: bytes.length, hashes: new Map(Object.entries({ sha256, sha512 })) };
}

/** Reads the root that is stored. */
export function storedRoot(bytes: Uint8Array): NotaryRoot {
  return readRoot(decodeDocument(bytes, "root").signed);
}

/**
 * Signs the timestamp again where half of its life is over, and with it a server-held snapshot that is as old: long
 * before they expire, when somebody asks or the server looks for old ones.
 *
 * Where the server holds no key that root names, what is stored stays: clients see its expiry and decide, and the
 * key's holder can still read it for a repair.
 */
export async function renewIfDue(service: TrustService, gun: string): Promise<void> {
  const { store, now } = service;
  const timestamp = await store.current(gun, "timestamp");
  if (timestamp === undefined || !isDue("timestamp", timestamp.bytes, now())) return;
  await service.turns.run(gun, async () => {
    const documents = await renewals(service, gun);
    if (documents.length === 0) return;
    try {
      await store.update({ gun, documents, publishedKeyIds: undefined, now: now() });
    } catch (error) {
      // Another process of this server was faster, with the same result.
      if (errorCode(error) !== "TRUST_CONFLICT") throw error;
    }
  });
}

async function renewals({ store, onlineKeys, now }: TrustService, gun: string): Promise<TrustDocument[]> {
  const [rootDocument, snapshot, timestamp] = await Promise.all([
    store.current(gun, "root"),
    store.current(gun, "snapshot"),
    store.current(gun, "timestamp"),
  ]);
  if (rootDocument === undefined || snapshot === undefined || timestamp === undefined) return [];
  const common = { gun, root: storedRoot(rootDocument.bytes), now: now() };
  if (!isDue("timestamp", timestamp.bytes, common.now)) return [];
  const documents: TrustDocument[] = [];
  if (isDue("snapshot", snapshot.bytes, common.now)) {
    const { meta } = readSnapshot(decodeDocument(snapshot.bytes, "snapshot").signed);
    const version = snapshot.version + 1;
    const renewed = await signOnlineRole(onlineKeys, "snapshot", { ...common, meta, version });
    if (renewed !== undefined) documents.push(renewed);
  }
  const meta = new Map([["snapshot", await fileMeta((documents[0] ?? snapshot).bytes)]]);
  const renewed = await signOnlineRole(onlineKeys, "timestamp", { ...common, meta, version: timestamp.version + 1 });
  // A new snapshot is of use only under a timestamp that names it.
  return renewed === undefined ? [] : [...documents, renewed];
}

function isDue(role: OnlineRole, bytes: Uint8Array, now: Date): boolean {
  const { signed } = decodeDocument(bytes, role);
  const { expires } = role === "timestamp" ? readTimestamp(signed) : readSnapshot(signed);
  const left = (parseGoTime(expires)?.getTime() ?? 0) - now.getTime();
  return left < LIFETIME_MS[role] / 2;
}

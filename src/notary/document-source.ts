/** Where a verification takes its documents from: a server and the cache, or the cache alone. */
import { hexEncode, type Bytes } from "../base/bytes.ts";
import { errorCode, FormatError, TrustError } from "../base/errors.ts";
import { matchesBytes } from "../tuf/checks.ts";
import type { NotaryApi } from "./api.ts";
import type { FileMeta } from "./metadata.ts";
import type { RoleDocuments } from "./metadata-store.ts";
import type { DocumentOrigin } from "./state.ts";

/** A root holds the certificates of all its predecessors, some 900 bytes each: enough for a thousand. */
const MAX_ROOT_BYTES = 1024 * 1024;
/** Notary's own limit; real ones have 500 bytes. */
const MAX_TIMESTAMP_BYTES = 1024 * 1024;
/** Some 300 bytes per role. */
const MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024;
/** Notary's own limit for any download: 400,000 targets. */
const MAX_TARGETS_BYTES = 100 * 1024 * 1024;
/** A cached document larger than this is not asked for again before it is known to have changed. */
const MAX_SPECULATIVE_BYTES = 64 * 1024;

/** A document, and where it came from. */
export interface SourcedDocument {
  readonly bytes: Bytes;
  readonly from: DocumentOrigin;
}

export interface DocumentSource {
  /** Says where, in messages. */
  readonly name: string;
  /** The newest root; undefined where there is none. */
  root(): Promise<Bytes | undefined>;
  /** One version of root. */
  rootVersion(version: number): Promise<Bytes | undefined>;
  timestamp(): Promise<SourcedDocument | undefined>;
  /** The document of snapshot or a targets role that has the signed length and hashes. */
  matching(role: string, expected: FileMeta): Promise<SourcedDocument | undefined>;
  /** Gives up whatever is still under way, and returns when nothing is: whoever logs it has the last word before. */
  close(): Promise<void>;
}

/**
 * Documents of the cache only. What is not there is TRUST_UNAVAILABLE: it says nothing about the collection.
 *
 * @param root from the trust state, never from the cache
 */
export function cachedDocuments(root: Bytes, cached: RoleDocuments): DocumentSource {
  return {
    name: "the stored trust data",
    root: async () => root,
    rootVersion: async () => undefined,
    timestamp: async () => ({ bytes: cached.get("timestamp") ?? notStored("timestamp"), from: "cache" }),
    matching: async (role, expected) => (await fromCache(cached, role, expected)) ?? notStored(role),
    close: async () => {},
  };
}

function notStored(role: string): never {
  throw new TrustError("TRUST_UNAVAILABLE", `the stored trust data has no current metadata of ${role}`, {
    role,
    hint: "Verify the collection online once, or look whether the cache was changed",
  });
}

async function fromCache(
  cached: RoleDocuments,
  role: string,
  expected: FileMeta,
): Promise<SourcedDocument | undefined> {
  const bytes = cached.get(role);
  return bytes !== undefined && (await matchesBytes(bytes, expected)) ? { bytes, from: "cache" } : undefined;
}

export interface ServerDocumentsOptions {
  readonly api: NotaryApi;
  readonly gun: string;
  readonly cached: RoleDocuments;
  /** Version of the root that is trusted already; its successor is asked for, so that no rotation is missed. */
  readonly trustedRoot: number | undefined;
  /** Ask HTTP caches on the way to check with the server. */
  readonly revalidate: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * Documents of a server. Everything that a client needs is asked for at once, before it is known what will be
 * needed: the four base documents are one round trip, whatever changed.
 */
export function serverDocuments(options: ServerDocumentsOptions): DocumentSource {
  const { api, gun, cached, trustedRoot, revalidate } = options;
  const abort = new AbortController();
  const signal = options.signal === undefined ? abort.signal : AbortSignal.any([abort.signal, options.signal]);
  const get = (file: string, limit: number) => api.getDocument(gun, file, { limit, revalidate, signal });
  const early = new Map<string, Promise<Bytes | undefined>>();
  const start = (file: string, limit: number) => {
    const answer = get(file, limit);
    answer.catch(() => {}); // awaited later, or never where an earlier document already failed
    early.set(file, answer);
  };
  start("root.json", MAX_ROOT_BYTES);
  start("timestamp.json", MAX_TIMESTAMP_BYTES);
  if (trustedRoot !== undefined) start(`${trustedRoot + 1}.root.json`, MAX_ROOT_BYTES);
  for (const role of ["snapshot", "targets"]) {
    if ((cached.get(role)?.length ?? 0) <= MAX_SPECULATIVE_BYTES) start(`${role}.json`, limitOf(role));
  }
  return {
    name: `the trust server ${new URL(api.server).host}`,
    root: () => early.get("root.json")!,
    rootVersion: (version) => early.get(`${version}.root.json`) ?? get(`${version}.root.json`, MAX_ROOT_BYTES),
    timestamp: async () => {
      const bytes = await early.get("timestamp.json");
      return bytes && { bytes, from: "network" };
    },
    matching: async (role, expected) => {
      if (expected.length > limitOf(role)) throw tooLong(role, expected.length);
      const stored = await fromCache(cached, role, expected);
      if (stored !== undefined) return stored;
      const newest = await early.get(`${role}.json`);
      if (newest !== undefined && (await matchesBytes(newest, expected))) return { bytes: newest, from: "network" };
      const hash = expected.hashes.get("sha256")!;
      const bytes = await get(`${role}.${hexEncode(hash)}.json`, expected.length).catch((cause: unknown) => {
        throw errorCode(cause) === "RESPONSE_TOO_LARGE" ? longer(role, expected.length, cause) : cause;
      });
      return bytes && { bytes, from: "network" };
    },
    close: async () => {
      abort.abort();
      await Promise.allSettled(early.values());
    },
  };
}

function limitOf(role: string): number {
  return role === "snapshot" ? MAX_SNAPSHOT_BYTES : MAX_TARGETS_BYTES;
}

/** The limit of a document that is fetched by its hash was signed: more than that is somebody else's bytes. */
function longer(role: string, length: number, cause: unknown): TrustError {
  return new TrustError(
    "METADATA_TAMPERED",
    `the metadata of ${role} is not what was signed for it: expected ${length} bytes, got more`,
    {
      role,
      cause,
      hint: "Somebody mixes metadata of different moments, or changed it; it was not used",
      details: { expected: `${length} bytes`, got: "more" },
    },
  );
}

function tooLong(role: string, length: number): FormatError {
  const limit = limitOf(role);
  return new FormatError("LIMIT_EXCEEDED", `the metadata of ${role} has ${length} bytes, the limit is ${limit}`, {
    details: { role, limit, got: length },
  });
}

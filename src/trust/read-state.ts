/** Reads a published state that nobody vouches for: to see what is in it, not to trust it. */
import type { Bytes } from "../base/bytes.ts";
import { FormatError, TrustError } from "../base/errors.ts";
import type { Runtime } from "../base/runtime.ts";
import { decodeMetadata } from "../tuf/metadata.ts";
import { memoryTufStore } from "../tuf/store.ts";
import type { TrustedCollection } from "./source.ts";
import { filesRepository } from "./trust-files.ts";
import { COLLECTION_FIELD, createTufSource, type TufTrustStore } from "./tuf/source.ts";

/** The name that the newest root of a state signs; undefined where it names none. @throws {FormatError} */
export function collectionNameOf(files: ReadonlyMap<string, Bytes>): string | undefined {
  const versions = [...files.keys()].flatMap((name) => /^(\d{1,9})\.root\.json$/.exec(name)?.[1] ?? []).map(Number);
  const file = versions.length === 0 ? "root.json" : `${Math.max(...versions)}.root.json`;
  const name = decodeMetadata(files.get(file) ?? new Uint8Array(), "root").signed.extra[COLLECTION_FIELD];
  return typeof name === "string" ? name : undefined;
}

/**
 * Verifies a state from its first root on, by its own keys and its own files alone: whether it is whole, not whether it
 * is anybody's. What a machine knows of a collection can stand in for a file that is missing or damaged; here nothing can.
 *
 * @throws {TrustError} as a client of it would
 * @throws {FormatError} METADATA_INVALID, JSON_INVALID
 */
export async function checkWholeState(files: ReadonlyMap<string, Bytes>, runtime: Runtime): Promise<TrustedCollection> {
  const repository = filesRepository(files, "the state that is copied");
  const source = createTufSource({ repository, runtime, trust: memoryTufTrust() });
  return source.open(collectionNameOf(files) ?? "", { firstUse: "accept" });
}

/** The same; undefined where it does not even verify by its own keys: it may have expired. */
export async function readUnverifiedState(
  files: ReadonlyMap<string, Bytes>,
  runtime: Runtime,
): Promise<TrustedCollection | undefined> {
  try {
    return await checkWholeState(files, runtime);
  } catch (error) {
    if (error instanceof TrustError || error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Remembers nothing longer than one source lives. */
function memoryTufTrust(): TufTrustStore {
  const anchors = new Map<string, Bytes>();
  const keyOf = ({ location, collection }: { location: string; collection: string }): string =>
    JSON.stringify([location, collection]);
  return {
    readAnchor: async (key) => anchors.get(keyOf(key)),
    writeAnchor: async (key, anchor) => {
      const kept = anchors.get(keyOf(key)) ?? anchor;
      anchors.set(keyOf(key), kept);
      return kept;
    },
    openStore: () => memoryTufStore(),
    remove: async (key) => void anchors.delete(keyOf(key)),
  };
}

/** Root files that people hand over: what trust can begin with. */
import type { Bytes } from "../base/bytes.ts";
import { listedKeys } from "../tuf/signing-keys.ts";
import { TrustedSet } from "../tuf/trusted-set.ts";
import type { Pin } from "./pin.ts";
import { COLLECTION_FIELD } from "./tuf/source.ts";

export interface RootFile {
  /** As many of its keys as it itself demands. */
  readonly pin: Pin;
  /** The collection that it names; undefined where it names none. */
  readonly collection: string | undefined;
  readonly version: number;
}

/**
 * Reads a root file. It must be signed as it itself demands; whether it has expired does not matter, since newer ones
 * follow from it.
 *
 * @throws {FormatError} JSON_INVALID, METADATA_INVALID
 * @throws {TrustError} SIGNATURE_THRESHOLD
 */
export async function readRootFile(bytes: Bytes): Promise<RootFile> {
  const set = new TrustedSet({ now: new Date(0) });
  await set.startFrom(bytes);
  const { signed } = set.root.document;
  const roleKeys = signed.roles.get("root")!;
  const keys = listedKeys({ role: "root", roleKeys, keys: signed.keys });
  const found = await Promise.all(keys.map(async ({ publicKey }) => publicKey?.fingerprint()));
  const fingerprints = [...new Set(found.filter((fingerprint) => fingerprint !== undefined))];
  const name = signed.extra[COLLECTION_FIELD];
  return {
    pin: { fingerprints, ...(roleKeys.threshold > 1 ? { threshold: roleKeys.threshold } : {}) },
    collection: typeof name === "string" ? name : undefined,
    version: signed.version,
  };
}

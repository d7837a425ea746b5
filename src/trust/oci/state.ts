/** A published state as a whole, to carry it elsewhere: byte for byte, not verified. */
import type { Bytes } from "../../base/bytes.ts";
import type { Digest } from "../../base/digest.ts";
import { FormatError } from "../../base/errors.ts";
import type { ContentStore } from "../../oci/content-store.ts";
import { readTrustTag, OciView, type TrustPlaceInRegistry } from "./repository.ts";
import { moveTrustTag } from "./publisher-store.ts";
import { TRUST_TAG } from "./tags.ts";

/** All files of a state, which are held at once: ten times what 100,000 targets in bins take. */
export const MAX_STATE_BYTES = 256 * 1024 * 1024;

/** Every metadata file of one published state. */
export interface PublishedState {
  /** Of the manifest that had them. */
  readonly digest: Digest;
  /** By name, e.g. `3.targets.json`. */
  readonly files: ReadonlyMap<string, Bytes>;
}

function placeIn(store: ContentStore, tag = TRUST_TAG): TrustPlaceInRegistry {
  return { store, tag, location: `oci://${store.name}` };
}

/**
 * Reads the state that a repository's trust tag names. Nothing in it is verified yet.
 *
 * @returns undefined where there is none
 * @throws {FormatError} MANIFEST_INVALID, LIMIT_EXCEEDED
 * @throws {RegistryError} DIGEST_MISMATCH
 */
export async function readTrustState(
  store: ContentStore,
  { tag, signal }: { readonly tag?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<PublishedState | undefined> {
  const view = new OciView(placeIn(store, tag));
  const state = await view.state(signal);
  if (state === undefined) return undefined;
  const total = [...state.files.values()].reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_STATE_BYTES) {
    throw new FormatError("LIMIT_EXCEEDED", `the trust data of ${store.name} has ${total} bytes in all`, {
      hint: "No honest collection is that large; tell whoever runs it",
      details: { size: total, limit: MAX_STATE_BYTES },
    });
  }
  const files = new Map<string, Bytes>();
  for (const { name, size } of state.files.values()) {
    files.set(name, (await view.metadata({ file: name, limit: size, signal })) as Bytes);
  }
  return { digest: state.manifest.digest, files };
}

/**
 * Puts a state in the place of another one. The caller has verified it, and that it may take that one's place.
 *
 * @param former digest of the state that is there; undefined where there is none
 * @throws {TrustError} TRUST_CONFLICT where another one is there by now
 */
export async function writeTrustState(
  store: ContentStore,
  files: ReadonlyMap<string, Bytes>,
  former: Digest | undefined,
  { tag, signal }: { readonly tag?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const place = placeIn(store, tag);
  const state = await readTrustTag(place, signal);
  await moveTrustTag(place, files, state?.manifest.digest === former ? state : undefined);
}

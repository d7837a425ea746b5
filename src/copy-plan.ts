/** What a copy brings along: decided, and verified where that is asked for, before anything is written. */
import type { Bytes } from "./base/bytes.ts";
import type { Digest } from "./base/digest.ts";
import type { Admission } from "./admit-copy.ts";
import { mayBeUnsigned } from "./apply-rules.ts";
import { RegistryError, UsageError } from "./base/errors.ts";
import type { Runtime } from "./base/runtime.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStore } from "./oci/content-store.ts";
import { formatTagged, type TaggedReference } from "./oci/tagged-reference.ts";
import type { ReceivedManifest } from "./oci/types.ts";
import { bindTarget } from "./trust/binding.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import { readTrustState, type PublishedState } from "./trust/oci/state.ts";
import { prefixIn } from "./trust/place.ts";
import { checkWholeState, collectionNameOf, readUnverifiedState } from "./trust/read-state.ts";
import type { Note, Verified } from "./trust/report.ts";
import { chooseTarget, trustNotes } from "./trust/resolve.ts";
import type { SignedTarget, TrustedCollection, TrustSource } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";

export interface SourceTrustOptions {
  readonly runtime: Runtime;
  readonly source: ContentStore;
  readonly reference: TaggedReference;
  /** Copy every tag, not the one that the reference names, and tell how the destination differs. */
  readonly allTags?: boolean | undefined;
  /** What the source is verified against. Undefined: nothing is verified, and that is said. */
  readonly trust?: Coverage | undefined;
  /** Verifies exactly the files that will be written, with what `trust` knows; needed where trust data is in the registry. */
  readonly openState?: ((files: ReadonlyMap<string, Bytes>) => TrustSource) | undefined;
  /** Where the source's trust data is; the source itself unless told. */
  readonly trustSource?: ContentStore | undefined;
  /** Trust data that comes from elsewhere and is to go along. */
  readonly carried?: Pick<PublishedState, "files"> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SourceTrust {
  /** What will be written; undefined where there is none, or none that can be copied. */
  readonly state: Pick<PublishedState, "files"> | undefined;
  /** True where the source is verified by trust data of another place. */
  readonly elsewhere: boolean;
  readonly name: string | undefined;
  /** Finds signed tags; undefined where there are none, or where they cannot be read. */
  readonly collection: { readonly verified: boolean; find(tag: string): SignedTarget | undefined } | undefined;
  /** Decides which target a reference has, or refuses; undefined where nothing is verified. */
  readonly choose:
    | ((reference: TaggedReference, found: Awaited<ReturnType<typeof findArtifact>>) => SignedTarget)
    | undefined;
  readonly notes: readonly Note[];
}

/**
 * Reads the source's trust data once, and verifies what was read: a registry that answers differently the next time
 * has no second chance.
 *
 * @throws {TrustError} every refusal
 */
export async function readSourceTrust(options: SourceTrustOptions): Promise<SourceTrust> {
  const { trust, runtime, source, signal } = options;
  const travels = trust === undefined || trust.source.kind === "oci" || trust.source.kind === "bundle";
  const state =
    options.carried ?? (travels ? await readTrustState(options.trustSource ?? source, { signal }) : undefined);
  if (trust === undefined) return unverified(options, state);
  const collection = await openVerified(options, trust, state);
  if (collection === undefined) return unverified(options, undefined);
  const elsewhere = `the trust data is in ${trust.source.location} and stays there: verify the copy against that place, or import it`;
  return {
    state,
    elsewhere: state === undefined,
    name: collection.name,
    collection: { verified: true, find: (tag) => collection.find(targetName(trust, tag)) },
    choose: (reference, found) => chooseTarget(trust, collection, reference, found),
    notes: [
      ...trustNotes(collection, runtime.now()),
      ...(state !== undefined ? [] : [{ code: "trust-elsewhere", message: elsewhere }]),
    ],
  };
}

/** @returns undefined where a policy allows that nobody has signed anything */
async function openVerified(
  { openState, runtime, signal }: SourceTrustOptions,
  trust: Coverage,
  state: Pick<PublishedState, "files"> | undefined,
): Promise<TrustedCollection | undefined> {
  const isFiles = state !== undefined || trust.source.kind === "oci";
  if (isFiles && openState === undefined) {
    throw new UsageError("USAGE", "trust data that is copied must be verified as it was read: openState is missing");
  }
  try {
    if (!isFiles) return await trust.source.open(trust.collection, { ...trust, signal });
    // these files, and nothing that is stored: they are what will be written
    const freshness = { mode: "online" } as const;
    const opened = await openState!(state?.files ?? new Map()).open(trust.collection, { ...trust, freshness, signal });
    if (state !== undefined) await checkWholeState(state.files, runtime);
    return opened;
  } catch (error) {
    if (state === undefined && (await mayBeUnsigned(trust, error))) return undefined;
    throw error;
  }
}

async function unverified(
  { runtime, source, reference, allTags }: SourceTrustOptions,
  state: Pick<PublishedState, "files"> | undefined,
): Promise<SourceTrust> {
  const what = allTags === true ? source.name : nameIn(source, reference);
  const message = `${what} is copied unverified: nobody's signature was checked`;
  const notes = [{ code: "unverified", message }];
  const none = { elsewhere: false, choose: undefined, notes };
  if (state === undefined) return { ...none, state, name: undefined, collection: undefined };
  const name = collectionNameOf(state.files);
  const collection = await readUnverifiedState(state.files, runtime);
  const prefix = prefixIn("oci", name ?? "", `${reference.registry}/${reference.repository}`);
  return {
    ...none,
    state,
    name,
    collection: collection && { verified: false, find: (tag) => collection.find(targetName({ prefix }, tag)) },
  };
}

export interface PlannedTag {
  /** At the destination; undefined where only digests are copied. */
  readonly tag: string | undefined;
  /** The first is the one that the tag will name; others are signed for the same name. */
  readonly manifests: readonly ReceivedManifest[];
  readonly verified: Verified;
}

/**
 * Decides what a reference brings along, as far as the policies of both ends allow it.
 *
 * @param tag of the destination
 * @throws {TrustError} TAG_MISMATCH, TARGET_MISMATCH, TARGET_NOT_FOUND, POLICY_REFUSED, CONTRACT_MISMATCH
 * @throws {RegistryError} REGISTRY_NOT_FOUND
 */
export async function planTag(
  { source, signal }: SourceTrustOptions,
  { choose }: SourceTrust,
  admission: Admission,
  reference: TaggedReference,
  tag: string | undefined,
): Promise<PlannedTag> {
  const found = await findArtifact(source, reference.digest ?? reference.tag, signal);
  if (choose === undefined || (found === undefined && reference.digest !== undefined)) {
    if (found === undefined) throw notFound(source, reference);
    await admission.admit({ reference, tag, manifest: found.digest, found, verified: "none" });
    return { tag, manifests: [await required(source, found.digest, signal)], verified: "none" };
  }
  const target = choose(reference, found);
  const binding = bindTarget(target, found, formatTagged(reference));
  const signed = readBinding(target.custom, target.name);
  const isUnderWay = found === undefined || found.digest === signed?.replaces;
  const wanted = [...(isUnderWay ? [] : [found.digest]), ...(signed?.manifests ?? [])];
  const manifests: ReceivedManifest[] = [];
  for (const digest of new Set(wanted)) {
    const manifest = await source.manifests.get(digest, { signal });
    if (manifest !== undefined) manifests.push(manifest); // one that was signed for another place need not be here
  }
  if (manifests[0] === undefined) throw notFound(source, reference);
  const verified = isUnderWay ? "artifact" : binding.verified;
  await admission.admit({
    reference,
    tag,
    manifest: manifests[0].digest,
    found,
    verified,
    signed: { target, binding },
  });
  return { tag, manifests, verified };
}

async function required(
  source: ContentStore,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<ReceivedManifest> {
  const manifest = await source.manifests.get(digest, { signal });
  if (manifest !== undefined) return manifest;
  throw new RegistryError("REGISTRY_NOT_FOUND", `${source.name} names ${digest} and does not have it`, {
    hint: "Somebody is changing the repository at this moment; run the command again",
    details: { digest },
  });
}

/** As the source calls itself: a layout has a path and no host. */
function nameIn({ name }: ContentStore, { tagged, tag, digest }: TaggedReference): string {
  return `${name}${tagged ? `:${tag}` : ""}${digest === undefined ? "" : `@${digest}`}`;
}

function notFound(source: ContentStore, reference: TaggedReference): RegistryError {
  return new RegistryError("REGISTRY_NOT_FOUND", `${nameIn(source, reference)} does not exist at the source`, {
    status: 404,
    hint: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
  });
}

/**
 * Copy: artifacts, what is attached to them, and the trust data, from one place to another. Everything that a tag or
 * the trust data names is there before it is named: blobs, manifests by digest, attachments, trust data, tags last. So
 * a consumer at the destination sees what was there before or what is there now, and a copy that ends anywhere is
 * completed by running it again.
 */
import { Admission, type DestinationRules } from "./admit-copy.ts";
import { ArtifactTransfer, isAttachmentTag, type TransferCounts, type TransferOptions } from "./copy-artifact.ts";
import { planTag, readSourceTrust, type PlannedTag, type SourceTrust, type SourceTrustOptions } from "./copy-plan.ts";
import type { Digest } from "./base/digest.ts";
import { FormatError, RegistryError, TrustError, UsageError } from "./base/errors.ts";
import type { Runtime } from "./base/runtime.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStore } from "./oci/content-store.ts";
import type { TaggedReference } from "./oci/tagged-reference.ts";
import { bindTarget } from "./trust/binding.ts";
import { compareStates, type StateRelation } from "./trust/compare-states.ts";
import { readTrustState, writeTrustState } from "./trust/oci/state.ts";
import type { Note, Verified } from "./trust/report.ts";
import { isTrustTag, TRUST_TAG } from "./trust/oci/tags.ts";

/** Tags of one repository: more take hours, and are better mirrored by the registry itself. */
const MAX_TAGS = 20_000;

export interface CopyOptions extends Omit<TransferOptions, "source" | "destination">, SourceTrustOptions {
  readonly runtime: Runtime;
  readonly source: ContentStore;
  readonly destination: ContentStore;
  /** The source, as messages and signed names have it. Its tag is copied, or its digest without a tag. */
  readonly reference: TaggedReference;
  /** The tag at the destination; the source's unless told. */
  readonly destinationTag?: string | undefined;
  /** Where trust data goes; the destination itself unless told. */
  readonly trustDestination?: ContentStore | undefined;
  /** What a policy says of the destination; the source's rules come with `trust`. */
  readonly destinationRules?: DestinationRules | undefined;
}

export interface CopiedTag {
  /** Undefined where only a digest was copied. */
  readonly tag: string | undefined;
  readonly digest: Digest;
  /** How far the source's signatures vouch for it. */
  readonly verified: Verified;
  /** What the destination's tag named before; undefined where it was not there. */
  readonly former: Digest | undefined;
}

/** A tag of the source that a policy keeps from being copied. */
export interface RefusedTag {
  readonly tag: string;
  /** What the policy has against it. */
  readonly reason: string;
}

export interface CopyReport extends TransferCounts {
  readonly source: string;
  readonly destination: string;
  readonly dryRun: boolean;
  readonly tags: readonly CopiedTag[];
  /** With all tags: those that only the destination has. They stay. */
  readonly onlyAtDestination: readonly string[];
  /** With all tags: those that nobody signed, left out where signatures are required. */
  readonly unsigned: readonly string[];
  /** With all tags: those that a policy refuses, left out. */
  readonly refused: readonly RefusedTag[];
  readonly trust: {
    /** `elsewhere`: it is no part of the source, and was not copied. */
    readonly change: "copied" | "same" | "none" | "elsewhere";
    readonly collection: string | undefined;
    readonly verified: boolean;
  };
  readonly notes: readonly Note[];
}

/**
 * Copies.
 *
 * @throws {UsageError} USAGE for a tag that is trust data's own, at either end
 * @throws {TrustError} every refusal of a verified source; COPY_OTHER_COLLECTION, COPY_DESTINATION_NEWER; POLICY_REFUSED
 *   and COLLECTION_MISMATCH by the policy of either end
 * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH, …
 * @example
 * ```ts
 * const report = await copy({ runtime, source, destination, reference: taggedReference("ghcr.io/acme/app:v1"), trust });
 * console.log(report.blobs, report.trust.change);
 * ```
 */
export async function copy(options: CopyOptions): Promise<CopyReport> {
  const { destination, reference, signal } = options;
  if (options.allTags !== true) requireModuleTag(reference.tag);
  if (options.destinationTag !== undefined) requireModuleTag(options.destinationTag);
  const trustDestination = options.trustDestination ?? destination;
  const trust = await readSourceTrust(options);
  const there = trust.state && (await readTrustState(trustDestination, { signal }));
  const relation = trust.state && compareStates(trust.state.files, there?.files, trustDestination.name);
  const admission = new Admission(options);
  if (trust.state !== undefined) admission.admitCollection(trust.name);
  const contradicted = trust.state === undefined ? await contradictedBy(trustDestination, signal) : [];
  const { planned, ...leftOut } = await plan(options, trust, relation, admission);
  const transfer = new ArtifactTransfer(options);
  const tags: CopiedTag[] = [];
  for (const { tag, manifests, verified } of planned) {
    for (const manifest of manifests) {
      await transfer.artifact(manifest);
      await transfer.attachments(manifest.digest);
    }
    const former = tag === undefined ? undefined : await destination.manifests.head(tag, { signal });
    tags.push({ tag, digest: manifests[0]!.digest, verified, former: former?.digest });
  }
  if (trust.state !== undefined && relation !== "same" && options.dryRun !== true) {
    await writeTrustState(trustDestination, trust.state.files, there?.digest, { signal });
  }
  for (const [at, { tag, manifests }] of planned.entries()) {
    if (tag !== undefined && tags[at]!.former !== manifests[0]!.digest) await transfer.tag(manifests[0]!, tag);
  }
  const onlyAtDestination = options.allTags === true ? await surplus(destination, planned, leftOut, signal) : [];
  return {
    source: options.source.name,
    destination: destination.name,
    dryRun: options.dryRun === true,
    tags,
    onlyAtDestination,
    ...leftOut,
    ...transfer.counts,
    trust: { change: changeOf(trust, relation), collection: trust.name, verified: trust.collection?.verified === true },
    notes: [...trust.notes, ...contradicted, ...renamed(options, reference, trust), ...transfer.notes],
  };
}

/** Tags of the source that are not copied. */
interface LeftOut {
  readonly unsigned: readonly string[];
  readonly refused: readonly RefusedTag[];
}

async function plan(
  options: CopyOptions,
  trust: SourceTrust,
  relation: StateRelation | undefined,
  admission: Admission,
): Promise<LeftOut & { readonly planned: readonly PlannedTag[] }> {
  const { source, destination, reference, signal } = options;
  const planned: PlannedTag[] = [];
  const unsigned: string[] = [];
  const refused: RefusedTag[] = [];
  if (options.allTags === true) {
    for (const tag of await moduleTags(source, signal)) {
      try {
        planned.push(await planTag(options, trust, admission, namedTag(reference, tag), tag));
      } catch (error) {
        if (!(error instanceof TrustError)) throw error;
        if (error.code === "POLICY_REFUSED") refused.push({ tag, reason: error.message });
        // what nobody signed is not carried on as if somebody had
        else if (error.code === "TARGET_NOT_FOUND") unsigned.push(tag);
        else throw error;
      }
    }
    return { planned, unsigned, refused };
  }
  const tag = reference.tagged ? (options.destinationTag ?? reference.tag) : options.destinationTag;
  planned.push(await planTag(options, trust, admission, reference, tag));
  if (relation !== "newer" || trust.collection === undefined) return { planned, unsigned, refused };
  for (const other of await tagsThere(destination, signal)) {
    if (other === tag || !(await isContradicted(destination, trust, other, signal))) continue;
    planned.push(await planTag(options, trust, admission, namedTag(reference, other), other));
  }
  return { planned, unsigned, refused };
}

/** Trust data goes along with modules, compared and in its turn: by its tag it would overwrite whatever is there. */
function requireModuleTag(tag: string): void {
  if (!isTrustTag(tag)) return;
  throw new UsageError("USAGE", `the tag ${JSON.stringify(tag)} is reserved for trust data`, {
    hint: "Copy a module, or --all-tags: the trust data goes along",
  });
}

/** An unsigned copy changes no trust data; where there is some, it may sign something else under this tag. */
async function contradictedBy(trustDestination: ContentStore, signal: AbortSignal | undefined): Promise<Note[]> {
  if ((await trustDestination.manifests.head(TRUST_TAG, { signal })) === undefined) return [];
  const message =
    `${trustDestination.name} has trust data, and this copy brings none: ` +
    "whoever verifies there refuses each tag that is not as it was signed there";
  return [{ code: "unsigned-copy", message }];
}

function namedTag({ registry, repository }: TaggedReference, tag: string): TaggedReference {
  return { registry, repository, tag, tagged: true };
}

/** Tells whether new trust data would turn a tag of the destination, which is not to be copied, into a refusal. */
async function isContradicted(
  destination: ContentStore,
  { collection }: SourceTrust,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const target = collection?.find(tag);
  if (target === undefined) return false;
  const found = await findArtifact(destination, tag, signal);
  try {
    bindTarget(target, found, `${destination.name}:${tag}`);
    return false;
  } catch (error) {
    if (error instanceof TrustError || error instanceof FormatError) return true;
    throw error;
  }
}

/** The tags that name modules. @throws {RegistryError} REGISTRY_NOT_FOUND where there is no such repository */
async function moduleTags(store: ContentStore, signal: AbortSignal | undefined): Promise<string[]> {
  const tags: string[] = [];
  for await (const tag of store.tags.list({ signal })) {
    if (!isTrustTag(tag) && !isAttachmentTag(tag)) tags.push(tag);
    if (tags.length > MAX_TAGS) {
      throw new FormatError("LIMIT_EXCEEDED", `${store.name} has more than ${MAX_TAGS} tags`, {
        hint: "Copy single tags",
        details: { limit: MAX_TAGS },
      });
    }
  }
  return tags.toSorted();
}

/** The same; a destination need not exist yet, whereas a source that does not was misspelt. */
async function tagsThere(destination: ContentStore, signal: AbortSignal | undefined): Promise<string[]> {
  try {
    return await moduleTags(destination, signal);
  } catch (error) {
    if (error instanceof RegistryError && error.code === "REGISTRY_NOT_FOUND") return [];
    throw error;
  }
}

async function surplus(
  destination: ContentStore,
  planned: readonly PlannedTag[],
  { unsigned, refused }: LeftOut,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const known = new Set([...planned.map(({ tag }) => tag), ...unsigned, ...refused.map(({ tag }) => tag)]);
  return (await tagsThere(destination, signal)).filter((tag) => !known.has(tag));
}

function changeOf(
  { state, elsewhere }: SourceTrust,
  relation: StateRelation | undefined,
): CopyReport["trust"]["change"] {
  if (state === undefined) return elsewhere ? "elsewhere" : "none";
  return relation === "same" ? "same" : "copied";
}

/** A signature is of a name: under another one it says nothing. */
function renamed({ destinationTag }: CopyOptions, reference: TaggedReference, { collection }: SourceTrust): Note[] {
  if (collection === undefined || destinationTag === undefined || !reference.tagged) return [];
  if (destinationTag === reference.tag || collection.find(destinationTag) !== undefined) return [];
  const message = `${reference.tag} is signed and ${destinationTag} is not: at the destination it cannot be verified under that name`;
  return [{ code: "renamed", message }];
}

/**
 * A bundle: one OCI layout archive with modules of any number of repositories, what is attached to them, the whole trust
 * data of each, and perhaps a policy. It is a registry that fits into a file: whatever pulls, copies or verifies does so
 * from a bundle in the same way.
 */
import type { Bytes } from "./base/bytes.ts";
import type { CreateHasher, Digest } from "./base/digest.ts";
import { FormatError, UsageError } from "./base/errors.ts";
import { escapeUntrusted } from "./base/untrusted-text.ts";
import { isAttachmentTag } from "./copy-artifact.ts";
import type { ContentStore, ContentStores } from "./oci/content-store.ts";
import { FULL_NAME, LayoutIndex, namesInRepository } from "./oci/layout-index.ts";
import { layoutStore, type LayoutFiles } from "./oci/layout-store.ts";
import { formatReference, parseReference, type Reference } from "./oci/reference.ts";
import { repositoryName } from "./oci/tagged-reference.ts";
import type { Descriptor } from "./oci/types.ts";
import { NOTARY_ARTIFACT_TYPE, readNotaryState, type NotaryState } from "./trust/notary/state.ts";
import { readTrustState } from "./trust/oci/state.ts";
import { MAX_POLICY_BYTES } from "./trust/policy/policy.ts";
import { isTrustTag } from "./trust/oci/tags.ts";

/** One JSON document, as `policy explain` reads it. */
export const POLICY_MEDIA_TYPE = "application/vnd.wasm-to-oci.policy.v1+json";
/** Whose collection a Notary artifact is. */
export const REPOSITORY_ANNOTATION = "org.wasm-to-oci.repository";

/** Manifests below one entry of the index. */
const MAX_DEPTH = 5;

/** The files of an archive, with everything that is in it. */
export interface BundleFiles extends LayoutFiles {
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly extras: readonly string[];
}

/** The trust data of one repository, not verified. */
export type BundledTrust =
  | { readonly kind: "tuf"; readonly files: ReadonlyMap<string, Bytes> }
  | { readonly kind: "notary"; readonly state: NotaryState };

export class Bundle implements ContentStores {
  readonly location: string;
  /** What it has modules for, in full and sorted, e.g. `ghcr.io/acme/app:v1`. */
  readonly references: readonly string[];
  private readonly files: BundleFiles;
  private readonly index: LayoutIndex;
  private readonly createHasher: CreateHasher;

  private constructor(files: BundleFiles, index: LayoutIndex, createHasher: CreateHasher) {
    this.files = files;
    this.index = index;
    this.createHasher = createHasher;
    this.location = files.location.replace(/^oci-archive:/, "bundle:");
    this.references = referencesOf(files, index);
  }

  /**
   * Reads a bundle's list of contents, and refuses one that has anything extra, or lacks anything. No module is read.
   *
   * @throws {FormatError} LAYOUT_INVALID, JSON_INVALID, MANIFEST_INVALID, LIMIT_EXCEEDED
   */
  static async open(files: BundleFiles, createHasher: CreateHasher): Promise<Bundle> {
    const index = await LayoutIndex.parse(await files.readIndex());
    await checkContents(files, index, layoutStore(files, { createHasher }));
    return new Bundle(files, index, createHasher);
  }

  repository(reference: Pick<Reference, "registry" | "repository">): ContentStore {
    const name = repositoryName(reference);
    const { createHasher } = this;
    return layoutStore(this.files, { createHasher, names: namesInRepository(name), name: `${this.location} ${name}` });
  }

  /** The trust data that goes with a repository; undefined where the bundle has none. */
  async trustOf(reference: Pick<Reference, "registry" | "repository">): Promise<BundledTrust | undefined> {
    const store = this.repository(reference);
    const state = await readTrustState(store);
    if (state !== undefined) return { kind: "tuf", files: state.files };
    const name = repositoryName(reference);
    const entry = this.index.entries.find(
      ({ artifactType, annotations }) =>
        artifactType === NOTARY_ARTIFACT_TYPE && annotations?.[REPOSITORY_ANNOTATION] === name,
    );
    const manifest = entry && (await store.manifests.get(entry.digest));
    return manifest && { kind: "notary", state: await readNotaryState(store, manifest) };
  }

  /** Hashes everything, also what no verification of a module reads. @throws {RegistryError} DIGEST_MISMATCH */
  async checkBlobs(): Promise<void> {
    const { blobs } = layoutStore(this.files, { createHasher: this.createHasher });
    for (const [digest, size] of this.files.blobs) for await (const _chunk of blobs.get({ digest, size })); // throws at its end
  }

  /** The policy that travels along. It decides nothing by being there. */
  async policy(): Promise<Bytes | undefined> {
    const store = layoutStore(this.files, { createHasher: this.createHasher });
    const entry = this.index.entries.find(({ artifactType }) => artifactType === POLICY_MEDIA_TYPE);
    const content = entry && (await store.manifests.get(entry.digest))?.content;
    const [layer] = content?.kind === "manifest" ? content.layers : [];
    return layer && store.blobs.read(layer, MAX_POLICY_BYTES);
  }
}

function referencesOf(files: BundleFiles, index: LayoutIndex): string[] {
  const found = new Set<string>();
  for (const name of index.entries.flatMap(({ annotations }) => annotations?.[FULL_NAME] ?? [])) {
    const { tag } = readName(files, name);
    if (!isTrustTag(tag) && !isAttachmentTag(tag)) found.add(name);
  }
  return [...found].toSorted();
}

/** A name in its one spelling, with a tag and no digest. @throws {FormatError} LAYOUT_INVALID */
function readName(files: BundleFiles, name: string): Reference & { readonly tag: string } {
  let reference: Reference | undefined;
  try {
    reference = parseReference(name);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
  const { tag } = reference ?? {};
  if (
    reference !== undefined &&
    tag !== undefined &&
    formatReference({ ...reference, tag }) === name &&
    reference.digest === undefined
  ) {
    return { ...reference, tag };
  }
  throw invalid(files, `"${escapeUntrusted(name, 128)}" names no module`, "name");
}

/** Everything that is listed is there in its size, and everything that is there is listed. */
async function checkContents(files: BundleFiles, index: LayoutIndex, store: ContentStore): Promise<void> {
  if (files.extras.length > 0) throw invalid(files, `it has ${files.extras.join(", ")}`, "extra");
  const listed = new Map<Digest, number>();
  const list = ({ digest, size }: Descriptor): void => {
    const there = files.blobs.get(digest);
    if (there === undefined) throw invalid(files, `it lacks the blob ${digest}`, "missing");
    if (there !== size) throw invalid(files, `the blob ${digest} has ${there} bytes, listed are ${size}`, "size");
    listed.set(digest, size);
  };
  const visit = async (entry: Descriptor, depth: number): Promise<void> => {
    if (listed.has(entry.digest)) return;
    if (depth > MAX_DEPTH) throw invalid(files, "its indexes are nested without end", "depth");
    list(entry);
    const content = (await store.manifests.get(entry.digest))?.content;
    if (content?.kind === "manifest") for (const blob of [content.config, ...content.layers]) list(blob);
    else for (const child of content?.manifests ?? []) await visit(child, depth + 1);
  };
  for (const entry of index.entries) await visit(entry, 0);
  const extra = [...files.blobs.keys()].find((digest) => !listed.has(digest));
  if (extra !== undefined) throw invalid(files, `it has the blob ${extra}, which nothing lists`, "extra");
}

function invalid({ location }: BundleFiles, fault: string, kind: string): FormatError {
  return new FormatError("LAYOUT_INVALID", `${location} is no sound bundle: ${fault}`, {
    hint: "It was not made by `bundle save`, or was changed since; get it again",
    details: { fault: kind },
  });
}

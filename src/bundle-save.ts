/**
 * Saves modules with everything that is needed to verify them, in one layout: as a copy into it, repository by
 * repository. The same content gives the same bytes: nothing of the time or the machine goes in.
 */
import type { Bytes } from "./base/bytes.ts";
import { utf8Encode } from "./base/bytes.ts";
import { digestBytes, type Digest } from "./base/digest.ts";
import { UsageError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { POLICY_MEDIA_TYPE, REPOSITORY_ANNOTATION } from "./bundle.ts";
import { copy, type CopyReport } from "./copy.ts";
import type { SourceTrustOptions } from "./copy-plan.ts";
import type { ContentStore, ContentStores } from "./oci/content-store.ts";
import { FULL_NAME, LayoutIndex, namesInRepository, REF_NAME } from "./oci/layout-index.ts";
import { layoutStore, type LayoutFiles } from "./oci/layout-store.ts";
import { formatTagged, repositoryName, type TaggedReference } from "./oci/tagged-reference.ts";
import { MediaType, type Descriptor } from "./oci/types.ts";
import { NOTARY_ARTIFACT_TYPE, writeNotaryState, type NotaryState } from "./trust/notary/state.ts";

/** One module to save, and how it is verified before. */
export interface BundleItem extends Pick<SourceTrustOptions, "carried" | "openState" | "trust" | "trustSource"> {
  readonly reference: TaggedReference;
  /** The collection, where it is on a Notary server. */
  readonly notary?: NotaryState | undefined;
}

export interface SaveBundleOptions {
  readonly runtime: Runtime;
  readonly registry: ContentStores;
  readonly files: LayoutFiles;
  readonly items: readonly BundleItem[];
  /** A policy to send along. */
  readonly policy?: Bytes | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws as `copy`; USAGE for a reference without a tag */
export async function saveBundle(options: SaveBundleOptions): Promise<CopyReport[]> {
  const { runtime, registry, files, items, policy, onProgress, signal } = options;
  const { createHasher } = runtime;
  const reports: CopyReport[] = [];
  const notary = new Map<string, Digest>();
  for (const { reference, notary: state, ...trust } of items) {
    if (!reference.tagged) {
      throw new UsageError("USAGE", `${formatTagged(reference)} has no tag, and a bundle names modules by tags`, {
        hint: `Name one: ${repositoryName(reference)}:TAG@DIGEST`,
      });
    }
    const repository = repositoryName(reference);
    const destination = layoutStore(files, {
      createHasher,
      names: namesInRepository(repository),
      name: files.location,
    });
    const source = registry.repository(reference);
    const report = await copy({ ...trust, runtime, source, destination, reference, onProgress, signal });
    if (state !== undefined) notary.set(repository, await writeNotaryState(destination, state));
    reports.push(state === undefined ? report : withNotary(report));
  }
  const policyDigest = policy && (await writePolicy(layoutStore(files, { createHasher }), policy));
  await files.updateIndex(async (current) => finished(await LayoutIndex.parse(current), notary, policyDigest).encode());
  return reports;
}

/** Notary's data goes into a bundle, though not into registries. */
function withNotary(report: CopyReport): CopyReport {
  const notes = report.notes.filter(({ code }) => code !== "trust-elsewhere");
  return { ...report, trust: { ...report.trust, change: "copied" }, notes };
}

/**
 * Puts the index into the one order, and gives modules the short names that other tools know: the tag, as `docker save`
 * does, where one module alone has it, else the full name.
 */
function finished(index: LayoutIndex, notary: ReadonlyMap<string, Digest>, policy: Digest | undefined): LayoutIndex {
  const tagOf = (name: string): string => name.slice(name.lastIndexOf(":") + 1);
  const names = index.entries.flatMap(({ annotations }) => annotations?.[FULL_NAME] ?? []);
  const entries: Descriptor[] = [];
  for (const { annotations, ...entry } of index.entries) {
    const name = annotations?.[FULL_NAME];
    const isAlone = name !== undefined && names.filter((other) => tagOf(other) === tagOf(name)).length === 1;
    const owners = [...notary].filter(([, digest]) => digest === entry.digest);
    if (name !== undefined) {
      entries.push({ ...entry, annotations: { [FULL_NAME]: name, [REF_NAME]: isAlone ? tagOf(name) : name } });
    } else if (owners.length > 0) {
      for (const [repository] of owners) {
        entries.push({
          ...entry,
          artifactType: NOTARY_ARTIFACT_TYPE,
          annotations: { [REPOSITORY_ANNOTATION]: repository },
        });
      }
    } else {
      entries.push(entry.digest === policy ? { ...entry, artifactType: POLICY_MEDIA_TYPE } : entry);
    }
  }
  const keyOf = ({ annotations, digest }: Descriptor): string =>
    `${annotations?.[FULL_NAME] ?? annotations?.[REPOSITORY_ANNOTATION] ?? ""} ${digest}`;
  return index.withEntries(entries.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)));
}

async function writePolicy(store: ContentStore, policy: Bytes): Promise<Digest> {
  const config = utf8Encode("{}");
  const put = async (bytes: Bytes): Promise<{ digest: Digest; size: number }> => {
    const blob = { digest: await digestBytes(bytes), size: bytes.length };
    await store.blobs.put(blob, bytes);
    return blob;
  };
  const manifest = utf8Encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: POLICY_MEDIA_TYPE,
      config: { mediaType: MediaType.ociEmpty, ...(await put(config)) },
      layers: [{ mediaType: POLICY_MEDIA_TYPE, ...(await put(policy)) }],
    }),
  );
  const digest = await digestBytes(manifest);
  await store.manifests.putByDigest(manifest, MediaType.ociManifest, digest);
  return digest;
}

/**
 * Changes that wait for signatures, in the registry beside the collection: whoever may push there can sign. Nobody
 * trusts what is read here; each signer's program checks it against the published state.
 */
import { equalBytes, type Bytes } from "../../base/bytes.ts";
import { digestBytes, type Digest } from "../../base/digest.ts";
import { FormatError, RegistryError, TrustError } from "../../base/errors.ts";
import { MediaType } from "../../oci/types.ts";
import type { StagingStore } from "../../tuf/publisher-store.ts";
import { artifactManifest, configBlob, type ConfigKind } from "./manifest.ts";
import type { TrustPlaceInRegistry } from "./repository.ts";
import { SignatureTags } from "./signature-tags.ts";
import { STAGED_TAG } from "./tags.ts";

const STAGED_ARTIFACT_TYPE = "application/vnd.wasm-to-oci.tuf.staged.v1";
const STAGED_MEDIA_TYPE = "application/vnd.wasm-to-oci.tuf.staged.v1+json";
/** Documents as large as what they become: hash bins of a large collection, spread anew, are the most. */
const MAX_STAGED_BYTES = 256 * 1024 * 1024;
/** Rounds against others who sign at the same moment; people take minutes. */
const MAX_ROUNDS = 10;
/** From the last look at a tag to its move: whoever looked before ours has moved it by then. */
const SETTLE_MS = 300;

/** A blob that is gone or another one: what is staged is lost, and can be dropped. */
const SPOILED: ReadonlySet<string> = new Set(["DIGEST_MISMATCH", "REGISTRY_NOT_FOUND"]);

interface Staged {
  readonly digest: Digest | undefined;
  readonly bytes: Bytes | undefined;
  /** What is there is no staged change. */
  readonly fault?: FormatError | RegistryError | undefined;
}

/**
 * Keeps staged changes at a tag of a repository.
 *
 * Registries have no compare-and-swap. So a change is written once, and read back after a moment: where somebody else's is
 * there, that one was first. Signatures never move its tag: each has a tag of its own, which nobody else writes, and
 * whoever reads puts them together.
 */
export function ociStaging(place: Pick<TrustPlaceInRegistry, "store" | "location">): StagingStore {
  return {
    location: `${place.location}:${STAGED_TAG}`,
    signatures: new SignatureTags(place.store),
    read: async () => {
      const { bytes, fault } = await readStaged(place);
      if (fault !== undefined) throw fault;
      return bytes;
    },
    async update(change) {
      for (let round = 1; ; round++) {
        const before = await readStaged(place);
        const next = await change(before.bytes);
        const isSo = next === undefined ? before.bytes === undefined : isSame(before.bytes, next);
        if (isSo && before.fault === undefined) return;
        if (await moveTag(place, before.digest, next)) return;
        if (round < MAX_ROUNDS) continue;
        throw new TrustError("TRUST_CONFLICT", `others kept changing what is staged in ${place.location}`, {
          hint: "Nothing was published; look at it again",
        });
      }
    },
  };
}

function isSame(a: Bytes | undefined, b: Bytes): boolean {
  return a !== undefined && equalBytes(a, b);
}

async function readStaged({ store }: Pick<TrustPlaceInRegistry, "store">): Promise<Staged> {
  const manifest = await store.manifests.get(STAGED_TAG);
  if (manifest === undefined) return { digest: undefined, bytes: undefined };
  const { digest, content } = manifest;
  const fail = (reason: string): Staged => {
    const fault = new FormatError("MANIFEST_INVALID", `${store.name}:${STAGED_TAG} holds no staged change: ${reason}`, {
      hint: "Nothing was signed; drop it, and prepare the change again",
    });
    return { digest, bytes: undefined, fault };
  };
  if (content.kind !== "manifest") return fail("it is an index");
  const [layer, ...others] = content.layers;
  if (layer === undefined || others.length > 0) return fail(`it has ${content.layers.length} layers`);
  if (layer.mediaType === MediaType.ociEmpty) return { digest, bytes: undefined }; // dropped
  if (layer.mediaType !== STAGED_MEDIA_TYPE) return fail(`its layer is of type ${JSON.stringify(layer.mediaType)}`);
  try {
    return { digest, bytes: await store.blobs.read(layer, MAX_STAGED_BYTES) };
  } catch (error) {
    if (!(error instanceof RegistryError && SPOILED.has(error.code))) throw error;
    return { digest, bytes: undefined, fault: error };
  }
}

/** @returns false where somebody else's change is there in the end */
async function moveTag(
  place: Pick<TrustPlaceInRegistry, "store" | "location">,
  former: Digest | undefined,
  next: Bytes | undefined,
): Promise<boolean> {
  try {
    return await write(place, former, next, "empty");
  } catch (error) {
    if (!(error instanceof RegistryError && error.code === "REGISTRY_REFUSED")) throw error;
    return write(place, former, next, "image"); // a registry that knows images only
  }
}

async function write(
  { store }: Pick<TrustPlaceInRegistry, "store">,
  former: Digest | undefined,
  next: Bytes | undefined,
  kind: ConfigKind,
): Promise<boolean> {
  const config = await configBlob(kind);
  await store.blobs.put(config, config.bytes);
  // not every registry deletes tags, and some refuse manifests without layers: nothing is a layer with nothing in it
  const empty = await configBlob("empty");
  const content = next ?? empty.bytes;
  const mediaType = next === undefined ? empty.mediaType : STAGED_MEDIA_TYPE;
  const layer = { mediaType, digest: await digestBytes(content), size: content.length };
  await store.blobs.put(layer, content);
  const bytes = await artifactManifest(STAGED_ARTIFACT_TYPE, kind, [layer]);
  if ((await store.manifests.head(STAGED_TAG))?.digest !== former) return false;
  await store.manifests.tag(bytes, MediaType.ociManifest, STAGED_TAG);
  await new Promise((resolve) => {
    setTimeout(resolve, SETTLE_MS);
  });
  return (await store.manifests.head(STAGED_TAG))?.digest === (await digestBytes(bytes));
}

/** Signatures for what is staged in a registry: each at a tag of its own, named by what it is for and what it is. */
import { hexEncode, type Bytes } from "../../base/bytes.ts";
import { digestBytes, hashBytes } from "../../base/digest.ts";
import { errorCode, RegistryError } from "../../base/errors.ts";
import type { ContentStore } from "../../oci/content-store.ts";
import { MediaType, type Descriptor } from "../../oci/types.ts";
import type { StagedSignatures } from "../../tuf/publisher-store.ts";
import { ignoringGarbage } from "./change-log.ts";
import { artifactManifest, configBlob, type ConfigKind } from "./manifest.ts";
import { SIGNATURES_TAG_PREFIX } from "./tags.ts";

const SIGNATURES_ARTIFACT_TYPE = "application/vnd.wasm-to-oci.tuf.signatures.v1";
const SIGNATURES_MEDIA_TYPE = "application/vnd.wasm-to-oci.tuf.signatures.v1+json";
/** Hash bins spread anew are the most: a signature of 150 bytes for each of 16,384. */
const MAX_BYTES = 4 * 1024 * 1024;
/** What is embedded in the manifest, so that it is read at once. */
const MAX_EMBEDDED = 64 * 1024;
/** Times that people sign one change; whoever may write to the registry could make any number. */
const MAX_TAGS = 256;
const PARALLEL = 16;
/** Hex digits of either part of a tag's name: whoever makes two alike has only lost their own. */
const DIGITS = 32;

export class SignatureTags implements StagedSignatures {
  private readonly store: ContentStore;

  constructor(store: ContentStore) {
    this.store = store;
  }

  async read(change: string): Promise<readonly Bytes[]> {
    const tags = await this.tagsOf(change);
    const found: Bytes[] = [];
    for (let at = 0; at < tags.length; at += PARALLEL) {
      const batch = await Promise.all(tags.slice(at, at + PARALLEL).map((tag) => this.readOne(tag)));
      for (const bytes of batch) if (bytes !== undefined) found.push(bytes);
    }
    return found;
  }

  async add(change: string, signatures: Bytes): Promise<void> {
    const name = hexEncode(await hashBytes("sha256", signatures)).slice(0, DIGITS);
    const tag = `${prefixOf(change)}${name}`;
    try {
      await this.write(tag, signatures, "empty");
    } catch (error) {
      if (!(error instanceof RegistryError && error.code === "REGISTRY_REFUSED")) throw error;
      await this.write(tag, signatures, "image"); // a registry that knows images only
    }
  }

  async clear(change: string): Promise<void> {
    const { manifests } = this.store;
    for (const tag of await this.tagsOf(change)) {
      const head = await manifests.head(tag);
      if (head !== undefined && (await manifests.remove?.(head.digest)) !== true) return;
    }
  }

  private async tagsOf(change: string): Promise<string[]> {
    const tags: string[] = [];
    try {
      for await (const tag of this.store.tags.list()) if (tag.startsWith(prefixOf(change))) tags.push(tag);
    } catch (error) {
      if (errorCode(error) !== "REGISTRY_NOT_FOUND") throw error;
    }
    return tags.toSorted().slice(0, MAX_TAGS);
  }

  private async readOne(tag: string): Promise<Bytes | undefined> {
    return ignoringGarbage(async () => {
      const manifest = await this.store.manifests.get(tag);
      if (manifest?.content.kind !== "manifest") return undefined;
      const [layer, ...others] = manifest.content.layers;
      if (layer?.mediaType !== SIGNATURES_MEDIA_TYPE || others.length > 0) return undefined;
      return this.store.blobs.read(layer, MAX_BYTES);
    });
  }

  private async write(tag: string, content: Bytes, kind: ConfigKind): Promise<void> {
    const { blobs, manifests } = this.store;
    const config = await configBlob(kind);
    const data = content.length <= MAX_EMBEDDED ? { data: content } : {};
    const digest = await digestBytes(content);
    const layer: Descriptor = { mediaType: SIGNATURES_MEDIA_TYPE, digest, size: content.length, ...data };
    await blobs.put(config, config.bytes);
    await blobs.put(layer, content);
    const manifest = await artifactManifest(SIGNATURES_ARTIFACT_TYPE, kind, [layer]);
    await manifests.tag(manifest, MediaType.ociManifest, tag);
  }
}

function prefixOf(change: string): string {
  return `${SIGNATURES_TAG_PREFIX}${change.slice(0, DIGITS)}-`;
}

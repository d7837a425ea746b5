/** Content by digest out of the cache, and from a registry only where there is one to ask. */
import { digestAlgorithm, isDigest } from "./base/digest.ts";
import { TransportError } from "./base/errors.ts";
import type { ContentCache } from "./content-cache.ts";
import type { BlobStore, ManifestStore } from "./oci/content-store.ts";
import { MAX_MANIFEST_BYTES, parseManifest } from "./oci/manifest.ts";

/** The two reads that a pull makes. */
export interface ReadableContent {
  readonly blobs: Pick<BlobStore, "get">;
  readonly manifests: Pick<ManifestStore, "get">;
}

/**
 * Reads manifests from a cache before anything else is asked. (Modules do not come from here: a download looks into
 * the cache by itself, since it can begin anew where the cache turns out damaged.)
 *
 * @param registry undefined where nothing may be asked: what is not in the cache is then OFFLINE_MISSING
 */
export function storedContent(cache: ContentCache | undefined, registry: ReadableContent | undefined): ReadableContent {
  const missing = (what: string): TransportError =>
    new TransportError("OFFLINE_MISSING", `${what} is not on this machine, and nothing may be fetched`, {
      hint: "Run the command once without --offline",
      details: { cache: cache?.location ?? null },
    });
  return {
    blobs: {
      get: (blob, options) => registry?.blobs.get(blob, options) ?? failing(missing(`the module ${blob.digest}`)),
    },
    manifests: {
      async get(reference, options) {
        const bytes = isDigest(reference) ? await cache?.read(reference, MAX_MANIFEST_BYTES) : undefined;
        if (bytes !== undefined && isDigest(reference)) {
          return parseManifest(bytes, undefined, digestAlgorithm(reference));
        }
        if (registry !== undefined) return registry.manifests.get(reference, options);
        throw missing(`the manifest ${reference}`);
      },
    },
  };
}

function failing(error: Error): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}

/** A bundle's trust data as a trust source like others, for modules that come from elsewhere. */
import { TrustError } from "../base/errors.ts";
import type { Runtime } from "../base/runtime.ts";
import { Bundle, type BundledTrust } from "../bundle.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { parseReference, type Reference } from "../oci/reference.ts";
import { repositoryName } from "../oci/tagged-reference.ts";
import type { BundleSource } from "../trust/bundle-source.ts";
import { collectionNameOf } from "../trust/read-state.ts";
import { openBundleTrust } from "./bundle-trust.ts";
import { nodeHasher } from "./hasher.ts";
import { openLayoutArchive } from "./layout-archive.ts";

export interface OpenBundleSourceOptions {
  /** The bundle's file. */
  readonly path: string;
  /** Whose trust data is wanted. Where the bundle has none under that name, that of the collection that is opened. */
  readonly repository: Pick<Reference, "registry" | "repository">;
  /** Trust directory: nothing older than was seen there is accepted. */
  readonly dir: string;
  readonly runtime: Runtime;
  /** The trust server under which a Notary collection is known here; the one that the bundle names unless given. */
  readonly server?: string | undefined;
  /** Tells which of the collection's keys are here. */
  readonly keyStore?: KeyStore | undefined;
}

/** A bundle that was read, and what kind of trust data it has for the repository. */
export interface OpenedBundle {
  readonly source: BundleSource;
  /** Undefined where it has none under the repository's own name. */
  readonly kind: BundledTrust["kind"] | undefined;
}

/**
 * Reads the trust data out of a bundle, and verifies none of it yet. A bundle cannot vouch for itself: open its
 * collections with a pin. The file is closed again before this returns, and no network is ever touched.
 *
 * @throws {FormatError} LAYOUT_INVALID and what else a bundle is refused for
 * @throws {StorageError} FILE_NOT_FOUND
 * @example
 * ```ts
 * const { source } = await openBundleSource({ path: "app.tar", repository, dir, runtime });
 * const collection = await source.open("acme/app", { firstUse: "refuse", pin });
 * ```
 */
export async function openBundleSource(options: OpenBundleSourceOptions): Promise<OpenedBundle> {
  const { path, repository } = options;
  const location = `bundle:${path}`;
  const archive = await openLayoutArchive(path);
  try {
    const bundle = await Bundle.open(archive, nodeHasher);
    const own = await bundle.trustOf(repository);
    const others = own === undefined ? await trustByCollection(bundle) : new Map<string, BundledTrust>();
    const open = async (collection: string): Promise<BundleSource> => {
      const trust = own ?? others.get(collection);
      if (trust === undefined) throw nothingFor(location, repositoryName(repository), collection);
      return openBundleTrust({ ...options, trust, location });
    };
    return { source: chosenWhenOpened(location, open), kind: own?.kind };
  } finally {
    await archive.close();
  }
}

/** By the names that roots claim: which of them answers is decided by its keys, once it is opened. */
async function trustByCollection(bundle: Bundle): Promise<Map<string, BundledTrust>> {
  const repositories = new Set(bundle.references.map((reference) => repositoryName(parseReference(reference))));
  const found = new Map<string, BundledTrust>();
  for (const repository of repositories) {
    const trust = await bundle.trustOf(parseReference(repository));
    const name = trust?.kind === "tuf" ? collectionNameOf(trust.files) : trust?.state.gun;
    if (trust !== undefined && name !== undefined && !found.has(name)) found.set(name, trust);
  }
  return found;
}

function chosenWhenOpened(location: string, choose: (collection: string) => Promise<BundleSource>): BundleSource {
  return {
    kind: "bundle",
    location,
    open: async (collection, options) => (await choose(collection)).open(collection, options),
    isKnown: async (collection) => (await choose(collection)).isKnown(collection),
    status: async (collection, options) => (await choose(collection)).status(collection, options),
    publish: async (collection, edit, options) => (await choose(collection)).publish(collection, edit, options),
  };
}

function nothingFor(location: string, repository: string, collection: string): TrustError {
  return new TrustError("TRUST_NOT_FOUND", `${location} has no trust data for ${repository}, nor for ${collection}`, {
    hint: "If it has the module under another name, pin this repository to that collection, or add --collection NAME",
    details: { repository, collection },
  });
}

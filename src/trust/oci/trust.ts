/** Trust data beside modules, in the registry itself: no server of its own is needed. */
import type { Bytes } from "../../base/bytes.ts";
import type { Runtime } from "../../base/runtime.ts";
import type { KeyStore } from "../../keys/key-store.ts";
import type { PassphraseProvider } from "../../keys/signer.ts";
import type { ContentStores } from "../../oci/content-store.ts";
import type { Reference } from "../../oci/reference.ts";
import type { Freshness } from "../../tuf/client.ts";
import type { StagingStore } from "../../tuf/publisher-store.ts";
import { OciPublisherStore } from "./publisher-store.ts";
import type { TrustPlaceInRegistry } from "./repository.ts";
import { TRUST_TAG } from "./tags.ts";
import { TufPublisher } from "../tuf/publisher.ts";
import { createTufSource, type TufSource, type TufTrustStore } from "../tuf/source.ts";

export interface OciTrustOptions {
  readonly registry: ContentStores;
  /** The repository that holds the trust data: the module's own, or one that several share. */
  readonly repository: Pick<Reference, "registry" | "repository">;
  /** Names the newest state; `tuf` unless told. */
  readonly tag?: string | undefined;
  /** What is trusted, and how far it was seen. */
  readonly trust: TufTrustStore;
  /** Where changes wait for signatures of several people. */
  readonly staging: StagingStore;
  readonly keyStore: KeyStore;
  readonly passphrases: PassphraseProvider;
  /** Where the keys are, for people. */
  readonly keyLocation: string;
  readonly runtime: Runtime;
  /** A root file that the caller trusts; it goes before anything that is stored. */
  readonly anchor?: Bytes | undefined;
  readonly freshness?: Freshness | undefined;
  /** Root key of new collections; the only one at hand, or a new one, unless told. */
  readonly rootKeyId?: string | undefined;
}

/** Where the trust data of a repository is. */
export function trustPlace({
  registry,
  repository,
  tag = TRUST_TAG,
}: Pick<OciTrustOptions, "registry" | "repository" | "tag">): TrustPlaceInRegistry {
  const { registry: host, repository: path } = repository;
  return { store: registry.repository(repository), tag, location: `oci://${host}/${path}` };
}

/**
 * Opens the trust data of a repository, to read and to publish. Nothing is contacted yet.
 *
 * @example
 * ```ts
 * const { source } = openOciTrust({ registry, repository: parseReference("ghcr.io/acme/app"), ...stores });
 * await source.publish("acme/app", () => [{ action: "add", name: "v1", length, hashes }], { firstUse: "refuse" });
 * ```
 */
export function openOciTrust(options: OciTrustOptions): {
  readonly source: TufSource;
  readonly publisher: TufPublisher;
} {
  const { trust, staging, keyStore, passphrases, keyLocation, runtime, anchor, freshness, rootKeyId } = options;
  const store = new OciPublisherStore(trustPlace(options), runtime.now);
  const publisher = new TufPublisher({
    store,
    staging,
    trust,
    anchor,
    keyStore,
    passphrases,
    keyLocation,
    now: runtime.now,
    rootKeyId,
  });
  const { publish } = publisher;
  return {
    publisher,
    source: createTufSource({ kind: "oci", repository: store, runtime, trust, anchor, freshness, publish }),
  };
}

/** What a Notary trust source is made of. */
import type { CredentialSource } from "../../base/credentials.ts";
import type { RetryPolicy } from "../../base/retry.ts";
import type { Runtime } from "../../base/runtime.ts";
import type { KeyStore } from "../../keys/key-store.ts";
import type { PassphraseProvider } from "../../keys/signer.ts";
import type { Freshness } from "../../notary/client.ts";
import type { NewCollectionOptions } from "../../notary/initialise.ts";
import type { SearchOrder } from "../../notary/lookup.ts";
import type { MetadataStore } from "../../notary/metadata-store.ts";
import type { TrustStateStore } from "../../notary/trust-state.ts";

export interface NotarySourceOptions {
  /** Base URL of the trust server, https, or http on this machine. */
  readonly server: string;
  readonly runtime: Runtime;
  /** The cache of documents. */
  readonly metadata: MetadataStore;
  /** What must outlive the cache: trusted roots, versions seen. */
  readonly trust: TrustStateStore;
  readonly keyStore: KeyStore;
  /** Where the key store is, for people. */
  readonly keyLocation: string;
  readonly passphrases: PassphraseProvider;
  readonly credentials?: CredentialSource | undefined;
  readonly retry?: RetryPolicy | undefined;
  readonly freshness?: Freshness | undefined;
  /** In which order roles are searched; Docker's unless told. */
  readonly searchOrder?: SearchOrder | undefined;
  /** How collections are made. */
  readonly newCollections?: NewCollectionOptions | undefined;
  /** Counts changes that the notary command has staged for a collection and not published. */
  readonly stagedChanges?: ((gun: string) => Promise<number>) | undefined;
  /**
   * Read where the Go wasm-to-oci of 2019 signed for registries with a port: the collection `localhost` and the
   * target `5000/x` for `localhost:5000/x:v1`. Nothing can be published there.
   */
  readonly readGoNames?: boolean | undefined;
}

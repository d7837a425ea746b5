/** Opens the places that trust data can be in, with the keys and the state of the trust directory. */
import { join } from "node:path";
import type { CredentialSource } from "../base/credentials.ts";
import type { Runtime } from "../base/runtime.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import { openNotarySource } from "../node/notary-source.ts";
import { openOciSource } from "../node/oci-source.ts";
import { openTufPublisher } from "../node/tuf-publisher.ts";
import { openTufSource } from "../node/tuf-source.ts";
import { parseReference, type Reference } from "../oci/reference.ts";
import type { RegistryClient } from "../oci/registry-client.ts";
import type { NotarySource } from "../trust/notary/source.ts";
import type { PinnedSource } from "../trust/pins.ts";
import { TufAdministration } from "../trust/tuf/administration.ts";
import type { OpenedTrust } from "./session.ts";

export interface TrustOpenerOptions {
  /** Trust directory. */
  readonly dir: string;
  /** With the certificates of the trust server. */
  readonly runtime: Runtime;
  readonly registry: RegistryClient;
  /** With the certificates of the registry. */
  readonly registryRuntime: Runtime;
  readonly keyStore: KeyStore;
  readonly passphrases: PassphraseProvider;
  readonly credentials: CredentialSource;
  /** Notary: look where the 2019 tool put signatures. */
  readonly legacyNames: boolean | undefined;
  /** Notary: the root key of new collections. */
  readonly rootKeyId: string | undefined;
}

type OpenedTuf = Omit<Exclude<OpenedTrust, { kind: "notary" }>, "administration">;

/** Opens trust sources. Nothing is contacted yet. */
export class TrustOpener {
  private readonly options: TrustOpenerOptions;

  constructor(options: TrustOpenerOptions) {
    this.options = options;
  }

  /** @param reference the repository that has its own trust data, where the place is beside the module */
  open(place: PinnedSource, reference: Pick<Reference, "registry" | "repository">): OpenedTrust {
    if (place.kind === "notary") return { kind: "notary", source: this.notary(place.server) };
    const opened =
      place.kind === "tuf"
        ? this.tuf(place.location)
        : this.oci(place.repository === undefined ? reference : parseReference(place.repository));
    const { dir, runtime, keyStore, passphrases } = this.options;
    const keys = { keyStore, passphrases, keyLocation: join(dir, "private") };
    return { ...opened, administration: new TufAdministration({ ...opened, ...keys, now: runtime.now }) };
  }

  notary(server: string): NotarySource {
    const { legacyNames, rootKeyId, ...options } = this.options;
    return openNotarySource({ ...options, server, readGoNames: legacyNames, newCollections: { rootKeyId } });
  }

  private oci(repository: Pick<Reference, "registry" | "repository">): OpenedTuf {
    const { registryRuntime: runtime } = this.options;
    return { kind: "oci", ...openOciSource({ ...this.options, runtime, repository }) };
  }

  /** A web server can only be read; a directory can be published to, and any web server can serve it then. */
  private tuf(location: string): OpenedTuf {
    const { dir, runtime } = this.options;
    if (/^https?:\/\//i.test(location)) {
      return { kind: "tuf", source: openTufSource({ location, dir, runtime }), publisher: undefined };
    }
    return { kind: "tuf", ...openTufPublisher({ ...this.options, location }) };
  }
}

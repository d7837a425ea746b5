/** Verifies what a bundle has, with what a trust directory knows: nothing older than was seen here is accepted. */
import type { Bytes } from "../base/bytes.ts";
import type { Runtime } from "../base/runtime.ts";
import { memoryKeyStore, type KeyStore } from "../keys/key-store.ts";
import { memoryMetadataStore } from "../notary/metadata-store.ts";
import type { TrustStateStore } from "../notary/trust-state.ts";
import type { BundledTrust } from "../bundle.ts";
import { bundleSource, type BundleSource } from "../trust/bundle-source.ts";
import { createNotarySource } from "../trust/notary/source.ts";
import { replayTransport } from "../trust/notary/state.ts";
import { filesRepository } from "../trust/trust-files.ts";
import { TufAdministration } from "../trust/tuf/administration.ts";
import { createTufSource, type TufTrustStore } from "../trust/tuf/source.ts";
import type { TufStore } from "../tuf/store.ts";
import { openTrustStateDir } from "./metadata-dir.ts";
import { openTufTrustDir } from "./tuf-source.ts";

export interface BundleTrustOptions {
  /** Trust directory. */
  readonly dir: string;
  readonly trust: BundledTrust;
  /** For people, e.g. `bundle:app.tar`. */
  readonly location: string;
  readonly runtime: Runtime;
  /** Judge as of this moment, and remember nothing. Now, and what was seen is remembered, unless given. */
  readonly asOf?: Date | undefined;
  /** A root file to trust (TUF). */
  readonly anchor?: Bytes | undefined;
  /** The trust server under which the collection is known here; the one that the bundle names unless given. */
  readonly server?: string | undefined;
  /** Tells which of the collection's keys are here; none are unless given. Nothing is signed with them. */
  readonly keyStore?: KeyStore | undefined;
}

/** Bundles are not signed into, so no key is ever opened. */
const READ_ONLY = { keyLocation: "nowhere", passphrases: async () => undefined };

/**
 * Opens the trust data of a bundle. Nothing of the network is ever touched.
 *
 * @example
 * ```ts
 * const trust = await bundle.trustOf(parseReference("ghcr.io/acme/app"));
 * const source = trust && (await openBundleTrust({ dir, trust, location: bundle.location, runtime }));
 * ```
 */
export async function openBundleTrust(options: BundleTrustOptions): Promise<BundleSource> {
  const { dir, trust, location, asOf, anchor, keyStore = memoryKeyStore() } = options;
  const runtime = { ...options.runtime, now: asOf === undefined ? options.runtime.now : () => asOf };
  if (trust.kind === "tuf") {
    const repository = filesRepository(trust.files, location);
    const inner = createTufSource({
      kind: "oci",
      repository,
      runtime,
      anchor,
      trust: offlineTrust(openTufTrustDir(dir), asOf),
    });
    const { now } = runtime;
    const administration = new TufAdministration({ source: inner, publisher: undefined, keyStore, now, ...READ_ONLY });
    return bundleSource(
      {
        open: (collection, opening) => inner.open(collection, opening),
        isKnown: (collection) => inner.isKnown(collection),
        status: (collection, reach) => administration.status(collection, reach),
      },
      location,
    );
  }
  const { state } = trust;
  const inner = createNotarySource({
    server: options.server ?? state.server,
    runtime: { ...runtime, transport: await replayTransport(state) },
    metadata: memoryMetadataStore(),
    trust: offlineState(openTrustStateDir(dir), asOf),
    keyStore,
    ...READ_ONLY,
  });
  return bundleSource(inner, location);
}

/**
 * What is known of a collection counts, wherever it was learnt; that a bundle was read is no proof of having asked its
 * source, and its place on a disk is no place to remember.
 */
function offlineTrust(trust: TufTrustStore, asOf: Date | undefined): TufTrustStore {
  return {
    readAnchor: async () => undefined,
    writeAnchor: async (_key, anchor) => anchor,
    openStore: (key, anchor) => offlineStore(trust.openStore(key, anchor), asOf),
    remove: async () => undefined,
  };
}

function offlineStore(store: TufStore, asOf: Date | undefined): TufStore {
  const isForNow = asOf === undefined;
  return {
    readRoot: (version) => store.readRoot(version),
    writeRoot: async (version, bytes) => (isForNow ? store.writeRoot(version, bytes) : undefined),
    read: (role) => store.read(role),
    update: async (role, change) => (isForNow ? store.update(role, change) : undefined),
    readRecord: async () => (isForNow ? store.readRecord() : undefined),
    writeRecord: async () => undefined,
  };
}

function offlineState(trust: TrustStateStore, asOf: Date | undefined): TrustStateStore {
  return {
    read: (collection) => trust.read(collection),
    update: async (collection, change) => {
      if (asOf !== undefined) return change(await trust.read(collection));
      return trust.update(collection, (current) => ({
        ...change(current),
        checkedAt: current?.checkedAt ?? new Date(0),
      }));
    },
    remove: async () => undefined,
  };
}

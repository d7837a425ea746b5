/** Collects the whole trust data behind a coverage, to carry it in a bundle. */
import type { CredentialSource } from "../base/credentials.ts";
import type { Bytes } from "../base/bytes.ts";
import type { Runtime } from "../base/runtime.ts";
import type { BundledTrust } from "../bundle.ts";
import { memoryKeyStore } from "../keys/key-store.ts";
import { NotaryApi } from "../notary/api.ts";
import { memoryMetadataStore } from "../notary/metadata-store.ts";
import { collectState } from "../trust/collect-state.ts";
import type { Coverage } from "../trust/coverage.ts";
import { createNotarySource } from "../trust/notary/source.ts";
import { recordingTransport } from "../trust/notary/state.ts";
import { httpRepository } from "../tuf/http-repository.ts";
import { openTrustStateDir } from "./metadata-dir.ts";
import { directoryRepository } from "./tuf-directory.ts";

/** As for any root of Notary. */
const MAX_ROOT_BYTES = 1024 * 1024;
/** More rotations than any client follows. */
const MAX_ROOTS = 1_000;

export interface CollectTrustOptions {
  /** Trust directory. */
  readonly dir: string;
  readonly trust: Coverage;
  /** Reaches the trust server. */
  readonly runtime: Runtime;
  readonly credentials?: CredentialSource | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads trust data that is not in the registry.
 *
 * @returns undefined where it is: it goes along as it is there
 * @throws {TrustError} every refusal of a Notary collection; a TUF repository's files are verified by who takes them
 */
export async function collectTrust(options: CollectTrustOptions): Promise<BundledTrust | undefined> {
  const { trust, runtime, signal } = options;
  const { kind, location } = trust.source;
  if (kind === "notary") return collectNotary(options);
  if (kind !== "tuf") return undefined;
  const isUrl = /^https?:\/\//i.test(location);
  const repository = isUrl ? httpRepository({ metadataUrl: location, runtime }) : directoryRepository(location);
  return { kind: "tuf", files: await collectState(repository, signal) };
}

/** Verifies the collection with an empty cache, so that every document comes by; then asks for the other roots. */
async function collectNotary({ dir, trust, runtime, credentials, signal }: CollectTrustOptions): Promise<BundledTrust> {
  const { location: server } = trust.source;
  const gun = trust.collection;
  const files = new Map<string, Bytes>();
  const recording = { ...runtime, transport: recordingTransport(runtime.transport, gun, files) };
  const source = createNotarySource({
    server,
    runtime: recording,
    credentials,
    metadata: memoryMetadataStore(),
    trust: openTrustStateDir(dir),
    keyStore: memoryKeyStore(),
    keyLocation: "nowhere",
    passphrases: async () => undefined,
  });
  await source.open(gun, { ...trust, freshness: undefined, signal });
  const api = new NotaryApi({ server, runtime: recording, credentials });
  for (let version = 1; version <= MAX_ROOTS; version++) {
    const root = await api.getDocument(gun, `${version}.root.json`, { limit: MAX_ROOT_BYTES, signal });
    if (root === undefined) break;
  }
  return { kind: "notary", state: { server, gun, files } };
}

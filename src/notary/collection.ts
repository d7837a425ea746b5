/** One collection on one server, as its publishers reach it. */
import { hexEncode } from "../base/bytes.ts";
import { errorCode, TrustError } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import { checkBytes } from "../tuf/checks.ts";
import type { NotaryApi } from "./api.ts";
import { NotaryClient } from "./client.ts";
import { readTargets, type NotaryTargets } from "./metadata.ts";
import { memoryMetadataStore } from "./metadata-store.ts";
import type { NotaryPin } from "./pinning.ts";
import type { CollectionAccess } from "./publish.ts";
import type { SignedFile } from "./sign-documents.ts";
import type { NotaryState } from "./state.ts";
import { memoryTrustStateStore, type TrustState, type TrustStateStore } from "./trust-state.ts";
import { verifyCollection } from "./verify-collection.ts";
import { decodeDocument } from "./wire.ts";
import { versionedDocuments } from "./versioned-documents.ts";
import { NotaryWriteApi, type ServerRole } from "./write-api.ts";
import type { NewKey } from "./changes.ts";

/** Notary's own limit for a document. */
const MAX_ROOT_BYTES = 4 * 1024 * 1024;

export interface CollectionOptions {
  readonly gun: string;
  readonly api: NotaryApi;
  readonly client: NotaryClient;
  /** What the client remembers in. */
  readonly trust: TrustStateStore;
  readonly now: Clock;
  readonly pin?: NotaryPin | undefined;
  readonly firstUse: "accept" | "refuse";
  readonly signal?: AbortSignal | undefined;
}

export class NotaryCollection implements CollectionAccess {
  readonly gun: string;
  private readonly options: CollectionOptions;
  private readonly writes: NotaryWriteApi;

  constructor(options: CollectionOptions) {
    this.gun = options.gun;
    this.options = options;
    this.writes = new NotaryWriteApi(options.api);
  }

  /** The same collection, whose root must match another pin. */
  withPin(pin: NotaryPin): NotaryCollection {
    return new NotaryCollection({ ...this.options, pin });
  }

  read(): Promise<NotaryState> {
    const { client, pin, firstUse, signal } = this.options;
    return client.update(this.gun, { pin, firstUse, signal });
  }

  readFresh(): Promise<NotaryState> {
    const { api, now, signal } = this.options;
    const client = new NotaryClient({ api, now, metadata: memoryMetadataStore(), trust: memoryTrustStateStore() });
    return client.update(this.gun, { firstUse: "accept", signal });
  }

  /** The same collection, read past expiry dates: for inspection and repair. Nothing expired is remembered. */
  pastExpiry(): CollectionAccess {
    return {
      gun: this.gun,
      read: () => this.readExpired(),
      readFresh: () => this.readVersions(undefined, "accept"),
      upload: (files) => this.upload(files),
      newestVersion: (role) => this.newestVersion(role),
    };
  }

  /** Reads past expiry dates, also where the server can no longer sign a timestamp. */
  async readExpired(): Promise<NotaryState> {
    const { client, pin, firstUse, signal, trust, api } = this.options;
    try {
      return await client.update(this.gun, { pin, firstUse, signal, acceptExpired: true });
    } catch (error) {
      if (errorCode(error) !== "TRUST_UNAVAILABLE") throw error;
      return this.readVersions(await trust.read({ server: api.server, gun: this.gun }), firstUse);
    }
  }

  private async readVersions(stored: TrustState | undefined, firstUse: "accept" | "refuse"): Promise<NotaryState> {
    const { api, pin, signal, now } = this.options;
    const knownTimestamp = stored?.versions.get("timestamp") ?? 0;
    const source = versionedDocuments({ api, gun: this.gun, knownTimestamp, signal });
    const rules = { server: api.server, gun: this.gun, now: now(), stored, firstUse, acceptExpired: true };
    const { state } = await verifyCollection(source, { ...rules, pin });
    return state;
  }

  async upload(files: readonly SignedFile[]): Promise<void> {
    try {
      await this.writes.upload(this.gun, files, this.options.signal);
    } catch (error) {
      const withoutSnapshot = !files.some(({ role }) => role === "snapshot");
      if (!withoutSnapshot || errorCode(error) !== "TRUST_REJECTED" || !/snapshot key/.test(String(error))) throw error;
      throw new TrustError(
        "KEY_MISSING",
        `nobody here can sign the snapshot of ${this.gun}: its key is neither at hand nor on the server`,
        {
          role: "snapshot",
          cause: error,
          hint: "Import the snapshot key, or let its holder give it to the server: `wasm-to-oci trust rotate snapshot --server-managed`",
        },
      );
    }
  }

  newestVersion(role: string): Promise<number> {
    return this.writes.newestVersion(this.gun, role, this.options.signal);
  }

  serverKey(role: ServerRole): Promise<NewKey> {
    return this.writes.serverKey(this.gun, role, this.options.signal);
  }

  newServerKey(role: ServerRole): Promise<NewKey> {
    return this.writes.newServerKey(this.gun, role, this.options.signal);
  }

  /**
   * The document of a delegation that the snapshot names and whose own keys have not signed it: what a key that was
   * taken away had signed. Whoever signs it again vouches for its content.
   *
   * @throws {TrustError} METADATA_TAMPERED where it is not what the snapshot names, TRUST_WITHHELD
   */
  async unsignedTargets(role: string, state: NotaryState): Promise<NotaryTargets> {
    const { api, signal } = this.options;
    const expected = state.snapshot.metadata.meta.get(role);
    const hash = hexEncode(expected?.hashes.get("sha256") ?? new Uint8Array());
    const bytes =
      expected && (await api.getDocument(this.gun, `${role}.${hash}.json`, { limit: expected.length, signal }));
    if (bytes === undefined)
      throw new TrustError("TRUST_WITHHELD", `${api.server} has no metadata of ${role}`, { role });
    await checkBytes(role, bytes, expected!);
    return readTargets(decodeDocument(bytes, role).signed, role);
  }

  /** The bytes of the newest root, not verified; undefined where the server says that it has none. */
  rootBytes(): Promise<Uint8Array | undefined> {
    const { api, signal } = this.options;
    return api.getDocument(this.gun, "root.json", { limit: MAX_ROOT_BYTES, revalidate: true, signal });
  }

  delete(): Promise<void> {
    return this.writes.deleteCollection(this.gun, this.options.signal);
  }
}

/** Keeps the collections of this server's registry fresh that it was told to: looks at each publish, and every hour. */
import { join } from "node:path";
import { errorCode } from "../../base/errors.ts";
import { createFetchTransport } from "../../base/fetch-transport.ts";
import type { Clock } from "../../base/runtime.ts";
import { nodeHasher } from "../../node/hasher.ts";
import { openTufTrustDir } from "../../node/tuf-source.ts";
import { RegistryClient } from "../../oci/registry-client.ts";
import { isStagedTag, TRUST_TAG } from "../../trust/oci/tags.ts";
import { trustPlace } from "../../trust/oci/trust.ts";
import { errorFields, type Log } from "../log.ts";
import { createRegistryApp } from "../registry/app.ts";
import { repositoryFile } from "../registry/file-names.ts";
import type { RegistryStore } from "../registry/store.ts";
import { CollectionKeeper, trustKey } from "./collection-keeper.ts";
import { openTimestampKey } from "./timestamp-key.ts";

/** How often to look; a timestamp has a day to go, at the least, when it is due. */
const INTERVAL_MS = 60 * 60 * 1000;
/** Never asked for over a network: requests go to the app itself. */
const REGISTRY = "localhost";

/** A collection to keep fresh. */
export interface KeptFresh {
  /** The repository of its trust data in this registry, e.g. `acme/app`. */
  readonly repository: string;
  /** Root keys, of which one must have signed its root: lower-case hex sha256. Empty: the first root seen is trusted. */
  readonly fingerprints: readonly string[];
}

export interface KeepFreshOptions {
  readonly dir: string;
  readonly store: RegistryStore;
  readonly collections: readonly KeptFresh[];
  readonly now: Clock;
  readonly log: Log;
}

/** A key for a collection's owner to list. */
export interface ServerKey {
  readonly repository: string;
  /** Of the key, as in the collection's status. */
  readonly fingerprint: string;
  readonly publicFile: string;
}

export class FreshnessService {
  readonly keys: readonly ServerKey[];
  private readonly keepers: ReadonlyMap<string, CollectionKeeper>;
  private readonly log: Log;
  private readonly timer: NodeJS.Timeout;
  private running: Promise<void> = Promise.resolve();
  /** Looks that wait for their turn: one is enough, however often something changes. */
  private readonly waiting = new Set<string>();
  private isClosed = false;

  private constructor(keepers: ReadonlyMap<string, CollectionKeeper>, keys: readonly ServerKey[], log: Log) {
    this.keepers = keepers;
    this.keys = keys;
    this.log = log;
    for (const repository of keepers.keys()) this.look(repository);
    this.timer = setInterval(() => {
      for (const repository of keepers.keys()) this.look(repository);
    }, INTERVAL_MS);
    this.timer.unref();
  }

  /**
   * Opens the keys, and begins to look.
   *
   * @throws {StorageError} STATE_INVALID where a key is lost or damaged, STORAGE_DENIED, STORAGE_FULL
   */
  static async start({ dir, store, collections, now, log }: KeepFreshOptions): Promise<FreshnessService> {
    const app = createRegistryApp({ store, log: onlyFaults(log) });
    const transport = createFetchTransport({ fetch: async (...request) => app.fetch(new Request(...request)) });
    const registry = new RegistryClient({ runtime: { transport, createHasher: nodeHasher, now } });
    const keepers = new Map<string, CollectionKeeper>();
    const keys: ServerKey[] = [];
    for (const { repository, fingerprints } of collections) {
      const own = join(dir, repositoryFile(repository));
      const trust = openTufTrustDir(own);
      const place = { ...trustPlace({ registry, repository: { registry: REGISTRY, repository } }), compares: true };
      const isInUse = async (): Promise<boolean> => (await trust.readAnchor(trustKey(repository))) !== undefined;
      const { key, publicFile } = await openTimestampKey(own, isInUse);
      keepers.set(repository, new CollectionKeeper({ repository, place, key, trust, fingerprints, now, log }));
      keys.push({ repository, fingerprint: await key.publicKey.fingerprint(), publicFile });
    }
    return new FreshnessService(keepers, keys, log);
  }

  /** A tag was moved, by anybody: every state that is published is looked at, so that none before it passes any more. */
  readonly tagMoved = (repository: string, tag: string): void => {
    if (tag === TRUST_TAG || isStagedTag(tag)) this.look(repository);
  };

  /** Resolves when everything that was to be looked at has been. */
  settled(): Promise<void> {
    return this.running;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.timer);
    await this.running;
  }

  /** Looks at a collection soon, one after the other. */
  look(repository: string): void {
    const keeper = this.keepers.get(repository);
    if (keeper === undefined || this.isClosed || this.waiting.has(repository)) return;
    this.waiting.add(repository);
    this.running = this.running.then(async () => {
      this.waiting.delete(repository);
      if (this.isClosed) return;
      await this.trying(repository, () => keeper.look(), "the timestamp is not renewed");
      await this.trying(repository, () => proveKey(keeper), "what is staged was not signed");
    });
  }

  private async trying(repository: string, action: () => Promise<void>, what: string): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.log.error({ repository, ...errorFields(error) }, what);
    }
  }
}

/** What is staged may be published, or dropped, at this very moment: then nobody waits for the key any more. */
async function proveKey(keeper: CollectionKeeper): Promise<void> {
  try {
    await keeper.proveKey();
  } catch (error) {
    if (errorCode(error) !== "TRUST_CONFLICT") throw error;
  }
}

/** The server's requests to itself are nobody's business where they succeed. */
function onlyFaults(log: Log): Log {
  const nothing = (): void => undefined;
  return {
    debug: nothing,
    info: nothing,
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
}

/**
 * The embedded servers: an OCI registry and a trust server in one process over one data directory, with no
 * set-up. The directory is all there is to back up.
 */
import { join } from "node:path";
import type { Clock } from "../base/runtime.ts";
import { openLocalCa, registerLocalCa } from "../node/local-ca.ts";
import { lockDataDir } from "./data-dir.ts";
import { startCertificateRenewal } from "./certificate-renewal.ts";
import { listen, requireLoopback, type TlsCertificate } from "./listen.ts";
import type { Log } from "./log.ts";
import { FreshnessService, type KeptFresh, type ServerKey } from "./freshness/keep-fresh.ts";
import { createRegistryApp } from "./registry/app.ts";
import { openRegistryStore } from "./registry/file-store.ts";
import { openSqlite } from "./sql/sqlite.ts";
import { trustApp, trustService } from "./trust/app.ts";
import { openMasterKey } from "./trust/master-key.ts";
import { hasOnlineKeys, openOnlineKeys, type OnlineKeysOptions } from "./trust/online-keys.ts";
import { startRenewal } from "./trust/renewal.ts";
import { openSqlTrustStore } from "./trust/sql-store.ts";

/** The ports of the 2019 article. */
const DEFAULT_REGISTRY_PORT = 5000;
const DEFAULT_TRUST_PORT = 4443;

export interface ServeOptions {
  /** Holds everything the servers keep; made at first start. */
  readonly dataDir: string;
  /** Where clients on this machine look for trust; the servers' certificate authority is registered there. */
  readonly trustDir: string;
  readonly log: Log;
  /** Address to bind; 127.0.0.1 unless told. Anything but loopback is refused until there is access control. */
  readonly host?: string;
  /** 5000 unless told; 0 lets the system choose. */
  readonly registryPort?: number;
  /** 4443 unless told; 0 lets the system choose. */
  readonly trustPort?: number;
  /** Algorithm of new timestamp and snapshot keys; ECDSA on P-256 unless told. */
  readonly onlineKeyAlgorithm?: OnlineKeysOptions["algorithm"];
  /** Collections in the registry whose timestamps to keep fresh; none unless told. */
  readonly keepFresh?: readonly KeptFresh[];
  /** The system's clock unless told. */
  readonly now?: Clock;
}

export interface RunningServers {
  /** E.g. `http://127.0.0.1:5000`. */
  readonly registryUrl: string;
  /** E.g. `https://127.0.0.1:4443`. */
  readonly trustUrl: string;
  /** The authority that issued the trust server's certificate. */
  readonly caPem: string;
  /** The keys that sign timestamps of the collections to keep fresh, for the holders of their root keys to list. */
  readonly timestampKeys: readonly ServerKey[];
  /** Takes no more requests, lets running ones finish within a bound, and gives the data directory free. Repeatable. */
  close(): Promise<void>;
}

/**
 * Starts the embedded servers. Where one part cannot start, all that did is ended again.
 *
 * @throws {StorageError} LOCKED where another process serves the directory; STORAGE_DENIED, STORAGE_FULL;
 * STATE_INVALID where something in it is lost or damaged
 * @throws {TransportError} ADDRESS_IN_USE, LISTEN_FAILED
 * @throws {UsageError} LISTEN_REFUSED
 *
 * @example
 * ```ts
 * const servers = await serve({ dataDir: "/var/lib/wasm-to-oci", trustDir: "/var/lib/wasm-to-oci/trust", log });
 * process.once("SIGTERM", () => servers.close());
 * ```
 */
export async function serve(options: ServeOptions): Promise<RunningServers> {
  const started = new Started();
  try {
    return await start(options, started);
  } catch (error) {
    await started.end();
    throw error;
  }
}

async function start(options: ServeOptions, started: Started): Promise<RunningServers> {
  const { dataDir, trustDir, log, host = "127.0.0.1", now = () => new Date() } = options;
  requireLoopback(host); // before anything is made
  const release = await lockDataDir(dataDir);
  started.push(async () => release());

  const ca = await openLocalCa(join(dataDir, "ca"));
  const tls = await ca.serverCertificate([host]);

  const store = await openSqlTrustStore(await openSqlite(join(dataDir, "trust.db")));
  started.push(() => store.close());
  const masterKey = await openMasterKey(join(dataDir, "online-keys.key"), () => hasOnlineKeys(store));
  const { onlineKeyAlgorithm: algorithm } = options;
  const onlineKeys = await openOnlineKeys({ store, masterKey, ...(algorithm === undefined ? {} : { algorithm }) });
  const service = trustService({ store, onlineKeys, now, log });
  started.push(startRenewal(service));
  const trust = await listen(trustApp(service), { host, port: options.trustPort ?? DEFAULT_TRUST_PORT, tls });
  started.push(() => trust.close());
  const issue = async () => {
    const renewed = await openLocalCa(join(dataDir, "ca")); // its own certificate may be due, too
    await registerLocalCa(trustDir, renewed.caPem);
    return renewed.serverCertificate([host]);
  };
  const show = (certificate: TlsCertificate) => trust.setCertificate(certificate);
  started.push(startCertificateRenewal({ renewAt: tls.renewAt, issue, show, now: () => new Date(), log }));

  const registryStore = await openRegistryStore(join(dataDir, "registry"), { now });
  started.push(() => registryStore.close());
  const freshness = await FreshnessService.start({
    dir: join(dataDir, "freshness"),
    store: registryStore,
    collections: options.keepFresh ?? [],
    now,
    log,
  });
  started.push(() => freshness.close());
  const registryApp = createRegistryApp({ store: registryStore, log, tagMoved: freshness.tagMoved });
  const registry = await listen(registryApp, { host, port: options.registryPort ?? DEFAULT_REGISTRY_PORT });
  started.push(() => registry.close());

  // Last: clients are told to trust this authority only once its server is there.
  await registerLocalCa(trustDir, ca.caPem);
  log.info({ registry: registry.url, trust: trust.url, dataDir }, "serving");
  const close = async () => {
    await Promise.all([registry.close(), trust.close()]); // side by side: each waits for its running requests
    await started.end();
  };
  const { keys: timestampKeys } = freshness;
  return { registryUrl: registry.url, trustUrl: trust.url, caPem: ca.caPem, timestampKeys, close };
}

/** What was started, to be ended in the opposite order. */
class Started {
  private readonly parts: (() => Promise<void>)[] = [];
  private ended: Promise<void> | undefined;

  push(end: () => Promise<void>): void {
    this.parts.push(end);
  }

  end(): Promise<void> {
    this.ended ??= this.endAll();
    return this.ended;
  }

  /** Ends every part, also where one fails; the first error is the one to report. */
  private async endAll(): Promise<void> {
    const errors: unknown[] = [];
    for (let end = this.parts.pop(); end !== undefined; end = this.parts.pop()) {
      await end().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }
}

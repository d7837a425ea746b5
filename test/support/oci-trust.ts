/** People with keys who keep trust data in a registry. */
import { memoryKeyStore, type KeyStore } from "../../src/keys/key-store.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import type { Transport } from "../../src/base/http.ts";
import { RegistryClient } from "../../src/oci/registry-client.ts";
import { openOciTrust, type OciTrustOptions } from "../../src/trust/oci/trust.ts";
import type { EditTargets } from "../../src/trust/source.ts";
import type { TufTrustStore } from "../../src/trust/tuf/source.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { always } from "./key-fixtures.ts";
import { memoryStaging } from "./tuf-publishing.ts";

export const COLLECTION = "acme/app";
export const REFUSE = { firstUse: "refuse" } as const;
export const ACCEPT = { firstUse: "accept" } as const;

/** What one machine trusts, in memory. */
export function memoryTrust(): TufTrustStore {
  const anchors = new Map<string, Bytes>();
  const stores = new Map<string, TufStore>();
  const keyOf = (key: object): string => JSON.stringify(key);
  return {
    readAnchor: async (key) => anchors.get(keyOf(key)),
    writeAnchor: async (key, anchor) => {
      const kept = anchors.get(keyOf(key)) ?? anchor;
      anchors.set(keyOf(key), kept);
      return kept;
    },
    remove: async (key) => {
      anchors.delete(keyOf(key));
      stores.delete(keyOf(key));
    },
    openStore: (key) => {
      const store = stores.get(keyOf(key)) ?? memoryTufStore();
      stores.set(keyOf(key), store);
      return store;
    },
  };
}

export interface Machine extends ReturnType<typeof openOciTrust> {
  readonly keyStore: KeyStore;
  readonly registry: RegistryClient;
}

export interface MachineOptions extends Partial<OciTrustOptions> {
  readonly now?: (() => Date) | undefined;
}

/** One person's machine: keys, trust, and the registry that all share. */
export function machine(host: string, transport: Transport, options: MachineOptions = {}): Machine {
  const { keyStore = memoryKeyStore(), now = () => new Date(), repository } = options;
  const runtime = { transport, createHasher: nodeHasher, now };
  const registry = new RegistryClient({ runtime });
  const opened = openOciTrust({
    registry,
    repository: repository ?? { registry: host, repository: "acme/app" },
    trust: memoryTrust(),
    staging: memoryStaging(),
    passphrases: always("a long passphrase"),
    keyLocation: "memory",
    runtime,
    ...options,
    keyStore,
  });
  return { ...opened, keyStore, registry };
}

export const adding =
  (...names: string[]): EditTargets =>
  () =>
    names.map((name) => ({ action: "add", name, length: 3, hashes: { sha256: "ab".repeat(32) } }));

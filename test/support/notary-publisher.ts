/** Notary sources over the fake server, each with its own stores: publishers and consumers on different machines. */
import type { TransportRequest } from "../../src/base/http.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { createSelfSignedCertificate } from "../../src/keys/certificate.ts";
import { memoryKeyStore, type KeyStore } from "../../src/keys/key-store.ts";
import { formatPem } from "../../src/keys/pem.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { memoryMetadataStore } from "../../src/notary/metadata-store.ts";
import { memoryTrustStateStore } from "../../src/notary/trust-state.ts";
import { createNotarySource, type NotarySource } from "../../src/trust/notary/source.ts";
import type { NotarySourceOptions } from "../../src/trust/notary/source-options.ts";
import type { SignedTarget, TrustedCollection } from "../../src/trust/source.ts";
import { createFakeNotaryServer, type FakeNotaryServer } from "./fake-notary-server.ts";

export const GUN = "registry.test/acme/app";

/** A clock that tests set. */
export class TestClock {
  at = new Date("2030-01-01T00:00:00Z");

  readonly now = (): Date => this.at;

  addDays(days: number): void {
    this.at = new Date(this.at.getTime() + days * 86_400_000);
  }
}

export interface Machine {
  readonly source: NotarySource;
  readonly keyStore: KeyStore;
}

export interface World {
  readonly clock: TestClock;
  readonly server: FakeNotaryServer;
  /** A machine of its own; `keyStore` shares one's keys. */
  machine(options?: Partial<NotarySourceOptions>): Machine;
}

export function createWorld(options: { keyAlgorithm?: "ecdsa-p256" | "ed25519" } = {}): World {
  const clock = new TestClock();
  const server = createFakeNotaryServer({ now: clock.now, ...options });
  return {
    clock,
    server,
    machine: (own = {}) => {
      const keyStore = own.keyStore ?? memoryKeyStore();
      const source = createNotarySource({
        server: server.url,
        runtime: { transport: server.transport, createHasher: nobleHasher, now: clock.now },
        metadata: memoryMetadataStore(),
        trust: memoryTrustStateStore(),
        keyLocation: "memory",
        passphrases: async () => "correct horse",
        retry: { attempts: 2, sleep: async () => {}, random: Math.random },
        ...own,
        keyStore,
      });
      return { source, keyStore };
    },
  };
}

export const passphrase = async () => "correct horse";

/** A key pair of its own, as a colleague has it. */
export interface TestSigner {
  readonly pem: string;
  readonly id: string;
  readonly keyStore: KeyStore;
}

export async function createSigner(role: string): Promise<TestSigner> {
  const key = await PrivateKey.generate();
  const keyStore = memoryKeyStore();
  const id = await keyStore.add(key, { role }, passphrase);
  const pem = formatPem({ label: "PUBLIC KEY", headers: new Map([["role", role]]), bytes: key.publicKey.spki });
  return { pem, id, keyStore };
}

/** A self-signed certificate, good for a year. */
export async function certificateFor(commonName: string, key: PrivateKey, clock: TestClock): Promise<string> {
  const year = 365 * 86_400_000;
  const notAfter = new Date(clock.at.getTime() + year);
  return createSelfSignedCertificate({ commonName, signer: key, notBefore: clock.at, notAfter });
}

/** A world with an empty collection, whose snapshot key the server holds. */
export async function createCollectionWorld(): Promise<World & { owner: Machine }> {
  const world = createWorld();
  const owner = world.machine({ newCollections: { snapshotKey: "server" } });
  await owner.source.init(GUN);
  return { ...world, owner };
}

/** Opens the collection on a machine that has never seen it. */
export function openFresh(world: World): Promise<TrustedCollection> {
  return world.machine().source.open(GUN, ACCEPT);
}

export function versionsOf(world: World): Record<string, number> {
  return Object.fromEntries(["root", "targets", "snapshot"].map((role) => [role, world.server.version(GUN, role)]));
}

/** An edit that adds a target whose hash is made from its name. */
export function add(name: string, length = 3) {
  return [{ action: "add" as const, name, length, hashes: { sha256: hashOf(name) } }];
}

export function hashOf(name: string): string {
  return Buffer.from(name).toString("hex").padEnd(64, "0").slice(0, 64);
}

export function names(targets: readonly SignedTarget[]): string[] {
  return targets.map(({ name }) => name);
}

export const ACCEPT = { firstUse: "accept" } as const;
export const REFUSE = { firstUse: "refuse" } as const;

/** The names that somebody new sees. */
export async function listed(world: World): Promise<string[]> {
  return names((await openFresh(world)).list());
}

/** Tells whether a request publishes metadata. */
export function isUpload({ method }: TransportRequest, path: string): boolean {
  return method === "POST" && path.endsWith("/_trust/tuf/");
}

/** How often metadata was published. */
export function uploads({ server }: World): number {
  return server.log.filter((line) => line.startsWith("POST") && line.endsWith("/_trust/tuf/")).length;
}

/** A verified pull waits for the network no more often than an unverified one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryOutput } from "../src/download.ts";
import { openModuleCache } from "../src/node/module-cache.ts";
import { nodeHasher } from "../src/node/hasher.ts";
import { memoryMetadataStore } from "../src/notary/metadata-store.ts";
import { memoryTrustStateStore } from "../src/notary/trust-state.ts";
import { RegistryClient } from "../src/oci/registry-client.ts";
import { pull } from "../src/pull.ts";
import { push } from "../src/push.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { TrustSource } from "../src/trust/source.ts";
import { TufAdministration } from "../src/trust/tuf/administration.ts";
import {
  startHostileRegistry,
  type Fault,
  type HostileRegistry,
  type SeenRequest,
} from "./support/hostile-registry.ts";
import { always } from "./support/key-fixtures.ts";
import { createSigner, createWorld } from "./support/notary-publisher.ts";
import { machine, memoryTrust } from "./support/oci-trust.ts";
import { testTransport } from "./support/registry-rig.ts";
import { RoundTrips } from "./support/round-trips.ts";
import { moduleBytes, moduleSource } from "./support/use-case.ts";

const transport = testTransport(30_000);
let registry: HostileRegistry;
let dir: string;

beforeEach(async () => {
  registry = await startHostileRegistry();
  dir = mkdtempSync(join(tmpdir(), "round-trips-"));
});
afterEach(async () => {
  rmSync(dir, { recursive: true, force: true });
  await registry.stop();
});

/** A consumer's source, whose requests are counted. */
type Consumer = (trips: RoundTrips, client: RegistryClient) => TrustSource;

interface Published {
  readonly collection: string;
  /** Makes the consumer of one machine: what it has stored stays from pull to pull. */
  readonly consumer: () => Consumer;
}

const now = () => new Date();
const runtimeOf = (trips: RoundTrips) => ({ transport: trips.through(transport), createHasher: nodeHasher, now });
const reference = (): string => `${registry.host}/acme/app:v1`;

async function publish(source: TrustSource, collection: string, roles: string[] | undefined): Promise<void> {
  const runtime = { transport, createHasher: nodeHasher, now };
  const sign = { source, collection, firstUse: "accept", reason: "flags", roles } as const;
  const client = new RegistryClient({ runtime });
  await push({ runtime, registry: client, reference: reference(), module: moduleSource("one"), sign });
}

async function oci(delegated: boolean): Promise<Published> {
  const ada = machine(registry.host, transport);
  const collection = "acme/app";
  await publish(ada.source, collection, undefined);
  if (delegated) {
    const keys = { keyStore: ada.keyStore, passphrases: always("a long passphrase"), keyLocation: "memory", now };
    const administration = new TufAdministration({ ...ada, ...keys });
    const role = { role: "team", keys: [{ kind: "new" }], paths: ["*"], mayPublish: false } as const;
    await administration.delegate(collection, { ...role, firstUse: "accept" });
    await ada.source.publish(collection, () => [{ action: "remove", name: "v1" }], { firstUse: "accept" });
    await publish(ada.source, collection, ["team"]);
  }
  return {
    collection,
    consumer: () => {
      const trust = memoryTrust();
      return (trips, client) =>
        machine(registry.host, transport, { trust, registry: client, runtime: runtimeOf(trips) }).source;
    },
  };
}

async function notary(delegated: boolean): Promise<Published> {
  const world = createWorld();
  world.clock.at = now();
  const owner = world.machine({ newCollections: { snapshotKey: "server" } });
  const collection = `${registry.host}/acme/app`;
  await publish(owner.source, collection, undefined);
  if (delegated) {
    const signer = await createSigner("targets/releases");
    await owner.source.delegate(collection, {
      role: "targets/releases",
      keys: [signer.pem],
      paths: [""],
      firstUse: "accept",
    });
    await owner.source.publish(collection, () => [{ action: "remove", name: "v1" }], { firstUse: "accept" });
    await publish(world.machine({ keyStore: signer.keyStore }).source, collection, ["targets/releases"]);
  }
  return {
    collection,
    consumer: () => {
      const stores = { metadata: memoryMetadataStore(), trust: memoryTrustStateStore() };
      return (trips) => {
        const runtime = { ...runtimeOf(trips), transport: trips.through(world.server.transport) };
        return world.machine({ ...stores, runtime }).source;
      };
    },
  };
}

/** The rounds of one pull. */
async function rounds(consumer: Consumer | undefined, collection: string): Promise<string[][]> {
  const trips = new RoundTrips();
  const runtime = runtimeOf(trips);
  const client = new RegistryClient({ runtime });
  const output = new MemoryOutput();
  const source = consumer?.(trips, client);
  const trust: Coverage | undefined = source && { source, collection, reason: "flags", firstUse: "accept" };
  const cache = openModuleCache({ dir });
  const report = await pull({ runtime, registry: client, reference: reference(), output, trust, cache });
  expect(output.bytes).toEqual(moduleBytes("one"));
  expect(report.verified).toBe(consumer === undefined ? "none" : "artifact");
  return trips.rounds;
}

/** As registries with tokens: nothing without one, and the way to it. */
function demandToken(request: SeenRequest): Fault | undefined {
  if (request.path === "/token")
    return { status: 200, body: '{"token":"t"}', headers: { "content-type": "application/json" } };
  if (request.headers["authorization"] !== undefined) return undefined;
  const challenge = `Bearer realm="${registry.url}/token",service="registry"`;
  return { status: 401, headers: { "www-authenticate": challenge }, body: "{}" };
}

describe.each([
  ["oci", "without delegations", oci, false],
  ["oci", "with one delegation", oci, true],
  ["notary", "without delegations", notary, false],
  ["notary", "with one delegation", notary, true],
] as const)("the round trips of a pull verified by %s %s", (_kind, _what, create, delegated) => {
  it("are 2 the first time, 1 with what is known and cached, 4 with a token: as of an unverified one", async () => {
    const { collection, consumer } = await create(delegated);
    expect(await rounds(undefined, collection)).toHaveLength(2);
    const bob = consumer();
    expect(await rounds(bob, collection)).toHaveLength(2);
    expect(await rounds(bob, collection)).toHaveLength(1);
    rmSync(dir, { recursive: true });
    expect(await rounds(bob, collection)).toHaveLength(2);

    registry.setFault(demandToken);
    expect(await rounds(undefined, collection)).toHaveLength(4);
    rmSync(dir, { recursive: true });
    const withToken = await rounds(consumer(), collection);
    expect(withToken).toHaveLength(4);
    expect(withToken.flat().filter((line) => line === "GET /token")).toHaveLength(1);
  });
});

import { describe, expect, onTestFinished, test } from "vitest";
import { nobleHasher } from "../../../src/base/hasher.ts";
import { memoryMetadataStore } from "../../../src/notary/metadata-store.ts";
import { memoryTrustStateStore } from "../../../src/notary/trust-state.ts";
import { checkFloors, type Floors } from "../../../src/trust/lock/floors.ts";
import type { TrustedCollection, TrustSource } from "../../../src/trust/source.ts";
import { createTufSource, type TufTrustStore } from "../../../src/trust/tuf/source.ts";
import { memoryTufStore } from "../../../src/tuf/store.ts";
import { startHostileRegistry } from "../../support/hostile-registry.ts";
import { adding, COLLECTION, machine, memoryTrust } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";
import { failure } from "../../support/use-case.ts";
import { add, createWorld, GUN, REFUSE } from "../../support/notary-publisher.ts";
import { NOW, storeContent, TufSimulator } from "../../support/tuf-repository.ts";

/** A collection with a delegated role, and a machine that has never seen it. */
interface Rig {
  readonly source: TrustSource;
  readonly collection: string;
  /** Everything that the machine has stored. */
  stored(): Promise<unknown>;
  /** Goes on by one version of everything but root. */
  publish(): Promise<void>;
}

async function tuf(): Promise<Rig> {
  const repository = await TufSimulator.create();
  await repository.delegate("targets", "team", { paths: ["team/*"] });
  await repository.addTarget("team", "team/v1", "one");
  await repository.publish("team", "targets");
  const store = memoryTufStore();
  const anchors = new Map<string, Uint8Array<ArrayBuffer>>();
  const trust: TufTrustStore = {
    readAnchor: async ({ collection }) => anchors.get(collection),
    writeAnchor: async ({ collection }, anchor) => {
      anchors.set(collection, anchor);
      return anchor;
    },
    openStore: () => store,
    remove: async () => undefined,
  };
  const runtime = {
    transport: () => Promise.reject(new Error("no network")),
    createHasher: nobleHasher,
    now: () => NOW,
  };
  return {
    source: createTufSource({ repository: repository.repository, runtime, trust }),
    collection: "acme/app",
    // roots that were verified may be kept: they are what every later run has to follow
    stored: async () => {
      const { "1.root": _, ...rest } = await storeContent(store, ["team"]);
      return { ...rest, anchors: [...anchors.keys()] };
    },
    publish: () => repository.publish("team", "targets"),
  };
}

async function notary(): Promise<Rig> {
  const world = createWorld();
  const owner = world.machine();
  await owner.source.publish(GUN, () => add("v1"), REFUSE);
  const trust = memoryTrustStateStore();
  const metadata = memoryMetadataStore();
  const key = { server: world.server.url, gun: GUN };
  let next = 2;
  return {
    source: world.machine({ trust, metadata }).source,
    collection: GUN,
    stored: async () => [await trust.read(key), [...(await metadata.read(key)).keys()]],
    publish: async () => void (await owner.source.publish(GUN, () => add(`v${next++}`), REFUSE)),
  };
}

async function oci(): Promise<Rig> {
  const registry = await startHostileRegistry();
  const transport = testTransport();
  onTestFinished(async () => {
    transport.close();
    await registry.stop();
  });
  const owner = machine(registry.host, transport);
  await owner.source.publish(COLLECTION, adding("v1"), REFUSE);
  const store = memoryTufStore();
  const trust = { ...memoryTrust(), openStore: () => store };
  let next = 2;
  return {
    source: machine(registry.host, transport, { trust }).source,
    collection: COLLECTION,
    stored: async () => {
      const { "1.root": _, ...rest } = await storeContent(store);
      return rest;
    },
    publish: async () => void (await owner.source.publish(COLLECTION, adding(`v${next++}`), REFUSE)),
  };
}

function open({ source, collection }: Rig, floors?: Floors): Promise<TrustedCollection> {
  return source.open(collection, { firstUse: "accept", floors });
}

describe.each([
  ["tuf", tuf],
  ["oci", oci],
  ["notary", notary],
] as const)("floors under a %s source", (_kind, create) => {
  test("refuse each role below them on a machine that has seen nothing, which it still has not then", async () => {
    const rig = await create();
    const { roles } = await open(await create());
    const versions = new Map(roles.map(({ role, version }) => [role, version]));
    const before = await rig.stored();
    for (const [role, version] of versions) {
      const error = await failure(open(rig, new Map([[role, version + 1]])), "METADATA_ROLLED_BACK");
      expect(error.details).toMatchObject({ role, expected: version + 1, got: version });
      expect(await rig.source.isKnown(rig.collection)).toBe(false);
      // a timestamp and a snapshot that passed every check may stay, as §5.4 and §5.5 have it
      if (["root", "timestamp", "snapshot"].includes(role)) expect(await rig.stored()).toEqual(before);
    }
    expect((await open(rig, versions)).roles).toHaveLength(roles.length);
  });

  test("are met once the publisher has gone on, and hold for what is stored too", async () => {
    const rig = await create();
    const seen = await open(rig);
    const version = seen.roles.find(({ role }) => role === "timestamp")!.version;
    const floors = new Map([["timestamp", version + 1]]);
    await failure(open(rig, floors), "METADATA_ROLLED_BACK");
    const offline = { firstUse: "refuse", floors, freshness: { mode: "offline" } } as const;
    await failure(rig.source.open(rig.collection, offline), "METADATA_ROLLED_BACK");
    await rig.publish();
    const newer = await open(rig, floors);
    expect(newer.roles.find(({ role }) => role === "timestamp")!.version).toBe(version + 1);
    expect((await rig.source.open(rig.collection, offline)).roles).toHaveLength(newer.roles.length);
  });
});

test("floors are checked on what a source gives out, whatever it did with them itself", () => {
  const roles = [{ role: "targets", version: 3 }];
  expect(() => checkFloors(roles, new Map([["targets", 3]]))).not.toThrow();
  expect(() => checkFloors(roles, new Map([["targets", 4]]))).toThrow(
    expect.objectContaining({ code: "METADATA_ROLLED_BACK" }),
  );
});

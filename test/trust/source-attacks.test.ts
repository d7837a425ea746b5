import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach } from "vitest";
import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { nodeRuntime } from "../../src/node/runtime.ts";
import { openTufPublisher } from "../../src/node/tuf-publisher.ts";
import { readTrustState, writeTrustState, type PublishedState } from "../../src/trust/oci/state.ts";
import { roleOfFile } from "../../src/trust/oci/layout.ts";
import { startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";
import { always } from "../support/key-fixtures.ts";
import { add, createWorld, GUN } from "../support/notary-publisher.ts";
import { ACCEPT, adding, COLLECTION, machine } from "../support/oci-trust.ts";
import { testTransport } from "../support/registry-rig.ts";
import { DAY, NOW } from "../support/tuf-publishing.ts";
import { describeSourceAttacks, type AttackedPlace } from "./source-attacks-contract.ts";

const transport = testTransport(30_000);
const registries: HostileRegistry[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});
afterAll(() => transport.close());

/** Today's timestamp, under today's names yesterday's content. */
function mixed(
  today: ReadonlyMap<string, Uint8Array>,
  yesterday: ReadonlyMap<string, Uint8Array>,
): Map<string, Uint8Array> {
  const old = new Map(Array.from(yesterday, ([name, bytes]) => [roleOfFile(name), bytes]));
  return new Map(
    Array.from(today, ([name, bytes]) => {
      const role = roleOfFile(name);
      return [name, role === "timestamp" || role === "root" ? bytes : (old.get(role) ?? bytes)];
    }),
  );
}

async function ociPlace(): Promise<AttackedPlace> {
  const registry = await startHostileRegistry();
  registries.push(registry);
  let moment = NOW;
  const now = (): Date => moment;
  const keyStore = memoryKeyStore();
  const open = (options = {}) => machine(registry.host, transport, { now, ...options });
  const store = open().registry.repository({ registry: registry.host, repository: "acme/app" });
  let kept: PublishedState;
  let honest: PublishedState;
  const show = async (files: ReadonlyMap<string, Uint8Array>): Promise<void> => {
    const current = await readTrustState(store);
    await writeTrustState(store, files as PublishedState["files"], current?.digest);
  };
  return {
    collection: COLLECTION,
    now,
    publish: async (name) => {
      await open({ keyStore }).source.publish(COLLECTION, adding(name), ACCEPT);
      honest = (await readTrustState(store))!;
    },
    consumer: () => open().source,
    save: async () => {
      kept = (await readTrustState(store))!;
    },
    rollBack: () => show(kept.files),
    mix: () => show(mixed(honest.files, kept.files)),
    beHonest: () => show(honest.files),
    wait: (days) => {
      moment = new Date(moment.getTime() + days * DAY);
    },
  };
}

async function tufPlace(): Promise<AttackedPlace> {
  const dir = await mkdtemp(join(tmpdir(), "source-attacks-"));
  folders.push(dir);
  let moment = NOW;
  const now = (): Date => moment;
  const runtime = { ...nodeRuntime(), now };
  const keyStore = memoryKeyStore();
  const served = join(dir, "served");
  let people = 0;
  const open = () =>
    openTufPublisher({
      location: served,
      dir: join(dir, `person${people++}`),
      keyStore,
      passphrases: always("a long passphrase"),
      runtime,
    }).source;
  const replace = async (to: string, from: string): Promise<void> => {
    await rm(to, { recursive: true, force: true });
    await cp(from, to, { recursive: true });
  };
  const kept = join(dir, "kept");
  const honest = join(dir, "honest");
  return {
    collection: COLLECTION,
    now,
    publish: async (name) => {
      await open().publish(COLLECTION, adding(name), ACCEPT);
      await replace(honest, served);
    },
    consumer: open,
    save: () => replace(kept, served),
    rollBack: () => replace(served, kept),
    mix: async () => {
      await replace(served, honest);
      for (const role of ["snapshot", "targets"]) {
        await cp(join(kept, "metadata", `1.${role}.json`), join(served, "metadata", `2.${role}.json`));
      }
    },
    beHonest: () => replace(served, honest),
    wait: (days) => {
      moment = new Date(moment.getTime() + days * DAY);
    },
  };
}

async function notaryPlace(): Promise<AttackedPlace> {
  const world = createWorld();
  const owner = world.machine();
  const { server } = world;
  const roles = ["timestamp", "snapshot", "targets"]; // the root is the same all the time
  let kept = new Map<string, Uint8Array>();
  const served = (): Map<string, Uint8Array> => new Map(roles.map((role) => [role, server.newest(GUN, role)!]));
  const show = (files: ReadonlyMap<string, Uint8Array> | undefined): void => {
    server.intercept = async (request, path) => {
      const role = /\/_trust\/tuf\/(?:\d+\.)?([a-z]+)(?:\.[0-9a-f]{64})?\.json$/.exec(path)?.[1];
      const bytes = request.method === "GET" ? files?.get(role ?? "") : undefined;
      if (bytes === undefined) return undefined;
      return {
        status: 200,
        headers: new Headers({ "content-length": String(bytes.length) }),
        body: (async function* () {
          yield bytes;
        })(),
        cancel: async () => undefined,
      };
    };
  };
  return {
    collection: GUN,
    now: world.clock.now,
    publish: async (name) => {
      server.intercept = undefined;
      await owner.source.publish(GUN, () => add(name), ACCEPT);
    },
    consumer: () => world.machine().source,
    save: async () => {
      kept = served();
    },
    rollBack: async () => show(kept),
    mix: async () => show(new Map([...kept, ["timestamp", served().get("timestamp")!]])),
    beHonest: async () => show(undefined),
    wait: (days) => world.clock.addDays(days),
  };
}

describeSourceAttacks("oci", ociPlace);
describeSourceAttacks("tuf", tufPlace);
describeSourceAttacks("notary", notaryPlace);

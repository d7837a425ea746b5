import { describe, expect, it } from "vitest";
import { StorageError } from "../../src/base/errors.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { storeContent, TufSimulator } from "../support/tuf-repository.ts";
import { describeTufStore } from "./tuf-store-contract.ts";

describe("the store in memory", () => {
  describeTufStore(async () => memoryTufStore());
});

/** A store whose n-th write, and every one after it, ends the process, as far as the client can tell. */
function dyingStore(store: TufStore, writes: number, error: () => Error): TufStore {
  let left = writes;
  const alive = (): void => {
    if (left-- <= 0) throw error();
  };
  return {
    ...store,
    writeRoot: async (version, bytes) => (alive(), store.writeRoot(version, bytes)),
    update: async (role, change) => (alive(), store.update(role, change)),
    writeRecord: async (record) => (alive(), store.writeRecord(record)),
  };
}

describe("A13: a store that fails or lies", () => {
  it("is usable after a crash between any two writes", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team");
    await repository.addTarget("team", "app", "x");
    await repository.publish("team", "targets");
    for (let writes = 0; writes <= 8; writes++) {
      const store = memoryTufStore();
      await repository.client({ store }).find("app");
      await repository.publishRoot();
      await repository.publish("team", "targets");
      const dying = repository.client({ store: dyingStore(store, writes, () => new Error("killed")) });
      const ended = await dying.find("app").then(
        () => "finished",
        (error: Error) => error.message,
      );
      expect(ended).toBe(writes < 6 ? "killed" : "finished");
      const client = repository.client({ store });
      expect(await client.find("app")).toBeDefined();
      expect(client.report().warnings).toEqual([]);
      const clean = memoryTufStore();
      await repository.client({ store: clean }).find("app");
      const { timestamp, snapshot, targets, team } = await storeContent(store, ["team"]);
      expect({ timestamp, snapshot, targets, team }).toEqual({
        timestamp: await clean.read("timestamp"),
        snapshot: await clean.read("snapshot"),
        targets: await clean.read("targets"),
        team: await clean.read("team"),
      });
    }
  });

  it("verifies and warns where nothing can be written", async () => {
    const repository = await TufSimulator.create();
    await repository.addTarget("targets", "app", "x");
    await repository.publish("targets");
    const full = (): Error => new StorageError("STORAGE_DENIED", "cannot write: the file system is read-only");
    const client = repository.client({ store: dyingStore(memoryTufStore(), 0, full) });
    const { warnings } = await client.refresh();
    expect(warnings[0]).toContain("the file system is read-only");
    expect(await client.find("app")).toBeDefined();
  });

  const damage: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>> = {
    truncated: (bytes) => bytes.slice(0, bytes.length >> 1),
    empty: () => new Uint8Array(),
    "of another kind": () => new TextEncoder().encode("null"),
    tampered: (bytes) => bytes.map((byte, index) => (index === 200 ? byte ^ 1 : byte)),
  };
  for (const [name, change] of Object.entries(damage)) {
    for (const role of ["timestamp", "snapshot", "targets"]) {
      it(`replaces a ${role} that is ${name}`, async () => {
        const repository = await TufSimulator.create();
        const store = memoryTufStore();
        await repository.client({ store }).refresh();
        const good = await store.read(role);
        await store.update(role, (current) => change(current!));
        await repository.client({ store }).refresh();
        expect(await store.read(role)).toEqual(good);
      });
    }
    it(`replaces a root that is ${name}`, async () => {
      const repository = await TufSimulator.create();
      const store = memoryTufStore();
      const good = await repository.publishRoot();
      await repository.client({ store }).refresh();
      await store.writeRoot(2, change(good));
      await repository.client({ store }).refresh();
      expect(await store.readRoot(2)).toEqual(good);
    });
  }

  it("takes nothing from the store of another repository", async () => {
    const [repository, other] = [await TufSimulator.create(), await TufSimulator.create()];
    other.timestamp.version = 99;
    await other.publishTimestamp();
    const store = memoryTufStore();
    await other.client({ store }).refresh();
    const { roles } = await repository.client({ store }).refresh();
    expect(roles.slice(1).map(({ from }) => from)).toEqual(["network", "network", "network"]);
  });

  it("does not keep a root that failed: the next run starts before it", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    const stranger = await TufSimulator.create();
    repository.files.set("2.root.json", await stranger.publishRoot());
    await expect(repository.client({ store }).refresh()).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD" });
    expect(await store.readRoot(2)).toBeUndefined();
    repository.files.delete("2.root.json");
    await expect(repository.client({ store }).refresh()).resolves.toBeDefined();
  });

  it("does not keep a timestamp whose snapshot went back, and is not stuck afterwards", async () => {
    const repository = await TufSimulator.create();
    await repository.publish();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const kept = await store.read("timestamp");
    const honest = repository.timestamp.snapshot;
    repository.timestamp.version = 50;
    repository.timestamp.snapshot = { version: 1, extra: {} };
    await repository.publishTimestamp();
    await expect(repository.client({ store }).refresh()).rejects.toMatchObject({ code: "METADATA_ROLLED_BACK" });
    expect(await store.read("timestamp")).toEqual(kept);
    repository.timestamp.version = 3;
    repository.timestamp.snapshot = honest;
    await repository.publishTimestamp();
    await expect(repository.client({ store }).refresh()).resolves.toBeDefined();
  });
});

describe("A14: two clients on one store", () => {
  it("never replace newer metadata by older", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    let wait: Promise<void> | undefined;
    let go = (): void => undefined;
    const slow = repository.client({
      store,
      repository: {
        ...repository.repository,
        metadata: async (request) => {
          const bytes = await repository.repository.metadata(request);
          if (request.file === "timestamp.json") await wait;
          return bytes;
        },
      },
    });
    wait = new Promise((resolve) => (go = resolve));
    const behind = slow.refresh();
    await expect.poll(() => repository.requests.length).toBeGreaterThan(1);
    await repository.publish("targets");
    await repository.client({ store }).refresh();
    const newest = [await store.read("timestamp"), await store.read("snapshot")];
    go();
    await behind.catch(() => undefined); // it may find that it is behind
    expect([await store.read("timestamp"), await store.read("snapshot")]).toEqual(newest);
  });
});

describe("a store that cannot be read", () => {
  it("is a failure that is passed on, in every mode, not one of the repository", async () => {
    const repository = await TufSimulator.create();
    const good = memoryTufStore();
    await repository.client({ store: good }).refresh();
    const error = new StorageError("STORAGE_DENIED", "cannot read");
    const store = { ...good, read: () => Promise.reject(error) };
    for (const mode of [{ mode: "online" }, { mode: "max-age", seconds: 60 }, { mode: "offline" }] as const) {
      await expect(repository.client({ store }).refresh({ freshness: mode })).rejects.toBe(error);
    }
  });

  it("or written for a reason that is none of the disk's, is a failure, too", async () => {
    const repository = await TufSimulator.create();
    const error = new Error("a defect");
    const store = { ...memoryTufStore(), writeRecord: () => Promise.reject(error) };
    await expect(repository.client({ store }).refresh()).rejects.toBe(error);
  });

  it("may hold rubbish where it is written: that has no version to defend", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    const client = repository.client({ store: { ...store, read: async () => undefined } });
    for (const role of ["timestamp", "snapshot", "targets"]) await store.update(role, () => new Uint8Array([1]));
    await client.refresh();
    expect(await store.read("timestamp")).toEqual(repository.files.get("timestamp.json"));
    expect(await store.read("targets")).toEqual(repository.files.get("1.targets.json"));
  });
});

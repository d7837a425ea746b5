import { describe, expect, it } from "vitest";
import { concatBytes, utf8Encode } from "../../src/base/bytes.ts";
import { StorageError } from "../../src/base/errors.ts";
import type { MetadataRequest } from "../../src/tuf/repository.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { expectRefused, honest, NEW_TARGETS, NEW_TIMESTAMP, rewrite } from "../support/tuf-attack.ts";
import { NOW, TufSimulator } from "../support/tuf-repository.ts";

/** Notes what is written, in order. */
function watched(store: TufStore): { store: TufStore; writes: string[] } {
  const writes: string[] = [];
  return {
    writes,
    store: {
      ...store,
      writeRoot: (version, bytes) => (writes.push(`${version}.root`), store.writeRoot(version, bytes)),
      update: (role, change) => (writes.push(role), store.update(role, change)),
      writeRecord: (record) => (writes.push("record"), store.writeRecord(record)),
    },
  };
}

describe("what a run keeps", () => {
  it("is everything new, in the order in which it was verified", async () => {
    const repository = await honest();
    await repository.publishRoot();
    const { store, writes } = watched(memoryTufStore());
    const client = repository.client({ store });
    await client.find("team/app");
    expect(writes).toEqual(["2.root", "timestamp", "snapshot", "targets", "record", "team"]);
    expect(await store.readRoot(2)).toEqual(repository.files.get("2.root.json"));
    expect(await store.readRoot(1)).toBeUndefined();
    const from = client.report().roles.map((role) => `${role.role} ${role.from}`);
    expect(from).toEqual(["root network", "timestamp network", "snapshot network", "targets network", "team network"]);
  });

  it("is no more than a note of the time where nothing is new", async () => {
    const repository = await honest();
    const { store, writes } = watched(memoryTufStore());
    await repository.client({ store }).find("team/app");
    expect(writes).toEqual(["1.root", "timestamp", "snapshot", "targets", "record", "team"]);
    writes.length = 0;
    const client = repository.client({ store });
    await client.find("team/app");
    expect(writes).toEqual(["record"]);
    const from = client.report().roles.map((role) => `${role.role} ${role.from}`);
    expect(from).toEqual(["root cache", "timestamp cache", "snapshot cache", "targets cache", "team cache"]);
  });

  it("is a root anew where the one that is kept was damaged", async () => {
    const repository = await honest();
    const { store, writes } = watched(memoryTufStore());
    await repository.client({ store }).refresh();
    await store.writeRoot(1, repository.anchor.slice(1));
    writes.length = 0;
    await repository.client({ store }).refresh();
    expect(writes).toEqual(["1.root", "record"]);
    expect(await store.readRoot(1)).toEqual(repository.anchor);
  });

  it("is what was verified before a failure, and nothing that was not", async () => {
    const repository = await honest();
    const { store, writes } = watched(memoryTufStore());
    await repository.publish("targets");
    rewrite(repository, "4.snapshot.json", (document) => (document["signatures"] = []));
    await expect(repository.client({ store }).refresh()).rejects.toMatchObject({
      code: "METADATA_TAMPERED",
      details: { role: "snapshot" },
    });
    expect(new Set(writes)).toEqual(new Set(["1.root", "timestamp"])); // asked twice
    await repository.publish("targets");
    await expect(repository.client({ store }).refresh()).resolves.toBeDefined();
  });

  it("is there when the client answers, however slow the store", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    const slow: TufStore = {
      ...store,
      update: async (role, change) => {
        await new Promise((resolve) => void setTimeout(resolve, 20));
        return store.update(role, change);
      },
    };
    const client = repository.client({ store: slow });
    const bytes = repository.files.get("3.snapshot.json")!;
    repository.files.delete("3.snapshot.json");
    await expect(client.refresh()).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    expect(await store.read("timestamp")).toEqual(repository.files.get("timestamp.json"));
    repository.files.set("3.snapshot.json", bytes);
    await client.refresh();
    expect(await store.read("targets")).toEqual(repository.files.get("3.targets.json"));
    await client.targets("team", "targets");
    expect(await store.read("team")).toEqual(repository.files.get("2.team.json"));
  });

  it("is nothing where nothing can be written, and that is said", async () => {
    const repository = await honest();
    const full = async (): Promise<never> => {
      throw new StorageError("STORAGE_FULL", "no space left");
    };
    const store = { ...memoryTufStore(), writeRoot: full, update: full, writeRecord: full };
    const { warnings } = await repository.client({ store }).refresh();
    expect(warnings).toHaveLength(5);
    expect(warnings[0]).toContain("no space left");
  });
});

describe("what an earlier run has kept", () => {
  it("is below what the next one takes, for roles that a snapshot lists, too", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const listed = repository.snapshot.meta.get("team")!;
    for (const [meta, got] of [
      [{ version: 1, extra: {} }, 1],
      [undefined, 0], // it vanished
    ] as const) {
      repository.list("team", meta);
      await repository.publish();
      await expect(repository.client({ store }).refresh()).rejects.toMatchObject({
        code: "METADATA_ROLLED_BACK",
        details: { role: "team", expected: 2, got },
      });
    }
    expect(await store.read("snapshot")).toEqual(repository.files.get("3.snapshot.json"));
    repository.list("team", listed);
    await repository.publish();
    await expect(repository.client({ store }).refresh()).resolves.toBeDefined();
  });
});

describe("the walk along roots", () => {
  it("goes as far as it may, and one more is refused with the limit named", async () => {
    const repository = await TufSimulator.create();
    await repository.publishRoot();
    await repository.publishRoot();
    const limits = { rootRotations: 2 };
    const store = memoryTufStore();
    await repository.client({ store: memoryTufStore(), limits }).refresh();
    await repository.publishRoot();
    const refused = repository.client({ store, limits }).refresh();
    await expect(refused).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: "the repository has more than 2 roots since the one that is trusted",
      hint: expect.stringContaining("run the command again"),
      details: { role: "root", limit: 2 },
    });
    expect(await store.readRoot(3)).toEqual(repository.files.get("3.root.json"));
    expect([await store.readRoot(4), await store.read("timestamp")]).toEqual([undefined, undefined]);
    const { roles } = await repository.client({ store, limits }).refresh(); // goes on where it stopped
    expect(roles[0]!.document.signed.version).toBe(4);
  });

  it("takes stored roots first, and asks for those after them only", async () => {
    const repository = await TufSimulator.create();
    for (let i = 0; i < 3; i++) await repository.publishRoot();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    repository.requests.length = 0;
    const { roles } = await repository.client({ store }).refresh();
    expect(repository.requests).toEqual(["5.root.json", "timestamp.json"]);
    expect([roles[0]!.from, roles[0]!.document.signed.version]).toEqual(["cache", 4]);
  });

  it("leaves a stored root that does not follow, and what comes after it", async () => {
    const [repository, stranger] = [await TufSimulator.create(), await TufSimulator.create()];
    await repository.publishRoot();
    await repository.publishRoot();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    await store.writeRoot(2, await stranger.publishRoot());
    repository.requests.length = 0;
    const { roles } = await repository.client({ store }).refresh();
    expect(repository.requests.slice(0, 3)).toEqual(["2.root.json", "3.root.json", "4.root.json"]);
    expect(roles[0]!.document.signed.version).toBe(3);
    expect(await store.readRoot(2)).toEqual(repository.files.get("2.root.json"));
  });

  it("does not go on where a store cannot be read for another reason", async () => {
    const repository = await TufSimulator.create();
    await repository.publishRoot();
    const broken = new Error("cannot read");
    const store: TufStore = { ...memoryTufStore(), readRoot: () => Promise.reject(broken) };
    await expect(repository.client({ store }).refresh()).rejects.toBe(broken);
  });
});

describe("offline", () => {
  const offline = { freshness: { mode: "offline" } } as const;

  it("asks nobody, writes nothing, and takes stored roots, too", async () => {
    const repository = await honest();
    await repository.publishRoot();
    const { store, writes } = watched(memoryTufStore());
    await repository.client({ store }).find("team/app");
    writes.length = 0;
    repository.requests.length = 0;
    const client = repository.client({ store });
    const { roles } = await client.refresh(offline);
    expect(roles[0]!.document.signed.version).toBe(2);
    expect(await client.find("team/app")).toMatchObject({ role: "team" });
    expect([writes, repository.requests]).toEqual([[], []]);
  });

  it("says which role is not there, and what to do", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    const refused = repository.client({ store }).refresh(offline);
    await expect(refused).rejects.toMatchObject({
      code: "TRUST_UNAVAILABLE",
      message: "no timestamp is stored, so nothing can be verified offline",
      details: { role: "timestamp" },
      hint: "Verify online once",
    });
    await repository.client({ store }).refresh();
    for (const role of ["snapshot", "targets"]) {
      const without: TufStore = { ...store, read: async (name) => (name === role ? undefined : store.read(name)) };
      await expect(repository.client({ store: without }).refresh(offline)).rejects.toMatchObject({
        code: "TRUST_UNAVAILABLE",
        details: { role },
      });
    }
  });

  for (const role of ["timestamp", "snapshot", "targets", "team"]) {
    it(`refuses a stored ${role} that was changed, and says so`, async () => {
      const repository = await honest();
      const store = memoryTufStore();
      await repository.client({ store }).find("team/app");
      await store.update(role, (bytes) => bytes!.map((byte, index) => (index === 40 ? byte ^ 1 : byte)));
      const client = repository.client({ store });
      const found = client.refresh(offline).then(() => client.find("team/app"));
      await expect(found).rejects.toMatchObject({ details: { role } });
      expect(repository.requests.filter((file) => file === "timestamp.json")).toHaveLength(1);
    });
  }
});

describe("a delegated role", () => {
  it("that two delegate to is asked for once, and verified for each", async () => {
    const repository = await honest();
    const pairs = repository.signers.get("team")!;
    await repository.delegate("targets", "other", { paths: ["team/*"] });
    await repository.delegate("other", "team", { paths: ["team/*"], pairs });
    await repository.publish("other", "targets");
    const client = repository.client();
    await client.refresh();
    await client.targets("team", "targets");
    await client.targets("other", "targets");
    repository.requests.length = 0;
    const again = await client.targets("team", "other");
    expect(again).toMatchObject({ role: "team", delegator: "other", from: "network" });
    expect(repository.requests).toEqual([]);
  });

  it("is verified with the keys of the delegator that it is looked at for", async () => {
    const repository = await honest();
    await repository.delegate("targets", "other", { paths: ["team/*"] });
    const stranger = (await TufSimulator.create()).signers.get("targets")!;
    await repository.delegate("other", "team", { paths: ["team/*"], pairs: stranger });
    await repository.publish("other", "targets");
    const client = repository.client();
    await client.refresh();
    await client.targets("team", "targets");
    await client.targets("other", "targets");
    await expect(client.targets("team", "other")).rejects.toMatchObject({
      code: "SIGNATURE_THRESHOLD",
      details: { role: "team" },
    });
    expect(await client.find("team/app")).toMatchObject({ role: "team" });
  });

  it("that could not be had is asked for again by the next search", async () => {
    const repository = await honest();
    const client = repository.client();
    await client.refresh();
    const bytes = repository.files.get("2.team.json")!;
    repository.files.delete("2.team.json");
    await expect(client.find("team/app")).rejects.toMatchObject({ code: "TRUST_WITHHELD", details: { role: "team" } });
    repository.files.set("2.team.json", bytes);
    expect(await client.find("team/app")).toMatchObject({ role: "team" });
    expect(repository.requests.filter((file) => file === "2.team.json")).toHaveLength(2);
  });
});

describe("roles that are asked for at once", () => {
  it("are each what was asked for", async () => {
    const repository = await honest();
    await repository.delegate("targets", "other", { paths: ["team/*"] });
    await repository.publish("other", "targets");
    const client = repository.client();
    await client.refresh();
    repository.requests.length = 0;
    const asked = ["team", "other", "team"].map((role) => client.targets(role, "targets"));
    expect((await Promise.all(asked)).map(({ role }) => role)).toEqual(["team", "other", "team"]);
    expect(repository.requests.toSorted()).toEqual(["2.other.json", "2.team.json"]);
    const again = await client.targets("team", "targets");
    expect(await client.targets("team", "targets")).toBe(again);
  });

  it("are verified for each delegator, also where two ask for one at the same moment", async () => {
    const repository = await honest();
    await repository.delegate("targets", "other", { paths: ["team/*"] });
    const stranger = (await TufSimulator.create()).signers.get("targets")!;
    await repository.delegate("other", "team", { paths: ["team/*"], pairs: stranger });
    await repository.publish("other", "targets");
    const client = repository.client();
    await client.refresh();
    await client.targets("other", "targets");
    const [good, bad] = await Promise.allSettled([client.targets("team", "targets"), client.targets("team", "other")]);
    expect(good).toMatchObject({ status: "fulfilled", value: { role: "team", delegator: "targets" } });
    expect(bad).toMatchObject({ status: "rejected", reason: { code: "SIGNATURE_THRESHOLD" } });
  });
});

describe("a client that refreshes again", () => {
  it("reads nothing from its store that it has verified, and loads what is new", async () => {
    const repository = await honest();
    const memory = memoryTufStore();
    const reads: string[] = [];
    const store: TufStore = { ...memory, read: (role) => (reads.push(role), memory.read(role)) };
    const client = repository.client({ store });
    await client.refresh();
    reads.length = 0;
    const { roles } = await client.refresh();
    expect(reads).toEqual(["timestamp", "snapshot"]);
    expect(roles.map(({ role, from }) => `${role} ${from}`)).toContain("targets cache");
    expect(await client.find("team/app")).toMatchObject({ role: "team" });
    await repository.delegate("targets", "other", { paths: ["other/*"] });
    await repository.addTarget("other", "other/app", "x");
    await repository.publish("other", "targets");
    await client.refresh();
    expect(await client.find("other/app")).toMatchObject({ role: "other" });
  });

  it("says which file is withheld", async () => {
    const repository = await honest();
    repository.files.delete("timestamp.json");
    await expect(repository.client().refresh()).rejects.toMatchObject({
      code: "TRUST_WITHHELD",
      details: { role: "timestamp" },
    });
  });
});

describe("what may be asked for", () => {
  it("is at most what was signed, what a role may have, and what fits", async () => {
    const repository = await honest();
    const asked: Record<string, number> = {};
    const counting = {
      ...repository.repository,
      metadata: (request: MetadataRequest) => {
        asked[request.file] = request.limit;
        return repository.repository.metadata(request);
      },
    };
    const length = (file: string): number => repository.files.get(file)!.length;
    await repository.client({ repository: counting }).find("team/app");
    expect(asked).toEqual({
      "2.root.json": 512_000,
      "timestamp.json": 16_384,
      "3.snapshot.json": length("3.snapshot.json"),
      "3.targets.json": length("3.targets.json"),
      "2.team.json": length("2.team.json"),
    });
    const limits = { root: 1000, timestamp: 2000, signedLength: 10 };
    const refused = repository.client({ repository: counting, limits }).refresh();
    await expect(refused).rejects.toMatchObject({ code: "RESPONSE_TOO_LARGE" }); // a limit that nobody signed
    expect(asked).toMatchObject({ "2.root.json": 1000, "timestamp.json": 2000, "3.snapshot.json": 10 });
    repository.hashes = false;
    await repository.publish("targets", "team");
    await repository.client({ repository: counting }).find("team/app");
    expect(asked).toMatchObject({
      "4.snapshot.json": 2_000_000,
      "4.targets.json": 5_000_000,
      "3.team.json": 5_000_000,
    });
  });

  for (const [role, advances] of [
    ["snapshot", NEW_TIMESTAMP],
    ["team", NEW_TARGETS],
  ] as const) {
    it(`is refused of ${role} where it is more than was signed, as where it is less`, () =>
      expectRefused({
        attack: async (repository) => {
          await repository.publish("team", "targets");
          const { version } = role === "snapshot" ? repository.snapshot : repository.roles.get(role)!;
          const file = `${version}.${role}.json`;
          repository.files.set(file, concatBytes([repository.files.get(file)!, utf8Encode(" ")]));
        },
        code: "METADATA_TAMPERED",
        role,
        advances,
      }));
  }
});

it("checks everything for one moment", async () => {
  const repository = await honest();
  let asked = 0;
  await repository.client({ now: () => (asked++, NOW) }).find("team/app");
  expect(asked).toBe(1);
});

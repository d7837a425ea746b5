import { describe, expect, test } from "vitest";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import {
  ACCEPT,
  add,
  certificateFor,
  createCollectionWorld as collection,
  createSigner as signer,
  createWorld,
  GUN,
  names,
  openFresh as consumer,
  passphrase,
  REFUSE,
} from "../../support/notary-publisher.ts";

describe("expired collections", () => {
  async function expired(snapshotKey: "client" | "server", days = 1096) {
    const world = createWorld();
    const owner = world.machine({ newCollections: { snapshotKey } });
    await owner.source.publish(GUN, () => add("v1"), REFUSE);
    world.clock.addDays(days);
    return { ...world, owner };
  }

  test.each(["client", "server"] as const)(
    "are inspected and repaired, snapshot held by the %s",
    async (snapshotKey) => {
      const world = await expired(snapshotKey);
      const { source } = world.owner;
      await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({
        code: expect.stringMatching(/METADATA_EXPIRED|TRUST_UNAVAILABLE/) as string,
      });
      const status = await source.status(GUN);
      expect(status.expired).toBe(true);
      expect(status.roles.find(({ role }) => role === "targets")).toMatchObject({
        daysLeft: -1,
        expired: true,
        signable: true,
      });
      const repaired = await source.repair(GUN);
      expect(repaired.repaired).toEqual(snapshotKey === "client" ? ["targets", "snapshot"] : ["targets"]);
      expect(repaired.remaining).toEqual([]);
      expect((await source.status(GUN)).expired).toBe(false);
      expect(names((await consumer(world)).list())).toEqual(["v1"]);
      await source.publish(GUN, () => add("v2"), REFUSE);
    },
  );

  test("are repaired by somebody who has never seen them here, but holds the keys", async () => {
    const world = await expired("client");
    const other = world.machine({ keyStore: world.owner.keyStore }).source;
    const repaired = await other.repair(GUN, ACCEPT);
    expect(repaired.repaired).toEqual(["targets", "snapshot"]);
    expect(names((await consumer(world)).list())).toEqual(["v1"]);
  });

  test("end with their root certificate, of which status and repair know", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    const key = await PrivateKey.generate();
    const rootKeyId = await keyStore.add(key, { role: "root" }, passphrase);
    await source.init(GUN, { rootKeyId, rootCertificate: await certificateFor(GUN, key, world.clock) });
    expect((await source.status(GUN)).roles[0]).toMatchObject({ role: "root", daysLeft: 365 });
    world.clock.addDays(366);
    await expect(consumer(world)).rejects.toMatchObject({ code: "METADATA_EXPIRED" });
    expect((await source.repair(GUN)).repaired).toContain("root");
    const repaired = await consumer(world);
    expect(repaired.rootKeys.map(({ keyId }) => keyId)).toEqual([rootKeyId]);
  });

  test("have root signed again in good time by any publish, and repaired when it is too late", async () => {
    const world = createWorld();
    const { source } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    world.clock.addDays(1000);
    await source.publish(GUN, () => add("v2"), REFUSE);
    expect(world.server.version(GUN, "root")).toBe(1);
    for (const [index, days] of [1000, 1000, 500].entries()) {
      world.clock.addDays(days);
      await source.publish(GUN, () => add(`later ${index}`), REFUSE);
    }
    expect(world.server.version(GUN, "root"), "signed again less than half a year before").toBe(2);
    expect(names((await consumer(world)).list())).toContain("v2");
    // past the end of the first certificate, with which a collection of Notary's own client would end
    world.clock.addDays(1000);
    await source.publish(GUN, () => add("ten years on"), REFUSE);
    expect(names((await consumer(world)).list())).toContain("ten years on");
    world.clock.addDays(4000);
    const behind = world.machine().source;
    await expect(behind.open(GUN, ACCEPT)).rejects.toMatchObject({ code: "METADATA_EXPIRED" });
    expect((await source.status(GUN)).roles[0]).toMatchObject({ role: "root", expired: true });
    const repaired = await source.repair(GUN);
    expect(repaired.repaired).toEqual(["root", "targets", "snapshot"]);
    expect(names((await behind.open(GUN, ACCEPT)).list())).toContain("ten years on");
  });

  test("whose root expires soon warn a publisher who lacks its key, and let the publish through", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    for (const name of ["v1a", "v1b", "v1c"]) {
      world.clock.addDays(1000);
      await source.publish(GUN, () => add(name), REFUSE);
    }
    const root = (await keyStore.list()).find(({ role }) => role === "root")!;
    await keyStore.remove(root.id);
    world.clock.addDays(500);
    const result = await source.publish(GUN, () => add("v2"), REFUSE);
    expect(result.collection.warnings.join("\n")).toContain("its key is not at hand");
    expect(world.server.version(GUN, "root")).toBe(1);
  });

  test("are repaired as far as the keys go, and the rest is named", async () => {
    const world = await collection();
    const alice = await signer("alice");
    const { source } = world.owner;
    await source.delegate(GUN, { role: "targets/releases", keys: [alice.pem], paths: [""] });
    const publisher = world.machine({ keyStore: alice.keyStore }).source;
    await publisher.publish(GUN, () => add("v1"), ACCEPT);
    world.clock.addDays(1096);
    const repaired = await source.repair(GUN);
    expect(repaired.repaired).toEqual(["targets"]);
    expect(repaired.remaining).toEqual([expect.objectContaining({ role: "targets/releases" })]);
    await publisher.repair(GUN);
    expect(names((await consumer(world)).list())).toEqual(["v1"]);
  });

  test("need no repair before they expire, unless asked to look ahead", async () => {
    const world = await expired("client", 1000);
    const { source } = world.owner;
    expect((await source.repair(GUN)).published).toEqual([]);
    const ahead = await source.repair(GUN, { withinDays: 100 });
    expect(ahead.published).toEqual(["targets", "snapshot"]);
    const { roles } = await source.status(GUN);
    expect(roles.find(({ role }) => role === "targets")?.daysLeft).toBe(1095);
  });

  test.each(["client", "server"] as const)(
    "list no role that was just signed and still ends within the time asked for, snapshot held by the %s",
    async (snapshotKey) => {
      const world = await expired(snapshotKey, 0);
      const { source } = world.owner;
      const ahead = await source.repair(GUN, { withinDays: 30 });
      expect(ahead.remaining).toEqual([]);
      expect((await source.repair(GUN, { withinDays: 4000 })).remaining).toEqual([]);
      expect(names((await consumer(world)).list())).toEqual(["v1"]);
    },
  );

  test("that somebody tampered with are not repaired", async () => {
    const world = await expired("server");
    const tampered = createWorld();
    await tampered
      .machine({ newCollections: { snapshotKey: "server" } })
      .source.publish(GUN, () => add("evil"), REFUSE);
    world.server.intercept = (request, path) =>
      path.includes("targets") && request.method === "GET" ? tampered.server.transport(request) : undefined;
    const elsewhere = world.machine({ keyStore: world.owner.keyStore }).source; // the owner has the true ones cached
    await expect(elsewhere.repair(GUN, ACCEPT)).rejects.toMatchObject({
      code: expect.stringMatching(/METADATA_TAMPERED|TRUST_WITHHELD/) as string,
    });
    world.server.intercept = undefined;
    expect(world.server.version(GUN, "targets")).toBe(1);
    await world.owner.source.repair(GUN);
    expect(names((await consumer(world)).list())).toEqual(["v1"]);
  });
});

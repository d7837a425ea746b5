import { describe, expect, test } from "vitest";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import type { TargetEdit } from "../../../src/trust/source.ts";
import { errorAnswer } from "../../support/fake-notary-server.ts";
import {
  ACCEPT,
  add,
  createWorld,
  GUN,
  hashOf,
  isUpload,
  listed,
  names,
  REFUSE,
  uploads,
} from "../../support/notary-publisher.ts";

describe("a first publish", () => {
  test.each(["client", "server"] as const)(
    "makes the collection, its snapshot key held by the %s",
    async (snapshotKey) => {
      const world = createWorld();
      const { source, keyStore } = world.machine({ newCollections: { snapshotKey } });
      const result = await source.publish(GUN, () => add("v1"), REFUSE);
      expect(result.created).toBe(true);
      expect(result.collection.find("v1")).toMatchObject({ hashes: { sha256: hashOf("v1") }, role: "targets" });
      expect(result.freshUntil).toEqual(new Date(world.clock.at.getTime() + 14 * 86_400_000));
      const roles = (await keyStore.list()).map(({ role }) => role).toSorted();
      expect(roles).toEqual(snapshotKey === "client" ? ["root", "snapshot", "targets"] : ["root", "targets"]);
      const consumer = await world.machine().source.open(GUN, ACCEPT);
      expect(names(consumer.list())).toEqual(["v1"]);
      expect(consumer.rootKeys).toEqual(result.collection.rootKeys);
    },
  );

  test("works with Ed25519 keys on the server", async () => {
    const world = createWorld({ keyAlgorithm: "ed25519" });
    await world.machine({ newCollections: { snapshotKey: "server" } }).source.publish(GUN, () => add("v1"), REFUSE);
    expect(await listed(world)).toEqual(["v1"]);
  });

  test("asks the server for its key once, since each request makes it create another", async () => {
    const world = createWorld();
    await world.machine({ newCollections: { snapshotKey: "server" } }).source.publish(GUN, () => add("v1"), REFUSE);
    expect(world.server.log.filter((line) => line.endsWith("timestamp.key"))).toHaveLength(1);
    expect(world.server.log.filter((line) => line.endsWith("snapshot.key"))).toHaveLength(1);
  });

  test("reuses the one root key at hand for another collection, and asks which where there are several", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    const first = await source.publish(GUN, () => add("v1"), REFUSE);
    const second = await source.publish("registry.test/other", () => add("v1"), REFUSE);
    expect(second.collection.rootKeys).toEqual(first.collection.rootKeys);
    const other = await PrivateKey.generate();
    await keyStore.add(other, { role: "root" }, async () => "correct horse");
    await expect(source.publish("registry.test/third", () => add("v1"), REFUSE)).rejects.toMatchObject({
      code: "USAGE",
    });
    const rootKeyId = first.collection.rootKeys[0]!.keyId;
    await source.init("registry.test/third", { rootKeyId });
    expect(await source.isKnown("registry.test/third")).toBe(true);
  });

  test.each<[string, TargetEdit, string]>([
    [
      "a name with a newline",
      { action: "add", name: "a\nb", length: 1, hashes: { sha256: hashOf("a") } },
      "TARGET_NAME_INVALID",
    ],
    [
      "custom data with <",
      { action: "add", name: "v", length: 1, hashes: { sha256: hashOf("a") }, custom: "<" },
      "TARGET_INVALID",
    ],
    [
      "custom data with a float",
      { action: "add", name: "v", length: 1, hashes: { sha256: hashOf("a") }, custom: 1.5 },
      "TARGET_INVALID",
    ],
    ["no hash", { action: "add", name: "v", length: 1, hashes: {} }, "TARGET_INVALID"],
  ])("refuses %s before anything is made or sent, and the next publish works", async (_, edit, code) => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await expect(source.publish(GUN, () => [edit], REFUSE)).rejects.toMatchObject({ code });
    expect(await keyStore.list()).toEqual([]);
    expect(world.server.log.filter((line) => !line.startsWith("GET"))).toEqual([]);
    await source.publish(GUN, () => add("v1"), REFUSE);
    expect(await listed(world)).toEqual(["v1"]);
  });

  test.each(["../../escape", "a//b", "a*", "a b", "x".repeat(5000), "", "a/_trust/tuf"])(
    "refuses the collection %j",
    async (gun) => {
      const { source, keyStore } = createWorld().machine();
      for (const attempt of [
        () => source.publish(gun, () => add("v1"), REFUSE),
        () => source.init(gun),
        () => source.remove(gun),
        () => source.rotate(gun, { role: "targets" }),
      ]) {
        await expect(attempt()).rejects.toMatchObject({ code: "GUN_INVALID" });
      }
      expect(await keyStore.list()).toEqual([]);
    },
  );

  test("of two publishers at the same moment one makes it; the other is told, and keeps no useless keys", async () => {
    const world = createWorld();
    const machines = [world.machine(), world.machine()];
    const results = await Promise.allSettled(
      machines.map(({ source }, index) => source.publish(GUN, () => add(`v${index}`), REFUSE)),
    );
    const won = results.findIndex(({ status }) => status === "fulfilled");
    expect(results.filter(({ status }) => status === "rejected")).toEqual([
      expect.objectContaining({ reason: expect.objectContaining({ code: "TRUST_CONFLICT" }) as unknown }),
    ]);
    expect(await machines[1 - won]!.keyStore.list()).toEqual([]);
    expect(await listed(world)).toEqual([`v${won}`]);
  });

  test.each([
    [401, "UNAUTHORIZED", "TRUST_DENIED"],
    [404, "SOMETHING_ELSE", "TRUST_UNAVAILABLE"],
    [500, "UNKNOWN", "TRUST_UNAVAILABLE"],
  ])("a server that answers %i %s has not said that there is no collection", async (status, serverCode, code) => {
    const world = createWorld();
    world.server.intercept = async () => errorAnswer(status, serverCode);
    const { source, keyStore } = world.machine();
    await expect(source.publish(GUN, () => add("v1"), REFUSE)).rejects.toMatchObject({ code });
    expect(await keyStore.list()).toEqual([]);
    world.server.intercept = undefined;
    expect((await source.publish(GUN, () => add("v1"), REFUSE)).created).toBe(true);
  });

  test("is not made over a collection that is known here and that the server denies", async () => {
    const world = createWorld();
    const { source } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const before = uploads(world);
    const elsewhere = createWorld();
    world.server.intercept = (request) => elsewhere.server.transport(request);
    await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    await expect(source.init(GUN)).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    expect(elsewhere.server.guns()).toEqual([]);
    world.server.intercept = undefined;
    await source.publish(GUN, () => add("v2"), REFUSE);
    expect(uploads(world)).toBe(before + 1);
  });

  test("is not taken over by somebody who made the collection anew", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    await world.machine().source.remove(GUN, { remote: true });
    await world.machine().source.publish(GUN, () => add("evil"), REFUSE);
    await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({ code: "ROOT_UNTRUSTED" });
    const fresh = world.machine({ keyStore });
    await expect(fresh.source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({
      code: "FIRST_USE_REFUSED",
    });
    expect(await listed(world)).toEqual(["evil"]);
  });

  test("is no success where the server then shows somebody else's collection", async () => {
    const world = createWorld();
    const evil = createWorld();
    await evil.machine().source.publish(GUN, () => add("evil"), REFUSE);
    let published = false;
    world.server.afterwards = (request, path) => {
      published ||= isUpload(request, path);
      return undefined;
    };
    world.server.intercept = (request) => (published ? evil.server.transport(request) : undefined);
    const { source, keyStore } = world.machine();
    await expect(source.publish(GUN, () => add("v1"), REFUSE)).rejects.toMatchObject({
      code: "PUBLISH_UNREADABLE",
      cause: expect.objectContaining({ code: "PIN_MISMATCH" }) as unknown,
    });
    expect(await source.isKnown(GUN)).toBe(false);
    expect(await keyStore.list()).toHaveLength(3);
    world.server.intercept = undefined;
    await source.publish(GUN, () => add("v2"), REFUSE);
    expect(await listed(world)).toEqual(["v1", "v2"]);
  });

  test("knows its own root key on another machine, so that no first use is needed", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const other = world.machine({ keyStore });
    const result = await other.source.publish(GUN, () => add("v2"), REFUSE);
    expect(result.created).toBe(false);
    expect(result.collection.firstUse).toBe(false);
    expect(await listed(world)).toEqual(["v1", "v2"]);
  });

  test("init makes an empty collection once", async () => {
    const world = createWorld();
    const { source } = world.machine();
    const made = await source.init(GUN);
    expect(made.published).toEqual(["root", "targets", "snapshot"]);
    await expect(source.init(GUN)).rejects.toMatchObject({ code: "TRUST_EXISTS" });
    await expect(world.machine().source.init(GUN)).rejects.toMatchObject({ code: "TRUST_EXISTS" });
    expect(await listed(world)).toEqual([]);
  });
});

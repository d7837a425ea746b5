import { describe, expect, test } from "vitest";
import { ACCEPT, add, createWorld, GUN, hashOf, names, REFUSE } from "../support/notary-publisher.ts";

describe("a first publish", () => {
  test.each(["client", "server"] as const)(
    "makes the collection, with a snapshot key held by the %s",
    async (snapshotKey) => {
      const world = createWorld();
      const { source, keyStore } = world.machine({ newCollections: { snapshotKey } });
      const result = await source.publish(GUN, () => add("v1"), REFUSE);
      expect(result.created).toBe(true);
      expect(result.collection.find("v1")).toMatchObject({ hashes: { sha256: hashOf("v1") }, role: "targets" });
      const roles = (await keyStore.list()).map(({ role }) => role).toSorted();
      expect(roles).toEqual(snapshotKey === "client" ? ["root", "snapshot", "targets"] : ["root", "targets"]);
      const consumer = await world.machine().source.open(GUN, ACCEPT);
      expect(names(consumer.list())).toEqual(["v1"]);
      expect(consumer.rootKeys).toEqual(result.collection.rootKeys);
    },
  );
});

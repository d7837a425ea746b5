import { describe, expect, test } from "vitest";
import { memoryKeyStore } from "../../../src/keys/key-store.ts";
import { canonicalKeyId } from "../../../src/keys/notary-key-id.ts";
import { formatPem } from "../../../src/keys/pem.ts";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import { errorAnswer, networkFailure } from "../../support/fake-notary-server.ts";
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
  versionsOf as versions,
} from "../../support/notary-publisher.ts";

describe("rotating keys", () => {
  test.each(["targets", "snapshot", "root", "timestamp"] as const)(
    "of %s leaves a collection that everybody reads",
    async (role) => {
      const world = createWorld();
      const { source, keyStore } = world.machine();
      await source.publish(GUN, () => add("v1"), REFUSE);
      const follower = world.machine().source;
      await follower.open(GUN, ACCEPT);
      const result = await source.rotate(GUN, { role });
      expect(result.newKeyIds).toHaveLength(1);
      expect(result.oldKeyIds).toHaveLength(1);
      expect(result.newKeyIds).not.toEqual(result.oldKeyIds);
      expect(names((await follower.open(GUN, REFUSE)).list())).toEqual(["v1"]);
      await source.publish(GUN, () => add("v2"), REFUSE);
      expect(names((await consumer(world)).list())).toEqual(["v1", "v2"]);
      const held = (await keyStore.list()).map(({ id }) => id);
      const retired = role === "targets" || role === "snapshot";
      expect(result.backups).toHaveLength(retired ? 1 : 0);
      expect(held.includes(result.oldKeyIds[0]!)).toBe(role === "root");
    },
  );

  test("deletes replaced keys only where that is asked for", async () => {
    const world = await collection();
    const result = await world.owner.source.rotate(GUN, { role: "targets", deleteOld: true });
    expect(result.backups).toEqual([]);
    expect((await world.owner.keyStore.list()).map(({ id }) => id)).not.toContain(result.oldKeyIds[0]);
  });

  test("hands the snapshot key over to the server and back", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const roles = async () => (await keyStore.list()).map(({ role }) => role).toSorted();
    expect((await source.rotate(GUN, { role: "snapshot", manager: "server" })).published).toEqual(["root"]);
    expect(await roles()).toEqual(["root", "targets"]);
    await source.publish(GUN, () => add("v2"), REFUSE);
    expect((await source.rotate(GUN, { role: "snapshot", manager: "client" })).published).toEqual(["root", "snapshot"]);
    expect(await roles()).toEqual(["root", "snapshot", "targets"]);
    await source.publish(GUN, () => add("v3"), REFUSE);
    expect(names((await consumer(world)).list())).toEqual(["v1", "v2", "v3"]);
  });

  test.each([
    { role: "timestamp", manager: "client" },
    { role: "targets", manager: "server" },
    { role: "root", manager: "server" },
    { role: "targets", certificate: "x" },
    { role: "root", certificate: "x" },
    { role: "snapshot", manager: "server", keyIds: ["x"] },
  ] as const)("refuses $role held by the $manager and other combinations, before anything is sent", async (options) => {
    const world = await collection();
    const before = world.server.log.length;
    await expect(world.owner.source.rotate(GUN, options)).rejects.toMatchObject({ code: "USAGE" });
    expect(world.server.log.slice(before).filter((line) => !line.startsWith("GET"))).toEqual([]);
  });

  test("changes to a key at hand, and names one that is not", async () => {
    const world = await collection();
    const { source, keyStore } = world.owner;
    const id = await keyStore.add(await PrivateKey.generate(), { role: "targets", gun: GUN }, passphrase);
    expect((await source.rotate(GUN, { role: "targets", keyIds: [id] })).newKeyIds).toEqual([id]);
    await expect(source.rotate(GUN, { role: "targets", keyIds: ["f".repeat(64)] })).rejects.toMatchObject({
      code: "KEY_MISSING",
      role: "targets",
    });
  });

  test("of root takes the owner's own certificate, and refuses one for another name before it is published", async () => {
    const world = await collection();
    const { source, keyStore } = world.owner;
    const key = await PrivateKey.generate();
    const id = await keyStore.add(key, { role: "root" }, passphrase);
    const wrong = await certificateFor("somebody/else", key, world.clock);
    const before = versions(world);
    await expect(source.rotate(GUN, { role: "root", keyIds: [id], certificate: wrong })).rejects.toMatchObject({
      code: "COLLECTION_MISMATCH",
    });
    expect(versions(world)).toEqual(before);
    const other = await certificateFor(GUN, await PrivateKey.generate(), world.clock);
    await expect(source.rotate(GUN, { role: "root", keyIds: [id], certificate: other })).rejects.toMatchObject({
      code: "KEY_MISSING",
    });
    const wildcard = await certificateFor("registry.test/*", key, world.clock);
    await source.rotate(GUN, { role: "root", keyIds: [id], certificate: `comment\n${wildcard}` });
    expect((await consumer(world)).rootKeys.map(({ keyId }) => keyId)).toEqual([id]);
  });

  test("of root is impossible without the old root key", async () => {
    const world = await collection();
    const { source, keyStore } = world.owner;
    const old = (await keyStore.list()).find(({ role }) => role === "root")!;
    await keyStore.remove(old.id);
    const before = versions(world);
    await expect(source.rotate(GUN, { role: "root" })).rejects.toMatchObject({ code: "KEY_MISSING", role: "root" });
    expect(versions(world)).toEqual(before);
    expect(
      (await keyStore.list()).map(({ role }) => role),
      "the key that was made for it is gone",
    ).toEqual(["targets"]);
  });

  test.each(["refused", "lost"])("removes a key made in vain only where that is certain (%s)", async (failure) => {
    const world = await collection();
    const { source, keyStore } = world.owner;
    const before = (await keyStore.list()).length;
    world.server.intercept = (request, path) => {
      if (request.method !== "POST" || !path.endsWith("/tuf/")) return undefined;
      if (failure === "lost") throw networkFailure();
      return Promise.resolve(errorAnswer(400, "INVALID_UPDATE"));
    };
    await expect(source.rotate(GUN, { role: "targets" })).rejects.toMatchObject({
      code: failure === "lost" ? "NETWORK" : "TRUST_REJECTED",
    });
    expect(await keyStore.list()).toHaveLength(failure === "lost" ? before + 1 : before);
    world.server.intercept = undefined;
    await source.publish(GUN, () => add("v1"), REFUSE);
  });
});

describe("delegations", () => {
  test("let somebody publish who has no other key, where the server holds the snapshot key", async () => {
    const world = await collection();
    const alice = await signer("alice");
    await world.owner.source.delegate(GUN, { role: "targets/releases", keys: [alice.pem], paths: [""] });
    const source = world.machine({ keyStore: alice.keyStore }).source;
    const result = await source.publish(GUN, () => add("v1"), ACCEPT);
    expect(result.collection.find("v1")?.role).toBe("targets/releases");
    expect(names((await consumer(world)).list())).toEqual(["v1"]);
  });

  test("are signed as Docker does: every one whose key is at hand and whose paths allow it", async () => {
    const world = await collection();
    const alice = await signer("alice");
    const { source } = world.owner;
    await source.delegate(GUN, { role: "targets/releases", keys: [alice.pem], paths: [""] });
    await source.delegate(GUN, { role: "targets/alice", keys: [alice.pem], paths: [""] });
    await source.delegate(GUN, { role: "targets/beta", keys: [alice.pem], paths: ["beta/"] });
    const publisher = world.machine({ keyStore: alice.keyStore }).source;
    await publisher.publish(GUN, () => add("v1"), ACCEPT);
    const status = await source.status(GUN);
    const count = (role: string) => status.roles.find((entry) => entry.role === role)?.targets;
    expect(["targets", "targets/releases", "targets/alice", "targets/beta"].map(count)).toEqual([0, 1, 1, undefined]);
    await publisher.publish(GUN, () => [{ action: "remove", name: "v1" }], REFUSE);
    expect(names((await consumer(world)).list())).toEqual([]);
  });

  test("that consumers read first must be signed, not passed over", async () => {
    const world = await collection();
    const alice = await signer("alice");
    const { source } = world.owner;
    await source.delegate(GUN, { role: "targets/releases", keys: [alice.pem], paths: [""] });
    await expect(source.publish(GUN, () => add("v1"), REFUSE)).rejects.toMatchObject({
      code: "KEY_MISSING",
      role: "targets/releases",
      details: { missing: [alice.id] },
    });
    const named = await source.publish(GUN, () => add("v1"), { ...REFUSE, roles: ["targets"] });
    expect(named.collection.find("v1")?.role).toBe("targets");
    await expect(source.publish(GUN, () => add("v1"), { ...REFUSE, roles: ["targets/../x"] })).rejects.toMatchObject({
      code: "ROLE_INVALID",
    });
  });

  test("need as many keys as their threshold says, and name what is missing", async () => {
    const world = await collection();
    const [alice, bob] = [await signer("alice"), await signer("bob")];
    const role = "targets/releases";
    await world.owner.source.delegate(GUN, { role, keys: [alice.pem, bob.pem], paths: [""], threshold: 2 });
    const alone = world.machine({ keyStore: alice.keyStore }).source;
    await expect(alone.publish(GUN, () => add("v1"), { ...ACCEPT, roles: [role] })).rejects.toMatchObject({
      code: "KEY_MISSING",
      role,
      details: { missing: [bob.id], threshold: 2 },
    });
    await alice.keyStore.importPem(await bob.keyStore.exportPem([bob.id]), {}, passphrase);
    const result = await alone.publish(GUN, () => add("v1"), ACCEPT);
    expect(result.collection.roles.find((entry) => entry.role === role)?.signedBy).toHaveLength(2);
  });

  test("lose a key without losing what others can vouch for", async () => {
    const world = await collection();
    const [alice, bob] = [await signer("alice"), await signer("bob")];
    const role = "targets/releases";
    const { source, keyStore } = world.owner;
    await source.delegate(GUN, { role, keys: [alice.pem, bob.pem], paths: [""] });
    await world.machine({ keyStore: alice.keyStore }).source.publish(GUN, () => add("v1"), ACCEPT);

    // the owner has none of the role's keys: said, and shown as a fault instead of vanishing
    const removed = await source.undelegate(GUN, { role, keyIds: [alice.id] });
    expect(removed.warnings.join("\n")).toContain("counts no longer");
    const seen = await consumer(world);
    expect(seen.warnings.join("\n")).toContain("targets/releases cannot be used");
    expect(() => seen.find("v1")).toThrow(expect.objectContaining({ code: "SIGNATURE_THRESHOLD" }));

    // bob vouches for it
    const bobs = world.machine({ keyStore: bob.keyStore }).source;
    await expect(bobs.publish(GUN, () => add("v2"), ACCEPT)).rejects.toMatchObject({ code: "DELEGATION_REFUSED" });
    await bobs.witness(GUN, { roles: [role], ...ACCEPT });
    expect(names((await consumer(world)).list())).toEqual(["v1"]);

    // with a key at hand the owner's removal signs again by itself
    await source.delegate(GUN, { role, keys: [alice.pem], paths: [] });
    await keyStore.importPem(await alice.keyStore.exportPem([alice.id]), {}, passphrase);
    const again = await source.undelegate(GUN, { role, keyIds: [bob.id] });
    expect(again.published).toEqual(["targets", role]);
    expect(names((await consumer(world)).list())).toEqual(["v1"]);
  });

  test("are purged of a key everywhere", async () => {
    const world = await collection();
    const [alice, bob] = [await signer("alice"), await signer("bob")];
    const { source } = world.owner;
    for (const role of ["targets/releases", "targets/beta"]) {
      await source.delegate(GUN, { role, keys: [alice.pem, bob.pem], paths: [""] });
    }
    await source.purge(GUN, { keyIds: [alice.id] });
    const { roles } = await source.status(GUN);
    const keysOf = (role: string) => roles.find((entry) => entry.role === role)?.keys.map(({ keyId }) => keyId);
    expect(["targets/releases", "targets/beta"].map(keysOf)).toEqual([[bob.id], [bob.id]]);
  });

  test("go on from their old versions when they are deleted and made again", async () => {
    const world = createWorld();
    const alice = await signer("alice");
    const { source } = world.machine({ keyStore: alice.keyStore });
    await source.init(GUN);
    const grant = { role: "targets/releases", keys: [alice.pem], paths: [""] };
    await source.delegate(GUN, grant);
    for (const name of ["v1", "v2", "v3"]) await source.publish(GUN, () => add(name), ACCEPT);
    expect(world.server.version(GUN, "targets/releases")).toBe(3);
    await source.undelegate(GUN, { role: "targets/releases" });
    expect(names((await consumer(world)).list())).toEqual([]);
    await source.delegate(GUN, grant);
    await source.publish(GUN, () => add("v4"), REFUSE);
    expect(names((await consumer(world)).list())).toEqual(["v4"]);
    expect(world.server.version(GUN, "targets/releases")).toBe(4);
  });

  test("that are made again bring back what was signed before, where the server kept it, and that is said", async () => {
    const world = await collection();
    const alice = await signer("alice");
    const { source } = world.owner;
    const grant = { role: "targets/releases", keys: [alice.pem], paths: [""] };
    expect((await source.delegate(GUN, grant)).warnings).toEqual([]);
    await world.machine({ keyStore: alice.keyStore }).source.publish(GUN, () => add("v1"), ACCEPT);
    await source.undelegate(GUN, { role: "targets/releases" });
    const again = await source.delegate(GUN, grant);
    expect(names(again.collection.list())).toEqual(["v1"]);
    expect(again.warnings.join("\n")).toContain("1 target(s) signed earlier as targets/releases count again");
  });

  test("take certificates, and refuse expired ones, private keys and files with nothing in them", async () => {
    const world = await collection();
    const { source } = world.owner;
    const key = await PrivateKey.generate();
    const certificate = await certificateFor("bob", key, world.clock);
    const delegate = (pem: string) => source.delegate(GUN, { role: "targets/releases", keys: [pem], paths: [""] });
    const secret = formatPem({ label: "PRIVATE KEY", headers: new Map(), bytes: key.toPkcs8() });
    const before = versions(world);
    await expect(delegate(secret)).rejects.toMatchObject({ code: "USAGE" });
    await expect(delegate("nothing")).rejects.toMatchObject({ code: "KEY_INVALID" });
    world.clock.addDays(366);
    await expect(delegate(certificate)).rejects.toMatchObject({ code: "CERTIFICATE_INVALID" });
    world.clock.addDays(-366);
    expect(versions(world)).toEqual(before);
    await delegate(certificate);
    const { roles } = await source.status(GUN);
    const listed = roles.find(({ role }) => role === "targets/releases")?.keys.map(({ keyId }) => keyId);
    expect(listed).toEqual([await canonicalKeyId(key.publicKey)]);
    const keyStore = memoryKeyStore();
    await keyStore.add(key, { role: "bob" }, passphrase);
    await world.machine({ keyStore }).source.publish(GUN, () => add("v1"), ACCEPT);
    expect(names((await consumer(world)).list())).toEqual(["v1"]);
  });
});

describe("removing", () => {
  test("forgets a collection here, and keeps its keys", async () => {
    const world = await collection();
    const { source, keyStore } = world.owner;
    const keys = await keyStore.list();
    await source.remove(GUN);
    expect(await source.isKnown(GUN)).toBe(false);
    expect(await keyStore.list()).toEqual(keys);
    expect(world.server.guns()).toEqual([GUN]);
    await source.publish(GUN, () => add("v1"), REFUSE);
  });

  test("on the server is for everybody, and leaves other collections", async () => {
    const world = await collection();
    const { source } = world.owner;
    await source.init(`${GUN}/other`);
    await source.remove(GUN, { remote: true });
    expect(world.server.guns()).toEqual([`${GUN}/other`]);
    await expect(consumer(world)).rejects.toMatchObject({ code: "TRUST_NOT_FOUND" });
    await source.init(GUN);
  });

  test("that the server refuses forgets nothing", async () => {
    const world = await collection();
    world.server.intercept = (request) =>
      request.method === "DELETE" ? Promise.resolve(errorAnswer(401, "UNAUTHORIZED")) : undefined;
    await expect(world.owner.source.remove(GUN, { remote: true })).rejects.toMatchObject({ code: "TRUST_DENIED" });
    expect(await world.owner.source.isKnown(GUN)).toBe(true);
  });
});

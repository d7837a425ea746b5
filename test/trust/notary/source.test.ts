import { describe, expect, test } from "vitest";
import { utf8Decode } from "../../../src/base/bytes.ts";
import { InterruptedError } from "../../../src/base/errors.ts";
import type { TransportRequest } from "../../../src/base/http.ts";
import { memoryKeyStore } from "../../../src/keys/key-store.ts";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import { assertGoBytes } from "../../../src/notary/wire.ts";
import type { TargetEdit } from "../../../src/trust/source.ts";
import { errorAnswer, networkFailure } from "../../support/fake-notary-server.ts";
import { ACCEPT, add, createWorld, GUN, hashOf, names, REFUSE, type World } from "../../support/notary-publisher.ts";

function isUpload(request: TransportRequest, path: string): boolean {
  return request.method === "POST" && path.endsWith("/_trust/tuf/");
}

function uploads(world: World): number {
  return world.server.log.filter((line) => line.startsWith("POST") && line.endsWith("/_trust/tuf/")).length;
}

async function listed(world: World): Promise<string[]> {
  return names((await world.machine().source.open(GUN, ACCEPT)).list());
}

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

describe("a publish", { timeout: 60_000 }, () => {
  test("uploads exactly the bytes that Go's programs print", async () => {
    const world = createWorld();
    const { source } = world.machine({ newCollections: { snapshotKey: "server" } });
    const seen: string[] = [];
    world.server.intercept = async (request, path) => {
      if (!isUpload(request, path)) return undefined;
      const body = request.body as Uint8Array<ArrayBuffer>;
      const form = await new Response(body, { headers: request.headers ?? {} }).formData();
      for (const part of form.getAll("files") as unknown as File[]) {
        assertGoBytes(new Uint8Array(await part.arrayBuffer()), part.name);
        seen.push(part.name);
      }
      return undefined;
    };
    await source.publish(GUN, () => add("v1"), REFUSE);
    const name = '<é\u2603😀&"\\>';
    const custom = { z: [1, { b: null, a: true }], é: "x", a: 'quote"\\' };
    await source.publish(GUN, () => [{ ...add(name)[0]!, custom }], REFUSE);
    expect(seen).toEqual(["root", "targets", "targets"]);
    const found = (await world.machine().source.open(GUN, ACCEPT)).find(name);
    expect(JSON.stringify(found?.custom)).toBe(JSON.stringify({ a: 'quote"\\', z: [1, { a: true, b: null }], é: "x" }));
    expect(utf8Decode(world.server.newest(GUN, "targets")!)).toContain(String.raw`\u003cé☃😀\u0026\"\\\u003e`);
  });

  test("uploads nothing where everything is signed just so", async () => {
    const world = createWorld();
    const { source } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const before = uploads(world);
    const result = await source.publish(GUN, () => add("v1"), REFUSE);
    expect(result.created).toBe(false);
    expect(names(result.collection.list())).toEqual(["v1"]);
    await source.publish(GUN, () => [], REFUSE);
    await source.publish(GUN, () => [{ action: "remove", name: "absent" }], REFUSE);
    expect(uploads(world)).toBe(before);
  });

  test.each(["client", "server"] as const)(
    "of ten at the same moment all land, snapshot held by the %s",
    async (snapshotKey) => {
      const world = createWorld();
      const { source, keyStore } = world.machine({ newCollections: { snapshotKey } });
      await source.init(GUN);
      const wanted = Array.from({ length: 10 }, (_, index) => `v${index}`);
      await Promise.all(wanted.map((name) => world.machine({ keyStore }).source.publish(GUN, () => add(name), REFUSE)));
      expect(await listed(world)).toEqual(wanted);
    },
  );

  test("computes its edits again from what another publisher left", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.init(GUN);
    const seen: string[][] = [];
    let rival: Promise<unknown> | undefined;
    world.server.intercept = (request, path) => {
      if (!isUpload(request, path) || rival !== undefined) return undefined;
      rival = Promise.resolve(); // once
      rival = world.machine({ keyStore }).source.publish(GUN, () => add("rival"), REFUSE);
      return rival.then(() => undefined);
    };
    await source.publish(
      GUN,
      (current) => {
        seen.push(names(current!.list()));
        return add("mine");
      },
      REFUSE,
    );
    expect(seen).toEqual([[], ["rival"]]);
    expect(await listed(world)).toEqual(["mine", "rival"]);
  });

  test("gives up after a bounded number of conflicts, with nothing changed", async () => {
    const world = createWorld();
    const { source } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    world.server.intercept = (request, path) =>
      isUpload(request, path) ? Promise.resolve(errorAnswer(400, "VERSION")) : undefined;
    await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({
      code: "TRUST_CONFLICT",
      details: { attempts: 64 },
    });
    world.server.intercept = undefined;
    expect(await listed(world)).toEqual(["v1"]);
    await source.publish(GUN, () => add("v2"), REFUSE);
    expect(await listed(world)).toEqual(["v1", "v2"]);
  });

  test("passes a refusal on at once, with the server's words, where nothing has changed meanwhile", async () => {
    const world = createWorld();
    const { source } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    world.server.intercept = (request, path) =>
      isUpload(request, path) ? Promise.resolve(errorAnswer(400, "INVALID_UPDATE", "no such thing")) : undefined;
    const before = uploads(world);
    await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({
      code: "TRUST_REJECTED",
      message: expect.stringContaining("no such thing") as string,
    });
    expect(uploads(world)).toBe(before + 1);
  });

  test.each([true, false])("whose answer is lost lands once (first publish: %s)", async (first) => {
    const world = createWorld();
    const { source } = world.machine();
    if (!first) await source.init(GUN);
    let lost = 0;
    world.server.afterwards = (request, path) => {
      if (isUpload(request, path) && lost++ === 0) throw networkFailure();
      return undefined;
    };
    await source.publish(GUN, () => add("v1"), REFUSE);
    expect(await listed(world)).toEqual(["v1"]);
    expect(world.server.version(GUN, "targets")).toBe(first ? 1 : 2);
  });

  test.each([true, false])(
    "that never arrives is sent again, a bounded number of times (first publish: %s)",
    async (first) => {
      const world = createWorld();
      const { source, keyStore } = world.machine();
      if (!first) await source.init(GUN);
      const before = uploads(world);
      world.server.intercept = (request, path) => {
        if (isUpload(request, path)) throw networkFailure();
        return undefined;
      };
      await expect(source.publish(GUN, () => add("v1"), REFUSE)).rejects.toMatchObject({ code: "NETWORK" });
      expect(uploads(world)).toBe(before + 3);
      expect(world.server.version(GUN, "targets")).toBe(first ? 0 : 1);
      expect((await keyStore.list()).length, "keys stay: it may have arrived").toBe(3);
      world.server.intercept = undefined;
      await source.publish(GUN, () => add("v1"), REFUSE);
      expect(await listed(world)).toEqual(["v1"]);
    },
  );

  test("says so where the server took it and serves something that nobody can verify", async () => {
    const world = createWorld();
    const { source } = world.machine({ newCollections: { snapshotKey: "server" } });
    await source.publish(GUN, () => add("v1"), REFUSE);
    let published = false;
    world.server.afterwards = (request, path) => {
      published ||= isUpload(request, path);
      return undefined;
    };
    world.server.intercept = (request, path) => {
      // a Go server that printed the document otherwise has no file of the hash that its snapshot names
      const isTargets = /\/targets(\.[0-9a-f]{64})?\.json$/.test(path);
      return published && isTargets ? Promise.resolve(errorAnswer(404, "METADATA_NOT_FOUND")) : undefined;
    };
    await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({
      code: "PUBLISH_UNREADABLE",
      details: { published: true, roles: ["targets"] },
    });
  });

  test("ends when asked to, and the next one works", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const retry = { attempts: 1, random: () => 0.5, sleep: () => Promise.reject(new InterruptedError()) };
    world.server.intercept = (request, path) =>
      isUpload(request, path) ? Promise.resolve(errorAnswer(400, "VERSION")) : undefined;
    const stopped = world.machine({ retry, keyStore });
    await expect(stopped.source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({ code: "INTERRUPTED" });
    world.server.intercept = undefined;
    await source.publish(GUN, () => add("v3"), REFUSE);
    expect(await listed(world)).toEqual(["v1", "v3"]);
  });
});

describe("keys", () => {
  test("a missing key is named with its role and where it was looked for, and nothing is sent", async () => {
    const world = createWorld();
    const first = await world.machine().source.publish(GUN, () => add("v1"), REFUSE);
    const before = uploads(world);
    const stranger = world.machine();
    const targets = first.collection.roles.find(({ role }) => role === "targets")!.signedBy[0]!.keyId;
    await expect(stranger.source.publish(GUN, () => add("v2"), ACCEPT)).rejects.toMatchObject({
      code: "KEY_MISSING",
      role: "targets",
      details: { missing: [targets], location: "memory" },
      message: expect.stringContaining(targets) as string,
    });
    expect(uploads(world)).toBe(before);
  });

  test("a snapshot key that nobody here has is named, though only the server can tell", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const snapshot = (await keyStore.list()).find(({ role }) => role === "snapshot")!;
    await keyStore.remove(snapshot.id);
    await expect(source.publish(GUN, () => add("v2"), REFUSE)).rejects.toMatchObject({
      code: "KEY_MISSING",
      role: "snapshot",
    });
    expect(await listed(world)).toEqual(["v1"]);
  });

  test("a wrong passphrase sends nothing", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine();
    await source.publish(GUN, () => add("v1"), REFUSE);
    const before = uploads(world);
    const pem = await keyStore.exportPem((await keyStore.list()).map(({ id }) => id));
    const reopened = memoryKeyStore();
    await reopened.importPem(pem, {}, async () => "correct horse");
    const other = world.machine({ keyStore: reopened, passphrases: async () => "wrong" });
    await expect(other.source.publish(GUN, () => add("v2"), ACCEPT)).rejects.toMatchObject({ code: "KEY_PASSPHRASE" });
    expect(uploads(world)).toBe(before);
  });

  test("a publisher without passphrases makes no collection and leaves no key", async () => {
    const world = createWorld();
    const { source, keyStore } = world.machine({ passphrases: async () => undefined });
    await expect(source.publish(GUN, () => add("v1"), REFUSE)).rejects.toMatchObject({ code: "PASSPHRASE_MISSING" });
    expect(await keyStore.list()).toEqual([]);
    expect(world.server.guns()).toEqual([]);
  });
});

describe("data of the 2019 tool for registries with a port", () => {
  const reference = "localhost:5000/x";

  test("is read only where that is asked for, and said so", async () => {
    const world = createWorld();
    await world.machine().source.publish("localhost", () => add("5000/x"), REFUSE);
    await expect(world.machine().source.open(reference, ACCEPT)).rejects.toMatchObject({ code: "TRUST_NOT_FOUND" });
    const { source } = world.machine({ readGoNames: true });
    const opened = await source.open(reference, ACCEPT);
    expect(opened.find("v1")?.hashes.sha256).toBe(hashOf("5000/x"));
    expect(opened.find("v2")?.hashes.sha256).toBe(hashOf("5000/x"));
    expect(names(opened.list())).toEqual(["5000/x"]);
    expect(opened.warnings.join()).toContain("2019 tool");
    expect(await source.isKnown(reference)).toBe(true);
    const other = await source.open("localhost:5000/y", REFUSE);
    expect(other.find("v1")).toBeUndefined();
  });

  test("is never added to", async () => {
    const { source, keyStore } = createWorld().machine({ readGoNames: true });
    await expect(source.publish(reference, () => add("v1"), REFUSE)).rejects.toMatchObject({ code: "USAGE" });
    expect(await keyStore.list()).toEqual([]);
  });

  test("of hosts without a port was signed as it should be", async () => {
    const world = createWorld();
    await world.machine().source.publish(GUN, () => add("v1"), REFUSE);
    const opened = await world.machine({ readGoNames: true }).source.open(GUN, ACCEPT);
    expect(names(opened.list())).toEqual(["v1"]);
  });
});

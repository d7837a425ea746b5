import { describe, expect, test } from "vitest";
import { utf8Decode } from "../../../src/base/bytes.ts";
import { InterruptedError } from "../../../src/base/errors.ts";
import { memoryKeyStore } from "../../../src/keys/key-store.ts";
import { assertGoBytes } from "../../../src/notary/wire.ts";
import { errorAnswer, networkFailure } from "../../support/fake-notary-server.ts";
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

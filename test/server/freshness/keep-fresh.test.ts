/** Timestamps that the server signs for collections in its own registry, by an injected clock. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { readPublicKeys } from "../../../src/keys/public-key-file.ts";
import type { TransportRequest, TransportResponse } from "../../../src/base/http.ts";
import { listen, type RunningServer } from "../../../src/server/listen.ts";
import { FreshnessService, type KeptFresh } from "../../../src/server/freshness/keep-fresh.ts";
import { createRegistryApp } from "../../../src/server/registry/app.ts";
import { openRegistryStore } from "../../../src/server/registry/file-store.ts";
import type { RegistryStore } from "../../../src/server/registry/store.ts";
import { ociStaging } from "../../../src/trust/oci/staging.ts";
import { trustPlace } from "../../../src/trust/oci/trust.ts";
import type { TufChange } from "../../../src/tuf/changes.ts";
import { tufKeyOf, type TufKey } from "../../../src/tuf/keys.ts";
import { always, codeOf } from "../../support/key-fixtures.ts";
import {
  ACCEPT,
  adding,
  COLLECTION,
  machine,
  REFUSE,
  type Machine,
  type MachineOptions,
} from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";
import { DAY, person } from "../../support/tuf-publishing.ts";
import { silentLog } from "../trust/trust-server.ts";

const START = new Date("2030-01-01T12:00:00Z");

describe("a server that keeps timestamps fresh", () => {
  const transport = testTransport(30_000);
  let dir: string;
  let now: Date;
  let store: RegistryStore;
  let server: RunningServer;
  let service: FreshnessService;
  let log: ReturnType<typeof silentLog>;
  let owner: Machine;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "fresh-"));
    now = START;
    await start();
    owner = open();
    await owner.source.publish(COLLECTION, adding("v0"), REFUSE);
  });
  afterEach(async () => {
    await stop();
    rmSync(dir, { recursive: true, force: true });
  });
  afterAll(() => transport.close());

  async function start(fresh: Partial<KeptFresh> = {}): Promise<void> {
    log = silentLog();
    store = await openRegistryStore(join(dir, "registry"));
    service = await FreshnessService.start({
      dir: join(dir, "freshness"),
      store,
      collections: [{ repository: "acme/app", fingerprints: [], ...fresh }],
      now: () => now,
      log,
    });
    const app = createRegistryApp({ store, log: silentLog(), tagMoved: service.tagMoved });
    server = await listen(app, { host: "127.0.0.1", port: 0 });
  }
  async function stop(): Promise<void> {
    await server.close();
    await service.close();
    await store.close();
  }
  /** The port is another one after each start: machines are opened anew, with what they knew. */
  function open(options: MachineOptions = {}): Machine {
    const host = `127.0.0.1:${server.port}`;
    const place = machine(host, transport, { now: () => now, ...options });
    const staging = ociStaging(
      trustPlace({ registry: place.registry, repository: { registry: host, repository: "acme/app" } }),
    );
    return machine(host, transport, { now: () => now, staging, keyStore: place.keyStore, ...options });
  }
  const serverKey = async (): Promise<TufKey> => {
    const { publicFile } = service.keys[0]!;
    return tufKeyOf(readPublicKeys(readFileSync(publicFile, "utf8"), publicFile)[0]!);
  };
  /** What the owner does once: the server proves that it has the key, and root lists it. */
  async function list(...roles: readonly ("timestamp" | "snapshot" | "targets")[]): Promise<void> {
    const key = await serverKey();
    await owner.publisher.stage(
      COLLECTION,
      roles.map((role): TufChange => ({ action: "keys", role, add: [key] })),
    );
    await service.settled();
    await owner.publisher.publishStaged(COLLECTION);
    await service.settled();
  }
  const look = async (): Promise<void> => {
    service.look("acme/app");
    await service.settled();
  };
  const expiry = async (role: "timestamp" | "snapshot"): Promise<number> => {
    const { roles } = await owner.publisher.status(COLLECTION);
    return roles.find((one) => one.role === role)!.expires!.getTime();
  };
  const version = async (role: string): Promise<number> => {
    const { roles } = await owner.publisher.status(COLLECTION);
    return roles.find((one) => one.role === role)!.version!;
  };
  const tag = async () => {
    const digest = (await store.manifests.resolve("acme/app", "tuf"))!;
    return { digest, ...(await store.manifests.get("acme/app", digest))! };
  };
  const turnBack = async (to: Awaited<ReturnType<typeof tag>>): Promise<void> => {
    const url = `${server.url}/v2/acme/app/manifests/tuf`;
    const answer = await fetch(url, {
      method: "PUT",
      headers: { "content-type": to.mediaType },
      body: to.bytes as Uint8Array<ArrayBuffer>,
    });
    expect(answer.status).toBe(201);
    await service.settled();
  };
  const errors = (): string[] => log.error.mock.calls.map(([fields]) => String(fields["code"]));
  const names = async (): Promise<string[]> =>
    (await open().source.open(COLLECTION, ACCEPT)).list().map(({ name }) => name);

  test("signs again when it is due, and not before; each time once", async () => {
    await list("timestamp");
    const [root] = (await owner.source.open(COLLECTION, REFUSE)).rootKeys;
    expect(log.warn).toHaveBeenCalledWith(
      { repository: "acme/app", collection: COLLECTION, version: 2, rootKeys: root!.fingerprint },
      "trusts this root, the first one seen",
    );
    const before = await tag();
    now = new Date(START.getTime() + 19 * DAY);
    await look();
    expect((await tag()).digest).toBe(before.digest);
    now = new Date(START.getTime() + 21 * DAY);
    await look();
    const after = await tag();
    expect(after.digest).not.toBe(before.digest);
    expect(await expiry("timestamp")).toBe(START.getTime() + 51 * DAY);
    expect(log.info).toHaveBeenCalledWith(
      expect.objectContaining({ repository: "acme/app", role: "timestamp" }),
      "signed again",
    );
    await look();
    await look();
    expect((await tag()).digest).toBe(after.digest);
    expect(await names()).toEqual(["v0"]);
  });

  test("renews the timestamp where the snapshot is due and not the server's, and says who must sign", async () => {
    await list("timestamp");
    now = new Date(START.getTime() + 25 * DAY);
    const snapshot = await version("snapshot");
    await look();
    expect(await version("snapshot")).toBe(snapshot);
    expect(await expiry("timestamp")).toBe(START.getTime() + 55 * DAY);
    expect(log.warn).toHaveBeenCalledWith(
      { repository: "acme/app" },
      expect.stringContaining("snapshot ends 2030-01-31"),
    );
  });

  test("renews the snapshot, too, where root lists its key for that", async () => {
    await list("timestamp", "snapshot");
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    expect(await expiry("snapshot")).toBe(START.getTime() + 55 * DAY);
    now = new Date(START.getTime() + 50 * DAY);
    await look();
    expect(await names()).toEqual(["v0"]); // 20 days after what its publisher has signed had ended
  });

  test("does nothing for a collection that does not list its key, and says so once", async () => {
    const before = await tag();
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    await look();
    expect((await tag()).digest).toBe(before.digest);
    expect(log.warn.mock.calls.filter(([, message]) => message.includes("no root that may be trusted"))).toHaveLength(
      1,
    );
    expect(errors()).toEqual([]);
    now = START;
    await list("timestamp");
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    expect((await tag()).digest).not.toBe(before.digest);
  });

  test("stops when its key is taken out, and leaves the collection as it is", async () => {
    await list("timestamp");
    const { fingerprint } = service.keys[0]!;
    await owner.publisher.revoke(COLLECTION, { fingerprint });
    await service.settled();
    const before = await tag();
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    expect((await tag()).digest).toBe(before.digest);
    expect(log.warn).toHaveBeenCalledWith(
      { repository: "acme/app" },
      expect.stringContaining("does not list the server's key"),
    );
  });

  test("trusts only a root that is pinned, where one is", async () => {
    const { rootKeys } = await owner.source.open(COLLECTION, ACCEPT);
    const [own] = rootKeys.map(({ fingerprint }) => fingerprint);
    await stop();
    await start({ fingerprints: ["ab".repeat(32)] });
    owner = open({ keyStore: owner.keyStore });
    await owner.source.open(COLLECTION, ACCEPT);
    await list("timestamp");
    now = new Date(START.getTime() + 25 * DAY);
    const before = await tag();
    await look();
    expect((await tag()).digest).toBe(before.digest);
    await stop();
    await start({ fingerprints: [own!] });
    await service.settled();
    expect((await tag()).digest).not.toBe(before.digest);
  });

  test("goes on after a restart with the same key, and looks at once", async () => {
    await list("timestamp");
    const [before] = service.keys;
    await stop();
    now = new Date(START.getTime() + 25 * DAY);
    await start();
    expect(service.keys[0]).toEqual(before);
    await service.settled();
    owner = open({ keyStore: owner.keyStore });
    await owner.source.open(COLLECTION, ACCEPT);
    expect(await expiry("timestamp")).toBe(now.getTime() + 30 * DAY);
    const key = join(dir, "freshness", "acme+app", "timestamp.key");
    expect(statSync(key).mode & 0o777).toBe(0o600);
  });

  test("makes no new key where a trusted root lists the one that is lost", async () => {
    await list("timestamp");
    await stop();
    const key = join(dir, "freshness", "acme+app", "timestamp.key");
    const bytes = readFileSync(key);
    for (const broken of [undefined, bytes.subarray(1)]) {
      rmSync(key, { force: true });
      if (broken !== undefined) writeFileSync(key, broken);
      expect(await codeOf(() => start())).toBe("STATE_INVALID");
      await store.close();
      expect(readdirSync(join(dir, "freshness", "acme+app")).includes("timestamp.key")).toBe(broken !== undefined);
    }
    writeFileSync(key, bytes);
    await start();
  });

  test("signs nothing for a tag that was turned back, however long ago it was looked at, and goes on with the newest", async () => {
    await list("timestamp");
    const old = await tag();
    await owner.source.publish(COLLECTION, adding("v1"), REFUSE);
    await service.settled();
    const newest = await tag();
    await turnBack(old);
    expect(errors()).toContain("METADATA_ROLLED_BACK");
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    expect((await tag()).digest).toBe(old.digest);
    await stop();
    await start(); // it remembers
    await service.settled();
    expect(errors()).toContain("METADATA_ROLLED_BACK");
    expect((await tag()).digest).toBe(old.digest);
    await turnBack(newest);
    expect((await tag()).digest).not.toBe(newest.digest);
    owner = open({ keyStore: owner.keyStore });
    expect(await names()).toEqual(["v0", "v1"]);
    await owner.source.open(COLLECTION, ACCEPT);
    expect(await expiry("timestamp")).toBe(now.getTime() + 30 * DAY);
  });

  test("signs nothing for a state from before a change of root", async () => {
    await list("timestamp");
    const old = await tag();
    const { key, signer } = await person();
    await owner.keyStore.add(signer, { role: "timestamp", gun: COLLECTION }, always("a long passphrase"));
    const mine = (await owner.publisher.status(COLLECTION)).roles
      .find(({ role }) => role === "timestamp")!
      .keys.find(({ held }) => held)!;
    await owner.publisher.change(COLLECTION, [{ action: "keys", role: "timestamp", add: [key], remove: [mine.keyId] }]);
    await service.settled();
    await turnBack(old);
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    expect((await tag()).digest).toBe(old.digest);
    expect(errors().length).toBeGreaterThan(0);
  });

  test("signs nothing for another collection, or where the tag is gone", async () => {
    await list("timestamp");
    const mine = await tag();
    const other = machine(`127.0.0.1:${server.port}`, transport, {
      now: () => now,
      repository: { registry: `127.0.0.1:${server.port}`, repository: "eve/app" },
    });
    await other.source.publish(COLLECTION, adding("evil"), REFUSE);
    const digest = (await store.manifests.resolve("eve/app", "tuf"))!;
    const manifest = (await store.manifests.get("eve/app", digest))!;
    for (const layer of JSON.parse(Buffer.from(manifest.bytes).toString()).layers)
      await store.blobs.mount(layer.digest, "eve/app", "acme/app");
    await turnBack({ digest, ...manifest });
    expect(errors()).toContain("SIGNATURE_THRESHOLD");
    expect((await tag()).digest).toBe(digest);
    await store.manifests.deleteTag("acme/app", "tuf", undefined);
    await look();
    expect(errors()).toContain("TRUST_WITHHELD");
    expect(await store.manifests.resolve("acme/app", "tuf")).toBeUndefined();
    await turnBack(mine);
    now = new Date(START.getTime() + 25 * DAY);
    await look();
    expect((await tag()).digest).not.toBe(mine.digest);
  });

  test("overwrites no publish that comes between its look and its move", async () => {
    await list("timestamp");
    now = new Date(START.getTime() + 25 * DAY);
    const put = store.manifests.put.bind(store.manifests);
    let crossed = 0;
    store.manifests.put = async (repository, manifest) => {
      if (manifest.tags.includes("tuf") && manifest.condition !== undefined && crossed++ === 0) {
        await owner.source.publish(COLLECTION, adding("v1"), REFUSE);
      }
      return put(repository, manifest);
    };
    await look();
    expect(crossed).toBeGreaterThan(0);
    expect(errors()).toEqual([]);
    expect(await names()).toEqual(["v0", "v1"]);
    expect(await expiry("timestamp")).toBe(now.getTime() + 30 * DAY);
  });

  test("signs above both where a publisher's move has crossed its own, so that readers of either go on", async () => {
    await list("timestamp");
    now = new Date(START.getTime() + 20 * DAY - 1000); // due for the server a moment later
    const reader = open();
    await reader.source.open(COLLECTION, ACCEPT);
    let isFirst = true;
    const slow = async (request: TransportRequest): Promise<TransportResponse> => {
      if (isFirst && request.method === "PUT" && request.url.endsWith("/manifests/tuf")) {
        isFirst = false;
        now = new Date(START.getTime() + 25 * DAY);
        await look(); // between the publisher's last look at the tag and its move
        await reader.source.open(COLLECTION, REFUSE);
      }
      return transport(request);
    };
    const publisher = machine(`127.0.0.1:${server.port}`, slow, { now: () => now, keyStore: owner.keyStore });
    await publisher.source.publish(COLLECTION, adding("v1"), ACCEPT);
    await service.settled();
    expect(isFirst).toBe(false);
    const seen = await reader.source.open(COLLECTION, REFUSE);
    expect(seen.list().map(({ name }) => name)).toEqual(["v0", "v1"]);
    expect(errors()).toEqual([]);
  });

  test("shows that it has its key for nothing but snapshot and timestamp", async () => {
    const key = await serverKey();
    await owner.publisher.stage(COLLECTION, [{ action: "keys", role: "root", add: [key] }]);
    await service.settled();
    expect(await codeOf(() => owner.publisher.publishStaged(COLLECTION))).toBe("SIGNATURE_THRESHOLD");
    await owner.publisher.dropStaged();
    await list("timestamp");
    expect(await version("root")).toBe(2);
  });
});

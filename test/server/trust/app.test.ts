import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../../src/base/bytes.ts";
import { StorageError } from "../../../src/base/errors.ts";
import { digestBytes, digestHex } from "../../../src/base/digest.ts";
import { createTrustApp } from "../../../src/server/trust/app.ts";
import { memoryTrustStore } from "../../../src/server/trust/memory-store.ts";
import { openOnlineKeys } from "../../../src/server/trust/online-keys.ts";
import { openSqlite } from "../../../src/server/sql/sqlite.ts";
import { openSqlTrustStore } from "../../../src/server/trust/sql-store.ts";
import type { TrustStore } from "../../../src/server/trust/store.ts";
import { faultOf, plainIdentity, post, Publisher, serverKey } from "./publisher.ts";
import { collection, GUN, MASTER_KEY, silentLog, START, stateOf, trustServer } from "./trust-server.ts";

/** A store of which some calls fail. */
function failing(store: TrustStore, calls: Partial<TrustStore>): TrustStore {
  return Object.assign(Object.create(store) as TrustStore, calls);
}

const full = () => Promise.reject(new StorageError("STORAGE_FULL", "the disk is full"));

describe("trust server", () => {
  it("deletes a collection by its exact name: those whose names begin with it stay", async () => {
    const { app, now, store } = await trustServer();
    for (const gun of ["a/b", "a/bc", "a/b/c"]) await (await Publisher.create(app, gun, { now })).initialise();
    expect((await app.request("/v2/a/b/_trust/tuf/", { method: "DELETE" })).status).toBe(200);
    expect((await app.request("/v2/a/b/_trust/tuf/root.json")).status).toBe(404);
    for (const gun of ["a/bc", "a/b/c"])
      expect((await app.request(`/v2/${gun}/_trust/tuf/root.json`)).status).toBe(200);
    expect(await store.keys("a/b", "timestamp")).toEqual([]);
    await (await Publisher.create(app, "a/b", { now })).initialise();
  });

  it("finds documents by lower-case sha256 only, and never under another role or collection", async () => {
    const { publisher, app } = await collection();
    await publisher.initialise();
    const hex = digestHex(await digestBytes(publisher.files["root"]!));
    expect((await publisher.get(`root.${hex}.json`)).status).toBe(200);
    for (const file of [`root.${hex.toUpperCase()}.json`, `targets.${hex}.json`, `root.${hex}${hex}.json`]) {
      expect((await publisher.get(file)).status).toBe(404);
    }
    expect((await app.request(`/v2/${GUN}/other/_trust/tuf/root.${hex}.json`)).status).toBe(404);
  });

  it("gives the timestamp key of the root that is published, also after it was rotated away and asked for anew", async () => {
    const { publisher, app } = await collection();
    await publisher.initialise();
    expect((await serverKey(app, GUN, "timestamp")).keyId).toBe(publisher.timestamp.keyId);
    const next = await serverKey(app, GUN, "timestamp", "POST");
    expect(next.keyId).not.toBe(publisher.timestamp.keyId);
    expect((await serverKey(app, GUN, "timestamp")).keyId).toBe(publisher.timestamp.keyId);
    publisher.timestamp = next;
    await publisher.publish({ root: await publisher.rootBytes({ version: 2 }) });
    expect((await serverKey(app, GUN, "timestamp")).keyId).toBe(next.keyId);
  });

  it("mints no further key for a collection that asks again and again, and bounds those of rotations", async () => {
    const { app, store } = await trustServer();
    for (let i = 0; i < 5; i++) await app.request("/v2/x/_trust/tuf/timestamp.key");
    expect(await store.keys("x", "timestamp")).toHaveLength(1);
    for (let i = 0; i < 20; i++) await app.request("/v2/x/_trust/tuf/timestamp.key", { method: "POST" });
    expect(await store.keys("x", "timestamp")).toHaveLength(16);
  });

  it("answers a question for -2 changes without a place to begin, where notary-server's memory storage dies", async () => {
    const { publisher, app } = await collection();
    await publisher.initialise();
    for (let i = 0; i < 3; i++) await publisher.publish({});
    const feed = async (query: string) => {
      const answer = await app.request(`/v2/_trust/changefeed?${query}`);
      return ((await answer.json()) as { records: { ID: string }[] }).records?.map(({ ID }) => ID);
    };
    expect(await feed("records=-2")).toEqual(["3", "4"]);
    expect(await feed("records=-2&change_id=3")).toEqual(["1", "2"]);
    expect(await feed("records=2&change_id=-1")).toEqual(["3", "4"]);
    expect(await feed("records=9223372036854775807")).toHaveLength(4);
  });

  it.each([
    "",
    "records=",
    "records=1e3",
    "records=99999999999999999999",
    "records=1&change_id=99999999999",
    "records=1&change_id=1.5",
  ])("refuses the changefeed query %j", async (query) => {
    const { app } = await trustServer();
    const answer = await app.request(`/v2/_trust/changefeed?${query}`);
    expect(answer.status).toBe(400);
    expect(await faultOf(answer)).toMatchObject({ code: "INVALID_PARAMETERS" });
  });

  it("reads at most a page of the changefeed", async () => {
    const store = memoryTrustStore();
    const limits: number[] = [];
    const counting = failing(store, {
      changes: async (query) => {
        limits.push(query.limit);
        return store.changes(query);
      },
    });
    const { app } = await trustServer(counting);
    for (const records of [5, 0, -7, 5_000_000]) await app.request(`/v2/_trust/changefeed?records=${records}`);
    expect(limits).toEqual([5, 100, 7, 1000]);
  });

  it("is healthy while its store answers, and says when not, without details of it", async () => {
    const store = memoryTrustStore();
    const { app } = await trustServer(store);
    expect((await app.request("/_notary_server/health")).status).toBe(200);
    const sick = await trustServer(failing(store, { check: full }));
    const answer = await sick.app.request("/_notary_server/health");
    expect(answer.status).toBe(503);
    expect(await answer.text()).not.toContain("disk");
    expect(sick.log.error).toHaveBeenCalled();
  });

  it("answers UPDATING where the disk is full, changes nothing, and goes on once there is room", async () => {
    const database = await openSqlite(":memory:");
    const store = await openSqlTrustStore(database);
    const { publisher, log } = await collection({ store });
    await publisher.initialise();
    const before = await stateOf({ store });
    const [pages] = await database.query("pragma page_count");
    await database.query(`pragma max_page_count = ${String(pages?.["page_count"])}`);
    const meta = { length: 1, hashes: new Map([["sha256", new Uint8Array(32)]]) };
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`v${index}`, meta]));
    const targets = await publisher.targetsBytes({ version: 2, targets: many });
    const answer = await publisher.post({ targets });
    expect(answer.status).toBe(500);
    expect(await faultOf(answer)).toMatchObject({ code: "UPDATING" });
    expect(log.error.mock.calls.flat()).toContainEqual(expect.objectContaining({ code: "STORAGE_FULL" }));
    expect(await stateOf({ store })).toEqual(before);
    expect(await publisher.bytes("targets.json")).toEqual(publisher.files["targets"]);
    await database.query("pragma max_page_count = 100000");
    await publisher.publish({ targets });
    expect(await publisher.bytes("targets.json")).toEqual(targets);
    await store.close();
  });

  it("answers UNKNOWN, and no more than that, where a read fails", async () => {
    const { app } = await trustServer(failing(memoryTrustStore(), { current: full }));
    const answer = await app.request(`/v2/${GUN}/_trust/tuf/root.json`);
    expect(answer.status).toBe(500);
    const text = await answer.text();
    expect(text).toContain("UNKNOWN");
    expect(text).not.toContain("disk");
  });

  it("survives paths that encode nothing", async () => {
    const { app } = await trustServer();
    for (const path of ["/v2/%/_trust/tuf/root.json", "/v2/%ff/_trust/tuf/root.json", "/v2/%00/_trust/tuf/root.json"]) {
      expect((await app.request(path)).status).toBe(404);
    }
  });

  it("never sends anybody to another host, however the path begins", async () => {
    const { app } = await trustServer();
    for (const path of [
      "http://localhost//evil.example/v2/",
      "http://localhost/%2f%2fevil.example/",
      "http://localhost/\\evil.example//",
    ]) {
      const answer = await app.request(path);
      expect(answer.headers.get("location") ?? "/none").toMatch(/^\/[^/\\]/);
    }
  });

  it("keeps a published key for a collection, whatever others ask for", async () => {
    const { publisher, app, store } = await collection();
    await publisher.initialise();
    const flood = failing(store, { addKey: (key) => store.addKey(key, { keepPerRole: 1, keepInAll: 1 }) });
    const keys = await openOnlineKeys({ store: flood, masterKey: MASTER_KEY });
    for (let i = 0; i < 5; i++) await keys.create(`flood/${i}`, "timestamp");
    await publisher.publish({ targets: await publisher.targetsBytes({ version: 2 }) });
    expect((await app.request(`/v2/${GUN}/_trust/tuf/2.timestamp.json`)).status).toBe(200);
  });

  it("lets 20 publishers of one collection in one after the other: those of different roles all land", async () => {
    const { publisher } = await collection();
    const people = await Promise.all(Array.from({ length: 20 }, () => plainIdentity()));
    const role = (index: number) => `targets/person-${index}`;
    const delegations = people.map((person, index) => ({ name: role(index), paths: [""], keys: [person] }));
    await publisher.initialise({ delegations });
    await Promise.all(
      people.map(async (person, index) => {
        await publisher.publish({ [role(index)]: await publisher.targetsBytes({ signers: [person] }) });
      }),
    );
    for (const index of people.keys()) {
      expect(await publisher.bytes(`${role(index)}.json`)).toEqual(publisher.files[role(index)]);
    }
    expect((await publisher.get("21.timestamp.json")).status).toBe(200);
    expect((await publisher.get("22.timestamp.json")).status).toBe(404);
  });

  it("lets exactly one of 20 publishers of the same version win, and tells the others why", async () => {
    const { publisher, app } = await collection();
    await publisher.initialise();
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const targets = { [`v${index}`]: { length: 1, hashes: new Map([["sha256", new Uint8Array(32)]]) } };
        return post(app, GUN, { targets: await publisher.targetsBytes({ version: 2, targets }) });
      }),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const faults = await Promise.all(answers.filter(({ status }) => status !== 200).map((answer) => faultOf(answer)));
    expect(new Set(faults.map(({ code }) => code))).toEqual(new Set(["VERSION"]));
    expect((await publisher.get("3.timestamp.json")).status).toBe(404);
    await publisher.publish({ targets: await publisher.targetsBytes({ version: 3 }) });
  });

  it("validates a publish again where another server process was faster with a role that the server signs", async () => {
    const store = memoryTrustStore();
    const { publisher } = await collection({ store });
    await publisher.initialise();
    let races = 0;
    const racing = failing(store, {
      update: async (update) => {
        const other = update.documents.filter(({ role }) => role === "timestamp");
        if (races++ < 3) await store.update({ ...update, documents: other });
        return store.update(update);
      },
    });
    const onlineKeys = await openOnlineKeys({ store, masterKey: MASTER_KEY });
    const app = createTrustApp({ store: racing, onlineKeys, now: () => START, log: silentLog() });
    const targets = await publisher.targetsBytes({ version: 2 });
    expect((await post(app, GUN, { targets })).status).toBe(200);
    expect(races).toBe(4);
    expect(await publisher.bytes("targets.json")).toEqual(targets);
    expect((await publisher.get("5.timestamp.json")).status).toBe(200);
  });

  it("gives up a race that never ends, with an answer", async () => {
    const store = memoryTrustStore();
    const { publisher } = await collection({ store });
    await publisher.initialise();
    const lost = failing(store, {
      update: async (update) => {
        await store.update({ ...update, documents: update.documents.filter(({ role }) => role === "timestamp") });
        return store.update(update);
      },
    });
    const onlineKeys = await openOnlineKeys({ store, masterKey: MASTER_KEY });
    const app = createTrustApp({ store: lost, onlineKeys, now: () => START, log: silentLog() });
    const answer = await post(app, GUN, { targets: await publisher.targetsBytes({ version: 2 }) });
    expect(await faultOf(answer)).toMatchObject({ code: "VERSION" });
  });

  it("logs no upload's content and no private key", async () => {
    const { publisher, log } = await collection();
    await publisher.initialise();
    await publisher.post({ targets: utf8Encode('{"signed":{"secret":"marker-in-upload"},"signatures":[]}') });
    const lines = JSON.stringify([log.info.mock.calls, log.warn.mock.calls, log.error.mock.calls]);
    expect(lines).not.toContain("marker-in-upload");
    expect(lines).toContain("INVALID_UPDATE");
  });
});

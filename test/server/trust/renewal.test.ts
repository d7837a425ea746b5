import { describe, expect, it } from "vitest";
import { digestBytes } from "../../../src/base/digest.ts";
import { readRoot, readSnapshot, readTimestamp } from "../../../src/notary/metadata.ts";
import { resolveKeys } from "../../../src/notary/public-keys.ts";
import { verifyDocument } from "../../../src/notary/signatures.ts";
import { decodeDocument } from "../../../src/notary/wire.ts";
import { matchesBytes } from "../../../src/tuf/checks.ts";
import { trustService } from "../../../src/server/trust/app.ts";
import { memoryTrustStore } from "../../../src/server/trust/memory-store.ts";
import { renewAll } from "../../../src/server/trust/renewal.ts";
import { Publisher } from "./publisher.ts";
import { collection, GUN, trustServer } from "./trust-server.ts";

const DAY_MS = 86_400_000;

async function timestampOf(publisher: Publisher) {
  const document = decodeDocument(await publisher.bytes("timestamp.json"), "timestamp");
  return { document, ...readTimestamp(document.signed) };
}

describe("renewal of what the server signs", () => {
  it("leaves a timestamp alone for half of its life, then signs the next one when somebody asks", async () => {
    const { publisher, clock, now } = await collection();
    await publisher.initialise();
    clock.time = new Date(now().getTime() + 7 * DAY_MS);
    expect((await timestampOf(publisher)).version).toBe(1);
    clock.time = new Date(now().getTime() + 1);
    const renewed = await timestampOf(publisher);
    expect(renewed.version).toBe(2);
    expect(Date.parse(renewed.expires)).toBe(now().getTime() + 14 * DAY_MS);
    expect(await matchesBytes(await publisher.bytes("1.snapshot.json"), renewed.meta.get("snapshot")!)).toBe(true);
    const root = readRoot(decodeDocument(await publisher.bytes("root.json"), "root").signed);
    const keys = await resolveKeys(root.keys, "root");
    await expect(verifyDocument(renewed.document, root.roles.get("timestamp")!, keys)).resolves.toHaveLength(1);
  });

  it("renews an expired timestamp on a read, once for many readers at the same time", async () => {
    const { publisher, clock, now } = await collection();
    await publisher.initialise();
    clock.time = new Date(now().getTime() + 100 * DAY_MS);
    const versions = await Promise.all(Array.from({ length: 10 }, async () => (await timestampOf(publisher)).version));
    expect(versions).toEqual(Array.from({ length: 10 }, () => 2));
  });

  it("renews an old snapshot of its own with the timestamp that names it", async () => {
    const { publisher, clock, now } = await collection();
    await publisher.initialise();
    clock.time = new Date(now().getTime() + 4 * 365 * DAY_MS);
    const { meta } = await timestampOf(publisher);
    const snapshot = await publisher.bytes("snapshot.json");
    expect(snapshot).toEqual(await publisher.bytes("2.snapshot.json"));
    expect(await matchesBytes(snapshot, meta.get("snapshot")!)).toBe(true);
    const before = readSnapshot(decodeDocument(await publisher.bytes("1.snapshot.json"), "snapshot").signed);
    const after = readSnapshot(decodeDocument(snapshot, "snapshot").signed);
    expect(after.meta).toEqual(before.meta);
    expect(Date.parse(after.expires)).toBeGreaterThan(now().getTime());
  });

  it("leaves a client's expired snapshot as it is, readable for a repair, under a fresh timestamp", async () => {
    const { publisher, clock, now } = await collection({ snapshot: "client" });
    await publisher.initialise();
    clock.time = new Date(now().getTime() + 4 * 365 * DAY_MS);
    expect((await timestampOf(publisher)).version).toBe(2);
    expect(await publisher.bytes("snapshot.json")).toEqual(publisher.files["snapshot"]);
  });

  it("serves what is stored where the server has lost the key that root names", async () => {
    const store = memoryTrustStore();
    const { publisher } = await collection({ store });
    await publisher.initialise();
    const empty = memoryTrustStore();
    const copy = await trustServer(empty);
    const documents = await Promise.all(
      ["root", "targets", "snapshot", "timestamp"].map(async (role) => {
        const bytes = await publisher.bytes(`${role}.json`);
        return { role, version: 1, bytes, digest: await digestBytes(bytes) };
      }),
    );
    await empty.update({ gun: GUN, documents, publishedKeyIds: undefined, now: copy.now() });
    copy.clock.time = new Date(copy.now().getTime() + 100 * DAY_MS);
    const answer = await copy.app.request(`/v2/${GUN}/_trust/tuf/timestamp.json`);
    expect(answer.status).toBe(200);
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(await publisher.bytes("timestamp.json"));
  });

  it("finds old collections by itself, and goes on past one that it cannot renew", async () => {
    const server = await trustServer();
    const publishers: Publisher[] = [];
    for (const gun of ["a", "b", "c"]) {
      publishers.push(await (await Publisher.create(server.app, gun, { now: server.now })).initialise());
    }
    const { store, onlineKeys, now, log } = server;
    const faulty = Object.assign(Object.create(onlineKeys) as typeof onlineKeys, {
      signers: async (...question: Parameters<typeof onlineKeys.signers>) => {
        if (question[0] === "b") throw new Error("broken");
        return onlineKeys.signers(...question);
      },
    });
    server.clock.time = new Date(now().getTime() + 8 * DAY_MS);
    await renewAll(trustService({ store, onlineKeys: faulty, now, log }));
    const versions = await Promise.all(
      ["a", "b", "c"].map(async (gun) => (await store.current(gun, "timestamp"))?.version),
    );
    expect(versions).toEqual([2, 1, 2]);
    expect(log.error.mock.calls.flat()).toContainEqual(expect.objectContaining({ gun: "b" }));
    await renewAll(trustService({ store, onlineKeys, now, log }));
    expect((await store.current("b", "timestamp"))?.version).toBe(2);
    expect((await store.current("a", "timestamp"))?.version).toBe(2);
  });
});

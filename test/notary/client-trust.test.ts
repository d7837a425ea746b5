/** Whom the client trusts at first, how current it must be, and what it keeps. */
import { beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { NotaryApi } from "../../src/notary/api.ts";
import { NotaryClient } from "../../src/notary/client.ts";
import { findTarget, listTargets } from "../../src/notary/lookup.ts";
import { memoryMetadataStore } from "../../src/notary/metadata-store.ts";
import { memoryTrustStateStore, type TrustStateStore } from "../../src/notary/trust-state.ts";
import { createHarness, NO_RETRY, refusalOf, type Harness } from "../support/notary-harness.ts";
import { GUN, NotaryRepository, NOW, plainKey, SERVER } from "../support/notary-repository.ts";

const collection = { server: SERVER, gun: GUN };

let repository: NotaryRepository;
let harness: Harness;

beforeEach(async () => {
  repository = await NotaryRepository.create();
  harness = createHarness(repository);
});

describe("first use and pins", () => {
  it("trusts the first root only where that is allowed, and then says so", async () => {
    const error = await refusalOf(harness, { firstUse: "refuse" });
    expect(error).toMatchObject({ code: "FIRST_USE_REFUSED", kind: "untrusted" });
    const fingerprint = await repository.roles.get("root")!.keys[0]!.signer.publicKey.fingerprint();
    expect(error.hint).toContain(fingerprint);
    await expect(harness.update()).resolves.toMatchObject({ firstUse: true });
    await expect(harness.update({ firstUse: "refuse" })).resolves.toMatchObject({ firstUse: false });
    expect(await harness.trust.read(collection)).toMatchObject({ firstUse: true, since: NOW });
  });

  it("takes an empty pin for none", async () => {
    expect(await refusalOf(harness, { firstUse: "refuse", pin: {} })).toMatchObject({ code: "FIRST_USE_REFUSED" });
    expect(await refusalOf(harness, { firstUse: "refuse", pin: { fingerprints: [] } })).toMatchObject({
      code: "FIRST_USE_REFUSED",
    });
  });

  it("accepts the pinned root without any first use", async () => {
    const pin = { fingerprints: [await fingerprintOf(repository)] };
    await expect(harness.update({ firstUse: "refuse", pin })).resolves.toMatchObject({ firstUse: false });
    expect((await harness.trust.read(collection))?.firstUse).toBe(false);
  });

  it("refuses another root than the pinned one, also where first use is allowed", async () => {
    const pin = { fingerprints: ["0".repeat(64)] };
    expect(await refusalOf(harness, { pin })).toMatchObject({ code: "PIN_MISMATCH", kind: "untrusted" });
    await expect(harness.update()).resolves.toBeDefined();
    expect(await refusalOf(harness, { pin })).toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("finds the way from a pin of an old root to the newest one, for a client that starts anew", async () => {
    const pin = { fingerprints: [await fingerprintOf(repository)] };
    for (let rotation = 0; rotation < 3; rotation++) await repository.rotateRoot();
    const state = await harness.update({ firstUse: "refuse", pin });
    expect(state.root.metadata.version).toBe(4);
    await repository.rotateRoot();
    await expect(harness.update({ firstUse: "refuse", pin })).resolves.toMatchObject({
      root: { metadata: { version: 5 } },
    });
    const forked = { fingerprints: [await fingerprintOf(await NotaryRepository.create())] };
    expect(await refusalOf(harness, { pin: forked })).toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("accepts a pin of today's root key where trust began with an older one", async () => {
    await harness.update();
    await repository.rotateRoot();
    await harness.update();
    const pin = { fingerprints: [await fingerprintOf(repository)] };
    await expect(harness.update({ firstUse: "refuse", pin })).resolves.toBeDefined();
  });

  it("does not walk from the pinned root over a step that it did not sign", async () => {
    const pin = { fingerprints: [await fingerprintOf(repository)] };
    await repository.rotateRoot({ signWithOld: false });
    await repository.rotateRoot();
    expect(await refusalOf(harness, { firstUse: "refuse", pin })).toMatchObject({ code: "ROOT_UNTRUSTED" });
  });
});

async function fingerprintOf(from: NotaryRepository): Promise<string> {
  return from.roles.get("root")!.keys[0]!.signer.publicKey.fingerprint();
}

describe("freshness", () => {
  beforeEach(async () => {
    await harness.update();
    repository.requests.length = 0;
  });

  it("asks nobody while the last full check is young enough", async () => {
    harness.now = new Date(NOW.getTime() + 60_000);
    const state = await harness.update({ freshness: { mode: "max-age", seconds: 60 } });
    expect(repository.requests).toEqual([]);
    expect(state.timestamp.from).toBe("cache");
    expect(state.firstUse).toBe(false);
    harness.now = new Date(NOW.getTime() + 61_000);
    await harness.update({ freshness: { mode: "max-age", seconds: 60 } });
    expect(repository.requests).toContain("timestamp.json");
    repository.requests.length = 0;
    await harness.update({ freshness: { mode: "max-age", seconds: Number.NaN } });
    expect(repository.requests).toContain("timestamp.json");
  });

  it("asks the server where the clock went back, the cache is gone, or what is stored is no longer good", async () => {
    const freshness = { mode: "max-age", seconds: 1e9 } as const;
    harness.now = new Date(NOW.getTime() - 1);
    await harness.update({ freshness });
    expect(repository.requests).toHaveLength(5);
    harness.now = NOW;
    await harness.metadata.remove(collection);
    await harness.update({ freshness });
    expect(repository.requests).toHaveLength(10);
    await harness.metadata.write(collection, new Map([["targets", utf8Encode("{}")]]));
    await harness.update({ freshness });
    expect(repository.requests).toHaveLength(15);
  });

  it("verifies stored data offline, for now or for a moment that is named", async () => {
    const state = await harness.update({ freshness: { mode: "offline" } });
    expect(listTargets(state, "docker").map(({ name }) => name)).toEqual(["v1"]);
    harness.now = new Date("2031-01-01T00:00:00Z");
    expect(await refusalOf(harness, { freshness: { mode: "offline" } })).toMatchObject({ code: "METADATA_EXPIRED" });
    const then = await harness.update({ freshness: { mode: "offline", asOf: NOW } });
    expect(then.checkedAt).toEqual(NOW);
    expect(repository.requests).toEqual([]);
  });

  it("never goes to the server when offline", async () => {
    const fresh = createHarness(repository);
    expect(await refusalOf(fresh, { freshness: { mode: "offline" } })).toMatchObject({ code: "TRUST_UNAVAILABLE" });
    await harness.metadata.remove(collection);
    expect(await refusalOf(harness, { freshness: { mode: "offline" } })).toMatchObject({ code: "TRUST_UNAVAILABLE" });
    expect(repository.requests).toEqual([]);
  });

  it("believes no cache: damaged, exchanged or older documents are refused offline and replaced online", async () => {
    const honest = new Map(await harness.metadata.read(collection));
    const other = await NotaryRepository.create();
    const old = repository.document("timestamp");
    await repository.publish("timestamp");
    await harness.update();
    const tricks: [string, string, Uint8Array<ArrayBuffer>][] = [
      ["timestamp", "SIGNATURE_THRESHOLD", other.document("timestamp")],
      ["timestamp", "METADATA_ROLLED_BACK", old],
      ["timestamp", "JSON_INVALID", utf8Encode("")],
      ["snapshot", "TRUST_UNAVAILABLE", other.document("snapshot")],
      ["targets", "TRUST_UNAVAILABLE", honest.get("targets")!.slice(1)],
    ];
    for (const [role, code, bytes] of tricks) {
      await harness.metadata.write(collection, new Map([[role, bytes]]));
      expect(await refusalOf(harness, { freshness: { mode: "offline" } })).toMatchObject({ code });
      await expect(harness.update()).resolves.toBeDefined();
      await expect(harness.update({ freshness: { mode: "offline" } })).resolves.toBeDefined();
    }
  });

  it("takes no root from the cache, not even the first: the trust state decides", async () => {
    const thief = await NotaryRepository.create();
    const documents = ["root", "timestamp", "snapshot", "targets"].map((role) => [role, thief.document(role)] as const);
    await harness.metadata.write(collection, new Map(documents));
    const state = await harness.update();
    expect(state.root.document.bytes).toEqual(repository.document("root"));
    await harness.trust.remove(collection);
    await harness.metadata.write(collection, new Map(documents));
    await expect(harness.update()).resolves.toMatchObject({
      firstUse: true,
      root: { document: { bytes: repository.document("root") } },
    });
  });
});

describe("expired collections", () => {
  it("can be loaded deliberately, are marked, and leave nothing behind", async () => {
    await harness.update();
    harness.now = new Date("2040-01-01T00:00:00Z");
    const before = await harness.stored();
    const state = await harness.update({ acceptExpired: true });
    expect(state.expired).toEqual(["root", "timestamp", "snapshot", "targets"]);
    expect(listTargets(state, "notary")).toHaveLength(1);
    expect(await harness.stored()).toEqual(before);
    expect(await refusalOf(harness)).toMatchObject({ code: "METADATA_EXPIRED" });
  });

  it("are held to every other check", async () => {
    harness.now = new Date("2040-01-01T00:00:00Z");
    repository.signers.set("targets", [await plainKey()]);
    await repository.publish("targets");
    expect(await refusalOf(harness, { acceptExpired: true })).toMatchObject({ code: "SIGNATURE_THRESHOLD" });
  });

  it("include single delegations", async () => {
    await repository.delegate("targets/releases");
    await repository.addTarget("v2", "two", "targets/releases");
    repository.expires.set("targets/releases", "2026-05-01T00:00:00Z");
    await repository.publish();
    const state = await harness.update({ acceptExpired: true });
    expect(state.expired).toEqual(["targets/releases"]);
    expect(findTarget(state, "v2", "docker")?.role.role).toBe("targets/releases");
  });
});

describe("storing", () => {
  it("gives no state out whose trust could not be stored", async () => {
    const trust: TrustStateStore = {
      ...memoryTrustStateStore(),
      update: () => Promise.reject(new Error("disk full")),
    };
    const metadata = memoryMetadataStore();
    const runtime = { transport: repository.transport, createHasher: nobleHasher, now: () => NOW };
    const client = new NotaryClient({
      api: new NotaryApi({ server: SERVER, runtime, retry: NO_RETRY }),
      metadata,
      trust,
      now: () => NOW,
    });
    await expect(client.update(GUN, { firstUse: "accept" })).rejects.toThrow("disk full");
    expect((await metadata.read(collection)).size).toBe(0);
  });

  it("refuses when another process trusted another root at the same moment", async () => {
    const thief = await NotaryRepository.create();
    const race = createHarness(thief);
    repository.onRequest = async (file) => {
      if (file !== "timestamp.json") return;
      repository.onRequest = undefined;
      await race.update();
      const state = await race.trust.read(collection);
      await harness.trust.update(collection, () => state!);
    };
    await expect(harness.update()).rejects.toMatchObject({ code: "ROOT_UNTRUSTED" });
    expect((await harness.trust.read(collection))?.root).toEqual(thief.document("root"));
  });

  it("never lets a first use slip its root under the pin of another process that was faster", async () => {
    const thief = await NotaryRepository.create();
    for (let version = 1; version < 5; version++) await thief.publish(); // newer than the honest root
    const race = createHarness(thief);
    const pin = { fingerprints: [await fingerprintOf(repository)] };
    thief.onRequest = async (file) => {
      if (file !== "timestamp.json") return;
      thief.onRequest = undefined;
      await harness.update({ firstUse: "refuse", pin });
      const pinned = await harness.trust.read(collection);
      await race.trust.update(collection, () => pinned!);
    };
    await expect(race.update()).rejects.toMatchObject({ code: "ROOT_UNTRUSTED" });
    expect(await race.trust.read(collection)).toEqual(await harness.trust.read(collection));
    await expect(harness.update({ firstUse: "refuse", pin })).resolves.toBeDefined();
  });

  it("verifies again from what another process trusted meanwhile, where that is the same collection's older root", async () => {
    await harness.update();
    const older = (await harness.trust.read(collection))!;
    await repository.rotateRoot();
    const late = createHarness(repository);
    repository.onRequest = async (file) => {
      if (file !== "timestamp.json") return;
      repository.onRequest = undefined;
      await late.trust.update(collection, () => older);
    };
    await expect(late.update()).resolves.toMatchObject({ firstUse: false, root: { metadata: { version: 2 } } });
    expect(await late.trust.read(collection)).toMatchObject({ anchor: older.anchor, rootVersion: 2 });
  });

  it("refuses names that are no collection's before anything is asked", async () => {
    await expect(harness.client.update("../../x", { firstUse: "accept" })).rejects.toMatchObject({
      code: "GUN_INVALID",
    });
    await expect(harness.client.isKnown("a\nb")).rejects.toMatchObject({ code: "GUN_INVALID" });
    expect(repository.requests).toEqual([]);
  });
});

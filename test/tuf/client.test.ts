import { describe, expect, it, vi } from "vitest";
import { hashBytes } from "../../src/base/digest.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { LATER, NOW, TufSimulator } from "../support/tuf-repository.ts";

vi.mock("../../src/base/digest.ts", { spy: true });

const BASIC = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];

describe("refresh", () => {
  it("asks for the next root, timestamp, snapshot and targets, in that order", async () => {
    const repository = await TufSimulator.create();
    const { roles, warnings } = await repository.client().refresh();
    expect(repository.requests).toEqual(BASIC);
    expect(roles.map(({ role, from }) => `${role} ${from}`)).toEqual([
      "root cache",
      "timestamp network",
      "snapshot network",
      "targets network",
    ]);
    expect(warnings).toEqual([]);
  });

  it("asks for two files when nothing changed, in the same client and in a new one", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    const client = repository.client({ store });
    await client.refresh();
    repository.requests.length = 0;
    await client.refresh();
    expect(repository.requests).toEqual(["2.root.json", "timestamp.json"]);
    repository.requests.length = 0;
    await repository.client({ store }).refresh();
    expect(repository.requests).toEqual(["2.root.json", "timestamp.json"]);
  });

  it("hashes, verifies and reads again nothing that is as it was before", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team");
    await repository.addTarget("team", "app", "x");
    await repository.publish("team", "targets");
    const memory = memoryTufStore();
    const reads: string[] = [];
    // as a directory does, it gives new bytes each time
    const store = { ...memory, read: async (role: string) => (reads.push(role), (await memory.read(role))?.slice()) };
    const client = repository.client({ store });
    await client.find("app");
    reads.length = 0;
    const subtle = (["verify", "importKey"] as const).map((name) => vi.spyOn(crypto.subtle, name));
    const spies = [vi.mocked(hashBytes).mockClear(), ...subtle];
    try {
      await client.refresh();
      expect(spies.map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0]);
      expect((await client.find("app"))?.role).toBe("team");
      expect(spies.map(({ mock }) => mock.calls.length)).toEqual([1, 0, 0]); // the hash of the name
      expect(reads).toEqual(["timestamp", "snapshot"]); // what others may have raised meanwhile
      await repository.publish("team");
      await client.refresh();
      expect(client.report().roles.map(({ role, document }) => `${role} ${document.signed.version}`)).toContain(
        "snapshot 3",
      );
      expect((await client.find("app"))?.role).toBe("team");
      expect(client.loadedTargets("team", "targets")?.document.signed.version).toBe(3);
    } finally {
      for (const spy of subtle) spy.mockRestore();
    }
  });

  it("sees what was published between two refreshes of one client", async () => {
    const repository = await TufSimulator.create();
    const client = repository.client();
    await client.refresh();
    expect(await client.find("app")).toBeUndefined();
    await repository.addTarget("targets", "app", "hello");
    await repository.publish("targets");
    await client.refresh();
    expect((await client.find("app"))?.file.length).toBe(5);
  });

  it("works without consistent snapshots, with names that have no version", async () => {
    const repository = await TufSimulator.create({ consistentSnapshot: false });
    await repository.client().refresh();
    expect(repository.requests).toEqual(["2.root.json", "timestamp.json", "snapshot.json", "targets.json"]);
  });

  it("works without lengths and hashes in snapshot and timestamp", async () => {
    const repository = await TufSimulator.create({ hashes: false });
    await repository.client().refresh();
    expect(repository.requests).toEqual(BASIC);
  });

  it("starts from an anchor that has expired", async () => {
    const repository = await TufSimulator.create();
    repository.root.expires = new Date("2030-07-01T00:00:00Z");
    repository.anchor = await repository.serve("root", repository.root, 1);
    repository.root.expires = LATER;
    await repository.publishRoot();
    const now = (): Date => new Date("2030-08-01T00:00:00Z");
    await expect(repository.client({ now }).refresh()).resolves.toBeDefined();
  });

  it("keeps the timestamp it has where another one of the same version comes", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const kept = await store.read("timestamp");
    repository.timestamp.snapshot = { version: 100, extra: {} };
    await repository.publishTimestamp();
    repository.requests.length = 0;
    await repository.client({ store }).refresh();
    expect(repository.requests).toEqual(["2.root.json", "timestamp.json"]);
    expect(await store.read("timestamp")).toEqual(kept);
  });

  it("looks once more where a publish in the middle of its reading took a file away", async () => {
    const repository = await TufSimulator.create({ consistentSnapshot: false });
    let published = false;
    repository.onRequest = async (file) => {
      if (file !== "targets.json" || published) return;
      published = true;
      await repository.addTarget("targets", "app", "new");
      await repository.publish("targets");
    };
    const client = repository.client();
    await client.refresh();
    expect(await client.find("app")).toBeDefined();
  });

  it("follows 256 roots, and tells when there are more", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    for (let i = 0; i < 257; i++) await repository.publishRoot();
    await expect(repository.client({ store }).refresh()).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    const { roles } = await repository.client({ store }).refresh(); // goes on where it stopped
    expect(roles[0]!.document.signed.version).toBe(258);
  });
});

describe("freshness", () => {
  it("asks nobody while the last check is younger than asked for", async () => {
    const repository = await TufSimulator.create();
    let now = NOW;
    const client = repository.client({ now: () => now });
    await client.refresh();
    repository.requests.length = 0;
    now = new Date(NOW.getTime() + 59_000);
    await client.refresh({ freshness: { mode: "max-age", seconds: 60 } });
    expect(repository.requests).toEqual([]);
    now = new Date(NOW.getTime() + 61_000);
    await client.refresh({ freshness: { mode: "max-age", seconds: 60 } });
    expect(repository.requests).toEqual(["2.root.json", "timestamp.json"]);
  });

  it("asks although the last check is young where what is stored has expired since", async () => {
    const repository = await TufSimulator.create();
    repository.timestamp.expires = new Date(NOW.getTime() + 30_000);
    await repository.publishTimestamp();
    let now = NOW;
    const client = repository.client({ now: () => now });
    await client.refresh();
    now = new Date(NOW.getTime() + 40_000);
    const refused = client.refresh({ freshness: { mode: "max-age", seconds: 3600 } });
    await expect(refused).rejects.toMatchObject({ code: "METADATA_EXPIRED", details: { role: "timestamp" } });
    repository.timestamp.expires = LATER;
    repository.timestamp.version++;
    await repository.publishTimestamp();
    await expect(client.refresh({ freshness: { mode: "max-age", seconds: 3600 } })).resolves.toBeDefined();
  });

  it("asks for a delegated role that no search has needed yet, although the last check is young", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team");
    await repository.addTarget("team", "app", "x");
    await repository.publish("team", "targets");
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    repository.requests.length = 0;
    const client = repository.client({ store });
    await client.refresh({ freshness: { mode: "max-age", seconds: 60 } });
    expect(await client.find("app")).toMatchObject({ role: "team" });
    expect(repository.requests).toEqual(["2.team.json"]);
    expect(await store.read("team")).toEqual(repository.files.get("2.team.json"));
  });

  it("verifies stored metadata offline, as of a moment that the caller names", async () => {
    const repository = await TufSimulator.create();
    await repository.addTarget("targets", "app", "x");
    await repository.publish("targets");
    const store = memoryTufStore();
    const client = repository.client({ store });
    await client.refresh();
    repository.requests.length = 0;
    const years = (): Date => new Date("2040-01-01T00:00:00Z");
    const offline = repository.client({ store, now: years });
    const stale = offline.refresh({ freshness: { mode: "offline" } });
    await expect(stale).rejects.toMatchObject({ code: "METADATA_EXPIRED" });
    await offline.refresh({ freshness: { mode: "offline", asOf: NOW } });
    expect(await offline.find("app")).toBeDefined();
    expect(repository.requests).toEqual([]);
  });

  it("says offline that nothing is stored, and that a role is not", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    const offline = { freshness: { mode: "offline" } } as const;
    await expect(repository.client({ store }).refresh(offline)).rejects.toMatchObject({ code: "TRUST_UNAVAILABLE" });
    await repository.delegate("targets", "team");
    await repository.publish("team", "targets");
    await repository.client({ store }).refresh();
    const client = repository.client({ store });
    await client.refresh(offline);
    await expect(client.find("x")).rejects.toMatchObject({ code: "TRUST_UNAVAILABLE", details: { role: "team" } });
  });

  it("refuses offline what was changed in the store", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    await store.update("targets", (current) => current!.map((byte, index) => (index === 300 ? byte ^ 1 : byte)));
    const refused = repository.client({ store }).refresh({ freshness: { mode: "offline" } });
    await expect(refused).rejects.toMatchObject({ code: "METADATA_TAMPERED" });
  });
});

describe("a role that the caller trusts instead of root's targets (TAP 13)", () => {
  it("starts the search there, and demands the caller's keys", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "mine");
    await repository.addTarget("mine", "app", "mine");
    await repository.addTarget("targets", "app", "theirs, longer");
    await repository.publish("mine", "targets");
    const pair = repository.signers.get("mine")![0]!;
    const role = { keyIds: [pair.key.id], threshold: 1, extra: {} };
    const keys = new Map([[pair.key.id, pair.key]]);
    const client = repository.client({ targetsRole: { name: "mine", role, keys } });
    expect(await client.find("app")).toMatchObject({ role: "mine", file: { length: 4 } });
    expect(client.topRole).toBe("mine");
    const other = repository.signers.get("targets")![0]!;
    const wrong = new Map([[pair.key.id, other.key]]);
    const refused = repository.client({ targetsRole: { name: "mine", role, keys: wrong } }).refresh();
    await expect(refused).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "mine" } });
  });
});

describe("a search", () => {
  it("loads each role once, and nothing again for later searches", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["team/*"] });
    await repository.addTarget("team", "team/app", "x");
    await repository.publish("team", "targets");
    const client = repository.client();
    await client.refresh();
    repository.requests.length = 0;
    const searches = ["team/app", "team/app", "team/none", "elsewhere"].map((path) => client.find(path));
    expect((await Promise.all(searches)).map((found) => found?.role)).toEqual(["team", "team", undefined, undefined]);
    expect(repository.requests).toEqual(["2.team.json"]);
  });

  it("finds targets by hash prefixes and in hash bins", async () => {
    const repository = await TufSimulator.create();
    await repository.delegateToBins("targets", 4, "bin");
    const bins = [...repository.roles.keys()].filter((role) => role.startsWith("bin-"));
    for (const bin of bins) await repository.addTarget(bin, "app/v1", "x");
    await repository.publish(...bins, "targets");
    const found = await repository.client().find("app/v1");
    // sha256("app/v1") decides: only one of the bins may answer
    expect(found?.role).toBe(`bin-${await firstDigit("app/v1")}`);
    expect(repository.requests.filter((file) => file.includes("bin-"))).toHaveLength(1);
  });
});

async function firstDigit(path: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(path)));
  return (hash[0]! >> 4).toString(16);
}

describe("a client that was not refreshed yet", () => {
  it("says so, whatever it is asked", async () => {
    const client = (await TufSimulator.create()).client();
    const notYet = expect.objectContaining({ code: "TRUST_UNAVAILABLE" });
    expect(() => client.topRole).toThrow(notYet);
    expect(() => client.consistentSnapshot).toThrow(notYet);
    expect(() => client.report()).toThrow(notYet);
    expect(() => client.loadedTargets("targets", undefined)).toThrow(notYet);
    await expect(client.targets("targets", undefined)).rejects.toEqual(notYet);
    await client.refresh();
    expect([client.topRole, client.consistentSnapshot]).toEqual(["targets", true]);
    expect((await client.targets("targets", undefined)).role).toBe("targets");
    expect(client.loadedTargets("targets", undefined)).toBe(await client.targets("targets", undefined));
    expect(client.loadedTargets("other", undefined)).toBeUndefined();
  });

  it("refreshes by itself before the first search, and reports what that found", async () => {
    const repository = await TufSimulator.create();
    const client = repository.client();
    expect(await client.find("none")).toBeUndefined();
    expect(client.report()).toMatchObject({ checkedAt: NOW, warnings: [] });
    expect(client.report().roles.map(({ role }) => role)).toEqual(["root", "timestamp", "snapshot", "targets"]);
  });
});

import { describe, expect, it } from "vitest";
import type { Freshness } from "../../src/tuf/client.ts";
import type { TufRepository } from "../../src/tuf/repository.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import type { RefreshReport } from "../../src/tuf/verified-state.ts";
import { NOW, TufSimulator } from "../support/tuf-repository.ts";

const BASIC = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];

describe("the clock", () => {
  const HOUR = 3_600_000;

  it("may be behind the last check by an hour, and no more", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const at = (milliseconds: number) => {
      return repository.client({ store, now: () => new Date(NOW.getTime() + milliseconds) });
    };
    const now = new Date(NOW.getTime() - HOUR - 1).toISOString();
    for (const freshness of [{ mode: "online" }, { mode: "max-age", seconds: 9e9 }, { mode: "offline" }] as const) {
      repository.requests.length = 0;
      await expect(at(-HOUR - 1).refresh({ freshness })).rejects.toMatchObject({
        code: "CLOCK_BEHIND",
        message: expect.stringContaining(now),
        hint: expect.stringContaining("Set the clock"),
        details: { now, checkedAt: NOW.toISOString() },
      });
      expect(repository.requests).toEqual([]);
      expect(await store.readRecord()).toEqual({ checkedAt: NOW });
    }
    await at(-HOUR).refresh({ freshness: { mode: "offline" } });
    // as of a moment that the caller names, whatever the clock says
    await at(-2 * HOUR).refresh({ freshness: { mode: "offline", asOf: NOW } });
    await at(-HOUR).refresh();
  });
});

describe("when the repository was last asked", () => {
  it("is reported, and noted by runs that have asked only", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    const later = new Date(NOW.getTime() + 60_000);
    const reported = async (now: Date, freshness: Freshness) => {
      return (await repository.client({ store, now: () => now }).refresh({ freshness })).checkedAt;
    };
    expect(await reported(NOW, { mode: "online" })).toEqual(NOW);
    expect(await reported(later, { mode: "offline" })).toEqual(NOW);
    expect(await reported(later, { mode: "max-age", seconds: 60 })).toEqual(NOW); // just young enough
    expect(await store.readRecord()).toEqual({ checkedAt: NOW });
    expect(await reported(later, { mode: "max-age", seconds: 59.999 })).toEqual(later);
    expect(await store.readRecord()).toEqual({ checkedAt: later });
    const unnoted = { ...store, readRecord: async () => undefined };
    const { checkedAt } = await repository.client({ store: unnoted }).refresh({ freshness: { mode: "offline" } });
    expect(checkedAt).toBeUndefined();
  });

  it("is now where that was never noted, whatever age is enough", async () => {
    const repository = await TufSimulator.create();
    const client = repository.client();
    const { checkedAt } = await client.refresh({ freshness: { mode: "max-age", seconds: 9e9 } });
    expect(checkedAt).toEqual(NOW);
    expect(repository.requests).toEqual(BASIC);
  });
});

describe("a run that fails", () => {
  it("is tried once more, through a new view, where a publish may have come between", async () => {
    const repository = await TufSimulator.create();
    const files = new Map(repository.files);
    repository.files.delete("1.targets.json");
    let views = 0;
    const place = {
      ...repository.repository,
      metadata: () => expect.unreachable("a view is to be read"),
      view: () => {
        if (++views === 2) for (const [file, bytes] of files) repository.files.set(file, bytes);
        return repository.repository;
      },
    };
    await repository.client({ repository: place }).refresh();
    expect(views).toBe(2);
    repository.files.delete("1.targets.json");
    const begun = repository.repository;
    await repository
      .client({ repository: place })
      .refresh({ view: begun })
      .catch(() => undefined);
    expect(views).toBe(3); // the caller's first, then one of its own
  });

  it("is held to the caller's floors and signal the second time, too", async () => {
    const repository = await TufSimulator.create();
    const { signal } = new AbortController();
    const seen: unknown[] = [];
    const floors = new Map<string, number>();
    let withheld = true;
    const place: TufRepository = {
      ...repository.repository,
      metadata: async (request) => {
        seen.push(request.signal);
        if (request.file !== "1.targets.json" || !withheld) return repository.repository.metadata(request);
        withheld = false;
        floors.set("timestamp", 2); // so that only the second try can notice
        return undefined;
      },
    };
    const refused = repository.client({ repository: place }).refresh({ floors, signal });
    await expect(refused).rejects.toMatchObject({
      code: "METADATA_ROLLED_BACK",
      details: { role: "timestamp", expected: 2, got: 1 },
    });
    expect(withheld).toBe(false);
    expect(seen).toEqual(Array.from({ length: 6 }, () => signal));
  });

  for (const [code, spoil] of [
    ["METADATA_EXPIRED", (repository: TufSimulator) => (repository.timestamp.expires = NOW)],
    ["METADATA_ROLLED_BACK", (repository: TufSimulator) => (repository.timestamp.version = 1)],
  ] as const) {
    it(`is not tried again for ${code}, and the client goes on with what it had`, async () => {
      const repository = await TufSimulator.create();
      repository.timestamp.version = 2;
      await repository.publishTimestamp();
      const client = repository.client();
      const { roles } = await client.refresh();
      repository.timestamp.version = 3;
      spoil(repository);
      await repository.publishTimestamp();
      repository.requests.length = 0;
      await expect(client.refresh()).rejects.toMatchObject({ code });
      expect(repository.requests).toEqual(["2.root.json", "timestamp.json"]);
      expect(client.report().roles.map(({ document }) => document.bytes)).toEqual(
        roles.map(({ document }) => document.bytes),
      );
    });
  }

  it("for an error that is none of trust is not tried again, in any mode", async () => {
    const repository = await TufSimulator.create();
    const broken = new Error("a defect");
    let asked = 0;
    const place = { ...repository.repository, metadata: () => (asked++, Promise.reject(broken)) };
    await expect(repository.client({ repository: place }).refresh()).rejects.toBe(broken);
    expect(asked).toBe(1);
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const failing = { ...store, read: () => Promise.reject(broken) };
    const client = repository.client({ store: failing });
    await expect(client.refresh({ freshness: { mode: "max-age", seconds: 60 } })).rejects.toBe(broken);
  });
});

describe("a signal", () => {
  it("goes with every request, of a refresh and of a search that begins with one", async () => {
    const repository = await TufSimulator.create();
    const { signal } = new AbortController();
    const seen: unknown[] = [];
    const place: TufRepository = {
      ...repository.repository,
      metadata: (request) => (seen.push(request.signal), repository.repository.metadata(request)),
    };
    await repository.client({ repository: place }).refresh({ signal });
    await repository.client({ repository: place }).find("none", { signal });
    expect(seen).toEqual(Array.from({ length: 8 }, () => signal));
  });
});

describe("two runs with one store", () => {
  it("do not take for a rollback what the other one has kept meanwhile, and keep the newer", async () => {
    const repository = await TufSimulator.create();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    await repository.publish("targets");
    const { repository: served } = repository;
    const slow: TufRepository = {
      ...served,
      metadata: async (request) => {
        const answer = await served.metadata(request);
        if (request.file === "timestamp.json") {
          await repository.publish("targets");
          await repository.client({ store }).refresh(); // the other run is done before this one goes on
        }
        return answer;
      },
    };
    const versions = ({ roles }: RefreshReport) => roles.map(({ document }) => document.signed.version);
    expect(versions(await repository.client({ store, repository: slow }).refresh())).toEqual([1, 2, 2, 2]);
    const kept = await repository.client({ store }).refresh({ freshness: { mode: "offline" } });
    expect(versions(kept)).toEqual([1, 3, 3, 3]);
  });

  it.each([true, false])("replace what is left of a state that was given up, snapshot kept: %s", async (isKept) => {
    const [repository, other] = [await TufSimulator.create(), await TufSimulator.create()];
    for (let round = 0; round < 4; round++) await other.publish("targets");
    const leftover = other.files.get("5.targets.json")!;
    const store = memoryTufStore();
    if (isKept) await repository.client({ store }).refresh();
    await store.update("targets", () => leftover);
    await repository.publish("targets");
    await repository.client({ store }).refresh();
    const { roles } = await repository.client({ store }).refresh({ freshness: { mode: "offline" } });
    expect(roles.map(({ document }) => document.signed.version)).toEqual([1, 2, 2, 2]);
  });
});

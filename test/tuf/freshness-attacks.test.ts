/** The attack matrix, client side, second half: old, mixed, endless and malformed metadata, mirrors, anchors. */
import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { TransportError } from "../../src/base/errors.ts";
import { parseJson, type JsonObject } from "../../src/base/json.ts";
import { encodeMetadata } from "../../src/tuf/metadata.ts";
import type { MetadataRequest } from "../../src/tuf/repository.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import {
  expectRefused,
  honest,
  NEW_SNAPSHOT,
  NEW_TARGETS,
  NEW_TIMESTAMP,
  rewrite,
  type Attack,
  type Case,
} from "../support/tuf-attack.ts";
import { workOf } from "../support/cpu-time.ts";
import { newPair, NOW, PAST, roleKeys, signAll, storeContent } from "../support/tuf-repository.ts";

describe("A6: freeze", () => {
  it("refuses an expired root, and goes on from it where a newer one is there", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    repository.root.expires = PAST;
    await repository.publishRoot();
    const before = await store.read("timestamp");
    await expect(repository.client({ store }).refresh()).rejects.toMatchObject({ code: "METADATA_EXPIRED" });
    expect(await store.read("timestamp")).toEqual(before);
    repository.root.expires = new Date("2031-01-01T00:00:00Z");
    await repository.publishRoot();
    const { roles } = await repository.client({ store }).refresh();
    expect(roles[0]!.document.signed.version).toBe(3);
  });

  const expire: Record<string, { attack: Attack; advances: readonly string[] }> = {
    timestamp: {
      attack: async (repository) => {
        repository.timestamp.expires = PAST;
        repository.timestamp.version++;
        await repository.publishTimestamp();
      },
      advances: [],
    },
    snapshot: {
      attack: async (repository) => {
        repository.snapshot.expires = PAST;
        await repository.publish();
      },
      advances: NEW_TIMESTAMP,
    },
    targets: {
      attack: async (repository) => {
        repository.targets.expires = PAST;
        await repository.publish("targets");
      },
      advances: NEW_SNAPSHOT,
    },
    team: {
      attack: async (repository) => {
        repository.roles.get("team")!.expires = PAST;
        await repository.publish("team");
      },
      advances: NEW_SNAPSHOT,
    },
  };
  for (const [role, { attack, advances }] of Object.entries(expire)) {
    it(`refuses an expired ${role}`, () => expectRefused({ attack, code: "METADATA_EXPIRED", role, advances }));
  }

  for (const expires of [
    "never",
    "2031-01-01",
    "Jan 1, 2099",
    "2031-01-01T00:00:00",
    "2031-02-30T00:00:00Z",
    "2031-01-01T00:00:00+00:00",
    "10000-01-01T00:00:00Z",
    "+010000-01-01T00:00:00Z",
    "",
    null,
    5,
  ]) {
    it(`refuses the expiry ${JSON.stringify(expires)}`, () =>
      expectRefused({
        attack: (repository) => {
          rewrite(repository, "timestamp.json", ({ signed }) => ((signed as JsonObject)["expires"] = expires));
        },
        code: "METADATA_INVALID",
        role: "timestamp",
      }));
  }

  it("goes on from metadata that has expired in the store where newer is there", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    await repository.client({ store }).find("team/app");
    const later = new Date("2032-01-01T00:00:00Z");
    const now = (): Date => new Date("2031-07-01T00:00:00Z"); // after everything that is stored has expired
    await expect(repository.client({ store, now }).find("team/app")).rejects.toMatchObject({
      code: "METADATA_EXPIRED",
    });
    for (const document of [repository.root, repository.timestamp, repository.snapshot, ...repository.roles.values()])
      document.expires = later;
    await repository.publishRoot();
    await repository.publish("team", "targets");
    expect(await repository.client({ store, now }).find("team/app")).toMatchObject({ role: "team" });
  });

  it("accepts an expiry as far away as can be written", async () => {
    const repository = await honest();
    repository.timestamp.expires = new Date("9999-12-31T23:59:59Z");
    repository.timestamp.version++;
    await repository.publishTimestamp();
    await expect(repository.client().refresh()).resolves.toBeDefined();
  });

  it("refuses to go on with a clock that is behind the last check", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const behind = (): Date => new Date(NOW.getTime() - 2 * 86_400_000);
    const before = await storeContent(store);
    const refused = repository.client({ store, now: behind }).refresh();
    await expect(refused).rejects.toMatchObject({ code: "CLOCK_BEHIND", kind: "expired" });
    expect(await storeContent(store)).toEqual(before);
    await expect(repository.client({ store }).refresh()).resolves.toBeDefined();
  });

  it("refuses a timestamp of a newer root that is withheld", () =>
    expectRefused({
      attack: async (repository) => {
        await repository.rotate("timestamp");
        await repository.publishRoot();
        repository.files.delete("2.root.json");
        repository.timestamp.version++;
        await repository.publishTimestamp();
      },
      code: "SIGNATURE_THRESHOLD",
      role: "timestamp",
    }));
});

describe("A7: mix and match", () => {
  const swap = (role: string, advances: readonly string[]): Case => ({
    attack: async (repository) => {
      const listed = new Map(repository.snapshot.meta);
      await repository.publish("team", "targets");
      if (role === "snapshot") {
        const other = { ...repository.snapshot, expires: new Date("2031-01-02T00:00:00Z") };
        await repository.serve("snapshot", other, repository.snapshot.version);
      } else {
        const other = { ...repository.roles.get(role)!, expires: new Date("2031-01-02T00:00:00Z") };
        await repository.serve(role, other, repository.roles.get(role)!.version);
      }
      expect(listed.size).toBe(2);
    },
    code: "METADATA_TAMPERED",
    role,
    advances,
  });
  it("refuses a snapshot whose hash is not the timestamp's", () => expectRefused(swap("snapshot", NEW_TIMESTAMP)));
  it("refuses targets whose hash is not the snapshot's", () => expectRefused(swap("targets", NEW_SNAPSHOT)));
  it("refuses a delegated role whose hash is not the snapshot's", () => expectRefused(swap("team", NEW_TARGETS)));

  it("refuses a delegated role of an older snapshot", () =>
    expectRefused({
      attack: async (repository) => {
        const old = repository.files.get("2.team.json")!;
        await repository.publish("team", "targets");
        repository.files.set(`${repository.roles.get("team")!.version}.team.json`, old);
      },
      code: "METADATA_TAMPERED",
      role: "team",
      advances: NEW_TARGETS,
    }));

  for (const [role, advances] of [
    ["snapshot", NEW_TIMESTAMP],
    ["team", NEW_TARGETS],
  ] as const) {
    it(`refuses another version of ${role} under the name of the one that is listed`, () =>
      expectRefused({
        attack: async (repository) => {
          repository.hashes = false;
          await repository.publish("team", "targets");
          const signed = role === "snapshot" ? repository.snapshot : repository.roles.get(role)!;
          await repository.serve(role, { ...signed, version: 99 }, signed.version);
        },
        code: "METADATA_TAMPERED",
        role,
        advances,
      }));
  }

  for (const role of ["snapshot", "targets", "team"]) {
    it(`keeps the ${role} it has where other bytes of the same version come`, async () => {
      const repository = await honest();
      repository.hashes = false;
      await repository.publish("team", "targets");
      const store = memoryTufStore();
      await repository.client({ store }).find("team/app");
      const kept = await storeContent(store, ["team"]);
      const signed = role === "snapshot" ? repository.snapshot : repository.roles.get(role)!;
      await repository.serve(role, { ...signed, extra: { "x-other": 1 } }, signed.version);
      repository.timestamp.version++;
      await repository.publishTimestamp();
      expect(await repository.client({ store }).find("team/app")).toMatchObject({ role: "team" });
      expect((await storeContent(store, ["team"]))[role]).toEqual(kept[role]);
    });
  }

  it("refuses a snapshot that lists hashes of no algorithm that we know", () =>
    expectRefused({
      attack: async (repository) => {
        await repository.publish("targets");
        const { version } = repository.targets;
        const length = repository.files.get(`${version}.targets.json`)!.length;
        repository.list("targets", { version, length, hashes: { md5: "00" }, extra: {} });
        await repository.publish();
      },
      code: "METADATA_TAMPERED",
      role: "targets",
      advances: NEW_SNAPSHOT,
    }));
});

describe("A8: endless data", () => {
  it("fails, and does not say not found, after 32 delegated roles", () =>
    expectRefused({
      attack: async (repository) => {
        const roles = Array.from({ length: 40 }, (_, index) => `role-${index}`);
        for (const [index, role] of roles.entries()) await repository.delegate(roles[index - 1] ?? "targets", role);
        await repository.publish(...roles, "targets");
      },
      code: "LIMIT_EXCEEDED",
      advances: [...NEW_TARGETS],
      target: "wanted",
    }));

  it("fails, and does not say not found, after 32 roles that stand side by side", () =>
    expectRefused({
      attack: async (repository) => {
        const roles = Array.from({ length: 40 }, (_, index) => `role-${index}`);
        for (const role of roles) await repository.delegate("targets", role);
        await repository.publish(...roles, "targets");
      },
      code: "LIMIT_EXCEEDED",
      advances: [...NEW_TARGETS],
      target: "wanted",
    }));

  it("reads ten thousand delegations that lead nowhere in no time", async () => {
    const repository = await honest();
    const pairs = [await newPair()];
    repository.changeDelegations("targets", ({ keys, roles, extra }) => ({
      keys: new Map([...keys, ...pairs.map(({ key }) => [key.id, key] as const)]),
      roles: [
        ...Array.from({ length: 10_000 }, (_, index) => {
          return { ...roleKeys(pairs), name: `r${index}`, terminating: true, paths: ["*?*?*?/nowhere"] };
        }),
        ...roles,
      ],
      extra,
    }));
    await repository.publish("targets");
    const work = await workOf(async () => {
      expect(await repository.client().find("team/app")).toMatchObject({ role: "team" });
    });
    expect(work).toBeLessThan(4_000); // some 0.2 s
  });

  it("ends where delegations go in a circle", async () => {
    const repository = await honest();
    await repository.delegate("targets", "a");
    await repository.delegate("a", "b");
    await repository.delegate("b", "a");
    await repository.delegate("b", "b");
    await repository.publish("a", "b", "targets");
    const client = repository.client();
    expect(await client.find("none")).toBeUndefined();
    expect(repository.requests.filter((file) => /\.[ab]\.json$/.test(file))).toHaveLength(2);
  });

  it("verifies 100,000 signatures of nobody in no time, since none is looked at", async () => {
    const repository = await honest();
    const junk = Array.from({ length: 100_000 }, (_, index) => ({
      keyId: `junk-${index}`,
      sig: "00".repeat(64),
      extra: {},
    }));
    repository.timestamp.version++;
    const signatures = await signAll(repository.timestamp, repository.signers.get("timestamp")!);
    repository.put("timestamp", undefined, encodeMetadata(repository.timestamp, [...junk, ...signatures]));
    const work = await workOf(() => repository.client({ limits: { timestamp: 50_000_000 } }).refresh());
    expect(work).toBeLessThan(4_000); // some 0.5 s; verifying them all takes more than a minute
  });

  it("refuses JSON that is nested without end", () =>
    expectRefused({
      attack: (repository) => void repository.files.set("timestamp.json", utf8Encode("[".repeat(16_000))),
      code: "JSON_INVALID",
    }));

  it("asks for no more bytes than a role may have, and than were signed for it", async () => {
    const repository = await honest();
    const limits: Record<string, number> = {};
    const watched = {
      ...repository.repository,
      metadata: (request: MetadataRequest) => {
        limits[request.file] = request.limit;
        return repository.repository.metadata(request);
      },
    };
    await repository.client({ repository: watched }).find("team/app");
    const { length } = repository.files.get("2.team.json")!;
    expect(limits).toMatchObject({ "2.root.json": 512_000, "timestamp.json": 16_384, "2.team.json": length });
  });
});

describe("A10: a mirror that fails", () => {
  it("passes on that it cannot be reached, and does not take it for the end of the roots", () =>
    expectRefused({
      attack: (repository) => {
        repository.onRequest = () => {
          throw new TransportError("NETWORK", "connection reset");
        };
      },
      code: "NETWORK",
    }));

  for (const [file, advances] of [
    ["timestamp.json", []],
    ["4.snapshot.json", NEW_TIMESTAMP],
    ["4.targets.json", NEW_SNAPSHOT],
    ["3.team.json", NEW_TARGETS],
  ] as const) {
    it(`says that ${file} is withheld`, () =>
      expectRefused({
        attack: async (repository) => {
          await repository.publish("team", "targets");
          expect(repository.files.delete(file)).toBe(true);
        },
        code: "TRUST_WITHHELD",
        advances,
      }));
  }
});

describe("A10: a mirror that shows another state each time", () => {
  it("is refused, and harms nobody who comes back when it is honest", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    await repository.client({ store }).find("team/app");
    const before = await storeContent(store, ["team"]);
    const [one, two] = [new Map(repository.files), new Map<string, Bytes>()];
    await repository.publish("team", "targets");
    for (const [file, bytes] of repository.files) two.set(file, bytes);
    one.delete("3.root.json");
    let turn = 0;
    const alternating = {
      ...repository.repository,
      metadata: async ({ file }: MetadataRequest) => {
        // the newest timestamp, and nothing else that is new
        return file === "timestamp.json" && turn++ >= 0 ? two.get(file) : one.get(file);
      },
    };
    const refused = repository.client({ store, repository: alternating }).refresh();
    await expect(refused).rejects.toMatchObject({ code: "TRUST_WITHHELD", details: { role: "snapshot" } });
    expect(turn).toBe(2); // it looked once more, and no more than that
    const after = await storeContent(store, ["team"]);
    expect({ ...after, timestamp: null }).toEqual({ ...before, timestamp: null });
    expect(await repository.client({ store }).find("team/app")).toMatchObject({ role: "team" });
  });
});

describe("A14: interleaving with a publisher", () => {
  it("looks again where the timestamp is there a moment before its snapshot", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    await repository.client({ store }).find("team/app");
    await repository.publish("team", "targets");
    const late = repository.files.get("4.snapshot.json")!;
    repository.files.delete("4.snapshot.json");
    let asked = 0;
    repository.onRequest = (file) => {
      if (file === "4.snapshot.json" && asked++ === 1) repository.files.set(file, late);
    };
    expect(await repository.client({ store }).find("team/app")).toMatchObject({ role: "team" });
    expect(asked).toBe(2);
  });
});

describe("A12: malformed metadata", () => {
  const malformed: Record<string, [Uint8Array | string, string]> = {
    "an empty file": ["", "JSON_INVALID"],
    null: ["null", "METADATA_INVALID"],
    "an array": ["[]", "METADATA_INVALID"],
    "a byte order mark": ["\u{feff}{}", "JSON_INVALID"],
    "invalid UTF-8": [Uint8Array.of(0x7b, 0xff, 0x7d), "JSON_INVALID"],
    "a web page": ["<html></html>", "JSON_INVALID"],
    NaN: ['{"signed":NaN}', "JSON_INVALID"],
    "a lone surrogate": [String.raw`{"signed":"\ud800"}`, "JSON_INVALID"],
    "a key twice": ['{"signed":{},"signed":{}}', "JSON_INVALID"],
    "a key in other case": ['{"Signed":{},"signed":{},"signatures":[]}', "METADATA_INVALID"],
  };
  for (const [name, [content, code]] of Object.entries(malformed)) {
    it(`refuses ${name} as timestamp`, () =>
      expectRefused({
        attack: (repository) => {
          repository.files.set(
            "timestamp.json",
            typeof content === "string" ? utf8Encode(content) : (content as Bytes),
          );
        },
        code,
      }));
  }

  it("refuses data after the document", () =>
    expectRefused({
      attack: (repository) => {
        const text = utf8Decode(repository.files.get("timestamp.json")!);
        repository.files.set("timestamp.json", utf8Encode(`${text}{}`));
      },
      code: "JSON_INVALID",
    }));

  it("refuses a snapshot that the timestamp's key signed as a timestamp", () =>
    expectRefused({
      attack: async (repository) => {
        await repository.serve("timestamp", repository.snapshot, undefined);
      },
      code: "METADATA_INVALID",
      role: "timestamp",
    }));

  it("keeps unknown fields, and verifies them", async () => {
    const repository = await honest();
    repository.timestamp.extra = { "x-note": { deep: [1, "two"] } };
    repository.timestamp.version++;
    await repository.publishTimestamp();
    const { roles } = await repository.client().refresh();
    expect(roles[1]!.document.signed.extra).toEqual({ "x-note": { deep: [1, "two"] } });
    await expectRefused({
      attack: (hostile) => {
        rewrite(hostile, "timestamp.json", ({ signed }) => ((signed as JsonObject)["x-note"] = 1));
      },
      code: "SIGNATURE_THRESHOLD",
      role: "timestamp",
    });
  });
});

describe("A15: the trust anchor", () => {
  it("refuses an anchor that is not signed as it demands, and asks nobody", async () => {
    const repository = await honest();
    const other = await honest();
    const document = parseJson(repository.anchor) as JsonObject;
    document["signatures"] = (parseJson(other.anchor) as JsonObject)["signatures"]!;
    const anchor = utf8Encode(JSON.stringify(document));
    await expect(repository.client({ anchor }).refresh()).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD" });
    expect(repository.requests).toEqual([]);
  });

  it("refuses a repository that is not the anchor's", async () => {
    const repository = await honest();
    const other = await honest();
    const refused = repository.client({ anchor: other.anchor }).refresh();
    await expect(refused).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "timestamp" } });
  });

  it("takes no root from the store that does not follow from the anchor", async () => {
    const repository = await honest();
    const other = await honest();
    const store = memoryTufStore();
    await store.writeRoot(1, other.anchor);
    await store.writeRoot(2, await other.publishRoot());
    const { roles } = await repository.client({ store }).refresh();
    expect(roles[0]!.document.bytes).toEqual(repository.anchor);
    expect(await store.readRoot(1)).toEqual(repository.anchor);
  });
});

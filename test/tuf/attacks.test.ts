/**
 * The attack matrix, client side: what a hostile repository or mirror can serve. Every attack must end in its own
 * error, release nothing, leave what is stored as it was, and be over with the next honest refresh.
 */
import { describe, expect, it } from "vitest";
import { hexEncode, utf8Decode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { parseJson, type JsonObject } from "../../src/base/json.ts";
import { errorCode, TransportError } from "../../src/base/errors.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import { encodeMetadata } from "../../src/tuf/metadata.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { newPair, NOW, PAST, roleKeys, signAll, storeContent, TufSimulator } from "../support/tuf-repository.ts";

/** Turns an honest repository into a hostile one. */
type Attack = (repository: TufSimulator, store: TufStore) => Promise<void> | void;

interface Case {
  readonly attack: Attack;
  readonly code: string;
  readonly role?: string;
  /** Documents that were honest and are kept, though what came after them was refused. */
  readonly advances?: readonly string[];
  /** The name that is asked for; `team/app` is the honest target of the delegated role `team`. */
  readonly target?: string;
}

async function honest(): Promise<TufSimulator> {
  const repository = await TufSimulator.create();
  await repository.addTarget("targets", "app", "top");
  await repository.delegate("targets", "team", { paths: ["team/*"] });
  await repository.addTarget("team", "team/app", "delegated");
  await repository.publish("team", "targets");
  await repository.publish("targets"); // so that there are older versions of everything
  return repository;
}

async function expectRefused({ attack, code, role, advances = [], target = "team/app" }: Case): Promise<void> {
  const repository = await honest();
  const store = memoryTufStore();
  const client = repository.client({ store });
  await client.refresh();
  expect(await client.find("team/app")).toBeDefined();
  const restore = repository.checkpoint();
  await attack(repository, store);
  const before = await storeContent(store, ["team"]);

  const hostile = repository.client({ store });
  const error: unknown = await hostile.find(target).then(
    (found) => expect.unreachable(`found ${JSON.stringify(found)}`),
    (reason: unknown) => reason,
  );
  expect(errorCode(error), String(error)).toBe(code);
  if (role !== undefined) expect(error).toMatchObject({ details: { role } });
  const after = await storeContent(store, ["team"]);
  for (const name of [...advances, "record"]) delete before[name];
  for (const name of [...advances, "record"]) delete after[name];
  expect(after).toEqual(before);

  await restore(advances.includes("2.root"));
  const again = repository.client({ store });
  await again.refresh();
  expect(await again.find("team/app")).toMatchObject({ role: "team", file: { length: 9 } });
  await client.refresh();
}

const NEW_TIMESTAMP = ["timestamp"];
const NEW_SNAPSHOT = ["timestamp", "snapshot"];
const NEW_TARGETS = ["timestamp", "snapshot", "targets"];

/** Replaces the signatures of what a file holds, or anything else in its JSON. */
function rewrite(repository: TufSimulator, file: string, change: (document: JsonObject) => void): Bytes {
  const document = parseJson(repository.files.get(file)!) as JsonObject;
  change(document);
  const bytes = utf8Encode(JSON.stringify(document));
  repository.files.set(file, bytes);
  return bytes;
}

describe("A1: arbitrary installation", () => {
  for (const role of ["root", "timestamp", "snapshot", "targets", "team"]) {
    const advances = { snapshot: NEW_TIMESTAMP, targets: NEW_SNAPSHOT, team: NEW_TARGETS }[role] ?? [];
    const serveWith = async (repository: TufSimulator, sign: "nobody" | "stranger"): Promise<void> => {
      repository.hashes = false; // else the hashes would notice first
      const honestSigners = repository.signers.get(role)!;
      if (role === "root") repository.root.version++;
      repository.signers.set(role, sign === "nobody" ? [] : [await newPair()]);
      if (role === "root") await repository.serve("root", repository.root, 2);
      else await repository.publish("team", "targets");
      repository.signers.set(role, honestSigners);
    };
    it(`refuses ${role} that nobody signed`, () =>
      expectRefused({
        attack: (repository) => serveWith(repository, "nobody"),
        code: "SIGNATURE_THRESHOLD",
        role,
        advances,
      }));
    it(`refuses ${role} that a stranger signed`, () =>
      expectRefused({
        attack: (repository) => serveWith(repository, "stranger"),
        code: "SIGNATURE_THRESHOLD",
        role,
        advances,
      }));
  }

  it("refuses a timestamp with the signature of an older one", () =>
    expectRefused({
      attack: (repository) => {
        rewrite(repository, "timestamp.json", ({ signed }) => ((signed as JsonObject)["version"] = 9));
      },
      code: "SIGNATURE_THRESHOLD",
      role: "timestamp",
    }));
});

describe("A2: fewer keys than needed", () => {
  const withTwoOfTwo = (cheat: (repository: TufSimulator) => Promise<void>): Case => ({
    attack: async (repository) => {
      repository.signers.set("timestamp", [await newPair(), await newPair()]);
      repository.updateRootKeys({ timestamp: 2 });
      await cheat(repository);
      await repository.publishRoot();
    },
    code: "SIGNATURE_THRESHOLD",
    role: "timestamp",
    advances: ["2.root"],
  });
  const serveTimestamp = async (repository: TufSimulator, times: number): Promise<void> => {
    const [first] = repository.signers.get("timestamp")!;
    repository.timestamp.version++;
    const [signature] = await signAll(repository.timestamp, [first!]);
    repository.put("timestamp", undefined, encodeMetadata(repository.timestamp, Array(times).fill(signature)));
  };

  it("refuses one of two signatures", () => expectRefused(withTwoOfTwo((repository) => serveTimestamp(repository, 1))));

  it("refuses one signature that is listed twice", () =>
    expectRefused({ ...withTwoOfTwo((repository) => serveTimestamp(repository, 2)), code: "METADATA_INVALID" }));

  it("counts one key under two ids once", async () => {
    const repository = await honest();
    const store = memoryTufStore();
    await repository.client({ store }).refresh();
    const [pair] = repository.signers.get("timestamp")!;
    const fields = { keytype: "ed25519", scheme: "ed25519", text: hexEncode(pair!.signer.publicKey.ed25519Bytes!) };
    const twin = { key: new TufKey("twin", fields, pair!.key.json), signer: pair!.signer };
    repository.signers.set("timestamp", [pair!, twin]);
    repository.updateRootKeys({ timestamp: 2 });
    await repository.publishRoot();
    repository.timestamp.version++;
    await repository.publishTimestamp();
    const before = await store.read("timestamp");
    const refused = repository.client({ store }).refresh();
    await expect(refused).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { expected: 2, got: 1 } });
    expect(await store.read("timestamp")).toEqual(before);
    repository.signers.set("timestamp", [pair!, await newPair()]);
    repository.updateRootKeys({ timestamp: 2 });
    await repository.publishRoot();
    await repository.publishTimestamp();
    await expect(repository.client({ store }).refresh()).resolves.toBeDefined();
  });

  it("counts no key of another role", () =>
    expectRefused(
      withTwoOfTwo(async (repository) => {
        const mine = repository.signers.get("timestamp")!;
        repository.timestamp.version++;
        await repository.serve("timestamp", repository.timestamp, undefined, [
          mine[0]!,
          ...repository.signers.get("root")!,
        ]);
      }),
    ));

  for (const threshold of [0, -1, 1.5, "1", 2 ** 53, null]) {
    it(`refuses a threshold of ${JSON.stringify(threshold)}`, () =>
      expectRefused({
        attack: async (repository) => {
          await repository.publishRoot();
          rewrite(repository, "2.root.json", ({ signed }) => {
            const roles = (signed as JsonObject)["roles"] as Record<string, JsonObject>;
            roles["timestamp"]!["threshold"] = threshold;
          });
        },
        code: threshold === 1.5 || threshold === 2 ** 53 ? "JSON_INVALID" : "METADATA_INVALID",
      }));
  }

  it("refuses a key id that a role lists twice", () =>
    expectRefused({
      attack: async (repository) => {
        const ids = repository.root.roles.get("timestamp")!.keyIds;
        const role = { keyIds: [...ids, ...ids], threshold: 2, extra: {} };
        repository.root.roles = new Map([...repository.root.roles, ["timestamp", role]]);
        await repository.publishRoot();
      },
      code: "METADATA_INVALID",
    }));

  it("refuses a root that only the old keys signed", () =>
    expectRefused({
      attack: async (repository) => {
        const old = repository.signers.get("root")!;
        await repository.rotate("root");
        await repository.serve("root", { ...repository.root, version: 2 }, 2, old);
      },
      code: "SIGNATURE_THRESHOLD",
      role: "root",
    }));

  it("refuses a root that only its own keys signed", () =>
    expectRefused({
      attack: async (repository) => {
        await repository.rotate("root");
        await repository.serve("root", { ...repository.root, version: 2 }, 2);
      },
      code: "SIGNATURE_THRESHOLD",
      role: "root",
    }));

  it("refuses one signature, listed twice, for a delegated role that needs two", () =>
    expectRefused({
      attack: async (repository) => {
        const pairs = [await newPair(), await newPair()];
        repository.signers.set("team", pairs);
        repository.hashes = false;
        repository.changeDelegations("targets", ({ extra }) => ({
          keys: new Map(pairs.map(({ key }) => [key.id, key])),
          roles: [{ ...roleKeys(pairs, 2), name: "team", terminating: false, paths: ["team/*"] }],
          extra,
        }));
        await repository.publish("team", "targets");
        const [signature] = await signAll(repository.roles.get("team")!, pairs);
        const team = repository.roles.get("team")!;
        repository.put("team", team.version, encodeMetadata(team, [signature!, signature!]));
      },
      code: "METADATA_INVALID",
      role: "team",
      advances: NEW_TARGETS,
    }));
});

describe("A4: rollback", () => {
  it("refuses a root whose version is not the next one", () =>
    expectRefused({
      attack: (repository) => repository.serve("root", { ...repository.root, version: 3 }, 2).then(() => undefined),
      code: "METADATA_TAMPERED",
      role: "root",
    }));

  it("refuses a root of the same version", () =>
    expectRefused({
      attack: (repository) => repository.serve("root", repository.root, 2).then(() => undefined),
      code: "METADATA_ROLLED_BACK",
      role: "root",
    }));

  it("refuses an older timestamp", () =>
    expectRefused({
      attack: async (repository) => {
        repository.timestamp.version = 1;
        await repository.publishTimestamp();
      },
      code: "METADATA_ROLLED_BACK",
      role: "timestamp",
    }));

  it("refuses an older snapshot in a newer timestamp", () =>
    expectRefused({
      attack: async (repository) => {
        repository.timestamp.version++;
        repository.timestamp.snapshot = { version: 1, extra: {} };
        await repository.publishTimestamp();
      },
      code: "METADATA_ROLLED_BACK",
      role: "snapshot",
    }));

  for (const role of ["targets", "team"]) {
    it(`refuses an older ${role} in a newer snapshot`, () =>
      expectRefused({
        attack: async (repository) => {
          repository.list(role, { version: 1, extra: {} });
          await repository.publish();
        },
        code: "METADATA_ROLLED_BACK",
        role,
        advances: NEW_TIMESTAMP,
      }));
  }

  it("refuses a snapshot from which a delegated role vanished", () =>
    expectRefused({
      attack: async (repository) => {
        repository.list("team", undefined);
        await repository.publish();
      },
      code: "METADATA_ROLLED_BACK",
      role: "team",
      advances: NEW_TIMESTAMP,
    }));

  it("refuses an older snapshot although the timestamp's key was rotated", () =>
    expectRefused({
      attack: async (repository) => {
        await repository.rotate("timestamp");
        await repository.publishRoot();
        repository.timestamp.version = 1;
        repository.snapshot.version = 1;
        await repository.publishSnapshot();
        await repository.publishTimestamp();
      },
      code: "METADATA_ROLLED_BACK",
      role: "snapshot",
      advances: ["2.root", "timestamp"],
    }));

  it("refuses a targets document whose version is not the one that the snapshot lists", () =>
    expectRefused({
      attack: async (repository) => {
        repository.hashes = false;
        await repository.publish("targets");
        await repository.serve("targets", { ...repository.targets, version: 99 }, repository.targets.version);
      },
      code: "METADATA_TAMPERED",
      role: "targets",
      advances: NEW_SNAPSHOT,
    }));
});

describe("A5: fast-forward", () => {
  it("refuses versions that no double can hold", () =>
    expectRefused({
      attack: (repository) => {
        const text = utf8Decode(repository.files.get("timestamp.json")!);
        repository.files.set(
          "timestamp.json",
          utf8Encode(text.replace(/"version":\d+}}$/, '"version":9007199254740993}}')),
        );
      },
      code: "JSON_INVALID",
    }));

  for (const version of [2 ** 31, Number.MAX_SAFE_INTEGER]) {
    it(`recovers from version ${version} by rotating the keys of timestamp and snapshot`, async () => {
      const repository = await honest();
      const store = memoryTufStore();
      repository.timestamp.version = version;
      repository.snapshot.version = version;
      await repository.publishSnapshot();
      await repository.publishTimestamp();
      await repository.client({ store }).refresh();
      repository.timestamp.version = 5;
      repository.snapshot.version = 5;
      await repository.publishSnapshot();
      await repository.publishTimestamp();
      await expect(repository.client({ store }).refresh()).rejects.toMatchObject({ code: "METADATA_ROLLED_BACK" });
      await repository.rotate("timestamp");
      await repository.rotate("snapshot");
      await repository.publishRoot();
      await repository.publishSnapshot();
      await repository.publishTimestamp();
      const { roles } = await repository.client({ store }).refresh();
      expect(roles[1]!.document.signed.version).toBe(5);
    });
  }
});

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
    const start = performance.now();
    await repository.client({ limits: { timestamp: 50_000_000 } }).refresh();
    expect(performance.now() - start).toBeLessThan(8_000); // 2 s on a quiet machine; verifying them takes minutes
  });

  it("refuses JSON that is nested without end", () =>
    expectRefused({
      attack: (repository) => void repository.files.set("timestamp.json", utf8Encode("[".repeat(100_000))),
      code: "JSON_INVALID",
    }));

  it("asks for no more bytes than a role may have, and than were signed for it", async () => {
    const repository = await honest();
    const limits: Record<string, number> = {};
    const { metadata } = repository.repository;
    const watched = {
      ...repository.repository,
      metadata: (request: Parameters<typeof metadata>[0]) => {
        limits[request.file] = request.limit;
        return metadata(request);
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

/**
 * The attack matrix, client side, first half: who may sign, and what may come after what. Every attack must end in
 * its own error, release nothing, leave what is stored as it was, and be over with the next honest refresh.
 */
import { describe, expect, it } from "vitest";
import { hexEncode, utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import { encodeMetadata } from "../../src/tuf/metadata.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import {
  expectRefused,
  honest,
  NEW_SNAPSHOT,
  NEW_TARGETS,
  NEW_TIMESTAMP,
  rewrite,
  type Case,
} from "../support/tuf-attack.ts";
import { newPair, roleKeys, signAll, storeContent, type TufSimulator } from "../support/tuf-repository.ts";

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

  for (const threshold of [0, -1, 1.5, "1", 2 ** 53, null]) {
    it(`refuses a threshold of ${JSON.stringify(threshold)} for a delegated role`, () =>
      expectRefused({
        attack: async (repository) => {
          repository.hashes = false;
          await repository.publish("targets");
          rewrite(repository, `${repository.targets.version}.targets.json`, ({ signed }) => {
            const { delegations } = signed as { delegations: { roles: JsonObject[] } };
            delegations.roles[0]!["threshold"] = threshold;
          });
        },
        code: threshold === 1.5 || threshold === 2 ** 53 ? "JSON_INVALID" : "METADATA_INVALID",
        advances: NEW_SNAPSHOT,
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

describe("A3: algorithm confusion", () => {
  it("takes no algorithm from the signature: Notary's field changes nothing", () =>
    expectRefused({
      attack: async (repository) => {
        const stranger = await newPair();
        repository.timestamp.version++;
        const [signature] = await signAll(repository.timestamp, [stranger]);
        const keyId = repository.signers.get("timestamp")![0]!.key.id;
        const extra = { method: "ed25519", keyval: stranger.key.json["keyval"]! };
        repository.put("timestamp", undefined, encodeMetadata(repository.timestamp, [{ ...signature!, keyId, extra }]));
      },
      code: "SIGNATURE_THRESHOLD",
      role: "timestamp",
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

  // A snapshot's own version is listed in the timestamp too, so both keys go there: the test above.
  const recoveries = { timestamp: "timestamp", targets: "snapshot" };
  for (const [pushed, rotated] of Object.entries(recoveries)) {
    it(`recovers from a fast-forward of ${pushed} by rotating the key of ${rotated}`, async () => {
      const repository = await honest();
      const store = memoryTufStore();
      const publishAs = async (version: number): Promise<void> => {
        const signed = pushed === "timestamp" ? repository.timestamp : repository.targets;
        signed.version = version;
        if (pushed === "targets") {
          await repository.publishTargets("targets");
          await repository.publish();
        } else {
          await repository.publishTimestamp();
        }
      };
      await publishAs(1_000_000);
      await repository.client({ store }).refresh();
      await publishAs(7);
      const before = await storeContent(store);
      await expect(repository.client({ store }).refresh()).rejects.toMatchObject({
        code: "METADATA_ROLLED_BACK",
        details: { role: pushed, expected: 1_000_000, got: 7 },
      });
      const after = await storeContent(store);
      const kept = pushed === "targets" ? { timestamp: undefined } : {}; // an honest one, and kept
      expect({ ...after, ...kept }).toEqual({ ...before, ...kept });
      await repository.rotate(rotated);
      await repository.publishRoot();
      await publishAs(7);
      const client = repository.client({ store });
      await client.refresh();
      expect(await client.find("team/app")).toMatchObject({ role: "team" });
    });
  }
});

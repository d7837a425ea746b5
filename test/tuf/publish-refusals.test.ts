/** What publishing does where something is in its way: other tools' repositories, stores that fail, odd drafts. */
import { describe, expect, test } from "vitest";
import { InterruptedError, StorageError } from "../../src/base/errors.ts";
import { concatBytes, hexEncode, utf8Encode } from "../../src/base/bytes.ts";
import { knownKeys, TufDraft } from "../../src/tuf/draft.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { draftOf, pendingOf } from "../../src/tuf/pending.ts";
import { loadPublished } from "../../src/tuf/published.ts";
import { publishChanges, publishPending, readBase } from "../../src/tuf/publish.ts";
import { allDocuments, repairCollection, revocation } from "../../src/tuf/repair.ts";
import type { MetadataRequest } from "../../src/tuf/repository.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { dropStaged, publishStaged, reviewStaged, signStaged, stageChanges } from "../../src/tuf/staged.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import { statusOf } from "../../src/tuf/status.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { codeOf } from "../support/error-code.ts";
import { add, environment, memoryStaging, NOW, people, person, Rig, type Person } from "../support/tuf-publishing.ts";
import { newPair, TufSimulator } from "../support/tuf-repository.ts";

const delegation = (role: string, { key }: Person, paths = ["team/*"]) =>
  ({ action: "delegate", delegator: "targets", role, keys: [key], paths }) as const;

describe("a repository that is read to be published to", () => {
  const load = ({ anchor, repository }: TufSimulator, floors = memoryTufStore()) =>
    loadPublished(repository, { anchor, floors });

  test("may overwrite its files and list no lengths: it can be read, and not published to", async () => {
    const simulator = await TufSimulator.create({ consistentSnapshot: false, hashes: false });
    await simulator.addTarget("targets", "app", "x");
    await simulator.publish("targets");
    const collection = await load(simulator);
    expect(collection.targets.get("targets")?.signed.targets.has("app")).toBe(true);
    const store = Object.assign((await Rig.make()).store, {
      metadata: (file: MetadataRequest) => simulator.repository.metadata(file),
    });
    expect(await codeOf(() => readBase({ store, anchor: simulator.anchor }, undefined))).toBe("USAGE");
  });

  test("gives each role once, and none that was never published or that nobody delegates to", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "team");
    await simulator.delegate("targets", "ghost");
    await simulator.publish("team", "targets");
    const collection = await load(simulator);
    expect([...collection.targets.keys()]).toEqual(["targets", "team"]);
    const team = collection.targets.get("team");
    expect(await collection.load("team", "targets")).toBe(team);
    expect(await collection.loadAny("team")).toBe(team);
    expect(await collection.loadAny("ghost")).toBeUndefined();
    expect(await collection.load("ghost", "targets")).toBeUndefined();
    expect(await collection.load("team", "team")).toBeUndefined();
    expect(await collection.loadAny("nobody")).toBeUndefined();
    expect([collection.versionOf("team"), collection.versionOf("nobody")]).toEqual([2, 0]);
    expect([...collection.unusable.keys()]).toEqual([]);
  });

  test("shows a role that is verified for one delegator and not for another as unusable", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "team");
    await simulator.delegate("targets", "other");
    await simulator.delegate("other", "team", { pairs: [await newPair()] });
    await simulator.publish("team", "other", "targets");
    const collection = await load(simulator);
    expect(collection.unusable.get("team")).toMatchObject({ code: "SIGNATURE_THRESHOLD" });
    expect([...collection.targets.keys()]).toEqual(["targets", "other"]);
  });

  test("takes a role for unusable that another delegator's keys have not signed, whoever comes first", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "other");
    await simulator.delegate("targets", "middle");
    await simulator.delegate("middle", "team");
    await simulator.delegate("other", "team", { pairs: [await newPair()] });
    await simulator.publish("team", "middle", "other", "targets");
    const collection = await load(simulator);
    expect([...collection.unusable.keys()]).toEqual(["team"]);
    expect([...collection.targets.keys()]).toEqual(["targets", "other", "middle"]);
  });

  test("shows a role with more bytes than were signed for it as unusable, and another limit as what it is", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "team");
    await simulator.publish("team", "targets");
    const file = `${simulator.roles.get("team")!.version}.team.json`;
    simulator.files.set(file, concatBytes([simulator.files.get(file)!, utf8Encode(" ")]));
    const collection = await load(simulator);
    expect(collection.unusable.get("team")).toMatchObject({
      code: "METADATA_TAMPERED",
      role: "team",
      details: { got: "more" },
    });
    simulator.files.set("timestamp.json", utf8Encode(" ".repeat(16_385)));
    expect(await codeOf(() => load(simulator))).toBe("RESPONSE_TOO_LARGE");
  });

  test("that fails is a failure, also where a role is read that may be unusable", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "team");
    await simulator.publish("team", "targets");
    const error = new StorageError("STORAGE_DENIED", "cannot read");
    simulator.onRequest = (file) => {
      if (file.includes("team")) throw error;
    };
    await expect(load(simulator)).rejects.toBe(error);
    simulator.onRequest = () => undefined;
    const floors = { ...memoryTufStore(), read: () => Promise.reject(error) };
    await expect(load(simulator, floors)).rejects.toBe(error);
    await expect(load(simulator)).resolves.toBeDefined();
  });

  test("must follow the floors that were kept, while their keys are root's", async () => {
    const simulator = await TufSimulator.create();
    const floors = memoryTufStore();
    await simulator.publish("targets");
    await simulator.client({ store: floors }).refresh();
    await expect(load(simulator, floors)).resolves.toBeDefined();
    simulator.timestamp.version = 1;
    await simulator.publishTimestamp();
    expect(await codeOf(() => load(simulator, floors))).toBe("METADATA_ROLLED_BACK");
    await simulator.rotate("timestamp");
    await simulator.publishRoot();
    await simulator.publishTimestamp();
    await expect(load(simulator, floors)).resolves.toBeDefined();
  });

  test("must list nothing older than the snapshot that was verified here", async () => {
    const simulator = await TufSimulator.create();
    const floors = memoryTufStore();
    await simulator.publish("targets");
    await simulator.publish("targets");
    await simulator.client({ store: floors }).refresh();
    simulator.targets.version = 1;
    await simulator.publish("targets");
    expect(await codeOf(() => load(simulator, floors))).toBe("METADATA_ROLLED_BACK");
    simulator.targets.version = 3;
    await simulator.publish("targets");
    await expect(load(simulator, floors)).resolves.toBeDefined();
  });

  test("must have the newest root that was verified here, or nothing is built upon it", async () => {
    const simulator = await TufSimulator.create();
    const floors = memoryTufStore();
    await simulator.publishRoot();
    await simulator.client({ store: floors }).refresh();
    const newest = simulator.files.get("2.root.json")!;
    simulator.files.delete("2.root.json");
    await expect(load(simulator, floors)).rejects.toMatchObject({
      code: "METADATA_ROLLED_BACK",
      role: "root",
      details: { expected: 2, got: 1 },
    });
    await expect(load(simulator)).resolves.toBeDefined(); // who has not seen it cannot miss it
    simulator.files.set("2.root.json", newest);
    await floors.writeRoot(3, utf8Encode("no root"));
    expect((await load(simulator, floors)).root.signed.version).toBe(2);
  });

  test("that withholds what it lists is said to", async () => {
    for (const file of ["timestamp.json", "1.snapshot.json", "1.targets.json"]) {
      const simulator = await TufSimulator.create();
      simulator.files.delete(file);
      expect(await codeOf(() => load(simulator))).toBe("TRUST_WITHHELD");
    }
  });
});

describe("a publish", () => {
  test("of a root that lets files be overwritten is refused before anybody signs", async () => {
    const rig = await Rig.make();
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    draft.root = { ...draft.root, consistentSnapshot: false };
    draft.dirty.add("root");
    const before = rig.store.snapshot();
    const env = environment(rig.all);
    expect(await codeOf(() => publishPending(rig.access, draft, pendingOf(draft, env.now), env))).toBe("USAGE");
    expect(rig.store.snapshot()).toEqual(before);
  });

  test("of documents that are not there, or of no root, is a defect that is said", () => {
    const rig = Rig.make();
    return rig.then(async ({ access }) => {
      const draft = TufDraft.of(await readBase(access, undefined));
      draft.dirty.add("nobody");
      expect(() => pendingOf(draft, () => NOW)).toThrow("the document of nobody is to be signed and is not there");
      expect(() => draftOf(undefined, new Map())).toThrow("a new collection needs a root");
    });
  });

  test("that is interrupted while it is read back ends so, and what was written is good", async () => {
    const rig = await Rig.make();
    const { store } = rig;
    const publish = store.publish.bind(store);
    const metadata = store.metadata.bind(store);
    let isWritten = false;
    store.publish = async (files, base) => {
      await publish(files, base);
      isWritten = true;
    };
    store.metadata = async (request) => {
      if (isWritten) throw new InterruptedError();
      return metadata(request);
    };
    expect(await codeOf(() => rig.publish([add("x")]))).toBe("INTERRUPTED");
    isWritten = false;
    store.publish = publish;
    expect(await rig.find("x")).toBeDefined();
  });

  test("that somebody follows at once is read back as what it has become", async () => {
    const rig = await Rig.make();
    const { store } = rig;
    const publish = store.publish.bind(store);
    store.publish = async (files, base) => {
      store.publish = publish;
      await publish(files, base);
      await rig.publish([{ action: "renew", role: "timestamp" }]);
    };
    await rig.publish([add("x")]);
    expect(decodeMetadata(store.files.get("timestamp.json")!, "timestamp").signed.version).toBe(3);
  });

  test("is told where a file that was written is another one", async () => {
    const rig = await Rig.make();
    const { store } = rig;
    const publish = store.publish.bind(store);
    store.publish = async (files, base) => {
      await publish(files, base);
      const root = store.files.get("1.root.json")!;
      const second = store.metadata.bind(store);
      let reads = 0;
      store.metadata = async (request) => (request.file === "2.targets.json" && reads++ > 0 ? root : second(request));
    };
    expect(await codeOf(() => rig.publish([add("x")]))).toBe("PUBLISH_UNREADABLE");
  });

  test("drops roles that nobody delegates to any more once the snapshot has other keys", async () => {
    const ada = await person();
    const fresh = await person();
    const rig = await Rig.make();
    const everybody = [...rig.all, ada, fresh];
    const listed = async (): Promise<string[]> =>
      [...(await readBase(rig.access, undefined)).snapshot.signed.meta.keys()].toSorted();
    await rig.publish([delegation("ada", ada), add("team/x", "ada")], everybody);
    await rig.publish([{ action: "undelegate", delegator: "targets", role: "ada" }], everybody);
    expect(await listed()).toEqual(["ada", "targets"]);
    const rotate = { action: "keys", role: "snapshot", add: [fresh.key], remove: [rig.online.key.id] } as const;
    await rig.publish([rotate], everybody);
    expect(await listed()).toEqual(["targets"]);
    expect(await rig.find("none")).toBeUndefined();
  });
});

describe("staging", () => {
  test("of what is so already is refused, and leaves nothing", async () => {
    const rig = await Rig.make();
    const staging = memoryStaging();
    const staged = stageChanges(
      rig.access,
      staging,
      () => [{ action: "remove", role: "targets", name: "none" }],
      environment(rig.all),
    );
    expect(await codeOf(() => staged)).toBe("USAGE");
    expect(staging.content).toBeUndefined();
    expect(await reviewStaged(rig.access, staging, environment([]))).toBeUndefined();
    for (const action of [
      () => publishStaged(rig.access, staging, environment(rig.all)),
      () => signStaged(rig.access, staging, "0", environment(rig.all)),
    ]) {
      expect(await codeOf(action)).toBe("USAGE");
    }
  });

  test("needs a collection, or the draft of a new one", async () => {
    const rig = await Rig.make();
    rig.anchor = undefined;
    const staging = memoryStaging();
    const staged = stageChanges(rig.access, staging, () => [add("x")], environment(rig.all));
    expect(await codeOf(() => staged)).toBe("TRUST_NOT_FOUND");
    expect(staging.content).toBeUndefined();
  });

  test("says why a key does not open, and that nothing is left to sign", async () => {
    const rig = await Rig.make();
    const staging = memoryStaging();
    const { digest, missing } = await stageChanges(rig.access, staging, () => [add("x")], environment([]));
    expect(missing).toHaveLength(1);
    const failure = new Error("wrong passphrase");
    const signing = { ...openSigningKeys(rig.all.map(({ signer }) => signer)), open: () => Promise.reject(failure) };
    const locked = signStaged(rig.access, staging, digest, { signing, now: () => NOW });
    await expect(locked).rejects.toBe(failure);
    const stranger = signStaged(rig.access, staging, digest, environment([await person()]));
    await expect(stranger).rejects.toMatchObject({
      code: "KEY_MISSING",
      hint: expect.stringMatching(/^Still to sign: /),
    });
    expect((await signStaged(rig.access, staging, digest, environment(rig.all))).missing).toEqual([]);
    const again = signStaged(rig.access, staging, digest, environment(rig.all));
    await expect(again).rejects.toMatchObject({ hint: "It has all its signatures: publish it" });
    await publishStaged(rig.access, staging, environment(rig.all));
    expect(await rig.find("x")).toBeDefined();
  });
});

describe("a repair", () => {
  test("renews nothing but what is asked for, and goes by each role's own keys", async () => {
    const [ada] = (await people(1)) as [Person];
    const rig = await Rig.make();
    await rig.publish([delegation("ada", ada)], [...rig.all, ada]);
    const all = await repairCollection(rig.access, { withinDays: 10_000 }, environment([...rig.all, ada]));
    expect(all.repaired.toSorted()).toEqual(["ada", "root", "snapshot", "targets", "timestamp"]);
    const some = await repairCollection(rig.access, { withinDays: 10_000 }, environment([rig.online]));
    expect(some.repaired.toSorted()).toEqual(["snapshot", "timestamp"]);
    expect(some.remaining.map(({ role }) => role).toSorted()).toEqual(["ada", "root", "targets"]);
    const none = await repairCollection(rig.access, {}, environment(rig.all));
    expect([none.repaired, none.remaining]).toEqual([[], []]);
  });
});

describe("a collection that is not published yet", () => {
  test("has the documents that it is made of, and no others", async () => {
    const rig = await Rig.make();
    const draft = rig.draft();
    expect([...draft.documents()].map(([role]) => role)).toEqual(["targets"]);
    expect(await allDocuments(draft)).toEqual([]);
    expect(draft.delegatorsOf("team")).toEqual([]);
    expect(draft.keyedRoles("team")).toEqual([]);
    expect(draft.keyedRoles("targets")).toMatchObject([{ role: "targets" }]);
    expect(draft.delegationBy("nobody", "team")).toBeUndefined();
    expect(draft.delegationBy("targets", "team")).toBeUndefined();
    expect(await codeOf(() => draft.document("team"))).toBe("DELEGATION_REFUSED");
    expect([...knownKeys(undefined)]).toEqual([]);
  });

  test("knows the keys of every document, but for those that nothing can be made of", async () => {
    const ada = await person();
    const rig = await Rig.make();
    await rig.publish([delegation("ada", ada)], [...rig.all, ada]);
    const base = await readBase(rig.access, undefined);
    const expected = [...rig.all, ada].map(({ signer }) => hexEncode(signer.publicKey.spki));
    expect([...knownKeys(base)].toSorted()).toEqual(expected.toSorted());
    const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, { keytype: "new" });
    (base.root.signed.keys as Map<string, TufKey>).set("odd", odd);
    expect(knownKeys(base).size).toBe(4);
  });
});

describe("a dry run", () => {
  test("refuses what clients that know the state before would not follow", async () => {
    const rig = await Rig.make();
    await rig.publish([{ action: "renew", role: "timestamp" }]);
    const before = rig.store.snapshot();
    expect(await codeOf(() => rig.publish([{ action: "reset-version", role: "timestamp" }]))).toBe("PUBLISH_REFUSED");
    expect(rig.store.snapshot()).toEqual(before);
    await rig.publish([add("x")]);
    expect(await rig.find("x")).toBeDefined();
  });

  test("passes on that the place cannot be read", async () => {
    const rig = await Rig.make();
    const { store } = rig;
    const metadata = store.metadata.bind(store);
    for (const error of [new Error("a defect"), new StorageError("STORAGE_DENIED", "cannot read")]) {
      let reads = 0;
      store.metadata = async (request) => {
        if (request.file === "2.root.json" && reads++ > 0) throw error;
        return metadata(request);
      };
      const before = store.snapshot();
      const refused = rig.publish([add("x")]);
      await expect(refused).rejects.toSatisfy((reason) => reason === error || (reason as Error).cause === error);
      expect(store.snapshot()).toEqual(before);
    }
    store.metadata = metadata;
    await rig.publish([add("x")]);
    expect(await rig.find("x")).toBeDefined();
  });
});

describe("the status of a collection", () => {
  test("tells keys that nothing can be made of, and roles without path patterns", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "hashed", { pathHashPrefixes: ["0"] });
    await simulator.delegateToBins("hashed", 1, "bin");
    const odd = new TufKey(
      "odd",
      { keytype: "new", scheme: "new", text: "?" },
      { keytype: "new", scheme: "new", keyval: { public: "?" } },
    );
    simulator.root.keys = new Map([...simulator.root.keys, ["odd", odd]]);
    const targets = simulator.root.roles.get("targets")!;
    simulator.root.roles = new Map([
      ...simulator.root.roles,
      ["targets", { ...targets, keyIds: [...targets.keyIds, "odd", "nobody"] }],
    ]);
    await simulator.publishRoot();
    await simulator.publish("bin-0", "bin-1", "hashed", "targets");
    const base = await loadPublished(simulator.repository, { anchor: simulator.anchor });
    const status = await statusOf(base, openSigningKeys([]), NOW);
    const of = (role: string) => status.find((one) => one.role === role);
    expect(of("targets")?.keys).toMatchObject([
      { held: false, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) },
      { keyId: "odd", held: false, fingerprint: undefined },
    ]);
    expect(of("hashed")).toMatchObject({ paths: undefined, threshold: 1, signable: false });
    expect(of("bin-1")).toMatchObject({ paths: undefined, threshold: 1, version: 2 });
  });
});

describe("keys of one role among others", () => {
  test("change alone, and a stolen one leaves hash bins, too", async () => {
    const [ada, bob, eve] = (await people(3)) as [Person, Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, ada, bob, eve];
    const bins = { action: "bins", delegator: "ada", namePrefix: "bin", bitLength: 1, threshold: 1 } as const;
    await rig.publish([delegation("ada", ada), delegation("bob", bob, ["b/*"])], everybody);
    await rig.publish(
      [
        { action: "keys", role: "ada", add: [bob.key] },
        { ...bins, keys: [eve.key] },
      ],
      everybody,
    );
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    const { roles } = (await draft.document("targets")).delegations!;
    expect(roles.map(({ keyIds }) => keyIds.length)).toEqual([2, 1]);
    const fingerprint = await eve.key.publicKey!.fingerprint();
    expect(await revocation(draft, { fingerprint, replacement: bob.key })).toEqual([
      { action: "keys", role: "bin-0", delegator: "ada", add: [bob.key], remove: [eve.key.id] },
    ]);
  });
});

describe("what is staged", () => {
  test("is dropped only where it is still what was looked at", async () => {
    const staging = memoryStaging();
    staging.content = new Uint8Array([1]);
    await dropStaged(staging, new Uint8Array([2]));
    expect(staging.content).toEqual(new Uint8Array([1]));
    await dropStaged(staging, new Uint8Array([1]));
    expect(staging.content).toBeUndefined();
    await dropStaged(staging, new Uint8Array([1]));
    expect(staging.content).toBeUndefined();
    staging.content = new Uint8Array([3]);
    await dropStaged(staging);
    expect(staging.content).toBeUndefined();
  });
});

describe("a tree of roles", () => {
  test("that is too wide to look at ends the reading", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "team");
    simulator.changeDelegations("targets", ({ keys, roles: [team], extra }) => ({
      keys,
      roles: Array.from({ length: 20_001 }, (_, index) => Object.assign({}, team, { name: `r${index}` })),
      extra,
    }));
    await simulator.publish("targets");
    const refused = loadPublished(simulator.repository, { anchor: simulator.anchor });
    expect(await codeOf(() => refused)).toBe("LIMIT_EXCEEDED");
  });
});

describe("a place where publishers keep overwriting each other", () => {
  test("is given up on, with nothing of one's own published, and can be published to when it is quiet", async () => {
    const rig = await Rig.make();
    const before = await rig.find("app/v1");
    const busy = { documents: undefined, isAsked: false, isWaiting: true };
    let rounds = 0;
    const store = Object.assign(Object.create(rig.store) as typeof rig.store, {
      coordinate: () => ({
        begin: async () => {
          rounds++;
          return busy;
        },
        apply: async () => undefined,
        announce: async () => true,
        failed: () => false,
      }),
    });
    const publish = () => publishChanges({ ...rig.access, store }, () => [add("app/v1")], environment(rig.all));
    expect(await codeOf(publish)).toBe("TRUST_CONFLICT");
    expect(rounds).toBe(500);
    expect(await rig.find("app/v1")).toEqual(before);
    await rig.publish([add("app/v1")]);
    expect(await rig.find("app/v1")).toBeDefined();
  });
});

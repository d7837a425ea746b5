import { describe, expect, test } from "vitest";
import { prefixPatterns } from "../../src/tuf/editor.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { publishChanges, publishNew, readBase } from "../../src/tuf/publish.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { codeOf } from "../support/error-code.ts";
import {
  add,
  DAY,
  environment,
  expectRefusal,
  NOW,
  people,
  person,
  Rig,
  type Person,
} from "../support/tuf-publishing.ts";

/** Asserts that an action is refused, changes nothing, and that the next honest publish works. */
describe("publishing", () => {
  test("makes a collection that a client opens", async () => {
    const rig = await Rig.make();
    expect(rig.store.written).toEqual(["1.targets.json", "1.snapshot.json", "timestamp.json", "1.root.json"]);
    await rig.publish([add("app/v1")]);
    expect((await rig.find("app/v1"))?.file.length).toBe(6);
    expect(rig.store.written.slice(4)).toEqual(["2.targets.json", "2.snapshot.json", "timestamp.json"]);
  });

  test("makes no second collection in the same place", async () => {
    const rig = await Rig.make();
    await expectRefusal(rig, "TRUST_EXISTS", () =>
      publishNew({ store: rig.store, anchor: undefined }, rig.draft(), environment(rig.all)),
    );
  });

  test("writes nothing where everything is so already", async () => {
    const rig = await Rig.make();
    await rig.publish([add("app/v1")]);
    const { files } = await rig.publish([add("app/v1"), { action: "remove", role: "targets", name: "none" }]);
    expect(files).toEqual([]);
  });

  test("keeps unknown fields, of documents, keys, roles and targets", async () => {
    const rig = await Rig.make();
    await rig.publish([{ action: "periods", role: "targets", periods: { expiry: 90, signing: 20 } }]);
    await rig.publish([add("app/v1")]);
    const { signed } = decodeMetadata(rig.store.files.get("3.targets.json")!, "targets");
    expect(signed.extra).toMatchObject({ "x-tuf-on-ci-expiry-period": 90, "x-tuf-on-ci-signing-period": 20 });
    expect(signed.expires).toEqual(new Date(NOW.getTime() + 90 * DAY));
  });

  test("keeps the periods of online roles in root, and signs with them", async () => {
    const rig = await Rig.make();
    await rig.publish([{ action: "periods", role: "timestamp", periods: { expiry: 3, signing: 1 } }]);
    const { signed } = decodeMetadata(rig.store.files.get("timestamp.json")!, "timestamp");
    expect(signed.expires).toEqual(new Date(NOW.getTime() + 3 * DAY));
    expect(decodeMetadata(rig.store.files.get("2.root.json")!, "root").signed.roles.get("timestamp")?.extra).toEqual({
      "x-tuf-on-ci-expiry-period": 3,
      "x-tuf-on-ci-signing-period": 1,
    });
  });

  test("renews snapshot and timestamp when they are due, and only then", async () => {
    const rig = await Rig.make();
    rig.now = new Date(NOW.getTime() + 10 * DAY);
    expect((await rig.publish([], [rig.online])).files).toEqual([]);
    rig.now = new Date(NOW.getTime() + 20 * DAY);
    const { files } = await rig.publish([], [rig.online]);
    expect(files.map(({ role }) => role)).toEqual(["snapshot", "timestamp"]);
    expect((await rig.publish([], [rig.online])).files).toEqual([]);
  });

  test("loses no update of a publisher who was faster", async () => {
    const rig = await Rig.make();
    rig.store.beforePublish = async () => void (await rig.publish([add("fast/v1")]));
    await rig.publish([add("slow/v1")]);
    expect(await rig.find("fast/v1")).toBeDefined();
    expect(await rig.find("slow/v1")).toBeDefined();
  });

  test("succeeds where somebody else publishes while it is read back", async () => {
    const rig = await Rig.make();
    const { store } = rig;
    let written = false;
    const other = {
      location: store.location,
      target: () => store.target(),
      inTurn: <T>(action: () => Promise<T>) => store.inTurn(action),
      publish: async (...given: Parameters<typeof store.publish>) => {
        await store.publish(...given);
        written = true;
      },
      metadata: async (request: { readonly file: string }) => {
        const bytes = await store.metadata(request);
        if (written && request.file === "timestamp.json") {
          written = false;
          await rig.publish([add("app/v2")]);
        }
        return bytes;
      },
    };
    const access = { ...rig.access, store: other };
    const { files } = await publishChanges(access, () => [add("app/v1")], environment(rig.all));
    expect(files).toHaveLength(3);
    for (const name of ["app/v1", "app/v2"]) expect(await rig.find(name)).toBeDefined();
  });

  test("fifty publishers at once all land", async () => {
    const rig = await Rig.make();
    await Promise.all(Array.from({ length: 50 }, (_, index) => rig.publish([add(`app/v${index}`)])));
    const { signed } = decodeMetadata(rig.store.files.get("51.targets.json")!, "targets");
    expect(signed.targets.size).toBe(50);
  });

  test("signs for names that look like members of objects", async () => {
    const rig = await Rig.make();
    await rig.publish(["__proto__", "constructor", "1", "toString"].map((name) => add(name)));
    for (const name of ["__proto__", "constructor", "1", "toString"]) expect(await rig.find(name)).toBeDefined();
  });
});

describe("delegations", () => {
  test("let somebody publish under a prefix, at any depth, and nowhere else", async () => {
    const ada = await person();
    const rig = await Rig.make();
    const paths = prefixPatterns("team/");
    await rig.publish(
      [{ action: "delegate", delegator: "targets", role: "ada", keys: [ada.key], paths }],
      [...rig.all, ada],
    );
    await rig.publish([add("team/app/v1", "ada"), add("team/x", "ada")], [ada, rig.online]);
    expect((await rig.find("team/app/v1"))?.role).toBe("ada");
    await expectRefusal(rig, "DELEGATION_REFUSED", () => rig.publish([add("other/app/v1", "ada")], [ada, rig.online]));
  });

  test("publish the first document of a role with the delegation to it", async () => {
    const ada = await person();
    const rig = await Rig.make();
    await rig.publish(
      [{ action: "delegate", delegator: "targets", role: "ada", keys: [ada.key], paths: ["team/*"] }],
      [...rig.all, ada],
    );
    expect(rig.store.files.has("1.ada.json")).toBe(true);
    expect(await rig.find("team/none")).toBeUndefined();
  });

  test("go over several levels, and end without a trace in the search", async () => {
    const [ada, bob] = await people(2);
    const rig = await Rig.make();
    await rig.publish(
      [
        { action: "delegate", delegator: "targets", role: "ada", keys: [ada!.key], paths: prefixPatterns("team/") },
        { action: "delegate", delegator: "ada", role: "bob", keys: [bob!.key], paths: prefixPatterns("team/bob/") },
        add("team/bob/v1", "bob"),
      ],
      [...rig.all, ada!, bob!],
    );
    expect((await rig.find("team/bob/v1"))?.role).toBe("bob");
    await rig.publish([{ action: "undelegate", delegator: "ada", role: "bob" }], [...rig.all, ada!]);
    expect(await rig.find("team/bob/v1")).toBeUndefined();
    const returning = memoryTufStore();
    await rig.client(returning).refresh();
    await rig.publish(
      [{ action: "delegate", delegator: "ada", role: "bob", keys: [bob!.key], paths: ["team/bob/*"] }],
      [...rig.all, ada!, bob!],
    );
    await rig.client(returning).refresh();
    const { signed } = decodeMetadata(rig.store.files.get("2.bob.json")!, "targets");
    expect(signed.targets.size).toBe(0);
  });

  test("stay listed for those who saw them, until the snapshot has other keys", async () => {
    const [ada, other] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    const prefix = { action: "delegate", delegator: "targets", paths: prefixPatterns("team/") } as const;
    await rig.publish([{ ...prefix, role: "ada", keys: [ada.key] }, add("x")], [...rig.all, ada]);
    const returning = memoryTufStore();
    await rig.client(returning).refresh();
    const listed = async () => [...(await readBase(rig.access, undefined)).snapshot.signed.meta.keys()].toSorted();

    await rig.publish([{ action: "undelegate", delegator: "targets", role: "ada" }]);
    expect(await listed()).toEqual(["ada", "targets"]);
    await rig.client(returning).refresh();
    const rotation = { action: "keys", role: "snapshot", add: [other.key], remove: [rig.online.key.id] } as const;
    await rig.publish([rotation], [...rig.all, other]);
    expect(await listed()).toEqual(["targets"]);
    await rig.client(returning).refresh();
    expect((await rig.find("x"))?.role).toBe("targets");
  });

  test("refuse a name that clients would take somebody else's word for", async () => {
    const [ada, bob] = await people(2);
    const rig = await Rig.make();
    const delegate = { action: "delegate", delegator: "targets", paths: ["team/*"] } as const;
    await rig.publish(
      [
        { ...delegate, role: "ada", keys: [ada!.key] },
        { ...delegate, role: "bob", keys: [bob!.key] },
        add("team/x", "ada", "a"),
      ],
      [...rig.all, ada!, bob!],
    );
    await expectRefusal(rig, "DELEGATION_REFUSED", () => rig.publish([add("team/x", "bob", "b")], [bob!, rig.online]));
  });

  test("spread targets over hash bins, and over more of them later", async () => {
    const bins = await person();
    const rig = await Rig.make();
    const names = Array.from({ length: 100 }, (_, index) => `app/v${index}`);
    await rig.publish(names.map((name) => add(name)));
    const spread = { action: "bins", delegator: "targets", keys: [bins.key], threshold: 1 } as const;
    await rig.publish([{ ...spread, namePrefix: "bin", bitLength: 3 }], [...rig.all, bins]);
    for (const name of names) expect((await rig.find(name))?.role).toMatch(/^bin-[0-7]$/);
    await rig.publish([{ ...spread, namePrefix: "b", bitLength: 5 }], [...rig.all, bins]);
    for (const name of names) expect((await rig.find(name))?.role).toMatch(/^b-[01][0-9a-f]$/);
  });
});

describe("keys", () => {
  test("of root rotate, signed by old and new, and old clients follow", async () => {
    const rig = await Rig.make();
    const returning = memoryTufStore();
    await rig.client(returning).refresh();
    const fresh = await person();
    await rig.publish(
      [{ action: "keys", role: "root", add: [fresh.key], remove: [rig.root.key.id] }],
      [...rig.all, fresh],
    );
    const { signatures } = decodeMetadata(rig.store.files.get("2.root.json")!, "root");
    expect(signatures.map(({ keyId }) => keyId).toSorted()).toEqual([rig.root.key.id, fresh.key.id].toSorted());
    await rig.client(returning).refresh();
    await expectRefusal(rig, "KEY_MISSING", () => rig.publish([{ action: "renew", role: "root" }]));
  });

  test("of every role rotate in one publish, and thresholds rise", async () => {
    const rig = await Rig.make();
    const returning = memoryTufStore();
    await rig.client(returning).refresh();
    const fresh = await people(2);
    const keys = fresh.map(({ key }) => key);
    const rotate = (role: string, old: string) =>
      ({ action: "keys", role, add: keys, remove: [old], threshold: 2 }) as const;
    await rig.publish(
      [
        rotate("root", rig.root.key.id),
        rotate("targets", rig.targets.key.id),
        rotate("snapshot", rig.online.key.id),
        rotate("timestamp", rig.online.key.id),
        add("app/v1"),
      ],
      [...rig.all, ...fresh],
    );
    await rig.client(returning).refresh();
    await rig.publish([add("app/v2")], fresh);
    expect(await codeOf(() => rig.publish([add("app/v3")], [fresh[0]!]))).toBe("KEY_MISSING");
    expect(await rig.find("app/v2")).toBeDefined();
  });

  test("each moment between two writes of a rotation is a good state for clients of either root", async () => {
    const rig = await Rig.make();
    const returning = memoryTufStore();
    await rig.client(returning).refresh();
    const before = rig.store.snapshot();
    const fresh = await person();
    const { files } = await rig.publish(
      [
        { action: "keys", role: "timestamp", add: [fresh.key], remove: [rig.online.key.id] },
        { action: "keys", role: "snapshot", add: [fresh.key], remove: [rig.online.key.id] },
        { action: "keys", role: "targets", add: [fresh.key], remove: [rig.targets.key.id] },
      ],
      [...rig.all, fresh],
    );
    expect(files.at(-1)?.role).toBe("root");
    const partial = new Map(before);
    rig.store.files.clear();
    for (const { file, bytes } of [undefined, ...files].map((one) => one ?? { file: "", bytes: new Uint8Array() })) {
      if (file !== "") partial.set(file, bytes);
      rig.store.files.clear();
      for (const [name, content] of partial) rig.store.files.set(name, content);
      await rig.client().refresh();
      await rig.client(returning).refresh();
    }
  });

  test("put root first where a lost key makes the former root's clients fail in any case", async () => {
    const rig = await Rig.make();
    const fresh = await person();
    const { files } = await rig.publish(
      [{ action: "keys", role: "targets", add: [fresh.key], remove: [rig.targets.key.id] }],
      [rig.root, rig.online, fresh],
    );
    expect(files[0]?.role).toBe("root");
    expect(await rig.client().refresh()).toBeDefined();
  });
});

/** What our own client is asked before a publish, and what is never published because it would refuse. */
import { describe, expect, test } from "vitest";
import { StorageError, TrustError } from "../../src/base/errors.ts";
import { TufDraft } from "../../src/tuf/draft.ts";
import { applyChanges } from "../../src/tuf/editor.ts";
import { pendingOf, signPending } from "../../src/tuf/pending.ts";
import { publishChanges, publishNew, publishPending, readBase } from "../../src/tuf/publish.ts";
import { repairCollection } from "../../src/tuf/repair.ts";
import {
  add,
  DAY,
  environment,
  MemoryPublisherStore,
  NOW,
  people,
  person,
  Rig,
  type Person,
} from "../support/tuf-publishing.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

const delegation = (role: string, { key }: Person, paths = ["team/*"], delegator = "targets") =>
  ({ action: "delegate", delegator, role, keys: [key], paths }) as const;

/** Asserts that a publish is refused, changes nothing, and that the next honest one works. */
async function expectRefusal(rig: Rig, expected: object, action: () => Promise<unknown>): Promise<void> {
  const before = rig.store.snapshot();
  await expect(action()).rejects.toMatchObject(expected);
  expect(rig.store.snapshot()).toEqual(before);
  await rig.publish([add("honest")]);
  expect((await rig.find("honest"))?.role).toBe("targets");
}

describe("a publish is refused", () => {
  test("where a role that is asked before has the last word on a name", async () => {
    const [ada, bob, cid] = (await people(3)) as [Person, Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, ada, bob, cid];
    await rig.publish([delegation("ada", ada), delegation("bob", bob)], everybody);
    await rig.publish([{ ...delegation("cid", cid, ["team/*"], "ada"), terminating: true }], everybody);
    const refused = {
      code: "DELEGATION_REFUSED",
      role: "bob",
      message: `clients that look for "team/x" would take nobody's word for it, not bob's`,
      hint: "Sign it there, or delegate to bob before the others",
      details: { target: "team/x" },
    };
    await expectRefusal(rig, refused, () => rig.publish([add("team/x", "bob")], [bob, rig.online]));
    await rig.publish([add("team/x", "ada", "a")], [ada, rig.online]);
    const others = { ...refused, message: `clients that look for "team/x" would take ada's word for it, not bob's` };
    await expectRefusal(rig, others, () => rig.publish([add("team/x", "bob", "b")], [bob, rig.online]));
  });

  test("where clients that have the same version of the timestamp already would not look at it", async () => {
    const rig = await Rig.make();
    rig.now = new Date(NOW.getTime() + DAY);
    const reset = { action: "reset-version", role: "timestamp" } as const;
    await expectRefusal(
      rig,
      {
        code: "PUBLISH_REFUSED",
        message: "clients would refuse the new trust data: clients that know the state before would stay with it",
        role: "timestamp",
        details: { code: "METADATA_ROLLED_BACK" },
        hint: "Nothing was published",
        cause: { details: { expected: 1, got: 1 } },
      },
      () => rig.publish([reset]),
    );
  });

  test.each(["snapshot", "targets"] as const)(
    "where clients have seen a higher version of %s already",
    async (role) => {
      const rig = await Rig.make();
      const leap = (draft: TufDraft) => {
        draft.leap = 10;
        return [add("x")];
      };
      await publishChanges(rig.access, leap, environment(rig.all));
      await expectRefusal(rig, { code: "PUBLISH_REFUSED", details: { code: "METADATA_ROLLED_BACK" } }, () =>
        rig.publish([{ action: "reset-version", role }]),
      );
    },
  );

  test("where its own documents would have expired when the timestamp is due again", async () => {
    const rig = await Rig.make();
    const periods = (expiry: number) =>
      ({ action: "periods", role: "targets", periods: { expiry, signing: 2 } }) as const;
    await expectRefusal(rig, { code: "PUBLISH_REFUSED", role: "targets", details: { code: "METADATA_EXPIRED" } }, () =>
      rig.publish([periods(10)]),
    );
    expect((await rig.publish([periods(11)])).warnings).toEqual([]);
  });

  test("of a document that its keys have not signed, for each of its delegators", async () => {
    const [a, b, c, d] = (await people(4)) as [Person, Person, Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, a, b, c, d];
    await rig.publish(
      [
        delegation("a", a),
        delegation("b", b),
        delegation("c", c, ["team/*"], "a"),
        delegation("c", d, ["team/*"], "b"),
      ],
      everybody,
    );
    for (const [role, signers] of [
      ["targets", []],
      ["a", []],
      ["c", [c]],
      ["c", [d]],
    ] as const) {
      const base = await readBase(rig.access, undefined);
      const draft = TufDraft.of(base);
      draft.update(role, await draft.document(role));
      const env = environment([rig.online, ...signers]);
      const { pending } = await signPending(base, pendingOf(draft, env.now), env.signing);
      await expectRefusal(rig, { code: "PUBLISH_REFUSED", role, details: { code: "SIGNATURE_THRESHOLD" } }, () =>
        publishPending(rig.access, draft, pending, env),
      );
    }
    await rig.publish([add("team/x", "c")], everybody);
    expect((await rig.find("team/x"))?.role).toBe("c");
  });

  test("while the place cannot be read, also when only the order of its files is left to find", async () => {
    const rig = await Rig.make();
    const fresh = await person();
    const { store } = rig;
    const metadata = store.metadata.bind(store);
    const defect = new Error("a defect");
    let reads = 0;
    store.metadata = async (request) => {
      if (request.file === "2.root.json" && reads++ > 0) throw defect;
      return metadata(request);
    };
    const before = store.snapshot();
    const rotate = { action: "keys", role: "root", add: [fresh.key] } as const;
    await expect(rig.publish([rotate], [...rig.all, fresh])).rejects.toBe(defect);
    expect(store.snapshot()).toEqual(before);
    // 2, 3: by a new client and one that knows the state before; 4, 5: today, and when the timestamp is due
    for (let failing = 2; failing <= 5; failing++) {
      for (const error of [
        new StorageError("STORAGE_DENIED", "cannot read"),
        new TrustError("SIGNATURE_THRESHOLD", "not signed", { role: "other" }),
        defect,
      ]) {
        let nth = 0;
        store.metadata = async (request) => {
          if (request.file === "2.root.json" && ++nth === failing) throw error;
          return metadata(request);
        };
        const refused = await rig.publish([add("x")]).catch((reason: unknown) => reason);
        if (error === defect) expect(refused).toBe(defect);
        else expect(refused, `${failing} ${error.message}`).toMatchObject({ code: "PUBLISH_REFUSED", cause: error });
        expect(nth).toBe(failing);
        expect(store.snapshot()).toEqual(before);
      }
    }
    store.metadata = metadata;
    await rig.publish([rotate], [...rig.all, fresh]);
    expect(store.files.has("2.root.json")).toBe(true);
  });
});

describe("a publish goes on", () => {
  test("with a new collection that delegates from the beginning", async () => {
    const ada = await person();
    const rig = await Rig.make();
    const draft = rig.draft();
    await applyChanges(draft, [delegation("ada", ada), add("team/x", "ada")]);
    rig.store.files.clear();
    await publishNew({ store: rig.store, anchor: undefined }, draft, environment([...rig.all, ada]));
    rig.anchor = rig.store.files.get("1.root.json");
    expect((await rig.find("team/x"))?.role).toBe("ada");
  });

  test("in a collection where other tools have made a circle of delegations", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "ada");
    await simulator.delegate("ada", "bob");
    await simulator.delegate("bob", "ada");
    await simulator.publish("bob", "ada", "targets");
    const store = new MemoryPublisherStore();
    for (const [name, bytes] of simulator.files) store.files.set(name, bytes);
    const keys = [...simulator.signers.values()].flat();
    await publishChanges({ store, anchor: simulator.anchor }, () => [add("x", "bob")], environment(keys));
    const client = simulator.client({ repository: store, now: () => NOW });
    await client.refresh();
    expect((await client.find("x"))?.role).toBe("bob");
  });

  test("where a name that it does not touch is somebody else's by now", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, ada, bob];
    await rig.publish([delegation("ada", ada), delegation("bob", bob), add("team/x", "bob", "b")], everybody);
    await rig.publish([add("team/x", "ada", "a")], everybody);
    await rig.publish([add("team/y", "bob")], everybody);
    expect((await rig.find("team/x"))?.role).toBe("ada");
    expect((await rig.find("team/y"))?.role).toBe("bob");
  });

  test("where what others signed will expire soon, and says so once; where it has, only to repair it", async () => {
    const rig = await Rig.make();
    const expiry = NOW.getTime() + 365 * DAY;
    rig.now = new Date(expiry - 10 * DAY - 1000);
    await rig.publish([{ action: "renew", role: "targets" }]);
    expect((await rig.publish([add("a")])).warnings).toEqual([]);
    rig.now = new Date(expiry - 10 * DAY);
    expect((await rig.publish([add("b")])).warnings).toEqual([
      expect.stringMatching(/^within 10 days the metadata of root expired/),
    ]);
    rig.now = new Date(expiry);
    await expect(rig.publish([add("c")])).rejects.toMatchObject({ code: "METADATA_EXPIRED", role: "root" });
    const { warnings, remaining } = await repairCollection(
      rig.access,
      { withinDays: 40 },
      environment([rig.online], rig.now),
    );
    expect(remaining.map(({ role }) => role)).toEqual(["root"]);
    expect(warnings).toEqual([expect.stringMatching(/^the metadata of root expired/)]);
  });

  test("and puts root last while clients of the former one accept all the rest, and first where they cannot", async () => {
    const rig = await Rig.make();
    const fresh = await person();
    const order = ({ files }: { readonly files: readonly { readonly role: string }[] }) =>
      files.map(({ role }) => role);
    const rotate = { action: "keys", role: "targets", add: [fresh.key], remove: [rig.targets.key.id] } as const;
    expect(order(await rig.publish([rotate], [...rig.all, fresh]))).toEqual([
      "targets",
      "snapshot",
      "timestamp",
      "root",
    ]);
    const back = { action: "keys", role: "targets", add: [rig.targets.key], remove: [fresh.key.id] } as const;
    expect(order(await rig.publish([back]))).toEqual(["root", "targets", "snapshot", "timestamp"]);
    expect(order(await rig.publish([{ action: "renew", role: "root" }]))).toEqual(["root"]);
    expect(order(await rig.publish([add("x")]))).toEqual(["targets", "snapshot", "timestamp"]);
    expect(await rig.find("x")).toBeDefined();
  });
});

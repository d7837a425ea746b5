/** What our own client is asked before a publish, and what is never published because it would refuse. */
import { describe, expect, test } from "vitest";
import { TufDraft } from "../../src/tuf/draft.ts";
import { pendingOf, signPending } from "../../src/tuf/pending.ts";
import { publishPending, readBase } from "../../src/tuf/publish.ts";
import { repairCollection } from "../../src/tuf/repair.ts";
import { add, DAY, environment, NOW, people, person, Rig, type Person } from "../support/tuf-publishing.ts";

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
        role: "timestamp",
        details: { code: "METADATA_ROLLED_BACK" },
        hint: "Nothing was published",
      },
      () => rig.publish([reset]),
    );
  });

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
    store.metadata = metadata;
    await rig.publish([rotate], [...rig.all, fresh]);
    expect(store.files.has("2.root.json")).toBe(true);
  });
});

describe("a publish goes on", () => {
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

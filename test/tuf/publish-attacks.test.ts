/** What those try who have a place to publish to, or some of the keys, and not the others. */
import { describe, expect, test } from "vitest";
import { equalBytes } from "../../src/base/bytes.ts";
import { publishChanges } from "../../src/tuf/publish.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { codeOf } from "../support/error-code.ts";
import {
  add,
  DAY,
  environment,
  expectRefusal,
  MemoryPublisherStore,
  NOW,
  people,
  person,
  Rig,
} from "../support/tuf-publishing.ts";

/** Asserts that an action is refused, changes nothing, and that the next honest publish works. */
describe("attacks on publishers (A16)", () => {
  test("refuses to sign with a key that the role does not have", async () => {
    const rig = await Rig.make();
    const stranger = await person();
    await expectRefusal(rig, "KEY_MISSING", () => rig.publish([add("app/v1")], [stranger, rig.online]));
  });

  test("refuses a signer that gives another key's signatures", async () => {
    const rig = await Rig.make();
    const stranger = await person();
    const { signing, now } = environment([rig.online]);
    const lying = {
      ...signing,
      holds: async () => true,
      open: async () => stranger.signer,
    };
    await expectRefusal(rig, "KEY_INVALID", () =>
      publishChanges(rig.access, () => [add("app/v1")], { signing: lying, now }),
    );
  });

  test("refuses to publish below a threshold", async () => {
    const [a, b] = await people(2);
    const rig = await Rig.make({ targets: { keys: [a!.key, b!.key], threshold: 2 } }, [a!, b!]);
    const before = rig.store.snapshot();
    expect(await codeOf(() => rig.publish([add("app/v1")], [a!, rig.online]))).toBe("KEY_MISSING");
    expect(rig.store.snapshot()).toEqual(before);
    await rig.publish([add("app/v1")], [a!, b!, rig.online]);
    expect(await rig.find("app/v1")).toBeDefined();
  });

  test("refuses a role whose threshold is met by one key under two ids", async () => {
    const rig = await Rig.make();
    const { key } = await person();
    const twin = Object.assign(Object.create(Object.getPrototypeOf(key) as object), key, { id: "twin" });
    await expectRefusal(rig, "USAGE", () =>
      rig.publish([{ action: "keys", role: "targets", add: [key, twin], threshold: 3 }]),
    );
  });

  test("refuses a new key of which nobody shows that they hold it", async () => {
    const rig = await Rig.make();
    const ada = await person();
    await expectRefusal(rig, "KEY_MISSING", () => rig.publish([{ action: "keys", role: "timestamp", add: [ada.key] }]));
  });

  test.each([0, -1, 1.5, 3, Number.NaN, 2 ** 53])("refuses the threshold %d for two keys", async (threshold) => {
    const rig = await Rig.make();
    const ada = await person();
    await expectRefusal(rig, "USAGE", () =>
      rig.publish([{ action: "keys", role: "targets", add: [ada.key], threshold }], [...rig.all, ada]),
    );
  });

  test.each(["root", "timestamp", "snapshot", "targets"])("refuses to remove the last key of %s", async (role) => {
    const rig = await Rig.make();
    const key = { root: rig.root, targets: rig.targets }[role] ?? rig.online;
    await expectRefusal(rig, "USAGE", () => rig.publish([{ action: "keys", role, remove: [key.key.id] }]));
  });

  test("refuses circles of delegations, short and long", async () => {
    const [a, b, c] = await people(3);
    const rig = await Rig.make();
    const everybody = [...rig.all, a!, b!, c!];
    const delegate = (delegator: string, role: string, { key }: { key: (typeof rig.root)["key"] }) =>
      ({ action: "delegate", delegator, role, keys: [key], paths: ["x/*"] }) as const;
    await rig.publish([delegate("targets", "a", a!), delegate("a", "b", b!), delegate("b", "c", c!)], everybody);
    for (const change of [delegate("c", "a", a!), delegate("a", "a", a!), delegate("b", "a", a!)]) {
      await expectRefusal(rig, "ROLE_INVALID", () => rig.publish([change], everybody));
    }
  });

  test.each(["timestamp", "snapshot", "targets"] as const)("refuses to move the version of %s back", async (role) => {
    const rig = await Rig.make();
    await rig.publish([add("app/v1")]);
    await rig.publish([add("app/v2")]);
    const reset = { action: "reset-version", role } as const;
    // snapshot and targets find no unused version below their own, so that nothing goes back
    if (role === "timestamp") await expectRefusal(rig, "PUBLISH_REFUSED", () => rig.publish([reset]));
    else await rig.publish([reset]);
    expect((await rig.client().refresh()).warnings).toEqual([]);
  });

  test("refuses to publish on top of what has expired, says who, and repairs by name", async () => {
    const rig = await Rig.make();
    rig.now = new Date(NOW.getTime() + 400 * DAY);
    const before = rig.store.snapshot();
    expect(await codeOf(() => rig.publish([add("app/v1")], [rig.targets, rig.online]))).toBe("METADATA_EXPIRED");
    expect(rig.store.snapshot()).toEqual(before);
    await rig.publish([{ action: "renew", role: "root" }, add("app/v1")]);
    expect(await rig.find("app/v1")).toBeDefined();
  });

  test.each([
    ["..", "parent"],
    ["a/../b", "parent inside"],
    ["./a", "itself"],
    ["/a", "absolute"],
    ["a/", "ends with a slash"],
    ["a//b", "empty part"],
    ["", "empty"],
    ["a\\b", "backslash"],
    ["a\nb", "control"],
    ["a\u0000", "NUL"],
    ["a\u202eb", "bidirectional"],
    ["a\ud800", "lone surrogate"],
    ["e\u0301", "not NFC"],
    ["\u{1f600}", "astral"],
    ["x".repeat(5000), "5 kB"],
    ["x".repeat(126), "long part"],
  ])("refuses the target name %j (%s)", async (name) => {
    const rig = await Rig.make();
    await expectRefusal(rig, "TARGET_NAME_INVALID", () => rig.publish([add(name, "targets", "a")]));
  });

  test("refuses names that clients order differently", async () => {
    const rig = await Rig.make();
    await expectRefusal(rig, "TARGET_NAME_INVALID", () => rig.publish([add("a"), add("a b")]));
  });

  test.each(["[a]", "a\\*", "{a,b}", "!a", "#a", "../*", "a//*", "", "*\n"])(
    "refuses the pattern %j",
    async (pattern) => {
      const rig = await Rig.make();
      const ada = await person();
      await expectRefusal(rig, "USAGE", () =>
        rig.publish(
          [{ action: "delegate", delegator: "targets", role: "ada", keys: [ada.key], paths: [pattern] }],
          [...rig.all, ada],
        ),
      );
    },
  );

  test.each(["root", "timestamp", "a/b", "..", "", "1.x", "a b", "a%2f", "x".repeat(200), "_x", "é"])(
    "refuses the role name %j",
    async (role) => {
      const rig = await Rig.make();
      const ada = await person();
      await expectRefusal(rig, "ROLE_INVALID", () =>
        rig.publish(
          [{ action: "delegate", delegator: "targets", role, keys: [ada.key], paths: ["x"] }],
          [...rig.all, ada],
        ),
      );
    },
  );

  test.each([
    { length: -1, hashes: { sha256: "a".repeat(64) } },
    { length: 1.5, hashes: { sha256: "a".repeat(64) } },
    { length: 1, hashes: {} },
    { length: 1, hashes: { md5: "a".repeat(32) } },
    { length: 1, hashes: { sha256: "A".repeat(64) } },
    { length: 1, hashes: { sha256: "a".repeat(63) } },
  ])("refuses content that clients cannot verify: %j", async (bad) => {
    const rig = await Rig.make();
    await expectRefusal(rig, "TARGET_INVALID", () =>
      rig.publish([{ action: "add", role: "targets", name: "x", content: bad }]),
    );
  });

  test("refuses a repository that withholds what it has shown before", async () => {
    const rig = await Rig.make();
    const floors = memoryTufStore();
    const old = rig.store.snapshot();
    await rig.publish([add("app/v1")]);
    await rig.client(floors).refresh();
    const store = new MemoryPublisherStore();
    for (const [name, bytes] of old) store.files.set(name, bytes);
    const code = await codeOf(() =>
      publishChanges({ store, anchor: rig.anchor, floors }, () => [add("b")], environment(rig.all)),
    );
    expect(code).toBe("METADATA_ROLLED_BACK");
    expect([...store.files].every(([name, bytes]) => equalBytes(bytes, old.get(name)!))).toBe(true);
  });

  test("signs no second root of a version where the newest one is withheld", async () => {
    const rig = await Rig.make();
    const mine = await person();
    const floors = memoryTufStore();
    const access = { ...rig.access, floors };
    await rig.publish(
      [{ action: "keys", role: "root", add: [mine.key], remove: [rig.root.key.id] }],
      [...rig.all, mine],
    );
    await rig.client(floors).refresh();
    const newest = rig.store.files.get("2.root.json")!;
    rig.store.files.delete("2.root.json"); // the timestamp does not tell: it is the same
    const periods = { action: "periods", role: "root", periods: { expiry: 100, signing: 50 } } as const;
    const change = () => publishChanges(access, () => [periods], environment([...rig.all, mine]));
    expect(await codeOf(change)).toBe("METADATA_ROLLED_BACK");
    expect(rig.store.files.has("2.root.json")).toBe(false);
    rig.store.files.set("2.root.json", newest);
    expect((await change()).collection.root.signed.version).toBe(3);
  });
});

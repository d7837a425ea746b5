import { describe, expect, test } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { TufDraft } from "../../src/tuf/draft.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { filesOf } from "../../src/tuf/publish-files.ts";
import { publishChanges, readBase } from "../../src/tuf/publish.ts";
import { repairCollection, revocation } from "../../src/tuf/repair.ts";
import { publishStaged, reviewStaged, signStaged, stageChanges } from "../../src/tuf/staged.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { statusOf } from "../../src/tuf/status.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { codeOf } from "../support/error-code.ts";
import {
  add,
  DAY,
  environment,
  memoryStaging,
  MemoryPublisherStore,
  NOW,
  people,
  person,
  Rig,
  type Person,
} from "../support/tuf-publishing.ts";
import { newPair, TufSimulator } from "../support/tuf-repository.ts";

const fingerprintOf = async ({ key }: { key: { publicKey: { fingerprint(): Promise<string> } | undefined } }) =>
  key.publicKey!.fingerprint();

describe("repair", () => {
  test("signs an expired collection again, which no client can open any more", async () => {
    const rig = await Rig.make();
    await rig.publish([add("app/v1")]);
    rig.now = new Date(NOW.getTime() + 1000 * DAY);
    expect(await codeOf(() => rig.client().refresh())).toBe("METADATA_EXPIRED");
    const { repaired, remaining } = await repairCollection(rig.access, {}, environment(rig.all, rig.now));
    expect(repaired.toSorted()).toEqual(["root", "snapshot", "targets", "timestamp"]);
    expect(remaining).toEqual([]);
    expect(await rig.find("app/v1")).toBeDefined();
  });

  test("does what the keys at hand allow, says what remains, and is completed by the others", async () => {
    const rig = await Rig.make();
    rig.now = new Date(NOW.getTime() + 1000 * DAY);
    const first = await repairCollection(rig.access, {}, environment([rig.online], rig.now));
    expect(first.remaining.map(({ role }) => role)).toEqual(["root", "targets"]);
    expect(first.warnings.length).toBeGreaterThan(0);
    expect(await codeOf(() => rig.client().refresh())).toBe("METADATA_EXPIRED");
    const second = await repairCollection(rig.access, {}, environment(rig.all, rig.now));
    expect(second.remaining).toEqual([]);
    await rig.client().refresh();
  });

  test("leaves alone what is not due", async () => {
    const rig = await Rig.make();
    const { files } = await repairCollection(rig.access, {}, environment(rig.all));
    expect(files).toEqual([]);
    expect((await repairCollection(rig.access, { withinDays: 0 }, environment(rig.all))).files).toEqual([]);
    const early = await repairCollection(rig.access, { withinDays: 364 }, environment(rig.all));
    expect(early.repaired).not.toContain("root");
    const late = await repairCollection(rig.access, { withinDays: 365 }, environment(rig.all));
    expect(late.repaired).toContain("root");
  });

  test("leaves a role whose delegators want different keys until all of them are at hand", async () => {
    const [ada, bob, lead] = (await people(3)) as [Person, Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, ada, bob, lead];
    const delegated = (delegator: string, role: string, { key }: Person) =>
      ({ action: "delegate", delegator, role, keys: [key], paths: ["t/*"] }) as const;
    await rig.publish([delegated("targets", "lead", lead), delegated("targets", "team", ada)], everybody);
    await rig.publish([delegated("lead", "team", bob)], everybody);
    rig.now = new Date(NOW.getTime() + 1000 * DAY);
    const first = await repairCollection(rig.access, {}, environment([...rig.all, lead, ada], rig.now));
    expect(first.remaining.map(({ role }) => role)).toEqual(["team"]);
    const second = await repairCollection(rig.access, {}, environment(everybody, rig.now));
    expect([second.repaired, second.remaining]).toEqual([expect.arrayContaining(["team"]), []]);
  });

  test("goes for hash bins too", async () => {
    const bins = await person();
    const rig = await Rig.make();
    const spread = { action: "bins", delegator: "targets", keys: [bins.key], threshold: 1 } as const;
    await rig.publish([{ ...spread, namePrefix: "bin", bitLength: 2 }, add("app/v1", "bin-1")].slice(0, 1), [
      ...rig.all,
      bins,
    ]);
    rig.now = new Date(NOW.getTime() + 1000 * DAY);
    const { repaired } = await repairCollection(rig.access, {}, environment([...rig.all, bins], rig.now));
    expect(repaired.filter((role) => role.startsWith("bin-"))).toHaveLength(4);
    await rig.client().refresh();
  });
});

describe("a repair with others around", () => {
  test("signs nothing a second time that somebody else has signed meanwhile", async () => {
    const rig = await Rig.make();
    rig.store.beforePublish = async () => void (await rig.publish([{ action: "renew", role: "root" }]));
    const { repaired, remaining } = await repairCollection(rig.access, { withinDays: 10_000 }, environment(rig.all));
    expect(repaired).not.toContain("root");
    expect(repaired).toContain("targets");
    expect(remaining).toEqual([]);
    expect(rig.store.files.has("3.root.json")).toBe(false);
  });

  test("leaves a role alone whose only delegator cannot be used, and repairs the rest", async () => {
    const simulator = await TufSimulator.create();
    await simulator.delegate("targets", "team");
    await simulator.delegate("targets", "other");
    await simulator.delegate("team", "orphan");
    await simulator.delegate("other", "team", { pairs: [await newPair()] }); // so that nobody can rely on team
    await simulator.publish("orphan", "team", "other", "targets");
    const store = new MemoryPublisherStore();
    for (const [name, bytes] of simulator.files) store.files.set(name, bytes);
    const access = { store, anchor: simulator.anchor };
    const keys = [...simulator.signers.values()].flat();
    const signing = openSigningKeys(keys.map(({ signer }) => signer));
    const base = await readBase(access, undefined);
    expect([...base.unusable.keys()]).toEqual(["team"]);
    const status = await statusOf(base, signing, NOW);
    expect(status.find(({ role }) => role === "orphan")).toMatchObject({ signable: false, threshold: 0, keys: [] });
    expect(status.find(({ role }) => role === "other")).toMatchObject({ signable: true, threshold: 1 });

    const later = new Date(base.timestamp.signed.expires.getTime() + DAY);
    const { repaired, remaining } = await repairCollection(access, {}, { signing, now: () => later });
    expect(repaired.toSorted()).toEqual(["other", "root", "snapshot", "targets", "timestamp"]);
    expect(remaining.map(({ role }) => role)).toEqual(["orphan"]);
    expect((await simulator.client({ repository: store, now: () => later }).refresh()).warnings).toEqual([]);
  });
});

describe("revocation", () => {
  test("takes a key out of every role, and what it signed is signed by others", async () => {
    const [a, b] = await people(2);
    const rig = await Rig.make({ targets: { keys: [a!.key, b!.key] } }, [a!, b!]);
    await rig.publish(
      [{ action: "delegate", delegator: "targets", role: "team", keys: [a!.key, b!.key], paths: ["t/*"] }],
      [...rig.all, a!, b!],
    );
    await rig.publish([add("t/x", "team"), add("x")], [a!, rig.online]);
    const fingerprint = await fingerprintOf(a!);
    await publishChanges(
      rig.access,
      (draft) => revocation(draft, { fingerprint }),
      environment([rig.root, rig.online, b!]),
    );
    expect(await rig.find("t/x")).toBeDefined();
    expect(await rig.find("x")).toBeDefined();
    const base = await readBase(rig.access, undefined);
    const listed = (await statusOf(base, environment([]).signing, NOW)).flatMap(({ keys }) => keys);
    expect(listed.map((key) => key.fingerprint)).not.toContain(fingerprint);
    expect(await codeOf(() => rig.publish([add("y")], [a!, rig.online]))).toBe("KEY_MISSING");
  });

  test("refuses to leave a role without enough keys", async () => {
    const rig = await Rig.make();
    const fingerprint = await fingerprintOf(rig.targets);
    const before = rig.store.snapshot();
    const action = () =>
      publishChanges(rig.access, (draft) => revocation(draft, { fingerprint }), environment(rig.all));
    expect(await codeOf(action)).toBe("USAGE");
    expect(rig.store.snapshot()).toEqual(before);
  });

  test("names keys that no role has", async () => {
    const rig = await Rig.make();
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    const good = await fingerprintOf(rig.targets);
    await expect(revocation(draft, { fingerprint: "0".repeat(64) })).rejects.toMatchObject({
      code: "KEY_MISSING",
      hint: "The collection's status lists the keys of its roles",
      details: { fingerprint: "0".repeat(64) },
    });
    for (const fingerprint of ["no", "", good.slice(1), `${good}0`, good.replace(/^./, "G")]) {
      await expect(revocation(draft, { fingerprint })).rejects.toMatchObject({
        code: "USAGE",
        hint: "Give all of its 64 hexadecimal digits, in lower case",
      });
    }
    expect(await revocation(draft, { fingerprint: good })).toEqual([
      { action: "keys", role: "targets", delegator: undefined, add: [], remove: [rig.targets.key.id] },
    ]);
    const online = await fingerprintOf(rig.online);
    const actions = async (more: object) =>
      (await revocation(draft, { fingerprint: online, ...more })).map(({ action }) => action);
    expect(await actions({})).toEqual(["keys", "keys"]);
    expect(await actions({ resetVersions: true })).toEqual(["keys", "reset-version", "keys", "reset-version"]);
    const root = await fingerprintOf(rig.root);
    expect(await revocation(draft, { fingerprint: root, resetVersions: true, replacement: rig.online.key })).toEqual([
      { action: "keys", role: "root", delegator: undefined, add: [rig.online.key], remove: [rig.root.key.id] },
    ]);
  });
});

describe("a revoked key", () => {
  test("of hash bins goes from all of them", async () => {
    const [bins, other] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    const spread = { action: "bins", delegator: "targets", namePrefix: "bin", bitLength: 2 } as const;
    await rig.publish([add("app/v1")]);
    await rig.publish([{ ...spread, keys: [bins.key], threshold: 1 }], [...rig.all, bins]);
    const fingerprint = await fingerprintOf(bins);
    const changes = (draft: TufDraft) => revocation(draft, { fingerprint, replacement: other.key });
    expect(await changes(TufDraft.of(await readBase(rig.access, undefined)))).toEqual([
      { action: "keys", role: "bin-0", delegator: "targets", add: [other.key], remove: [bins.key.id] },
    ]);
    await publishChanges(rig.access, changes, environment([...rig.all, other]));
    const role = (await rig.find("app/v1"))!.role;
    expect(role).toMatch(/^bin-/);
    expect(await codeOf(() => rig.publish([add("app/v1", role, "v2")], [bins, rig.online]))).toBe("KEY_MISSING");
  });

  test("gives its place to a key that the role may have already, beside keys that nothing can be made of", async () => {
    const [spare] = (await people(1)) as [Person];
    const rig = await Rig.make();
    await rig.publish([{ action: "keys", role: "timestamp", add: [spare.key] }], [...rig.all, spare]);
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, { keytype: "new" });
    const timestamp = draft.root.roles.get("timestamp")!;
    draft.root = {
      ...draft.root,
      keys: new Map(draft.root.keys).set("odd", odd),
      roles: new Map(draft.root.roles).set("timestamp", { ...timestamp, keyIds: ["odd", ...timestamp.keyIds] }),
    };
    const fingerprint = await fingerprintOf(rig.online);
    const changes = await revocation(draft, { fingerprint, resetVersions: true, replacement: spare.key });
    expect(changes.filter((change) => change.action === "keys" && change.role === "timestamp")).toEqual([
      {
        action: "keys",
        role: "timestamp",
        delegator: undefined,
        add: [spare.key],
        remove: ["odd", rig.online.key.id],
      },
    ]);
  });
});

/** The thief of the online key publishes with versions close to the end of all numbers. */
async function stealVersions(rig: Rig): Promise<void> {
  const draft = TufDraft.of(await readBase(rig.access, undefined));
  draft.dirty.add("snapshot").add("timestamp");
  const high = 2 ** 53 - 2;
  const versions = new Map([
    ["snapshot", high],
    ["timestamp", high],
  ]);
  const files = await filesOf(draft, new Map(), { ...environment([rig.online]), versions });
  for (const { file, bytes } of files) rig.store.files.set(file, bytes);
}

describe("recovery from a stolen online key", () => {
  test("brings versions back that a thief has pushed up, also for clients that saw them", async () => {
    const rig = await Rig.make();
    await rig.publish([add("app/v1")]);
    await stealVersions(rig);
    const victim = memoryTufStore();
    await rig.client(victim).refresh();

    const fresh = await person();
    const fingerprint = await fingerprintOf(rig.online);
    const { files } = await publishChanges(
      rig.access,
      (state) => revocation(state, { fingerprint, replacement: fresh.key, resetVersions: true }),
      environment([...rig.all, fresh]),
    );
    expect(files[0]?.role).toBe("root");
    await rig.client(victim).refresh();
    await rig.client().refresh();
    const { signed } = decodeMetadata(rig.store.files.get("timestamp.json")!, "timestamp");
    expect(signed.version).toBe(1);
    expect(signed.snapshot.version).toBe(3); // the first one that was never used
    await rig.publish([add("app/v2")], [rig.targets, fresh]);
    await rig.client(victim).refresh();
  });

  test("may be staged, where the root keys are with different people, who see what starts again", async () => {
    const [a, b, fresh] = (await people(3)) as [Person, Person, Person];
    const rig = await Rig.make({ root: { keys: [a.key, b.key], threshold: 2 } }, [a, b]);
    await rig.publish([add("app/v1")], [rig.targets, rig.online]);
    await stealVersions(rig);
    const victim = memoryTufStore();
    await rig.client(victim).refresh();

    const staging = memoryStaging();
    const fingerprint = await fingerprintOf(rig.online);
    const change = (state: TufDraft) => revocation(state, { fingerprint, replacement: fresh.key, resetVersions: true });
    await stageChanges(rig.access, staging, change, environment([a, fresh]));
    const review = (await reviewStaged(rig.access, staging, environment([])))!;
    const lines = review.documents.map(({ role, version, differences }) => [role, version, differences.at(-1)?.text]);
    expect(lines).toContainEqual(["snapshot", 3, `version starts again, below ${2 ** 53 - 2}`]);
    expect(lines).toContainEqual(["timestamp", 1, `version starts again, below ${2 ** 53 - 2}`]);
    // what nobody has reviewed is signed by nobody, and what would not help is not published
    const whole = staging.content!;
    const text = utf8Decode(whole);
    for (const [tampered, code] of [
      [text.replace(',"reset":["snapshot","timestamp"]', ""), "TRUST_CONFLICT"],
      [text.replace('"reset":["snapshot",', '"reset":["root",'), "METADATA_INVALID"],
    ] as const) {
      expect(tampered).not.toBe(text);
      staging.content = utf8Encode(tampered);
      expect(await codeOf(() => signStaged(rig.access, staging, review.digest, environment([b])))).toBe(code);
    }
    staging.content = whole;
    expect((await signStaged(rig.access, staging, review.digest, environment([b]))).missing).toEqual([]);
    await publishStaged(rig.access, staging, environment([fresh]));
    await rig.client(victim).refresh();
    expect(await rig.find("app/v1")).toBeDefined();
    const { signed } = decodeMetadata(rig.store.files.get("timestamp.json")!, "timestamp");
    expect([signed.version, signed.snapshot.version]).toEqual([1, 3]);
    expect(staging.content).toBeUndefined();
  });

  test("is not staged where publishers may overwrite each other, who would not know of it", async () => {
    const rig = await Rig.make();
    const staging = memoryStaging();
    const coordinate = (): never => {
      throw new Error("not reached");
    };
    const store = Object.assign(Object.create(rig.store) as typeof rig.store, { coordinate });
    const fingerprint = await fingerprintOf(rig.online);
    const fresh = await person();
    const change = (state: TufDraft) => revocation(state, { fingerprint, replacement: fresh.key, resetVersions: true });
    const staged = stageChanges({ ...rig.access, store }, staging, change, environment([...rig.all, fresh]));
    await expect(staged).rejects.toMatchObject({ code: "USAGE" });
    expect(staging.content).toBeUndefined();
  });
});

describe("status", () => {
  test("tells versions, days left, keys at hand and targets of every role", async () => {
    const ada = await person();
    const rig = await Rig.make();
    await rig.publish(
      [
        { action: "delegate", delegator: "targets", role: "ada", keys: [ada.key], paths: ["ada/*"] },
        add("ada/x", "ada"),
      ],
      [...rig.all, ada],
    );
    const base = await readBase(rig.access, undefined);
    const later = new Date(NOW.getTime() + 25 * DAY);
    const roles = await statusOf(base, environment([rig.online]).signing, later);
    expect(
      roles.map(({ role, daysLeft, due, signable, targets }) => ({ role, daysLeft, due, signable, targets })),
    ).toEqual([
      { role: "root", daysLeft: 340, due: false, signable: false, targets: undefined },
      { role: "timestamp", daysLeft: 5, due: true, signable: true, targets: undefined },
      { role: "snapshot", daysLeft: 5, due: true, signable: true, targets: undefined },
      { role: "targets", daysLeft: 340, due: false, signable: false, targets: 0 },
      { role: "ada", daysLeft: 340, due: false, signable: false, targets: 1 },
    ]);
    expect(roles.at(-1)?.paths).toEqual(["ada/*"]);
  });
});

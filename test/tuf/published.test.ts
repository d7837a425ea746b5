import { describe, expect, test } from "vitest";
import { TrustError } from "../../src/base/errors.ts";
import { TufDraft } from "../../src/tuf/draft.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { pendingOf, signPending } from "../../src/tuf/pending.ts";
import { publishChanges, publishPending, readBase } from "../../src/tuf/publish.ts";
import { repairCollection } from "../../src/tuf/repair.ts";
import type { Delegations } from "../../src/tuf/schema.ts";
import { chooseRole, roleOf } from "../../src/tuf/choose-role.ts";
import { canHelpSign } from "../../src/tuf/signing-keys.ts";
import { statusOf } from "../../src/tuf/status.ts";
import { codeOf } from "../support/error-code.ts";
import { add, DAY, environment, NOW, people, person, Rig, type Person } from "../support/tuf-publishing.ts";

const delegation = (role: string, { key }: Person, paths = ["team/*"], delegator = "targets") =>
  ({ action: "delegate", delegator, role, keys: [key], paths }) as const;

/** Gives a delegated role other keys and leaves its document as it is, as a careless tool would. */
async function swapKeys(rig: Rig, role: string, to: Person): Promise<void> {
  const env = environment([...rig.all, to], rig.now);
  const base = await readBase(rig.access, undefined);
  const draft = TufDraft.of(base);
  const targets = await draft.document("targets");
  const former = targets.delegations!;
  const delegations: Delegations = {
    ...former,
    keys: new Map([...former.keys, [to.key.id, to.key]]),
    roles: [
      { ...former.roles.find(({ name }) => name === role)!, keyIds: [to.key.id] },
      ...former.roles.filter(({ name }) => name !== role),
    ],
  };
  draft.update("targets", { ...targets, delegations });
  const { pending } = await signPending(base, pendingOf(draft, env.now), env.signing);
  await publishPending(rig.access, draft, pending, env);
}

/** Lets a role need all of some people. */
function withThreshold(delegations: Delegations, role: string, all: readonly Person[]): Delegations {
  const keyIds = all.map(({ key }) => key.id);
  const roles = delegations.roles.map((one) => (one.name === role ? { ...one, keyIds, threshold: all.length } : one));
  return { ...delegations, roles };
}

describe("a role whose document its keys have not signed", () => {
  test("is shown, blocks nobody else, and is never quietly started anew", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    await rig.publish([delegation("ada", ada), add("team/x", "ada")], [...rig.all, ada]);
    await swapKeys(rig, "ada", bob);
    const base = await readBase(rig.access, undefined);
    const status = await statusOf(base, environment([bob]).signing, NOW);
    expect(status.at(-1)).toMatchObject({ role: "ada", version: undefined, expired: false, signable: true });
    expect(status.at(-1)?.fault).toMatch(/not signed by enough/);
    expect(await codeOf(() => rig.publish([add("team/y", "ada")], [bob, rig.online]))).toBe("DELEGATION_REFUSED");
    await rig.publish([add("other")]);
    expect(await rig.find("other")).toBeDefined();
    // its delegator ends it, and then begins again with the next version
    await rig.publish([{ action: "undelegate", delegator: "targets", role: "ada" }]);
    await rig.publish([delegation("ada", bob), add("team/z", "ada")], [...rig.all, bob]);
    expect((await rig.find("team/z"))?.role).toBe("ada");
    expect(decodeMetadata(rig.store.files.get("2.ada.json")!, "targets").signed.targets.size).toBe(1);
  });
});

describe("choosing a role", () => {
  test("keeps a name where it is, prefers delegated roles in the order of the search, and falls back to targets", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    await rig.publish(
      [delegation("ada", ada), delegation("bob", bob, ["team/*", "b/*"]), add("team/here", "bob"), add("b/top")],
      [...rig.all, ada, bob],
    );
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    const choose = (name: string, who: Person[]) => chooseRole(draft, name, environment(who).signing);
    expect(await choose("team/here", [...rig.all, ada, bob])).toBe("bob");
    expect(await choose("team/new", [...rig.all, ada, bob])).toBe("ada");
    expect(await choose("team/new", [bob])).toBe("bob");
    expect(await choose("b/top", [...rig.all, bob])).toBe("targets");
    expect(await choose("c", [...rig.all, ada, bob])).toBe("targets");
    expect(await codeOf(() => choose("c", [ada, bob]))).toBe("KEY_MISSING");
    // one key of two begins what others go on with
    const shared = TufDraft.of(await readBase(rig.access, undefined));
    shared.update("targets", {
      ...(await shared.document("targets")),
      delegations: withThreshold((await shared.document("targets")).delegations!, "bob", [ada, bob]),
    });
    expect(await codeOf(() => chooseRole(shared, "b/new", environment([bob]).signing))).toBe("KEY_MISSING");
    expect(await chooseRole(shared, "b/new", environment([bob]).signing, canHelpSign)).toBe("bob");
    expect(await codeOf(() => chooseRole(shared, "b/new", environment([]).signing, canHelpSign))).toBe("KEY_MISSING");
    expect(await roleOf(draft, "team/here")).toBe("bob");
    expect(await roleOf(draft, "none")).toBeUndefined();
  });

  test("asks nobody after a terminating role, or after one that cannot be used", async () => {
    const [ada, bob, eve] = (await people(3)) as [Person, Person, Person];
    const rig = await Rig.make();
    await rig.publish(
      [{ ...delegation("ada", ada), terminating: true }, delegation("bob", bob)],
      [...rig.all, ada, bob],
    );
    const choose = async (name: string, who: Person[]) =>
      chooseRole(TufDraft.of(await readBase(rig.access, undefined)), name, environment(who).signing);
    expect(await codeOf(() => choose("team/x", [bob]))).toBe("KEY_MISSING");
    await swapKeys(rig, "ada", eve);
    expect(await codeOf(() => choose("team/x", [bob, eve]))).toBe("KEY_MISSING");
  });
});

describe("changes to delegations", () => {
  test("of what is so already publish nothing", async () => {
    const ada = await person();
    const rig = await Rig.make();
    const everybody = [...rig.all, ada];
    await rig.publish([delegation("ada", ada)], everybody);
    for (const change of [
      delegation("ada", ada),
      { action: "keys", role: "ada", add: [ada.key] } as const,
      { action: "keys", role: "targets", threshold: 1 } as const,
      { action: "undelegate", delegator: "targets", role: "ada", paths: ["none"] } as const,
    ]) {
      expect((await rig.publish([change], everybody)).files).toEqual([]);
    }
  });

  test("add paths and keys, and take them away, but never the last", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, ada, bob];
    await rig.publish([delegation("ada", ada), delegation("ada", bob, ["b/*"])], everybody);
    await rig.publish([add("b/x", "ada"), add("team/x", "ada")], [bob, rig.online]);
    await rig.publish([{ action: "undelegate", delegator: "targets", role: "ada", paths: ["b/*"] }], everybody);
    expect(await rig.find("b/x")).toBeUndefined();
    expect(await rig.find("team/x")).toBeDefined();
    await rig.publish([{ action: "keys", role: "ada", remove: [ada.key.id] }], everybody);
    expect(await codeOf(() => rig.publish([add("team/y", "ada")], [ada, rig.online]))).toBe("KEY_MISSING");
    for (const change of [
      { action: "undelegate", delegator: "targets", role: "ada", paths: ["team/*"] } as const,
      { action: "undelegate", delegator: "targets", role: "none" } as const,
      { action: "keys", role: "none", threshold: 1 } as const,
    ]) {
      expect(await codeOf(() => rig.publish([change], everybody))).toBe("DELEGATION_REFUSED");
    }
    expect(await codeOf(() => rig.publish([{ action: "keys", role: "ada", remove: ["none"] }], everybody))).toBe(
      "KEY_MISSING",
    );
  });

  test("of a role with two delegators name the one that is meant", async () => {
    const [a, b, c] = (await people(3)) as [Person, Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, a, b, c];
    await rig.publish(
      [
        delegation("a", a),
        delegation("b", b),
        delegation("c", c, ["team/*"], "a"),
        delegation("c", c, ["team/*"], "b"),
      ],
      everybody,
    );
    const change = { action: "keys", role: "c", add: [a.key] } as const;
    expect(await codeOf(() => rig.publish([change], everybody))).toBe("USAGE");
    await rig.publish([{ ...change, delegator: "b" }], everybody);
    await rig.publish([add("team/x", "c")], [c, rig.online]);
    expect((await rig.find("team/x"))?.role).toBe("c");
  });

  test("change the keys of all hash bins at once, and leave no room for delegations beside them", async () => {
    const [old, fresh] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    const everybody = [...rig.all, old, fresh];
    const bins = { action: "bins", delegator: "targets", namePrefix: "bin", bitLength: 2, threshold: 1 } as const;
    await rig.publish([{ ...bins, keys: [old.key] }], everybody);
    await rig.publish([{ action: "keys", role: "bin-0", add: [fresh.key], remove: [old.key.id] }], everybody);
    for (const bin of ["bin-0", "bin-1", "bin-2", "bin-3"]) expect(rig.store.files.has(`2.${bin}.json`)).toBe(true);
    expect(await codeOf(() => rig.publish([delegation("ada", old)], everybody))).toBe("DELEGATION_REFUSED");
    expect(await codeOf(() => rig.publish([{ ...bins, bitLength: 15, keys: [old.key] }], everybody))).toBe("USAGE");
    const other = await Rig.make();
    await other.publish([delegation("ada", old)], [...other.all, old]);
    const spread = { ...bins, keys: [fresh.key] };
    expect(await codeOf(() => other.publish([spread], [...other.all, old, fresh]))).toBe("DELEGATION_REFUSED");
  });
});

describe("a publish", () => {
  test("says so where what was written cannot be read back", async () => {
    const rig = await Rig.make();
    const { store } = rig;
    const publish = store.publish.bind(store);
    store.publish = async (files, base) => {
      await publish(files, base);
      store.files.delete("2.targets.json");
    };
    expect(await codeOf(() => rig.publish([add("x")]))).toBe("PUBLISH_UNREADABLE");
  });

  test("gives up where others keep being faster", async () => {
    const rig = await Rig.make();
    let tries = 0;
    rig.store.publish = async () => {
      tries++;
      throw new TrustError("TRUST_CONFLICT", "always");
    };
    expect(await codeOf(() => rig.publish([{ action: "renew", role: "timestamp" }]))).toBe("TRUST_CONFLICT");
    expect(tries).toBe(50);
  });

  test("reports why a key does not open, not that it is missing", async () => {
    const rig = await Rig.make();
    const { signing, now } = environment(rig.all);
    const locked = {
      ...signing,
      open: async () => {
        throw new TrustError("KEY_PASSPHRASE", "wrong passphrase");
      },
    };
    for (const change of [add("x"), { action: "renew", role: "timestamp" } as const]) {
      const action = () => publishChanges(rig.access, () => [change], { signing: locked, now });
      expect(await codeOf(action)).toBe("KEY_PASSPHRASE");
    }
  });

  test("needs a collection", async () => {
    const rig = await Rig.make();
    rig.anchor = undefined;
    expect(await codeOf(() => rig.publish([]))).toBe("TRUST_NOT_FOUND");
    expect(await codeOf(() => repairCollection(rig.access, {}, environment([])))).toBe("TRUST_NOT_FOUND");
  });

  test("warns of what will expire before the next signatures are due, and not by its fault", async () => {
    const rig = await Rig.make();
    rig.now = new Date(NOW.getTime() + 360 * DAY);
    const { warnings } = await rig.publish([add("x")], [rig.targets, rig.online]);
    expect(warnings).toEqual([expect.stringMatching(/^within 10 days the metadata of root expired/)]);
  });

  test.each([
    { expiry: 0, signing: 1 },
    { expiry: 10, signing: 10 },
    { expiry: 10, signing: 0 },
    { expiry: 1.5, signing: 1 },
    { expiry: 10_000, signing: 1 },
  ])("refuses the periods %j", async (periods) => {
    const rig = await Rig.make();
    for (const role of ["root", "timestamp", "targets"]) {
      expect(await codeOf(() => rig.publish([{ action: "periods", role, periods }]))).toBe("USAGE");
    }
  });
});

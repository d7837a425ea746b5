import { describe, expect, it } from "vitest";
import { chooseRole, roleOf } from "../../src/tuf/choose-role.ts";
import { applyChanges } from "../../src/tuf/editor.ts";
import { TufDraft } from "../../src/tuf/draft.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import { readBase } from "../../src/tuf/publish.ts";
import type { DelegatedRole, Targets } from "../../src/tuf/schema.ts";
import { codeOf } from "../support/error-code.ts";
import { add, environment, people, Rig, type Person } from "../support/tuf-publishing.ts";

const delegation = (role: string, { key }: Person, paths = ["team/*"], delegator = "targets") =>
  ({ action: "delegate", delegator, role, keys: [key], paths }) as const;

async function rigs(): Promise<{ rig: Rig; ada: Person; bob: Person; draft: TufDraft }> {
  const [ada, bob] = (await people(2)) as [Person, Person];
  const rig = await Rig.make();
  await rig.publish([delegation("ada", ada, ["team/*", "a/*"])], [...rig.all, ada]);
  return { rig, ada, bob, draft: TufDraft.of(await readBase(rig.access, undefined)) };
}

/** Changes a delegation as other tools may have left it. */
async function alter(draft: TufDraft, name: string, change: (role: DelegatedRole) => DelegatedRole): Promise<void> {
  const targets = await draft.document("targets");
  const delegations = targets.delegations!;
  const roles = delegations.roles.map((role) => (role.name === name ? change(role) : role));
  draft.update("targets", { ...targets, delegations: { ...delegations, roles } });
}

const byHash = ({ name, keyIds, threshold, terminating, extra }: DelegatedRole): DelegatedRole => {
  return { name, keyIds, threshold, terminating, extra, pathHashPrefixes: ["0"] };
};

describe("delegations of other tools", () => {
  it("by hash prefixes get no paths beside them, and lose none", async () => {
    const { draft, ada, bob } = await rigs();
    await alter(draft, "ada", byHash);
    expect(await codeOf(() => applyChanges(draft, [delegation("ada", ada)]))).toBe("DELEGATION_REFUSED");
    const before = await draft.document("targets");
    await applyChanges(draft, [{ action: "undelegate", delegator: "targets", role: "ada", paths: ["team/*"] }]);
    expect(await draft.document("targets")).toBe(before);
    await applyChanges(draft, [{ action: "keys", role: "ada", add: [bob.key] }]);
    const [role] = (await draft.document("targets")).delegations!.roles;
    expect(role).toMatchObject({ pathHashPrefixes: ["0"], keyIds: [ada.key.id, bob.key.id] });
  });

  it("by hash prefixes can be ended whole", async () => {
    const { draft } = await rigs();
    await alter(draft, "ada", byHash);
    await applyChanges(draft, [{ action: "undelegate", delegator: "targets", role: "ada" }]);
    expect((await draft.document("targets")).delegations!.roles).toEqual([]);
  });

  it("to a role that was never signed get its first document with the next change", async () => {
    const { draft, ada } = await rigs();
    const targets = await draft.document("targets");
    const delegations = targets.delegations!;
    const ghost = { ...delegations.roles[0]!, name: "ghost" };
    draft.update("targets", { ...targets, delegations: { ...delegations, roles: [...delegations.roles, ghost] } });
    await applyChanges(draft, [delegation("ghost", ada, ["ghosts/*"])]);
    expect([...draft.dirty]).toEqual(["targets", "ghost"]);
    expect((await draft.document("ghost")).version).toBe(0);
  });

  it("in a circle among others do not hold up a new one", async () => {
    const { draft, bob } = await rigs();
    const targets = await draft.document("targets");
    const { keys, roles, extra } = targets.delegations!;
    const to = (name: string) => ({ keys, roles: [{ ...roles[0]!, name }], extra });
    draft.update("ada", { ...(await draft.document("ada")), delegations: to("eve") });
    draft.update("eve", { ...(await draft.document("eve")), delegations: to("ada") });
    await applyChanges(draft, [delegation("ada", bob, ["b/*"])]);
    expect((await draft.document("targets")).delegations!.roles[0]!.paths).toContain("b/*");
  });

  it("may list keys that nothing can be made of: they stay as they are", async () => {
    const { draft, bob } = await rigs();
    const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, { keytype: "new" });
    const targets = await draft.document("targets");
    const { delegations } = targets;
    const keys = new Map([...delegations!.keys, ["odd", odd]]);
    draft.update("targets", { ...targets, delegations: { ...delegations!, keys } });
    await applyChanges(draft, [delegation("bob", bob, ["b/*"])]);
    expect((await draft.document("targets")).delegations!.keys.has(bob.key.id)).toBe(true);
  });
});

describe("keys of a delegation", () => {
  it("cannot take the id of another key", async () => {
    const { draft, ada, bob } = await rigs();
    const faked = new TufKey(
      ada.key.id,
      { keytype: "ed25519", scheme: "ed25519", text: (bob.key.json["keyval"] as { public: string }).public },
      bob.key.json,
    );
    const before = await draft.document("targets");
    for (const change of [
      delegation("eve", { ...bob, key: faked }, ["e/*"]),
      { action: "keys", role: "ada", add: [faked] } as const,
    ]) {
      expect(await codeOf(() => applyChanges(draft, [change]))).toBe("USAGE");
      expect(await draft.document("targets")).toBe(before);
    }
  });

  it("are listed once where they come twice, under whatever id", async () => {
    const { draft, bob } = await rigs();
    const twin = new TufKey(
      "twin",
      { keytype: "ed25519", scheme: "ed25519", text: (bob.key.json["keyval"] as { public: string }).public },
      bob.key.json,
    );
    await applyChanges(draft, [{ action: "keys", role: "ada", add: [bob.key, twin, bob.key] }]);
    const [role] = (await draft.document("targets")).delegations!.roles;
    expect(role!.keyIds).toHaveLength(2);
    expect(role!.keyIds).not.toContain("twin");
  });

  it("that nothing can be made of are refused", async () => {
    const { draft, bob } = await rigs();
    const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, { keytype: "new" });
    const before = await draft.document("targets");
    expect(await codeOf(() => applyChanges(draft, [delegation("eve", { ...bob, key: odd }, ["e/*"])]))).toBe("USAGE");
    expect(await draft.document("targets")).toBe(before);
  });

  it("are those of one delegator, which must be one", async () => {
    const { draft, bob } = await rigs();
    const refused = (role: string, delegator?: string): Promise<string> =>
      codeOf(() => applyChanges(draft, [{ action: "keys", role, add: [bob.key], delegator }]));
    expect(await refused("nobody")).toBe("DELEGATION_REFUSED");
    expect(await refused("nobody", "targets")).toBe("DELEGATION_REFUSED");
    expect(await refused("targets", undefined)).toBe("no error");
    expect(await refused("ada", "ada")).toBe("DELEGATION_REFUSED");
    const gone = { action: "undelegate", role: "nobody" } as const;
    expect(await codeOf(() => applyChanges(draft, [{ ...gone, delegator: "targets" }]))).toBe("DELEGATION_REFUSED");
    expect(await codeOf(() => applyChanges(draft, [{ ...gone, delegator: "ada" }]))).toBe("DELEGATION_REFUSED");
  });
});

describe("a role that is delegated to on several ways", () => {
  it("signs what one of them covers, and is asked once", async () => {
    const { rig, ada, bob } = await rigs();
    const both = [...rig.all, ada, bob];
    await rig.publish(
      [delegation("bob", bob, ["team/*", "b/*"]), delegation("ada", ada, ["team/*", "b/x"], "bob"), add("b/x", "ada")],
      both,
    );
    expect(await rig.find("b/x")).toMatchObject({ role: "ada" });
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    expect(draft.delegatorsOf("ada").toSorted()).toEqual(["bob", "targets"]);
    expect(await chooseRole(draft, "team/new", environment(both).signing)).toBe("ada");
    expect(await roleOf(draft, "b/x")).toBe("ada");
    expect(await codeOf(() => applyChanges(draft, [add("b/y", "ada")]))).toBe("DELEGATION_REFUSED");
    expect(await codeOf(() => applyChanges(draft, [{ action: "keys", role: "ada", add: [rig.online.key] }]))).toBe(
      "USAGE",
    );
  });

  it("is not taken for covered by a circle that other tools have made", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [delegation("bob", bob, ["b/*"], "ada")]);
    const document = await draft.document("bob");
    const role: DelegatedRole = {
      name: "ada",
      keyIds: [ada.key.id],
      threshold: 1,
      terminating: false,
      paths: ["b/*"],
      extra: {},
    };
    const looped: Targets = {
      ...document,
      delegations: { keys: new Map([[ada.key.id, ada.key]]), roles: [role], extra: {} },
    };
    draft.update("bob", looped);
    expect(await codeOf(() => applyChanges(draft, [add("b/x", "bob")]))).toBe("DELEGATION_REFUSED");
    expect(await codeOf(() => applyChanges(draft, [delegation("eve", bob, ["e/*"], "ada")]))).toBe("no error");
  });
});

describe("what is said of a target", () => {
  it("is kept, changed and taken away by its publisher alone", async () => {
    const { rig } = await rigs();
    const said = (custom: unknown) =>
      ({ ...add("x"), content: { length: 1, hashes: { sha256: "a".repeat(64) }, custom } }) as never;
    await rig.publish([said({ a: 1 })]);
    expect((await rig.find("x"))?.file.custom).toEqual({ a: 1 });
    expect((await rig.publish([said({ a: 1 })])).files).toEqual([]);
    await rig.publish([said({ a: 2 })]);
    expect((await rig.find("x"))?.file.custom).toEqual({ a: 2 });
    await rig.publish([said(null)]);
    expect((await rig.find("x"))?.file).not.toHaveProperty("custom");
  });
});

describe("a delegation that is changed", () => {
  const current = async (draft: TufDraft, name: string, delegator = "targets") =>
    (await draft.document(delegator)).delegations!.roles.find((role) => role.name === name);
  const end = (role: string, paths?: string[]) =>
    ({ action: "undelegate", delegator: "targets", role, paths }) as const;

  it("keeps what is not said anew, and the delegations beside it", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [
      { ...delegation("bob", bob, ["b/*"]), terminating: true },
      { ...delegation("both", ada, ["c/*"]), keys: [ada.key, bob.key], threshold: 2 },
    ]);
    await alter(draft, "bob", (role) => ({ ...role, extra: { "x-note": 1 } }));
    const before = [await current(draft, "ada"), await current(draft, "both")];
    expect(before[0]).toMatchObject({ threshold: 1, terminating: false, paths: ["team/*", "a/*"] });
    await applyChanges(draft, [delegation("bob", ada, ["b/*", "d/*"])]);
    expect(await current(draft, "bob")).toEqual({
      name: "bob",
      keyIds: [bob.key.id, ada.key.id],
      threshold: 1,
      terminating: true,
      paths: ["b/*", "d/*"],
      extra: { "x-note": 1 },
    });
    expect([await current(draft, "ada"), await current(draft, "both")]).toEqual(before);
    expect((await draft.document("targets")).delegations!.roles.map(({ name }) => name)).toEqual([
      "ada",
      "bob",
      "both",
    ]);
    await applyChanges(draft, [{ ...delegation("both", ada, ["c/*"]), threshold: 1, terminating: true }]);
    expect(await current(draft, "both")).toMatchObject({ threshold: 1, terminating: true });
    await applyChanges(draft, [{ ...delegation("both", ada, ["c/*"]), terminating: false }]);
    expect(await current(draft, "both")).toMatchObject({ terminating: false });
  });

  it("has the threshold that it was made with", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [{ ...delegation("both", ada), keys: [ada.key, bob.key], threshold: 2 }]);
    expect(await current(draft, "both")).toMatchObject({ threshold: 2 });
  });

  it("can be made in a collection that is not published yet", async () => {
    const { draft, ada } = await rigs();
    const fresh = new TufDraft(undefined, draft.root);
    await applyChanges(fresh, [delegation("ada", ada)]);
    expect(await current(fresh, "ada")).toMatchObject({ paths: ["team/*"] });
    expect([...fresh.dirty]).toEqual(["targets", "ada"]);
  });

  it("takes a role's unpublished document with it when it ends", async () => {
    const { draft, bob } = await rigs();
    await applyChanges(draft, [delegation("bob", bob, ["b/*"]), end("bob")]);
    expect([[...draft.dirty], [...draft.changed.keys()]]).toEqual([["targets"], ["targets"]]);
  });

  it("signs its role again where the keys are others, and not where only its names are", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [delegation("ada", ada, ["more/*"])]);
    expect([...draft.dirty]).toEqual(["targets"]);
    await applyChanges(draft, [delegation("ada", bob, ["more/*"])]);
    expect([...draft.dirty]).toEqual(["targets", "ada"]);
  });

  it("that is so already changes nothing; each difference is one", async () => {
    const { draft, ada, bob } = await rigs();
    const same = delegation("ada", ada, ["a/*"]);
    await applyChanges(draft, [same]);
    expect(draft.isChanged).toBe(false);
    for (const change of [
      { ...same, terminating: true },
      { ...same, paths: ["new/*"] },
      { ...same, keys: [bob.key] },
      { ...same, keys: [bob.key], threshold: 2 },
    ]) {
      const other = TufDraft.of(draft.base!);
      await applyChanges(other, [change]);
      expect(other.dirty.has("targets")).toBe(true);
    }
  });

  it("loses paths, but never the last, and is ended with what was to be signed in it", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [end("ada", ["none"])]);
    expect(draft.isChanged).toBe(false);
    await expect(applyChanges(draft, [end("ada", ["a/*", "team/*"])])).rejects.toMatchObject({
      code: "DELEGATION_REFUSED",
      hint: "End the whole delegation instead",
    });
    await applyChanges(draft, [end("ada", ["a/*", "none"]), add("team/x", "ada")]);
    expect(await current(draft, "ada")).toMatchObject({ paths: ["team/*"] });
    expect([...draft.dirty].toSorted()).toEqual(["ada", "targets"]);
    await applyChanges(draft, [delegation("bob", bob, ["b/*"]), end("ada")]);
    expect([...draft.dirty].toSorted()).toEqual(["bob", "targets"]);
    expect([...draft.changed.keys()].toSorted()).toEqual(["bob", "targets"]);
    const { keys, roles } = (await draft.document("targets")).delegations!;
    expect([[...keys.keys()], roles.map(({ name }) => name)]).toEqual([[bob.key.id], ["bob"]]);
    expect(keys.has(ada.key.id)).toBe(false);
  });

  it("is ended by one delegator, and goes on by the other", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [
      delegation("bob", bob, ["b/*"]),
      delegation("ada", ada, ["b/*"], "bob"),
      add("a/x", "ada"),
    ]);
    await applyChanges(draft, [{ action: "undelegate", delegator: "bob", role: "ada" }]);
    expect(draft.dirty.has("ada")).toBe(true);
    expect(await codeOf(() => applyChanges(draft, [{ action: "undelegate", delegator: "bob", role: "ada" }]))).toBe(
      "DELEGATION_REFUSED",
    );
  });

  it("makes no circle, and says which", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [delegation("bob", bob, ["team/*"], "ada"), delegation("top", bob, ["team/*"])]);
    for (const [delegator, role] of [
      ["bob", "ada"],
      ["ada", "ada"],
      ["bob", "bob"],
    ] as const) {
      await expect(applyChanges(draft, [delegation(role, ada, ["x"], delegator)])).rejects.toMatchObject({
        code: "ROLE_INVALID",
        hint: `${role} delegates to ${delegator}, itself or through others`,
        details: { role, delegator },
      });
    }
    await applyChanges(draft, [delegation("bob", bob, ["team/*"], "top")]); // two ways to one role are no circle
  });
});

describe("keys of top-level roles", () => {
  const keys = (role: string, more: object) => ({ action: "keys", role, ...more }) as const;

  it("change in root, and have only targets signed again, where they are others", async () => {
    const { draft, ada } = await rigs();
    const before = draft.root;
    await applyChanges(draft, [keys("snapshot", { add: [ada.key] })]);
    expect([...draft.dirty]).toEqual(["root"]);
    expect(draft.root.roles.get("snapshot")).toMatchObject({
      keyIds: [...before.roles.get("snapshot")!.keyIds, ada.key.id],
    });
    expect(draft.root.keys.get(ada.key.id)).toBe(ada.key);
    expect(before.roles.get("snapshot")!.keyIds).toHaveLength(1);
    await applyChanges(draft, [keys("targets", { add: [ada.key], threshold: 2 })]);
    expect([...draft.dirty].toSorted()).toEqual(["root", "targets"]);
    expect(draft.root.roles.get("targets")).toMatchObject({ threshold: 2 });
    await applyChanges(draft, [keys("targets", { remove: [ada.key.id], threshold: 1 })]);
    expect(draft.root.keys.has(ada.key.id)).toBe(true); // snapshot's still
    await applyChanges(draft, [keys("snapshot", { remove: [ada.key.id] })]);
    expect(draft.root.keys.has(ada.key.id)).toBe(false);
  });

  it("that are so already change nothing", async () => {
    const { draft, rig } = await rigs();
    await applyChanges(draft, [
      keys("root", {}),
      keys("root", { threshold: 1 }),
      keys("root", { add: [rig.root.key] }),
    ]);
    expect(draft.isChanged).toBe(false);
    expect(draft.root).toBe(draft.base!.root.signed);
  });

  it("must be there to be removed, and be enough", async () => {
    const { draft, rig, ada } = await rigs();
    await expect(applyChanges(draft, [keys("root", { remove: [ada.key.id] })])).rejects.toMatchObject({
      code: "KEY_MISSING",
      role: "root",
      hint: `Its keys: ${rig.root.key.id}`,
      details: { keyId: ada.key.id },
    });
    expect(await codeOf(() => applyChanges(draft, [keys("root", { threshold: 2 })]))).toBe("USAGE");
    expect(await codeOf(() => applyChanges(draft, [keys("root", { remove: [rig.root.key.id] })]))).toBe("USAGE");
  });
});

describe("keys of one delegation among others", () => {
  it("change alone, and have their role signed again", async () => {
    const { draft, ada, bob } = await rigs();
    await applyChanges(draft, [delegation("bob", bob, ["b/*"])]);
    draft.dirty.clear();
    await applyChanges(draft, [{ action: "keys", role: "ada", add: [bob.key], threshold: 2 }]);
    expect([...draft.dirty].toSorted()).toEqual(["ada", "targets"]);
    const { roles } = (await draft.document("targets")).delegations!;
    expect(roles).toMatchObject([
      { name: "ada", keyIds: [ada.key.id, bob.key.id], threshold: 2 },
      { name: "bob", keyIds: [bob.key.id], threshold: 1 },
    ]);
    expect(await codeOf(() => applyChanges(draft, [{ action: "keys", role: "ada", threshold: 3 }]))).toBe("USAGE");
    draft.dirty.clear();
    await applyChanges(draft, [{ action: "keys", role: "ada", add: [bob.key] }]);
    expect(draft.isChanged).toBe(false);
    await applyChanges(draft, [{ action: "keys", role: "ada", remove: [ada.key.id], threshold: 1 }]);
    expect((await draft.document("targets")).delegations!.keys.has(ada.key.id)).toBe(false);
  });
});

describe("hash bins", () => {
  const spread = (more: object) =>
    ({ action: "bins", delegator: "targets", namePrefix: "bin", bitLength: 1, threshold: 1, ...more }) as never;

  it("take every target over, from their delegator and from the bins before, and are all signed", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const rig = await Rig.make();
    await rig.publish([add("a"), add("b"), add("c")]);
    const draft = TufDraft.of(await readBase(rig.access, undefined));
    await applyChanges(draft, [spread({ keys: [ada.key] })]);
    const all = async (...bins: string[]) =>
      (await Promise.all(bins.map((bin) => draft.document(bin))))
        .flatMap(({ targets }) => Array.from(targets.keys()))
        .toSorted();
    expect(await all("bin-0", "bin-1")).toEqual(["a", "b", "c"]);
    expect((await draft.document("targets")).targets.size).toBe(0);
    expect([...draft.dirty].toSorted()).toEqual(["bin-0", "bin-1", "targets"]);
    const targets = await draft.document("targets");
    const succinct = { ...targets.delegations!.succinct!, extra: { "x-note": 1 } };
    draft.update("targets", { ...targets, delegations: { ...targets.delegations!, succinct, extra: { "x-more": 2 } } });
    await applyChanges(draft, [spread({ keys: [ada.key, bob.key], namePrefix: "b", bitLength: 2, threshold: 2 })]);
    expect(await all("b-0", "b-1", "b-2", "b-3")).toEqual(["a", "b", "c"]);
    expect((await draft.document("targets")).delegations).toEqual({
      keys: new Map([ada, bob].map(({ key }) => [key.id, key])),
      roles: [],
      succinct: {
        keyIds: [ada.key.id, bob.key.id],
        threshold: 2,
        bitLength: 2,
        namePrefix: "b",
        extra: { "x-note": 1 },
      },
      extra: { "x-more": 2 },
    });
    draft.dirty.clear();
    await applyChanges(draft, [{ action: "keys", role: "b-3", remove: [ada.key.id], threshold: 1 }]);
    expect([...draft.dirty].toSorted()).toEqual(["b-0", "b-1", "b-2", "b-3", "targets"]);
    expect([...(await draft.document("targets")).delegations!.keys.keys()]).toEqual([bob.key.id]);
    draft.dirty.clear();
    await applyChanges(draft, [{ action: "keys", role: "b-3", add: [bob.key] }]);
    expect(draft.isChanged).toBe(false);
  });

  it("and roles by name do not go together, and bins have enough keys", async () => {
    const { draft, ada } = await rigs();
    await expect(applyChanges(draft, [spread({ keys: [ada.key] })])).rejects.toMatchObject({
      code: "DELEGATION_REFUSED",
      role: "targets",
      hint: "Spread the targets of another role",
    });
    await applyChanges(draft, [spread({ delegator: "ada", keys: [ada.key] })]);
    await expect(applyChanges(draft, [delegation("eve", ada, ["team/e"], "ada")])).rejects.toMatchObject({
      code: "DELEGATION_REFUSED",
      role: "ada",
      hint: "Delegate from another role, or give the bins up first",
    });
    const { draft: other } = await rigs();
    for (const more of [{ keys: [] }, { keys: [ada.key], threshold: 2 }, { keys: [ada.key], bitLength: 0 }]) {
      expect(await codeOf(() => applyChanges(other, [spread({ delegator: "ada", ...more })]))).toBe("USAGE");
      expect(other.isChanged).toBe(false);
    }
  });
});

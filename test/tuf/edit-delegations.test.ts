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

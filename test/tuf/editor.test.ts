/** Edits to a draft: what they change, what they leave as it is, and what is refused. */
import { describe, expect, it } from "vitest";
import { TufDraft } from "../../src/tuf/draft.ts";
import { applyChanges, prefixPatterns } from "../../src/tuf/editor.ts";
import { readBase } from "../../src/tuf/publish.ts";
import type { TargetFile } from "../../src/tuf/schema.ts";
import { codeOf } from "../support/error-code.ts";
import { people, Rig, type Person } from "../support/tuf-publishing.ts";

const SHA256 = "a".repeat(64);
const delegation = (role: string, { key }: Person, paths: readonly string[], delegator = "targets") =>
  ({ action: "delegate", delegator, role, keys: [key], paths }) as const;
const remove = (name: string, role = "targets") => ({ action: "remove", role, name }) as const;
const put = (name: string, more: object = {}, role = "targets") =>
  ({ action: "add", role, name, content: { length: 1, hashes: { sha256: SHA256 }, ...more } }) as const;

/** A collection whose `targets` signs `kept` and delegates to ada, who delegates to bob. */
async function drafted() {
  const [ada, bob] = (await people(2)) as [Person, Person];
  const rig = await Rig.make();
  await rig.publish(
    [
      put("kept", { custom: { a: 1 } }),
      delegation("ada", ada, ["team/*", "team/*/*"]),
      delegation("bob", bob, ["team/*", "other/*"], "ada"),
    ],
    [...rig.all, ada, bob],
  );
  const draft = TufDraft.of(await readBase(rig.access, undefined));
  const names = async (role = "targets") => [...(await draft.document(role)).targets.keys()];
  return { rig, ada, bob, draft, names };
}

describe("targets", () => {
  it("are added and removed in order, and leave the published document as it is", async () => {
    const { draft, names } = await drafted();
    const before = draft.base!.targets.get("targets")!.signed;
    await applyChanges(draft, [put("a"), put("b"), remove("a"), remove("kept"), put("c"), remove("none")]);
    expect(await names()).toEqual(["b", "c"]);
    expect([...before.targets.keys()]).toEqual(["kept"]);
    expect([...draft.dirty]).toEqual(["targets"]);
  });

  it("that come out as they were leave their role unsigned", async () => {
    const { draft } = await drafted();
    await applyChanges(draft, [put("a"), remove("a"), remove("none"), put("kept", { custom: { a: 1 } })]);
    await applyChanges(draft, [remove("kept"), put("kept", { custom: { a: 1 } })]);
    expect(draft.isChanged).toBe(false);
    await applyChanges(draft, [put("a"), put("kept", { custom: { a: 1 } })]);
    expect([...draft.dirty]).toEqual(["targets"]);
  });

  it("keep the fields that others have put into them, and say what their publisher says", async () => {
    const { draft } = await drafted();
    const document = await draft.document("targets");
    const file: TargetFile = { ...document.targets.get("kept")!, extra: { "x-note": "theirs" } };
    draft.update("targets", { ...document, targets: new Map(document.targets).set("kept", file) });
    const said = async (more: object) => {
      await applyChanges(draft, [put("kept", more)]);
      return (await draft.document("targets")).targets.get("kept");
    };
    const plain = { length: 1, hashes: { sha256: SHA256 }, extra: { "x-note": "theirs" } };
    expect(await said({ custom: { a: 2 } })).toEqual({ ...plain, custom: { a: 2 } });
    expect(await said({ custom: null })).toEqual(plain);
    expect(await said({ custom: 0 })).toEqual({ ...plain, custom: 0 });
    expect(await said({})).not.toHaveProperty("custom");
    await applyChanges(draft, [put("fresh")]);
    expect((await draft.document("targets")).targets.get("fresh")).toEqual({ ...plain, extra: {} });
  });

  it("have names and contents that all clients take; nothing is changed where one has not", async () => {
    const { draft } = await drafted();
    for (const [code, change] of [
      ["TARGET_NAME_INVALID", put("a//b")],
      ["TARGET_NAME_INVALID", put("kept x")],
      ["TARGET_INVALID", put("a", { length: -1 })],
      ["DELEGATION_REFUSED", put("a", {}, "nobody")],
      ["DELEGATION_REFUSED", remove("a", "nobody")],
    ] as const) {
      expect(await codeOf(() => applyChanges(draft, [put("first"), change]))).toBe(code);
      expect(draft.isChanged).toBe(false);
    }
    await applyChanges(draft, [remove("a//b")]); // what other tools have published may go
  });

  it("of a role are within what it is delegated, on the whole way from the top", async () => {
    const { draft, names } = await drafted();
    await applyChanges(draft, [put("team/x", {}, "ada"), put("team/y", {}, "bob"), put("anything")]);
    expect([await names("ada"), await names("bob")]).toEqual([["team/x"], ["team/y"]]);
    for (const [name, role] of [
      ["other", "ada"],
      ["other/x", "bob"], // ada has no leave to delegate it
      ["team/x/y", "bob"], // nor did she
    ] as const) {
      await expect(applyChanges(draft, [put(name, {}, role)])).rejects.toMatchObject({
        code: "DELEGATION_REFUSED",
        role,
        message: expect.stringContaining(`it may not sign "${name}"`),
        hint: "Add the path to the delegation, or sign in another role",
      });
    }
    await applyChanges(draft, [remove("other", "ada")]);
  });

  it("of one role are not those of another one beside it", async () => {
    const { draft, bob } = await drafted();
    await applyChanges(draft, [delegation("eve", bob, ["eve/*"])]);
    expect(await codeOf(() => applyChanges(draft, [put("eve/x", {}, "ada")]))).toBe("DELEGATION_REFUSED");
    expect(await codeOf(() => applyChanges(draft, [put("team/x", {}, "eve")]))).toBe("DELEGATION_REFUSED");
    await applyChanges(draft, [put("eve/x", {}, "eve"), put("team/x", {}, "ada")]);
  });

  it("are checked against delegations as they are at that moment", async () => {
    const { draft, ada, names } = await drafted();
    const narrower = { action: "undelegate", delegator: "targets", role: "ada", paths: ["team/*/*"] } as const;
    await applyChanges(draft, [
      put("team/x", {}, "ada"),
      delegation("ada", ada, ["b/*"]),
      put("b/x", {}, "ada"),
      delegation("bob", ada, ["b/*"], "ada"),
      put("b/y", {}, "bob"),
    ]);
    expect([await names("ada"), await names("bob")]).toEqual([["team/x", "b/x"], ["b/y"]]);
    const late = [put("team/a/b", {}, "ada"), narrower, put("team/c/d", {}, "ada")];
    expect(await codeOf(() => applyChanges(draft, late))).toBe("DELEGATION_REFUSED");
    const ended = [
      put("team/z", {}, "bob"),
      { action: "undelegate", delegator: "ada", role: "bob" } as const,
      put("b/z", {}, "bob"),
    ];
    expect(await codeOf(() => applyChanges(draft, ended))).toBe("DELEGATION_REFUSED");
  });
});

describe("periods", () => {
  const FIELDS = { "x-tuf-on-ci-expiry-period": 9, "x-tuf-on-ci-signing-period": 3 };
  const periods = (role: string) => ({ action: "periods", role, periods: { expiry: 9, signing: 3 } }) as const;

  it.each(["timestamp", "snapshot"])("of %s are kept in root, which is signed with it", async (role) => {
    const { draft } = await drafted();
    const before = draft.root;
    await applyChanges(draft, [periods(role)]);
    expect(draft.root.roles.get(role)).toEqual({ ...before.roles.get(role), extra: FIELDS });
    expect(before.roles.get(role)!.extra).toEqual({});
    expect([...draft.dirty]).toEqual(["root", role]);
  });

  it("of other roles are kept in their own documents", async () => {
    const { draft } = await drafted();
    await applyChanges(draft, [put("a"), periods("root"), periods("targets"), periods("ada")]);
    expect(draft.root.extra).toEqual(FIELDS);
    expect(await draft.document("targets")).toMatchObject({ extra: FIELDS });
    expect([...(await draft.document("targets")).targets.keys()]).toEqual(["kept", "a"]);
    expect((await draft.document("ada")).extra).toEqual(FIELDS);
    expect([...draft.dirty].toSorted()).toEqual(["ada", "root", "targets"]);
    expect(await codeOf(() => applyChanges(draft, [periods("nobody")]))).toBe("DELEGATION_REFUSED");
  });
});

describe("a renewal", () => {
  it.each(["root", "timestamp", "snapshot", "targets", "ada"])("signs %s again, and nothing else", async (role) => {
    const { draft } = await drafted();
    await applyChanges(draft, [{ action: "renew", role }]);
    expect([...draft.dirty]).toEqual([role]);
    expect([...draft.reset]).toEqual([]);
    expect([...draft.changed.keys()]).toEqual(role === "targets" || role === "ada" ? [role] : []);
  });

  it("of a role that does not exist is refused", async () => {
    const { draft } = await drafted();
    expect(await codeOf(() => applyChanges(draft, [{ action: "renew", role: "nobody" }]))).toBe("DELEGATION_REFUSED");
  });

  it.each(["timestamp", "snapshot", "targets"] as const)("of %s may begin its versions anew", async (role) => {
    const { draft } = await drafted();
    await applyChanges(draft, [{ action: "reset-version", role }]);
    expect([[...draft.reset], [...draft.dirty]]).toEqual([[role], [role]]);
  });
});

describe("the patterns of a prefix", () => {
  it("are one for each depth, and eight", () => {
    expect(prefixPatterns("a/b/", 3)).toEqual(["a/b/*", "a/b/*/*", "a/b/*/*/*"]);
    expect(prefixPatterns("")).toHaveLength(8);
    expect(prefixPatterns("").at(-1)).toBe("*/*/*/*/*/*/*/*");
    expect(() => prefixPatterns("a")).toThrow(
      expect.objectContaining({
        code: "USAGE",
        message: 'the prefix "a" must end with a slash',
        hint: expect.stringContaining('Write "a/"'),
      }),
    );
  });
});

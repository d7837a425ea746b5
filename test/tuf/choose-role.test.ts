import { describe, expect, it } from "vitest";
import { chooseRole, roleOf } from "../../src/tuf/choose-role.ts";
import { TufDraft } from "../../src/tuf/draft.ts";
import { loadPublished } from "../../src/tuf/published.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { newPair, roleKeys, TufSimulator } from "../support/tuf-repository.ts";

async function draftOf(repository: TufSimulator): Promise<TufDraft> {
  return TufDraft.of(await loadPublished(repository.repository, { anchor: repository.anchor }));
}

/** The keys of roles. */
function held(repository: TufSimulator, ...roles: string[]) {
  return openSigningKeys(roles.flatMap((role) => repository.signers.get(role)!.map(({ signer }) => signer)));
}

/** Roles that each delegate to the next one. */
async function chain(length: number): Promise<{ repository: TufSimulator; roles: string[] }> {
  const repository = await TufSimulator.create();
  const roles = Array.from({ length }, (_, index) => `role-${index + 1}`);
  for (const [index, role] of roles.entries()) await repository.delegate(roles[index - 1] ?? "targets", role);
  await repository.publish(...roles, "targets");
  return { repository, roles };
}

describe("the role to sign a name in", () => {
  it("is one that clients come to: they visit 32 delegated roles", async () => {
    const { repository } = await chain(34);
    const draft = await draftOf(repository);
    expect(await chooseRole(draft, "x", held(repository, "role-32"))).toBe("role-32");
    await expect(chooseRole(draft, "x", held(repository, "role-33"))).rejects.toMatchObject({
      code: "KEY_MISSING",
      details: { role: "role-32" },
    });
  });

  it("is found where delegations go in a circle", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "a");
    await repository.delegate("a", "b");
    await repository.delegate("b", "a");
    await repository.delegate("targets", "last");
    await repository.publish("a", "b", "last", "targets");
    const draft = await draftOf(repository);
    expect(await chooseRole(draft, "x", held(repository, "b"))).toBe("b");
    expect(await chooseRole(draft, "x", held(repository, "last"))).toBe("last");
  });

  it("needs the keys that every delegator demands", async () => {
    const repository = await TufSimulator.create();
    const [one, two] = [await newPair(), await newPair()];
    await repository.delegate("targets", "other", { paths: ["none"] });
    await repository.delegate("targets", "team", { pairs: [one] });
    await repository.delegate("other", "team", { pairs: [two] });
    repository.signers.set("team", [one, two]);
    await repository.publish("other", "team", "targets");
    const draft = await draftOf(repository);
    await draft.document("other");
    const [targets] = repository.signers.get("targets")!;
    const holding = (...pairs: (typeof one)[]) => openSigningKeys(pairs.map(({ signer }) => signer));
    expect(await chooseRole(draft, "x", holding(one, two, targets!))).toBe("team");
    expect(await chooseRole(draft, "x", holding(one, targets!))).toBe("targets");
    expect(await chooseRole(draft, "x", holding(two, targets!))).toBe("targets");
  });

  it("needs as many keys as its threshold", async () => {
    const repository = await TufSimulator.create();
    const pairs = [await newPair(), await newPair(), await newPair()];
    repository.signers.set("team", pairs);
    await repository.delegate("targets", "team", { pairs });
    repository.changeDelegations("targets", ({ keys, roles, extra }) => ({
      keys,
      roles: roles.map((role) => ({ ...role, ...roleKeys(pairs, 2) })),
      extra,
    }));
    await repository.publish("team", "targets");
    const draft = await draftOf(repository);
    const some = (count: number) => openSigningKeys(pairs.slice(0, count).map(({ signer }) => signer));
    expect(await chooseRole(draft, "x", some(2))).toBe("team");
    await expect(chooseRole(draft, "x", some(1))).rejects.toMatchObject({
      code: "KEY_MISSING",
      details: { role: "team", threshold: 2, missing: pairs.slice(1).map(({ key }) => key.id) },
    });
  });

  it("is the one that has the name, where its keys are at hand, whatever comes before it", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "first", { paths: ["team/*"] });
    await repository.delegate("targets", "second", { paths: ["team/*"] });
    await repository.addTarget("second", "team/app", "x");
    await repository.addTarget("targets", "team/top", "x");
    await repository.publish("first", "second", "targets");
    const draft = await draftOf(repository);
    const all = held(repository, "targets", "first", "second");
    expect(await chooseRole(draft, "team/app", all)).toBe("second");
    expect(await chooseRole(draft, "team/top", all)).toBe("targets");
    expect(await chooseRole(draft, "team/new", all)).toBe("first");
    expect(await chooseRole(draft, "elsewhere", all)).toBe("targets");
    expect(await chooseRole(draft, "team/app", held(repository, "targets", "first"))).toBe("first");
    expect(await chooseRole(draft, "team/app", held(repository, "targets"))).toBe("targets");
    expect([await roleOf(draft, "team/app"), await roleOf(draft, "team/top")]).toEqual(["second", "targets"]);
    expect(await roleOf(draft, "team/new")).toBeUndefined();
  });

  it("is none after a terminating one, on no level", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "outer", { paths: ["*"] });
    await repository.delegate("targets", "last", { paths: ["*"] });
    await repository.delegate("outer", "inner", { paths: ["*"], terminating: true });
    await repository.delegate("outer", "beside", { paths: ["*"] });
    await repository.publish("outer", "last", "inner", "beside", "targets");
    const draft = await draftOf(repository);
    expect(await chooseRole(draft, "x", held(repository, "inner"))).toBe("inner");
    for (const role of ["last", "beside"]) {
      await expect(chooseRole(draft, "x", held(repository, role))).rejects.toMatchObject({
        code: "KEY_MISSING",
        details: { role: "inner" },
      });
    }
  });

  it("is none after one whose document cannot be used: clients end there, too", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "broken");
    await repository.delegate("targets", "last");
    const honest = repository.signers.get("broken")!;
    repository.signers.set("broken", [await newPair()]);
    await repository.publish("broken", "last", "targets");
    repository.signers.set("broken", honest);
    const draft = await draftOf(repository);
    await expect(chooseRole(draft, "x", held(repository, "broken", "last"))).rejects.toMatchObject({
      code: "KEY_MISSING",
      details: { role: "targets" },
    });
    expect(await chooseRole(draft, "x", held(repository, "targets", "last"))).toBe("targets");
  });

  it("is the bin that the name falls in", async () => {
    const repository = await TufSimulator.create();
    await repository.delegateToBins("targets", 2, "bin");
    const bins = [...repository.roles.keys()].filter((role) => role.startsWith("bin-"));
    await repository.publish(...bins, "targets");
    const chosen = await chooseRole(await draftOf(repository), "app/v1", held(repository, ...bins));
    expect(bins).toContain(chosen);
    await repository.addTarget(chosen, "app/v1", "x");
    await repository.publish(chosen);
    expect((await repository.client().find("app/v1"))?.role).toBe(chosen);
  });
});

/** Which role answers for a name, in each order, and when there must be no answer. */
import { beforeEach, describe, expect, it } from "vitest";
import { findInEveryRole, findTarget, listTargets } from "../../src/notary/lookup.ts";
import { createHarness } from "../support/notary-harness.ts";
import { NotaryRepository, plainKey } from "../support/notary-repository.ts";

let repository: NotaryRepository;
beforeEach(async () => {
  repository = await NotaryRepository.create();
});

async function load() {
  await repository.publish();
  return createHarness(repository).update();
}

const roleOf = (found: ReturnType<typeof findTarget>) => found?.role.role;

describe("prefixes", () => {
  it("are plain text: no separators, no patterns", async () => {
    await repository.delegate("targets/a", ["rel", "x/*", "[y]"]);
    for (const name of ["release", "rel", "re", "x/1", "x/*1", "y", "[y]z", "Rel"]) {
      await repository.addTarget(name, name, "targets/a");
    }
    const state = await load();
    const found = ["release", "rel", "re", "x/1", "x/*1", "y", "[y]z", "Rel"].filter((name) =>
      findTarget(state, name, "notary"),
    );
    expect(found).toEqual(["release", "rel", "x/*1", "[y]z"]);
    expect(listTargets(state, "notary").map(({ name }) => name)).toEqual(["[y]z", "rel", "release", "v1", "x/*1"]);
  });

  it("cover nothing where there are none", async () => {
    await repository.delegate("targets/a", []);
    await repository.addTarget("x", "x", "targets/a");
    expect(findTarget(await load(), "x", "notary")).toBeUndefined();
  });

  it("of a delegation below another are cut to those of the one above", async () => {
    await repository.delegate("targets/a", ["team/"]);
    await repository.delegate("targets/a/b", ["", "team/b/", "other/"]);
    for (const name of ["team/b/1", "team/c/1", "other/1"]) await repository.addTarget(name, name, "targets/a/b");
    const state = await load();
    expect(state.delegations.get("targets/a/b")?.paths).toEqual(["team/b/"]);
    expect(["team/b/1", "team/c/1", "other/1"].map((name) => roleOf(findTarget(state, name, "notary")))).toEqual([
      "targets/a/b",
      undefined,
      undefined,
    ]);
  });
});

describe("orders", () => {
  beforeEach(async () => {
    for (const name of ["targets/alice", "targets/releases", "targets/alice/deep", "targets/releases/deep"]) {
      await repository.delegate(name);
      await repository.addTarget("everywhere", name, name);
      await repository.addTarget(`only ${name}`, name, name);
    }
    await repository.addTarget("everywhere", "targets");
  });

  it("docker: releases, then targets, and nobody else", async () => {
    const state = await load();
    expect(roleOf(findTarget(state, "everywhere", "docker"))).toBe("targets/releases");
    expect(roleOf(findTarget(state, "v1", "docker"))).toBe("targets");
    expect(findTarget(state, "only targets/alice", "docker")).toBeUndefined();
    expect(findTarget(state, "only targets/releases/deep", "docker")).toBeUndefined();
    expect(listTargets(state, "docker").map(({ name }) => name)).toEqual(["everywhere", "only targets/releases", "v1"]);
  });

  it("notary: targets, then level by level in the order of the documents", async () => {
    const state = await load();
    expect(roleOf(findTarget(state, "everywhere", "notary"))).toBe("targets");
    expect(findInEveryRole(state, "everywhere").map(({ role }) => role.role)).toEqual([
      "targets",
      "targets/alice",
      "targets/releases",
      "targets/alice/deep",
      "targets/releases/deep",
    ]);
    expect(listTargets(state, "notary")).toHaveLength(6);
  });

  it("named roles: each with what is below it, but for what is named itself", async () => {
    const state = await load();
    expect(roleOf(findTarget(state, "everywhere", ["targets/releases/deep", "targets"]))).toBe("targets/releases/deep");
    expect(roleOf(findTarget(state, "only targets/alice/deep", ["targets/alice"]))).toBe("targets/alice/deep");
    expect(findTarget(state, "only targets/alice/deep", ["targets/releases"])).toBeUndefined();
    expect(roleOf(findTarget(state, "only targets/alice", ["targets", "targets/alice"]))).toBe("targets/alice");
    expect(listTargets(state, ["targets/releases/deep", "targets/releases"]).map(({ role }) => role.role)).toEqual([
      "targets/releases/deep",
      "targets/releases",
      "targets/releases/deep",
    ]);
    expect(findTarget(state, "v1", ["targets/nobody"])).toBeUndefined();
    expect(() => findTarget(state, "v1", ["root"])).toThrow(expect.objectContaining({ code: "ROLE_INVALID" }));
  });
});

describe("a role that is not acceptable", () => {
  it("silences only the names that it covers and would have answered for", async () => {
    await repository.delegate("targets/a", ["a/"]);
    await repository.delegate("targets/b", [""]);
    for (const role of ["targets/a", "targets/b"])
      for (const name of ["a/1", "b/1"]) await repository.addTarget(name, role, role);
    repository.signers.set("targets/a", [await plainKey()]);
    const state = await load();
    const fault = expect.objectContaining({ code: "SIGNATURE_THRESHOLD", role: "targets/a" }) as Error;
    expect(() => findTarget(state, "a/1", "notary")).toThrow(fault);
    expect(() => findTarget(state, "a/unsigned", "notary")).toThrow(fault);
    expect(roleOf(findTarget(state, "b/1", "notary"))).toBe("targets/b");
    expect(roleOf(findTarget(state, "v1", "notary"))).toBe("targets");
    expect(roleOf(findTarget(state, "a/1", ["targets/b"]))).toBe("targets/b");
    expect(state.delegations.get("targets/a")?.fault?.code).toBe("SIGNATURE_THRESHOLD");
    expect(findInEveryRole(state, "a/1").map(({ role }) => role.role)).toEqual(["targets/b"]);
  });

  it("brings no older mapping to light in lists, by which digests are looked up", async () => {
    await repository.delegate("targets/releases", ["v"]);
    await repository.addTarget("v1", "the new one", "targets/releases");
    await repository.addTarget("other", "other");
    repository.signers.set("targets/releases", [await plainKey()]);
    const state = await load();
    expect(() => findTarget(state, "v1", "docker")).toThrow(expect.objectContaining({ code: "SIGNATURE_THRESHOLD" }));
    expect(listTargets(state, "docker").map(({ name }) => name)).toEqual(["other"]);
    expect(listTargets(state, "notary").map(({ name }) => name)).toEqual(["other", "v1"]); // targets comes first there
  });

  it("gives no later role the say, where the one asked for first lies below it", async () => {
    await repository.delegate("targets/a", ["v"]);
    await repository.delegate("targets/a/b", ["v"]);
    await repository.addTarget("v1", "the new one", "targets/a/b");
    await repository.addTarget("other", "other");
    const order = ["targets/a/b", "targets"];
    expect(roleOf(findTarget(await load(), "v1", order))).toBe("targets/a/b");
    repository.signers.set("targets/a", [await plainKey()]);
    const state = await load();
    expect(() => findTarget(state, "v1", order)).toThrow(expect.objectContaining({ code: "SIGNATURE_THRESHOLD" }));
    expect(roleOf(findTarget(state, "other", order))).toBe("targets");
    expect(listTargets(state, order).map(({ name }) => name)).toEqual(["other"]);
  });

  it("hides what is below it", async () => {
    await repository.delegate("targets/a");
    await repository.delegate("targets/a/b");
    await repository.addTarget("x", "x", "targets/a/b");
    repository.signers.set("targets/a", [await plainKey()]);
    const state = await load();
    expect([...state.delegations.keys()]).toEqual(["targets/a"]);
    expect(() => findTarget(state, "x", ["targets"])).toThrow(expect.objectContaining({ code: "SIGNATURE_THRESHOLD" }));
  });

  it("that is malformed condemns itself only", async () => {
    await repository.delegate("targets/a", ["a/"]);
    repository.edits.set("targets/a", (signed) => {
      signed["version"] = 0;
    });
    const state = await load();
    expect(() => findTarget(state, "a/1", "notary")).toThrow(expect.objectContaining({ code: "METADATA_INVALID" }));
    expect(roleOf(findTarget(state, "v1", "notary"))).toBe("targets");
  });
});

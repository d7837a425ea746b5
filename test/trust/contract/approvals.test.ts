import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openApprovalFile } from "../../../src/node/approval-file.ts";
import { memoryApprovalStore, type ApprovalStore } from "../../../src/trust/contract/approvals.ts";

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "wasm-to-oci-approvals-"));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const SCOPE = { repository: "ghcr.io/acme/app", collection: "acme/app" };

describe.each<[string, () => ApprovalStore]>([
  ["in memory", () => memoryApprovalStore()],
  ["in a file", () => openApprovalFile(dir)],
])("an ApprovalStore %s", (_where, open) => {
  it("only ever adds, and keeps scopes apart", async () => {
    const store = open();
    expect(await store.get(SCOPE)).toBeUndefined();
    await store.add(SCOPE, { kind: "module", imports: ["b"] });
    await store.add(SCOPE, { kind: "component", imports: ["a"] });
    await store.add(SCOPE, { kind: "module", imports: [] });
    expect(await store.get(SCOPE)).toMatchObject({ kinds: ["component", "module"], imports: ["a", "b"] });
    expect(await store.get({ ...SCOPE, repository: "mirror.test/acme/app" })).toBeUndefined();
    expect(await store.get({ ...SCOPE, collection: "other/app" })).toBeUndefined();
  });

  it("lists what it has, in order", async () => {
    const store = open();
    expect(await store.list()).toEqual([]);
    await store.add({ ...SCOPE, collection: "z" }, { kind: "module", imports: ["b"] });
    await store.add({ ...SCOPE, repository: "a.test/app" }, { kind: "module", imports: [] });
    await store.add(SCOPE, { kind: "module", imports: ["a"] });
    expect(await store.list()).toEqual([
      { repository: "a.test/app", collection: "acme/app", kinds: ["module"], imports: [] },
      { ...SCOPE, kinds: ["module"], imports: ["a"] },
      { ...SCOPE, collection: "z", kinds: ["module"], imports: ["b"] },
    ]);
  });

  it("takes back one import, or everything, and stays an entry: what follows is no first version", async () => {
    const store = open();
    const other = { ...SCOPE, collection: "other/app" };
    expect(await store.withdraw(SCOPE)).toBeUndefined();
    expect(await store.list()).toEqual([]);
    await store.add(other, { kind: "module", imports: ["a"] });
    await store.add(SCOPE, { kind: "module", imports: ["a", "b"] });
    expect(await store.withdraw(SCOPE, ["a", "never"])).toMatchObject({ kinds: ["module"], imports: ["b"] });
    expect(await store.withdraw(SCOPE)).toMatchObject({ kinds: [], imports: [] });
    expect(await store.get(SCOPE)).toEqual({ ...SCOPE, kinds: [], imports: [] });
    expect(await store.get(other)).toMatchObject({ imports: ["a"] });
    await store.add(SCOPE, { kind: "module", imports: ["b"] });
    expect(await store.get(SCOPE)).toMatchObject({ kinds: ["module"], imports: ["b"] });
  });

  it("forgets an entry, and no other one", async () => {
    const store = open();
    await store.add(SCOPE, { kind: "module", imports: ["a"] });
    await store.add({ ...SCOPE, collection: "other/app" }, { kind: "module", imports: ["a"] });
    expect([await store.forget(SCOPE), await store.forget(SCOPE)]).toEqual([true, false]);
    expect(await store.get(SCOPE)).toBeUndefined();
    expect(await store.list()).toHaveLength(1);
  });

  it("loses no addition of another writer", async () => {
    const stores = Array.from({ length: 8 }, () => open());
    const shared = _where === "in a file" ? stores : stores.fill(stores[0]!);
    await Promise.all(shared.map((store, i) => store.add(SCOPE, { kind: "module", imports: [`m${i}`] })));
    expect((await shared[0]!.get(SCOPE))?.imports).toHaveLength(8);
  });

  it("refuses to grow without end, and keeps what it had", async () => {
    const store = open();
    await store.add(SCOPE, { kind: "module", imports: ["env"] });
    const many = Array.from({ length: 10_000 }, (_, i) => `m${i}`);
    await expect(store.add(SCOPE, { kind: "module", imports: many })).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    expect((await store.get(SCOPE))?.imports).toEqual(["env"]);
  });
});

describe("the approvals file", () => {
  const path = (): string => join(dir, "approvals.json");

  it("is text that a person can review, and is not written for nothing", async () => {
    const store = openApprovalFile(dir);
    await store.add(SCOPE, { kind: "component", imports: ["wasi:cli/stdin@0.2.0"] });
    const text = await readFile(path(), "utf8");
    expect(JSON.parse(text)).toEqual({
      version: 1,
      approvals: [{ ...SCOPE, kinds: ["component"], imports: ["wasi:cli/stdin@0.2.0"] }],
    });
    await writeFile(path(), text.replace(/\n\s*/g, ""));
    await store.add(SCOPE, { kind: "component", imports: ["wasi:cli/stdin@0.2.0"] });
    expect(await readFile(path(), "utf8")).toBe(text.replace(/\n\s*/g, ""));
    expect(await readdir(dir)).not.toContain(expect.stringContaining("tmp"));
  });

  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["a newer version", '{"version":2,"approvals":[]}'],
    ["a member that it does not know", '{"version":1,"approvals":[],"until":"2030"}'],
    ["an unknown kind", '{"version":1,"approvals":[{"repository":"a","collection":"a","kinds":["x"],"imports":[]}]}'],
    ["a condition", '{"version":1,"approvals":[{"repository":"a","collection":"a","kinds":[],"imports":[],"if":1}]}'],
    [
      "one scope twice",
      '{"version":1,"approvals":[{"repository":"a","collection":"a","kinds":[],"imports":[]},{"repository":"a","collection":"a","kinds":[],"imports":["x"]}]}',
    ],
  ])("is an error where it holds %s, never an empty one", async (_what, text) => {
    await writeFile(path(), text);
    const store = openApprovalFile(dir);
    await expect(store.get(SCOPE)).rejects.toMatchObject({ code: "STATE_INVALID" });
    await expect(store.add(SCOPE, { kind: "module", imports: [] })).rejects.toMatchObject({ code: "STATE_INVALID" });
    expect(await readFile(path(), "utf8")).toBe(text);
  });
});

import { beforeAll, describe, expect, test } from "vitest";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { newKey, type Change, type NewKey } from "../../src/notary/changes.ts";
import { delegationsOfKeys } from "../../src/notary/delegations.ts";
import { Draft, type CollectionDocuments } from "../../src/notary/draft.ts";
import { applyChanges, mayHold } from "../../src/notary/editor.ts";
import type { Delegation, NotaryTargets } from "../../src/notary/metadata.ts";

const sha256 = "ab".repeat(32);
const content = { length: 3, hashes: { sha256 } };
let alice: NewKey;
let bob: NewKey;

beforeAll(async () => {
  alice = await newKey((await PrivateKey.generate()).publicKey);
  bob = await newKey((await PrivateKey.generate("ed25519")).publicKey);
});

function targets(delegations: readonly Delegation[] = [], keys: readonly NewKey[] = []): NotaryTargets {
  const listed = new Map(keys.map(({ keyId, key }) => [keyId, key]));
  return {
    delegations: { keys: listed, roles: delegations },
    expires: "2030-01-01T00:00:00Z",
    targets: new Map(),
    version: 4,
  };
}

function collection(
  documents: Readonly<Record<string, NotaryTargets>> = { targets: targets() },
  unusable: Readonly<Record<string, string>> = {},
): CollectionDocuments {
  const keyIds = ["r", "t", "s", "m"];
  const keys = new Map(
    keyIds.map((id) => [id, { keytype: id === "r" ? "ecdsa-x509" : "ecdsa", public: new Uint8Array([1]) }]),
  );
  const names = ["root", "targets", "snapshot", "timestamp"];
  const roles = new Map(names.map((name, index) => [name, { keyIds: [keyIds[index]!], threshold: 1 }]));
  const root = { consistentSnapshot: false, expires: "2030-01-01T00:00:00Z", keys, roles, version: 1 };
  return {
    root: { document: root, bytes: new Uint8Array() },
    snapshot: { expires: "2030-01-01T00:00:00Z", meta: new Map(), version: 1 },
    targets: new Map(
      Object.entries(documents).map(([role, document]) => [role, { document, bytes: new Uint8Array() }]),
    ),
    unusable: new Map(Object.entries(unusable)),
    versions: new Map(),
  };
}

async function edited(base: CollectionDocuments, ...changes: Change[]): Promise<Draft> {
  const draft = new Draft(base);
  await applyChanges(draft, changes);
  return draft;
}

function releases(keys: readonly NewKey[], paths: readonly string[] = [""], threshold = 1): Delegation {
  return { name: "targets/releases", keyIds: keys.map(({ keyId }) => keyId), paths, threshold };
}

describe("targets", () => {
  test("adds one, and leaves the verified document as it was", async () => {
    const base = collection();
    const draft = await edited(base, { action: "add", role: "targets", name: "v1", content });
    expect(draft.targets.get("targets")!.targets.get("v1")).toMatchObject({ length: 3 });
    expect([...draft.dirty]).toEqual(["targets"]);
    expect(base.targets.get("targets")!.document.targets.size).toBe(0);
  });

  test("has nothing to sign where the same is signed already", async () => {
    const custom = { b: 1, a: [2] };
    const add = { action: "add" as const, role: "targets", name: "v1", content: { ...content, custom } };
    const first = await edited(collection(), add);
    const again = collection({ targets: first.targets.get("targets")! });
    expect((await edited(again, add)).isChanged).toBe(false);
    const other = { ...add, content: { ...content, custom: { b: 1, a: [3] } } };
    expect((await edited(again, other)).isChanged).toBe(true);
    expect((await edited(again, { ...add, content })).isChanged).toBe(true);
  });

  test("removes one, and needs no signature where it is absent", async () => {
    const first = await edited(collection(), { action: "add", role: "targets", name: "v1", content });
    const base = collection({ targets: first.targets.get("targets")! });
    const removed = await edited(base, { action: "remove", role: "targets", name: "v1" });
    expect(removed.targets.get("targets")!.targets.size).toBe(0);
    expect((await edited(base, { action: "remove", role: "targets", name: "v2" })).isChanged).toBe(false);
  });

  test("can remove a name that nobody may sign any more", async () => {
    const old = { ...targets(), targets: new Map([["a\nb", { length: 1, hashes: new Map() }]]) };
    const draft = await edited(collection({ targets: old }), { action: "remove", role: "targets", name: "a\nb" });
    expect(draft.targets.get("targets")!.targets.size).toBe(0);
  });

  test("refuses a role that does not exist, a name outside its paths, and a delegation that cannot be used", async () => {
    const base = collection({ targets: targets([releases([alice], ["v"])], [alice]) });
    const add = (role: string, name: string) => edited(base, { action: "add", role, name, content });
    await expect(add("targets/other", "v1")).rejects.toMatchObject({
      code: "DELEGATION_REFUSED",
      role: "targets/other",
    });
    await expect(add("targets/releases", "x1")).rejects.toMatchObject({
      code: "DELEGATION_REFUSED",
      role: "targets/releases",
    });
    expect((await add("targets/releases", "v1")).targets.get("targets/releases")!.version).toBe(0);
    const unusable = collection(
      { targets: targets([releases([alice])], [alice]) },
      { "targets/releases": "it expired" },
    );
    await expect(
      edited(unusable, { action: "add", role: "targets/releases", name: "v1", content }),
    ).rejects.toMatchObject({ code: "DELEGATION_REFUSED", message: expect.stringContaining("it expired") as string });
  });

  test("refuses a name that a parent's paths forbid, since no consumer would find it", async () => {
    const child: Delegation = { name: "targets/releases/linux", keyIds: [bob.keyId], paths: [""], threshold: 1 };
    const base = collection({
      targets: targets([releases([alice], ["v"])], [alice]),
      "targets/releases": targets([child], [bob]),
    });
    const draft = new Draft(base);
    expect(mayHold(draft, "targets/releases/linux", "v1")).toBe(true);
    expect(mayHold(draft, "targets/releases/linux", "x1")).toBe(false);
    await expect(
      edited(base, { action: "add", role: "targets/releases/linux", name: "x1", content }),
    ).rejects.toMatchObject({ code: "DELEGATION_REFUSED" });
  });
});

describe("delegations", () => {
  test("makes a role with keys and paths, then adds to it without duplicates", async () => {
    const role = "targets/releases";
    const first = await edited(collection(), { action: "grant", role, keys: [alice], paths: ["a/"] });
    expect(first.targets.get("targets")!.delegations.roles).toEqual([releases([alice], ["a/"])]);
    const base = collection({ targets: first.targets.get("targets")! });
    const more = await edited(base, { action: "grant", role, keys: [alice, bob], paths: ["a/", "b/"], threshold: 2 });
    expect(more.targets.get("targets")!.delegations.roles).toEqual([releases([alice, bob], ["a/", "b/"], 2)]);
    expect(more.targets.get("targets")!.delegations.keys.size).toBe(2);
    expect((await edited(base, { action: "grant", role, keys: [alice], paths: ["a/"] })).isChanged).toBe(false);
  });

  test("counts a key that is listed in another form as the same key", async () => {
    const disguised: NewKey = { ...alice, keyId: "f".repeat(64) };
    const base = collection({ targets: targets([releases([alice])], [alice]) });
    const draft = await edited(base, { action: "grant", role: "targets/releases", keys: [disguised], paths: [] });
    expect(draft.isChanged).toBe(false);
  });

  test.each([
    "targets",
    "releases",
    "targets/",
    "targets/Upper",
    "targets/../x",
    "targets/a b",
    `targets/${"x".repeat(300)}`,
    "snapshot/a",
  ])("refuses the name %j", async (role) => {
    await expect(edited(collection(), { action: "grant", role, keys: [alice], paths: [""] })).rejects.toMatchObject({
      code: "ROLE_INVALID",
    });
  });

  test("refuses a new role without keys or paths, more signatures than keys, and odd paths", async () => {
    const grant = (change: object) =>
      edited(collection(), { action: "grant", role: "targets/a", keys: [alice], paths: [""], ...change });
    await expect(grant({ keys: [] })).rejects.toMatchObject({ code: "USAGE" });
    await expect(grant({ paths: [] })).rejects.toMatchObject({ code: "USAGE" });
    await expect(grant({ threshold: 2 })).rejects.toMatchObject({ code: "USAGE" });
    await expect(grant({ threshold: 0 })).rejects.toMatchObject({ code: "USAGE" });
    await expect(grant({ paths: ["a\n"] })).rejects.toMatchObject({ code: "USAGE" });
    await expect(grant({ paths: ["x".repeat(5000)] })).rejects.toMatchObject({ code: "USAGE" });
  });

  test("refuses paths that the parent does not have", async () => {
    const base = collection({
      targets: targets([releases([alice], ["v"])], [alice]),
      "targets/releases": targets(),
    });
    const grant = (paths: string[]) =>
      edited(base, { action: "grant", role: "targets/releases/linux", keys: [bob], paths });
    await expect(grant(["x"])).rejects.toMatchObject({ code: "DELEGATION_REFUSED" });
    expect((await grant(["v1/"])).dirty).toContain("targets/releases");
  });

  test("takes keys (by canonical id) and paths away, and drops keys that nobody uses", async () => {
    const base = collection({ targets: targets([releases([alice, bob], ["a/", "b/"])], [alice, bob]) });
    const draft = await edited(base, {
      action: "revoke",
      role: "targets/releases",
      keyIds: [bob.canonicalId],
      paths: ["a/"],
    });
    const { roles, keys } = draft.targets.get("targets")!.delegations;
    expect(roles).toEqual([releases([alice], ["b/"])]);
    expect([...keys.keys()]).toEqual([alice.keyId]);
  });

  test("refuses to leave a role with fewer keys than it needs, and to take a key away that it does not have", async () => {
    const base = collection({ targets: targets([releases([alice])], [alice]) });
    const revoke = (keyIds: string[]) =>
      edited(base, { action: "revoke", role: "targets/releases", keyIds, paths: [] });
    await expect(revoke([alice.canonicalId])).rejects.toMatchObject({ code: "DELEGATION_REFUSED" });
    await expect(revoke([bob.canonicalId])).rejects.toMatchObject({ code: "KEY_MISSING" });
  });

  test("deletes a role with everything below it", async () => {
    const child: Delegation = { name: "targets/releases/linux", keyIds: [bob.keyId], paths: [""], threshold: 1 };
    const base = collection({
      targets: targets([releases([alice])], [alice]),
      "targets/releases": targets([child], [bob]),
      "targets/releases/linux": targets(),
    });
    const draft = await edited(
      base,
      { action: "witness", role: "targets/releases/linux" },
      { action: "delete", role: "targets/releases" },
    );
    expect([...draft.dirty]).toEqual(["targets"]);
    expect([...draft.deleted].toSorted()).toEqual(["targets/releases", "targets/releases/linux"]);
    expect(draft.targets.get("targets")!.delegations).toEqual({ keys: new Map(), roles: [] });
    await expect(edited(base, { action: "delete", role: "targets/none" })).rejects.toMatchObject({
      code: "DELEGATION_REFUSED",
    });
  });

  test("finds every role of a key", async () => {
    const child: Delegation = {
      name: "targets/releases/linux",
      keyIds: [alice.keyId, bob.keyId],
      paths: [""],
      threshold: 1,
    };
    const draft = new Draft(
      collection({
        targets: targets([releases([alice])], [alice]),
        "targets/releases": targets([child], [alice, bob]),
      }),
    );
    expect(await delegationsOfKeys(draft, new Set([alice.canonicalId]))).toEqual([
      { role: "targets/releases", keyIds: [alice.canonicalId] },
      { role: "targets/releases/linux", keyIds: [alice.canonicalId] },
    ]);
  });
});

describe("keys of base roles", () => {
  test("replaces them, drops the old one, and signs targets again with the new one", async () => {
    const draft = await edited(collection(), { action: "replace-keys", role: "targets", keys: [alice] });
    expect([...draft.dirty].toSorted()).toEqual(["root", "targets"]);
    expect(draft.root.roles.get("targets")).toEqual({ keyIds: [alice.keyId], threshold: 1 });
    expect(draft.root.keys.has("t")).toBe(false);
  });

  test("keeps old root certificates, with which clients that are behind verify", async () => {
    const draft = await edited(collection(), { action: "replace-keys", role: "root", keys: [alice] });
    expect(draft.root.keys.has("r")).toBe(true);
    expect([...draft.dirty]).toEqual(["root"]);
  });

  test("refuses fewer keys than the role needs", async () => {
    await expect(edited(collection(), { action: "replace-keys", role: "root", keys: [] })).rejects.toMatchObject({
      code: "USAGE",
    });
  });
});

/** Which signatures a document needs, who gives them, and with which version and expiry it is signed. */
import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { StorageError } from "../../src/base/errors.ts";
import type { PublicKey } from "../../src/keys/public-key.ts";
import type { TufChange } from "../../src/tuf/changes.ts";
import { TufDraft } from "../../src/tuf/draft.ts";
import { applyChanges } from "../../src/tuf/editor.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import {
  formerKeys,
  isFulfilled,
  pendingOf,
  requirementsOf,
  signPending,
  withSignatures,
} from "../../src/tuf/pending.ts";
import { publishChanges, readBase } from "../../src/tuf/publish.ts";
import { repairCollection } from "../../src/tuf/repair.ts";
import { signWith } from "../../src/tuf/signing-keys.ts";
import { dropStaged, reviewStaged, signStaged, stageChanges } from "../../src/tuf/staged.ts";
import { codeOf } from "../support/error-code.ts";
import {
  add,
  DAY,
  environment,
  memoryStaging,
  NOW,
  people,
  person,
  Rig,
  type Person,
} from "../support/tuf-publishing.ts";

async function drafted(...more: Person[]) {
  const rig = await Rig.make({}, more);
  const base = await readBase(rig.access, undefined);
  return { rig, base, draft: TufDraft.of(base) };
}
const now = () => NOW;
const signing = (...who: Person[]) => environment(who).signing;
const short = async (draft: TufDraft, pending = pendingOf(draft, now)) =>
  (await requirementsOf(draft.base, pending)).map(({ role, reason, threshold, keys, signedBy }) => {
    return { role, reason, threshold, keys: keys.map(({ id }) => id), signedBy: signedBy.map(({ id }) => id) };
  });

describe("a version", () => {
  it("is the next one, leaves some out where that is wanted, and never of root", async () => {
    const { draft } = await drafted();
    await applyChanges(draft, [{ action: "renew", role: "root" }, add("x"), { action: "renew", role: "snapshot" }]);
    const versions = () => Array.from(pendingOf(draft, now), ([role, { signed }]) => [role, signed.version]);
    expect(versions()).toEqual([
      ["root", 2],
      ["targets", 2],
    ]);
    draft.leap = 5;
    expect(versions()).toEqual([
      ["root", 2],
      ["targets", 7],
    ]);
    expect(pendingOf(draft, now, new Map([["targets", 4]])).get("targets")!.signed.version).toBe(4);
    const first = pendingOf((await Rig.make()).draft(), now);
    expect(Array.from(first, ([role, { signed }]) => [role, signed.version, signed.expires])).toEqual([
      ["root", 1, new Date(NOW.getTime() + 365 * DAY)],
      ["targets", 1, new Date(NOW.getTime() + 365 * DAY)],
    ]);
  });
});

describe("the keys that must sign", () => {
  it("are the role's; for a new root those of the former one too, and every new key for itself", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const { rig, base, draft } = await drafted();
    const own = { role: "root", reason: "role", threshold: 1, keys: [rig.root.key.id], signedBy: [] };
    await applyChanges(draft, [{ action: "periods", role: "root", periods: { expiry: 9, signing: 3 } }]);
    expect(await short(draft)).toEqual([own]);
    await applyChanges(draft, [{ action: "keys", role: "root", add: [ada.key], threshold: 2 }]);
    await applyChanges(draft, [
      { action: "delegate", delegator: "targets", role: "bob", keys: [bob.key], paths: ["b/*"] },
    ]);
    expect(await short(draft)).toEqual([
      { ...own, reason: "former-root" },
      { ...own, threshold: 2, keys: [rig.root.key.id, ada.key.id] },
      { role: "root", reason: "possession", threshold: 1, keys: [ada.key.id], signedBy: [] },
      { role: "targets", reason: "role", threshold: 1, keys: [rig.targets.key.id], signedBy: [] },
      { role: "targets", reason: "possession", threshold: 1, keys: [bob.key.id], signedBy: [] },
      { role: "bob", reason: "role", threshold: 1, keys: [bob.key.id], signedBy: [] },
    ]);
    const { pending, failure } = await signPending(base, pendingOf(draft, now), signing(ada, bob, rig.root));
    expect(failure).toBeUndefined();
    expect((await requirementsOf(base, pending)).map(isFulfilled)).toEqual([true, true, true, false, true, true]);
    const { signatures } = pending.get("root")!;
    expect(signatures.map(({ keyId }) => keyId)).toEqual([ada.key.id, rig.root.key.id].toSorted());
    const again = await signPending(base, pending, signing(ada, bob, rig.root, rig.targets));
    expect(again.pending.get("root")!.signatures).toEqual(signatures);
    expect((await requirementsOf(base, again.pending)).every(isFulfilled)).toBe(true);
  });

  it("are the former ones too where only the threshold of root is another one, or only its key", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const rig = await Rig.make({ root: { keys: [ada.key, bob.key], threshold: 2 } }, [ada, bob]);
    const changed = async (change: Omit<Extract<TufChange, { action: "keys" }>, "action" | "role">) => {
      const draft = TufDraft.of(await readBase(rig.access, undefined));
      await applyChanges(draft, [{ action: "keys", role: "root", ...change }]);
      return (await short(draft)).map(({ reason, threshold }) => [reason, threshold]);
    };
    const former = ["former-root", 2];
    expect(await changed({ threshold: 1 })).toEqual([former, ["role", 1]]);
    expect(await changed({ add: [rig.online.key], remove: [bob.key.id] })).toEqual([former, ["role", 2]]);
  });

  it("are asked for once where they are listed under another id", async () => {
    const { rig, draft } = await drafted();
    const { key } = rig.root;
    const { keytype, scheme, json } = key;
    const text = (json["keyval"] as { public: string }).public;
    const renamed = new TufKey("renamed", { keytype, scheme, text }, json);
    draft.root = {
      ...draft.root,
      keys: new Map(draft.root.keys).set(renamed.id, renamed),
      roles: new Map(draft.root.roles).set("root", { keyIds: [renamed.id], threshold: 1, extra: {} }),
    };
    draft.dirty.add("root");
    expect((await short(draft)).map(({ reason }) => reason)).toEqual(["role"]);
  });

  it("are compared by what they are, and by their id where nothing can be made of them", async () => {
    const { rig, base, draft } = await drafted();
    const json = { keytype: "new", scheme: "new", keyval: { public: "?" } };
    const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, json);
    (base.root.signed.keys as Map<string, TufKey>).set("odd", odd);
    const role = { keyIds: [rig.root.key.id, "odd"], threshold: 1, extra: {} };
    (base.root.signed.roles as Map<string, typeof role>).set("root", role);
    draft.root = { ...base.root.signed };
    draft.dirty.add("root");
    expect((await short(draft)).map(({ reason }) => reason)).toEqual(["role"]);
    draft.root = {
      ...draft.root,
      roles: new Map(draft.root.roles).set("root", { ...role, keyIds: [rig.root.key.id] }),
    };
    expect((await short(draft)).map(({ reason }) => reason)).toEqual(["former-root", "role"]);
  });

  it("of a role that nobody delegates to are nobody's: it is refused", async () => {
    const { base, draft } = await drafted();
    draft.update("nobody", await draft.document("targets"));
    const pending = pendingOf(draft, now);
    for (const action of [() => requirementsOf(base, pending), () => signPending(base, pending, signing())]) {
      await expect(action()).rejects.toMatchObject({
        code: "DELEGATION_REFUSED",
        role: "nobody",
        hint: expect.stringContaining("a document that nobody vouches for is not published"),
      });
    }
  });

  it("sign besides where they were the former root's, so that readers on both sides follow, but for a version that starts again", async () => {
    const fresh = await person();
    const { rig, draft } = await drafted();
    const former = (role: string) => formerKeys(draft, role).map(({ id }) => id);
    expect(former("targets")).toEqual([]); // root is as it was
    await applyChanges(draft, [
      { action: "keys", role: "targets", add: [fresh.key], remove: [rig.targets.key.id] },
      { action: "keys", role: "snapshot", add: [fresh.key], remove: [rig.online.key.id] },
    ]);
    expect([former("targets"), former("snapshot"), former("nobody")]).toEqual([
      [rig.targets.key.id],
      [rig.online.key.id],
      [],
    ]);
    draft.reset.add("snapshot");
    expect(former("snapshot")).toEqual([]);
    const { pending } = await signPending(draft.base, pendingOf(draft, now), signing(rig.targets, fresh));
    expect(pending.get("targets")!.signatures.map(({ keyId }) => keyId)).toEqual(
      [rig.targets.key.id, fresh.key.id].toSorted(),
    );
    expect(formerKeys(rig.draft(), "targets")).toEqual([]);
  });
});

describe("a document that has signatures", () => {
  it("is not signed again by who has signed, so that no key is opened for nothing", async () => {
    const { rig, base, draft } = await drafted();
    await applyChanges(draft, [add("x")]);
    const { pending } = await signPending(base, pendingOf(draft, now), signing(rig.targets));
    const keys = signing(rig.targets);
    let opened = 0;
    const watched = { ...keys, open: (key: PublicKey) => (opened++, keys.open(key)) };
    expect((await signPending(base, pending, watched)).pending).toEqual(pending);
    expect(opened).toBe(0);
  });

  it("gets a good one of a key in place of a bad one: a key id stands in it once", async () => {
    const { rig, base, draft } = await drafted();
    await applyChanges(draft, [add("x")]);
    const unsigned = pendingOf(draft, now).get("targets")!;
    const spoiled = new Map([
      ["targets", { ...unsigned, signatures: [{ keyId: rig.targets.key.id, sig: "00", extra: {} }] }],
    ]);
    const { pending: good } = await signPending(base, spoiled, signing(rig.targets));
    expect(good.get("targets")!.signatures.map(({ keyId, sig }) => [keyId, sig.length])).toEqual([
      [rig.targets.key.id, 128],
    ]);
    const given = new Map([["targets", good.get("targets")!.signatures]]);
    expect(await withSignatures(base, spoiled, [given])).toEqual(good);
  });

  it("has them in the order of key ids, whoever signed first and in whatever order they came", async () => {
    const some = await people(4);
    const rig = await Rig.make({ targets: { keys: some.map(({ key }) => key), threshold: 4 } }, some);
    const base = await readBase(rig.access, undefined);
    const draft = TufDraft.of(base);
    await applyChanges(draft, [add("x")]);
    const unsigned = pendingOf(draft, now);
    let pending = unsigned;
    for (const one of some) ({ pending } = await signPending(base, pending, signing(one)));
    const ids = (set: typeof pending) => set.get("targets")!.signatures.map(({ keyId }) => keyId);
    const sorted = some.map(({ key }) => key.id).toSorted();
    expect(ids(pending)).toEqual(sorted);
    const given = new Map([["targets", pending.get("targets")!.signatures.toReversed()]]);
    expect(ids(await withSignatures(base, unsigned, [given]))).toEqual(sorted);
  });
});

describe("a key that does not open", () => {
  it("is told, and leaves what is signed as it is", async () => {
    const { rig, base, draft } = await drafted();
    await applyChanges(draft, [{ action: "renew", role: "root" }, add("x")]);
    const error = new Error("wrong passphrase");
    const failing = { ...signing(rig.root, rig.targets), open: () => Promise.reject(error) };
    const good = await signPending(base, pendingOf(draft, now), signing(rig.root));
    const { pending, failure } = await signPending(base, good.pending, failing);
    expect(failure).toBe(error);
    expect(pending.get("root")!.signatures).toEqual(good.pending.get("root")!.signatures);
    expect(pending.get("targets")!.signatures).toEqual([]);
  });
});

describe("signatures that came from elsewhere", () => {
  it("are added where they are wanted and good, and nothing else is", async () => {
    const [eve] = (await people(1)) as [Person];
    const { rig, base, draft } = await drafted();
    await applyChanges(draft, [{ action: "renew", role: "root" }, add("x")]);
    const unsigned = pendingOf(draft, now);
    const { pending: signed } = await signPending(base, unsigned, signing(rig.root, rig.targets));
    const of = (role: string) => signed.get(role)!.signatures;
    const good = new Map([["root", of("root")]]);
    const forged = of("targets").map((own) => Object.assign({}, own, { keyId: rig.root.key.id }));
    const strange = await signWith([eve.key], unsigned.get("root")!.message, signing(eve));
    const bad = [
      new Map([["root", forged]]),
      new Map([["root", strange.signatures]]),
      new Map([["targets", of("root")]]),
      new Map([["nobody", of("root")]]),
    ];
    const merged = await withSignatures(base, unsigned, [...bad, good]);
    expect(merged.get("root")!.signatures).toEqual(of("root"));
    expect(merged.get("targets")!.signatures).toEqual([]);
    expect(await withSignatures(base, unsigned, bad)).toEqual(unsigned);
    expect(await withSignatures(base, signed, bad)).toEqual(signed);
  });

  it("keep nobody from signing where they cannot be read, and stop where the place cannot be", async () => {
    const { rig } = await drafted();
    let reading = async (): Promise<readonly Bytes[]> => [utf8Encode("no signatures")];
    let cleared = 0;
    const staging = Object.assign(memoryStaging(), {
      signatures: { read: () => reading(), add: async () => undefined, clear: async () => void cleared++ },
    });
    await stageChanges(rig.access, staging, () => [add("x")], environment([]));
    expect((await reviewStaged(rig.access, staging, environment([])))!.missing).toHaveLength(1);
    const error = new StorageError("STORAGE_DENIED", "cannot read");
    reading = () => Promise.reject(error);
    await expect(reviewStaged(rig.access, staging, environment([]))).rejects.toBe(error);
    reading = async () => [];
    expect(await reviewStaged(rig.access, staging, environment([]))).toBeDefined();
    // what is dropped takes its signatures along; what never was a staged change has none
    await dropStaged(staging);
    expect([staging.content, cleared]).toEqual([undefined, 1]);
    staging.content = utf8Encode("no change");
    await dropStaged(staging);
    expect([staging.content, cleared]).toEqual([undefined, 1]);
    await stageChanges(rig.access, staging, () => [add("x")], environment([]));
    staging.signatures.clear = () => Promise.reject(error);
    await expect(dropStaged(staging)).rejects.toBe(error);
    expect(staging.content).toBeUndefined();
  });
});

describe("a repair without the keys of a snapshot that is due", () => {
  it("leaves it to whoever has them", async () => {
    const [other] = (await people(1)) as [Person];
    const rig = await Rig.make({ timestamp: { keys: [other.key] } }, [other]);
    rig.now = new Date(NOW.getTime() + 25 * DAY);
    const alone = await repairCollection(rig.access, {}, environment([other], rig.now));
    expect([alone.repaired, alone.remaining.map(({ role }) => role)]).toEqual([["timestamp"], ["snapshot"]]);
    const both = await repairCollection(rig.access, {}, environment([other, rig.online], rig.now));
    expect([both.repaired, both.remaining]).toEqual([["snapshot", "timestamp"], []]);
    await rig.client().refresh();
  });
});

describe("a publish among others", () => {
  it("looks again while somebody else is at it, and ends when nothing is left to do", async () => {
    const { rig } = await drafted();
    const rounds: boolean[] = [];
    const coordinate = () => ({
      begin: async () => {
        rounds.push(rounds.length === 0);
        return { documents: undefined, isAsked: false, isWaiting: rounds.length === 1 };
      },
      apply: async (draft: TufDraft, compute: () => Promise<readonly TufChange[]> | readonly TufChange[]) =>
        applyChanges(draft, await compute()),
      announce: async () => true,
      failed: () => false,
    });
    const store = Object.assign(Object.create(rig.store) as typeof rig.store, { coordinate });
    const { files } = await publishChanges({ ...rig.access, store }, () => [add("x")], environment(rig.all));
    expect(rounds).toEqual([true, false, false]); // waits, publishes, and finds everything so already
    expect(files.map(({ role }) => role)).toEqual(["targets", "snapshot", "timestamp"]);
    expect(await rig.find("x")).toBeDefined();
  });
});

describe("a publish without the keys of snapshot or timestamp", () => {
  it("names the role, and writes nothing", async () => {
    const [other] = (await people(1)) as [Person];
    const rig = await Rig.make({ timestamp: { keys: [other.key] } }, [other]);
    const before = rig.store.snapshot();
    for (const [keys, role] of [
      [[rig.targets], "snapshot"],
      [[rig.targets, rig.online], "timestamp"],
    ] as const) {
      await expect(rig.publish([add("x")], keys)).rejects.toMatchObject({ code: "KEY_MISSING", role });
      expect(rig.store.snapshot()).toEqual(before);
    }
    await rig.publish([add("x")], [rig.targets, rig.online, other]);
    expect(await rig.find("x")).toBeDefined();
  });
});

describe("a staged new collection", () => {
  it("whose file was given versions that start again is shown so, and signed only as it was reviewed", async () => {
    const rig = await Rig.make();
    const draft = rig.draft();
    rig.store.files.clear();
    rig.anchor = undefined;
    const staging = memoryStaging();
    const { digest } = await stageChanges(rig.access, staging, draft, environment([rig.targets]));
    const honest = staging.content!;
    staging.content = utf8Encode(utf8Decode(honest).replace(/\}\s*$/, ',"reset":["snapshot"]}'));
    const review = await reviewStaged(rig.access, staging, environment([]));
    expect(review!.digest).not.toBe(digest);
    expect(review!.documents.at(-1)).toEqual({
      role: "snapshot",
      version: 1,
      differences: [{ kind: "changed", text: "version starts again, below 0" }],
    });
    expect(await codeOf(() => signStaged(rig.access, staging, digest, environment([rig.root])))).toBe("TRUST_CONFLICT");
    staging.content = honest;
    expect((await signStaged(rig.access, staging, digest, environment([rig.root, rig.online]))).missing).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { InternalError } from "../../src/base/errors.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { TrustedSet } from "../../src/tuf/trusted-set.ts";
import { VerificationMemo } from "../../src/tuf/verification-memo.ts";
import { honest } from "../support/tuf-attack.ts";
import { LATER, NOW, storeContent } from "../support/tuf-repository.ts";

describe("the order of the workflow", () => {
  it("cannot be left: what is not there yet cannot be used, and nothing comes twice", async () => {
    const { files, anchor } = await honest();
    const file = (name: string) => files.get(name)!;
    const set = new TrustedSet({ now: NOW });
    const refuses = (use: () => unknown) => expect(async () => use()).rejects.toThrow(InternalError);
    await refuses(() => set.root);
    await set.startFrom(anchor);
    await refuses(() => set.startFrom(anchor));
    await refuses(() => set.updateTimestamp(file("timestamp.json"), "network"));
    await refuses(() => set.rememberSnapshot(file("3.snapshot.json")));
    set.settleRoot();
    await refuses(() => set.advanceRoot(anchor, "network"));
    await refuses(() => set.timestamp);
    await refuses(() => set.updateSnapshot(file("3.snapshot.json"), "network"));
    expect(set.hasTimestamp).toBe(false);
    await set.updateTimestamp(file("timestamp.json"), "network");
    expect(set.hasTimestamp).toBe(true);
    await refuses(() => set.snapshot);
    await refuses(() => set.updateTargets("targets", undefined, file("3.targets.json"), "network"));
    await set.updateSnapshot(file("3.snapshot.json"), "network");
    await refuses(() => set.updateTimestamp(file("timestamp.json"), "network"));
    await refuses(() => set.updateTargets("team", "targets", file("2.team.json"), "network"));
    await refuses(() => set.updateTargets("team", undefined, file("2.team.json"), "network"));
    await set.updateTargets("targets", undefined, file("3.targets.json"), "network");
    await refuses(() => set.updateTargets("targets", "targets", file("3.targets.json"), "network"));
    await set.updateTargets("team", "targets", file("2.team.json"), "network");
    expect(set.verifiedRoles().map(({ role, delegator }) => `${role} of ${delegator}`)).toEqual([
      "root of undefined",
      "timestamp of undefined",
      "snapshot of undefined",
      "targets of undefined",
      "team of targets",
    ]);
    expect(set.targetsDocument("nobody")).toBeUndefined();
    expect(set.targets("nobody", undefined)).toBeUndefined();
    expect(set.targets("team", "team")).toBeUndefined();
  });
});

describe("what is refused", () => {
  /** A set that has come as far as the files before the one named. */
  async function before(file: string, now = NOW) {
    const { files, anchor } = await honest();
    const set = new TrustedSet({ now });
    await set.startFrom(anchor);
    if (file === "root") return { set, files };
    set.settleRoot();
    if (file === "timestamp") return { set, files };
    await set.updateTimestamp(files.get("timestamp.json")!, "network");
    return { set, files };
  }
  const nothing = utf8Encode("{}");

  it("names its role, an anchor and a root included", async () => {
    const anchor = new TrustedSet({ now: NOW }).startFrom(nothing);
    await expect(anchor).rejects.toMatchObject({ code: "METADATA_INVALID", details: { role: "root" } });
    const { set } = await before("root");
    const root = set.advanceRoot(nothing, "network");
    await expect(root).rejects.toMatchObject({ code: "METADATA_INVALID", details: { role: "root" } });
    set.settleRoot();
    expect(set.root.document.signed.version).toBe(1);
  });

  it("is named, too, where only its age is wrong, and the set stays as it was", async () => {
    const late = new Date(LATER.getTime() - 1);
    const { set: root } = await before("root", LATER);
    expect(() => root.settleRoot()).toThrow(
      expect.objectContaining({ code: "METADATA_EXPIRED", details: expect.objectContaining({ role: "root" }) }),
    );
    const repository = await honest();
    repository.timestamp.expires = late;
    repository.timestamp.version++;
    const bytes = await repository.publishTimestamp();
    const set = new TrustedSet({ now: late });
    await set.startFrom(repository.anchor);
    set.settleRoot();
    await expect(set.updateTimestamp(bytes, "network")).rejects.toMatchObject({
      code: "METADATA_EXPIRED",
      details: { role: "timestamp" },
    });
    expect(set.hasTimestamp).toBe(false);
    repository.timestamp.expires = LATER;
    repository.timestamp.version++;
    repository.snapshot.expires = late;
    repository.snapshot.version++;
    const snapshot = await repository.publishSnapshot();
    expect(await set.updateTimestamp(await repository.publishTimestamp(), "network")).toBe("new");
    await expect(set.updateSnapshot(snapshot, "network")).rejects.toMatchObject({
      code: "METADATA_EXPIRED",
      details: { role: "snapshot" },
    });
    expect(() => set.snapshot).toThrow(InternalError);
  });

  it("is a snapshot of another version than the timestamp lists, or of other bytes", async () => {
    const { set, files } = await before("snapshot");
    await expect(set.updateSnapshot(files.get("2.snapshot.json")!, "network")).rejects.toMatchObject({
      code: "METADATA_TAMPERED",
      details: { role: "snapshot" },
    });
    const repository = await honest();
    repository.hashes = false;
    await repository.publish();
    const loose = new TrustedSet({ now: NOW });
    await loose.startFrom(repository.anchor);
    loose.settleRoot();
    await loose.updateTimestamp(repository.files.get("timestamp.json")!, "network");
    const newer = await repository.serve("snapshot", { ...repository.snapshot, version: 9 }, 4);
    await expect(loose.updateSnapshot(newer, "network")).rejects.toMatchObject({
      code: "METADATA_TAMPERED",
      details: { role: "snapshot", expected: 4, got: 9 },
    });
    await set.updateSnapshot(files.get("3.snapshot.json")!, "network");
  });
});

describe("what was kept of an earlier run", () => {
  it("is said to be from there, and stays where the repository has nothing newer", async () => {
    const { files, anchor } = await honest();
    const bytes = files.get("timestamp.json")!;
    const set = new TrustedSet({ now: NOW });
    await set.startFrom(anchor);
    set.settleRoot();
    await set.rememberTimestamp(bytes);
    expect(await set.updateTimestamp(bytes, "network")).toBe("kept");
    expect([set.root.from, set.timestamp.from]).toEqual(["cache", "cache"]);
    expect(set.timestamp).toMatchObject({ role: "timestamp", delegator: undefined, threshold: 1 });
    expect(set.timestamp.signedBy.map(({ id }) => id)).toEqual(set.root.document.signed.roles.get("timestamp")!.keyIds);
  });
});

describe("versions below which a caller takes nothing", () => {
  const CURRENT = { root: 1, timestamp: 3, snapshot: 3, targets: 3, team: 2 };
  for (const [role, version] of Object.entries(CURRENT)) {
    it(`hold for ${role}, whether it is fetched or stored`, async () => {
      const repository = await honest();
      const store = memoryTufStore();
      const exact = new Map([[role, version]]);
      await repository.client({ store }).refresh({ floors: exact });
      const before = await storeContent(store);
      const above = { floors: new Map([[role, version + 1]]) };
      for (const fresh of [store, memoryTufStore()]) {
        const refused = repository.client({ store: fresh }).refresh(above);
        await expect(refused).rejects.toMatchObject({
          code: "METADATA_ROLLED_BACK",
          details: { role, expected: version + 1, got: version },
        });
      }
      const offline = repository.client({ store }).refresh({ ...above, freshness: { mode: "offline" } });
      await expect(offline).rejects.toMatchObject({ code: "METADATA_ROLLED_BACK" });
      expect(await storeContent(store)).toEqual(before);
      await repository.client({ store }).refresh({ floors: exact });
    });
  }

  it("hold for a role that the snapshot no longer lists", async () => {
    const repository = await honest();
    const refused = repository.client().refresh({ floors: new Map([["gone", 1]]) });
    await expect(refused).rejects.toMatchObject({ code: "METADATA_ROLLED_BACK", details: { role: "gone", got: 0 } });
  });
});

describe("what snapshot and timestamp list", () => {
  it("may be hashes without a length, and of algorithms that are not known yet", async () => {
    const repository = await honest();
    await repository.publish("targets");
    const { version, hashes } = repository.snapshot.meta.get("targets")!;
    repository.list("targets", { version, hashes: { ...hashes, "x-new": "not hex" }, extra: {} });
    await repository.publish();
    await expect(repository.client().refresh()).resolves.toBeDefined();
    repository.list("targets", { version, hashes: { sha256: "00".repeat(32) }, extra: {} });
    await repository.publish();
    await expect(repository.client().refresh()).rejects.toMatchObject({ code: "METADATA_TAMPERED" });
  });

  it("may be a length without hashes, which then must be right", async () => {
    const repository = await honest();
    await repository.publish("targets");
    const { version, length } = repository.snapshot.meta.get("targets")!;
    for (const off of [-1, 1]) {
      repository.list("targets", { version, length: length! + off, extra: {} });
      await repository.publish();
      const refused = repository.client().refresh();
      await expect(refused).rejects.toMatchObject({
        code: "METADATA_TAMPERED",
        details: { role: "targets", expected: `${length! + off} bytes`, got: off < 0 ? "more" : `${length} bytes` },
      });
    }
    repository.list("targets", { version, length: length!, extra: {} });
    await repository.publish();
    await expect(repository.client().refresh()).resolves.toBeDefined();
  });

  it("must have every role that is delegated to", async () => {
    const repository = await honest();
    await repository.delegate("targets", "ghost", { paths: ["ghost/*"] });
    await repository.publish("targets");
    const client = repository.client();
    await expect(client.find("ghost/x")).rejects.toMatchObject({
      code: "TRUST_WITHHELD",
      message: 'the role "ghost" is delegated to, but not in the snapshot',
      details: { role: "ghost" },
    });
    expect(repository.requests.filter((file) => file.includes("ghost"))).toEqual([]);
    expect(await client.find("team/app")).toBeDefined();
  });
});

describe("what was verified before", () => {
  it("is not read again, and the oldest is forgotten first", async () => {
    const { files } = await honest();
    const bytes = files.get("timestamp.json")!;
    const memo = new VerificationMemo();
    const read: string[] = [];
    const decoded = (name: string, content = bytes) =>
      memo.decoded(name, content, () => {
        read.push(name);
        return decodeMetadata(content, "timestamp");
      });
    const first = decoded("0");
    expect(decoded("0")).toBe(first);
    expect(decoded("0", bytes.slice())).toBe(first);
    for (let index = 1; index < 512; index++) decoded(String(index));
    expect(decoded("0")).toBe(first);
    expect(read).toHaveLength(512);
    decoded("512");
    decoded("1");
    expect(read).toHaveLength(513);
    decoded("0");
    expect(read.slice(513)).toEqual(["0"]);
  });

  it("is forgotten where other bytes come under the same name", async () => {
    const { files } = await honest();
    const memo = new VerificationMemo();
    const decode = (name: string) => () => decodeMetadata(files.get(name)!, "snapshot");
    const old = memo.decoded("snapshot", files.get("2.snapshot.json")!, decode("2.snapshot.json"));
    const other = memo.decoded("snapshot", files.get("3.snapshot.json")!, decode("3.snapshot.json"));
    expect([old.signed.version, other.signed.version]).toEqual([2, 3]);
  });
});

/** The verbs of key holders on a TUF collection, without the command line. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ownBytes } from "../../../src/base/bytes.ts";
import { memoryKeyStore, type KeyStore } from "../../../src/keys/key-store.ts";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import { nodeRuntime } from "../../../src/node/runtime.ts";
import { openTufPublisher } from "../../../src/node/tuf-publisher.ts";
import { openTufSource } from "../../../src/node/tuf-source.ts";
import type { Administered, Staged } from "../../../src/trust/administration.ts";
import type { KeyChoice } from "../../../src/trust/key-choice.ts";
import { TufAdministration } from "../../../src/trust/tuf/administration.ts";
import type { EditTargets } from "../../../src/trust/source.ts";
import { always, codeOf } from "../../support/key-fixtures.ts";
import { DAY, NOW } from "../../support/tuf-publishing.ts";

const COLLECTION = "acme";
const ACCEPT = { firstUse: "accept" } as const;
const ask = always("a long passphrase");

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tuf-administration-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function machine(name: string, { keyStore = memoryKeyStore(), now = () => NOW, repository = "repository" } = {}) {
  const runtime = { ...nodeRuntime(), now };
  const keys = { keyStore, passphrases: ask };
  const opened = openTufPublisher({ location: join(dir, repository), dir: join(dir, name), runtime, ...keys });
  const admin = new TufAdministration({ ...opened, ...keys, keyLocation: "memory", now });
  return { ...opened, admin, keyStore };
}

const adding =
  (...names: string[]): EditTargets =>
  () =>
    names.map((name) => ({ action: "add", name, length: 3, hashes: { sha256: "ab".repeat(32) } }));

/** The key of somebody else, as it is handed over. */
async function handedOver(keyStore: KeyStore, owner: string): Promise<KeyChoice> {
  const key = await PrivateKey.generate("ed25519");
  await keyStore.add(key, { role: owner }, ask);
  return { kind: "public", publicKey: key.publicKey, owner };
}

function published(changed: Administered | Staged): readonly string[] {
  if ("staged" in changed) throw new Error("it was staged");
  return changed.published;
}

const keysOf = async ({ admin }: ReturnType<typeof machine>, role: string) =>
  (await admin.status(COLLECTION, ACCEPT)).roles.find((entry) => entry.role === role)!.keys;

describe("a TUF collection's key holders", () => {
  test("refresh what is due, once, and nothing that is not", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    expect(published(await ada.admin.refresh(COLLECTION, {}))).toEqual([]);
    expect(published(await ada.admin.refresh(COLLECTION, { withinDays: 60 }))).toEqual(["snapshot", "timestamp"]);
    const late = machine("ada", { keyStore: ada.keyStore, now: () => new Date(NOW.getTime() + 21 * DAY) });
    const { freshUntil, ...due } = await late.admin.refresh(COLLECTION, {});
    expect(published(due)).toEqual(["snapshot", "timestamp"]);
    expect(freshUntil).toEqual(new Date(NOW.getTime() + 51 * DAY));
    expect(published(await late.admin.refresh(COLLECTION, {}))).toEqual([]);
  });

  test("rotate a key that another role has as well without losing its private half", async () => {
    const ada = machine("ada");
    const online = await PrivateKey.generate("ed25519");
    const id = await ada.keyStore.add(online, { role: "snapshot", gun: COLLECTION }, ask);
    const keys = [{ kind: "stored" as const, id }];
    await ada.admin.init(COLLECTION, { roles: { snapshot: { keys }, timestamp: { keys } } });
    const first = await ada.admin.rotate(COLLECTION, { role: "snapshot" });
    expect(first.backups).toEqual([]); // timestamp is signed with it still
    expect((await ada.keyStore.list()).map((key) => key.id)).toContain(id);
    const second = await ada.admin.rotate(COLLECTION, { role: "timestamp", deleteOld: true });
    expect(second.oldKeys.map(({ fingerprint }) => fingerprint)).toEqual([await online.publicKey.fingerprint()]);
    expect((await ada.keyStore.list()).map((key) => key.id)).not.toContain(id);
  });

  test("leave no key behind of a rotation that was refused", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    const before = await ada.keyStore.list();
    expect(await codeOf(() => ada.admin.rotate(COLLECTION, { role: "nobody" }))).toBe("DELEGATION_REFUSED");
    expect(await codeOf(() => ada.admin.rotate(COLLECTION, { role: "targets", remove: ["eve"] }))).toBe("KEY_MISSING");
    expect(await ada.keyStore.list()).toEqual(before);
  });

  test("take a delegate's right to publish away with the last name, unless it signs others", async () => {
    const [ada, cid] = [machine("ada"), machine("cid")];
    await ada.admin.init(COLLECTION, {});
    const key = await handedOver(cid.keyStore, "cid");
    for (const role of ["one", "two"]) {
      const wanted = { role, keys: [key], paths: [`${role}/`], mayPublish: true, stage: true };
      await ada.admin.delegate(COLLECTION, wanted);
      const review = await cid.admin.review(COLLECTION, ACCEPT);
      expect(await cid.admin.wantedKeys(review!)).toHaveLength(1);
      await cid.admin.sign(COLLECTION, review!, ACCEPT);
      await ada.admin.publishStaged(COLLECTION, {});
    }
    await cid.source.publish(COLLECTION, adding("one/app/v1"), ACCEPT);
    expect(await keysOf(ada, "snapshot")).toHaveLength(2);
    await ada.admin.undelegate(COLLECTION, { role: "one" });
    expect(await keysOf(ada, "snapshot")).toHaveLength(2);
    await ada.admin.undelegate(COLLECTION, { role: "two" });
    expect(await keysOf(ada, "snapshot")).toHaveLength(1);
    expect(await codeOf(() => ada.admin.undelegate(COLLECTION, { role: "two" }))).toBe("DELEGATION_REFUSED");
  });

  test("leave a name for a second person to sign, where the role needs two", async () => {
    const [ada, cid] = [machine("ada"), machine("cid")];
    await ada.admin.init(COLLECTION, {});
    const add = [await handedOver(cid.keyStore, "cid")];
    await ada.admin.threshold(COLLECTION, { role: "targets", threshold: 2, add, stage: true });
    await cid.admin.sign(COLLECTION, (await cid.admin.review(COLLECTION, ACCEPT))!, ACCEPT);
    await ada.admin.publishStaged(COLLECTION, {});
    expect(await codeOf(() => ada.source.publish(COLLECTION, adding("v1"), ACCEPT))).toBe("KEY_MISSING");
    const { staged } = await ada.admin.stageTargets(COLLECTION, adding("v1"), ACCEPT);
    expect(staged.documents).toMatchObject([{ role: "targets", version: 3 }]);
    expect(staged.missing).toEqual([expect.stringMatching(/^targets: 1 more of cid/)]);
    expect((await ada.source.open(COLLECTION, ACCEPT)).find("v1")).toBeUndefined();
    expect(await codeOf(() => ada.admin.publishStaged(COLLECTION, {}))).toBe("SIGNATURE_THRESHOLD");
    await cid.admin.sign(COLLECTION, (await cid.admin.review(COLLECTION, ACCEPT))!, ACCEPT);
    await ada.admin.publishStaged(COLLECTION, {});
    expect((await cid.source.open(COLLECTION, ACCEPT)).find("v1")).toMatchObject({ role: "targets" });
    const gone = (await cid.admin.stageTargets(COLLECTION, () => [{ action: "remove", name: "v1" }], ACCEPT)).staged;
    await ada.admin.sign(COLLECTION, gone, {});
    await ada.admin.publishStaged(COLLECTION, {});
    expect((await cid.source.open(COLLECTION, ACCEPT)).find("v1")).toBeUndefined();
    const eve = machine("eve");
    expect(await codeOf(() => eve.admin.stageTargets(COLLECTION, adding("v2"), ACCEPT))).toBe("KEY_MISSING");
  });

  test("end a delegation without root's key, and say what is left to do", async () => {
    const [ada, cid] = [machine("ada"), machine("cid")];
    await ada.admin.init(COLLECTION, {});
    const key = await handedOver(cid.keyStore, "cid");
    await ada.admin.delegate(COLLECTION, {
      role: "team",
      keys: [key],
      paths: ["team/"],
      mayPublish: true,
      stage: true,
    });
    await cid.admin.sign(COLLECTION, (await cid.admin.review(COLLECTION, ACCEPT))!, ACCEPT);
    await ada.admin.publishStaged(COLLECTION, {});
    const root = (await ada.keyStore.list()).find(({ role }) => role === "root");
    await ada.keyStore.remove(root!.id);
    const ended = (await ada.admin.undelegate(COLLECTION, { role: "team" })) as Administered;
    expect(ended.published).toEqual(["targets", "snapshot", "timestamp"]);
    expect(ended.warnings.join()).toContain("a root key holder must revoke them");
  });

  test("take single keys and names away from a delegation", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    const own = await Promise.all(
      ["x", "y"].map(async (role) => ({
        kind: "stored" as const,
        id: await ada.keyStore.add(await PrivateKey.generate("ed25519"), { role }, ask),
      })),
    );
    await ada.admin.delegate(COLLECTION, { role: "team", keys: own, paths: ["a/", "b/*.wasm"], mayPublish: false });
    await ada.admin.undelegate(COLLECTION, { role: "team", keyIds: ["x"] });
    expect((await keysOf(ada, "team")).map(({ owner }) => owner)).toEqual(["y"]);
    await ada.admin.undelegate(COLLECTION, { role: "team", paths: ["a/"] });
    const { roles } = await ada.admin.status(COLLECTION, {});
    expect(roles.find(({ role }) => role === "team")?.paths).toEqual(["b/*.wasm"]);
    expect(await codeOf(() => ada.admin.undelegate(COLLECTION, { role: "team", keyIds: ["y"] }))).toBe("USAGE");
  });

  test("change lifetimes for all who sign", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    const changed = await ada.admin.periods(COLLECTION, { role: "timestamp", periods: { expiry: 5, signing: 2 } });
    expect(published(changed)).toEqual(["timestamp", "root"]);
    const { roles } = await ada.admin.status(COLLECTION, {});
    expect(roles.find(({ role }) => role === "timestamp")?.daysLeft).toBe(5);
  });

  test("sign a role again for its own sake, but neither snapshot nor timestamp", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    expect(published(await ada.admin.witness(COLLECTION, { roles: ["targets"] }))).toContain("targets");
    expect(await codeOf(() => ada.admin.witness(COLLECTION, { roles: ["timestamp"] }))).toBe("ROLE_INVALID");
  });

  test("change no collection whose stored root is not the pinned one", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    const before = await ada.admin.status(COLLECTION, {});
    const pin = { fingerprints: ["0".repeat(64)] };
    for (const change of [
      () => ada.admin.refresh(COLLECTION, { withinDays: 60, pin }),
      () => ada.admin.rotate(COLLECTION, { role: "targets", pin }),
      () => ada.admin.threshold(COLLECTION, { role: "targets", threshold: 1, pin, stage: true }),
      () => ada.admin.repair(COLLECTION, { withinDays: 60, pin }),
      () => ada.admin.status(COLLECTION, { pin }),
    ]) {
      expect(await codeOf(change)).toBe("PIN_MISMATCH");
    }
    expect(await ada.admin.status(COLLECTION, {})).toEqual(before);
  });

  test("can only look at what a web server serves", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    const keys = { keyStore: memoryKeyStore(), passphrases: ask, keyLocation: "memory", now: () => NOW };
    const runtime = { ...nodeRuntime(), now: () => NOW };
    const source = openTufSource({ location: join(dir, "repository"), dir: join(dir, "eve"), runtime });
    const reader = new TufAdministration({ source, publisher: undefined, ...keys });
    expect(await reader.status(COLLECTION, ACCEPT)).toMatchObject({ source: "tuf", roles: { length: 4 } });
    expect(await codeOf(() => reader.refresh(COLLECTION, ACCEPT))).toBe("USAGE");
    expect(await codeOf(() => reader.init(COLLECTION, {}))).toBe("USAGE");
    expect(await keys.keyStore.list()).toEqual([]);
  });

  test("forget a collection, and then meet it for the first time again", async () => {
    const ada = machine("ada");
    await ada.admin.init(COLLECTION, {});
    expect(await ada.source.isKnown(COLLECTION)).toBe(true);
    await ada.admin.remove(COLLECTION, {});
    expect(await ada.source.isKnown(COLLECTION)).toBe(false);
    expect(await codeOf(() => ada.admin.status(COLLECTION, { firstUse: "refuse" }))).toBe("FIRST_USE_REFUSED");
    expect((await ada.source.open(COLLECTION, ACCEPT)).firstUse).toBe(true);
  });
});

describe("trust that begins with a root file", () => {
  const root = async (repository: string, version = 1) =>
    ownBytes(await readFile(join(dir, repository, "metadata", `${version}.root.json`)));

  test("needs no first use, and takes only a root that leads to the present one", async () => {
    const [ada, eve] = [machine("ada"), machine("eve")];
    await ada.admin.init(COLLECTION, {});
    await machine("mallory", { repository: "other" }).admin.init(COLLECTION, {});
    expect(await codeOf(async () => eve.source.adopt(COLLECTION, await root("other"), {}))).toMatch(
      /ROOT_UNTRUSTED|SIGNATURE_THRESHOLD/,
    );
    expect(await eve.source.isKnown(COLLECTION)).toBe(false);
    await eve.source.adopt(COLLECTION, await root("repository"), {});
    expect(await eve.source.open(COLLECTION, { firstUse: "refuse" })).toMatchObject({ firstUse: false });
  });

  test("stays with the root that it began with, where both lead to the same", async () => {
    const [ada, eve] = [machine("ada"), machine("eve")];
    await ada.admin.init(COLLECTION, {});
    await eve.source.open(COLLECTION, ACCEPT);
    await ada.admin.rotate(COLLECTION, { role: "root" });
    const newer = await root("repository", 2);
    expect(await codeOf(() => eve.source.adopt(COLLECTION, newer, { offline: true }))).toBe("ROOT_UNTRUSTED");
    await eve.source.adopt(COLLECTION, newer, {});
    expect((await eve.source.open(COLLECTION, { firstUse: "refuse" })).roles[0]?.version).toBe(2);
  });

  test("is refused for another collection's name", async () => {
    await machine("ada").admin.init(COLLECTION, {});
    const bytes = await root("repository");
    expect(await codeOf(() => machine("eve").source.adopt("other", bytes, {}))).toBe("COLLECTION_MISMATCH");
  });
});

/** What a hostile server or mirror can try with data that was good once, or elsewhere. Each is refused, changes nothing, and leaves the next honest update working. */
import { beforeEach, describe, expect, it } from "vitest";
import { ownBytes, utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { WasmToOciError } from "../../src/base/errors.ts";
import { findTarget } from "../../src/notary/lookup.ts";
import { createHarness, expectHonestUpdate, knownClient, refusalOf, type Harness } from "../support/notary-harness.ts";
import { certifiedKey, GUN, NotaryRepository, plainKey, type RoleKey } from "../support/notary-repository.ts";

const PAST = "2026-05-31T00:00:00Z";

let repository: NotaryRepository;
let harness: Harness;
let keys: Map<string, RoleKey>;

beforeEach(async () => {
  ({ repository, harness, keys } = await knownClient());
});

const refusal = (): Promise<WasmToOciError> => refusalOf(harness);
const honestUpdateWorks = (): Promise<void> => expectHonestUpdate(repository, harness);

describe("rollback", () => {
  it("refuses a server that goes back to an older state", async () => {
    const old = repository.snapshotOfServer();
    await repository.publish("targets");
    await harness.update();
    old();
    const error = await refusal();
    expect(error).toMatchObject({ code: "METADATA_ROLLED_BACK", details: { role: "timestamp" } });
    expect(error.details).toMatchObject({ expected: 3, got: 2 });
    await honestUpdateWorks();
  });

  for (const role of ["timestamp", "snapshot", "targets"]) {
    it(`refuses a ${role} older than the trusted one though it is signed and everything above it is new`, async () => {
      repository.versions.set(role, 0);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code: "METADATA_ROLLED_BACK", details: { role } });
      repository.versions.set(role, 10);
      await honestUpdateWorks();
    });

    it(`refuses an older ${role} also after its key was rotated, which Go's client accepts`, async () => {
      repository.roles.get(role)!.keys = [await plainKey()];
      await repository.publish("root");
      repository.versions.set(role, 0);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code: "METADATA_ROLLED_BACK", details: { role } });
      repository.versions.set(role, 10);
      await honestUpdateWorks();
    });

    it(`refuses an older ${role} also after the cache was deleted`, async () => {
      await harness.metadata.remove({ server: "https://notary.example", gun: GUN });
      repository.versions.set(role, 0);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code: "METADATA_ROLLED_BACK", details: { role } });
    });
  }

  it("gives no answer for names of a delegation that was rolled back", async () => {
    await repository.publish("targets/releases");
    await harness.update();
    repository.versions.set("targets/releases", 0);
    await repository.publish("targets/releases");
    const state = await harness.update();
    expect(() => findTarget(state, "v2", "docker")).toThrow(expect.objectContaining({ code: "METADATA_ROLLED_BACK" }));
    expect(() => findTarget(state, "v1", "docker")).toThrow(expect.objectContaining({ code: "METADATA_ROLLED_BACK" }));
  });

  it("gives no answer for names of a delegation that vanished from the snapshot", async () => {
    repository.unlisted.add("targets/releases");
    await repository.publish("targets");
    const state = await harness.update();
    expect(() => findTarget(state, "v1", "docker")).toThrow(expect.objectContaining({ code: "METADATA_ROLLED_BACK" }));
    await honestUpdateWorks();
  });

  it("refuses a root that fewer of the old root's keys signed than the old root demands", async () => {
    const two = [await certifiedKey(GUN), await certifiedKey(GUN)];
    repository.signers.set("root", [...two, keys.get("root")!]);
    repository.roles.set("root", { keys: two, threshold: 2 });
    await repository.publish("root");
    repository.signers.clear();
    await harness.update();
    const back = repository.checkpoint();
    const thief = await certifiedKey(GUN);
    repository.roles.set("root", { keys: [thief], threshold: 1 });
    repository.signers.set("root", [thief, two[0]!]); // one key of two was stolen
    await repository.publish("root");
    expect(await refusal()).toMatchObject({ code: "ROOT_UNTRUSTED", details: { role: "root" } });
    back();
    await honestUpdateWorks();
  });

  it("ends with a server that always has one more root", async () => {
    const first = repository.document("root");
    for (let version = 0; version < 258; version++) await repository.publish("root");
    repository.files.set("root.json", first);
    expect(await refusal()).toMatchObject({ code: "LIMIT_EXCEEDED", details: { limit: 256 } });
  });

  it("refuses a root that skips a version, though the one before signed it", async () => {
    const back = repository.checkpoint();
    const first = repository.document("root");
    repository.versions.set("root", 3);
    await repository.rotateRoot();
    const skipping = repository.document("root");
    repository.files.set("root.json", first);
    repository.files.set("3.root.json", skipping);
    expect(await refusal()).toMatchObject({ code: "METADATA_TAMPERED", details: { expected: 3, got: 4 } });
    back();
    await honestUpdateWorks();
  });

  it("refuses an older root that is still signed by trusted keys", async () => {
    const first = repository.document("root");
    await repository.rotateRoot();
    await harness.update();
    repository.files.set("root.json", first);
    expect(await refusal()).toMatchObject({ code: "METADATA_ROLLED_BACK", details: { role: "root" } });
    repository.files.set("root.json", repository.document("root"));
    await honestUpdateWorks();
  });
});

describe("freeze", () => {
  for (const role of ["root", "timestamp", "snapshot", "targets"]) {
    it(`refuses an expired ${role}`, async () => {
      repository.expires.set(role, PAST);
      await repository.publish(role);
      const error = await refusal();
      expect(error).toMatchObject({ code: "METADATA_EXPIRED", details: { role } });
      expect(error.kind).toBe("expired");
      expect(error.details["expires"]).toBe("2026-05-31T00:00:00.000Z");
      repository.expires.clear();
      if (role === "root") await repository.publish("root");
      await honestUpdateWorks();
    });
  }

  it("refuses metadata at the very moment of its expiry", async () => {
    harness.now = new Date("2030-01-01T00:00:00Z");
    expect(await refusal()).toMatchObject({ code: "METADATA_EXPIRED", details: { role: "root" } });
  });

  it("gives no answer for names of an expired delegation, and falls back to no other role", async () => {
    await repository.addTarget("v2", "an older module two");
    repository.expires.set("targets/releases", PAST);
    await repository.publish("targets", "targets/releases");
    const state = await harness.update();
    expect(() => findTarget(state, "v2", "docker")).toThrow(expect.objectContaining({ code: "METADATA_EXPIRED" }));
    expect(findTarget(state, "v2", ["targets"])?.role.role).toBe("targets");
  });

  it("refuses a root whose certificate has ended", async () => {
    await repository.rotateRoot({ key: await certifiedKey(GUN, { notAfter: new Date("2026-05-01T00:00:00Z") }) });
    expect(await refusal()).toMatchObject({ code: "METADATA_EXPIRED", details: { role: "root" } });
    await repository.rotateRoot();
    await honestUpdateWorks();
  });
});

describe("mix and match", () => {
  for (const role of ["snapshot", "targets", "targets/releases"]) {
    it(`refuses a ${role} of another moment`, async () => {
      const old = repository.document(role);
      await repository.publish();
      for (const [file, bytes] of repository.files) {
        if (bytes === repository.document(role)) repository.files.set(file, old);
      }
      expect(await refusal()).toMatchObject({ code: "METADATA_TAMPERED", details: { role } });
      await honestUpdateWorks();
    });
  }

  it("refuses a root that the snapshot does not know", async () => {
    const before = repository.snapshotOfServer();
    await repository.rotateRoot();
    before();
    repository.files.set("root.json", repository.document("root"));
    expect(await refusal()).toMatchObject({ code: "METADATA_TAMPERED", details: { role: "root" } });
    repository.files.set("3.root.json", repository.document("root"));
    await honestUpdateWorks();
  });

  it("refuses a document that differs in white space only: hashes are over bytes", async () => {
    repository.serve("targets", ownBytes(utf8Encode(`${utf8Decode(repository.document("targets"))}\n`)));
    await harness.metadata.remove({ server: "https://notary.example", gun: GUN });
    expect(await refusal()).toMatchObject({ code: "METADATA_TAMPERED", details: { role: "targets", got: "more" } });
  });
});

describe("another collection's trust data", () => {
  it("refuses the root of another name, at first contact and later", async () => {
    const other = await NotaryRepository.create("registry.example:5000/evil/app");
    for (const [file, bytes] of other.files) repository.files.set(file, bytes);
    const fresh = createHarness(repository);
    const error = await refusalOf(fresh);
    expect(error.code).toBe("COLLECTION_MISMATCH");
    expect(error.details).toMatchObject({ expected: GUN, got: ["registry.example:5000/evil/app"] });
    expect(await refusal()).toMatchObject({ code: "METADATA_ROLLED_BACK" });
  });

  it("refuses a name that differs by case only", async () => {
    const other = await NotaryRepository.create(GUN.toUpperCase());
    for (const [file, bytes] of other.files) repository.files.set(file, bytes);
    expect(await refusalOf(createHarness(repository))).toMatchObject({ code: "COLLECTION_MISMATCH" });
  });

  it("refuses a collection that was deleted and made anew by somebody else", async () => {
    const thief = await NotaryRepository.create();
    repository.files.clear();
    for (let version = 0; version < 3; version++) await thief.publish();
    for (const [file, bytes] of thief.files) repository.files.set(file, bytes);
    expect(await refusal()).toMatchObject({ code: "ROOT_UNTRUSTED", details: { role: "root" } });
  });

  it("refuses a root key that is no certificate", async () => {
    const plain = await NotaryRepository.create();
    plain.roles.set("root", { keys: [await plainKey()], threshold: 1 });
    await plain.publish();
    expect(await refusalOf(createHarness(plain))).toMatchObject({ code: "COLLECTION_MISMATCH" });
  });

  it("accepts a certificate whose name is a prefix with a star, as Notary does", async () => {
    const wild = await NotaryRepository.create();
    wild.roles.set("root", { keys: [await certifiedKey("registry.example:5000/*")], threshold: 1 });
    await wild.publish();
    await expect(createHarness(wild).update()).resolves.toMatchObject({ firstUse: true });
    wild.roles.set("root", { keys: [await certifiedKey("registry.example:5000/other/*")], threshold: 1 });
    await wild.publish();
    expect(await refusalOf(createHarness(wild))).toMatchObject({ code: "COLLECTION_MISMATCH" });
  });
});

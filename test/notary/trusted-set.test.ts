/** The state machine alone: nothing can be put in before what it depends on, and keys nobody can read sign for nothing. */
import { beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { keyIdOf, methodFor, resolveKeys, schemeFor, toNotaryKey } from "../../src/notary/public-keys.ts";
import { NotaryTrustedSet } from "../../src/notary/trusted-set.ts";
import { createHarness, refusalOf } from "../support/notary-harness.ts";
import { certifiedKey, GUN, NotaryRepository, NOW, plainKey } from "../support/notary-repository.ts";

let repository: NotaryRepository;
let set: NotaryTrustedSet;
beforeEach(async () => {
  repository = await NotaryRepository.create();
  await repository.delegate("targets/a");
  await repository.publish();
  set = new NotaryTrustedSet({ gun: GUN, now: NOW, versions: new Map(), acceptExpired: false });
});

describe("the trusted set", () => {
  it("takes documents in their order only", async () => {
    const bytes = (role: string) => repository.document(role);
    const outOfOrder = { code: "INTERNAL" };
    expect(() => set.newestRoot).toThrow(expect.objectContaining(outOfOrder));
    await expect(set.advanceRoot(bytes("root"))).rejects.toMatchObject(outOfOrder);
    await expect(set.settleRoot()).rejects.toMatchObject(outOfOrder);
    await expect(set.updateTimestamp(bytes("timestamp"), "cache")).rejects.toMatchObject(outOfOrder);
    await set.startFromNew(bytes("root"), undefined, true);
    await expect(set.updateTimestamp(bytes("timestamp"), "cache")).rejects.toMatchObject(outOfOrder);
    await set.settleRoot();
    await expect(set.updateSnapshot(bytes("snapshot"), "cache")).rejects.toMatchObject(outOfOrder);
    await set.updateTimestamp(bytes("timestamp"), "cache");
    await expect(set.updateTargets(bytes("targets"), "cache")).rejects.toMatchObject(outOfOrder);
    await set.updateSnapshot(bytes("snapshot"), "cache");
    expect(() => set.delegationsOf("targets")).toThrow(expect.objectContaining(outOfOrder));
    expect(() => set.state("https://notary.example", true)).toThrow(expect.objectContaining(outOfOrder));
    await set.updateTargets(bytes("targets"), "cache");
    expect(() => set.delegationsOf("targets/a")).toThrow(expect.objectContaining(outOfOrder));
    const [wanted] = set.delegationsOf("targets");
    await set.addDelegation(wanted!, bytes("targets/a"), "cache");
    expect(set.state("https://notary.example", true).delegations.get("targets/a")?.fault).toBeUndefined();
  });

  it("keeps what it had where a document fails", async () => {
    await set.startFromNew(repository.document("root"), undefined, true);
    await set.settleRoot();
    await set.updateTimestamp(repository.document("timestamp"), "network");
    const expected = set.expectedSnapshot;
    await expect(set.updateTimestamp(utf8Encode("{}"), "network")).rejects.toMatchObject({ code: "METADATA_INVALID" });
    await expect(set.updateSnapshot(utf8Encode("{}"), "network")).rejects.toMatchObject({ code: "METADATA_TAMPERED" });
    expect(set.expectedSnapshot).toBe(expected);
    await set.updateSnapshot(repository.document("snapshot"), "network");
  });

  it("refuses a delegation's document that is not the one in the snapshot, whoever signed it", async () => {
    await set.startFromNew(repository.document("root"), undefined, true);
    await set.settleRoot();
    for (const role of ["Timestamp", "Snapshot", "Targets"] as const) {
      await set[`update${role}`](repository.document(role.toLowerCase()), "network");
    }
    const [wanted] = set.delegationsOf("targets");
    await repository.publish("targets/a");
    const newer = set.addDelegation(wanted!, repository.document("targets/a"), "network");
    await expect(newer).rejects.toMatchObject({ code: "METADATA_TAMPERED", role: "targets/a" });
    expect(set.hasDelegation("targets/a")).toBe(false);
  });
});

describe("a document", () => {
  it.each(["root", "timestamp", "snapshot", "targets"])(
    "of %s that says it is of another kind is refused, though its own keys signed it",
    async (role) => {
      const harness = createHarness(repository);
      await harness.update();
      const back = repository.checkpoint();
      repository.edits.set(role, (signed) => {
        signed["_type"] = signed["_type"] === "Snapshot" ? "Timestamp" : "Snapshot";
      });
      await repository.publish(role);
      expect(await refusalOf(harness)).toMatchObject({ code: "METADATA_INVALID" });
      back();
      await expect(harness.update()).resolves.toBeDefined();
    },
  );
});

describe("keys of a document", () => {
  it("that nobody can read are no reason to fail: root keeps certificates of all times", async () => {
    const odd = ["ecdsa", "rsa", "ed25519", "ecdsa-x509", "rsa-x509", "pgp"].map((keytype) => ({
      keytype,
      public: Uint8Array.of(1, 2),
    }));
    const mislabelled = { keytype: "rsa", public: (await plainKey()).signer.publicKey.spki };
    const certificate = { ...(await certifiedKey(GUN)).listed, keytype: "rsa-x509" };
    const keys = [...odd, mislabelled, certificate];
    const byId = new Map(await Promise.all(keys.map(async (key) => [await keyIdOf(key), key] as const)));
    for (const key of (await resolveKeys(byId, "a document")).values()) {
      expect([key.publicKey, key.canonicalId]).toEqual([undefined, undefined]);
    }
    repository.extraKeys.push(...keys);
    await repository.publish();
    await expect(createHarness(repository).update()).resolves.toBeDefined();
  });

  it("decide with which methods they sign", async () => {
    const [ecdsa, p384, ed25519] = await Promise.all([plainKey(), plainKey("ecdsa-p384"), plainKey("ed25519")]);
    expect([ecdsa, p384, ed25519].map(({ signer }) => methodFor(signer.publicKey))).toEqual([
      "ecdsa",
      "ecdsa",
      "eddsa",
    ]);
    expect(schemeFor(ecdsa.signer.publicKey, "ecdsa")).toBe("ecdsa-sha256");
    expect(schemeFor(p384.signer.publicKey, "ecdsa")).toBe("ecdsa-sha256");
    expect(schemeFor(ed25519.signer.publicKey, "ecdsa")).toBeUndefined();
    expect(schemeFor(ecdsa.signer.publicKey, "toString")).toBeUndefined();
  });

  it("have the ids that notary computes", async () => {
    for (const key of [await plainKey(), await plainKey("ed25519")]) {
      const listed = toNotaryKey(key.signer.publicKey);
      expect(listed).toEqual(key.listed);
      const resolved = (await resolveKeys(new Map([[await keyIdOf(listed), listed]]), "x")).values().next().value;
      expect(resolved?.canonicalId).toBe(resolved?.keyId);
      expect(resolved?.publicKey?.spki).toEqual(key.signer.publicKey.spki);
    }
  });
});

/** What former and foreign key holders can try. Each is refused, changes nothing, and leaves the next honest update working. */
import { beforeEach, describe, expect, it } from "vitest";
import type { WasmToOciError } from "../../src/base/errors.ts";
import { findTarget } from "../../src/notary/lookup.ts";
import type { NotarySignature } from "../../src/notary/wire.ts";
import { expectHonestUpdate, knownClient, refusalOf, type Harness } from "../support/notary-harness.ts";
import { certifiedKey, GUN, type NotaryRepository, plainKey, type RoleKey } from "../support/notary-repository.ts";

let repository: NotaryRepository;
let harness: Harness;
let keys: Map<string, RoleKey>;

beforeEach(async () => {
  ({ repository, harness, keys } = await knownClient());
});

const refusal = (): Promise<WasmToOciError> => refusalOf(harness);
const honestUpdateWorks = (): Promise<void> => expectHonestUpdate(repository, harness);

describe("wrong signatures", () => {
  for (const role of ["root", "timestamp", "snapshot", "targets"]) {
    const code = role === "root" ? "ROOT_UNTRUSTED" : "SIGNATURE_THRESHOLD";

    it(`refuses an unsigned ${role}`, async () => {
      repository.forge.set(role, () => []);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code, details: { role } });
      if (role === "root") repository.versions.set("root", 2);
      repository.forge.clear();
      if (role === "root") await repository.publish("root");
      await honestUpdateWorks();
    });

    it(`refuses a ${role} signed by another key`, async () => {
      repository.signers.set(role, [role === "root" ? await certifiedKey(GUN) : await plainKey()]);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code, details: { role } });
    });

    it(`refuses a ${role} signed by the key of another role`, async () => {
      repository.signers.set(role, [keys.get(role === "targets" ? "snapshot" : "targets")!]);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code, details: { role } });
    });

    it(`refuses a ${role} whose signature is of another document`, async () => {
      repository.forge.set(role, (signatures) =>
        signatures.map((signature) => ({ ...signature, signature: new Uint8Array(64).fill(7) })),
      );
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code, details: { role } });
    });

    it(`refuses a ${role} that was changed after it was signed, even where the hashes above it were adjusted`, async () => {
      const honest = repository.document(role);
      let kept: NotarySignature[] = [];
      repository.forge.set(role, (signatures) => (kept = signatures));
      await repository.publish(role);
      repository.forge.set(role, () => kept);
      repository.versions.set(role, repository.versions.get(role)! - 1);
      repository.expires.set(role, "2031-01-01T00:00:00Z");
      await repository.publish(role);
      expect(repository.document(role)).not.toEqual(honest);
      expect(await refusal()).toMatchObject({ code, details: { role } });
    });
  }

  it("takes the algorithm from the key, not from the signature's method", async () => {
    for (const method of ["eddsa", "rsapss", "none", "hmac", "ecdsa-sha1", "constructor", "__proto__"]) {
      repository.forge.set("timestamp", (signatures) => signatures.map((signature) => ({ ...signature, method })));
      await repository.publish("timestamp");
      expect(await refusal()).toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "timestamp" } });
    }
    await honestUpdateWorks();
  });

  it("counts one private key once that is listed plain and in a certificate", async () => {
    const plain = await plainKey();
    const twin = await certifiedKey("any name", { signer: plain.signer });
    repository.roles.set("timestamp", { keys: [plain, twin], threshold: 2 });
    await repository.publish("root");
    const error = await refusal();
    expect(error).toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "timestamp" } });
    expect(error.details).toMatchObject({ expected: 2, got: 1, candidates: 2 });
    repository.roles.set("timestamp", { keys: [plain, await plainKey()], threshold: 2 });
    await repository.publish("root");
    await honestUpdateWorks();
  });

  it("counts one root key once that is in two certificates", async () => {
    const first = keys.get("root")!;
    const again = await certifiedKey(GUN, { signer: first.signer, notAfter: new Date("2034-01-01T00:00:00Z") });
    repository.roles.set("root", { keys: [first, again], threshold: 2 });
    await repository.publish("root");
    expect(await refusal()).toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "root" } });
  });

  it("refuses a document in which one key has signed twice", async () => {
    repository.forge.set("timestamp", (signatures) => [...signatures, ...signatures]);
    await repository.publish("timestamp");
    expect(await refusal()).toMatchObject({ code: "METADATA_INVALID" });
    await honestUpdateWorks();
  });

  it.each([
    ["100,000", 100_000, "RESPONSE_TOO_LARGE"],
    ["5,000", 5_000, "METADATA_INVALID"],
  ] as const)("refuses %s signatures without checking one", async (_, count, code) => {
    repository.forge.set("timestamp", (signatures) =>
      Array.from({ length: count }, (_entry, index) => ({
        ...signatures[0]!,
        keyId: index.toString(16).padStart(64, "0"),
      })),
    );
    await repository.publish("timestamp");
    expect(await refusal()).toMatchObject({ code });
    await honestUpdateWorks();
  });

  it("needs the threshold of the delegation, too", async () => {
    const [first, second] = [await plainKey(), await plainKey()];
    await repository.delegate("targets/two", ["x/"], [first, second], 2);
    await repository.addTarget("x/1", "one", "targets/two");
    repository.signers.set("targets/two", [first]);
    await repository.publish();
    const state = await harness.update();
    expect(() => findTarget(state, "x/1", "notary")).toThrow(expect.objectContaining({ code: "SIGNATURE_THRESHOLD" }));
    expect(findTarget(state, "v1", "notary")?.name).toBe("v1");
  });
});

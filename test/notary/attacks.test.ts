/** What a hostile server, mirror or former key holder can try: each is refused, changes nothing, and leaves the next honest update working. */
import { beforeEach, describe, expect, it } from "vitest";
import { ownBytes, utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { findTarget } from "../../src/notary/lookup.ts";
import type { NotarySignature } from "../../src/notary/wire.ts";
import { createHarness, refusalOf, type Harness } from "../support/notary-harness.ts";
import { certifiedKey, GUN, NotaryRepository, plainKey, type RoleKey } from "../support/notary-repository.ts";

const PAST = "2026-05-31T00:00:00Z";

let repository: NotaryRepository;
let harness: Harness;
let keys: Map<string, RoleKey>;

/** A known client: it has verified the collection once. */
beforeEach(async () => {
  repository = await NotaryRepository.create();
  await repository.delegate("targets/releases");
  await repository.addTarget("v2", "module two", "targets/releases");
  await repository.publish();
  harness = createHarness(repository);
  await harness.update();
  keys = new Map([...repository.roles].map(([role, signers]) => [role, signers.keys[0]!]));
});

/** After any refusal, the honest collection with one more target is read. */
async function honestUpdateWorks(): Promise<void> {
  repository.edits.clear();
  repository.signers.clear();
  repository.forge.clear();
  repository.expires.clear();
  repository.answers.clear();
  repository.unlisted.clear();
  repository.onRequest = undefined;
  await repository.addTarget("v3", "module three");
  await repository.publish("targets", "targets/releases");
  const state = await harness.update();
  expect(findTarget(state, "v3", "docker")?.role.role).toBe("targets");
}

const refusal = () => refusalOf(harness);

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

describe("malformed metadata", () => {
  const timestamp = () => utf8Decode(repository.document("timestamp"));
  const cases: [string, ErrorCode, () => string][] = [
    ["duplicate keys", "JSON_INVALID", () => timestamp().replace('{"signed":{', '{"signed":{"version":99,')],
    ["a second signed part", "JSON_INVALID", () => `{"signed":{},${timestamp().slice(1)}`],
    ["a key that differs by case", "METADATA_INVALID", () => timestamp().replace('"_type"', '"VERSION":1,"_type"')],
    ["a key that Go folds", "METADATA_INVALID", () => timestamp().replace('"_type"', '"expire\u017f":1,"_type"')],
    ["a byte order mark", "JSON_INVALID", () => `\ufeff${timestamp()}`],
    ["trailing data", "JSON_INVALID", () => `${timestamp()}{}`],
    ["a fraction", "JSON_INVALID", () => timestamp().replace(/"version":(\d+)/, '"version":$1.0')],
    ["an exponent", "JSON_INVALID", () => timestamp().replace(/"version":(\d+)/, '"version":$1e0')],
    ["2^53", "JSON_INVALID", () => timestamp().replace(/"version":(\d+)/, '"version":9007199254740992')],
    ["a lone surrogate", "JSON_INVALID", () => timestamp().replace('"_type"', String.raw`"\ud800":1,"_type"`)],
    ["deep nesting", "JSON_INVALID", () => "[".repeat(100_000)],
    ["nothing", "JSON_INVALID", () => ""],
    ["null", "METADATA_INVALID", () => "null"],
    ["an array", "METADATA_INVALID", () => "[]"],
    ["signed null", "METADATA_INVALID", () => '{"signed":null,"signatures":[]}'],
    ["another type", "METADATA_INVALID", () => utf8Decode(repository.document("snapshot"))],
    ["an expiry that is none", "METADATA_INVALID", () => timestamp().replace("2030-01-01T00:00:00Z", "never")],
    ["an expiry that no calendar has", "METADATA_INVALID", () => timestamp().replace("2030-01-01", "2030-02-30")],
  ];
  for (const [name, code, text] of cases) {
    it(`refuses ${name}`, async () => {
      repository.files.set("timestamp.json", utf8Encode(text()));
      expect(await refusal()).toMatchObject({ code });
      await honestUpdateWorks();
    });
  }

  it("refuses bytes that are not UTF-8", async () => {
    const bytes = repository.document("timestamp").slice();
    bytes[20] = 0xff;
    repository.files.set("timestamp.json", bytes);
    expect(await refusal()).toMatchObject({ code: "JSON_INVALID" });
  });

  const edits: [string, string, (signed: JsonObject) => void][] = [
    ["a threshold of 0", "root", (signed) => set(signed, ["roles", "timestamp", "threshold"], 0)],
    ["a threshold of -1", "root", (signed) => set(signed, ["roles", "root", "threshold"], -1)],
    ["a threshold that is text", "root", (signed) => set(signed, ["roles", "targets", "threshold"], "1")],
    ["a role without keys listed", "root", (signed) => set(signed, ["roles", "targets", "keyids"], ["00"])],
    ["a missing base role", "root", (signed) => delete (signed["roles"] as JsonObject)["snapshot"]],
    ["version 0", "targets", (signed) => set(signed, ["version"], 0)],
    ["no snapshot in the timestamp", "timestamp", (signed) => set(signed, ["meta"], {})],
    ["no sha256 in the timestamp", "timestamp", (signed) => delete hashesOf(signed, "snapshot")["sha256"]],
    ["no root in the snapshot", "snapshot", (signed) => delete (signed["meta"] as JsonObject)["root"]],
    ["a short hash", "snapshot", (signed) => set(signed, ["meta", "targets", "hashes", "sha512"], "AAAA")],
    ["a target without hashes", "targets", (signed) => set(signed, ["targets", "v1", "hashes"], {})],
    ["a target with md5 only", "targets", (signed) => set(signed, ["targets", "v1", "hashes"], { md5: "AAAA" })],
    [
      "a hexadecimal hash in place of base64",
      "targets",
      (signed) => set(signed, ["targets", "v1", "hashes", "sha256"], "ab".repeat(32)),
    ],
    ["a negative length", "targets", (signed) => set(signed, ["targets", "v1", "length"], -1)],
    [
      "a delegation that is not below its delegator",
      "targets",
      (signed) => set(signed, ["delegations", "roles", 0, "name"], "targets/a/b"),
    ],
    ["a delegation with dots", "targets", (signed) => set(signed, ["delegations", "roles", 0, "name"], "targets/..")],
    [
      "a delegation named like a base role",
      "targets",
      (signed) => set(signed, ["delegations", "roles", 0, "name"], "targets"),
    ],
    ["a private key", "targets", (signed) => eachKey(signed, (key) => set(key, ["keyval", "private"], "AAAA"))],
  ];
  for (const [name, role, edit] of edits) {
    it(`refuses ${name}, although it is signed`, async () => {
      repository.edits.set(role, edit);
      await repository.publish(role);
      expect(await refusal()).toMatchObject({ code: "METADATA_INVALID" });
      repository.edits.clear();
      if (role === "root") await repository.publish("root");
    });
  }

  it("refuses a key under an id that is not its own", async () => {
    repository.edits.set("targets", (signed) => {
      const keysOf = (signed["delegations"] as JsonObject)["keys"] as JsonObject;
      const [id] = Object.keys(keysOf);
      const wrong = "0".repeat(64);
      keysOf[wrong] = keysOf[id!]!;
      delete keysOf[id!];
      set(signed, ["delegations", "roles", 0, "keyids"], [wrong]);
    });
    await repository.publish("targets");
    const error = await refusal();
    expect(error).toMatchObject({ code: "METADATA_INVALID" });
    expect(error.details["got"]).toBe("0".repeat(64));
    await honestUpdateWorks();
  });

  it("passes over keys of unknown kinds, which sign for nothing", async () => {
    const odd: RoleKey = {
      signer: (await plainKey()).signer,
      listed: { keytype: "ml-dsa-44", public: Uint8Array.of(1) },
    };
    repository.roles.set("timestamp", { keys: [odd, await plainKey()], threshold: 1 });
    await repository.publish("root");
    await expect(harness.update()).resolves.toBeDefined();
    repository.roles.set("timestamp", { keys: [odd], threshold: 1 });
    await repository.publish("root");
    expect(await refusal()).toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "timestamp" } });
  });
});

function set(target: JsonObject, path: (string | number)[], value: unknown): void {
  const last = path.at(-1)!;
  let at = target as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>;
  at[last] = value;
}

function hashesOf(signed: JsonObject, role: string): JsonObject {
  return ((signed["meta"] as JsonObject)[role] as JsonObject)["hashes"] as JsonObject;
}

function eachKey(signed: JsonObject, change: (key: JsonObject) => void): void {
  for (const key of Object.values((signed["delegations"] as JsonObject)["keys"] as JsonObject))
    change(key as JsonObject);
}

/** Metadata that is signed as it should be, and is not what it should be. Each is refused, changes nothing, and leaves the next honest update working. */
import { beforeEach, describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { ErrorCode, WasmToOciError } from "../../src/base/errors.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { expectHonestUpdate, knownClient, refusalOf, type Harness } from "../support/notary-harness.ts";
import { type NotaryRepository, plainKey, type RoleKey } from "../support/notary-repository.ts";

let repository: NotaryRepository;
let harness: Harness;

beforeEach(async () => {
  ({ repository, harness } = await knownClient());
});

const refusal = (): Promise<WasmToOciError> => refusalOf(harness);
const honestUpdateWorks = (): Promise<void> => expectHonestUpdate(repository, harness);

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

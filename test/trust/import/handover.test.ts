/** Hand-overs, and everything that makes one worthless. */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { FormatError } from "../../../src/base/errors.ts";
import type { JsonObject, JsonValue } from "../../../src/base/json.ts";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import { HANDOVER_FIELD, readHandover, signHandover, type Handover } from "../../../src/trust/import/handover.ts";
import { tufKeyOf } from "../../../src/tuf/keys.ts";
import type { Root } from "../../../src/tuf/schema.ts";
import { LATER } from "../../support/tuf-repository.ts";

let old: PrivateKey;
let next: PrivateKey;
let other: PrivateKey;
let statement: Handover;

beforeAll(async () => {
  [old, next, other] = await Promise.all([
    PrivateKey.generate("ecdsa-p256"),
    PrivateKey.generate("ed25519"),
    PrivateKey.generate("ed25519"),
  ]);
  statement = {
    from: "ghcr.io/acme/app",
    to: "acme/app",
    rootKeys: [await next.publicKey.fingerprint()],
    threshold: 1,
    created: new Date("2030-01-01T00:00:00Z"),
  };
});

async function rootOf(keys: readonly PrivateKey[], handover: JsonValue | undefined, threshold = 1): Promise<Root> {
  const listed = await Promise.all(keys.map((key) => tufKeyOf(key.publicKey)));
  const role = { keyIds: listed.map(({ id }) => id), threshold, extra: {} };
  return {
    type: "root",
    version: 1,
    specVersion: "1.0.34",
    expires: LATER,
    consistentSnapshot: true,
    keys: new Map(listed.map((key) => [key.id, key])),
    roles: new Map([["root", role]]),
    extra: handover === undefined ? {} : { [HANDOVER_FIELD]: handover },
  };
}

describe("readHandover", () => {
  it("tells who has handed over to a root", async () => {
    const document = await signHandover(statement, [old]);
    const read = await readHandover(await rootOf([next], document));
    expect(read).toEqual({ ...statement, signedBy: [await old.publicKey.fingerprint()] });
    expect(await readHandover(await rootOf([next], undefined))).toBeUndefined();
  });

  it.each(["ecdsa-p256", "ecdsa-p384", "ed25519"] as const)("takes signatures of %s", async (algorithm) => {
    const key = await PrivateKey.generate(algorithm);
    const document = await signHandover(statement, [key]);
    expect((await readHandover(await rootOf([next], document)))?.signedBy).toEqual([await key.publicKey.fingerprint()]);
  });

  it("counts each old key once, and none that did not sign", async () => {
    const document = await signHandover(statement, [old, old, other]);
    const signatures = document["signatures"] as JsonObject[];
    signatures[2] = { ...signatures[2]!, sig: signatures[0]!["sig"]! };
    const read = await readHandover(await rootOf([next], document));
    expect(read?.signedBy).toEqual([await old.publicKey.fingerprint()]);
  });

  it.each<[string, (document: JsonObject) => JsonObject]>([
    ["another name", (document) => ({ ...document, to: "acme/evil" })],
    ["another origin", (document) => ({ ...document, from: "ghcr.io/acme/evil" })],
    ["another threshold", (document) => ({ ...document, threshold: 2 })],
    ["another time", (document) => ({ ...document, created: "2031-01-01T00:00:00.000Z" })],
    ["no signature", (document) => ({ ...document, signatures: [] })],
  ])("is worth nothing where somebody put %s into it", async (_what, change) => {
    const document = change(await signHandover(statement, [old]));
    expect(await readHandover(await rootOf([next], document))).toBeUndefined();
  });

  it("is worth nothing in another root: with other keys, more of them, or another threshold", async () => {
    const document = await signHandover(statement, [old]);
    expect(await readHandover(await rootOf([other], document))).toBeUndefined();
    expect(await readHandover(await rootOf([next, other], document))).toBeUndefined();
    const two = { ...statement, rootKeys: [statement.rootKeys[0]!, await other.publicKey.fingerprint()], threshold: 2 };
    const both = await signHandover(two, [old]);
    expect(await readHandover(await rootOf([next, other], both, 1))).toBeUndefined();
    expect(await readHandover(await rootOf([next, other], both, 2))).toBeDefined();
    expect(await readHandover(await rootOf([next], both, 1))).toBeUndefined();
  });

  it("ends in a typed error whatever stands in its place", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        try {
          expect(await readHandover(await rootOf([next], value as JsonValue))).toBeUndefined();
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as FormatError).code).toBe("METADATA_INVALID");
        }
      }),
      { numRuns: 30 },
    );
    const document = await signHandover(statement, [old]);
    const broken = { ...document, signatures: [{ key: "AAAA", sig: "AAAA" }] };
    await expect(readHandover(await rootOf([next], broken))).rejects.toMatchObject({ code: "METADATA_INVALID" });
  });
});

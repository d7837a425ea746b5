/** Collections captured from real notary programs verify, and their bytes come out again as they went in. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hexEncode, ownBytes, type Bytes } from "../../src/base/bytes.ts";
import { findInEveryRole, findTarget, listTargets, type SearchOrder } from "../../src/notary/lookup.ts";
import { keyIdOf, resolveKeys } from "../../src/notary/public-keys.ts";
import { readRoot, readTargets } from "../../src/notary/metadata.ts";
import { verifyCollection } from "../../src/notary/verify-collection.ts";
import { cachedDocuments } from "../../src/notary/document-source.ts";
import { decodeDocument, decodeGoDocument } from "../../src/notary/wire.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/notary-v1");
const STATES = join(FIXTURES, "session1/states");
const GUN = "localhost:5000/demo/hello";
/** The captures were made on this day. */
const THEN = new Date("2026-11-23T00:00:00Z");

function load(directory: string): Map<string, Bytes> {
  const documents = new Map<string, Bytes>();
  for (const entry of readdirSync(directory, { recursive: true }) as string[]) {
    if (entry.endsWith(".json"))
      documents.set(entry.slice(0, -".json".length), ownBytes(readFileSync(join(directory, entry))));
  }
  return documents;
}

const collections = [
  ...readdirSync(STATES).map((name) => ({
    name,
    gun: GUN,
    documents: load(join(STATES, name, "trust/tuf", GUN, "metadata")),
  })),
  { name: "ed25519-local-signer", gun: "ed/gun", documents: load(join(FIXTURES, "ed25519-local-signer")) },
];

async function verify(documents: Map<string, Bytes>, gun: string, now = THEN) {
  const source = cachedDocuments(documents.get("root")!, documents);
  return verifyCollection(source, {
    server: "https://notary.example",
    gun,
    now,
    stored: undefined,
    pin: undefined,
    firstUse: "accept",
    acceptExpired: false,
  });
}

describe("captured collections", () => {
  for (const { name, gun, documents } of collections) {
    it(`re-encodes every document of ${name} to the same bytes`, () => {
      expect(documents.size).toBeGreaterThanOrEqual(3);
      for (const [role, bytes] of documents) {
        expect(decodeGoDocument(bytes, role)).toEqual(decodeDocument(bytes, role));
      }
    });

    it(`recomputes every key id of ${name}`, async () => {
      const { keys } = readRoot(decodeDocument(documents.get("root")!, "root").signed);
      const { delegations } = readTargets(decodeDocument(documents.get("targets")!, "targets").signed, "targets");
      for (const [id, key] of [...keys, ...delegations.keys]) expect(await keyIdOf(key)).toBe(id);
      for (const key of (await resolveKeys(keys, "root")).values()) expect(key.publicKey).toBeDefined();
    });

    // 02 and 03 were never published, 14 and 19 are caches that notary had not brought up to date yet
    if (!documents.has("timestamp")) continue;
    it(`verifies ${name} for the day it was captured`, async () => {
      const { state, firstUse } = await verify(documents, gun);
      expect(firstUse).toBe(true);
      expect(state.expired).toEqual([]);
      expect(state.targets.signedBy).toHaveLength(1);
    });
  }

  it("refuses each of them once its timestamp has expired", async () => {
    for (const { gun, documents } of collections) {
      if (!documents.has("timestamp")) continue;
      const late = new Date("2027-01-01T00:00:00Z");
      await expect(verify(documents, gun, late)).rejects.toMatchObject({ code: "METADATA_EXPIRED", role: "timestamp" });
    }
  });

  it("finds what the notary command printed", async () => {
    const { state } = await verify(collections.find(({ name }) => name === "28-nested")!.documents, GUN);
    const rows = (order: SearchOrder) =>
      listTargets(state, order).map(({ name, meta, role }) =>
        [name, hexEncode(meta.hashes.get("sha256")!).slice(0, 8), meta.length, role.role].join(" "),
      );
    expect(rows("notary")).toEqual([
      "v1 f673b369 14 targets",
      "v2 d8941324 21 targets",
      "we&ird<name> d8941324 21 targets",
    ]);
    expect(rows(["targets/releases"])).toEqual(["v1 f673b369 14 targets/releases"]);
    expect(rows("docker")).toEqual([
      "v1 f673b369 14 targets/releases",
      "v2 d8941324 21 targets",
      "we&ird<name> d8941324 21 targets",
    ]);
    expect(findInEveryRole(state, "v1").map(({ role }) => role.role)).toEqual(["targets", "targets/releases"]);
    expect(findTarget(state, "we&ird<name>", "notary")?.meta.custom).toEqual({
      a: "xyz",
      b: 1,
      n: { k: [3, 2, 1], z: null },
    });
  });

  it("knows a nested delegation that nothing was published for yet", async () => {
    const { state } = await verify(collections.find(({ name }) => name === "29-witness")!.documents, GUN);
    const linux = state.delegations.get("targets/releases/linux");
    expect(linux).toMatchObject({ paths: ["linux/", "v"], verified: undefined, fault: undefined });
    expect(findTarget(state, "v9", "notary")).toBeUndefined();
  });

  it("reads a collection whose server signs with raw Ed25519 keys", async () => {
    const { state } = await verify(collections.at(-1)!.documents, "ed/gun");
    expect(state.timestamp.signedBy[0]?.publicKey?.type).toBe("ed25519");
    expect(state.snapshot.signedBy[0]?.publicKey?.type).toBe("ed25519");
  });
});

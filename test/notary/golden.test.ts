/** Collections captured from real notary programs verify, and their bytes come out again as they went in. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { base64Decode, hexEncode, ownBytes, type Bytes } from "../../src/base/bytes.ts";
import { hashBytes } from "../../src/base/digest.ts";
import { isJsonObject } from "../../src/base/json.ts";
import { findInEveryRole, findTarget, listTargets } from "../../src/notary/lookup.ts";
import { keyIdOf, resolveKeys } from "../../src/notary/public-keys.ts";
import { readRoot, readTargets } from "../../src/notary/metadata.ts";
import { NotaryTrustedSet } from "../../src/notary/trusted-set.ts";
import { verifyCollection } from "../../src/notary/verify-collection.ts";
import { cachedDocuments } from "../../src/notary/document-source.ts";
import { assertGoBytes, decodeDocument } from "../../src/notary/wire.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/notary-v1");
const STATES = join(FIXTURES, "session1/states");
const GUN = "localhost:5000/demo/hello";
/** The captures were made on this day. */
const THEN = new Date("2026-11-23T00:00:00Z");

function load(directory: string): Map<string, Bytes> {
  const documents = new Map<string, Bytes>();
  for (const entry of readdirSync(directory, { recursive: true }) as string[]) {
    if (entry.endsWith(".json")) documents.set(entry.slice(0, -".json".length), ownBytes(readFileSync(join(directory, entry))));
  }
  return documents;
}

const collections = [
  ...readdirSync(STATES).map((name) => ({ name, gun: GUN, documents: load(join(STATES, name, "trust/tuf", GUN, "metadata")) })),
  { name: "ed25519-local-signer", gun: "ed/gun", documents: load(join(FIXTURES, "ed25519-local-signer")) },
];

async function verify(documents: Map<string, Bytes>, gun: string, now = THEN) {
  const source = { ...cachedDocuments(documents), root: async () => documents.get("root") };
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
      for (const [role, bytes] of documents) expect(() => assertGoBytes(bytes, role)).not.toThrow();
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
});

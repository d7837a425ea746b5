import { describe, expect, it } from "vitest";
import { utf8Encode, type Bytes } from "../../../src/base/bytes.ts";
import { canonicalKeyId } from "../../../src/keys/notary-key-id.ts";
import { verifySignature } from "../../../src/keys/public-key.ts";
import { memoryTrustStore } from "../../../src/server/trust/memory-store.ts";
import { openOnlineKeys } from "../../../src/server/trust/online-keys.ts";
import type { StoredKey, TrustStore } from "../../../src/server/trust/store.ts";

const MASTER = new Uint8Array(32).fill(7);

async function setUp(masterKey: Bytes = MASTER, store: TrustStore = memoryTrustStore()) {
  return { store, keys: await openOnlineKeys({ store, masterKey }) };
}

describe("online keys", () => {
  it("gives the same key until a root names it, also to those who ask at once, and again after a restart", async () => {
    const { store, keys } = await setUp();
    const asked = await Promise.all(Array.from({ length: 5 }, () => keys.pending("a", "timestamp")));
    const ids = new Set(await Promise.all(asked.map((key) => canonicalKeyId(key))));
    expect(ids.size).toBe(1);
    const again = await openOnlineKeys({ store, masterKey: MASTER });
    expect(ids).toContain(await canonicalKeyId(await again.pending("a", "timestamp")));
    const [keyId = ""] = ids;
    await store.update({ gun: "a", documents: [], publishedKeyIds: [keyId], now: new Date(0) });
    expect(ids).not.toContain(await canonicalKeyId(await again.pending("a", "timestamp")));
  });

  it("keeps collections and roles apart, and makes a new key for a rotation", async () => {
    const { keys } = await setUp();
    const made = await Promise.all([
      keys.pending("a", "timestamp"),
      keys.pending("a", "snapshot"),
      keys.pending("b", "timestamp"),
    ]);
    made.push(await keys.create("a", "timestamp"));
    expect(new Set(await Promise.all(made.map((key) => canonicalKeyId(key)))).size).toBe(4);
  });

  it("signs with the keys that are asked for and held, and with no other", async () => {
    const { store, keys } = await setUp();
    const id = await canonicalKeyId(await keys.pending("a", "timestamp"));
    await keys.create("a", "timestamp");
    const again = await openOnlineKeys({ store, masterKey: MASTER });
    const signers = await again.signers("a", "timestamp", ["0".repeat(64), id]);
    expect(signers.map(({ keyId }) => keyId)).toEqual([id]);
    const message = utf8Encode("message");
    const { signer } = signers[0]!;
    const signature = await signer.sign(message);
    expect(await verifySignature(signer.publicKey, "ecdsa-sha256", message, signature)).toBe(true);
    expect(await again.signers("a", "snapshot", [id])).toEqual([]);
    expect(await again.signers("b", "timestamp", [id])).toEqual([]);
  });

  it("can make Ed25519 keys", async () => {
    const store = memoryTrustStore();
    const keys = await openOnlineKeys({ store, masterKey: MASTER, algorithm: "ed25519" });
    expect((await keys.pending("a", "timestamp")).type).toBe("ed25519");
  });

  it("refuses a store that was written under another master key, before it makes any key", async () => {
    const { store, keys } = await setUp();
    await keys.pending("a", "timestamp");
    await expect(setUp(new Uint8Array(32).fill(8), store)).rejects.toMatchObject({ code: "STATE_INVALID" });
    await expect(setUp(new Uint8Array(16), store)).rejects.toMatchObject({ code: "STATE_INVALID" });
    expect(await store.keys("a", "timestamp")).toHaveLength(1);
    await expect(setUp(MASTER, store)).resolves.toBeDefined();
  });

  it("stores no key in the clear", async () => {
    const { store, keys } = await setUp();
    const { spki } = await keys.pending("a", "timestamp");
    const [{ sealed } = { sealed: new Uint8Array() }] = await store.keys("a", "timestamp");
    // A PKCS#8 key holds its public half, the end of the SPKI.
    expect(Buffer.from(sealed).includes(Buffer.from(spki.subarray(-32)))).toBe(false);
    expect(Buffer.from(sealed).includes(Buffer.from("2a8648ce3d0201", "hex"))).toBe(false);
  });

  it.each<[string, (key: StoredKey, other: StoredKey) => StoredKey]>([
    ["one changed bit", (key) => ({ ...key, sealed: key.sealed.map((byte, at) => (at === 40 ? byte ^ 1 : byte)) })],
    ["another collection's key in its place", (key, other) => ({ ...key, sealed: other.sealed })],
    ["an unknown format", (key) => ({ ...key, sealed: new Uint8Array([2, ...key.sealed.subarray(1)]) })],
    ["nothing left", (key) => ({ ...key, sealed: new Uint8Array() })],
  ])("refuses a key that was changed in the database: %s", async (_, change) => {
    const { store, keys } = await setUp();
    const id = await canonicalKeyId(await keys.pending("a", "timestamp"));
    await keys.pending("b", "timestamp");
    const [[key], [other]] = [await store.keys("a", "timestamp"), await store.keys("b", "timestamp")];
    const changed: TrustStore = Object.assign(Object.create(store) as TrustStore, {
      keys: async () => [change(key!, other!)],
    });
    const attacked = await openOnlineKeys({ store: changed, masterKey: MASTER });
    await expect(attacked.signers("a", "timestamp", [id])).rejects.toMatchObject({ code: "STATE_INVALID" });
    await expect(attacked.pending("a", "timestamp")).rejects.toMatchObject({ code: "STATE_INVALID" });
    await expect((await setUp(MASTER, store)).keys.signers("a", "timestamp", [id])).resolves.toHaveLength(1);
  });
});

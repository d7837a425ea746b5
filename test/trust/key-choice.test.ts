/** Which key a text names, and what becomes of keys that were made for a change. */
import { describe, expect, it } from "vitest";
import { TransportError, TrustError } from "../../src/base/errors.ts";
import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { canonicalKeyId } from "../../src/keys/notary-key-id.ts";
import { PrivateKey, type KeyAlgorithmName } from "../../src/keys/private-key.ts";
import { ChosenKeys, findKeyNamed } from "../../src/trust/key-choice.ts";
import { tufKeyOf } from "../../src/tuf/keys.ts";
import { ownedKey, ownerOf } from "../../src/tuf/requirement-text.ts";
import { always, codeOf } from "../support/key-fixtures.ts";

const ask = always("a long passphrase");

async function newKey(owner?: string) {
  const key = await tufKeyOf((await PrivateKey.generate("ed25519")).publicKey);
  return owner === undefined ? key : ownedKey(key, owner);
}

describe("the name of a key", () => {
  it("is its owner, or the first digits of its fingerprint, id, or id in the key store", async () => {
    const key = await newKey("ada");
    const keys = [await newKey("bob"), key, await newKey()];
    const names = ["ada", await key.publicKey!.fingerprint(), key.id, await canonicalKeyId(key.publicKey!)];
    for (const name of [...names, ...names.slice(1).map((text) => text.slice(0, 7))]) {
      expect(await findKeyNamed(keys, name)).toBe(key);
    }
  });

  it("is refused where it is too short, nobody's, or several keys'", async () => {
    const keys = [await newKey("ada"), await newKey("ada")];
    const short = (await keys[0]!.publicKey!.fingerprint()).slice(0, 6);
    for (const name of [short, "", "eve", "0".repeat(64)]) {
      expect(await codeOf(() => findKeyNamed(keys, name))).toBe("KEY_MISSING");
    }
    expect(await codeOf(() => findKeyNamed(keys, "ada"))).toBe("USAGE");
  });

  it("names one key once, however often it is listed", async () => {
    const key = await newKey("ada");
    expect(await findKeyNamed([key, key], "ada")).toBe(key);
  });
});

describe("chosen keys", () => {
  it.each(["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-3072"] satisfies KeyAlgorithmName[])(
    "are made of the kind that is asked for (%s), stored, and open again",
    async (algorithm) => {
      const store = memoryKeyStore();
      const [key] = await new ChosenKeys(store, ask).resolve([{ kind: "new", algorithm }], "targets", "acme");
      const [stored] = await store.list();
      expect(stored).toMatchObject({ id: await canonicalKeyId(key!.publicKey!), role: "targets", gun: "acme" });
      expect((await store.open(stored!.id, ask))?.publicKey.spki).toEqual(key!.publicKey!.spki);
    },
  );

  it("leave nothing behind of a kind that TUF has no scheme for", async () => {
    const store = memoryKeyStore();
    const keys = new ChosenKeys(store, ask);
    expect(await codeOf(() => keys.resolve([{ kind: "new", algorithm: "ecdsa-p521" }], "root", "acme"))).toBe(
      "KEY_INVALID",
    );
    expect(await store.list()).toEqual([]);
  });

  it("have the name under which they were stored, unless it is only a role", async () => {
    const store = memoryKeyStore();
    const ada = await store.add(await PrivateKey.generate("ed25519"), { role: "ada" }, ask);
    const plain = await store.add(await PrivateKey.generate("ed25519"), { role: "delegation" }, ask);
    const choices = [ada, plain].map((id) => ({ kind: "stored" as const, id }));
    const keys = await new ChosenKeys(store, ask).resolve(choices, "team", "acme");
    expect(keys.map(ownerOf)).toEqual(["ada", undefined]);
    const gone = [{ kind: "stored" as const, id: "0".repeat(64) }];
    expect(await codeOf(() => new ChosenKeys(store, ask).resolve(gone, "team", "acme"))).toBe("KEY_MISSING");
  });

  it.each([
    ["refused before anything was written", new TrustError("KEY_MISSING", "x"), 0],
    ["broken off on the network", new TransportError("NETWORK", "x"), 1],
    ["published, and not readable", new TrustError("PUBLISH_UNREADABLE", "x"), 1],
    ["ended by a defect", new TypeError("x"), 1],
  ])("that were made for a change stay where it may have taken place: %s", async (_name, error, left) => {
    const store = memoryKeyStore();
    const keys = new ChosenKeys(store, ask);
    const change = keys.settle(async () => {
      await keys.resolve([{ kind: "new" }], "targets", "acme");
      throw error;
    });
    await expect(change).rejects.toBe(error);
    expect(await store.list()).toHaveLength(left);
  });
});

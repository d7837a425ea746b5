import { describe, expect, it } from "vitest";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { newCollection } from "../../src/tuf/create.ts";
import { TufKey, tufKeyOf } from "../../src/tuf/keys.ts";
import { prefixPatterns } from "../../src/tuf/editor.ts";
import { checkDelegation, checkRoleKeys } from "../../src/tuf/publishable.ts";
import { describeKey } from "../../src/tuf/requirement-text.ts";
import { listedKeys, openSigningKeys, signWith, storedSigningKeys } from "../../src/tuf/signing-keys.ts";
import { memoryKeyStore, type KeyStore } from "../../src/keys/key-store.ts";
import { codeOf } from "../support/error-code.ts";
import { people, person, type Person } from "../support/tuf-publishing.ts";

const unusable = new TufKey("odd", { keytype: "new\u001b", scheme: "new", text: "?" }, { keytype: "new" });
const usage = expect.objectContaining({ code: "USAGE" });

describe("the keys of a role", () => {
  it("must be different keys that clients can verify with, and not without number", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const twin = new TufKey("twin", { keytype: "ed25519", scheme: "ed25519", text: textOf(ada.key) }, ada.key.json);
    const keys = new Map([ada.key, bob.key, twin, unusable].map((key) => [key.id, key]));
    const check = (threshold: number, ...keyIds: string[]) => {
      return () => checkRoleKeys("targets", { keyIds, threshold, extra: {} }, keys);
    };
    expect(check(2, ada.key.id, bob.key.id)).not.toThrow();
    for (const bad of [
      check(1),
      check(1, ...Array.from({ length: 2000 }, () => ada.key.id)),
      check(1, ada.key.id, "odd"),
      check(1, ada.key.id, "nobody"),
      check(1, ada.key.id, "twin"),
      check(1, ada.key.id, ada.key.id),
      check(0, ada.key.id),
      check(2, ada.key.id),
    ]) {
      expect(bad).toThrow(usage);
    }
  });

  it("may be named in root and not be there; who is left still signs", async () => {
    const ada = await person();
    const roleKeys = { keyIds: ["gone", ada.key.id], threshold: 1, extra: {} };
    expect(listedKeys({ role: "r", roleKeys, keys: new Map([[ada.key.id, ada.key]]) })).toEqual([ada.key]);
  });

  it("are described by what they are, and by their id where nothing can be made of them", async () => {
    const { key } = await person();
    expect(await describeKey(key)).toBe(`ed25519 ${(await key.publicKey!.fingerprint()).slice(0, 12)}`);
    expect(await describeKey(unusable)).not.toContain("\u001b");
    expect(await describeKey(unusable)).toMatch(/^new.* id odd$/);
  });
});

function textOf(key: TufKey): string {
  return (key.json["keyval"] as { readonly public: string }).public;
}

describe("a delegation", () => {
  it("has one pattern at least, and not without number", () => {
    const role = { name: "team", keyIds: [], threshold: 1, terminating: false, extra: {} };
    expect(() => checkDelegation({ ...role, paths: ["a/*"] })).not.toThrow();
    expect(() => checkDelegation({ ...role, pathHashPrefixes: ["00"] })).not.toThrow();
    for (const bad of [{}, { paths: [] }, { pathHashPrefixes: [] }, { paths: Array(20_000).fill("a/*") as string[] }]) {
      expect(() => checkDelegation({ ...role, ...bad })).toThrow(usage);
    }
  });

  it("below a prefix ends with a slash", () => {
    expect(prefixPatterns("team/", 2)).toEqual(["team/*", "team/*/*"]);
    expect(prefixPatterns("", 1)).toEqual(["*"]);
    expect(() => prefixPatterns("team")).toThrow(usage);
  });
});

describe("a new collection", () => {
  it("keeps the periods of each role where clients and signers find them", async () => {
    const { key } = await person();
    const role = { keys: [key] };
    const plain = newCollection({ roles: { root: role, targets: role, snapshot: role, timestamp: role } });
    expect([plain.root.extra, plain.changed.get("targets")?.extra, plain.root.roles.get("snapshot")?.extra]).toEqual([
      {},
      {},
      {},
    ]);
    const own = { keys: [key], periods: { expiry: 9, signing: 3 } };
    const draft = newCollection({
      roles: { root: own, targets: own, snapshot: own, timestamp: own },
      extra: { "x-name": "acme/app" },
    });
    const fields = { "x-tuf-on-ci-expiry-period": 9, "x-tuf-on-ci-signing-period": 3 };
    expect(draft.root.extra).toEqual({ "x-name": "acme/app", ...fields });
    expect(draft.changed.get("targets")?.extra).toEqual(fields);
    for (const name of ["timestamp", "snapshot"]) expect(draft.root.roles.get(name)?.extra).toEqual(fields);
    for (const name of ["root", "targets"]) expect(draft.root.roles.get(name)?.extra).toEqual({});
  });
});

describe("keys of a key store", () => {
  const MESSAGE = new Uint8Array([1, 2, 3]);

  it("are opened once, asked for by what they are, and sign", async () => {
    const [ada, bob] = [await PrivateKey.generate("ed25519"), await PrivateKey.generate("ed25519")];
    const keyStore = memoryKeyStore();
    await keyStore.add(ada, { role: "root" }, async () => "passphrase");
    const opened: string[] = [];
    const store: KeyStore = Object.assign(Object.create(keyStore) as KeyStore, {
      open: async (id: string) => {
        opened.push(id);
        return keyStore.open(id, async () => "passphrase");
      },
    });
    const signing = storedSigningKeys(store, async () => "passphrase", "here");
    expect([await signing.holds(ada.publicKey), await signing.holds(bob.publicKey)]).toEqual([true, false]);
    expect(await signing.open(bob.publicKey)).toBeUndefined();
    const keys = [await tufKeyOf(ada.publicKey), await tufKeyOf(bob.publicKey)];
    for (let i = 0; i < 2; i++) {
      const { signatures, failure } = await signWith(keys, MESSAGE, signing);
      expect([signatures.map(({ keyId }) => keyId), failure]).toEqual([[keys[0]!.id], undefined]);
    }
    expect(opened.filter((id) => id === opened[1])).toHaveLength(1); // ada's, after bob's, which is not there
    expect(signing.location).toBe("here");
  });

  it("that do not open, or vanish just then, are passed over, and the first reason is told", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const error = new Error("wrong passphrase");
    const good = openSigningKeys([ada.signer, bob.signer]);
    const failing = {
      ...good,
      open: async (key: typeof ada.signer.publicKey) =>
        key === ada.key.publicKey ? Promise.reject(error) : good.open(key),
    };
    const keys = [ada.key, bob.key, bob.key, unusable];
    const tried = await signWith(keys, MESSAGE, failing);
    expect([tried.signatures.map(({ keyId }) => keyId), tried.failure]).toEqual([[bob.key.id], error]);
    const vanished = await signWith(keys, MESSAGE, { ...good, open: async () => undefined });
    expect(vanished).toEqual({ signatures: [], failure: undefined });
  });

  it("of somebody else give no signature that is used", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const lying = { location: "x", holds: async () => true, open: async () => bob.signer };
    const { signatures, failure } = await signWith([ada.key], MESSAGE, lying);
    expect(signatures).toEqual([]);
    expect(await codeOf(() => Promise.reject(failure as Error))).toBe("KEY_INVALID");
  });
});

/** Private keys that sign documents: which are used, which are passed over, and what is said where too few are there. */
import { beforeAll, describe, expect, it } from "vitest";
import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import {
  canSign,
  isSignedBy,
  keysMissing,
  listedKeys,
  openSigningKeys,
  signWith,
  storedSigningKeys,
  type KeyedRole,
  type SigningKeys,
} from "../../src/tuf/signing-keys.ts";
import { people, type Person } from "../support/tuf-publishing.ts";

const MESSAGE = new Uint8Array([1, 2, 3]);
const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, { keytype: "new" });
let ada: Person;
let bob: Person;
let cid: Person;
beforeAll(async () => {
  [ada, bob, cid] = (await people(3)) as [Person, Person, Person];
});

const keyed = (threshold: number, ...keys: TufKey[]): KeyedRole => ({
  role: "team",
  roleKeys: { keyIds: keys.map(({ id }) => id), threshold, extra: {} },
  keys: new Map(keys.map((key) => [key.id, key])),
});
const held = (...who: Person[]) => openSigningKeys(who.map(({ signer }) => signer));
const ids = async (keys: readonly TufKey[], signing: SigningKeys) =>
  (await signWith(keys, MESSAGE, signing)).signatures.map(({ keyId }) => keyId);

describe("keys at hand", () => {
  it("sign once each, in the order of the list, and verify", async () => {
    const { signatures, failure } = await signWith([bob.key, cid.key, ada.key, bob.key, odd], MESSAGE, held(ada, bob));
    expect([signatures.map(({ keyId }) => keyId), failure]).toEqual([[bob.key.id, ada.key.id], undefined]);
    expect(await isSignedBy(bob.key, MESSAGE, signatures)).toBe(true);
    expect(await isSignedBy(cid.key, MESSAGE, signatures)).toBe(false);
    expect(await isSignedBy(bob.key, new Uint8Array([1]), signatures)).toBe(false);
    expect(held(ada).location).toBe("memory");
    expect(openSigningKeys([], "an agent").location).toBe("an agent");
  });

  it("are enough from the threshold on", async () => {
    expect(await canSign(keyed(2, ada.key, bob.key, cid.key), held(ada, cid))).toBe(true);
    expect(await canSign(keyed(2, ada.key, bob.key, cid.key), held(ada))).toBe(false);
    expect(await canSign(keyed(1, odd), held(ada))).toBe(false);
    expect(await canSign(keyed(1, ada.key), held(bob))).toBe(false);
  });

  it("are asked for nothing where they are not there, and the first reason why one does not open is told", async () => {
    const [first, second] = [new Error("first"), new Error("second")];
    const asked: string[] = [];
    const signing: SigningKeys = {
      ...held(ada, bob, cid),
      holds: async (key) => key !== cid.key.publicKey,
      open: async (key) => {
        asked.push(key === ada.key.publicKey ? "ada" : "bob");
        throw key === ada.key.publicKey ? first : second;
      },
    };
    const { signatures, failure } = await signWith([cid.key, ada.key, bob.key], MESSAGE, signing);
    expect(signatures).toEqual([]);
    expect(failure).toBe(first);
    expect(asked).toEqual(["ada", "bob"]);
  });

  it("that sign with another one's key give nothing that is used", async () => {
    const lying: SigningKeys = { ...held(bob), holds: async () => true, open: async () => bob.signer };
    expect(await ids([ada.key, bob.key], lying)).toEqual([bob.key.id]);
    const { failure } = await signWith([ada.key], MESSAGE, lying);
    expect(failure).toMatchObject({
      code: "KEY_INVALID",
      message: `the private key that was found for ${ada.key.id} does not sign for it`,
      hint: expect.stringContaining("Its scheme ed25519"),
      details: { keyId: ada.key.id, scheme: "ed25519" },
    });
  });
});

describe("a key that vanishes before it is opened", () => {
  it("is passed over like one that was never there", async () => {
    const vanished: SigningKeys = { ...held(ada), open: async () => undefined };
    expect(await signWith([ada.key], MESSAGE, vanished)).toEqual({ signatures: [], failure: undefined });
  });
});

describe("a signature", () => {
  it("is a key's own only under its id", async () => {
    const { signatures } = await signWith([ada.key], MESSAGE, held(ada));
    const renamed = signatures.map((signature) => Object.assign({}, signature, { keyId: bob.key.id }));
    expect(await isSignedBy(ada.key, MESSAGE, renamed)).toBe(false);
    expect(await isSignedBy(bob.key, MESSAGE, renamed)).toBe(false);
    expect(await isSignedBy(ada.key, MESSAGE, [...renamed, ...signatures])).toBe(true);
    expect(await isSignedBy(ada.key, MESSAGE, [])).toBe(false);
  });
});

describe("a role with too few keys at hand", () => {
  it("says how many it needs, which are missing, and what to do", async () => {
    const role = keyed(2, ada.key, bob.key, odd);
    expect(await keysMissing(role, openSigningKeys([ada.signer], "here"))).toMatchObject({
      code: "KEY_MISSING",
      role: "team",
      message: `signing as team needs 2 of its 3 key(s), and 1 are in here; missing: ${bob.key.id}, odd`,
      hint: expect.stringContaining("key import"),
      details: { missing: [bob.key.id, "odd"], threshold: 2, location: "here" },
    });
  });

  it("may list keys that are not there at all", () => {
    const role = { ...keyed(1, ada.key), roleKeys: { keyIds: ["gone", ada.key.id], threshold: 1, extra: {} } };
    expect(listedKeys(role)).toEqual([ada.key]);
  });
});

describe("keys of a key store", () => {
  it("are found by what they are, and opened once", async () => {
    const store = memoryKeyStore();
    for (const { signer } of [ada, cid]) await store.add(signer, { role: "root" }, async () => "a passphrase");
    let opened = 0;
    const counting = Object.assign(Object.create(store) as typeof store, {
      open: async (...given: Parameters<typeof store.open>) => {
        opened++;
        return store.open(...given);
      },
    });
    const signing = storedSigningKeys(counting, async () => "a passphrase", "the directory");
    expect(signing.location).toBe("the directory");
    expect([await signing.holds(ada.signer.publicKey), await signing.holds(bob.signer.publicKey)]).toEqual([
      true,
      false,
    ]);
    expect(opened).toBe(0);
    const first = await signing.open(ada.signer.publicKey);
    expect(await signing.open(ada.signer.publicKey)).toBe(first);
    expect(opened).toBe(1);
    expect(await ids([ada.key, bob.key], signing)).toEqual([ada.key.id]);
    for (let i = 0; i < 2; i++) expect(await signing.open(bob.signer.publicKey)).toBeUndefined();
    expect(opened).toBe(3);
  });
});

import { describe, expect, it } from "vitest";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { newCollection } from "../../src/tuf/create.ts";
import { TufKey, tufKeyOf } from "../../src/tuf/keys.ts";
import { prefixPatterns } from "../../src/tuf/editor.ts";
import {
  checkBins,
  checkDelegation,
  checkNamesTogether,
  checkRoleKeys,
  checkTargetFile,
  checkTargetName,
} from "../../src/tuf/publishable.ts";
import { describeKey } from "../../src/tuf/requirement-text.ts";
import { listedKeys, openSigningKeys, signWith, storedSigningKeys } from "../../src/tuf/signing-keys.ts";
import { memoryKeyStore, type KeyStore } from "../../src/keys/key-store.ts";
import { codeOf } from "../support/error-code.ts";
import { people, person, type Person } from "../support/tuf-publishing.ts";

const unusable = new TufKey("odd", { keytype: "new\u001b", scheme: "new", text: "?" }, { keytype: "new" });
const usage = expect.objectContaining({ code: "USAGE" });
const refusal = (code: string, fault: string, details: object = {}) =>
  expect.objectContaining({ code, message: expect.stringContaining(fault), details: expect.objectContaining(details) });

const PART = "x".repeat(125);
/** 8 parts of 125 bytes and 8 slashes are 1008. */
const LONGEST = `${`${PART}/`.repeat(8)}${"y".repeat(16)}`;

describe("a target's name", () => {
  it.each(["a", "app/v1", "a b", "a!b", "#a", "[a]", "a*", "...", ".a", "é", LONGEST, "é".repeat(20)])(
    "may be %j",
    (name) => {
      expect(() => checkTargetName(name)).not.toThrow();
    },
  );

  it.each([
    ["", "an empty part"],
    ["/a", "an empty part"],
    ["a/", "an empty part"],
    ["a//b", "an empty part"],
    [".", "it has a part ."],
    ["a/../b", "it has a part .."],
    ["a\\b", "a backslash"],
    ["a\u202eb", "control or invisible characters"],
    ["a\u2028b", "control or invisible characters"],
    ["a\ud800", "control or invisible characters"],
    ["\u{1f600}", "beyond U+FFFF"],
    ["e\u0301", "normal form C"],
    [`${PART}x`, "longer than 125 bytes in a URL"],
    ["é".repeat(21), "longer than 125 bytes in a URL"],
    [`${LONGEST}y`, "longer than 1024 bytes"],
    [`${`${PART}/`.repeat(8)}${"é".repeat(9)}`, "longer than 1024 bytes"],
  ])("cannot be %j: %s", (name, fault) => {
    expect(() => checkTargetName(name)).toThrow(refusal("TARGET_NAME_INVALID", fault, { target: name.slice(0, 1024) }));
  });

  it("is quoted in its refusal no longer than names can be, and harmlessly", () => {
    const name = `\u001b${"x".repeat(5000)}`;
    expect(() => checkTargetName(name)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/^"\\\\u\{1b\}x{79}…" cannot/),
        details: { target: name.slice(0, 1024) },
        hint: expect.stringContaining("at most 1024 bytes"),
      }),
    );
  });

  it.each([" ", "!"])("with %j in it does not stand beside what comes before that", (sign) => {
    const names = (...list: string[]) => new Map(list.map((name) => [name, undefined]));
    const none = names();
    expect(() => checkNamesTogether(names("a", `a-b`, `b${sign}c`, `a${sign}`.replace("a", "d")), none)).not.toThrow();
    for (const list of [
      ["a", `a${sign}b`],
      [`a${sign}b${sign}${sign}c`, `a${sign}b`],
      ["z", `${sign}a${sign}b`, `${sign}a`],
      [`${sign}${sign}`, sign],
    ]) {
      expect(() => checkNamesTogether(names(...list), none)).toThrow(
        refusal("TARGET_NAME_INVALID", "cannot be published beside"),
      );
      expect(() => checkNamesTogether(names(...list.toReversed()), none)).toThrow(
        expect.objectContaining({ hint: expect.stringContaining("leave out the space") }),
      );
    }
    expect(() => checkNamesTogether(names("ab", `ab${sign}c`), none)).toThrow(
      /^"ab.c" cannot be published beside "ab"$/,
    );
    expect(() => checkNamesTogether(names(`a${sign}b`, `a${sign}bc`, `a${sign}b-c`), none)).not.toThrow();
    const both = names("a", `a${sign}b`);
    expect(() => checkNamesTogether(both, both)).not.toThrow(); // other tools have published them
    for (const former of [names("a"), names(`a${sign}b`)])
      expect(() => checkNamesTogether(both, former)).toThrow("beside");
    expect(() => checkNamesTogether(names("a", `ab${sign}c`, `a${sign === "!" ? "#" : "-"}b`), none)).not.toThrow();
  });
});

describe("a target", () => {
  const SHA256 = "0123456789abcdef".repeat(4);

  it.each([
    { length: 0, hashes: { sha256: SHA256 } },
    { length: 2 ** 53 - 1, hashes: { sha512: SHA256 + SHA256 } },
    { length: 1, hashes: { sha256: SHA256, sha512: SHA256 + SHA256 } },
  ])("may be %j", (file) => {
    expect(() => checkTargetFile("x", file)).not.toThrow();
  });

  it.each([
    [{ length: -1, hashes: { sha256: SHA256 } }, "its length is -1"],
    [{ length: 1.5, hashes: { sha256: SHA256 } }, "its length is 1.5"],
    [{ length: 2 ** 53, hashes: { sha256: SHA256 } }, "its length is 9007199254740992"],
    [{ length: Number.NaN, hashes: { sha256: SHA256 } }, "its length is NaN"],
    [{ length: 1, hashes: {} }, "it has no hash"],
    [{ length: 1, hashes: { md5: "a".repeat(32) } }, '"md5" is no hash that clients know'],
    [{ length: 1, hashes: { sha256: SHA256, crc: "0" } }, '"crc" is no hash'],
    [{ length: 1, hashes: { sha256: SHA256.toUpperCase() } }, "its sha256 is not in lower-case hexadecimal"],
    [{ length: 1, hashes: { sha256: `${SHA256}0` } }, "its sha256 is not"],
    [{ length: 1, hashes: { sha256: `0${SHA256}` } }, "its sha256 is not"],
    [{ length: 1, hashes: { sha256: SHA256, sha512: SHA256 } }, "its sha512 is not"],
    [{ length: 1, hashes: { sha512: `${SHA256}${SHA256}0` } }, "its sha512 is not"],
    [{ length: 1, hashes: { sha512: `0${SHA256}${SHA256}` } }, "its sha512 is not"],
  ])("that clients could not verify is refused: %j", (file, fault) => {
    expect(() => checkTargetFile("x", file)).toThrow(
      refusal("TARGET_INVALID", `"x" cannot be signed: ${fault}`, { target: "x" }),
    );
  });
});

describe("hash bins", () => {
  it("have a number that can be published at once, and names that roles can have", () => {
    const bins = (bitLength: number, namePrefix = "bin") => ({
      keyIds: [],
      threshold: 1,
      bitLength,
      namePrefix,
      extra: {},
    });
    for (const bitLength of [1, 8, 14]) expect(() => checkBins(bins(bitLength))).not.toThrow();
    for (const bitLength of [0, -1, 15, 1.5, Number.NaN]) {
      expect(() => checkBins(bins(bitLength))).toThrow(refusal("USAGE", `2^${bitLength} hash bins`));
    }
    expect(() => checkBins(bins(15))).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("1 to 14 bits") }),
    );
    expect(() => checkBins(bins(1, "x".repeat(178)))).not.toThrow();
    for (const namePrefix of ["", "_", "1.x", "a/b", "x".repeat(179)]) {
      expect(() => checkBins(bins(1, namePrefix))).toThrow(refusal("ROLE_INVALID", "cannot name a role"));
    }
  });
});

describe("the keys of a role", () => {
  it("must be different keys that clients can verify with, and not without number", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const twin = new TufKey("twin", { keytype: "ed25519", scheme: "ed25519", text: textOf(ada.key) }, ada.key.json);
    const keys = new Map([ada.key, bob.key, twin, unusable].map((key) => [key.id, key]));
    const check = (threshold: number, ...keyIds: string[]) => {
      return () => checkRoleKeys("targets", { keyIds, threshold, extra: {} }, keys);
    };
    expect(check(2, ada.key.id, bob.key.id)).not.toThrow();
    for (const [bad, fault, hint] of [
      [check(1), "targets would have no key left", "Add another key first"],
      [check(1, ...Array.from({ length: 65 }, () => ada.key.id)), "targets would have 65 keys", "at most 64"],
      [check(1, ada.key.id, "odd"), "targets has the key odd, which no client could verify with", "Use another key"],
      [check(1, ada.key.id, "nobody"), "targets has the key nobody", "Use another key"],
      [check(1, ada.key.id, "twin"), "targets has one key under two ids", "It counts once"],
      [check(1, ada.key.id, ada.key.id), "targets has one key under two ids", "It counts once"],
      [check(0, ada.key.id), "targets cannot need 0 signatures, it has 1 key(s)", "from 1 to the number of keys"],
      [check(2, ada.key.id), "targets cannot need 2 signatures, it has 1 key(s)", "from 1 to the number of keys"],
      [check(1.5, ada.key.id, bob.key.id), "targets cannot need 1.5 signatures", "from 1 to the number of keys"],
    ] as const) {
      expect(bad).toThrow(refusal("USAGE", fault, { role: "targets" }));
      expect(bad).toThrow(expect.objectContaining({ hint: expect.stringContaining(hint) }));
    }
    expect(check(3, ada.key.id, bob.key.id)).toThrow(
      refusal("USAGE", "cannot need 3", { role: "targets", threshold: 3, keys: 2 }),
    );
  });

  it("may be 64", async () => {
    const keys = (await people(64)).map(({ key }) => key);
    const roleKeys = { keyIds: keys.map(({ id }) => id), threshold: 64, extra: {} };
    expect(() => checkRoleKeys("targets", roleKeys, new Map(keys.map((key) => [key.id, key])))).not.toThrow();
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
    for (const bad of [{}, { paths: [] }, { pathHashPrefixes: [] }]) {
      expect(() => checkDelegation({ ...role, ...bad })).toThrow(refusal("USAGE", "team cannot have 0 path patterns"));
    }
    const many = Array.from({ length: 1025 }, (_, index) => `a/${index}`);
    expect(() => checkDelegation({ ...role, paths: many.slice(1) })).not.toThrow();
    expect(() => checkDelegation({ ...role, paths: many })).toThrow(
      expect.objectContaining({
        message: "team cannot have 1025 path patterns",
        hint: "Name what it may sign, in 1 to 1024 patterns",
      }),
    );
  });

  it.each(["a", "a/*", "?/v1", "a!b", "a#b", "x".repeat(125)])("may be for the pattern %j", (pattern) => {
    const role = { name: "team", keyIds: [], threshold: 1, terminating: false, extra: {}, paths: ["ok", pattern] };
    expect(() => checkDelegation(role)).not.toThrow();
  });

  it.each([
    ["a[", "clients differ in what brackets mean"],
    ["a]", "clients differ in what brackets mean"],
    ["{a", "clients differ in what brackets mean"],
    ["a}", "clients differ in what brackets mean"],
    ["!a", "clients differ in what a leading ! or # means"],
    ["#a", "clients differ in what a leading ! or # means"],
    ["a/!b", "clients differ in what a leading ! or # means"],
    ["a/#b", "clients differ in what a leading ! or # means"],
    ["a\\*", "it has a backslash"],
    ["../*", "it has a part .."],
    ["", "an empty part"],
    ["!a//b", "an empty part"],
  ])("cannot be for the pattern %j: %s", (pattern, fault) => {
    const role = { name: "team", keyIds: [], threshold: 1, terminating: false, extra: {}, paths: ["ok", pattern] };
    expect(() => checkDelegation(role)).toThrow(refusal("USAGE", `cannot be published as a path pattern: `));
    expect(() => checkDelegation(role)).toThrow(fault);
    expect(() => checkDelegation(role)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("* stands for") }),
    );
  });

  it.each(["a", "1", "A-b_c.d", "a1.x", "1a.x", "x".repeat(180)])("may be to a role called %j", (name) => {
    const role = { name, keyIds: [], threshold: 1, terminating: false, extra: {}, paths: ["a"] };
    expect(() => checkDelegation(role)).not.toThrow();
  });

  it.each([
    "",
    "root",
    "timestamp",
    "snapshot",
    "targets",
    "a/b",
    "..",
    "1.x",
    "12.x",
    "_x",
    "-x",
    "é",
    "a b",
    "x".repeat(181),
  ])("cannot be to a role called %j", (name) => {
    const role = { name, keyIds: [], threshold: 1, terminating: false, extra: {}, paths: ["a"] };
    expect(() => checkDelegation(role)).toThrow(
      expect.objectContaining({
        code: "ROLE_INVALID",
        message: expect.stringMatching(/^".*" cannot name a role$/),
        hint: expect.stringContaining("at most 180 letters"),
        details: { role: name.slice(0, 180) },
      }),
    );
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

import { describe, expect, it } from "vitest";
import { hexEncode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import type { TufKey } from "../../src/tuf/keys.ts";
import type { Root, SignedMetadata } from "../../src/tuf/schema.ts";
import { VerificationMemo } from "../../src/tuf/verification-memo.ts";

/** Told apart by the object that it is, as the memo does. */
const documentOf = (bytes: Bytes): SignedMetadata => {
  return { signed: {} as Root, signatures: [], bytes, message: bytes };
};

const sha256 = (text: string) => crypto.subtle.digest("SHA-256", utf8Encode(text)).then(hexOf);
const sha512 = (text: string) => crypto.subtle.digest("SHA-512", utf8Encode(text)).then(hexOf);
const hexOf = (hash: ArrayBuffer): string => hexEncode(new Uint8Array(hash));

describe("hashes that are worked out once", () => {
  it("are those of the very bytes, by algorithm, whatever else has their name", async () => {
    const memo = new VerificationMemo();
    const known = utf8Encode("one");
    memo.decoded("root:1", known, () => documentOf(known));
    const hash = async (name: string, algorithm: "sha256" | "sha512", text: string) => {
      return hexEncode(await memo.hash(name, algorithm, utf8Encode(text)));
    };
    expect(await hash("root:1", "sha256", "one")).toBe(await sha256("one"));
    expect(await hash("root:1", "sha512", "one")).toBe(await sha512("one"));
    expect(await hash("root:1", "sha256", "two")).toBe(await sha256("two"));
    expect(await hash("root:1", "sha256", "one")).toBe(await sha256("one"));
    expect(await hash("root:2", "sha256", "two")).toBe(await sha256("two"));
  });

  it("are not worked out again for the same bytes of the document that is remembered", async () => {
    const memo = new VerificationMemo();
    const known = utf8Encode("one");
    memo.decoded("root:1", known, () => documentOf(known));
    const first = memo.hash("root:1", "sha256", known);
    expect(memo.hash("root:1", "sha256", utf8Encode("one"))).toBe(first);
    expect(memo.hash("other", "sha256", known)).toBe(first);
    expect(memo.hash("root:1", "sha512", known)).not.toBe(first);
    expect(memo.hash("root:1", "sha256", utf8Encode("two"))).not.toBe(first);
    expect(memo.hash("root:1", "sha256", known)).toBe(first);
    await first;
  });
});

describe("documents that were read before", () => {
  it("are those of the same name and the same bytes", () => {
    const memo = new VerificationMemo();
    let read = 0;
    const decoded = (name: string, text: string): SignedMetadata => {
      const bytes = utf8Encode(text);
      return memo.decoded(name, bytes, () => (read++, documentOf(bytes)));
    };
    const first = decoded("root:1", "one");
    expect(decoded("root:1", "one")).toBe(first);
    expect(read).toBe(1);
    expect(decoded("timestamp:timestamp", "one")).not.toBe(first);
    expect(decoded("root:1", "onE").bytes).toEqual(utf8Encode("onE"));
    expect(decoded("root:1", "one")).not.toBe(first);
    expect(read).toBe(4);
  });

  it("are none where reading failed, and what was there before stays", () => {
    const memo = new VerificationMemo();
    const [good, bad] = [utf8Encode("good"), utf8Encode("bad")];
    const kept = memo.decoded("root:1", good, () => documentOf(good));
    const fail = (): never => {
      throw new Error("not valid");
    };
    for (let i = 0; i < 2; i++) expect(() => memo.decoded("root:1", bad, fail)).toThrow("not valid");
    expect(memo.decoded("root:1", good, fail)).toBe(kept);
  });

  it("go when 512 others came after them", () => {
    const memo = new VerificationMemo();
    let read = 0;
    const decoded = (name: string) => {
      const bytes = utf8Encode(name);
      return memo.decoded(name, bytes, () => (read++, documentOf(bytes)));
    };
    for (let index = 0; index < 512; index++) decoded(`role ${index}`);
    decoded("role 0");
    expect(read).toBe(512);
    // what is read anew is the newest, though its name is old
    memo.decoded("role 0", utf8Encode("other"), () => (read++, documentOf(utf8Encode("other"))));
    decoded("one more");
    expect(read).toBe(514);
    memo.decoded("role 0", utf8Encode("other"), () => expect.unreachable("it is the newest but one"));
    decoded("role 1");
    expect(read).toBe(515);
    decoded("role 3");
    expect(read).toBe(515);
  });
});

describe("signers that were found before", () => {
  it("count for the same document and the very role that demanded them, and no other", async () => {
    const memo = new VerificationMemo();
    const [one, two] = [documentOf(utf8Encode("one")), documentOf(utf8Encode("one"))];
    const role = { keyIds: ["k"], threshold: 1, extra: {} };
    const equal = { ...role };
    const asked: string[] = [];
    const keys = (id: string) => async (): Promise<TufKey[]> => {
      asked.push(id);
      return [{ id } as TufKey];
    };
    const idsOf = (found: readonly TufKey[]) => found.map(({ id }) => id);
    expect(idsOf(await memo.verified(one, role, keys("a")))).toEqual(["a"]);
    expect(idsOf(await memo.verified(one, role, keys("b")))).toEqual(["a"]);
    expect(idsOf(await memo.verified(one, equal, keys("c")))).toEqual(["c"]); // another delegator's
    expect(idsOf(await memo.verified(two, role, keys("d")))).toEqual(["d"]);
    expect(idsOf(await memo.verified(one, role, keys("e")))).toEqual(["a"]);
    expect(idsOf(await memo.verified(one, equal, keys("f")))).toEqual(["c"]);
    expect(asked).toEqual(["a", "c", "d"]);
  });

  it("are not remembered where there were too few", async () => {
    const memo = new VerificationMemo();
    const document = documentOf(utf8Encode("one"));
    const role = { keyIds: ["k"], threshold: 1, extra: {} };
    const refuse = () => Promise.reject(new Error("too few"));
    for (let i = 0; i < 2; i++) await expect(memo.verified(document, role, refuse)).rejects.toThrow("too few");
    expect(await memo.verified(document, role, async () => [])).toEqual([]);
  });
});

/** Who still has to sign, in words. */
import { describe, expect, test } from "vitest";
import { TufKey } from "../../src/tuf/keys.ts";
import type { Requirement } from "../../src/tuf/pending.ts";
import { describeKey, describeRequirements, identifyKey, ownedKey, ownerOf } from "../../src/tuf/requirement-text.ts";
import { people, type Person } from "../support/tuf-publishing.ts";

const [ada, bob] = (await people(2)) as [Person, Person];
const odd = new TufKey("odd\u001B[2J", { keytype: "new\u0007", scheme: "new", text: "?" }, { keytype: "new" });
const [a, b] = [await describeKey(ada.key), await describeKey(bob.key)];
const fingerprint = await ada.key.publicKey!.fingerprint();

describe("a key", () => {
  test("is named by its owner, and by enough of its fingerprint", async () => {
    expect(await describeKey(ada.key)).toBe(`ed25519 ${fingerprint.slice(0, 12)}`);
    expect(await describeKey(ownedKey(ada.key, "@ada"))).toBe(`@ada (ed25519 ${fingerprint.slice(0, 12)})`);
    expect(await identifyKey(ada.key)).toBe(`ed25519 ${fingerprint}`);
    expect(await identifyKey(ownedKey(ada.key, "@ada"))).toBe(`ed25519 ${fingerprint} of "@ada"`);
  });

  test("of a kind that nothing can be made of is named by its id, made harmless", async () => {
    expect(await describeKey(odd)).toMatch(/^new\S* id odd/);
    expect(await identifyKey(odd)).toMatch(/^"odd.*" of the unknown kind "new.*"$/);
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    for (const text of [await describeKey(odd), await identifyKey(odd)]) expect(text).not.toMatch(/[\u0000-\u001F]/);
  });

  test("has no owner where that is no name", () => {
    const said = (owner: unknown) =>
      ownerOf({ json: { "x-tuf-on-ci-keyowner": owner } } as unknown as Parameters<typeof ownerOf>[0]);
    expect([said(undefined), said(""), said(7), said({})]).toEqual([undefined, undefined, undefined, undefined]);
    expect(said("@ada")).toBe("@ada");
  });
});

describe("a requirement", () => {
  const lines = (more: Partial<Requirement>) =>
    describeRequirements([
      { role: "root", reason: "role", threshold: 2, keys: [ada.key, bob.key], signedBy: [], ...more },
    ]);
  test("names who has not signed yet, and how many of them are needed", async () => {
    expect(await lines({})).toEqual([`root: 2 more of ${a}, ${b}`]);
    expect(await lines({ signedBy: [ada.key] })).toEqual([`root: 1 more of ${b}`]);
    expect(await lines({ reason: "former-root", signedBy: [bob.key] })).toEqual([
      `root, by the keys of the root before: 1 more of ${a}`,
    ]);
  });

  test("of a new key gives its whole fingerprint", async () => {
    expect(await lines({ reason: "possession", threshold: 1, keys: [ada.key] })).toEqual([
      `root: ed25519 ${fingerprint} must sign to show that its private key exists`,
    ]);
  });
});

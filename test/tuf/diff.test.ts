import { describe, expect, it } from "vitest";
import { diffDocuments } from "../../src/tuf/diff.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import type { DelegatedRole, Delegations, Root, Targets } from "../../src/tuf/schema.ts";

const key = (id: string, text: string): TufKey =>
  new TufKey(
    id,
    { keytype: "ed25519", scheme: "ed25519", text },
    { keytype: "ed25519", scheme: "ed25519", keyval: { public: text } },
  );
const A = key("a", "11".repeat(32));
const B = key("b", "22".repeat(32));

const COMMON = { version: 1, specVersion: "1.0.34", expires: new Date("2031-01-01T00:00:00Z"), extra: {} };
const root: Root = {
  ...COMMON,
  type: "root",
  consistentSnapshot: true,
  keys: new Map([["a", A]]),
  roles: new Map(
    ["root", "timestamp", "snapshot", "targets"].map((name) => [name, { keyIds: ["a"], threshold: 1, extra: {} }]),
  ),
};
const role = (name: string, more: Partial<DelegatedRole> = {}): DelegatedRole => {
  return { name, keyIds: ["a"], threshold: 1, terminating: false, paths: [`${name}/*`], extra: {}, ...more };
};
const targets = (delegations?: Partial<Delegations>, files: Targets["targets"] = new Map()): Targets => ({
  ...COMMON,
  type: "targets",
  targets: files,
  ...(delegations === undefined
    ? {}
    : { delegations: { keys: new Map([["a", A]]), roles: [], extra: {}, ...delegations } }),
});
const shown = async (before: Root | Targets | undefined, after: Root | Targets): Promise<string[]> =>
  (await diffDocuments(before, after)).map(({ kind, text }) => `${kind} ${text.replaceAll(/\b[0-9a-f]{64}\b/g, "…")}`);

describe("what a signature would change", () => {
  it("is all of a document that follows none", async () => {
    const file = { length: 3, hashes: { sha256: "ab".repeat(32) }, extra: {} };
    const first = targets({ roles: [role("team")] }, new Map([["x", file]]));
    expect(await shown(undefined, first)).toEqual([
      "added version 1",
      "added expires 2031-01-01T00:00:00Z",
      "added spec_version 1.0.34",
      'added target "x" 3 bytes sha256:…',
      "added key ed25519 …",
      'added role "team"',
      'added role "team" threshold 1',
      'added role "team" signer ed25519 …',
      'added delegation "team" path "team/*"',
      'added delegation "team" terminating false',
    ]);
    expect(await shown(undefined, root)).toContain("added consistent_snapshot true");
  });

  it("is nothing where nothing is different", async () => {
    expect(await shown(root, root)).toEqual([]);
    const some = targets({ roles: [role("team"), role("ada")] });
    expect(await shown(some, again(some))).toEqual([]);
  });

  it("is everything where there was nothing", async () => {
    const list = await shown(undefined, root);
    expect(list).toContain("added version 1");
    expect(list).toContain("added expires 2031-01-01T00:00:00Z");
    expect(list).toContain("added consistent_snapshot true");
    expect(list).toContain('added role "root" threshold 1');
    expect(list.every((text) => text.startsWith("added "))).toBe(true);
  });

  it("names versions, dates, thresholds, signers and fields of root", async () => {
    const next: Root = {
      ...root,
      version: 2,
      consistentSnapshot: false,
      extra: { "x-name": "acme" },
      keys: new Map([
        ["a", A],
        ["b", B],
      ]),
      roles: new Map([...root.roles, ["root", { keyIds: ["a", "b", "nobody"], threshold: 2, extra: { "x-n": 1 } }]]),
    };
    expect(await shown(root, next)).toEqual([
      "changed version 1 → 2",
      'added "x-name" "acme"',
      "changed consistent_snapshot true → false",
      "added key ed25519 …",
      'changed role "root" threshold 1 → 2',
      'added role "root": "x-n" 1',
      'added role "root" signer ed25519 …',
      'added role "root" signer unknown key "nobody"',
    ]);
    expect((await shown(next, root)).filter((text) => !text.startsWith("changed"))).toEqual([
      'removed "x-name" "acme"',
      "removed key ed25519 …",
      'removed role "root": "x-n" 1',
      'removed role "root" signer ed25519 …',
      'removed role "root" signer unknown key "nobody"',
    ]);
  });

  it("tells another key under the same id", async () => {
    const next = { ...root, keys: new Map([["a", key("a", "22".repeat(32))]]) };
    const list = await shown(root, next);
    expect(list[0]).toBe('changed key "a": ed25519 … → ed25519 …');
    expect(list.filter((text) => text.includes("signer"))).toHaveLength(8); // every role has another signer now
  });

  it("shows whole fingerprints, so that a key that was made to begin like another one is seen", async () => {
    const twins = await Promise.all([A, B].map((twin) => forged(twin)));
    const withKey = (twin: TufKey): Root => ({ ...root, keys: new Map([["a", twin]]) });
    const lines = (await diffDocuments(withKey(twins[0]!), withKey(twins[1]!))).map(({ text }) => text);
    expect(lines[0]).toBe(
      `key "a": ed25519 ${"0".repeat(52)}${"11".repeat(6)} → ed25519 ${"0".repeat(52)}${"22".repeat(6)}`,
    );
    expect(lines.filter((text) => text.includes("signer"))).toHaveLength(8);
  });

  it("tells what else is said of a key, and lets no owner's name pass for a fingerprint", async () => {
    const owner = `ada (ed25519 ${"0".repeat(64)})"`;
    const owned = new TufKey(
      "a",
      { keytype: "ed25519", scheme: "ed25519", text: "11".repeat(32) },
      { ...A.json, "x-tuf-on-ci-keyowner": owner },
    );
    const [line] = await diffDocuments(undefined, { ...root, keys: new Map([["a", owned]]) }).then((list) =>
      list.filter(({ text }) => text.startsWith("key ")),
    );
    const fingerprint = await A.publicKey!.fingerprint();
    expect(line!.text).toBe(`key ed25519 ${fingerprint} of "ada (ed25519 ${"0".repeat(64)})\\""`);
    const noted = new TufKey(
      "a",
      { keytype: "ed25519", scheme: "ed25519", text: "11".repeat(32) },
      { ...A.json, "x-n": 1 },
    );
    expect(await shown(root, { ...root, keys: new Map([["a", noted]]) })).toEqual([
      expect.stringMatching(/^changed fields of key ed25519 … \{.*\} → \{.*"x-n":1\}$/),
    ]);
    const odd = new TufKey("id\u001b", { keytype: "new\u001b", scheme: "new", text: "?" }, { keytype: "new" });
    expect(await shown(root, { ...root, keys: new Map([...root.keys, ["odd", odd]]) })).toEqual([
      'added key "id\\\\u{1b}" of the unknown kind "new\\\\u{1b}"',
    ]);
  });

  it("leaves nothing out that is long: what was cut off would be signed unseen", async () => {
    const long = "x".repeat(5000);
    const note = (end: string) => ({ ...root, extra: { "x-note": long + end } });
    expect(await shown(note("a"), note("b"))).toEqual([`changed "x-note" "${long}a" → "${long}b"`]);
    const path = (end: string) => targets({ roles: [role("team", { paths: [long + end] })] });
    expect(await shown(path("a"), path("b"))).toEqual([
      `added delegation "team" path "${long}b"`,
      `removed delegation "team" path "${long}a"`,
    ]);
    const said = (end: string) => {
      return targets(
        undefined,
        new Map([["app", { length: 1, hashes: { sha256: "a" }, custom: long + end, extra: {} }]]),
      );
    };
    expect(await shown(said("a"), said("b"))).toEqual([
      `changed target "app" 1 bytes sha256:a "${long}a" → 1 bytes sha256:a "${long}b"`,
    ]);
  });

  it("names what becomes of targets", async () => {
    const file = (sha256: string, more: object = {}) => ({ length: 5, hashes: { sha256 }, extra: {}, ...more });
    const before = targets(
      undefined,
      new Map([
        ["kept", file("k")],
        ["gone", file("g")],
        ["other", file("o")],
      ]),
    );
    const after = targets(
      undefined,
      new Map([
        ["kept", file("k", { extra: { "x-note": 1 } })],
        ["other", file("p", { custom: { oci: "\u001b" } })],
        ["new", file("n")],
      ]),
    );
    expect(await shown(before, after)).toEqual([
      'added target "kept": "x-note" 1',
      expect.stringMatching(/^changed target "other" 5 bytes sha256:o → 5 bytes sha256:p \{"oci":.*\}$/),
      'added target "new" 5 bytes sha256:n',
      'removed target "gone" 5 bytes sha256:g',
    ]);
    expect((await shown(before, after)).join()).not.toContain("\u001b");
  });

  it("names what becomes of delegations, their order and hash bins", async () => {
    const before = targets({ roles: [role("ada"), role("bob")] });
    const hashed = role("bob", { pathHashPrefixes: ["0f"], terminating: true });
    const { paths: _, ...bob } = hashed;
    expect(await shown(before, targets({ roles: [bob, role("ada", { paths: ["ada/*", "x/*"] })] }))).toEqual([
      'removed delegation "bob" path "bob/*"',
      'added delegation "bob" hash prefix "0f"',
      'changed delegation "bob" terminating false → true',
      'added delegation "ada" path "x/*"',
      'changed order of delegations "ada" "bob" → "bob" "ada"',
    ]);
    expect(await shown(before, targets({ roles: [role("ada")] }))).toEqual([
      'removed role "bob"',
      'removed order of delegations "ada" "bob"',
    ]);
    const bins = { keyIds: ["a"], threshold: 1, bitLength: 4, namePrefix: "bin", extra: {} };
    expect(await shown(targets(), targets({ succinct: bins }))).toEqual([
      "added key ed25519 …",
      'added role "bin-*"',
      'added role "bin-*" threshold 1',
      'added role "bin-*" signer ed25519 …',
      'added hash bins 2^4 named "bin"',
    ]);
    expect(await shown(targets({ succinct: bins }), targets())).toEqual([
      "removed key ed25519 …",
      'removed role "bin-*"',
      'removed hash bins 2^4 named "bin"',
    ]);
    expect(await shown(targets({ extra: { "x-a": 1 } }), targets({ extra: {} }))).toEqual([
      'removed delegations: "x-a" 1',
    ]);
  });
});

/** A key whose fingerprint has the first 52 digits that somebody wanted; finding a real one takes some time. */
async function forged(twin: TufKey): Promise<TufKey> {
  const publicKey = Object.assign(Object.create(twin.publicKey!) as NonNullable<TufKey["publicKey"]>, {
    fingerprint: async () => "0".repeat(52) + (twin.json["keyval"] as { public: string }).public.slice(0, 12),
  });
  return Object.defineProperty(Object.create(twin) as TufKey, "publicKey", { value: publicKey });
}

/** Equal in everything, and made of other objects. */
function again(document: Targets): Targets {
  const { delegations, ...rest } = document;
  const roles = delegations!.roles.map(({ name }) => role(name));
  return { ...rest, targets: new Map(document.targets), delegations: { ...delegations!, roles } };
}

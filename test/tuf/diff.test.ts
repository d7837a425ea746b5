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
  (await diffDocuments(before, after)).map(({ kind, text }) => `${kind} ${text.replaceAll(/\b[0-9a-f]{12}\b/g, "…")}`);

describe("what a signature would change", () => {
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
      'added role "root" signer "ed25519 …"',
      'added role "root" signer "unknown key nobody"',
    ]);
    expect((await shown(next, root)).filter((text) => !text.startsWith("changed"))).toEqual([
      'removed "x-name" "acme"',
      "removed key ed25519 …",
      'removed role "root": "x-n" 1',
      'removed role "root" signer "ed25519 …"',
      'removed role "root" signer "unknown key nobody"',
    ]);
  });

  it("tells another key under the same id", async () => {
    const next = { ...root, keys: new Map([["a", key("a", "22".repeat(32))]]) };
    const list = await shown(root, next);
    expect(list[0]).toBe('changed key "a": ed25519 … → ed25519 …');
    expect(list.filter((text) => text.includes("signer"))).toHaveLength(8); // every role has another signer now
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
      'added role "bin-*" signer "ed25519 …"',
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

/** Equal in everything, and made of other objects. */
function again(document: Targets): Targets {
  const { delegations, ...rest } = document;
  const roles = delegations!.roles.map(({ name }) => role(name));
  return { ...rest, targets: new Map(document.targets), delegations: { ...delegations!, roles } };
}

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../../src/base/bytes.ts";
import { WasmToOciError } from "../../../src/base/errors.ts";
import { lockDifferences, lockFloors } from "../../../src/trust/lock/comparison.ts";
import { parseConflictedLockfile } from "../../../src/trust/lock/conflicts.ts";
import { encodeLockfile, parseLockfile, type LockedModule } from "../../../src/trust/lock/lockfile.ts";
import { lockedModule } from "../../support/locked-modules.ts";

const A = lockedModule("ghcr.io/acme/app:v1");
const NAME = "wasm-to-oci.lock";

function textOf(...modules: readonly LockedModule[]): string {
  return utf8Decode(encodeLockfile(modules), NAME);
}

function parse(text: string): LockedModule[] {
  return parseLockfile(utf8Encode(text), NAME);
}

/** The file with one entry of which some members are replaced; undefined removes one. */
function edited(changes: Readonly<Record<string, unknown>>, reference = A.reference): string {
  const file = JSON.parse(textOf(A)) as Record<string, Record<string, unknown>>;
  return JSON.stringify({ [reference]: { ...file[A.reference], ...changes }, lockfileVersion: 1 });
}

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const version = fc.integer({ min: 1, max: 2 ** 40 });

const modules = fc.uniqueArray(
  fc
    .record({
      repository: fc.stringMatching(/^[a-z0-9]{1,8}(\/[a-z0-9]{1,8}){0,2}$/),
      tag: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,12}$/),
      keys: fc.uniqueArray(hex, { minLength: 1, maxLength: 3 }),
      module: hex,
      size: fc.integer({ min: 1, max: 2 ** 40 }),
      signed512: fc.boolean(),
      role: fc.constantFrom("targets", "targets/releases", "team"),
      versions: fc.tuple(version, version, version, version),
      place: fc.constantFrom<LockedModule["place"]>(
        { kind: "oci" },
        { kind: "oci", repository: "ghcr.io/acme/trust" },
        { kind: "tuf", location: "https://tuf.example/metadata/" },
        { kind: "tuf", location: "/srv/trust" },
        { kind: "notary", server: "https://notary.example" },
      ),
    })
    .map(({ repository, tag, keys, module, size, signed512, role, versions, place }) =>
      lockedModule(`registry.example/${repository}:${tag}`, {
        module: `sha256:${module}`,
        size,
        sha512: signed512 ? A.sha512 : undefined,
        contract: signed512 ? undefined : A.contract,
        target: `${repository}/${tag}`,
        role,
        place,
        rootKeys: keys.toSorted(),
        signedBy: keys.toSorted(),
        versions: new Map([
          ...(["root", "timestamp", "snapshot"] as const).map((name, at) => [name, versions[at]!] as const),
          [role, versions[3]],
        ]),
      }),
    ),
  { selector: ({ reference }) => reference, maxLength: 6 },
);

describe("a lockfile", () => {
  it("is read as it was written, in one order whatever order it was given", () => {
    fc.assert(
      fc.property(modules, (entries) => {
        const text = textOf(...entries);
        expect(textOf(...entries.toReversed())).toBe(text);
        expect(parse(text)).toEqual(entries.toSorted((a, b) => (a.reference < b.reference ? -1 : 1)));
        expect(textOf(...parse(text))).toBe(text);
      }),
    );
  });

  it("keeps a plain layout: a member per line, each entry ended by a comma, the format's number last", () => {
    const lines = textOf(A, lockedModule("ghcr.io/acme/b:v1")).split("\n");
    expect(lines[0]).toBe("{");
    expect(lines[1]).toBe('  "ghcr.io/acme/app:v1": {');
    expect(lines.filter((line) => line === "  },")).toHaveLength(2);
    expect(lines.slice(-3)).toEqual(['  "lockfileVersion": 1', "}", ""]);
  });

  it.each<[string, string]>([
    ["an unknown member", edited({ weaken: true })],
    ["a member in other capitals", edited({ Manifest: A.manifest })],
    ["no module", edited({ module: undefined })],
    ["a module by sha512", edited({ module: A.sha512 })],
    ["a sha512 that is none", edited({ sha512: A.module })],
    ["a digest in capitals", edited({ manifest: `sha256:${"A".repeat(64)}` })],
    ["a size of nothing", edited({ size: 0 })],
    ["a size that is no whole number", edited({ size: 1.5 })],
    ["a size in words", edited({ size: "2895" })],
    ["no trust data", edited({ trust: undefined })],
    ["two places of trust data", edited({ server: "https://notary.example" })],
    ["a trust server that is none", edited({ trust: undefined, server: "file:///etc" })],
    ["a password in an address", edited({ trust: undefined, server: "https://user:secret@notary.example" })],
    ["a place that is none", edited({ trust: "gopher://x" })],
    ["no root key", edited({ rootKeys: [] })],
    ["a root key twice", edited({ rootKeys: ["1".repeat(64), "1".repeat(64)] })],
    ["a root key that is none", edited({ rootKeys: ["root"] })],
    ["no signing key", edited({ signedBy: [] })],
    ["no version of the timestamp", edited({ versions: { root: 1, snapshot: 1, targets: 1 } })],
    ["no version of the role that signed", edited({ role: "targets/releases" })],
    ["a version of 0", edited({ versions: { root: 0, timestamp: 1, snapshot: 1, targets: 1 } })],
    ["versions of many roles", edited({ versions: { root: 1, timestamp: 1, snapshot: 1, targets: 1, a: 1, b: 1 } })],
    ["a target of another tag", edited({ target: "v2" })],
    ["a target whose end only looks like the tag", edited({ target: "xv1" })],
    ["an empty collection", edited({ collection: "" })],
    ["a reference that is not in full", edited({}, "acme/app:v1")],
    ["a reference without its tag", edited({}, "ghcr.io/acme/app")],
    ["what is no reference", edited({}, "https://ghcr.io/acme/app:v1")],
    ["a reference by another digest", edited({}, `ghcr.io/acme/app:v1@sha256:${"e".repeat(64)}`)],
    ["a reference twice", `{${edited({}).slice(1, -21)},${edited({}).slice(1)}`],
    ["a newer format", textOf(A).replace('"lockfileVersion": 1', '"lockfileVersion": 2')],
    ["no format", '{"ghcr.io/acme/app:v1": {}}'],
    ["an entry that is no object", '{"ghcr.io/acme/app:v1": null, "lockfileVersion": 1}'],
    ["what is no JSON", "modules:\n  - a\n"],
    ["what follows the JSON", `${textOf(A)}{}`],
    ["nothing", ""],
    ["a conflict of a merge", `<<<<<<< ours\n${textOf(A)}=======\n>>>>>>> theirs\n`],
  ])("with %s is refused", (_what, text) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: "LOCK_INVALID", message: expect.stringContaining(NAME) as string }),
    );
  });

  it("of any text is read, or refused with its own code", () => {
    const mutated = fc.tuple(fc.nat(), fc.string({ minLength: 1, maxLength: 4 })).map(([at, text]) => {
      const whole = textOf(A);
      const index = at % whole.length;
      return whole.slice(0, index) + text + whole.slice(index + text.length);
    });
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), mutated), (text) => {
        try {
          expect(parse(text).length).toBeLessThanOrEqual(1);
        } catch (error) {
          expect(error).toBeInstanceOf(WasmToOciError);
          expect((error as WasmToOciError).code).toBe("LOCK_INVALID");
        }
      }),
    );
  });
});

describe("floors of a lockfile", () => {
  const at = (reference: string, targets: number, changes: Partial<LockedModule> = {}): LockedModule =>
    lockedModule(reference, { versions: new Map([["targets", targets]]), ...changes });

  it("are the highest versions that any entry of the collection has", () => {
    const entries = [at("ghcr.io/acme/app:v1", 3), at("ghcr.io/acme/app:v2", 7), at("ghcr.io/acme/app:v3", 5)];
    expect(lockFloors(entries, "ghcr.io/acme/app", "acme/app")).toEqual(new Map([["targets", 7]]));
  });

  it("count other repositories where they share a root key, and no publisher who only chose the same name", () => {
    const entries = [
      at("ghcr.io/acme/app:v1", 3),
      at("mirror.example/acme/app:v1", 5),
      at("docker.io/acme/app:v1", 900, { rootKeys: ["9".repeat(64)] }),
      at("ghcr.io/acme/app:other", 800, { collection: "acme" }),
    ];
    expect(lockFloors(entries, "ghcr.io/acme/app", "acme/app")).toEqual(new Map([["targets", 5]]));
    expect(lockFloors(entries, "quay.io/acme/app", "acme/app")).toEqual(new Map());
  });
});

describe("differences from a lockfile", () => {
  it("are those in what is delivered and whose it is, not the versions that grow by themselves", () => {
    expect(lockDifferences(A, { ...A, versions: new Map([["root", 9]]), signedBy: [], rootKeys: [] })).toEqual([]);
    const changes: Partial<LockedModule>[] = [
      { module: `sha256:${"0".repeat(64)}` },
      { manifest: `sha256:${"0".repeat(64)}` },
      { sha512: undefined },
      { contract: undefined },
      { size: 1 },
      { format: "wasm-to-oci" },
      { collection: "other" },
      { target: "v2" },
    ];
    for (const change of changes) {
      const [what] = Object.keys(change);
      expect(lockDifferences(A, { ...A, ...change })).toEqual([expect.stringContaining(`${what} is `)]);
    }
  });
});

describe("merged by git, a lockfile", () => {
  const entry = (tag: string, size = 1): LockedModule => lockedModule(`ghcr.io/acme/app:${tag}`, { target: tag, size });

  /** What `git merge-file` makes of two branches, and how many conflicts it leaves. */
  function merge(base: string, ours: string, theirs: string): { text: string; conflicts: number } {
    const dir = mkdtempSync(join(tmpdir(), "lock-merge-"));
    try {
      for (const [name, text] of Object.entries({ base, ours, theirs })) writeFileSync(join(dir, name), text);
      const { status } = spawnSync("git", ["merge-file", "ours", "base", "theirs"], { cwd: dir });
      return { text: readFileSync(join(dir, "ours"), "utf8"), conflicts: status ?? -1 };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  it("has the entries of both branches, where others lie between them", () => {
    expect(execFileSync("git", ["--version"]).toString()).toContain("git");
    const [a, c, e, g] = [entry("a"), entry("c"), entry("e"), entry("g")];
    const base = textOf(c, e);
    const merged = merge(base, textOf(a, c, e), textOf(c, e, g));
    expect(merged).toEqual({ text: textOf(a, c, e, g), conflicts: 0 });
    const between = merge(base, textOf(c, entry("d"), e), textOf(c, e, g));
    expect(between).toEqual({ text: textOf(c, entry("d"), e, g), conflicts: 0 });
  });

  it("has an update of one branch and an addition of the other", () => {
    const [a, b, c] = [entry("a"), entry("b"), entry("c")];
    const merged = merge(textOf(a, b), textOf({ ...a, size: 7 }, b), textOf(a, b, c));
    expect(merged).toEqual({ text: textOf({ ...a, size: 7 }, b, c), conflicts: 0 });
  });

  it("is refused with both sides at hand, where both added to one place", () => {
    const base = textOf(entry("a"));
    const { text, conflicts } = merge(base, textOf(entry("a"), entry("b")), textOf(entry("a"), entry("c")));
    expect(conflicts).toBeGreaterThan(0);
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: "LOCK_INVALID" }));
    const sides = parseConflictedLockfile(text, NAME)!;
    const names = sides.map(({ reference }) => reference.slice(-2)).toSorted();
    expect(names).toEqual([":a", ":a", ":b", ":c"]);
    expect(parseConflictedLockfile(base, NAME)).toBeUndefined();
  });

  it("gives both versions of an entry that both updated", () => {
    const [a, b, c] = [1, 2, 3].map((size) => entry("a", size));
    const { text } = merge(textOf(a!), textOf(b!), textOf(c!));
    expect(parseConflictedLockfile(text, NAME)!.map(({ size }) => size)).toEqual([2, 3]);
  });

  it("is refused where a side is no lockfile, whatever the marks", () => {
    for (const text of ["<<<<<<< a\n", "<<<<<<< a\n{}\n=======\n{}\n>>>>>>> b\n", ">>>>>>> b\n<<<<<<< a\n"]) {
      expect(() => parseConflictedLockfile(text, NAME)).toThrow(expect.objectContaining({ code: "LOCK_INVALID" }));
    }
  });
});

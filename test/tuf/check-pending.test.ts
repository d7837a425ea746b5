/** The last look at documents, wherever they came from: what follows, what is new in them, and what was so before. */
import { beforeEach, describe, expect, it } from "vitest";
import { checkPending, MAX_LEAP } from "../../src/tuf/check-pending.ts";
import { TufKey } from "../../src/tuf/keys.ts";
import { decodeMetadata, encodeMetadata, signedMessage } from "../../src/tuf/metadata.ts";
import type { Pending } from "../../src/tuf/pending.ts";
import type { PublishedCollection } from "../../src/tuf/published.ts";
import { readBase } from "../../src/tuf/publish.ts";
import type { DelegatedRole, Delegations, Root, SuccinctRoles, Targets } from "../../src/tuf/schema.ts";
import { DAY, NOW, people, Rig, type Person } from "../support/tuf-publishing.ts";

const LATER = new Date(NOW.getTime() + DAY);
let root: Root;
let ada: Person;
let bob: Person;
let rig: Rig;

beforeEach(async () => {
  [ada, bob] = (await people(2)) as [Person, Person];
  rig = await Rig.make();
  root = (await readBase(rig.access, undefined)).root.signed;
});

/** A key of a kind that no client knows. */
const unknown = (id: string): TufKey =>
  new TufKey(
    id,
    { keytype: "new", scheme: "new", text: "?" },
    { keytype: "new", scheme: "new", keyval: { public: "?" } },
  );
const odd = unknown("odd");
const file = (custom?: string) => ({
  length: 1,
  hashes: { sha256: "a".repeat(64) },
  extra: {},
  ...(custom === undefined ? {} : { custom }),
});

function targets(version: number, more: Partial<Targets> = {}): Targets {
  return { type: "targets", version, specVersion: "1.0.34", expires: LATER, targets: new Map(), extra: {}, ...more };
}

function role(name: string, more: Partial<DelegatedRole> = {}): DelegatedRole {
  return { name, keyIds: [ada.key.id], threshold: 1, terminating: false, paths: [`${name}/*`], extra: {}, ...more };
}

function delegations(roles: readonly DelegatedRole[], more: Partial<Delegations> = {}): Delegations {
  return { keys: new Map([[ada.key.id, ada.key]]), roles, extra: {}, ...more };
}

function binsOf(more: Partial<SuccinctRoles> = {}): Delegations {
  const succinct = { keyIds: [ada.key.id], threshold: 1, bitLength: 2, namePrefix: "bin", extra: {}, ...more };
  return delegations([], { succinct });
}

/** What was published, as far as it is looked at here. */
function published(documents: Readonly<Record<string, Targets>>, newest: Root = root): PublishedCollection {
  return {
    root: { signed: newest },
    targets: new Map(Object.entries(documents).map(([name, signed]) => [name, { signed }])),
    versionOf: (name: string) => documents[name]?.version ?? 0,
  } as unknown as PublishedCollection;
}

function pending(documents: Readonly<Record<string, Root | Targets>>): ReadonlyMap<string, Pending> {
  return new Map(
    Object.entries(documents).map(([name, signed]) => [
      name,
      { role: name, signed, message: new Uint8Array(), signatures: [] },
    ]),
  );
}

/** The same, as it is read from a file: no object is the one that it was. */
function again<T extends Root | Targets>(document: T): T {
  const bytes = encodeMetadata(document, [], signedMessage(document));
  return decodeMetadata<"root" | "targets">(bytes, document.type, "").signed as T;
}

const check = (base: PublishedCollection | undefined, documents: Readonly<Record<string, Root | Targets>>) => () =>
  checkPending(base, pending(documents), NOW);
const usage = (text: string) => expect.objectContaining({ code: "USAGE", message: expect.stringContaining(text) });

describe("a version", () => {
  it("of root is the next one, and no other", () => {
    const next = (version: number): Root => ({ ...root, version, expires: LATER });
    const base = published({}, { ...root, version: 7 });
    expect(check(base, { root: next(8) })).not.toThrow();
    for (const version of [0, 1, 6, 7, 9, 10]) {
      expect(check(base, { root: next(version) })).toThrow(
        expect.objectContaining({
          code: "TRUST_CONFLICT",
          role: "root",
          hint: expect.stringContaining("prepare the change again"),
          details: { role: "root", expected: 8, got: version },
        }),
      );
    }
    expect(check(undefined, { root: next(1) })).not.toThrow();
    for (const version of [0, 2]) expect(check(undefined, { root: next(version) })).toThrow("does not follow");
  });

  it("of targets may leave some out, and only that of `targets` may start again", () => {
    const team = targets(7);
    const base = published({ targets: targets(7, { delegations: delegations([role("team")]) }), team });
    for (const [name, version] of [
      ["targets", 8],
      ["targets", 6],
      ["targets", 1],
      ["targets", 7 + MAX_LEAP],
      ["team", 8],
      ["team", 9],
      ["team", 7 + MAX_LEAP],
    ] as const) {
      expect(check(base, { [name]: targets(version) })).not.toThrow();
    }
    for (const [name, version] of [
      ["targets", 7],
      ["targets", 8 + MAX_LEAP],
      ["team", 7],
      ["team", 6],
      ["team", 8 + MAX_LEAP],
    ] as const) {
      expect(check(base, { [name]: targets(version) })).toThrow(
        expect.objectContaining({
          code: "TRUST_CONFLICT",
          role: name,
          message: `version ${version} of ${name} does not follow the published one, 7`,
        }),
      );
    }
    const first: Root = { ...root, version: 1, expires: LATER };
    expect(check(undefined, { root: first, targets: targets(1) })).not.toThrow();
    expect(check(undefined, { root: first, targets: targets(0) })).toThrow("version 0 of targets does not follow");
    expect(check(base, { ghost: targets(1) })).not.toThrow();
    expect(check(base, { ghost: targets(0) })).toThrow("version 0 of ghost does not follow");
  });
});

describe("an expiry", () => {
  it("is not past by the time that somebody signs", () => {
    const base = published({ targets: targets(1) });
    expect(check(base, { targets: targets(2, { expires: new Date(NOW.getTime() + 1) }) })).not.toThrow();
    for (const expires of [NOW, new Date(0)]) {
      expect(check(base, { targets: targets(2, { expires }) })).toThrow(
        expect.objectContaining({
          code: "USAGE",
          message: `targets would expire in the past: ${expires.toISOString()}`,
          hint: expect.stringContaining("clock"),
          details: { role: "targets", expires: expires.toISOString() },
        }),
      );
    }
  });
});

describe("root", () => {
  const changedRoot = (name: string, more: object, extra: Partial<Root> = {}): Root => ({
    ...root,
    version: 2,
    expires: LATER,
    roles: new Map(root.roles).set(name, { ...root.roles.get(name)!, ...more }),
    ...extra,
  });

  it("does not turn consistent snapshots off", () => {
    const off = { ...changedRoot("root", {}), consistentSnapshot: false };
    expect(check(published({}), { root: off })).toThrow(usage("would turn consistent snapshots off"));
    expect(check(published({}), { root: off })).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("half-written") }),
    );
  });

  it("has roles that can be signed for, where something about them is new", () => {
    const keyIds = [rig.targets.key.id, "odd"];
    const keys = new Map(root.keys).set("odd", odd);
    expect(check(published({}), { root: changedRoot("targets", { threshold: 2 }) })).toThrow(
      usage("targets cannot need 2"),
    );
    expect(check(published({}), { root: changedRoot("targets", { keyIds }, { keys }) })).toThrow(
      usage("targets has the key odd"),
    );
    expect(check(published({}), { root: changedRoot("targets", {}, { keys: new Map() }) })).toThrow(
      usage("which no client could"),
    );
    expect(check(undefined, { root: { ...changedRoot("targets", { keyIds }, { keys }), version: 1 } })).toThrow(
      usage("odd"),
    );
    // another key under an id that was there
    const swapped = new Map(root.keys).set(rig.targets.key.id, unknown(rig.targets.key.id));
    expect(check(published({}), { root: changedRoot("root", {}, { keys: swapped }) })).toThrow(
      usage("targets has the key"),
    );
  });

  it("may keep what other tools have published, also when it is read anew, and change beside it", () => {
    const keyIds = [rig.targets.key.id, "odd"];
    const before: Root = {
      ...changedRoot("targets", { keyIds }, { keys: new Map(root.keys).set("odd", odd) }),
      version: 1,
    };
    const next: Root = { ...before, version: 2, roles: new Map(before.roles) };
    for (const document of [next, again(next)]) expect(check(published({}, before), { root: document })).not.toThrow();
    const keys = new Map(before.keys).set(bob.key.id, bob.key);
    const roles = new Map(before.roles).set("root", { keyIds: [bob.key.id], threshold: 1, extra: {} });
    expect(check(published({}, before), { root: { ...next, keys, roles } })).not.toThrow();
    roles.set("targets", { keyIds, threshold: 2, extra: {} });
    expect(check(published({}, before), { root: { ...next, keys, roles } })).toThrow(usage("targets has the key odd"));
  });
});

describe("targets", () => {
  const bad = { ...file(), hashes: { md5: "a".repeat(32) } };

  it("have names and contents that all clients take, where they are new", () => {
    const base = published({ targets: targets(1, { targets: new Map([["a//b", file()]]) }) });
    const code = (name: string, content: object) => {
      try {
        check(base, { targets: targets(2, { targets: new Map([[name, content]]) as never }) })();
        return "fine";
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(code("a", file())).toBe("fine");
    expect(code("a//b", file())).toBe("fine"); // as it was
    expect(code("a//b", file("changed"))).toBe("TARGET_NAME_INVALID");
    expect(code("b//c", file())).toBe("TARGET_NAME_INVALID");
    expect(code("a", bad)).toBe("TARGET_INVALID");
  });

  it("have no two names that clients order differently, but for those that are published so", () => {
    const both = new Map(["a", "a b"].map((name) => [name, file()]));
    const next = targets(2, { targets: both });
    const refused = expect.objectContaining({ code: "TARGET_NAME_INVALID" });
    expect(check(published({ targets: targets(1) }), { targets: next })).toThrow(refused);
    expect(
      check(undefined, { root: { ...root, version: 1, expires: LATER }, targets: { ...next, version: 1 } }),
    ).toThrow(refused);
    expect(check(published({ targets: targets(1, { targets: both }) }), { targets: again(next) })).not.toThrow();
  });
});

describe("delegations", () => {
  const over = (before: Delegations | undefined, after: Delegations) => {
    const base = published({ targets: targets(1, before === undefined ? {} : { delegations: before }) });
    return check(base, { targets: targets(2, { delegations: after }) });
  };

  it("are checked where something about them is new", () => {
    const good = delegations([role("team")]);
    expect(over(undefined, good)).not.toThrow();
    expect(over(undefined, delegations([role("team", { paths: ["[a]"] })]))).toThrow(usage("brackets"));
    expect(over(good, delegations([role("team", { paths: ["team/*", "[a]"] })]))).toThrow(usage("brackets"));
    expect(over(good, delegations([role("team", { threshold: 2 })]))).toThrow(usage("team cannot need 2"));
    expect(over(good, delegations([role("team", { keyIds: ["odd"] })]))).toThrow(usage("team has the key odd"));
    expect(over(good, { ...good, keys: new Map([[ada.key.id, unknown(ada.key.id)]]) })).toThrow(
      usage("which no client could"),
    );
    expect(over(good, delegations([role("team"), role("1.x")]))).toThrow(
      expect.objectContaining({ code: "ROLE_INVALID" }),
    );
    const { paths: _, ...hashed } = role("team");
    for (const former of [good, delegations([{ ...hashed, pathHashPrefixes: ["0f"] }])]) {
      expect(over(former, delegations([{ ...hashed, pathHashPrefixes: [] }]))).toThrow(usage("0 path patterns"));
    }
  });

  it("are checked in a new collection", () => {
    const first: Root = { ...root, version: 1, expires: LATER };
    const founding = (list: Delegations) =>
      check(undefined, { root: first, targets: targets(1, { delegations: list }) });
    expect(founding(delegations([role("team")]))).not.toThrow();
    expect(founding(delegations([role("team", { threshold: 2 })]))).toThrow(usage("team cannot need 2"));
    expect(founding(binsOf({ threshold: 2 }))).toThrow(usage("bin-* cannot need 2"));
  });

  it("may stay as other tools have published them, also when they are read anew, and change beside it", () => {
    const { paths: _, ...hashed } = role("hashed", { keyIds: ["odd"] });
    const foreign = [
      role("team", { paths: ["[a]"], keyIds: ["odd", ada.key.id] }),
      { ...hashed, pathHashPrefixes: ["0f"] },
    ];
    const keys = new Map(delegations([]).keys).set("odd", odd);
    const before = delegations(foreign, { keys });
    expect(over(before, again(targets(2, { delegations: before })).delegations!)).not.toThrow();
    const more = new Map(keys).set(bob.key.id, bob.key);
    const beside = delegations([...foreign, role("bob", { keyIds: [bob.key.id] })], { keys: more });
    expect(over(before, beside)).not.toThrow();
    expect(over(before, { ...beside, roles: [{ ...foreign[0]!, threshold: 2 }, ...beside.roles.slice(1)] })).toThrow(
      usage("team has the key odd"),
    );
    const wider = [foreign[0]!, { ...hashed, pathHashPrefixes: ["0f", "1f"], threshold: 2 }];
    expect(over(before, delegations(wider, { keys }))).toThrow(usage("hashed has the key odd"));
  });

  it("to hash bins are checked likewise", () => {
    expect(over(undefined, binsOf())).not.toThrow();
    expect(over(undefined, binsOf({ bitLength: 15 }))).toThrow(usage("2^15 hash bins"));
    expect(over(binsOf(), binsOf({ bitLength: 15 }))).toThrow(usage("2^15 hash bins"));
    expect(over(binsOf(), binsOf({ namePrefix: "1.x" }))).toThrow(expect.objectContaining({ code: "ROLE_INVALID" }));
    expect(over(binsOf(), binsOf({ threshold: 2 }))).toThrow(usage("bin-* cannot need 2"));
    const foreign = binsOf({ bitLength: 15, namePrefix: "1.x", threshold: 2 });
    expect(over(foreign, again(targets(2, { delegations: foreign })).delegations!)).not.toThrow();
    expect(over(foreign, binsOf({ bitLength: 15, namePrefix: "1.x", threshold: 3 }))).toThrow(
      usage("1.x-* cannot need 3"),
    );
  });

  it("make no circle that is not there already", () => {
    const circle = { delegations: delegations([role("targets-2")]) };
    const base = published({
      targets: targets(1, { delegations: delegations([role("team")]) }),
      team: targets(1, { delegations: delegations([role("ada")]) }),
      ada: targets(1),
    });
    const refused = expect.objectContaining({ code: "ROLE_INVALID", message: expect.stringContaining("a circle") });
    expect(check(base, { ada: targets(2, circle) })).not.toThrow();
    expect(check(base, { ada: targets(2, { delegations: delegations([role("team")]) }) })).toThrow(refused);
    expect(check(base, { ada: targets(2, { delegations: delegations([role("ada")]) }) })).toThrow(refused);
    const looped = published({
      team: targets(1, { delegations: delegations([role("ada")]) }),
      ada: targets(1, { delegations: delegations([role("team")]) }),
    });
    expect(check(looped, { ada: targets(2, { delegations: delegations([role("team")]) }) })).not.toThrow();
  });
});

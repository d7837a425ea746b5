/** Readers meet anything at any place of a document, and end in one of our own errors or in a value. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ownBytes, utf8Encode } from "../../src/base/bytes.ts";
import { WasmToOciError } from "../../src/base/errors.ts";
import { parseJson, type JsonObject, type JsonValue } from "../../src/base/json.ts";
import { parseGun } from "../../src/notary/gun.ts";
import {
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  writeRoot,
  writeTargets,
} from "../../src/notary/metadata.ts";
import { resolveKeys } from "../../src/notary/public-keys.ts";
import { isBaseRole, isDelegationRole, isTargetsRole, parentRole, parseTargetsRole } from "../../src/notary/roles.ts";
import { assertGoBytes, decodeDocument } from "../../src/notary/wire.ts";

const STATE = join(
  import.meta.dirname,
  "../fixtures/notary-v1/session1/states/28-nested/trust/tuf/localhost:5000/demo/hello/metadata",
);
const ROLES = ["root", "targets", "targets/releases", "snapshot", "timestamp"] as const;
const captured = (role: string) => ownBytes(readFileSync(join(STATE, `${role}.json`)));

type Path = (string | number)[];

/** Every place in a value, the value itself included. */
function placesOf(value: JsonValue, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const entries: [string | number, JsonValue][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, member]) => placesOf(member, [...path, key]))];
}

/** A copy with another value in one place; `undefined` removes it. */
function mutate(value: JsonValue, path: Path, replacement: JsonValue | undefined): JsonValue {
  const [key, ...rest] = path;
  if (key === undefined) return replacement ?? null;
  const copy: JsonValue = Array.isArray(value) ? [...value] : { ...(value as JsonObject) };
  replace(copy as Record<string | number, JsonValue>, key, rest, replacement);
  return copy;
}

function replace(
  copy: Record<string | number, JsonValue>,
  key: string | number,
  rest: Path,
  replacement: JsonValue | undefined,
): void {
  if (rest.length > 0) copy[key] = mutate(copy[key]!, rest, replacement);
  else if (replacement === undefined) delete copy[key];
  else copy[key] = replacement;
}

/** Reads a document as far as reading goes without its delegator. */
async function readWhole(text: string, role: string): Promise<void> {
  const document = decodeDocument(utf8Encode(text), role);
  switch (role) {
    case "root":
      await resolveKeys(readRoot(document.signed).keys, role);
      break;
    case "snapshot":
      readSnapshot(document.signed);
      break;
    case "timestamp":
      readTimestamp(document.signed);
      break;
    default:
      await resolveKeys(readTargets(document.signed, role).delegations.keys, role);
  }
  assertGoBytes(utf8Encode(text), role);
}

const STRANGE: (JsonValue | undefined)[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  "",
  "x",
  "\u0000",
  [],
  [null],
  {},
  { a: 1 },
];

describe.each(ROLES)("the reader of %s", (role) => {
  const original = parseJson(captured(role));
  const places = placesOf(original);

  it("ends in a typed error or a value, whatever stands in any place", async () => {
    expect(places.length).toBeGreaterThan(10);
    for (const place of places) {
      for (const strange of STRANGE) {
        const text = JSON.stringify(mutate(original, place, strange));
        const error = await readWhole(text, role).catch((thrown: unknown) => thrown);
        if (error !== undefined && !(error instanceof WasmToOciError)) {
          throw new Error(`${place.join(".")} = ${JSON.stringify(strange)}`, { cause: error });
        }
      }
    }
  });

  it("says at which place a wrong type stands", () => {
    const text = JSON.stringify(mutate(original, ["signed", "version"], "1"));
    const { signed } = decodeDocument(utf8Encode(text), role);
    const readers = { root: readRoot, snapshot: readSnapshot, timestamp: readTimestamp };
    const reader =
      role === "targets" || role === "targets/releases" ? (json: JsonObject) => readTargets(json, role) : readers[role];
    expect(() => reader(signed)).toThrow(/version: expected an integer, got a string/);
  });

  it("takes any bytes for a document, or says why not", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(utf8Encode)), (bytes) => {
        try {
          decodeDocument(new Uint8Array(bytes), role);
        } catch (error) {
          expect(error).toBeInstanceOf(WasmToOciError);
        }
      }),
    );
  });
});

describe("reading what notary itself writes", () => {
  const targets = (delegations: unknown) =>
    ({ _type: "Targets", delegations, expires: "2030-01-01T00:00:00Z", targets: {}, version: 1 }) as JsonObject;

  it("takes null for an empty list of delegations, of keys and of paths", () => {
    expect(readTargets(targets({ keys: {}, roles: null }), "targets").delegations.roles).toEqual([]);
    const role = { keyids: null, name: "targets/a", threshold: 1 };
    expect(readTargets(targets({ keys: {}, roles: [role] }), "targets").delegations.roles).toEqual([
      { keyIds: [], name: "targets/a", paths: [], threshold: 1 },
    ]);
    expect(
      readTargets(targets({ keys: {}, roles: [{ ...role, paths: null }] }), "targets").delegations.roles[0]?.paths,
    ).toEqual([]);
  });

  it("writes no paths where there are none, as Go does", () => {
    const read = readTargets(
      targets({ keys: {}, roles: [{ keyids: [], name: "targets/a", threshold: 1 }] }),
      "targets",
    );
    expect(writeTargets(read)).not.toContain("paths");
  });

  it("keeps additional roles and old certificates of a root", () => {
    const { signed, canonical } = decodeDocument(captured("root"), "root");
    expect(writeRoot(readRoot(signed))).toBe(canonical);
    const more = structuredClone(signed);
    (more["roles"] as JsonObject)["extra"] = { keyids: [], threshold: 1 };
    expect(readRoot(more).roles.has("extra")).toBe(true);
  });

  it("takes names that are special to JavaScript for ordinary ones", () => {
    const meta = { hashes: { sha256: "A".repeat(43) + "=" }, length: 1 };
    const names = ["__proto__", "constructor", "toString", "1", "0"];
    const json = `{"_type":"Targets","expires":"2030-01-01T00:00:00Z","targets":{${names.map((name) => `"${name}":${JSON.stringify(meta)}`).join(",")}},"version":1}`;
    const read = readTargets(parseJson(json) as JsonObject, "targets");
    expect([...read.targets.keys()].toSorted()).toEqual(names.toSorted());
    expect(read.targets.get("__proto__")?.length).toBe(1);
    expect(writeTargets(read)).toContain('"__proto__":{"hashes"');
  });
});

describe("names of collections", () => {
  it.each([
    "localhost:5000/demo/hello",
    "docker.io/library/alpine",
    "Registry.Example/Team/App",
    "a",
    "x/y_z/~u/v.1+2",
    "acme/...",
  ])("accepts %s as it is", (gun) => {
    expect(parseGun(gun)).toBe(gun);
  });

  it.each([
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "../../escape",
    "a/../b",
    "a/./b",
    ".",
    "a*",
    "a b",
    "a\nb",
    "a\u0000b",
    "a\tb",
    "a\\b",
    "a%2e%2e",
    "a?b",
    "a#b",
    "é/b",
    "a/_trust/tuf",
    "x".repeat(256),
    "x".repeat(5 * 1024),
    "a\u202eb",
  ])("refuses %j", (gun) => {
    expect(() => parseGun(gun)).toThrow(expect.objectContaining({ code: "GUN_INVALID", kind: "usage" }));
  });

  it("keeps messages short and free of control characters", () => {
    const error = (() => {
      try {
        return parseGun(`\u001b[2J${"x".repeat(5000)}`);
      } catch (thrown) {
        return thrown as Error;
      }
    })() as Error;
    expect(error.message.length).toBeLessThan(400);
    // oxlint-disable-next-line no-control-regex -- what must not be there
    expect(error.message).not.toMatch(/[\u0000-\u001f]/);
  });

  it("are never more than one path below where they are put", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", ".", "/", ":", "\\", "%", "*", "_", " ", "~"), maxLength: 12 }),
        (text) => {
          let gun: string;
          try {
            gun = parseGun(text);
          } catch (error) {
            expect(error).toMatchObject({ code: "GUN_INVALID" });
            return;
          }
          const url = new URL(`https://notary.example/v2/${gun}/_trust/tuf/root.json`);
          expect(url.href).toBe(`https://notary.example/v2/${gun}/_trust/tuf/root.json`);
          expect(join("/base", gun)).toBe(`/base/${gun}`);
        },
      ),
    );
  });
});

describe("names of roles", () => {
  it("knows base roles, delegations and what holds targets", () => {
    expect(["root", "targets", "snapshot", "timestamp"].every(isBaseRole)).toBe(true);
    expect(["Root", "targets/a", "constructor"].some(isBaseRole)).toBe(false);
    expect(["targets/releases", "targets/a/b", "targets/-_0"].every(isDelegationRole)).toBe(true);
    expect(
      [
        "targets",
        "targets/",
        "targets//a",
        "targets/A",
        "targets/..",
        "targets/a.b",
        "targets/a/",
        "root/a",
        "targets/é",
        `targets/${"a".repeat(250)}`,
      ].some(isDelegationRole),
    ).toBe(false);
    expect(isTargetsRole("targets")).toBe(true);
    expect(parentRole("targets/a/b")).toBe("targets/a");
  });

  it("refuses what is no role, with its own code", () => {
    expect(parseTargetsRole("targets/releases")).toBe("targets/releases");
    for (const name of ["root", "", "targets/../x", "x".repeat(5000)]) {
      expect(() => parseTargetsRole(name)).toThrow(expect.objectContaining({ code: "ROLE_INVALID" }));
    }
  });
});

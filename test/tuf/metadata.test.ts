import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from "../../src/base/json.ts";
import { canonicalJson } from "../../src/tuf/canonical-json.ts";
import {
  decodeMetadata,
  encodeMetadata,
  signedMessage,
  type MetadataType,
  type Snapshot,
  type Targets,
} from "../../src/tuf/metadata.ts";
import { excerptMeta, excerptTargets, MIN_INDEXED_BYTES } from "../../src/tuf/entry-index.ts";
import { codeOf } from "../support/error-code.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

async function documents(): Promise<Record<MetadataType | "team" | "bins", Bytes>> {
  const repository = await TufSimulator.create();
  await repository.addTarget("targets", "app", "top");
  await repository.delegate("targets", "team", { paths: ["team/*"] });
  await repository.delegate("targets", "hashed", { pathHashPrefixes: ["0", "ff"], terminating: true });
  await repository.delegateToBins("team", 2, "bin");
  const file = repository.targets.targets.get("app")!;
  const custom = { ...file, custom: { oci: { manifests: ["sha256:0"] } }, extra: { "x-target": 1 } };
  repository.targets.targets = new Map([
    ["app", file],
    ["custom", custom],
  ]);
  await repository.publish("team", "hashed", "targets");
  const read = (name: string): Bytes => repository.files.get(name)!;
  return {
    root: repository.anchor,
    timestamp: read("timestamp.json"),
    snapshot: read("2.snapshot.json"),
    targets: read("2.targets.json"),
    team: read("2.team.json"),
    bins: read("2.team.json"),
  };
}

const TYPES: [string, MetadataType][] = [
  ["root", "root"],
  ["timestamp", "timestamp"],
  ["snapshot", "snapshot"],
  ["targets", "targets"],
  ["team", "targets"],
];

/** Every path of a JSON value. */
function* paths(value: JsonValue, at: readonly (string | number)[] = []): Generator<readonly (string | number)[]> {
  yield at;
  if (Array.isArray(value)) for (const [index, element] of value.entries()) yield* paths(element, [...at, index]);
  else if (isJsonObject(value)) for (const key of Object.keys(value)) yield* paths(value[key]!, [...at, key]);
}

const MISSING = Symbol("missing");

function mutated(
  value: JsonValue,
  [head, ...rest]: readonly (string | number)[],
  to: JsonValue | typeof MISSING,
): JsonValue {
  if (head === undefined) return to as JsonValue;
  if (Array.isArray(value)) {
    const copy = [...value];
    if (rest.length === 0 && to === MISSING) copy.splice(head as number, 1);
    else copy[head as number] = mutated(copy[head as number]!, rest, to);
    return copy;
  }
  const copy = { ...(value as JsonObject) };
  if (rest.length === 0 && to === MISSING) delete copy[head];
  else copy[head] = mutated(copy[head]!, rest, to);
  return copy;
}

describe("reading", () => {
  it("gives one of our errors, or a document, for every wrong type at every path", async () => {
    const all = await documents();
    const values = [null, [], {}, "", "x", 0, -1, 1.5, true, 2 ** 53, [null], { a: 1 }, MISSING] as const;
    let refused = 0;
    for (const [name, type] of TYPES) {
      const document = parseJson(all[name as MetadataType]);
      for (const path of paths(document)) {
        for (const value of values) {
          if (path.length === 0 && value === MISSING) continue;
          const bytes = utf8Encode(JSON.stringify(mutated(document, path, value as JsonValue)));
          try {
            decodeMetadata(bytes, type);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
            expect(["JSON_INVALID", "METADATA_INVALID"]).toContain((error as FormatError).code);
            refused++;
          }
        }
      }
    }
    expect(refused).toBeGreaterThan(1500);
  });

  const REQUIRED: Record<string, readonly string[]> = {
    root: ["_type", "spec_version", "version", "expires", "keys", "roles"],
    timestamp: ["_type", "spec_version", "version", "expires", "meta"],
    snapshot: ["_type", "spec_version", "version", "expires", "meta"],
    targets: ["_type", "spec_version", "version", "expires", "targets"],
  };
  for (const [type, fields] of Object.entries(REQUIRED)) {
    for (const field of fields) {
      it(`refuses ${type} without ${field}`, async () => {
        const document = parseJson((await documents())[type as MetadataType]);
        const bytes = utf8Encode(JSON.stringify(mutated(document, ["signed", field], MISSING)));
        expect(() => decodeMetadata(bytes, type as MetadataType)).toThrow(FormatError);
      });
    }
  }

  const WRONG: [string, MetadataType, (string | number)[], JsonValue][] = [
    ["spec_version 2", "root", ["signed", "spec_version"], "2.0.0"],
    ["version 0", "timestamp", ["signed", "version"], 0],
    ["another type", "timestamp", ["signed", "_type"], "Timestamp"],
    ["a negative length", "timestamp", ["signed", "meta", "snapshot.json", "length"], -1],
    ["empty hashes of a file", "timestamp", ["signed", "meta", "snapshot.json", "hashes"], {}],
    ["a version 0 of a file", "snapshot", ["signed", "meta", "targets.json", "version"], 0],
    ["a snapshot without targets", "snapshot", ["signed", "meta"], {}],
    ["empty hashes of a target", "targets", ["signed", "targets", "app", "hashes"], {}],
    ["a hash in upper case", "targets", ["signed", "targets", "app", "hashes", "sha256"], "A".repeat(64)],
    ["a hash that is too short", "targets", ["signed", "targets", "app", "hashes", "sha256"], "a".repeat(63)],
    ["a role that is listed twice", "targets", ["signed", "delegations", "roles", 1, "name"], "team"],
    ["a delegation to snapshot", "targets", ["signed", "delegations", "roles", 0, "name"], "snapshot"],
    ["a delegation without a name", "targets", ["signed", "delegations", "roles", 0, "name"], ""],
    ["paths and prefixes at once", "targets", ["signed", "delegations", "roles", 0, "path_hash_prefixes"], ["00"]],
    ["a prefix that is no hex", "targets", ["signed", "delegations", "roles", 1, "path_hash_prefixes"], ["FF"]],
    ["roles and bins at once", "targets", ["signed", "delegations", "succinct_roles"], {}],
  ];
  for (const [name, type, path, value] of WRONG) {
    it(`refuses ${name}`, async () => {
      const document = parseJson((await documents())[type]);
      const bytes = utf8Encode(JSON.stringify(mutated(document, path, value)));
      expect(() => decodeMetadata(bytes, type)).toThrow(expect.objectContaining({ code: "METADATA_INVALID" }));
    });
  }

  it.each([
    ["a fraction in a field that nobody knows", '"signed":{"x":1.5,', "JSON_INVALID"],
    ["a second signed", '"Signed":{},"signed":{', "METADATA_INVALID"],
    ["second signatures", '"Signatures":[],"signed":{', "METADATA_INVALID"],
  ])("refuses %s", async (_, text, code) => {
    const { timestamp } = await documents();
    const tampered = utf8Encode(utf8Decode(timestamp).replace('"signed":{', text));
    expect(() => decodeMetadata(timestamp, "timestamp")).not.toThrow();
    expect(await codeOf(async () => decodeMetadata(tampered, "timestamp"))).toBe(code);
  });

  it("refuses a private key in public metadata, and reads the empty one that old programs leave", async () => {
    const document = parseJson((await documents()).root);
    const { keys } = (document as { signed: { keys: JsonObject } }).signed;
    const withPrivate = (value: JsonValue): Bytes => {
      const path = ["signed", "keys", Object.keys(keys)[0]!, "keyval", "private"];
      return utf8Encode(JSON.stringify(mutated(document, path, value)));
    };
    const refused = expect.objectContaining({
      code: "METADATA_INVALID",
      message: expect.stringContaining("private key"),
    });
    expect(() => decodeMetadata(withPrivate("secret"), "root")).toThrow(refused);
    for (const empty of ["", null]) expect(decodeMetadata(withPrivate(empty), "root").signed.type).toBe("root");
  });

  for (const bits of [0, 33, -1, "2", 1.5]) {
    it(`refuses bins of ${JSON.stringify(bits)} bits`, async () => {
      const document = parseJson((await documents()).bins);
      const bytes = utf8Encode(
        JSON.stringify(mutated(document, ["signed", "delegations", "succinct_roles", "bit_length"], bits)),
      );
      expect(() => decodeMetadata(bytes, "targets")).toThrow(FormatError);
    });
  }

  it("keeps unknown fields at every level, and writes them again", async () => {
    const all = await documents();
    for (const [name, type] of TYPES) {
      const document = parseJson(all[name as MetadataType]) as JsonObject;
      const objects = [...paths(document)].filter((path) => isJsonObject(valueAt(document, path)) && keepsFields(path));
      for (const path of objects) {
        const extended = mutated(document, [...path, "x-unknown"], { deep: [1, "\n"] }) as JsonObject;
        const decoded = decodeMetadata(utf8Encode(JSON.stringify(extended)), type);
        expect(utf8Decode(decoded.message)).toBe(canonicalJson(extended["signed"]!));
        const written = encodeMetadata(decoded.signed, decoded.signatures);
        expect(canonicalJson(parseJson(written))).toBe(canonicalJson(extended));
      }
    }
  });

  it("accepts what others write: a short specification version, no consistent_snapshot, fields of old programs", async () => {
    const document = parseJson((await documents()).root);
    const keys = (document as { signed: { keys: JsonObject } }).signed.keys;
    const old = [
      [["signed", "spec_version"], "1.0"],
      [["signed", "consistent_snapshot"], MISSING],
      [["signed", "keys", Object.keys(keys)[0]!, "keyid_hash_algorithms"], ["sha256"]],
      [["signed", "roles", "mirrors"], { keyids: [], threshold: 1 }],
    ] as const;
    let value = document;
    for (const [path, to] of old) value = mutated(value, path, to as JsonValue);
    const { signed } = decodeMetadata(utf8Encode(JSON.stringify(value)), "root");
    expect(signed).toMatchObject({ specVersion: "1.0", consistentSnapshot: false });
  });

  it("writes the same bytes for what it read from its own", async () => {
    const all = await documents();
    for (const [name, type] of TYPES) {
      const { signed, signatures, bytes, message } = decodeMetadata(all[name as MetadataType], type);
      expect(encodeMetadata(signed, signatures)).toEqual(bytes);
      expect(signedMessage(signed)).toEqual(message);
    }
  });
});

function valueAt(value: JsonValue, path: readonly (string | number)[]): JsonValue {
  let at = value;
  for (const step of path) at = (at as JsonObject)[step]!;
  return at;
}

/** Objects with fields, other than maps whose keys are data. */
function keepsFields(path: readonly (string | number)[]): boolean {
  if (path[0] !== "signed") return false;
  const last = path.at(-1)!;
  const parent = path.at(-2);
  if (path.length === 1) return true;
  if (last === "delegations" || last === "succinct_roles") return true;
  if (typeof last === "number") return parent === "roles";
  return ["targets", "meta", "keys"].includes(String(parent)) || (parent === "roles" && path.length === 3);
}

describe("large documents, whose targets stay in their bytes", () => {
  const name = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[a-z/]{1,12}$/),
    fc.constantFrom("__proto__", "1", "constructor", ""),
  );
  const hash = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
  const hashes = fc.oneof(
    fc.record({ sha256: hash(64) }),
    fc.record({ sha512: hash(128) }),
    fc.record({ sha256: hash(64), sha512: hash(128) }),
    fc.record({ sha256: hash(63) }),
    fc.record({ md5: fc.string() }),
    fc.constant({}),
  );
  const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
  const target = fc.record(
    { hashes, length: fc.oneof(fc.nat(), fc.integer(), fc.maxSafeNat()), custom: json, "x-extra": json },
    { requiredKeys: ["hashes", "length"] },
  );
  const targets = fc.dictionary(name, target, { maxKeys: 6 });
  const signature = { keyid: "k", sig: "00" };
  const document = (all: JsonValue, sorted: boolean, indent: number): Bytes => {
    const fields = {
      _type: "targets",
      expires: "2040-01-01T00:00:00Z",
      spec_version: "1.0",
      version: 1,
      "x-\uffff": 1,
    };
    const value = { signatures: [signature], signed: { ...fields, targets: all } };
    return utf8Encode(sorted ? plainCanonical(value) : JSON.stringify(value, undefined, indent));
  };

  it("are read as small ones are, whatever they hold and in whatever form", () => {
    let excerpts = 0;
    fc.assert(
      fc.property(targets, fc.boolean(), fc.constantFrom(0, 1), (all, sorted, indent) => {
        const bytes = document(all, sorted, indent);
        if (excerptTargets(utf8Decode(bytes)) !== undefined) excerpts++;
        expectSameReading(bytes);
      }),
      { numRuns: 400 },
    );
    expect(excerpts).toBeGreaterThan(20);
  });

  it("are read as small ones are where snapshots list much, too", () => {
    const member = fc.oneof(fc.stringMatching(/^[a-z-]{1,8}$/), name).map((role) => `${role}.json`);
    const entry = fc.record(
      { version: fc.oneof(fc.nat(), fc.maxSafeNat()), length: fc.nat(), hashes, "x-extra": json },
      { requiredKeys: ["version"] },
    );
    const meta = fc.dictionary(member, entry, { maxKeys: 6 });
    let excerpts = 0;
    fc.assert(
      fc.property(meta, fc.boolean(), fc.constantFrom(0, 1), (all, sorted, indent) => {
        const signed = {
          _type: "snapshot",
          expires: "2040-01-01T00:00:00Z",
          meta: { ...all, "targets.json": { version: 1 } },
          spec_version: "1.0",
          version: 1,
        };
        const value = { signatures: [signature], signed };
        const bytes = utf8Encode(sorted ? plainCanonical(value) : JSON.stringify(value, undefined, indent));
        if (excerptMeta(utf8Decode(bytes)) !== undefined) excerpts++;
        expectSameReading(bytes, "snapshot");
      }),
      { numRuns: 300 },
    );
    expect(excerpts).toBeGreaterThan(20);
  });

  it("need targets.json in a snapshot, however large", () => {
    const lines = Array.from(
      { length: 2000 },
      (_, index) => `"bin-${String(index).padStart(4, "0")}.json":{"version":1}`,
    );
    const text = (list: string[]): Bytes =>
      utf8Encode(
        `{"signatures":[],"signed":{"_type":"snapshot","expires":"2040-01-01T00:00:00Z","meta":{${list.join(",")}},"spec_version":"1.0","version":1}}`,
      );
    expect(() => decodeMetadata(text(lines), "snapshot")).toThrow("targets.json is missing");
    const whole = decodeMetadata(text([...lines, '"targets.json":{"version":7}']), "snapshot").signed.meta;
    expect(whole).not.toBeInstanceOf(Map);
    expect([whole.size, whole.get("targets")?.version]).toEqual([2001, 7]);
  });

  it("are refused as small ones are where bytes were changed", () => {
    const bytes = document(
      {
        a: { hashes: { sha256: "0".repeat(64) }, length: 1 },
        b: { custom: { x: [1, "y"] }, hashes: { sha256: "1".repeat(64) }, length: 20 },
      },
      true,
      0,
    );
    const change = fc.record({
      at: fc.nat(bytes.length - 1),
      to: fc.constantFrom(...utf8Encode('{}[]",:0-1a\\ tn')),
      cut: fc.nat(2),
    });
    fc.assert(
      fc.property(change, ({ at, to, cut }) => {
        const changed = Uint8Array.from([...bytes.subarray(0, at), to, ...bytes.subarray(at + cut)]);
        expectSameReading(changed);
      }),
      { numRuns: 400 },
    );
  });

  it("are read as small ones are where strings outside are enormous, have escapes, or do not end", () => {
    const signed = '{"_type":"targets","expires":"2040-01-01T00:00:00Z","spec_version":"1.0","targets":{},"version":1}';
    const text = (sig: string): string => `{"signatures":[{"keyid":"k","sig":${sig}}],"signed":${signed}}`;
    for (const sig of ["a", String.raw`\n`].map((part) => `"${part.repeat(12_000_000)}"`)) {
      expect(excerptTargets(text(sig))?.entries.size).toBe(0);
    }
    for (const sig of ['"\\\\"', '"', '"\\', '"\\\\\\', '"a', '"signed":{"targets":{}']) {
      expect(excerptTargets(text(sig).slice(0, text("").indexOf('"sig":') + 6 + sig.length))).toBeUndefined();
      expectSameReading(utf8Encode(text(sig)));
    }
  });

  it("refuse a name that is listed twice, and one that is out of order is read the usual way", () => {
    const one = `{"hashes":{"sha256":"${"0".repeat(64)}"},"length":1}`;
    const text = (names: string[]): Bytes =>
      pad(
        utf8Encode(
          `{"signatures":[],"signed":{"_type":"targets","expires":"2040-01-01T00:00:00Z","spec_version":"1.0","targets":{${names
            .map((key) => `"${key}":${one}`)
            .join(",")}},"version":1}}`,
        ),
      );
    expect(() => decodeMetadata(text(["a", "a"]), "targets")).toThrow(
      expect.objectContaining({ code: "JSON_INVALID" }),
    );
    expect(() => decodeMetadata(text(["a", "b", "a"]), "targets")).toThrow(FormatError);
    expect(decodeMetadata(text(["b", "a"]), "targets").signed.targets).toBeInstanceOf(Map);
    expect(decodeMetadata(text(["a", "b"]), "targets").signed.targets).not.toBeInstanceOf(Map);
  });

  it("are refused as small ones are where what applications say is nested without end", () => {
    const deep = (depth: number): Bytes => {
      const custom = `${"[".repeat(depth)}${"]".repeat(depth)}`;
      const one = `{"custom":${custom},"hashes":{"sha256":"${"0".repeat(64)}"},"length":1}`;
      return utf8Encode(
        `{"signatures":[],"signed":{"_type":"targets","expires":"2040-01-01T00:00:00Z","spec_version":"1.0","targets":{"a":${one}},"version":1}}`,
      );
    };
    for (const depth of [1, 10, 59, 60, 61, 62, 63, 64, 65, 66, 100, 10_000]) expectSameReading(deep(depth));
    expect(() => decodeMetadata(pad(deep(10_000)), "targets")).toThrow(
      expect.objectContaining({ code: "JSON_INVALID" }),
    );
  });

  it("are refused as small ones are where something else than a comma stands between two", () => {
    const one = `{"hashes":{"sha256":"${"0".repeat(64)}"},"length":1}`;
    for (const between of [";", " ", "", ",,", "]", ":"]) {
      expectSameReading(
        utf8Encode(
          `{"signatures":[],"signed":{"_type":"targets","expires":"2040-01-01T00:00:00Z","spec_version":"1.0","targets":{"a":${one}${between}"b":${one}},"version":1}}`,
        ),
      );
    }
  });

  it("are maps in every way", () => {
    const all = {
      a: { hashes: { sha256: "0".repeat(64) }, length: 1 },
      b: { hashes: { sha256: "1".repeat(64) }, length: 2 },
    };
    const { targets: index } = decodeMetadata(pad(document(all, true, 0)), "targets").signed;
    const map = new Map(index);
    expect([...index.keys()]).toEqual(["a", "b"]);
    expect([...index.values()]).toEqual([...map.values()]);
    expect([index.has("a"), index.has("aa"), index.has("")]).toEqual([true, false, false]);
    const seen: string[] = [];
    index.forEach((file, path, whole) => seen.push(`${path} ${file.length} ${whole === index}`));
    expect(seen).toEqual(["a 1 true", "b 2 true"]);
  });
});

/** White space before the document, which brings it over the size from which targets are left in their bytes. */
function pad(bytes: Bytes): Bytes {
  const padded = new Uint8Array(MIN_INDEXED_BYTES + bytes.length).fill(0x20);
  padded.set(bytes, MIN_INDEXED_BYTES);
  return padded;
}

/** Reads a document as a small one and as a large one. */
function expectSameReading(bytes: Bytes, type: "snapshot" | "targets" = "targets"): void {
  const small = attempt(() => decodeMetadata(bytes, type));
  const large = attempt(() => decodeMetadata(pad(bytes), type));
  if (typeof small === "string" || typeof large === "string") {
    expect(large).toBe(small);
    return;
  }
  expect(large.message).toEqual(small.message);
  const [left, right] = [entriesOf(small.signed), entriesOf(large.signed)];
  expect([...right].toSorted(byName)).toEqual([...left].toSorted(byName));
  for (const [name, entry] of left) expect(right.get(name)).toEqual(entry);
  expect(right.get("no such entry")).toBeUndefined();
  expect(right.size).toBe(left.size);
}

function entriesOf(signed: Snapshot | Targets): ReadonlyMap<string, unknown> {
  return signed.type === "snapshot" ? signed.meta : signed.targets;
}

function attempt<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as FormatError).code;
  }
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** Sorted and without white space; JSON's escapes, so that it stays JSON. */
function plainCanonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(plainCanonical).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value).toSorted();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${plainCanonical(value[key]!)}`).join(",")}}`;
}

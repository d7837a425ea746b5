/** A12: a value of another type at any place of a valid document is refused, but for the places named here. */
import { describe, expect, it } from "vitest";
import { utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from "../../src/base/json.ts";
import { decodeMetadata, type MetadataType } from "../../src/tuf/metadata.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

type Path = readonly (string | number)[];
type Kind = "null" | "array" | "object" | "string" | "number" | "boolean";

const OF_KIND: Readonly<Record<Kind, JsonValue>> = {
  null: null,
  array: [],
  object: {},
  string: "x",
  number: 7,
  boolean: true,
};

function kindOf(value: JsonValue): Kind {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : (typeof value as Kind);
}

async function documents(): Promise<[string, MetadataType, Bytes][]> {
  const repository = await TufSimulator.create();
  const file = await repository.addTarget("targets", "app", "top");
  repository.targets.targets = new Map([["app", { ...file, custom: { deep: [1] } }]]);
  await repository.delegate("targets", "team", { paths: ["team/*"] });
  await repository.delegate("targets", "hashed", { pathHashPrefixes: ["0"], terminating: true });
  await repository.delegateToBins("team", 2, "bin");
  await repository.publish("team", "hashed", "targets");
  return [
    ["root", "root", repository.anchor],
    ["timestamp", "timestamp", repository.files.get("timestamp.json")!],
    ["snapshot", "snapshot", repository.files.get("2.snapshot.json")!],
    ["targets", "targets", repository.files.get("2.targets.json")!],
    ["bins", "targets", repository.files.get("2.team.json")!],
  ];
}

function* paths(value: JsonValue, at: Path = []): Generator<[Path, JsonValue]> {
  yield [at, value];
  if (Array.isArray(value)) for (const [index, element] of value.entries()) yield* paths(element, [...at, index]);
  else if (isJsonObject(value)) for (const key of Object.keys(value)) yield* paths(value[key]!, [...at, key]);
}

/** The value with something else at a place, or with nothing there. */
function changed(value: JsonValue, [head, ...rest]: Path, to: JsonValue | undefined): JsonValue | undefined {
  if (head === undefined) return to;
  const entries = Object.entries(value as JsonObject).flatMap(([key, member]) => {
    const now = key === String(head) ? changed(member, rest, to) : member;
    return now === undefined ? [] : [[key, now] as const];
  });
  return Array.isArray(value) ? entries.map(([, member]) => member) : Object.fromEntries(entries);
}

function readingOf(type: MetadataType, document: JsonValue | undefined): string {
  try {
    decodeMetadata(utf8Encode(JSON.stringify(document)), type);
    return "accepted";
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
}

/** A place without what differs from document to document. */
function placeOf(name: string, path: Path): string {
  const words = path.map((step) => (typeof step === "number" ? "#" : /^[0-9a-f]{64}$/.test(step) ? "ID" : step));
  return [name, ...words].join(" ");
}

/** What may be missing: optional members, and single members of lists and maps. */
const OPTIONAL: readonly string[] = [
  ...["root", "timestamp", "snapshot", "targets", "bins"].map((name) => `${name} signatures #`),
  "root signed consistent_snapshot",
  "root signed keys ID",
  ...["root", "timestamp", "snapshot", "targets"].map((role) => `root signed roles ${role} keyids #`),
  "timestamp signed meta snapshot.json length",
  "timestamp signed meta snapshot.json hashes",
  "snapshot signed meta team.json",
  "snapshot signed meta hashed.json",
  ...["targets", "team", "hashed"].map((role) => `snapshot signed meta ${role}.json length`),
  ...["targets", "team", "hashed"].map((role) => `snapshot signed meta ${role}.json hashes`),
  "targets signed targets app",
  "targets signed targets app custom",
  "targets signed delegations",
  "targets signed delegations keys ID",
  "targets signed delegations roles #",
  "targets signed delegations roles # keyids #",
  "targets signed delegations roles # paths #",
  "targets signed delegations roles # path_hash_prefixes #",
  "bins signed delegations",
  "bins signed delegations keys ID",
  "bins signed delegations succinct_roles keyids #",
];

describe("A12: a value of another type", () => {
  it("is refused at every place", async () => {
    const accepted = new Set<string>();
    let refused = 0;
    for (const [name, type, bytes] of await documents()) {
      const document = parseJson(bytes);
      for (const [path, value] of paths(document)) {
        for (const kind of Object.keys(OF_KIND) as Kind[]) {
          if (kind === kindOf(value)) continue;
          const reading = readingOf(type, changed(document, path, OF_KIND[kind]));
          if (reading === "METADATA_INVALID") refused++;
          else accepted.add(`${placeOf(name, path)}: ${kind} is ${reading}`);
        }
      }
    }
    const custom = /^targets signed targets app custom(?: deep(?: #)?)?: \w+ is accepted$/; // the applications' own
    expect([...accepted].filter((place) => !custom.test(place))).toEqual([]);
    expect(refused).toBeGreaterThan(700);
  });

  it("is missed wherever it is missing, unless it is optional", async () => {
    const accepted = new Set<string>();
    for (const [name, type, bytes] of await documents()) {
      const document = parseJson(bytes);
      for (const [path] of paths(document)) {
        if (path.length === 0) continue;
        const reading = readingOf(type, changed(document, path, undefined));
        if (reading === "accepted") accepted.add(placeOf(name, path));
        else expect(reading).toBe("METADATA_INVALID");
      }
    }
    const custom = /^targets signed targets app custom deep/;
    expect([...accepted].filter((place) => !custom.test(place)).toSorted()).toEqual(OPTIONAL.toSorted());
  });
});

/** Policies at random: sound ones, and ones that a hand has slipped in. */
import fc from "fast-check";
import type { JsonObject, JsonValue } from "../../src/base/json.ts";

const hex = fc.string({ unit: fc.constantFrom("0", "5", "a", "d", "f"), minLength: 64, maxLength: 64 });

const server = fc.constant<JsonObject>({ server: "https://notary.example" });
const place = fc.constantFrom<JsonObject>(
  { trust: "oci:" },
  { trust: "oci://ghcr.io/acme/trust" },
  { trust: "https://tuf.example/metadata/" },
  { trust: "repository" },
);
const names = fc.uniqueArray(fc.constantFrom("wasi:*", "wasi:sockets/*", "env", "a@1.0.0"), { maxLength: 3 });
const some = <T>(...of: T[]) => fc.uniqueArray(fc.constantFrom(...of), { minLength: 1, maxLength: of.length });
const entry = fc.record(
  {
    pattern: fc.nat().map((n) => `ghcr.io/acme/app${n}/{rest}`),
    comment: fc.constant("why"),
    collection: fc.constantFrom("acme/{rest}", "{rest}", "acme", "ghcr.io/acme/app"),
    sources: fc.oneof(fc.uniqueArray(place, { minLength: 1, maxLength: 3 }), fc.tuple(server)),
    roots: fc.oneof(
      fc.uniqueArray(hex, { minLength: 1, maxLength: 3 }).map((fingerprints) => ({ fingerprints })),
      fc.uniqueArray(hex, { minLength: 1, maxLength: 3 }).map((fingerprints) => ({ fingerprints, threshold: 1 })),
      fc.constant({ file: "root.json" }),
    ),
    firstUse: fc.constant("refuse"),
    freshness: fc.constantFrom("online", "offline", { maxAge: "12h" }),
    roles: some("targets", "targets/releases"),
    verified: fc.constantFrom("module", "artifact"),
    formats: some("cncf-wasm-v0", "wasm-to-oci", "solo", "module-layer", "runwasi", "generic"),
    wasm: fc.record(
      {
        kinds: some("module", "component", "wit-package"),
        maxSize: fc.integer({ min: 1 }),
        imports: fc.record({ allow: names, deny: names }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    ),
    widening: fc.constantFrom("allow", "approve"),
    missing: fc.constantFrom("reject", "warn", "accept"),
  },
  { requiredKeys: ["pattern"] },
);
const test = fc.record(
  {
    reference: fc.constantFrom("ghcr.io/acme/app:v1", "hello"),
    expect: fc.constantFrom("verify", "refuse", "uncovered"),
    pattern: fc.constant("{rest}"),
    module: fc.record(
      {
        role: fc.constant("targets"),
        format: fc.constant("generic"),
        verified: fc.constant("module"),
        kind: fc.constant("module"),
        size: fc.nat(),
        imports: names,
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["reference", "expect"] },
);

/** Documents that are policies. */
export const soundPolicy = fc.record(
  {
    $schema: fc.constant("policy.schema.json"),
    version: fc.constant(1),
    entries: fc.array(entry, { maxLength: 4 }),
    tests: fc.array(test, { maxLength: 2 }),
  },
  { requiredKeys: ["version", "entries"] },
) as fc.Arbitrary<unknown> as fc.Arbitrary<JsonObject>;

const pointer = fc.record(
  {
    reference: fc.constantFrom("ghcr.io/acme/policy:v1", "policy"),
    collection: fc.constantFrom("acme/policy", "policy"),
    sources: fc.uniqueArray(place, { minLength: 1, maxLength: 3 }),
    roots: fc.uniqueArray(hex, { minLength: 1, maxLength: 3 }).map((fingerprints) => ({ fingerprints })),
    freshness: fc.constantFrom("online", { maxAge: "12h" }),
    roles: some("targets", "policies"),
  },
  { requiredKeys: ["reference", "roots"] },
);

/** Documents that say where a policy is. */
export const soundPointer = fc
  .record({ version: fc.constant(1), policy: pointer })
  .map((document) => document as unknown as JsonObject);

const odd = fc.constantFrom<JsonValue>(
  null,
  true,
  0,
  -1,
  "",
  "x",
  "\n",
  "accept",
  "**",
  [],
  {},
  ["x", "x"],
  { x: 1 },
  2 ** 40,
);

/** Policies with one value changed, one member added or one taken away, anywhere. */
export const anyPolicyLike = fc
  .tuple(
    fc.oneof({ weight: 4, arbitrary: soundPolicy }, { weight: 1, arbitrary: soundPointer }),
    fc.nat(),
    fc.constantFrom("replace", "add", "remove", "keep"),
    odd,
  )
  .map(([document, spot, slip, value]) => slipped(document, spot, slip, value));

function slipped(document: JsonObject, spot: number, slip: string, value: JsonValue): JsonValue {
  const copy = JSON.parse(JSON.stringify(document)) as JsonObject;
  const spots: [JsonObject | JsonValue[], string][] = [];
  const visit = (node: JsonValue): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, child] of Object.entries(node)) {
      spots.push([node, key]);
      visit(child);
    }
  };
  visit(copy);
  const [node, key] = spots[spot % spots.length]!;
  if (slip === "keep") return copy;
  if (slip === "add") {
    if (Array.isArray(node)) node.push(value);
    else node["surprise"] = value;
  } else if (slip === "replace") (node as JsonObject)[key] = value;
  else if (Array.isArray(node)) node.splice(Number(key), 1);
  else delete node[key];
  return copy;
}

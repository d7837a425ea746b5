/** The published schema and the parser are two ways to say one thing. */
import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WasmToOciError } from "../../../src/base/errors.ts";
import type { JsonObject, JsonValue } from "../../../src/base/json.ts";
import { parsePolicy, parsePolicyPointer } from "../../../src/trust/policy/policy.ts";
import { validates } from "../../support/json-schema.ts";
import { anyPolicyLike, soundPointer, soundPolicy } from "../../support/policy-documents.ts";

const schema = JSON.parse(
  await readFile(new URL("../../../docs/reference/policy.schema.json", import.meta.url), "utf8"),
) as JsonObject;

/** What is said of one value and another, or of an address: no schema can say it. */
const BEYOND_SCHEMA =
  /the pattern has no \{rest\}|cannot give|nothing is trusted on first use|is wrong: |no place|not the address|not a reference|another kind/;

function fault(document: JsonValue): string | undefined {
  try {
    const text = JSON.stringify(document);
    const options = { origin: "policy.json" };
    if (parsePolicyPointer(text, options) === undefined) parsePolicy(text, options);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(WasmToOciError);
    return (error as WasmToOciError).message;
  }
}

const entry = (members: JsonObject): JsonObject => ({ version: 1, entries: [{ pattern: "{rest}", ...members }] });

describe("docs/reference/policy.schema.json", () => {
  it("takes what the parser takes and refuses what the parser refuses", () => {
    let refusals = 0;
    fc.assert(
      fc.property(anyPolicyLike, (document) => {
        const reason = fault(document);
        if (reason !== undefined) refusals++;
        if (reason === undefined || !BEYOND_SCHEMA.test(reason)) {
          expect({ reason, valid: validates(schema, document) }).toEqual({ reason, valid: reason === undefined });
        }
      }),
      { numRuns: 3_000 },
    );
    expect(refusals).toBeGreaterThan(500);
  });

  it("takes every sound policy", () => {
    fc.assert(
      fc.property(fc.oneof(soundPolicy, soundPointer), (document) => {
        expect({ reason: fault(document), valid: validates(schema, document) }).toEqual({
          reason: undefined,
          valid: true,
        });
      }),
    );
  });

  it.each<[string, JsonValue, boolean]>([
    ["text of 1,024 characters", entry({ comment: "x".repeat(1_024) }), true],
    ["text of 1,025 characters", entry({ comment: "x".repeat(1_025) }), false],
    ["a control character", entry({ comment: "\u007f" }), false],
    ["8 sources", entry({ sources: sources(8) }), true],
    ["9 sources", entry({ sources: sources(9) }), false],
    ["64 fingerprints", entry({ roots: { fingerprints: hexes(64) } }), true],
    ["65 fingerprints", entry({ roots: { fingerprints: hexes(65) } }), false],
    ["65 roles", entry({ roles: hexes(65) }), false],
    ["1,001 imports", entry({ wasm: { imports: { deny: hexes(1_001) } } }), false],
    ["1,001 tests", { version: 1, entries: [], tests: tests(1_001) }, false],
    ["1,000 tests", { version: 1, entries: [], tests: tests(1_000) }, true],
    ["an age of a million days", entry({ freshness: { maxAge: "1000000d" } }), false],
    ["a pattern that begins with a slash", { version: 1, entries: [{ pattern: "/a" }] }, false],
    ["a pattern with a capital", { version: 1, entries: [{ pattern: "ghcr.io/A" }] }, false],
    ["a collection of {rest} alone", entry({ collection: "{rest}" }), true],
    ["a collection that ends in a slash", entry({ collection: "a/" }), false],
  ])("agrees with the parser on %s", (_what, document, valid) => {
    expect(fault(document) === undefined).toBe(valid);
    expect(validates(schema, document)).toBe(valid);
  });
});

function hexes(count: number): string[] {
  return Array.from({ length: count }, (_, i) => i.toString(16).padStart(64, "0"));
}

function sources(count: number): JsonObject[] {
  return Array.from({ length: count }, (_, i) => ({ trust: `place-${i}` }));
}

function tests(count: number): JsonObject[] {
  return Array.from({ length: count }, () => ({ reference: "hello", expect: "uncovered" }));
}

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/base/errors.ts";
import { parsePolicy, parsePolicyPointer, type Policy } from "../../../src/trust/policy/policy.ts";
import { anyPolicyLike } from "../../support/policy-documents.ts";

const KEY = "5d".repeat(32);

function parse(document: unknown): Policy {
  const text = typeof document === "string" ? document : JSON.stringify(document);
  return parsePolicy(text, { origin: "policy.json", toAbsolute: (path) => `/policy/${path}` });
}

const entry = (members: Record<string, unknown>): unknown => ({
  version: 1,
  entries: [{ pattern: "ghcr.io/acme/{rest}", ...members }],
});

function fault(document: unknown): FormatError {
  try {
    parse(document);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return error as FormatError;
  }
  throw new Error("it was accepted");
}

describe("parsePolicyPointer", () => {
  const point = (policy: unknown, more: object = {}) =>
    parsePolicyPointer(JSON.stringify({ version: 1, policy, ...more }), { origin: "policy.json" });
  const roots = { fingerprints: [KEY] };

  it("reads where a policy is, and by whom it must be signed", () => {
    const pointer = point({ reference: "ghcr.io/acme/policy:v1", roots, roles: ["x"], freshness: { maxAge: "1h" } });
    expect(pointer).toMatchObject({
      reference: "ghcr.io/acme/policy:v1",
      entry: {
        pattern: { text: "ghcr.io/acme/policy" },
        roots: { fingerprints: [KEY], threshold: 1 },
        firstUse: "refuse",
        freshness: { mode: "max-age", seconds: 3600 },
        rules: { roles: ["x"], missing: "reject" },
      },
    });
  });

  it("is not for policies themselves, which in turn are no pointers", () => {
    expect(parsePolicyPointer('{"version":1,"entries":[]}', { origin: "policy.json" })).toBeUndefined();
    expect(() => parse({ version: 1, policy: { reference: "a/b", roots } })).toThrow("unknown member");
    expect(() => point({ reference: "a/b:v1", roots }, { entries: [] })).toThrow("unknown member");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["no keys", { reference: "a/b:v1" }, "nothing else says whose policy counts"],
    ["no reference", { roots }, "reference: missing"],
    ["a digest", { reference: `a/b@sha256:${"0".repeat(64)}`, roots }, "not a digest"],
    ["no name", { reference: "A b", roots }, "not a reference"],
    ["first use", { reference: "a/b:v1", roots, firstUse: "accept" }, 'unknown member "firstUse"'],
    ["tolerance", { reference: "a/b:v1", roots, missing: "accept" }, 'unknown member "missing"'],
  ])("refuses %s", (_what, policy, reason) => {
    expect(() => point(policy)).toThrow(FormatError);
    expect(() => point(policy)).toThrow(reason);
  });
});

describe("parsePolicy", () => {
  it("reads every member", () => {
    const policy = parse({
      $schema: "https://example.test/policy.schema.json",
      version: 1,
      entries: [
        {
          pattern: "ghcr.io/acme/{rest}",
          comment: "ours",
          collection: "acme/{rest}",
          sources: [
            { trust: "oci:" },
            { trust: "oci://GHCR.io/acme/trust" },
            { trust: "https://tuf.example/metadata/" },
            { trust: "repository" },
          ],
          roots: { fingerprints: [KEY, "6e".repeat(32)], threshold: 2 },
          firstUse: "refuse",
          freshness: { maxAge: "12h" },
          roles: ["targets/releases"],
          verified: "artifact",
          formats: ["cncf-wasm-v0"],
          wasm: { kinds: ["component"], maxSize: 1_000_000, imports: { allow: [], deny: ["wasi:sockets/*"] } },
          widening: "approve",
          missing: "warn",
        },
      ],
      tests: [{ reference: "ghcr.io/acme/app:v1", expect: "refuse", module: { kind: "module" } }],
    });
    expect(policy.entries).toMatchObject([
      {
        pattern: { text: "ghcr.io/acme/{rest}" },
        origin: "policy.json:1",
        comment: "ours",
        collection: "acme/{rest}",
        sources: [
          { kind: "oci" },
          { kind: "oci", repository: "ghcr.io/acme/trust" },
          { kind: "tuf", location: "https://tuf.example/metadata/" },
          { kind: "tuf", location: "/policy/repository" },
        ],
        roots: { fingerprints: [KEY, "6e".repeat(32)], threshold: 2 },
        firstUse: "refuse",
        freshness: { mode: "max-age", seconds: 43_200 },
        rules: {
          origin: "policy.json:1",
          roles: ["targets/releases"],
          verified: "artifact",
          formats: ["cncf-wasm-v0"],
          kinds: ["component"],
          maxSize: 1_000_000,
          imports: { allow: [], deny: ["wasi:sockets/*"] },
          widening: "approve",
          missing: "warn",
        },
      },
    ]);
    expect(policy.tests).toMatchObject([{ expect: "refuse", module: { kind: "module" } }]);
  });

  it("reads the servers of Notary without a slash at the end, as flags do", () => {
    const [read] = parse(entry({ sources: [{ server: "https://notary.example/" }] })).entries;
    expect(read?.sources).toEqual([{ kind: "notary", server: "https://notary.example" }]);
  });

  it("takes the careful choice for what is left out", () => {
    const [read] = parse(entry({})).entries;
    expect(read).toMatchObject({ sources: [], firstUse: "refuse", rules: { missing: "reject" } });
    expect(read?.freshness).toBeUndefined();
    expect(parse({ version: 1, entries: [] }).entries).toEqual([]);
  });

  it("knows the line of each entry, whatever stands in between", () => {
    const text = `{
  "version": 1,
  "tests": [ {
    "reference": "ghcr.io/a/b", "expect": "uncovered" } ],
  "entries": [
    { "pattern": "ghcr.io/a/\\u007brest}", "comment": "\\" { [ entries \\\\",
      "wasm": { "imports": { "deny": ["x"] } } }, { "pattern": "ghcr.io/b/{rest}" },
    {
      "pattern": "ghcr.io/c/{rest}" }
  ]
}`;
    expect(parse(text).entries.map(({ origin }) => origin)).toEqual([
      "policy.json:6",
      "policy.json:7",
      "policy.json:8",
    ]);
  });

  it.each<[string, unknown, string]>([
    ["another version", { version: 2, entries: [] }, "newer"],
    ["no version", { entries: [] }, "version: missing"],
    ["no entries", { version: 1 }, "entries: missing"],
    ["a list", [], "an object"],
    ["null", null, "an object"],
    ["an unknown member", { version: 1, entries: [], default: "accept" }, 'unknown member "default"'],
    ["a member spelled in another case", { version: 1, Entries: [], entries: [] }, "only by case"],
    ["a lookalike member", { version: 1, entries: [], entrieſ: [] }, "only by case"],
    ["__proto__", '{"version":1,"entries":[],"__proto__":{}}', "unknown member"],
    ["an unknown member of an entry", entry({ root: {} }), 'unknown member "root"'],
    ["an unknown member of wasm", entry({ wasm: { import: {} } }), 'unknown member "import"'],
    ["an unknown rule for imports", entry({ wasm: { imports: { denied: [] } } }), 'unknown member "denied"'],
    ["an unknown member of roots", entry({ roots: { fingerprints: [KEY], treshold: 2 } }), 'unknown member "treshold"'],
    ["a pattern with a tag", entry({ pattern: "ghcr.io/acme/app:v1" }), "not for tags"],
    ["a pattern on Docker Hub that is not in full", entry({ pattern: "hello" }), "docker.io"],
    ["no pattern", { version: 1, entries: [{}] }, "pattern: missing"],
    ["null for a rule", entry({ missing: null }), "a string"],
    ["a misspelled choice", entry({ missing: "Reject" }), "expected one of"],
    ["{rest} that nothing fills in", entry({ pattern: "ghcr.io/a/b", collection: "b/{rest}" }), "no {rest}"],
    ["{rest} in the middle of a name", entry({ collection: "a/{rest}/b" }), "not a collection's name"],
    ["an empty name", entry({ collection: "" }), "not a collection's name"],
    ["a name with a step up", entry({ collection: "a/../b" }), "not a collection's name"],
    ["no sources", entry({ sources: [] }), "empty list"],
    ["a source that is two", entry({ sources: [{ server: "https://a.test", trust: "oci:" }] }), "either a server"],
    ["a source that is none", entry({ sources: [{}] }), "either a server"],
    ["sources of two kinds", entry({ sources: [{ trust: "oci:" }, { server: "https://a.test" }] }), "another kind"],
    ["a source twice", entry({ sources: [{ trust: "oci:" }, { trust: "oci:" }] }), "twice"],
    ["a server with a password", entry({ sources: [{ server: "https://u:p@a.test" }] }), "not the address"],
    ["a server that is a file", entry({ sources: [{ server: "file:///etc" }] }), "not the address"],
    ["a place of another scheme", entry({ sources: [{ trust: "ftp://a.test/" }] }), "no place"],
    ["roots without keys", entry({ roots: {} }), "either fingerprints"],
    ["no keys", entry({ roots: { fingerprints: [] } }), "empty list"],
    ["one key twice", entry({ roots: { fingerprints: [KEY, KEY], threshold: 2 } }), "twice"],
    ["one key twice, once in capitals", entry({ roots: { fingerprints: [KEY, KEY.toUpperCase()] } }), "lower-case"],
    ["a short key", entry({ roots: { fingerprints: ["5d"] } }), "sha256"],
    ["a threshold of 0", entry({ roots: { fingerprints: [KEY], threshold: 0 } }), "at least 1"],
    ["a threshold that cannot be met", entry({ roots: { fingerprints: [KEY], threshold: 2 } }), "cannot give 2"],
    ["keys and a file", entry({ roots: { fingerprints: [KEY], file: "root.json" } }), "either"],
    ["a threshold beside a file", entry({ roots: { file: "root.json", threshold: 1 } }), "its own threshold"],
    ["first use beside keys", entry({ roots: { fingerprints: [KEY] }, firstUse: "accept" }), "first use"],
    ["a mode that is none", entry({ freshness: "max-age" }), "expected one of"],
    ["an age without a unit", entry({ freshness: { maxAge: "12" } }), "a duration"],
    ["an age that is a number", entry({ freshness: { maxAge: 12 } }), "a string"],
    ["an age of nothing", entry({ freshness: { maxAge: "0h" } }), "a duration"],
    ["a layout that nobody knows", entry({ formats: ["tar"] }), "expected one of"],
    ["a kind that is none", entry({ wasm: { kinds: ["core"] } }), "expected one of"],
    ["a size of 0", entry({ wasm: { maxSize: 0 } }), "at least 1"],
    [
      "a size with a fraction",
      '{"version":1,"entries":[{"pattern":"{rest}","wasm":{"maxSize":1.5}}]}',
      "plain integer",
    ],
    ["an import that is no text", entry({ wasm: { imports: { deny: [1] } } }), "a string"],
    ["an empty import", entry({ wasm: { imports: { deny: [""] } } }), "1 to"],
    ["an import with a line feed", entry({ wasm: { imports: { deny: ["a\n"] } } }), "control"],
    ["a role twice", entry({ roles: ["targets", "targets"] }), "twice"],
    [
      "a test of no reference",
      { version: 1, entries: [], tests: [{ reference: "A B", expect: "verify" }] },
      "reference",
    ],
    ["a test without an outcome", { version: 1, entries: [], tests: [{ reference: "a" }] }, "expect: missing"],
    [
      "a test of an unknown fact",
      { version: 1, entries: [], tests: [{ reference: "a", expect: "verify", module: { roles: [] } }] },
      "unknown",
    ],
    ["too many entries", { version: 1, entries: Array.from({ length: 10_001 }, () => ({})) }, "at most 10000"],
  ])("refuses %s", (_what, document, reason) => {
    const error = fault(document);
    expect(error.message).toContain(reason);
    expect(error.message).toContain("policy.json");
  });

  it.each([
    ['{"version":1,"version":1,"entries":[]}', "duplicate key"],
    ['{"version":1,"entries":[{"pattern":"{rest}","missing":"reject","missing":"accept"}]}', "duplicate key"],
    ['{"version":1,"entries":[]} {}', "after the end"],
    ['\ufeff{"version":1,"entries":[]}', "expected a value"],
    ["", "too early"],
  ])("refuses the text %j as JSON", (text, reason) => {
    const error = fault(text);
    expect(error).toMatchObject({ code: "JSON_INVALID" });
    expect(error.message).toContain(reason);
  });

  it("ends any document in a policy or in one of its two errors", () => {
    fc.assert(
      fc.property(fc.oneof(anyPolicyLike, fc.json(), fc.string()), (document) => {
        try {
          parse(document);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect(["POLICY_INVALID", "JSON_INVALID"]).toContain((error as FormatError).code);
        }
      }),
    );
  });
});

import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { parseJson, type JsonObject } from "../../src/base/json.ts";
import { decodeMetadata, encodeMetadata, signedMessage, type MetadataType } from "../../src/tuf/metadata.ts";
import type { Signed } from "../../src/tuf/schema.ts";

const KEY = { keytype: "ed25519", keyval: { public: "00".repeat(32) }, scheme: "ed25519", "x-owner": "ada" };
const ROLE = { keyids: ["k"], threshold: 1, "x-role": [1] };
const COMMON = { expires: "2040-01-01T00:00:00Z", spec_version: "1.0.34", version: 7, "x-more": { b: 1, a: "é" } };
const SHA256 = "ab".repeat(32);
const FILE = { hashes: { sha256: SHA256 }, length: 5, version: 3, "x-file": true };

const DOCUMENTS: [string, MetadataType, JsonObject][] = [
  [
    "root",
    "root",
    {
      _type: "root",
      consistent_snapshot: false,
      keys: { k: KEY, l: KEY },
      roles: { root: ROLE, snapshot: ROLE, targets: ROLE, timestamp: ROLE },
    },
  ],
  ["a timestamp", "timestamp", { _type: "timestamp", meta: { "snapshot.json": FILE } }],
  [
    "a snapshot",
    "snapshot",
    {
      _type: "snapshot",
      meta: { "a.json": { length: 0, version: 1 }, "targets.json": FILE, "z.json": { version: 1 } },
    },
  ],
  [
    "targets by paths and prefixes",
    "targets",
    {
      _type: "targets",
      delegations: {
        keys: { k: KEY },
        roles: [
          { ...ROLE, name: "a", paths: ["a/*", "b"], terminating: true },
          { ...ROLE, name: "b", path_hash_prefixes: ["0", "ff"], terminating: false },
          { ...ROLE, name: "c", paths: [], terminating: false },
        ],
        "x-delegations": null,
      },
      targets: {
        "\u{1f600}": { custom: null, hashes: { sha256: SHA256 }, length: 0, "x-target": 1 },
        "\uffff": { hashes: { md5: "?", sha256: SHA256 }, length: 1 },
      },
    },
  ],
  [
    "targets in bins",
    "targets",
    {
      _type: "targets",
      delegations: { keys: { k: KEY }, succinct_roles: { ...ROLE, bit_length: 4, name_prefix: "bin" } },
      targets: {},
    },
  ],
  ["targets that delegate to nobody", "targets", { _type: "targets", targets: {} }],
];

describe("metadata that is written", () => {
  for (const [what, type, own] of DOCUMENTS) {
    it(`says all of ${what} that was read, and signs the same`, () => {
      const document = {
        signatures: [
          { keyid: "k", sig: "00", method: "x" },
          { keyid: "l", sig: "" },
        ],
        signed: { ...own, ...COMMON },
      };
      const read = decodeMetadata(utf8Encode(JSON.stringify(document)), type);
      const bytes = encodeMetadata(read.signed, read.signatures);
      expect(parseJson(bytes)).toEqual(parseJson(utf8Encode(JSON.stringify(document))));
      expect(signedMessage(read.signed)).toEqual(read.message);
      expect(encodeMetadata(read.signed, read.signatures, read.message)).toEqual(bytes);
      expect(utf8Decode(bytes).endsWith(`,"signed":${utf8Decode(read.message)}}`)).toBe(true);
      expect(encodeMetadata(decodeMetadata(bytes, type).signed, read.signatures)).toEqual(bytes);
    });
  }

  it("has its members in the order of their bytes, and no white space", () => {
    const signed: Signed = {
      type: "timestamp",
      version: 1,
      specVersion: "1.0",
      expires: new Date("2040-01-01T00:00:00.999Z"),
      snapshot: { version: 2, length: 3, hashes: { sha256: SHA256 }, extra: { A: 1 } },
      extra: { "\u{1f600}": 1, "\uffff": 2, a: [{ b: 1, a: 2 }] },
    };
    expect(utf8Decode(encodeMetadata(signed, [{ keyId: "k", sig: "00", extra: { a: 1 } }]))).toBe(
      '{"signatures":[{"a":1,"keyid":"k","sig":"00"}],"signed":{"_type":"timestamp","a":[{"a":2,"b":1}],' +
        `"expires":"2040-01-01T00:00:00Z","meta":{"snapshot.json":{"A":1,"hashes":{"sha256":"${SHA256}"},"length":3,` +
        '"version":2}},"spec_version":"1.0","version":1,"\uffff":2,"\u{1f600}":1}}',
    );
  });

  it("stays JSON where it holds control characters, which are signed raw", () => {
    const signed: Signed = {
      type: "timestamp",
      version: 1,
      specVersion: "1.0",
      expires: new Date("2040-01-01T00:00:00Z"),
      snapshot: { version: 2, extra: {} },
      extra: { "x-lines": 'a\nb\u001f"\\ ' },
    };
    const message = signedMessage(signed);
    expect(utf8Decode(message)).toContain('"x-lines":"a\nb\u001f\\"\\\\ "');
    for (const bytes of [encodeMetadata(signed, []), encodeMetadata(signed, [], message)]) {
      expect(utf8Decode(bytes)).toContain(String.raw`"x-lines":"a\nb\u001f\"\\ "`);
      const read = decodeMetadata(bytes, "timestamp");
      expect([read.signed.extra, read.message]).toEqual([signed.extra, message]);
    }
  });

  it("never says in an unknown field what a known one says", () => {
    const signed: Signed = {
      type: "snapshot",
      version: 3,
      specVersion: "1.0",
      expires: new Date("2040-01-01T00:00:00Z"),
      meta: new Map([["targets", { version: 1, extra: { version: 9, length: 9, hashes: 9 } }]]),
      extra: { _type: "root", version: 9, expires: "never", spec_version: "9", meta: 9 },
    };
    const extra = { length: 9, hashes: 9 };
    expect(parseJson(encodeMetadata(signed, [{ keyId: "k", sig: "00", extra: { keyid: "x", sig: "x" } }]))).toEqual({
      signatures: [{ keyid: "k", sig: "00" }],
      signed: {
        _type: "snapshot",
        version: 3,
        expires: "2040-01-01T00:00:00Z",
        spec_version: "1.0",
        meta: { "targets.json": { version: 1, ...extra } },
      },
    });
  });

  it("keeps names that mean something to JavaScript", () => {
    const targets = new Map([["__proto__", { length: 1, hashes: { sha256: SHA256 }, extra: {} }]]);
    const common = { version: 1, specVersion: "1.0", expires: new Date("2040-01-01T00:00:00Z"), extra: {} };
    const bytes = encodeMetadata({ type: "targets", ...common, targets }, []);
    expect([...decodeMetadata(bytes, "targets").signed.targets.keys()]).toEqual(["__proto__"]);
  });
});

/** Notary's bytes: the form that Go prints, and what does and does not survive Go (reference: byte-exactness-probe.txt). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ownBytes, utf8Decode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { formatGoTime, normaliseGoTime, parseGoTime } from "../../src/notary/go-time.ts";
import { readTargets, writeTargets, type FileMeta, type NotaryTargets } from "../../src/notary/metadata.ts";
import { assertGoBytes, decodeDocument, decodeGoDocument, encodeDocument } from "../../src/notary/wire.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/notary-v1");
const STATE = join(FIXTURES, "session1/states/28-nested/trust/tuf/localhost:5000/demo/hello/metadata");
const captured = (role: string) => ownBytes(readFileSync(join(STATE, `${role}.json`)));
const targetsText = utf8Decode(captured("targets"));

const SIGNATURE = { keyId: "ab".repeat(32), method: "ecdsa", signature: new Uint8Array(64).fill(1) };

function targetsWith(changes: Partial<NotaryTargets>): NotaryTargets {
  return {
    delegations: { keys: new Map(), roles: [] },
    expires: "2030-01-01T00:00:00Z",
    targets: new Map(),
    version: 1,
    ...changes,
  };
}

const hashes = new Map([["sha256", new Uint8Array(32).fill(2)]]);
const encode = (targets: NotaryTargets): Bytes => encodeDocument(writeTargets(targets), [SIGNATURE]);

describe("encodeDocument", () => {
  it("writes members, signatures and escapes as Go does", () => {
    const targets = targetsWith({ targets: new Map([['a<b>&c\u2028\u2029"\\é', { length: 3, hashes }]]) });
    const hash = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    const name = String.raw`a\u003cb\u003e\u0026c\u2028\u2029\"\\é`;
    expect(utf8Decode(encode(targets))).toBe(
      `{"signed":{"_type":"Targets","delegations":{"keys":{},"roles":[]},"expires":"2030-01-01T00:00:00Z","targets":{"${name}":` +
        `{"hashes":{"sha256":"${hash}"},"length":3}},"version":1},"signatures":[{"keyid":"${SIGNATURE.keyId}","method":"ecdsa","sig":"${"AQEB".repeat(21)}AQ=="}]}`,
    );
  });

  it("signs the text without the escapes of the wire", () => {
    const targets = targetsWith({ targets: new Map([["<", { length: 0, hashes }]]) });
    expect(decodeDocument(encode(targets), "targets").canonical).toBe(writeTargets(targets));
    expect(writeTargets(targets)).toContain('"<"');
  });

  it("comes back from any targets document as it went in, in bytes that Go would print", () => {
    fc.assert(
      fc.property(anyTargets, (targets) => {
        const bytes = encode(targets);
        expect(readTargets(decodeDocument(bytes, "targets").signed, "targets")).toEqual(targets);
        expect(decodeGoDocument(bytes, "targets")).toEqual(decodeDocument(bytes, "targets"));
      }),
    );
  });
});

// oxlint-disable-next-line no-control-regex -- names with these cannot be published
const name = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !/[\u0000-\u001f]/.test(text));
const hash = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => new Uint8Array(bytes));
const custom = fc.oneof(
  fc.boolean(),
  fc.integer().map((number) => number + 0),
  name,
  fc.array(name, { maxLength: 3 }),
);
const fileMeta = fc
  .record({ length: fc.nat(), sha256: hash(32), sha512: hash(64), custom: fc.option(custom, { nil: undefined }) })
  .map((meta): FileMeta => {
    const all = new Map([
      ["sha256", meta.sha256],
      ["sha512", meta.sha512],
    ]);
    return meta.custom === undefined
      ? { length: meta.length, hashes: all }
      : { length: meta.length, hashes: all, custom: meta.custom };
  });
const anyTargets = fc
  .record({
    names: fc.uniqueArray(fc.tuple(name, fileMeta), { maxLength: 5, selector: ([text]) => text }),
    expires: fc.date({ min: new Date(0), max: new Date("9999-01-01"), noInvalidDate: true }),
    version: fc.integer({ min: 1 }),
  })
  .map(({ names, expires, version }) =>
    targetsWith({ targets: new Map(names), expires: formatGoTime(expires), version }),
  );

describe("assertGoBytes", () => {
  const plain = utf8Decode(encode(targetsWith({ targets: new Map([["v1", { length: 2, hashes }]]) })));
  const withRole = (role: string) => plain.replace('"keys":{},"roles":[]', `"keys":{},"roles":[${role}]`);

  /** One case per line of the probe: what notary-server answered 200 to, and then could never serve again. */
  const bricks: [string, string][] = [
    ["pretty printing", JSON.stringify(JSON.parse(plain), undefined, 1)],
    ["a space", plain.replace(":", ": ")],
    ["a trailing newline", `${plain}\n`],
    [
      "signatures before signed",
      `{"signatures":${JSON.stringify(JSON.parse(plain).signatures)},"signed":${JSON.stringify(JSON.parse(plain).signed)}}`,
    ],
    ["an unknown member in signed", plain.replace('"version":1', '"version":1,"x":1')],
    ["an unknown member beside signed", plain.replace(/\}$/, ',"x":1}')],
    ["an unknown member in a signature", plain.replace('"method"', '"m":1,"method"')],
    ["an unknown member in a target", plain.replace('"length":2', '"length":2,"x":1')],
    [
      "signature members in another order",
      plain.replace(/"keyid":("[^"]*"),"method":"ecdsa"/, '"method":"ecdsa","keyid":$1'),
    ],
    ["an unescaped <", plain.replace('"v1"', '"<v1"')],
    ["an unescaped >", plain.replace('"v1"', '">v1"')],
    ["an unescaped &", plain.replace('"v1"', '"&v1"')],
    ["an unescaped U+2028", plain.replace('"v1"', '"\u2028v1"')],
    ["an unescaped U+2029", plain.replace('"v1"', '"\u2029v1"')],
    ["an upper-case escape", plain.replace('"v1"', String.raw`"\u003Cv1"`)],
    ["a needless unicode escape", plain.replace('"v1"', String.raw`"\u00e9"`)],
    ["an escaped slash", plain.replace('"v1"', String.raw`"a\/b"`)],
    ["a control character", plain.replace('"v1"', String.raw`"a\nb"`)],
    ["expires with .000Z, as toISOString prints it", plain.replace("00:00:00Z", "00:00:00.000Z")],
    ["expires with a trailing zero", plain.replace("00:00:00Z", "00:00:00.120Z")],
    ["expires with +00:00", plain.replace("00:00:00Z", "00:00:00+00:00")],
    ["expires with -00:00", plain.replace("00:00:00Z", "00:00:00-00:00")],
    ["no delegations member", plain.replace('"delegations":{"keys":{},"roles":[]},', "")],
    ["delegations null", plain.replace('{"keys":{},"roles":[]}', "null")],
    ["delegation keys null", plain.replace('"keys":{}', '"keys":null')],
    ["an upper-case method", plain.replace('"ecdsa"', '"ECDSA"')],
    ["custom null", plain.replace('{"hashes"', '{"custom":null,"hashes"')],
    ["custom in another order", plain.replace('{"hashes"', '{"custom":{"b":1,"a":2},"hashes"')],
    ["custom with an unescaped <", plain.replace('{"hashes"', '{"custom":"<","hashes"')],
    [
      "members in another order",
      plain.replace('"length":2', '"length":2').replace(/"hashes":(\{[^}]*\}),"length":2/, '"length":2,"hashes":$1'),
    ],
    ["empty paths", withRole('{"keyids":[],"name":"targets/a","paths":[],"threshold":1}')],
    ["base64 with stray bits", plain.replace('AQ=="}]', 'AR=="}]')],
  ];
  it.each(bricks)("refuses %s, which a Notary server would store and never serve again", (_, text) => {
    expect(text).not.toBe(plain);
    expect(() => assertGoBytes(utf8Encode(text), "targets")).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(?:METADATA|JSON)_INVALID$/) as string }),
    );
  });

  const harmless: [string, string][] = [
    ["exact bytes", plain],
    ["whole seconds with Z", plain],
    ["an offset", plain.replace("00:00:00Z", "00:00:00+02:00")],
    ["a fraction of nanoseconds", plain.replace("00:00:00Z", "00:00:00.123456789Z")],
    ["a version that jumps", plain.replace('"version":1', '"version":11')],
    ["another hash besides", plain.replace('{"sha256"', '{"md5":"AAAA","sha256"')],
    ["roles null", plain.replace('"roles":[]', '"roles":null')],
    ["key ids null", withRole('{"keyids":null,"name":"targets/a","paths":[""],"threshold":1}')],
    ["no paths", withRole('{"keyids":[],"name":"targets/a","threshold":1}')],
    ["an escaped < in a name", plain.replace('"v1"', String.raw`"\u003cv1"`)],
    ["an escaped < in custom", plain.replace('{"hashes"', String.raw`{"custom":"\u003c","hashes"`)],
    ["an empty list in custom", plain.replace('{"hashes"', '{"custom":{"a":[]},"hashes"')],
    ["no signatures", plain.replace(/\[\{"keyid".*$/, "[]}")],
  ];
  it.each(harmless)("accepts %s, which Go prints again as it is", (_, text) => {
    expect(() => assertGoBytes(utf8Encode(text), "targets")).not.toThrow();
  });

  it("says where the bytes differ", () => {
    expect(() => assertGoBytes(utf8Encode(`${plain}\n`), "targets")).toThrow(
      expect.objectContaining({ details: { role: "targets", position: plain.length } }),
    );
  });

  it("checks every kind of document", () => {
    for (const role of ["root", "targets", "snapshot", "timestamp", "targets/releases"]) {
      const text = utf8Decode(captured(role));
      expect(() => assertGoBytes(utf8Encode(text), role)).not.toThrow();
      expect(() => assertGoBytes(utf8Encode(text.replace('"version"', '"verzion":1,"version"')), role)).toThrow(
        expect.objectContaining({ code: "METADATA_INVALID" }),
      );
    }
  });

  it("refuses a root that says nothing about consistent snapshots: Go would add the word", () => {
    const text = utf8Decode(captured("root")).replace('"consistent_snapshot":false,', "");
    expect(() => assertGoBytes(utf8Encode(text), "root")).toThrow(
      expect.objectContaining({ code: "METADATA_INVALID" }),
    );
  });
});

describe("decodeDocument", () => {
  it("reads white space and any order of members: signatures do not care", () => {
    const { signed, signatures } = JSON.parse(targetsText) as Record<string, unknown>;
    const pretty = JSON.stringify({ signatures, signed }, undefined, 2);
    expect(decodeDocument(utf8Encode(pretty), "targets").canonical).toBe(
      decodeDocument(captured("targets"), "targets").canonical,
    );
  });

  it("keeps the bytes as they came", () => {
    const bytes = captured("targets");
    expect(decodeDocument(bytes, "targets").bytes).toEqual(bytes);
  });

  it("reads methods in lower case, as Go does", () => {
    const upper = targetsText.replace('"method":"ecdsa"', '"method":"ECDSA"');
    expect(decodeDocument(utf8Encode(upper), "targets").signatures[0]?.method).toBe("ecdsa");
  });

  it("refuses wrong types anywhere, with a typed error", () => {
    for (const text of [
      "1",
      '""',
      "{}",
      '{"signed":{}}',
      '{"signed":[],"signatures":[]}',
      '{"signed":{},"signatures":{}}',
      '{"signed":{},"signatures":[1]}',
      '{"signed":{},"signatures":null}',
    ]) {
      expect(() => decodeDocument(utf8Encode(text), "targets")).toThrow(
        expect.objectContaining({ code: "METADATA_INVALID" }),
      );
    }
  });
});

describe("Go's times", () => {
  it("prints no fraction where it is zero, and no trailing zeros", () => {
    expect(formatGoTime(new Date("2030-01-01T00:00:00.000Z"))).toBe("2030-01-01T00:00:00Z");
    expect(formatGoTime(new Date("2030-01-01T00:00:00.120Z"))).toBe("2030-01-01T00:00:00.12Z");
    expect(formatGoTime(new Date("2030-01-01T00:00:10.100Z"))).toBe("2030-01-01T00:00:10.1Z");
  });

  it("reads what it prints", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true }),
        (date) => {
          const text = formatGoTime(date);
          expect(parseGoTime(text)).toEqual(date);
          expect(normaliseGoTime(text)).toBe(text);
        },
      ),
    );
  });

  it("reads offsets and nanoseconds", () => {
    expect(parseGoTime("2029-11-21T10:49:39.88040576Z")?.toISOString()).toBe("2029-11-21T10:49:39.880Z");
    expect(parseGoTime("2030-01-01T01:30:00+01:30")?.toISOString()).toBe("2030-01-01T00:00:00.000Z");
    expect(parseGoTime("2029-12-31T19:00:00-05:00")?.toISOString()).toBe("2030-01-01T00:00:00.000Z");
    expect(parseGoTime("0001-01-01T00:00:00Z")?.getTime()).toBeLessThan(0);
  });

  it("refuses what names no moment", () => {
    const bad = [
      "",
      "never",
      "Jan 1, 2099",
      "2030-01-01",
      "2030-01-01T00:00:00",
      "2030-13-01T00:00:00Z",
      "2030-02-29T00:00:00Z",
      "2030-01-00T00:00:00Z",
      "2030-01-01T24:00:00Z",
      "2030-01-01T00:60:00Z",
      "2030-01-01T00:00:60Z",
      "2030-01-01t00:00:00z",
      "2030-01-01 00:00:00Z",
      "2030-01-01T00:00:00.Z",
      "2030-01-01T00:00:00.1234567890Z",
      "2030-01-01T00:00:00+24:00",
      "2030-01-01T00:00:00+0100",
      "+2030-01-01T00:00:00Z",
      "２030-01-01T00:00:00Z",
      "2030-01-01T00:00:00Z\n",
    ];
    expect(bad.filter((text) => parseGoTime(text) !== undefined)).toEqual([]);
  });
});

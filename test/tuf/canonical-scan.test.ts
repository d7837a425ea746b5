import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJsonObject, type JsonValue } from "../../src/base/json.ts";
import { canonicalJson } from "../../src/tuf/canonical-json.ts";
import { endOf, endOfValue, findMember } from "../../src/tuf/canonical-scan.ts";

const nested = (depth: number, inner = ""): string => `${"[".repeat(depth)}${inner}${"]".repeat(depth)}`;
const nestedObjects = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

describe("a value in canonical form", () => {
  const whole = [
    "{}",
    "[]",
    '""',
    '" !#~[]{}:,"',
    "0",
    "1",
    "-1",
    "999999999999999",
    "-999999999999999",
    "true",
    "false",
    "null",
    '{"a":1}',
    '{"":1,"a":2,"aa":3,"b":{}}',
    '{"A":[1,"x",null],"a":{"b":[],"c":[[]]}}',
    '[1,-2,"3",[4],{"five":5}]',
    nested(32),
    nestedObjects(32),
  ];
  for (const text of whole) {
    it(`ends where it ends: ${text.slice(0, 50)}`, () => {
      expect(endOfValue(text, 0)).toBe(text.length);
      expect(endOfValue(`[${text},`, 1)).toBe(text.length + 1);
    });
  }

  const none = [
    "",
    " 1",
    "-",
    "-0",
    "+1",
    "x",
    "tru",
    "]",
    "}",
    "{",
    "[",
    '"',
    '"a',
    '"\\n"',
    '"\u00e9"',
    '"\u001f"',
    '"\u007f"',
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1;2]",
    "[1 ,2]",
    "[1}",
    "[01]",
    "[1.5]",
    "[1e3]",
    "[1000000000000000]",
    '{"a"}',
    '{"a":}',
    '{"a" :1}',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    '{"a":1;"b":2}',
    '{"a":1]',
    '{,"a":1}',
    "{a:1}",
    '{"b":1,"a":2}',
    '{"a":1,"a":2}',
    '{"\\u0061":1}',
    '{"a":{"c":1,"b":2}}',
    '[{"c":1,"b":2}]',
    nested(33),
    nestedObjects(33),
  ];
  for (const text of none) {
    it(`is none, or is not all: ${JSON.stringify(text.slice(0, 50))}`, () => {
      expect(endOfValue(text, 0)).toBeUndefined();
    });
  }

  it("ends before what does not belong to it, which its reader then sees", () => {
    expect(["01", "1.5", "1000000000000000", "truex", "{}}", "[]]"].map((text) => endOfValue(text, 0))).toEqual([
      1, 1, 15, 4, 2, 2,
    ]);
  });

  it("is what canonical JSON writes, and nothing else, whatever stands there", () => {
    const character = fc.constantFrom(...'{}[]",:01-ab\\ e.tn'.split(""));
    const edit = fc.record({ at: fc.nat(200), to: fc.array(character, { maxLength: 3 }), cut: fc.nat(2) });
    fc.assert(
      fc.property(plainValue, fc.array(edit, { maxLength: 2 }), (value, edits) => {
        const canonical = canonicalJson(value);
        expect(endOfValue(canonical, 0)).toBe(canonical.length);
        let text = canonical;
        for (const { at, to, cut } of edits) {
          const place = at % (text.length + 1);
          text = `${text.slice(0, place)}${to.join("")}${text.slice(place + cut)}`;
        }
        if (endOfValue(text, 0) === text.length) expect(canonicalJson(JSON.parse(text) as JsonValue)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });
});

const plain = fc.stringMatching(/^[ !#-[\]-~]{0,6}$/);
const { plainValue } = fc.letrec<{ plainValue: JsonValue }>((tie) => ({
  plainValue: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<JsonValue>(null, true, false, 0),
    fc.integer(),
    plain,
    fc.array(tie("plainValue"), { maxLength: 3 }),
    fc.dictionary(plain, tie("plainValue"), { maxKeys: 4, noNullPrototype: false }) as fc.Arbitrary<JsonValue>,
  ),
}));

describe("an expression at a place", () => {
  it("matches there or not at all", () => {
    expect([endOf(/a+/y, "baa", 1), endOf(/a+/y, "baa", 0), endOf(/a*/y, "b", 0)]).toEqual([3, undefined, 0]);
  });
});

describe("a member of JSON in any form", () => {
  const at = (text: string, ...path: string[]): string | undefined => {
    const found = findMember(text, path);
    return found === undefined ? undefined : text.slice(found);
  };

  it("is found behind whatever stands before it", () => {
    expect(at('{"a":1}', "a")).toBe("1}");
    expect(at(' \n\r\t{ "a" \n:\t 1}', "a")).toBe("1}");
    expect(at('{"b":0,"a":1}', "a")).toBe("1}");
    expect(at('{"b": 0 , "a":1}', "a")).toBe("1}");
    expect(at('{"b":[1,{"a":2},"]"],"a":1}', "a")).toBe("1}");
    expect(at('{"b":{"a":2,"c":"}"},"a":1}', "a")).toBe("1}");
    expect(at(String.raw`{"b":"\",\"a\":2","a":1}`, "a")).toBe("1}");
    expect(at(String.raw`{"b":"\\","a":1}`, "a")).toBe("1}");
    expect(at(String.raw`{"b\"":[],"a":1}`, "a")).toBe("1}");
    expect(at('{"aa":0,"a":1}', "a")).toBe("1}");
    expect(at('{"b":[[],[[]],{}],"a":1}', "a")).toBe("1}");
    expect(at('{"x":{"a":0},"signed":{"y":1,"targets":{"t":2}}}', "signed", "targets")).toBe('{"t":2}}}');
    expect(at('{"a":1}')).toBe('{"a":1}');
  });

  it("is the first one of two", () => {
    expect(at('{"a":1,"a":2}', "a")).toBe('1,"a":2}');
  });

  const nowhere = [
    "",
    "1",
    "[]",
    '["a"]',
    '"a"',
    "{}",
    "{",
    '{"a"',
    '{"a"}',
    '{"a",1}',
    '{"b":1}',
    '{"b":1',
    '{"b":1,',
    '{"b":1,}',
    '{"b":1;"a":1}',
    '{"b":{"a":1}}',
    '{"b":["a"]}',
    '{"b":"a":1}',
    '{"b":"x',
    '{"b":"x\\',
    '{"b":"x\\"',
    '{"b":[1,2',
    '{"b":1]"a":1}',
    '{"b":1}"a":1}',
    '{b:1,"a":1}',
    '{b":1,"a":1}',
    '{"ab":1}',
    '{"A":1}',
    '{"a',
    '{"a:1}',
    '{"aX:1}',
    "{'a':1}",
    String.raw`{"\u0061":1}`,
  ];
  for (const text of nowhere) {
    it(`is nowhere in ${JSON.stringify(text)}`, () => {
      expect(at(text, "a")).toBeUndefined();
    });
  }

  it("is nowhere where what is around it is no object", () => {
    expect(at('{"signed":[{"targets":1}]}', "signed", "targets")).toBeUndefined();
    expect(at('{"signed":null,"targets":1}', "signed", "targets")).toBeUndefined();
    expect(at('{"targets":1}', "signed", "targets")).toBeUndefined();
  });

  it("is where the parser finds it, in all JSON", () => {
    const value = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("a", "b")), fc.jsonValue(), { maxKeys: 4 });
    const names = fc.tuple(fc.constantFrom("a", "b"), fc.constantFrom("a", "b"));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom("a", "b", "\\", '"'), value), names, fc.nat(2), (all, path, indent) => {
        const text = JSON.stringify(all, undefined, indent);
        const parsed = JSON.parse(text) as JsonValue;
        const inner = isJsonObject(parsed) && Object.hasOwn(parsed, path[0]) ? parsed[path[0]] : undefined;
        const wanted = isJsonObject(inner) && Object.hasOwn(inner, path[1]) ? inner[path[1]] : undefined;
        const found = findMember(text, path);
        if (wanted === undefined) expect(found).toBeUndefined();
        else expect(text.slice(found).startsWith(JSON.stringify(wanted, undefined, indent)[0]!)).toBe(true);
        expect(found === undefined).toBe(wanted === undefined);
      }),
    );
  });
});

import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { JsonCursor, formatFault } from "../../src/base/json-cursor.ts";
import { parseJson } from "../../src/base/json.ts";

function cursor(text: string): JsonCursor {
  return new JsonCursor(parseJson(text), formatFault("CONFIG_INVALID", "the file"));
}

describe("JsonCursor", () => {
  it("reads what is there and says where a type is wrong", () => {
    const file = cursor('{"a":{"b":[1,"x"]}}').object(["a"]);
    const list = file.field("a").object(["b"]).field("b").array(2);
    expect(list[0]!.integer()).toBe(1);
    expect(() => list[1]!.integer()).toThrow("the file is not valid: a.b[1]: expected an integer, got a string");
  });

  it("refuses a key that differs from a known one only by case, as Go would read it", () => {
    expect(() => cursor('{"Layers":[]}').object(["layers"])).toThrow(
      'the key "Layers" differs from "layers" only by case',
    );
    expect(() => cursor('{"layer\u017f":[]}').object(["layers"])).toThrow("only by case");
    expect(() => cursor('{"\u212aey":1}').object(["key"])).toThrow("only by case");
    expect(() => cursor('{"other":[]}').object(["layers"])).not.toThrow();
  });

  it("bounds arrays and objects", () => {
    expect(() => cursor("[1,2,3]").array(2)).toThrow("at most 2 elements, got 3");
    expect(() => cursor('{"a":1,"b":2}').entries(1)).toThrow("at most 1 members, got 2");
  });

  it("keeps members that are called like Object's own", () => {
    expect(
      cursor('{"constructor":1,"__proto__":2}')
        .entries(9)
        .map(([key, value]) => [key, value.integer()]),
    ).toEqual([
      ["constructor", 1],
      ["__proto__", 2],
    ]);
  });

  it("tells absent from null", () => {
    const file = cursor('{"a":null}').object([]);
    expect(file.field("a").absent).toBe(false);
    expect(file.field("a").empty).toBe(true);
    expect(file.field("toString").absent).toBe(true);
    expect(() => file.field("b").string()).toThrow("b: missing, expected a string");
  });

  it.each(["1.5", "-1", '"1"', "null", "[]", "true"])("refuses %s as a count", (text) => {
    expect(() => cursor(text).integer()).toThrow(FormatError);
  });

  it.each(['"A"', '"AA="', '"AAAA\\n"', '"A-_="', "1"])("refuses %s as base64", (text) => {
    expect(() => cursor(text).base64()).toThrow(FormatError);
  });
});

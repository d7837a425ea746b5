import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, utf8Encode } from "../../src/base/bytes.ts";
import { scanWasm } from "../../src/wasm/binary.ts";
import {
  bytes,
  custom,
  name,
  nameSection,
  ONE_TYPE,
  producers,
  section,
  u32,
  vec,
  wasmModule,
} from "../support/wasm-builder.ts";

const text = fc.string({ unit: "grapheme", maxLength: 10 });

describe("custom sections", () => {
  test("give back any producers", () => {
    const value = fc.record({ name: text, version: text });
    const field = fc.record({ field: text, values: fc.array(value, { maxLength: 5 }) });
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), (fields) => {
        expect(scanWasm(wasmModule(producers(fields))).producers).toEqual(fields);
      }),
    );
  });

  test("give the module's name, and none where the section begins with something else", () => {
    expect(scanWasm(wasmModule(nameSection("größe"))).name).toBe("größe");
    expect(scanWasm(wasmModule(custom("name", section(1, bytes(0))))).name).toBeUndefined();
    expect(scanWasm(wasmModule(custom("name"))).name).toBeUndefined();
    expect(scanWasm(wasmModule(nameSection("other", "component-name"))).name).toBeUndefined();
  });

  test("give the module's name from the front of a name section of any size", () => {
    const large = custom("name", section(0, name("app")), section(1, new Uint8Array(1_000_000)));
    expect(scanWasm(wasmModule(large))).toMatchObject({ name: "app", notes: [] });
  });

  test("give the texts that describe the binary", () => {
    const info = scanWasm(
      wasmModule(
        custom("description", utf8Encode("says hello")),
        custom("licenses", utf8Encode("Apache-2.0")),
        custom("__proto__", utf8Encode("x")),
      ),
    );
    expect(info.metadata).toEqual({ description: "says hello", licenses: "Apache-2.0" });
    expect(info.customSections.map((entry) => entry.name)).toEqual(["description", "licenses", "__proto__"]);
  });

  test("count only once: a second one is noted and not read", () => {
    const info = scanWasm(wasmModule(nameSection("first"), nameSection("second"), nameSection("third")));
    expect(info.name).toBe("first");
    expect(info.notes).toEqual(["the second section named name was not read"]);
  });

  test.each([
    ["a name cut off", custom("name", section(0, bytes(50, 0x61)))],
    ["a name that is not UTF-8", custom("name", section(0, bytes(1, 0xff)))],
    ["producers with a count beyond their end", custom("producers", u32(2 ** 32 - 1))],
    ["producers with bytes left over", custom("producers", bytes(0, 1))],
    ["1,001 producers", custom("producers", vec(Array.from({ length: 1_001 }, () => bytes(0, 0))))],
    ["a description that is not UTF-8", custom("description", bytes(0xff))],
    ["a description of more than 64 KiB", custom("description", new Uint8Array(65_537).fill(0x61))],
    ["producers of more than 64 KiB", custom("producers", new Uint8Array(65_537))],
  ])("may be damaged without the binary being so: %s", (_what, damaged) => {
    const info = scanWasm(wasmModule(damaged, ONE_TYPE));
    expect(info.notes).toHaveLength(1);
    expect(info.name ?? info.producers ?? info.metadata["description"]).toBeUndefined();
    expect(info.sections.map((entry) => entry.name)).toEqual(["custom", "type"]);
  });

  test("may lie anywhere and repeat", () => {
    const info = scanWasm(wasmModule(custom("a"), ONE_TYPE, custom("a", bytes(1)), concatBytes([custom("")])));
    expect(info.customSections).toEqual([
      { name: "a", size: 0 },
      { name: "a", size: 1 },
      { name: "", size: 0 },
    ]);
  });
});

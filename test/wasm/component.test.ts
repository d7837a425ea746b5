import { describe, expect, test } from "vitest";
import { concatBytes, type Bytes } from "../../src/base/bytes.ts";
import { scanWasm } from "../../src/wasm/binary.ts";
import {
  bytes,
  component,
  componentExport,
  componentExports,
  componentImport,
  componentImports,
  externName,
  name,
  nameSection,
  section,
  u32,
  vec,
  wasmModule,
} from "../support/wasm-builder.ts";

const TYPE = 7;

describe("components", () => {
  test("keep the order of the binary over interleaved sections", () => {
    const info = scanWasm(
      component(
        componentImports(componentImport("wasi:cli/stdout@0.2.0"), componentImport("log", "function")),
        section(8, bytes(0)),
        componentExports(componentExport("demo:app/run@1.0.0")),
        componentImports(componentImport("a:b/c")),
        componentExports(componentExport("start", "function")),
      ),
    );
    expect(info.imports).toEqual([
      { name: "wasi:cli/stdout@0.2.0", kind: "instance" },
      { name: "log", kind: "function" },
      { name: "a:b/c", kind: "instance" },
    ]);
    expect(info.exports).toEqual([
      { name: "demo:app/run@1.0.0", kind: "instance" },
      { name: "start", kind: "function" },
    ]);
    expect(info.sections.map((entry) => entry.name)).toEqual(["import", "canon", "export", "import", "export"]);
  });

  test("count what is nested in them without entering it", () => {
    const bomb = (depth: number): Bytes => (depth === 0 ? component() : component(section(4, bomb(depth - 1))));
    const info = scanWasm(
      component(
        section(1, wasmModule()),
        section(4, bomb(2_000)),
        section(1, bytes(0xff)),
        nameSection("outer", "component-name"),
      ),
    );
    expect(info.nested).toEqual({ modules: 2, components: 1 });
    expect(info.name).toBe("outer");
  });

  test("read every kind of import", () => {
    const entries = [
      concatBytes([externName("module"), bytes(0x00, 0x11, 0)]),
      concatBytes([externName("function"), bytes(0x01, 0)]),
      concatBytes([externName("value"), bytes(0x02, 0x01, 0x73)]),
      concatBytes([externName("equal-value"), bytes(0x02, 0x00, 0x00)]),
      concatBytes([externName("type"), bytes(0x03, 0x00, 0)]),
      concatBytes([externName("resource"), bytes(0x03, 0x01)]),
      concatBytes([externName("component"), bytes(0x04, 0)]),
      concatBytes([externName("instance"), bytes(0x05, 0)]),
    ];
    expect(scanWasm(component(componentImports(...entries))).imports.map(({ kind }) => kind)).toEqual([
      "module",
      "function",
      "value",
      "value",
      "type",
      "type",
      "component",
      "instance",
    ]);
  });

  test("read names with attributes, and say what a plain name stands for", () => {
    const attributes = vec([
      concatBytes([bytes(0x00), name("wasi:logging/logger@0.2.0")]),
      concatBytes([bytes(0x01), name(".1")]),
      concatBytes([bytes(0x02), name("anything")]),
    ]);
    const named = concatBytes([bytes(0x02), name("logger"), attributes, bytes(0x05, 0)]);
    const info = scanWasm(component(componentImports(concatBytes([named]), componentImport("next"))));
    expect(info.imports).toEqual([
      { name: "logger", implements: "wasi:logging/logger@0.2.0", versionSuffix: ".1", kind: "instance" },
      { name: "next", kind: "instance" },
    ]);
    expect(info.wasi).toEqual(["wasip2"]);
  });

  test("refuse unknown and endless attributes", () => {
    const withAttributes = (list: Bytes): Bytes =>
      component(componentImports(concatBytes([bytes(0x02), name("a"), list, bytes(0x05, 0)])));
    expect(() => scanWasm(withAttributes(vec([bytes(0x09, 0)])))).toThrow(/unknown attribute 0x9/);
    expect(() => scanWasm(withAttributes(vec(Array.from({ length: 17 }, () => bytes(0x02, 0)))))).toThrow(
      /17 attributes/,
    );
  });

  test("pass over the type that an export is given", () => {
    const ascribed = concatBytes([externName("run"), bytes(0x05, 0, 0x01, 0x05, 0)]);
    const info = scanWasm(component(componentExports(ascribed, componentExport("next"))));
    expect(info.exports.map((entry) => entry.name)).toEqual(["run", "next"]);
  });

  test("keep names that are no interface as they are", () => {
    const text = "unlocked-dep=<demo:x@{>=1.0.0}>";
    expect(scanWasm(component(componentImports(componentImport(text)))).imports).toEqual([
      { name: text, kind: "instance" },
    ]);
  });

  test("tell WASI 0.2 and 0.3 by their interfaces", () => {
    const importing = (...names: string[]): Bytes =>
      component(componentImports(...names.map((text) => componentImport(text))));
    expect(scanWasm(importing("wasi:http/types@0.2.6")).wasi).toEqual(["wasip2"]);
    expect(scanWasm(importing("wasi:http/types@0.3.0-rc-2026-01-06")).wasi).toEqual(["wasip3"]);
    expect(scanWasm(importing("wasi:cli/run@0.3.0", "wasi:cli/stdout@0.2.0")).wasi).toEqual(["wasip2", "wasip3"]);
    expect(scanWasm(importing("demo:wasi/types@0.2.0")).wasi).toEqual([]);
    expect(scanWasm(importing("wasi:http/types@0.20.0")).wasi).toEqual([]);
  });
});

/** A component type that exports one instance or component under a name. */
function packaged(text: string, sort: 0x04 | 0x05): Bytes {
  const inner = concatBytes([bytes(0x01), bytes(sort === 0x05 ? 0x42 : 0x41, 0)]);
  const exported = concatBytes([bytes(0x04), externName(text), bytes(sort, 0)]);
  return concatBytes([bytes(0x41), vec([inner, exported])]);
}

describe("WIT packages", () => {
  test("are told by exported component types and named by what these export", () => {
    const info = scanWasm(
      component(
        section(TYPE, vec([packaged("demo:a/types@1.0.0", 0x05)])),
        componentExports(componentExport("types", "type", 0)),
        section(TYPE, vec([packaged("demo:a/app@1.0.0", 0x04)])),
        componentExports(componentExport("app", "type", 2)), // index 1 is the export above
      ),
    );
    expect(info).toMatchObject({
      kind: "wit-package",
      exports: [
        { name: "demo:a/types@1.0.0", kind: "interface" },
        { name: "demo:a/app@1.0.0", kind: "world" },
      ],
    });
  });

  test("are told from components that export plain types", () => {
    const info = scanWasm(
      component(section(TYPE, vec([bytes(0x73)])), componentExports(componentExport("t", "type", 0))),
    );
    expect(info).toMatchObject({ kind: "component", exports: [{ name: "t", kind: "type" }], notes: [] });
  });

  test("are told from components that export types of other names", () => {
    const types = section(TYPE, vec([packaged("not-a-package", 0x05)]));
    expect(scanWasm(component(types, componentExports(componentExport("t", "type", 0)))).kind).toBe("component");
  });

  test("are told from components that have anything to run", () => {
    const parts = [section(TYPE, vec([packaged("demo:a/b", 0x05)])), componentExports(componentExport("b", "type", 0))];
    expect(scanWasm(component(...parts)).kind).toBe("wit-package");
    expect(scanWasm(component(...parts, section(1, wasmModule()))).kind).toBe("component");
    expect(scanWasm(component(componentImports(componentImport("a:b/c")), ...parts)).kind).toBe("component");
    expect(scanWasm(component()).kind).toBe("component");
  });

  test("that hold types of the future come out as components with a note, not as errors", () => {
    const info = scanWasm(
      component(section(TYPE, vec([bytes(0x3a)])), componentExports(componentExport("b", "type", 0))),
    );
    expect(info.kind).toBe("component");
    expect(info.notes).toEqual([expect.stringMatching(/it may be a WIT package/)]);
  });

  test("that nest without end are left alone, at no cost of stack", () => {
    let nested: Uint8Array = bytes(0x41, 0);
    for (let i = 0; i < 5_000; i++) nested = concatBytes([bytes(0x41, 1, 0x01), nested]);
    const info = scanWasm(component(section(TYPE, vec([nested])), componentExports(componentExport("b", "type", 0))));
    expect(info.kind).toBe("component");
    expect(info.notes).toHaveLength(1);
  });

  test.each([
    ["millions of types of one byte", section(TYPE, u32(8_000_000), new Uint8Array(8_000_000).fill(0x73))],
    [
      "a type with more exports than are kept",
      section(
        TYPE,
        bytes(1, 0x41),
        u32(100_001),
        new Uint8Array(600_006).map((_, at) => [0x04, 0, 0, 0x05, 0, 0][at % 5] ?? 0),
      ),
    ],
    [
      "types that together export more than is kept",
      section(TYPE, u32(60_000), ...Array.from({ length: 60_000 }, () => bytes(0x41, 1, 0x04, 0, 0, 0x05, 0))),
    ],
  ])("are left alone where they hold %s", (_what, types) => {
    const info = scanWasm(component(types, componentExports(componentExport("b", "type", 0))));
    expect(info).toMatchObject({ kind: "component", exports: [{ name: "b", kind: "type" }] });
    expect(info.notes).toHaveLength(1);
  });

  test("that export one large type under many names cost no more than their size", () => {
    const item = (index: number): Bytes => concatBytes([bytes(0x04), externName(`a:b/c${index}`), bytes(0x05, 0)]);
    const type = concatBytes([bytes(0x41), vec(Array.from({ length: 20_000 }, (_, index) => item(index)))]);
    const names = Array.from({ length: 20_000 }, (_, index) => componentExport(`n${index}`, "type", 0));
    const info = scanWasm(component(section(TYPE, vec([type])), componentExports(...names)));
    expect(info.kind).toBe("wit-package");
    expect(info.exports).toHaveLength(20_000);
  });

  test("have their types passed over, each kind of them", () => {
    const label = name("x");
    const types = [
      concatBytes([bytes(0x72, 1), label, bytes(0x73)]), // record
      concatBytes([bytes(0x71, 2), label, bytes(0x01, 0x73, 0x00), name("y"), bytes(0x00, 0x00)]), // variant
      concatBytes([bytes(0x6e, 1), label]), // flags
      concatBytes([bytes(0x6d, 1), label]), // enum
      bytes(0x6f, 2, 0x73, 0x79), // tuple
      bytes(0x70, 0x73), // list
      bytes(0x67, 0x73, 4), // list of four
      bytes(0x6b, 0x73), // option
      bytes(0x6a, 0x01, 0x73, 0x00), // result
      bytes(0x63, 0x73, 0x79), // map
      bytes(0x66, 0x01, 0x7d), // stream
      bytes(0x65, 0x00), // future
      bytes(0x69, 0x00), // own
      bytes(0x68, 0x00), // borrow
      bytes(0x64), // error context
      bytes(0x3f, 0x7f, 0x01, 0x00), // resource
      concatBytes([bytes(0x40, 1), label, bytes(0x73, 0x00, 0x73)]), // function
      bytes(0x43, 0, 0x01, 0x00), // async function
      concatBytes([
        bytes(0x42),
        vec([bytes(0x02, 0x03, 0x02, 1, 0), concatBytes([bytes(0x02, 0x03, 0x00, 0), label])]),
      ]),
      concatBytes([bytes(0x41), vec([concatBytes([bytes(0x03), externName("dep"), bytes(0x05, 0)])])]),
      packaged("demo:a/b", 0x05),
    ];
    const whole = component(
      section(TYPE, vec(types)),
      componentExports(componentExport("b", "type", types.length - 1)),
    );
    expect(scanWasm(whole)).toMatchObject({ kind: "wit-package", exports: [{ name: "demo:a/b" }], notes: [] });
  });

  test("do not make a component unreadable whose types are larger than is read", () => {
    const types = section(TYPE, u32(0), new Uint8Array(16 * 1024 * 1024 + 1));
    const info = scanWasm(component(types, componentImports(componentImport("a:b/c"))));
    expect(info).toMatchObject({ kind: "component", imports: [{ name: "a:b/c" }], notes: [] });
    const perhaps = scanWasm(component(types, componentExports(componentExport("b", "type", 0))));
    expect(perhaps.notes).toEqual([expect.stringMatching(/it may be a WIT package/)]);
  });
});

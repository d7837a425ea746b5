/** Core modules, compared with what V8 reads from the same bytes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import wabtInit from "wabt";
import { concatBytes, type Bytes } from "../../src/base/bytes.ts";
import { scanWasm } from "../../src/wasm/binary.ts";
import {
  bytes,
  coreExport,
  coreExports,
  coreImport,
  coreImports,
  custom,
  IMPORT_TYPES,
  name,
  ONE_TYPE,
  section,
  u32,
  wasmModule,
  type ImportKind,
} from "../support/wasm-builder.ts";

const wabt = await wabtInit();

const FEATURES = { threads: true, memory64: true, exceptions: true, multi_memory: true };

function assemble(wat: string): Bytes {
  const module = wabt.parseWat("test.wat", wat, FEATURES);
  const { buffer } = module.toBinary({ write_debug_names: true });
  module.destroy();
  return new Uint8Array(buffer);
}

function readByV8(binary: Bytes): unknown {
  const module = new WebAssembly.Module(binary);
  return {
    imports: WebAssembly.Module.imports(module).map(({ module: from, name: field, kind }) => ({
      module: from,
      name: field,
      kind,
    })),
    exports: WebAssembly.Module.exports(module).map(({ name: field, kind }) => ({ name: field, kind })),
  };
}

function readByUs(binary: Bytes): unknown {
  const { imports, exports } = scanWasm(binary);
  return { imports, exports };
}

describe("modules assembled from text", () => {
  const RICH = assemble(`
    (module $rich
      (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
      (import "env" "table" (table 1 10 funcref))
      (import "env" "externs" (table 0 externref))
      (import "env" "memory" (memory 1 4))
      (import "env" "constant" (global i64))
      (import "env" "variable" (global (mut f64)))
      (memory 2)
      (func $start (export "_start"))
      (global (export "answer") i32 (i32.const 42))
      (export "again" (func $start))
      (export "table" (table 0))
      (data (i32.const 0) "hello"))`);

  test("reads the imports and exports that V8 reads", () => {
    const single = assemble(`
      (module
        (import "a" "f" (func (param i32)))
        (import "a" "t" (table 1 10 funcref))
        (import "a" "x" (table 0 externref))
        (import "a" "m" (memory 1 4))
        (import "a" "g" (global (mut f64)))
        (func (export ""))
        (export "m" (memory 0)) (export "g" (global 0)) (export "t" (table 1)))`);
    expect(readByUs(single)).toEqual(readByV8(single));
  });

  test("tells the name, the memories and the system interface", () => {
    expect(scanWasm(RICH)).toMatchObject({
      kind: "module",
      name: "rich",
      wasi: ["wasi_snapshot_preview1"],
      memories: [
        { minimum: 1, maximum: 4, imported: true, shared: false, memory64: false, pageSize: 65_536 },
        { minimum: 2, imported: false, shared: false, memory64: false, pageSize: 65_536 },
      ],
    });
  });

  test("tells shared and 64-bit memories", () => {
    expect(scanWasm(assemble("(module (memory 1 2 shared))")).memories).toMatchObject([{ shared: true, maximum: 2 }]);
    expect(scanWasm(assemble("(module (memory i64 1))")).memories).toMatchObject([{ memory64: true, minimum: 1 }]);
  });

  test("tells the WASI of 2019 from its successor, and both where both are there", () => {
    const importing = (...modules: string[]): Bytes =>
      assemble(`(module ${modules.map((from) => `(import "${from}" "proc_exit" (func (param i32)))`).join("")})`);
    expect(scanWasm(importing("wasi_unstable")).wasi).toEqual(["wasi_unstable"]);
    expect(scanWasm(importing("wasi_snapshot_preview1")).wasi).toEqual(["wasi_snapshot_preview1"]);
    expect(scanWasm(importing("wasi_snapshot_preview1", "wasi_unstable")).wasi).toEqual([
      "wasi_unstable",
      "wasi_snapshot_preview1",
    ]);
    expect(scanWasm(importing("env")).wasi).toEqual([]);
  });
});

describe("newer encodings", () => {
  test("reads groups of imports from one module (compact imports)", () => {
    const byItem = concatBytes([name("env"), bytes(0, 0x7f, 2), name("f"), bytes(0, 0), name("m"), bytes(2, 0, 1)]);
    const byType = concatBytes([name("wasi_unstable"), bytes(0, 0x7e, 0, 0, 2), name("a"), name("b")]);
    const info = scanWasm(wasmModule(ONE_TYPE, coreImports(byItem, byType, coreImport("x", "", "tag"))));
    expect(info.imports).toEqual([
      { module: "env", name: "f", kind: "function" },
      { module: "env", name: "m", kind: "memory" },
      { module: "wasi_unstable", name: "a", kind: "function" },
      { module: "wasi_unstable", name: "b", kind: "function" },
      { module: "x", name: "", kind: "tag" },
    ]);
    expect(info.memories).toHaveLength(1);
  });

  test.each([
    ["a typed reference", bytes(0x03, 0x64, 0x00, 0x00)],
    ["a nullable typed reference of a padded index", bytes(0x03, 0x63, 0x80, 0x80, 0x00, 0x01)],
    ["a reference to an exact type", bytes(0x03, 0x64, 0x62, 0x05, 0x00)],
    ["a shared reference", bytes(0x03, 0x63, 0x65, 0x70, 0x00)],
    ["a table of typed references", bytes(0x01, 0x64, 0x00, 0x00, 0x01)],
    [
      "a 64-bit table without a largest size",
      bytes(0x01, 0x70, 0x05, 0, ...Array.from({ length: 9 }, () => 0xff), 0x01),
    ],
  ])("passes over the type of %s", (_what, type) => {
    const entry = concatBytes([name("a"), name("b"), type]);
    const info = scanWasm(wasmModule(coreImports(entry, coreImport("c", "d", "function"))));
    expect(info.imports.map(({ module }) => module)).toEqual(["a", "c"]);
  });

  test("reads a custom page size", () => {
    const info = scanWasm(wasmModule(section(5, bytes(1, 0x09, 1, 8, 0))));
    expect(info.memories).toEqual([
      { minimum: 1, maximum: 8, imported: false, shared: false, memory64: false, pageSize: 1 },
    ]);
  });

  test("reads a function of an exact type", () => {
    const entry = concatBytes([name("a"), name("b"), bytes(0x20, 0x00)]);
    expect(scanWasm(wasmModule(ONE_TYPE, coreImports(entry))).imports[0]?.kind).toBe("function");
  });

  test("names sections that it does not know, and passes them by", () => {
    expect(scanWasm(wasmModule(section(14, bytes(1, 2, 3)))).sections).toEqual([
      { name: "unknown-14", offset: 10, size: 3 },
    ]);
  });

  test.each([
    ["a value type", concatBytes([name("a"), name("b"), bytes(0x03, 0x00, 0x00)]), /unknown type 0x0/],
    ["a mutability", concatBytes([name("a"), name("b"), bytes(0x03, 0x7f, 0x04)]), /unknown mutability/],
    ["a tag's attribute", concatBytes([name("a"), name("b"), bytes(0x04, 0x01, 0x00)]), /unknown attribute of a tag/],
    [
      "an index of more than 33 bits",
      concatBytes([name("a"), name("b"), bytes(0x03, 0x64, 0x80, 0x80, 0x80, 0x80, 0x80, 0)]),
      /33 bits/,
    ],
  ])("refuses %s that it does not know rather than lose the imports behind it", (_what, entry, message) => {
    expect(() => scanWasm(wasmModule(coreImports(entry)))).toThrow(message);
  });
});

describe("modules of any imports and exports", () => {
  const kinds = Object.keys(IMPORT_TYPES).filter((kind): kind is ImportKind => kind !== "tag"); // Node 20 has no tags
  const importEntry = fc.record({
    module: fc.string({ unit: "binary", maxLength: 12 }).filter((text) => !/\p{Cs}/u.test(text)),
    name: fc.string({ unit: "grapheme", maxLength: 12 }),
    kind: fc.constantFrom(...kinds),
  });

  /** Not more than one memory: V8 of Node 20 allows no second one. */
  const importList = fc
    .array(importEntry, { maxLength: 30 })
    .map((list) =>
      list.filter(({ kind }, index) => kind !== "memory" || list.findIndex((e) => e.kind === kind) === index),
    );

  test("are read as V8 reads them, wherever custom sections lie", () => {
    fc.assert(
      fc.property(
        importList,
        fc.uniqueArray(fc.string({ maxLength: 8 }), { maxLength: 10 }),
        fc.nat(3),
        (list, names, place) => {
          const sections = [
            ONE_TYPE,
            coreImports(...list.map((entry) => coreImport(entry.module, entry.name, entry.kind))),
            section(3, bytes(1, 0)),
            coreExports(...names.map((text) => coreExport(text, "function"))),
            section(10, bytes(1, 2, 0, 0x0b)),
          ];
          sections.splice(place, 0, custom("x", bytes(1, 2)));
          const binary = wasmModule(...sections);
          expect(readByUs(binary)).toEqual(readByV8(binary));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("are never refused where V8 accepts them, however they are damaged", () => {
    const sound = wasmModule(
      ONE_TYPE,
      coreImports(
        coreImport("env", "f", "function"),
        coreImport("env", "g", "global"),
        coreImport("env", "t", "table"),
      ),
      section(3, bytes(1, 0)),
      section(5, bytes(1, 1, 1, 2)),
      coreExports(coreExport("a", "function"), coreExport("b", "global")),
      section(10, bytes(1, 2, 0, 0x0b)),
      custom("name", bytes(0, 2, 1, 0x61)),
    );
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 2 }),
        (edits) => {
          const damaged = sound.slice();
          for (const [at, value] of edits) damaged[at] = value;
          if (!WebAssembly.validate(damaged)) return;
          accepted++;
          expect(readByUs(damaged)).toEqual(readByV8(damaged));
        },
      ),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("have a size that costs time in proportion, not more", () => {
    const binary = (count: number): Bytes =>
      wasmModule(ONE_TYPE, section(2, u32(count), new Uint8Array(4 * count)), section(7, u32(0)));
    const cost = (count: number): number => {
      const input = binary(count);
      const start = performance.now();
      for (let i = 0; i < 5; i++) scanWasm(input);
      return performance.now() - start;
    };
    cost(10_000); // warm up
    expect(cost(100_000)).toBeLessThan(Math.max(100, 100 * cost(10_000))); // quadratic time would be 100 times 10 times
  });
});

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, utf8Encode } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { scanWasm, WasmScanner, type WasmInfo } from "../../src/wasm/binary.ts";
import {
  bytes,
  chunksOf,
  component,
  componentExport,
  componentExports,
  componentImport,
  componentImports,
  coreExport,
  coreExports,
  coreImport,
  coreImports,
  custom,
  MODULE_PREAMBLE,
  nameSection,
  ONE_TYPE,
  producers,
  section,
  u32,
  wasmModule,
} from "../support/wasm-builder.ts";

const GREETER = readFileSync(new URL("../fixtures/wasm/greeter.wasm", import.meta.url));
const GREETER_PACKAGE = readFileSync(new URL("../fixtures/wasm/greeter-package.wasm", import.meta.url));

const MODULE = wasmModule(
  custom("first", bytes(1, 2, 3)),
  ONE_TYPE,
  coreImports(
    coreImport("wasi_snapshot_preview1", "fd_write", "function"),
    coreImport("env", "memory", "memory"),
    coreImport("env", "größe", "global"),
  ),
  coreExports(coreExport("_start", "function"), coreExport("memory", "memory")),
  nameSection("hello"),
  producers([{ field: "language", values: [{ name: "Rust", version: "1.80" }] }]),
  custom("version", utf8Encode("1.2.3")),
);

/** Scans in pieces; an error comes back as its code and message. */
function scanChunks(chunks: Iterable<Uint8Array>): WasmInfo | string {
  const scanner = new WasmScanner();
  try {
    for (const chunk of chunks) scanner.push(chunk);
    return scanner.end();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

function fault(whole: Uint8Array): FormatError {
  try {
    scanWasm(whole);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("expected a FormatError");
}

describe("the kinds of binaries", () => {
  test("recognises a core module and everything that it says", () => {
    expect(scanWasm(MODULE)).toEqual({
      kind: "module",
      size: MODULE.length,
      imports: [
        { module: "wasi_snapshot_preview1", name: "fd_write", kind: "function" },
        { module: "env", name: "memory", kind: "memory" },
        { module: "env", name: "größe", kind: "global" },
      ],
      exports: [
        { name: "_start", kind: "function" },
        { name: "memory", kind: "memory" },
      ],
      sections: [
        { name: "custom", offset: 10, size: 9 },
        { name: "type", offset: 21, size: 4 },
        { name: "import", offset: 27, size: 64 },
        { name: "export", offset: 93, size: 19 },
        { name: "custom", offset: 114, size: 13 },
        { name: "custom", offset: 129, size: 31 },
        { name: "custom", offset: 162, size: 13 },
      ],
      customSections: [
        { name: "first", size: 3 },
        { name: "name", size: 8 },
        { name: "producers", size: 21 },
        { name: "version", size: 5 },
      ],
      memories: [{ minimum: 1, imported: true, shared: false, memory64: false, pageSize: 65_536 }],
      nested: { modules: 0, components: 0 },
      wasi: ["wasi_snapshot_preview1"],
      name: "hello",
      producers: [{ field: "language", values: [{ name: "Rust", version: "1.80" }] }],
      metadata: { version: "1.2.3" },
      notes: [],
    });
  });

  test("recognises an empty module", () => {
    expect(scanWasm(MODULE_PREAMBLE)).toMatchObject({
      kind: "module",
      imports: [],
      exports: [],
      sections: [],
      size: 8,
    });
  });

  test("recognises a component that real tools made", () => {
    expect(scanWasm(GREETER)).toMatchObject({
      kind: "component",
      imports: [
        { name: "wasi:io/streams@0.2.0", kind: "instance" },
        { name: "wasi:cli/stdout@0.2.0", kind: "instance" },
        { name: "log", kind: "function" },
      ],
      exports: [
        { name: "version", kind: "function" },
        { name: "demo:greeter/greet@1.0.0", kind: "instance" },
      ],
      wasi: ["wasip2"],
      notes: [],
    });
  });

  test("recognises a WIT package and names its interfaces and worlds in full", () => {
    expect(scanWasm(GREETER_PACKAGE)).toMatchObject({
      kind: "wit-package",
      imports: [],
      exports: [
        { name: "demo:greeter/greet@1.0.0", kind: "interface" },
        { name: "demo:greeter/hello@1.0.0", kind: "world" },
      ],
      wasi: [],
      notes: [],
    });
  });

  test("gives a result that goes to JSON and back unchanged", () => {
    for (const binary of [MODULE, GREETER, GREETER_PACKAGE]) {
      const info = scanWasm(binary);
      expect(JSON.parse(JSON.stringify(info))).toEqual(info);
    }
  });
});

describe("files that are no Wasm", () => {
  test.each([
    ["an empty file", bytes(), /empty/],
    ["three bytes of the magic", MODULE_PREAMBLE.subarray(0, 3), /ends within the preamble/],
    ["seven bytes of a preamble", MODULE_PREAMBLE.subarray(0, 7), /ends within the preamble/],
    ["other bytes", bytes(1, 2, 3, 4, 5, 6, 7, 8), /does not begin with 00 61 73 6d/],
    ["one other byte", bytes(9), /does not begin with 00 61 73 6d/],
    ["WebAssembly text", utf8Encode("(module)"), /looks like WebAssembly text/],
    ["gzip data", bytes(0x1f, 0x8b, 8, 0, 0), /looks like gzip data/],
    ["zstd data", bytes(0x28, 0xb5, 0x2f, 0xfd, 0, 0), /looks like zstd data/],
    ["an error page", utf8Encode("<!DOCTYPE html>"), /looks like HTML/],
    ["an error message", utf8Encode('{"errors":[]}'), /looks like JSON/],
    ["a native executable", bytes(0x7f, 0x45, 0x4c, 0x46, 2), /native executable/],
    ["a module of another version", bytes(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /binary version 2, layer 0/],
    ["a component of a draft version", bytes(0, 0x61, 0x73, 0x6d, 0x0a, 0, 1, 0), /a component of binary version 10/],
    ["a component's version on a module", bytes(0, 0x61, 0x73, 0x6d, 0x0d, 0, 0, 0), /binary version 13, layer 0/],
  ])("refuses %s and names it", (_what, whole, message) => {
    const error = fault(whole);
    expect(error.code).toBe("WASM_INVALID");
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
    expect(error.details["offset"]).toBeTypeOf("number");
  });

  test("refuses another file with its fourth byte, before the rest of a large download", () => {
    const scanner = new WasmScanner();
    scanner.push(utf8Encode("<ht"));
    expect(() => scanner.push(utf8Encode("m"))).toThrow(FormatError);
  });

  test("keeps refusing after an error, whatever comes next", () => {
    const scanner = new WasmScanner();
    expect(() => scanner.push(utf8Encode("<html>"))).toThrow(/looks like HTML/);
    expect(() => scanner.push(MODULE_PREAMBLE)).toThrow(/looks like HTML/);
    expect(() => scanner.end()).toThrow(/looks like HTML/);
  });
});

describe("hostile structure", () => {
  test.each([
    [
      "a section that ends behind the end of the file",
      wasmModule(bytes(10, 100, 1, 2)),
      /98 bytes before the end of its code/,
      12,
    ],
    [
      "a section size of 2^32-1",
      wasmModule(concatBytes([bytes(10), u32(2 ** 32 - 1)])),
      /4294967295 bytes before the end/,
      14,
    ],
    ["a section size of 2^32", wasmModule(bytes(10, 0x80, 0x80, 0x80, 0x80, 0x10)), /more than 32 bits/, 9],
    ["a section size of six bytes", wasmModule(bytes(10, 0x80, 0x80, 0x80, 0x80, 0x80, 0)), /more than 32 bits/, 9],
    ["an end within a section's head", wasmModule(bytes(10, 0x80)), /within the head of a section/, 10],
    ["an end after a section's id", wasmModule(bytes(10)), /within the head of a section/, 9],
    ["2^32-1 imports in five bytes", wasmModule(section(2, u32(2 ** 32 - 1))), /4294967295 elements in 0 bytes/, 10],
    [
      "a count of more than 32 bits",
      wasmModule(section(2, bytes(0xff, 0xff, 0xff, 0xff, 0x7f))),
      /more than 32 bits/,
      10,
    ],
    [
      "a name longer than its section",
      wasmModule(section(2, bytes(1, 100, 0x61, 0, 0, 0))),
      /length of 100 where 4 bytes/,
      12,
    ],
    [
      "a name of 100,001 bytes",
      wasmModule(section(2, u32(1), u32(100_001), new Uint8Array(100_010))),
      /a name of 100001 bytes/,
      13,
    ],
    ["a name that is not UTF-8", wasmModule(section(2, u32(1), bytes(2, 0xc3, 0x28, 0, 0, 0))), /not UTF-8/, 12],
    ["a name in over-long UTF-8", wasmModule(section(2, u32(1), bytes(2, 0xc0, 0xaf, 0, 0, 0))), /not UTF-8/, 12],
    [
      "a name with an encoded surrogate",
      wasmModule(section(2, u32(1), bytes(3, 0xed, 0xa0, 0x80, 0, 0, 0))),
      /not UTF-8/,
      12,
    ],
    ["bytes behind the last import", wasmModule(section(2, u32(0), bytes(1))), /1 bytes more than it needs/, 11],
    ["an import section that is empty", wasmModule(section(2)), /ends too early/, 10],
    [
      "an import of an unknown kind",
      wasmModule(coreImports(concatBytes([bytes(0, 0), bytes(9, 0)]))),
      /unknown kind 0x9/,
      13,
    ],
    ["two import sections", wasmModule(coreImports(), coreImports()), /import section out of order or twice/, 13],
    ["exports before imports", wasmModule(coreExports(), coreImports()), /import section out of order or twice/, 13],
    [
      "two exports of one name",
      wasmModule(coreExports(coreExport("a", "function"), coreExport("a", "memory"))),
      /second export named "a"/,
      15,
    ],
    ["a custom section without a name", wasmModule(section(0)), /ends too early/, 10],
    ["a custom section with a name that is not UTF-8", wasmModule(custom(bytes(0xff))), /not UTF-8/, 11],
    [
      "a custom section with a name longer than itself",
      wasmModule(section(0, bytes(50, 0x61))),
      /length of 50 where 1 bytes/,
      11,
    ],
    [
      "a memory with more pages than a number can count",
      wasmModule(section(5, bytes(1, 0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))),
      /2\^53-1 pages/,
      11,
    ],
    [
      "a memory limit of more than 64 bits",
      wasmModule(section(5, bytes(1, 0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02))),
      /more than 64 bits/,
      12,
    ],
    [
      "a memory whose minimum is above its maximum",
      wasmModule(section(5, bytes(1, 0x01, 2, 1))),
      /minimum is above its maximum/,
      11,
    ],
    ["unknown flags of a memory", wasmModule(section(5, bytes(1, 0x10, 1))), /unknown flags/, 11],
    ["pages larger than pages can be", wasmModule(section(5, bytes(1, 0x08, 1, 17))), /pages of more than 65,536/, 11],
    [
      "a component with two imports of one name",
      component(componentImports(componentImport("a:b/c"), componentImport("a:b/c"))),
      /second import named "a:b\/c"/,
      20,
    ],
    [
      "a component with two exports of one name",
      component(componentExports(componentExport("a")), componentExports(componentExport("a"))),
      /second export named "a"/,
      20,
    ],
    [
      "a component's import of an unknown sort",
      component(componentImports(bytes(0, 1, 0x61, 9, 0))),
      /unknown sort 0x9/,
      14,
    ],
    [
      "a component's name of an unknown form",
      component(componentImports(bytes(7, 1, 0x61, 5, 0))),
      /unknown form 0x7/,
      11,
    ],
    [
      "a component's import of a core function",
      component(componentImports(bytes(0, 1, 0x61, 0, 0, 0))),
      /core sort 0x0/,
      14,
    ],
  ])("refuses %s and says where", (_what, whole, message, offset) => {
    const error = fault(whole);
    expect(error.code).toBe("WASM_INVALID");
    expect(error.message).toMatch(message);
    expect(error.details["offset"]).toBe(offset);
  });

  test("does not let a name of the binary drive a terminal through a message", () => {
    const entry = coreExport("a\u001b[2K\u202e", "function");
    expect(fault(wasmModule(coreExports(entry, entry))).message).toMatch(/^[\u0020-\u007e]+$/);
  });

  test("accepts padded integers, as linkers write them", () => {
    const sound = concatBytes([bytes(2), u32(11, 5), u32(1, 5), coreImport("a", "b", "function")]);
    expect(scanWasm(wasmModule(ONE_TYPE, sound)).imports).toHaveLength(1);
  });
});

describe("limits", () => {
  test("refuses more than 100,000 imports before it makes them", () => {
    const entries = new Uint8Array(4 * 100_001); // each an import of "" "" of function 0
    const error = fault(wasmModule(ONE_TYPE, section(2, u32(100_001), entries)));
    expect(error.code).toBe("LIMIT_EXCEEDED");
    expect(error.message).toMatch(/more than 100000 imports/);
  });

  test("reads 100,000 imports", () => {
    const entries = new Uint8Array(4 * 100_000);
    expect(scanWasm(wasmModule(ONE_TYPE, section(2, u32(100_000), entries))).imports).toHaveLength(100_000);
  });

  test("refuses imports gathered in groups beyond the limit", () => {
    const group = concatBytes([bytes(0, 0, 0x7e, 0, 0), u32(60_000), new Uint8Array(60_000)]);
    expect(fault(wasmModule(ONE_TYPE, section(2, u32(2), group, group))).code).toBe("LIMIT_EXCEEDED");
  });

  test("refuses an import section announced as larger than may be read, without waiting for it", () => {
    const scanner = new WasmScanner();
    expect(() => scanner.push(wasmModule(bytes(2), u32(16 * 1024 * 1024 + 1)))).toThrow(
      expect.objectContaining({ code: "LIMIT_EXCEEDED" }),
    );
  });

  test("refuses a component whose import sections are endless", () => {
    const scanner = new WasmScanner();
    scanner.push(component());
    let sections = 0;
    const push = (): void => {
      for (; sections < 200; sections++) {
        const names = Array.from({ length: 1_000 }, (_, index) => `a:b/c${sections}-${index}`);
        scanner.push(componentImports(...names.map((text) => componentImport(text))));
      }
    };
    expect(push).toThrow(expect.objectContaining({ code: "LIMIT_EXCEEDED" }));
    expect(sections).toBe(100);
  });

  test("refuses endless empty sections", () => {
    const scanner = new WasmScanner();
    scanner.push(component());
    const many = new Uint8Array(2 * 10_000).map((_, index) => (index % 2 === 0 ? 2 : 0));
    const push = (): void => {
      for (let i = 0; i < 20; i++) scanner.push(many);
    };
    expect(push).toThrow(expect.objectContaining({ code: "LIMIT_EXCEEDED" }));
  });

  test("refuses custom sections whose names alone would fill the memory", () => {
    const scanner = new WasmScanner();
    scanner.push(wasmModule());
    const large = custom(new Uint8Array(100_000).fill(0x61));
    const push = (): void => {
      for (let i = 0; i < 1_000; i++) scanner.push(large);
    };
    expect(push).toThrow(expect.objectContaining({ code: "LIMIT_EXCEEDED" }));
  });

  test("passes over code and custom sections of any size without keeping them", () => {
    const scanner = new WasmScanner();
    const size = 3 * 1024 ** 3;
    scanner.push(concatBytes([wasmModule(ONE_TYPE), bytes(10), u32(size)]));
    const chunk = new Uint8Array(16 * 1024 * 1024);
    for (let passed = 0; passed < size; passed += chunk.length) scanner.push(chunk);
    scanner.push(concatBytes([bytes(0), u32(2 ** 31), bytes(4), utf8Encode("huge")]));
    for (let left = 2 ** 31 - 5; left > 0; left -= chunk.length)
      scanner.push(chunk.subarray(0, Math.min(left, chunk.length)));
    const info = scanner.end();
    expect(info.sections.map(({ name, size: length }) => [name, length])).toEqual([
      ["type", 4],
      ["code", size],
      ["custom", 2 ** 31],
    ]);
    expect(info.customSections).toEqual([{ name: "huge", size: 2 ** 31 - 5 }]);
  });
});

describe("reading in pieces", () => {
  test("gives the same result one byte at a time", () => {
    for (const binary of [MODULE, GREETER, GREETER_PACKAGE]) {
      const single = chunksOf(binary, [...binary.keys()]);
      expect(scanChunks(single)).toEqual(scanWasm(binary));
    }
  });

  test("keeps nothing of a chunk: its bytes may be overwritten after each push", () => {
    const scanner = new WasmScanner();
    for (const piece of chunksOf(MODULE, [3, 9, 30, 40, 41, 90, 120, 150])) {
      const reused = piece.slice();
      scanner.push(reused);
      reused.fill(0xff);
    }
    expect(scanner.end()).toEqual(scanWasm(MODULE));
  });

  test("gives the same result, or the same error, for any chunking of any damaged binary", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(MODULE, new Uint8Array(GREETER), new Uint8Array(GREETER_PACKAGE)),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        fc.nat(),
        fc.array(fc.nat(), { maxLength: 20 }),
        (binary, edits, end, cuts) => {
          const damaged = binary.slice(0, end % 3 === 0 ? end % (binary.length + 1) : binary.length);
          for (const [at, value] of edits) if (damaged.length > 0) damaged[at % damaged.length] = value;
          expect(scanChunks(chunksOf(damaged, cuts))).toEqual(scanChunks([damaged]));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("throws nothing but a FormatError for any bytes", () => {
    const anyBytes = fc.uint8Array({ maxLength: 300 });
    const preamble = fc.constantFrom(MODULE_PREAMBLE, component(), bytes());
    const withSection = fc
      .tuple(preamble, fc.nat(14), anyBytes)
      .map(([head, id, content]) => concatBytes([head, section(id, content)]));
    fc.assert(
      fc.property(fc.oneof(anyBytes, withSection), (whole) => {
        expect(() => scanChunks([whole])).not.toThrow();
      }),
      { numRuns: 5_000 },
    );
  });
});

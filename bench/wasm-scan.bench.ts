/**
 * How fast a module passes through the scanner. It must not be what limits a push: hashing runs at some
 * 0.5–2 GB/s, so scanning has to be far above. Run with `npx vitest bench bench/wasm-scan.bench.ts`.
 */
import { readFileSync } from "node:fs";
import { bench, describe } from "vitest";
import { concatBytes } from "../src/base/bytes.ts";
import { scanWasm, WasmScanner } from "../src/wasm/binary.ts";
import { bytes, coreImport, coreImports, ONE_TYPE, section, u32, wasmModule } from "../test/support/wasm-builder.ts";

const CHUNK = 64 * 1024;
const SIZE = 256 * 1024 * 1024;

const GREETER = readFileSync(new URL("../test/fixtures/wasm/greeter.wasm", import.meta.url));
const IMPORTS = wasmModule(
  ONE_TYPE,
  coreImports(...Array.from({ length: 10_000 }, (_, index) => coreImport("env", `function-${index}`, "function"))),
);
const HEAD = concatBytes([wasmModule(ONE_TYPE, coreImports(coreImport("env", "f", "function"))), bytes(10), u32(SIZE)]);
const SMALL_SECTIONS = concatBytes(Array.from({ length: 1_000 }, () => section(2, new Uint8Array(60))));

describe("scanning", () => {
  const chunk = new Uint8Array(CHUNK);
  bench("256 MiB of code in chunks of 64 KiB", () => {
    const scanner = new WasmScanner();
    scanner.push(HEAD);
    for (let passed = 0; passed < SIZE; passed += CHUNK) scanner.push(chunk);
    scanner.end();
  });

  bench("a component of 3 kB", () => {
    scanWasm(GREETER);
  });

  bench("10,000 imports", () => {
    scanWasm(IMPORTS);
  });

  bench("10,000 imports, one byte at a time", () => {
    const scanner = new WasmScanner();
    for (let at = 0; at < IMPORTS.length; at++) scanner.push(IMPORTS.subarray(at, at + 1));
    scanner.end();
  });

  bench("a component of 50,000 sections", () => {
    const scanner = new WasmScanner();
    scanner.push(bytes(0, 0x61, 0x73, 0x6d, 13, 0, 1, 0));
    for (let i = 0; i < 50; i++) scanner.push(SMALL_SECTIONS);
    scanner.end();
  });
});

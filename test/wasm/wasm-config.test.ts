import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { readWasmConfig } from "../../src/wasm/wasm-config.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const SOUND = { architecture: "wasm", os: "wasip2", layerDigests: [DIGEST] };

function read(config: unknown): unknown {
  return readWasmConfig(utf8Encode(typeof config === "string" ? config : JSON.stringify(config)));
}

function fault(config: unknown): FormatError {
  try {
    read(config);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("expected a FormatError");
}

describe("readWasmConfig", () => {
  test("reads the specification's example", () => {
    const example = {
      created: "2015-10-31T22:22:56.015925234Z",
      author: "Alyssa P. Hacker <alyspdev@example.com>",
      architecture: "wasm",
      os: "wasip2",
      layerDigests: [DIGEST],
      component: {
        exports: ["wasi:http/incoming-handler@0.2.0", "function-name"],
        imports: ["wasi:filesystem/types@0.2.0"],
        target: "wasi:http/proxy@0.2.0",
      },
    };
    expect(read(example)).toEqual(example);
  });

  test("takes null for absent, as the Rust tools write it", () => {
    expect(read({ ...SOUND, created: "2024-01-01T00:00:00Z", author: null, component: null })).toEqual({
      ...SOUND,
      created: "2024-01-01T00:00:00Z",
    });
    expect(read({ ...SOUND, component: { exports: [], imports: [], target: null } })).toEqual({
      ...SOUND,
      component: { exports: [], imports: [] },
    });
  });

  test("passes over members that it does not know", () => {
    expect(read({ ...SOUND, os: "wasip1", module: { anything: true } })).toEqual({ ...SOUND, os: "wasip1" });
  });

  test.each([
    ["the empty config of 2019", {}],
    ["an image's config", { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } }],
    ["no os", { ...SOUND, os: undefined }],
    ["an os that is no word", { ...SOUND, os: "wasi p1\u001b[2K" }],
    ["no layer digests", { ...SOUND, layerDigests: undefined }],
    ["layer digests that are null", { ...SOUND, layerDigests: null }],
    ["a digest that is none", { ...SOUND, layerDigests: ["sha256:zz"] }],
    ["a component that is a list", { ...SOUND, component: [] }],
    ["a component without exports", { ...SOUND, component: { imports: [] } }],
    ["imports that are no text", { ...SOUND, component: { exports: [], imports: [1] } }],
    ["a key that differs by case", { ...SOUND, Component: { exports: ["a"], imports: [] } }],
    ["a creation time that is a number", { ...SOUND, created: 0 }],
    ["a list", []],
  ])("refuses %s", (_what, config) => {
    expect(fault(config).code).toBe("MANIFEST_INVALID");
    expect(fault(config).message).toMatch(/^[\u0020-\u007e]+$/);
  });

  test.each([
    ["text that is no JSON", "\u0000asm"],
    ["a key given twice", `{"architecture":"wasm","os":"wasip1","os":"wasip2","layerDigests":[]}`],
  ])("refuses %s", (_what, text) => {
    expect(fault(text).code).toBe("JSON_INVALID");
  });

  test("refuses more than 1 MiB", () => {
    expect(fault({ ...SOUND, author: "a".repeat(1024 * 1024) }).code).toBe("LIMIT_EXCEEDED");
  });

  test("throws nothing but a FormatError for any JSON", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), fc.record({ architecture: fc.constant("wasm"), os: fc.jsonValue() }), fc.string()),
        (value) => {
          try {
            read(value);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

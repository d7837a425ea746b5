/** The capability contract: what it lists, what survives Notary's bytes, and binaries that do not keep to it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes, utf8Encode } from "../../../src/base/bytes.ts";
import { parseJson, type JsonValue } from "../../../src/base/json.ts";
import { TrustError } from "../../../src/base/errors.ts";
import { readTargets, writeTargets } from "../../../src/notary/metadata.ts";
import { checkTargetContent, MAX_CUSTOM_BYTES } from "../../../src/notary/target-limits.ts";
import { decodeGoDocument, encodeDocument } from "../../../src/notary/wire.ts";
import { compareContract, contractJson, contractOf, type Contract } from "../../../src/trust/contract/contract.ts";
import { readBinding, withBinding } from "../../../src/trust/target-custom.ts";
import { scanWasm, type WasmInfo } from "../../../src/wasm/binary.ts";
import {
  bytes,
  component,
  componentExport,
  componentExports,
  componentImport,
  componentImports,
  coreExport,
  coreExports,
  coreImport,
  coreImports,
  name,
  ONE_TYPE,
  u32,
  wasmModule,
} from "../../support/wasm-builder.ts";

const MANIFEST = `sha256:${"1".repeat(64)}` as const;

function coreWith(...modules: string[]): WasmInfo {
  return scanWasm(wasmModule(ONE_TYPE, coreImports(...modules.map((one) => coreImport(one, "run", "function")))));
}

function componentWith(imports: readonly string[], exports: readonly string[] = []): WasmInfo {
  return scanWasm(
    component(
      componentImports(...imports.map((one) => componentImport(one))),
      componentExports(...exports.map((one) => componentExport(one))),
    ),
  );
}

/** What a consumer reads of a contract that was signed in Notary's form and printed again by Go. */
function throughNotary(contract: Contract): Contract | undefined {
  const custom = withBinding(undefined, { manifests: [MANIFEST], contract });
  const hashes = new Map([["sha256", new Uint8Array(32)]]);
  checkTargetContent("v1", { length: 1, hashes: { sha256: "0".repeat(64) }, custom });
  const document = encodeDocument(
    writeTargets({
      delegations: { keys: new Map(), roles: [] },
      expires: "2030-01-01T00:00:00Z",
      targets: new Map([["v1", { length: 1, hashes, custom }]]),
      version: 1,
    }),
    [{ keyId: "ab".repeat(32), method: "ecdsa", signature: new Uint8Array(64) }],
  );
  const read = readTargets(decodeGoDocument(document, "targets").signed, "targets");
  return readBinding(read.targets.get("v1")?.custom, "v1")?.contract;
}

async function refusal(promise: Promise<unknown>): Promise<TrustError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TrustError);
  expect((error as TrustError).code).toBe("CONTRACT_MISMATCH");
  return error as TrustError;
}

describe("contractOf", () => {
  it("lists the modules that a core module imports from, each once and in order, and nothing that it exports", async () => {
    const info = scanWasm(
      wasmModule(
        ONE_TYPE,
        coreImports(
          coreImport("wasi_snapshot_preview1", "fd_write", "function"),
          coreImport("env", "log", "function"),
          coreImport("wasi_snapshot_preview1", "sock_open", "function"),
        ),
        coreExports(coreExport("_start", "function")),
      ),
    );
    expect(await contractOf(info)).toEqual({
      kind: "module",
      imports: ["env", "wasi_snapshot_preview1"],
      exports: [],
      truncated: false,
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
    });
  });

  it("lists a component's interfaces, and not the types that others use", async () => {
    const info = componentWith(["wasi:sockets/tcp@0.2.0", "wasi:cli/stdin@0.2.0"], ["wasi:cli/run@0.2.0"]);
    expect(await contractOf({ ...info, imports: [...info.imports, { name: "pollable", kind: "type" }] })).toMatchObject(
      {
        kind: "component",
        imports: ["wasi:cli/stdin@0.2.0", "wasi:sockets/tcp@0.2.0"],
        exports: ["wasi:cli/run@0.2.0"],
      },
    );
  });

  it("names the interface behind a plain name, so that no disguise passes a policy by", async () => {
    // form 2: a name with attributes, of which 0 is the interface that it implements
    const disguised = concatBytes([
      bytes(0x02),
      name("harmless"),
      u32(1),
      bytes(0x00),
      name("wasi:sockets/tcp@0.2.0"),
      bytes(0x05),
      u32(0),
    ]);
    const { imports } = await contractOf(scanWasm(component(componentImports(disguised))));
    expect(imports).toEqual(["harmless", "wasi:sockets/tcp@0.2.0"]);
  });

  it("has one digest per set of names, whatever their order and whatever was cut off", async () => {
    const digest = async (info: WasmInfo): Promise<string> => (await contractOf(info)).digest;
    expect(await digest(coreWith("a", "b"))).toBe(await digest(coreWith("b", "a", "b")));
    expect(await digest(coreWith("a", "b"))).not.toBe(await digest(coreWith("a")));
    expect(await digest(coreWith("a"))).not.toBe(await digest(componentWith(["a"])));
    expect(await digest(componentWith(["a"], ["b"]))).not.toBe(await digest(componentWith(["a", "b"])));
    expect(await digest(coreWith("a\nimport b"))).not.toBe(await digest(coreWith("a", "b")));
  });

  it("is cut off where it is long, well below what a Notary document may carry", async () => {
    const many = Array.from({ length: 1_000 }, (_, i) => `m${String(i).padStart(5, "0")}`);
    const contract = await contractOf(coreWith(...many));
    expect(contract).toMatchObject({ truncated: true, imports: many.slice(0, 128) });
    const long = Array.from({ length: 100 }, (_, i) => `${i}${"&".repeat(1_000)}`);
    const heavy = await contractOf(componentWith(long, long));
    expect(heavy.truncated).toBe(true);
    expect(utf8Encode(JSON.stringify(contractJson(heavy))).length).toBeLessThan(MAX_CUSTOM_BYTES / 6);
    expect(throughNotary(heavy)).toEqual(heavy);
  });

  it("comes back from Notary's bytes as it went in, whatever the names are made of", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({
            unit: fc.oneof(
              fc.constantFrom("%", "<", ">", "&", "\u2028", "\u2029", "\u0000", "\n", "\u007f", '"', "\\"),
              fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
            ),
            maxLength: 20,
          }),
          { maxLength: 20 },
        ),
        async (names) => {
          const info = coreWith(...names);
          const contract = await contractOf(info);
          const read = throughNotary(contract);
          expect(read).toEqual(contract);
          await compareContract(read!, info, "app:v1");
        },
      ),
    );
  });
});

describe("compareContract", () => {
  const SIGNED = ["wasi:cli/stdin@0.2.0", "wasi:cli/stdout@0.2.0"];

  it("refuses a binary that imports more than was signed, and names it", async () => {
    const signed = await contractOf(componentWith(SIGNED));
    const error = await refusal(
      compareContract(signed, componentWith([...SIGNED, "wasi:sockets/tcp@0.2.0"]), "app:v1"),
    );
    expect(error.message).toContain('imports "wasi:sockets/tcp@0.2.0", which is not signed');
    expect(error.details["expected"]).toBe(signed.digest);
  });

  it("refuses a binary that imports less, exports something else or is of another kind", async () => {
    const signed = await contractOf(componentWith(SIGNED, ["wasi:cli/run@0.2.0"]));
    await refusal(compareContract(signed, componentWith(SIGNED.slice(1), ["wasi:cli/run@0.2.0"]), "app:v1"));
    await refusal(compareContract(signed, componentWith(SIGNED), "app:v1"));
    await refusal(compareContract(signed, componentWith(SIGNED, ["wasi:cli/run@0.2.0", "a:b/c"]), "app:v1"));
    const error = await refusal(compareContract(await contractOf(coreWith("a")), componentWith(["a"]), "app:v1"));
    expect(error.message).toContain("it is a component, signed as a module");
  });

  it("refuses a contract whose lists are right and whose digest is not", async () => {
    const info = coreWith("env");
    const signed = await contractOf(info);
    await refusal(compareContract({ ...signed, digest: MANIFEST }, info, "app:v1"));
    await compareContract(signed, info, "app:v1");
  });

  it("finds what a cut list hides by its digest, and what it invents by name", async () => {
    const names = Array.from({ length: 200 }, (_, i) => `m${String(i).padStart(3, "0")}`);
    const signed = await contractOf(coreWith(...names));
    expect(signed.truncated).toBe(true);
    await compareContract(signed, coreWith(...names), "app:v1");
    await refusal(compareContract(signed, coreWith(...names, "zzz"), "app:v1"));
    const invented = { ...signed, imports: ["aaa", ...signed.imports] };
    expect((await refusal(compareContract(invented, coreWith(...names), "app:v1"))).message).toContain('"aaa"');
  });
});

describe("a signed contract that is broken", () => {
  const sound = { kind: "module", imports: ["env"], digest: MANIFEST };
  const read = (contract: JsonValue): Contract | undefined =>
    readBinding(parseJson(JSON.stringify({ "wasm-to-oci": { manifests: [MANIFEST], contract } })), "v1")?.contract;

  it("is read where it is sound, and absent where an older version signed", () => {
    expect(read(sound)).toEqual({ ...sound, exports: [], truncated: false });
    expect(readBinding({ "wasm-to-oci": { manifests: [MANIFEST] } }, "v1")?.contract).toBeUndefined();
  });

  it.each<[string, JsonValue]>([
    ["null", null],
    ["a kind that nobody knows", { ...sound, kind: "container" }],
    ["no imports", { kind: "module", digest: MANIFEST }],
    ["a name twice", { ...sound, imports: ["env", "env"] }],
    ["names out of order", { ...sound, imports: ["b", "a"] }],
    ["a name that is no text", { ...sound, imports: [1] }],
    ["a name in another spelling of its escapes", { ...sound, imports: ["%41"] }],
    ["a lower-case escape", { ...sound, imports: ["%3c"] }],
    ["an escape that is cut off", { ...sound, imports: ["a%2"] }],
    ["bytes that are no UTF-8", { ...sound, imports: ["%FF"] }],
    [
      "more names than anybody imports",
      { ...sound, imports: Array.from({ length: 4_097 }, (_, i) => `m${10_000 + i}`) },
    ],
    ["no digest", { kind: "module", imports: [] }],
    ["a digest that is none", { ...sound, digest: "sha256:1" }],
    ["a flag that is no flag", { ...sound, truncated: "true" }],
    ["a member that differs by case", { ...sound, Imports: [] }],
  ])("is refused: %s", (_, contract) => {
    expect(() => read(contract)).toThrow(expect.objectContaining({ code: "TARGET_MISMATCH" }));
  });

  it("ends in a typed error whatever it is", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        try {
          read(value as JsonValue);
        } catch (error) {
          expect(["TARGET_MISMATCH", "JSON_INVALID"]).toContain((error as TrustError).code);
        }
      }),
    );
  });
});

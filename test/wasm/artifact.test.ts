import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8Decode } from "../../src/base/bytes.ts";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { buildArtifact, readArtifact, type ArtifactInput } from "../../src/wasm/artifact.ts";
import { scanWasm } from "../../src/wasm/binary.ts";
import { readWasmConfig } from "../../src/wasm/wasm-config.ts";
import { component, componentImport, componentImports, wasmModule } from "../support/wasm-builder.ts";

const HELLO = {
  digest: "sha256:4c7915b4c1f9b0c13f962998e4199ceb00db39a4a7fa4554f40ae0bed83d9510" as Digest,
  size: 1_624_962,
};
const MODULE = scanWasm(wasmModule());
const GREETER = scanWasm(readFileSync(new URL("../fixtures/wasm/greeter.wasm", import.meta.url)));
const GREETER_PACKAGE = scanWasm(readFileSync(new URL("../fixtures/wasm/greeter-package.wasm", import.meta.url)));

const CNCF: ArtifactInput = { format: "cncf-wasm-v0", module: HELLO, info: MODULE };
const LEGACY: ArtifactInput = { format: "wasm-to-oci", module: HELLO, info: MODULE };

describe("the 2019 layout", () => {
  test("has the digest of the 2019 article for the article's module and path", async () => {
    const artifact = await buildArtifact({ ...LEGACY, title: "testdata/hello.wasm" });
    expect(artifact.manifest.digest).toBe("sha256:9c82cbe576ee947c00435ac8053a800a1969f4757ae4a81f870f714674afc91a");
    expect(await digestBytes(artifact.manifest.bytes)).toBe(artifact.manifest.digest);
    expect(artifact.manifest.mediaType).toBe("application/vnd.oci.image.manifest.v1+json");
    expect(utf8Decode(artifact.config.bytes)).toBe("{}");
    expect(artifact.config.descriptor.digest).toBe(await digestBytes(artifact.config.bytes));
  });

  test("escapes the path as Go did", async () => {
    const title = 'a&b/<c>\u2028\u2029\b\f\n\t\u0001\u007f\\b\\\\f"é🦀.wasm';
    const { manifest } = await buildArtifact({ ...LEGACY, title });
    const text = utf8Decode(manifest.bytes);
    expect(text).toContain(
      String.raw`"a\u0026b/\u003cc\u003e\u2028\u2029\u0008\u000c\n\t\u0001${"\u007f"}\\b\\\\f\"é🦀.wasm"`,
    );
    expect(JSON.parse(text).layers[0].annotations["org.opencontainers.image.title"]).toBe(title);
  });

  test("keeps any title", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme" }), async (title) => {
        const { manifest } = await buildArtifact({ ...LEGACY, title });
        const text = utf8Decode(manifest.bytes);
        expect(text).not.toMatch(/[<>&\u2028\u2029]/);
        expect(JSON.parse(text).layers[0].annotations["org.opencontainers.image.title"]).toBe(title);
      }),
    );
  });

  test("has no annotations member without a title", async () => {
    const { manifest } = await buildArtifact(LEGACY);
    expect(utf8Decode(manifest.bytes)).not.toContain("annotations");
  });

  test.each([
    ["annotations", { annotations: { a: "b" } }],
    ["a creation time", { created: new Date(0) }],
  ])("refuses %s, for which it has no place", async (_what, extra) => {
    await expect(buildArtifact({ ...LEGACY, ...extra })).rejects.toMatchObject({ code: "USAGE" });
  });
});

describe("the CNCF layout", () => {
  test("writes a core module as wasip1 without a component", async () => {
    const artifact = await buildArtifact({ ...CNCF, title: "dir/hello.wasm" });
    expect(utf8Decode(artifact.config.bytes)).toBe(
      `{"created":"1970-01-01T00:00:00Z","architecture":"wasm","os":"wasip1","layerDigests":["${HELLO.digest}"]}`,
    );
    expect(utf8Decode(artifact.manifest.bytes)).toBe(
      `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` +
        `{"mediaType":"application/vnd.wasm.config.v0+json","digest":"${artifact.config.descriptor.digest}","size":161},` +
        `"layers":[{"mediaType":"application/wasm","digest":"${HELLO.digest}","size":1624962,` +
        `"annotations":{"org.opencontainers.image.title":"hello.wasm"}}]}`,
    );
    expect(artifact.config.descriptor).toEqual({
      mediaType: "application/vnd.wasm.config.v0+json",
      digest: await digestBytes(artifact.config.bytes),
      size: artifact.config.bytes.length,
    });
    expect(artifact.manifest.digest).toBe(await digestBytes(artifact.manifest.bytes));
  });

  test("writes a component as wasip2 with its imports and exports in the order of the binary", async () => {
    const { config } = await buildArtifact({ ...CNCF, info: GREETER });
    expect(JSON.parse(utf8Decode(config.bytes))).toEqual({
      created: "1970-01-01T00:00:00Z",
      architecture: "wasm",
      os: "wasip2",
      layerDigests: [HELLO.digest],
      component: {
        exports: ["version", "demo:greeter/greet@1.0.0"],
        imports: ["wasi:io/streams@0.2.0", "wasi:cli/stdout@0.2.0", "log"],
      },
    });
  });

  test("writes a WIT package with its interfaces and worlds as exports", async () => {
    const { config } = await buildArtifact({ ...CNCF, info: GREETER_PACKAGE });
    expect(readWasmConfig(config.bytes)).toMatchObject({
      os: "wasip2",
      component: { exports: ["demo:greeter/greet@1.0.0", "demo:greeter/hello@1.0.0"], imports: [] },
    });
  });

  test("gives the same digest for the same input, in whatever order annotations are given", async () => {
    const one = await buildArtifact({ ...CNCF, annotations: { b: "2", a: "1", "\uffee": "3", "\u{1f980}": "4" } });
    const two = await buildArtifact({ ...CNCF, annotations: { "\u{1f980}": "4", "\uffee": "3", a: "1", b: "2" } });
    expect(two).toEqual(one);
    expect(utf8Decode(one.manifest.bytes)).toContain('"annotations":{"a":"1","b":"2","\uffee":"3","\u{1f980}":"4"}');
  });

  test("has a digest that does not depend on the folder or the system that the file was pushed from", async () => {
    const titles = ["app.wasm", "./app.wasm", "/home/me/build/app.wasm", "C:\\build\\app.wasm", "build//app.wasm/"];
    const digests = await Promise.all(
      titles.map(async (title) => (await buildArtifact({ ...CNCF, title })).manifest.digest),
    );
    expect(new Set(digests).size).toBe(1);
  });

  test("writes the creation time that is given", async () => {
    const at = async (created: Date): Promise<string | undefined> =>
      readWasmConfig((await buildArtifact({ ...CNCF, created })).config.bytes).created;
    expect(await at(new Date(1_700_000_000_000))).toBe("2023-11-14T22:13:20Z");
    expect(await at(new Date(1_700_000_000_123))).toBe("2023-11-14T22:13:20.123Z");
  });

  test.each([
    ["a time that is none", { created: new Date(Number.NaN) }],
    ["a time beyond RFC 3339", { created: new Date(8.64e15) }],
    ["a title that is not Unicode", { title: "a\ud800.wasm" }],
    ["an annotation that is not Unicode", { annotations: { a: "\udc00" } }],
    ["an annotation's key that is not Unicode", { annotations: { "\ud800": "b" } }],
    ["an annotation without a key", { annotations: { "": "b" } }],
  ])("refuses %s", async (_what, extra) => {
    await expect(buildArtifact({ ...CNCF, ...extra })).rejects.toMatchObject({ code: "USAGE" });
  });

  test("refuses a component whose names fill more than a config may", async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => componentImport(`demo:${"long".repeat(15)}/i${index}`));
    const info = scanWasm(component(componentImports(...many)));
    await expect(buildArtifact({ ...CNCF, info })).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    await expect(buildArtifact({ ...LEGACY, info })).resolves.toMatchObject({ format: "wasm-to-oci" });
  });
});

test.each([CNCF, LEGACY, { ...CNCF, info: GREETER }])(
  "what is written is read again as the same artifact",
  async (input) => {
    const artifact = await buildArtifact({ ...input, title: "hello.wasm" });
    const received = await parseManifest(artifact.manifest.bytes, artifact.manifest.mediaType);
    expect(received.digest).toBe(artifact.manifest.digest);
    expect(readArtifact(received)).toEqual({
      format: input.format,
      module: artifact.layer,
      config: artifact.config.descriptor,
    });
  },
);

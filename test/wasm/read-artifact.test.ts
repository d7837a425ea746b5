import { describe, expect, test } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import type { ImageIndex, ReceivedManifest } from "../../src/oci/types.ts";
import { chooseFromIndex, readArtifact } from "../../src/wasm/artifact.ts";

interface Layer {
  type: string;
  title?: string;
  annotations?: Record<string, string>;
}

const digest = (index: number): string => `sha256:${index.toString(16).padStart(64, "0")}`;

/** A manifest as a registry would send it; the layers have the digests 1, 2, … */
function manifest(configType: string, ...layers: Layer[]): Promise<ReceivedManifest> {
  const document = {
    schemaVersion: 2,
    config: { mediaType: configType, digest: digest(0), size: 2 },
    layers: layers.map(({ type, title, annotations }, index) => ({
      mediaType: type,
      digest: digest(index + 1),
      size: 100,
      annotations: { ...annotations, ...(title === undefined ? {} : { "org.opencontainers.image.title": title }) },
    })),
  };
  return parseManifest(utf8Encode(JSON.stringify(document)), "application/vnd.oci.image.manifest.v1+json");
}

async function indexOf(...names: (string | undefined)[]): Promise<ReceivedManifest & { content: ImageIndex }> {
  const document = {
    schemaVersion: 2,
    manifests: names.map((name, at) => {
      const [os, architecture] = name?.split("/") ?? [];
      const platform = name === undefined ? undefined : { os, architecture };
      return { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digest(at + 1), size: 100, platform };
    }),
  };
  const received = await parseManifest(utf8Encode(JSON.stringify(document)), "application/vnd.oci.image.index.v1+json");
  if (received.content.kind !== "index") throw new Error("expected an index");
  return { ...received, content: received.content };
}

function fault(action: () => unknown): FormatError {
  try {
    action();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("expected a FormatError");
}

const CNCF_CONFIG = "application/vnd.wasm.config.v0+json";
const LEGACY_CONFIG = "application/vnd.wasm.config.v1+json";
const LEGACY_LAYER = "application/vnd.wasm.content.layer.v1+wasm";
const SOLO_CONFIG = "application/vnd.module.wasm.config.v1+json";
const SOLO_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm";
const RUNWASI_LAYER = "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm";
const IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json";
const EMPTY = "application/vnd.oci.empty.v1+json";
const TAR = "application/vnd.oci.image.layer.v1.tar";

describe("layouts that are read", () => {
  test.each([
    ["the CNCF artifact", CNCF_CONFIG, [{ type: "application/wasm" }], "cncf-wasm-v0", 1],
    ["the 2019 layout", LEGACY_CONFIG, [{ type: LEGACY_LAYER, title: "testdata/hello.wasm" }], "wasm-to-oci", 1],
    [
      "the 2019 layout beside other layers",
      LEGACY_CONFIG,
      [{ type: "text/plain" }, { type: LEGACY_LAYER }],
      "wasm-to-oci",
      2,
    ],
    ["oras push with a type", EMPTY, [{ type: "application/wasm", title: "x.wasm" }], "generic", 1],
    ["old oras", "application/vnd.unknown.config.v1+json", [{ type: "application/wasm" }], "generic", 1],
    ["a 2019 layer under another config", IMAGE_CONFIG, [{ type: LEGACY_LAYER }], "generic", 1],
    ["oras push without a type", EMPTY, [{ type: TAR, title: "app.wasm" }], "generic", 1],
    ["bytes named as a module", EMPTY, [{ type: "application/octet-stream", title: "APP.WASM" }], "generic", 1],
    ["a type of its own", EMPTY, [{ type: "application/vnd.gadget.wasm.program.v1+wasm" }], "generic", 1],
    [
      "a module beside a policy (wassette)",
      EMPTY,
      [{ type: "application/vnd.wasm.policy.v1+yaml" }, { type: "application/wasm" }],
      "generic",
      2,
    ],
    ["one layer of Solo's type (Trivy)", IMAGE_CONFIG, [{ type: SOLO_LAYER }], "module-layer", 1],
    ["Solo's two layers", SOLO_CONFIG, [{ type: SOLO_CONFIG }, { type: SOLO_LAYER }], "solo", 2],
    ["Solo's two layers the other way round", SOLO_CONFIG, [{ type: SOLO_LAYER }, { type: SOLO_CONFIG }], "solo", 1],
    ["runwasi's image", IMAGE_CONFIG, [{ type: RUNWASI_LAYER }], "runwasi", 1],
  ] as const)("%s", async (_what, config, layers, format, layer) => {
    const found = readArtifact(await manifest(config, ...layers));
    expect(found.format).toBe(format);
    expect(found.module.digest).toBe(digest(layer));
    expect(found.config.mediaType).toBe(config);
  });
});

describe("artifacts with several modules", () => {
  test.each([
    ["two layers under a CNCF config, which must have one", CNCF_CONFIG, ["application/wasm", "application/wasm"]],
    ["a second layer of any kind under a CNCF config", CNCF_CONFIG, ["application/wasm", "text/plain"]],
    ["two modules of the 2019 layout", LEGACY_CONFIG, [LEGACY_LAYER, LEGACY_LAYER]],
    ["modules of different kinds", EMPTY, ["application/wasm", LEGACY_LAYER]],
    [
      "a Spin app of two components",
      IMAGE_CONFIG,
      [LEGACY_LAYER, LEGACY_LAYER, "application/vnd.fermyon.spin.application.v1+config"],
    ],
  ])("are refused, never resolved by order: %s", async (_what, config, types) => {
    const received = await manifest(config, ...types.map((type) => ({ type })));
    const error = fault(() => readArtifact(received));
    expect(error.code).toBe("MODULE_AMBIGUOUS");
    expect(error.message).toContain(digest(1));
    expect(error.message).toContain(digest(2));
    expect(error.details["candidates"]).toContain(digest(2));
  });

  test("are named by their file names, made safe to show, and not without end", async () => {
    const layer = { type: "application/wasm", title: "a\u001b[2K\u202e.wasm" };
    const received = await manifest(EMPTY, ...Array.from({ length: 300 }, () => layer));
    const error = fault(() => readArtifact(received));
    expect(error.message).toMatch(/^[\u0020-\u007e]+$/);
    expect(error.message).toContain("292 more");
  });
});

describe("artifacts without a module", () => {
  test.each([
    ["a container image", IMAGE_CONFIG, [{ type: `${TAR}+gzip` }]],
    ["an image of one plain layer", IMAGE_CONFIG, [{ type: TAR }]],
    [
      "a packed folder",
      EMPTY,
      [{ type: TAR, title: "x.wasm", annotations: { "io.deis.oras.content.unpack": "true" } }],
    ],
    [
      "two layers of unknown types",
      EMPTY,
      [
        { type: "application/octet-stream", title: "a.wasm" },
        { type: TAR, title: "b.wasm" },
      ],
    ],
    ["a CNCF config over another layer", CNCF_CONFIG, [{ type: LEGACY_LAYER }]],
    ["a CNCF config alone", CNCF_CONFIG, []],
    ["no layer at all", EMPTY, []],
    ["a signature", EMPTY, [{ type: "application/vnd.dev.sigstore.bundle.v0.3+json" }]],
    ["a type that is a member of every object", EMPTY, [{ type: "constructor/x" }]],
  ])("are refused: %s", async (_what, config, layers: readonly Layer[]) => {
    const received = await manifest(config, ...layers);
    const error = fault(() => readArtifact(received));
    expect(error.code).toBe("MODULE_MISSING");
    expect(error.hint).toBeTruthy();
  });
});

describe("indexes", () => {
  test("give their one entry for wasm, whatever its place and os", async () => {
    for (const os of ["wasip1", "wasip2", "wasi", "js"]) {
      const { content } = await indexOf("linux/amd64", `${os}/wasm`, "unknown/unknown");
      expect(chooseFromIndex(content).digest).toBe(digest(2));
    }
  });

  test("give their only entry where it names no platform", async () => {
    expect(chooseFromIndex((await indexOf(undefined)).content).digest).toBe(digest(1));
    expect(chooseFromIndex((await indexOf("unknown/unknown")).content).digest).toBe(digest(1));
  });

  test.each([
    ["several entries for wasm", ["wasip1/wasm", "wasip2/wasm"], "MODULE_AMBIGUOUS"],
    ["entries for other machines only", ["linux/amd64", "linux/arm64"], "MODULE_MISSING"],
    ["one entry, for another machine", ["linux/amd64"], "MODULE_MISSING"],
    ["several entries without a platform", [undefined, undefined], "MODULE_MISSING"],
    ["no entries", [], "MODULE_MISSING"],
  ])("are refused with %s", async (_what, platforms, code) => {
    const { content } = await indexOf(...platforms);
    const error = fault(() => chooseFromIndex(content));
    expect(error.code).toBe(code);
    for (const [at] of platforms.entries()) expect(error.message).toContain(digest(at + 1));
  });

  test("are no artifact themselves", async () => {
    const received = await indexOf("wasip1/wasm", "linux/amd64");
    const error = fault(() => readArtifact(received));
    expect(error.code).toBe("MODULE_AMBIGUOUS");
    expect(error.message).toContain("wasip1/wasm");
  });
});

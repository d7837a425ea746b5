import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { utf8Encode } from "../src/base/bytes.ts";
import { digestBytes, type Digest } from "../src/base/digest.ts";
import type { Progress } from "../src/base/progress.ts";
import type { Runtime } from "../src/base/runtime.ts";
import { inspect, type Inspection } from "../src/inspect.ts";
import { nodeHasher } from "../src/node/hasher.ts";
import { createNodeTransport, type NodeTransport } from "../src/node/transport.ts";
import { RegistryClient } from "../src/oci/registry-client.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import { buildArtifact, type ArtifactInput } from "../src/wasm/artifact.ts";
import { scanWasm } from "../src/wasm/binary.ts";
import { sha256, startHostileRegistry, type HostileRegistry } from "./support/hostile-registry.ts";
import { custom, moduleAsking, ONE_TYPE, wasmModule } from "./support/wasm-builder.ts";

const GREETER = new Uint8Array(readFileSync(new URL("./fixtures/wasm/greeter.wasm", import.meta.url)));
const GREETER_PACKAGE = new Uint8Array(readFileSync(new URL("./fixtures/wasm/greeter-package.wasm", import.meta.url)));
const MODULE = moduleAsking("wasi_unstable", "fd_write");
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const REPOSITORY = "acme/app";

let registry: HostileRegistry;
let transport: NodeTransport;
let runtime: Runtime;
let client: RegistryClient;

beforeAll(async () => {
  transport = createNodeTransport();
  runtime = { transport, createHasher: nodeHasher, now: () => new Date() };
  registry = await startHostileRegistry();
});

beforeEach(() => {
  registry.setFault(undefined);
  registry.blobs.clear();
  registry.manifests.clear();
  client = new RegistryClient({ runtime, retry: { attempts: 1 } });
});

afterAll(async () => {
  await registry.stop();
  transport.close();
});

/** Puts an artifact of a module into the registry under a tag; gives the digests of manifest and module. */
async function publish(
  bytes: Uint8Array,
  options: Partial<ArtifactInput> & { tag?: string; withoutLayer?: true } = {},
): Promise<{ manifest: Digest; module: Digest }> {
  const module = { digest: await digestBytes(bytes), size: bytes.length };
  const artifact = await buildArtifact({ format: "cncf-wasm-v0", module, info: scanWasm(bytes), ...options });
  if (options.withoutLayer !== true) registry.addBlob(REPOSITORY, bytes);
  registry.addBlob(REPOSITORY, artifact.config.bytes);
  const text = new TextDecoder().decode(artifact.manifest.bytes);
  registry.addManifest(REPOSITORY, text, MANIFEST, options.tag ?? "v1");
  return { manifest: artifact.manifest.digest, module: module.digest };
}

function inspectTag(options: { deep?: boolean; reference?: string } = {}): Promise<Inspection> {
  return inspect({ registry: client, reference: `${registry.host}/${REPOSITORY}:v1`, ...options });
}

function layerRequests(module: Digest): string[] {
  return registry.log().filter((line) => line.includes(module));
}

describe("a local file", () => {
  test("is read through and described", async () => {
    const progress: Progress[] = [];
    const inspection = await inspect({
      runtime,
      module: moduleFromBytes("app.wasm", MODULE),
      onProgress: (step) => progress.push(step),
    });
    expect(inspection).toMatchObject({
      subject: "app.wasm",
      from: "module",
      module: { digest: await digestBytes(MODULE), size: MODULE.length },
      kind: "module",
      imports: [{ module: "wasi_unstable", name: "fd_write", kind: "function" }],
      exports: [],
      binary: { wasi: ["wasi_unstable"], sections: [{ name: "type" }, { name: "import" }] },
      notes: [],
    });
    expect(inspection).not.toHaveProperty("artifact");
    expect(progress.at(-1)).toMatchObject({ done: MODULE.length, total: MODULE.length });
    expect(JSON.parse(JSON.stringify(inspection))).toEqual(inspection);
  });

  test("that is no module is refused", async () => {
    const module = moduleFromBytes("app.wasm", utf8Encode("<html>"));
    await expect(inspect({ runtime, module })).rejects.toMatchObject({ code: "WASM_INVALID" });
  });

  test("with a damaged section is described, and the section noted", async () => {
    const module = moduleFromBytes("app.wasm", wasmModule(custom("producers", utf8Encode("x"))));
    const { notes } = await inspect({ runtime, module });
    expect(notes).toEqual([expect.objectContaining({ code: "section-unread" })]);
  });
});

describe("an artifact in a registry", () => {
  test("of a component is described from its config, without the layer", async () => {
    const { manifest, module } = await publish(GREETER, {
      title: "greeter.wasm",
      annotations: { "org.opencontainers.image.version": "1.0.0" },
      withoutLayer: true,
    });
    const inspection = await inspectTag();
    expect(inspection).toEqual({
      subject: `${registry.host}/${REPOSITORY}:v1`,
      from: "config",
      module: { digest: module, size: GREETER.length },
      artifact: {
        digest: manifest,
        mediaType: MANIFEST,
        format: "cncf-wasm-v0",
        config: {
          mediaType: "application/vnd.wasm.config.v0+json",
          digest: expect.stringMatching(/^sha256:/),
          size: expect.any(Number),
        },
        layer: {
          mediaType: "application/wasm",
          annotations: { "org.opencontainers.image.title": "greeter.wasm" },
        },
        annotations: { "org.opencontainers.image.version": "1.0.0" },
        created: "1970-01-01T00:00:00Z",
        os: "wasip2",
      },
      kind: "component",
      imports: [{ name: "wasi:io/streams@0.2.0" }, { name: "wasi:cli/stdout@0.2.0" }, { name: "log" }],
      exports: [{ name: "version" }, { name: "demo:greeter/greet@1.0.0" }],
      notes: [expect.objectContaining({ code: "from-config" })],
    });
    expect(layerRequests(module)).toEqual([]);
  });

  test("is read itself where a deep inspection is asked for", async () => {
    await publish(GREETER);
    const inspection = await inspectTag({ deep: true });
    expect(inspection).toMatchObject({
      from: "module",
      kind: "component",
      imports: [{ name: "wasi:io/streams@0.2.0", kind: "instance" }, {}, { name: "log", kind: "function" }],
      binary: { nested: { modules: 3, components: 1 } },
      notes: [],
    });
  });

  test.each([
    ["a core module, whose config lists nothing", MODULE, {}],
    ["the 2019 layout, which has no config", MODULE, { format: "wasm-to-oci" as const }],
    ["a component that neither imports nor exports", Uint8Array.of(0, 0x61, 0x73, 0x6d, 13, 0, 1, 0), {}],
  ])("is read where the config does not say enough: %s", async (_what, bytes, options) => {
    const { module } = await publish(bytes, options);
    const inspection = await inspectTag();
    expect(inspection.from).toBe("module");
    expect(inspection.imports).toEqual(scanWasm(bytes).imports);
    expect(layerRequests(module).length).toBeGreaterThan(0);
  });

  test("is found through an index, which is named", async () => {
    const { manifest } = await publish(GREETER, { tag: "unused" });
    const entry = { mediaType: MANIFEST, digest: manifest, size: 1, platform: { os: "wasip2", architecture: "wasm" } };
    const other = { ...entry, digest: sha256(utf8Encode("x")), platform: { os: "linux", architecture: "amd64" } };
    const index = registry.addManifest(
      REPOSITORY,
      { schemaVersion: 2, mediaType: INDEX, manifests: [other, entry] },
      INDEX,
      "v1",
    );
    const { artifact } = await inspectTag();
    expect(artifact).toMatchObject({ digest: manifest, index });
  });

  test("is named by digest as well as by tag", async () => {
    const { manifest } = await publish(GREETER);
    const inspection = await inspectTag({ reference: `${registry.host}/${REPOSITORY}@${manifest}` });
    expect(inspection.subject).toBe(`${registry.host}/${REPOSITORY}@${manifest}`);
    expect(inspection.artifact?.digest).toBe(manifest);
  });
});

describe("a config that lies", () => {
  test("about imports and exports is found out by a deep inspection", async () => {
    const info = scanWasm(GREETER);
    await publish(GREETER, {
      info: {
        ...info,
        imports: info.imports.filter(({ name }) => !name.startsWith("wasi:cli")),
        exports: [...info.exports, { name: "demo:greeter/harmless@1.0.0", kind: "instance" }],
      },
    });
    const { notes, imports } = await inspectTag({ deep: true });
    expect(imports).toContainEqual({ name: "wasi:cli/stdout@0.2.0", kind: "instance" });
    expect(notes.map(({ message }) => message)).toEqual([
      'the module imports "wasi:cli/stdout@0.2.0", which the config does not list',
      'the config exports "demo:greeter/harmless@1.0.0", which the module does not',
    ]);
  });

  test("about the kind is found out: a core module published as a component, as wkg does", async () => {
    await publish(MODULE, { info: { ...scanWasm(MODULE), kind: "component", imports: [] } });
    const { kind, notes } = await inspectTag();
    expect(kind).toBe("module");
    expect(notes).toEqual([{ code: "config-disagrees", message: "the config says wasip2, the binary is a module" }]);
  });

  test("about which content it describes is not believed", async () => {
    const bytes = GREETER;
    const module = { digest: await digestBytes(bytes), size: bytes.length };
    const config = utf8Encode(
      JSON.stringify({
        architecture: "wasm",
        os: "wasip2",
        layerDigests: [sha256(utf8Encode("other"))],
        component: { imports: [], exports: ["harmless"] },
      }),
    );
    registry.addBlob(REPOSITORY, bytes);
    const document = {
      schemaVersion: 2,
      config: {
        mediaType: "application/vnd.wasm.config.v0+json",
        digest: registry.addBlob(REPOSITORY, config),
        size: config.length,
      },
      layers: [{ mediaType: "application/wasm", ...module }],
    };
    registry.addManifest(REPOSITORY, document, MANIFEST, "v1");
    const inspection = await inspectTag();
    expect(inspection.from).toBe("module");
    expect(inspection.exports).toHaveLength(2);
    expect(inspection.notes[0]?.message).toMatch(/describes other content/);
  });

  test("that cannot be read is noted, and the module read instead", async () => {
    const config = utf8Encode('{"architecture":"wasm","architecture":"wasm"}');
    const document = {
      schemaVersion: 2,
      config: {
        mediaType: "application/vnd.wasm.config.v0+json",
        digest: registry.addBlob(REPOSITORY, config),
        size: config.length,
      },
      layers: [{ mediaType: "application/wasm", digest: registry.addBlob(REPOSITORY, MODULE), size: MODULE.length }],
    };
    registry.addManifest(REPOSITORY, document, MANIFEST, "v1");
    const inspection = await inspectTag();
    expect(inspection).toMatchObject({ from: "module", kind: "module" });
    expect(inspection.notes).toEqual([expect.objectContaining({ code: "config-unreadable" })]);
  });

  test("of a WIT package as other tools write it is no disagreement", async () => {
    const info = scanWasm(GREETER_PACKAGE);
    await publish(GREETER_PACKAGE, {
      info: { ...info, exports: [...info.exports, { name: "version", kind: "function" }] },
    });
    expect(await inspectTag({ deep: true })).toMatchObject({ kind: "wit-package", notes: [] });
  });
});

describe("a registry that misbehaves", () => {
  test("is refused where the config's bytes are not its digest", async () => {
    await publish(GREETER);
    const config = [...registry.blobs.keys()].at(-1)!;
    registry.blobs.set(config, Buffer.from(`${registry.blobs.get(config)!.toString().slice(0, -1)} `));
    await expect(inspectTag()).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  test("is refused where the module's bytes are not its digest, however well formed", async () => {
    const { module } = await publish(MODULE);
    registry.blobs.set(`${REPOSITORY}@${module}`, Buffer.from(wasmModule(ONE_TYPE)));
    await expect(inspectTag()).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  test("that has no such tag, no single module, or no Wasm at all gets its own error each", async () => {
    await expect(inspectTag()).rejects.toMatchObject({ code: "REGISTRY_NOT_FOUND" });
    const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: sha256(utf8Encode("{}")), size: 2 };
    const layer = { mediaType: "application/wasm", digest: sha256(MODULE), size: MODULE.length };
    registry.addManifest(REPOSITORY, { schemaVersion: 2, config, layers: [layer, layer] }, MANIFEST, "v1");
    await expect(inspectTag()).rejects.toMatchObject({ code: "MODULE_AMBIGUOUS" });
    registry.addManifest(REPOSITORY, { schemaVersion: 2, config, layers: [] }, MANIFEST, "v1");
    await expect(inspectTag()).rejects.toMatchObject({ code: "MODULE_MISSING" });
    registry.addManifest(
      REPOSITORY,
      { schemaVersion: 2, mediaType: INDEX, manifests: [{ ...layer, mediaType: MANIFEST }] },
      INDEX,
      "v1",
    );
    await expect(inspectTag()).rejects.toMatchObject({ code: "MODULE_MISSING" });
    registry.addBlob(REPOSITORY, utf8Encode("#!/bin/sh\n"));
    const script = { ...layer, digest: sha256(utf8Encode("#!/bin/sh\n")), size: 10 };
    registry.addManifest(REPOSITORY, { schemaVersion: 2, config, layers: [script] }, MANIFEST, "v1");
    await expect(inspectTag()).rejects.toMatchObject({ code: "WASM_INVALID" });
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8Encode, type Bytes } from "../../../src/base/bytes.ts";
import { parseManifest } from "../../../src/oci/manifest.ts";
import { readTrustFiles, roleOfFile } from "../../../src/trust/oci/layout.ts";
import { buildTrustManifest } from "../../../src/trust/oci/manifest.ts";
import { codeOf } from "../../support/key-fixtures.ts";
import { sha256 } from "../../support/hostile-registry.ts";

const WHERE = "registry.example/acme/app:tuf";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: sha256(utf8Encode("{}")), size: 2 };
const DIGEST = sha256(utf8Encode("{}"));

function layer(name: string | undefined, changes: object = {}) {
  const annotations = name === undefined ? {} : { "tuf.io/filename": name };
  return { mediaType: "application/vnd.tuf.metadata+json", digest: DIGEST, size: 2, annotations, ...changes };
}

function pack(list: string | undefined, size: number) {
  const annotations = list === undefined ? {} : { "org.wasm-to-oci.tuf.files": list };
  return { mediaType: "application/vnd.wasm-to-oci.tuf.pack.v1", digest: DIGEST, size, annotations };
}

async function read(layers: readonly object[], changes: object = {}) {
  const document = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: EMPTY,
    layers,
    ...changes,
  };
  return readTrustFiles(await parseManifest(utf8Encode(JSON.stringify(document)), undefined), WHERE);
}

/** Every file as a reader would put it together. */
async function readBack(files: ReadonlyMap<string, Bytes>, kind: "empty" | "image" = "empty") {
  const { bytes, blobs } = await buildTrustManifest(files, kind);
  const manifest = await parseManifest(bytes, undefined);
  const byDigest = new Map<string, Uint8Array>(blobs.map((blob) => [blob.digest, blob.bytes]));
  const found = new Map<string, string>();
  for (const { name, blob, offset, size } of readTrustFiles(manifest, WHERE).values()) {
    const content = byDigest.get(blob.digest)!.subarray(offset, offset + size);
    expect(blob.data === undefined || Buffer.from(blob.data).equals(byDigest.get(blob.digest)!)).toBe(true);
    found.set(name, Buffer.from(content).toString());
  }
  return { found, manifest, bytes, blobs };
}

const content = (name: string, length = 10): Bytes => utf8Encode(`${name} `.padEnd(length, "x"));

function state(roots: number, bins: number, size = 300): Map<string, Bytes> {
  const files = new Map([["timestamp.json", content("timestamp")]]);
  for (const name of ["9.snapshot.json", "7.targets.json"]) files.set(name, content(name, 20_000));
  for (let root = 1; root <= roots; root++) files.set(`${root}.root.json`, content(`root${root}`, 900));
  for (let bin = 0; bin < bins; bin++) {
    const name = `${1 + (bin % 3)}.targets-bin-${bin.toString(16).padStart(4, "0")}.json`;
    files.set(name, content(name, size));
  }
  return files;
}

describe("the manifest of a published state", () => {
  test.each([
    [1, 0],
    [40, 20],
    [1, 64],
    [1, 256],
    [33, 1024],
    [700, 1024],
    [1, 16_384],
  ])("of %i roots and %i bins has at most 100 layers, and all files", async (roots, bins) => {
    const files = state(roots, bins, 40);
    const { found, manifest, bytes } = await readBack(files);
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries(Array.from(files, ([name, file]) => [name, Buffer.from(file).toString()])),
    );
    expect(manifest.content.kind === "manifest" && manifest.content.layers.length).toBeLessThanOrEqual(100);
    expect(bytes.length).toBeLessThan(1024 * 1024);
  });

  test("changes one pack where one bin changes, and none where a root is added", async () => {
    const files = state(40, 256);
    const before = new Set((await readBack(files)).blobs.map(({ digest }) => digest));
    const changed = new Map([...files].filter(([name]) => name !== "2.targets-bin-0007.json"));
    changed.set("3.targets-bin-0007.json", content("new"));
    changed.set("41.root.json", content("root41"));
    const after = (await readBack(changed)).blobs.filter(({ digest }) => !before.has(digest));
    expect(after).toHaveLength(2);
  });

  test("is the same for the same files, in whatever order they come", async () => {
    const files = [...state(3, 70)];
    const { bytes } = await readBack(new Map(files));
    expect((await readBack(new Map(files.toReversed()))).bytes).toEqual(bytes);
  });

  test("has an image's config where a registry knows nothing else", async () => {
    const { manifest, found } = await readBack(state(1, 0), "image");
    expect(manifest.content).toMatchObject({ config: { mediaType: "application/vnd.oci.image.config.v1+json" } });
    expect(manifest.content.artifactType).toBeUndefined();
    expect(found.size).toBe(4);
  });

  test("embeds what is small and needed first, and no more than 64 KiB", async () => {
    const { manifest, bytes } = await readBack(state(60, 30));
    const layers = manifest.content.kind === "manifest" ? manifest.content.layers : [];
    const embedded = layers.filter(({ data }) => data !== undefined);
    expect(embedded[0]?.annotations?.["tuf.io/filename"]).toBe("timestamp.json");
    expect(embedded.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(64 * 1024);
    expect(bytes.length).toBeLessThan(128 * 1024);
  });

  test("reads what docker/go-tuf-mirror writes", async () => {
    const files = await read([
      layer("1.root.json"),
      layer("2.root.json"),
      layer("1.snapshot.json"),
      layer("timestamp.json"),
    ]);
    expect([...files.keys()]).toEqual(["1.root.json", "2.root.json", "1.snapshot.json", "timestamp.json"]);
  });

  test.each([
    ["no layer", []],
    ["a layer without a name", [layer(undefined)]],
    ["one name twice", [layer("timestamp.json"), layer("timestamp.json")]],
    ["layers of two publishes", [layer("1.targets.json"), layer("2.targets.json")]],
    ["a name that leads elsewhere", [layer("../timestamp.json")]],
    ["a name that is none of metadata", [layer("module.wasm")]],
    ["an absurd size", [layer("timestamp.json", { size: 2 ** 40 })]],
    ["another kind of layer", [layer("timestamp.json", { mediaType: "application/wasm" })]],
    ["a pack without a list", [pack(undefined, 0)]],
    ["a pack that is longer than its files", [pack("1.a.json 5\n1.b.json 5", 11)]],
    ["a pack whose list is none", [pack("1.a.json five", 5)]],
    ["a pack with a file that is a layer, too", [layer("1.a.json"), pack("1.a.json 2", 2)]],
    ["a huge pack", [pack("1.a.json 99999999", 99_999_999)]],
    ["thousands of layers", Array.from({ length: 3_000 }, (_, index) => layer(`${index}.root.json`))],
    ["thousands of files", [pack(Array.from({ length: 30_000 }, (_, i) => `${i + 1}.root.json 1`).join("\n"), 30_000)]],
    ["data that lies", [layer("timestamp.json", { data: "W10=" })]],
    ["data of another size", [layer("timestamp.json", { data: "e30gIA==" })]],
  ])("is refused with %s", async (_, layers) => {
    expect(await codeOf(() => read(layers))).toBe("MANIFEST_INVALID");
  });

  test("is refused where it is an index", async () => {
    expect(
      await codeOf(() => read([], { layers: undefined, config: undefined, manifests: [], mediaType: undefined })),
    ).toBe("MANIFEST_INVALID");
  });

  test("whatever layers are called, reading them ends in files or in a typed error", async () => {
    const annotation = fc.oneof(
      fc.string(),
      fc.constantFrom("1.root.json", "timestamp.json 2", "1.a.json 1\n1.b.json 1"),
    );
    const entry = fc.record({
      kind: fc.constantFrom(
        "application/vnd.tuf.metadata+json",
        "application/vnd.wasm-to-oci.tuf.pack.v1",
        "text/plain",
      ),
      name: annotation,
      size: fc.integer({ min: 0, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 4 }), async (entries) => {
        const layers = entries.map(({ kind, name, size }) =>
          layer(undefined, {
            mediaType: kind,
            size,
            annotations: { "tuf.io/filename": name, "org.wasm-to-oci.tuf.files": name },
          }),
        );
        const code = await codeOf(() => read(layers));
        expect(["no error", "MANIFEST_INVALID"]).toContain(code);
      }),
    );
  });

  test("knows a role by its file", () => {
    expect(roleOfFile("3.team%2Fa.json")).toBe("team%2Fa");
    expect(roleOfFile("timestamp.json")).toBe("timestamp");
  });
});

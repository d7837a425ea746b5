import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { FormatError } from "../../src/base/errors.ts";
import { MAX_MANIFEST_BYTES, parseManifest } from "../../src/oci/manifest.ts";
import { MediaType } from "../../src/oci/types.ts";

const OCI = MediaType.ociManifest;
const INDEX = MediaType.ociIndex;
const HEX = "0123456789abcdef".repeat(4);
const OTHER = "f".repeat(64);

const descriptor = { mediaType: "application/wasm", digest: `sha256:${HEX}`, size: 10 };
const image = { schemaVersion: 2, mediaType: OCI, config: descriptor, layers: [descriptor] };
const index = { schemaVersion: 2, mediaType: INDEX, manifests: [{ ...descriptor, mediaType: OCI }] };

function parse(document: unknown, contentType: string | undefined = OCI) {
  const text = typeof document === "string" ? document : JSON.stringify(document);
  return parseManifest(utf8Encode(text), contentType);
}

async function code(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FormatError)) throw new Error(`expected a FormatError, got ${String(error)}`);
  return error.code;
}

describe("parseManifest", () => {
  it("keeps the bytes as they came and gives their digest", async () => {
    const bytes = utf8Encode(` ${JSON.stringify(image, undefined, 3)}\n`);
    const received = await parseManifest(bytes, OCI);
    expect(received.bytes).toBe(bytes);
    expect(received.digest).toBe(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);
    const long = await parseManifest(bytes, OCI, "sha512");
    expect(long.digest).toBe(`sha512:${createHash("sha512").update(bytes).digest("hex")}`);
  });

  it("reads a manifest with everything that it may have", async () => {
    const subject = { mediaType: OCI, digest: `sha256:${OTHER}`, size: 3 };
    const { content } = await parse({
      ...image,
      artifactType: "application/x.y",
      subject,
      annotations: { "org.opencontainers.image.title": "a", __proto__: "x" },
      layers: [{ ...descriptor, annotations: { k: "v" }, artifactType: "t/u", urls: ["https://evil.example/"] }],
      unknown: { kept: true },
    });
    expect(content).toMatchObject({ kind: "manifest", mediaType: OCI, artifactType: "application/x.y", subject });
    if (content.kind !== "manifest") throw new Error("not a manifest");
    expect(content.layers[0]).toEqual({ ...descriptor, annotations: { k: "v" }, artifactType: "t/u" });
    expect(content.annotations["org.opencontainers.image.title"]).toBe("a");
  });

  it("reads an index with platforms", async () => {
    const platform = { architecture: "wasm", os: "wasip1" };
    const entry = { ...descriptor, mediaType: OCI, platform: { ...platform, variant: "x" } };
    const { content } = await parse({ ...index, manifests: [entry] }, INDEX);
    expect(content).toMatchObject({ kind: "index", manifests: [{ platform }] });
  });

  it("takes the media type from the Content-Type where the document, as in 2019, has none", async () => {
    const { mediaType: _mediaType, ...bare } = image;
    expect((await parse(bare, `${OCI}; charset=utf-8`)).mediaType).toBe(OCI);
    expect((await parse(bare, OCI.toUpperCase())).mediaType).toBe(OCI);
  });

  it("recognises by its members what was not received over HTTP", async () => {
    const bare = (document: object) => utf8Encode(JSON.stringify({ ...document, mediaType: undefined }));
    expect((await parseManifest(bare(image), undefined)).mediaType).toBe(OCI);
    expect((await parseManifest(bare(index), undefined)).mediaType).toBe(INDEX);
  });

  it("reads Docker's schema 2", async () => {
    const docker = { ...image, mediaType: MediaType.dockerManifest };
    expect((await parse(docker, MediaType.dockerManifest)).content.kind).toBe("manifest");
    const list = { ...index, mediaType: MediaType.dockerIndex };
    expect((await parse(list, MediaType.dockerIndex)).content.kind).toBe("index");
  });

  it("gives embedded content whose digest and size are right", async () => {
    const data = utf8Encode("{}");
    const digest = `sha256:${createHash("sha256").update(data).digest("hex")}`;
    const config = { mediaType: MediaType.ociEmpty, digest, size: 2, data: "e30=" };
    const { content } = await parse({ ...image, config });
    if (content.kind !== "manifest") throw new Error("not a manifest");
    expect(content.config.data).toEqual(data);
    expect(await code(parse({ ...image, config: { ...config, size: 3 } }))).toBe("MANIFEST_INVALID");
    expect(await code(parse({ ...image, config: { ...config, digest: `sha256:${HEX}` } }))).toBe("MANIFEST_INVALID");
    expect(await code(parse({ ...image, config: { ...config, data: "e30" } }))).toBe("MANIFEST_INVALID");
  });

  const layers = (text: string) =>
    `{"schemaVersion":2,"mediaType":"${OCI}","config":${JSON.stringify(descriptor)},${text}}`;
  const good = `"layers":[${JSON.stringify(descriptor)}]`;
  const evil = JSON.stringify({ ...descriptor, digest: `sha256:${OTHER}` });

  it.each([
    ["twice the same key", layers(`${good},"layers":[${evil}]`), "JSON_INVALID"],
    [
      "a key that differs by case, which Go readers would take",
      layers(`${good},"Layers":[${evil}]`),
      "MANIFEST_INVALID",
    ],
    ["a key with a long s, which Go folds", layers(`${good},"layer\u017f":[${evil}]`), "MANIFEST_INVALID"],
    [
      "a descriptor with a case-variant digest",
      layers(`"layers":[{"mediaType":"a/b","digest":"sha256:${HEX}","Digest":"sha256:${OTHER}","size":1}]`),
      "MANIFEST_INVALID",
    ],
    ["a manifest that is an index too", layers(`${good},"manifests":[]`), "MANIFEST_INVALID"],
    ["a manifest with an empty index", layers(`${good},"manifests":null`), "MANIFEST_INVALID"],
    ["trailing data", `${JSON.stringify(image)}{}`, "JSON_INVALID"],
    [
      "a fraction as size",
      layers(`"layers":[{"mediaType":"a/b","digest":"sha256:${HEX}","size":1.0}]`),
      "JSON_INVALID",
    ],
    ["minus zero as size", layers(`"layers":[{"mediaType":"a/b","digest":"sha256:${HEX}","size":-0}]`), "JSON_INVALID"],
    [
      "2^53+1 as size",
      layers(`"layers":[{"mediaType":"a/b","digest":"sha256:${HEX}","size":9007199254740993}]`),
      "JSON_INVALID",
    ],
    ["no JSON", "<html>", "JSON_INVALID"],
    ["an array", "[]", "MANIFEST_INVALID"],
    ["null", "null", "MANIFEST_INVALID"],
  ])("refuses %s", async (_what, text, expected) => {
    expect(await code(parse(text))).toBe(expected);
  });

  it.each<[string, unknown, string | undefined]>([
    ["another media type than was announced", image, MediaType.dockerManifest],
    ["an index with layers", { ...index, layers: [descriptor] }, INDEX],
    ["an index with a config", { ...index, config: descriptor }, INDEX],
    ["a manifest announced as an index", { ...image, mediaType: undefined }, INDEX],
    ["an index announced as a manifest", { ...index, mediaType: undefined }, OCI],
    ["a manifest that says it is an index", { ...image, mediaType: INDEX }, INDEX],
    ["an index that says it is a manifest", { ...index, mediaType: OCI }, OCI],
    ["a Content-Type that is no manifest's", { ...image, mediaType: undefined }, "application/json"],
    ["a Docker manifest without media type", { ...image, mediaType: undefined }, MediaType.dockerManifest],
    ["an empty media type", { ...image, mediaType: "" }, OCI],
    ["a number as media type", { ...image, mediaType: 2 }, OCI],
    ["schema 1", { schemaVersion: 1, fsLayers: [] }, undefined],
    ["a document without schemaVersion", { ...image, schemaVersion: undefined }, OCI],
    ["schemaVersion as text", { ...image, schemaVersion: "2" }, OCI],
    ["no config", { ...image, config: undefined }, OCI],
    ["a null config", { ...image, config: null }, OCI],
    ["no layers", { ...image, layers: undefined }, OCI],
    ["layers that are an object", { ...image, layers: {} }, OCI],
    ["neither layers nor manifests", { schemaVersion: 2, mediaType: OCI }, OCI],
    ["members of schema 1 beside layers", { ...image, fsLayers: [] }, OCI],
    ["a negative size", { ...image, config: { ...descriptor, size: -1 } }, OCI],
    ["a size as text", { ...image, config: { ...descriptor, size: "10" } }, OCI],
    [
      "an unknown digest algorithm",
      { ...image, config: { ...descriptor, digest: "md5:d41d8cd98f00b204e9800998ecf8427e" } },
      OCI,
    ],
    [
      "a digest that is a path",
      { ...image, config: { ...descriptor, digest: "sha256:../../../../v2/other/manifests/x" } },
      OCI,
    ],
    ["a digest with capitals", { ...image, config: { ...descriptor, digest: `sha256:${HEX.toUpperCase()}` } }, OCI],
    ["a media type with a line break", { ...image, config: { ...descriptor, mediaType: "a/b\r\nx: y" } }, OCI],
    ["a media type without slash", { ...image, config: { ...descriptor, mediaType: "wasm" } }, OCI],
    ["an annotation that is no text", { ...image, annotations: { a: 1 } }, OCI],
    ["urls that are no list", { ...image, config: { ...descriptor, urls: "https://evil.example" } }, OCI],
    ["1,001 layers", { ...image, layers: Array.from({ length: 1001 }, () => descriptor) }, OCI],
    ["10,001 entries", { ...index, manifests: Array.from({ length: 10001 }, () => descriptor) }, INDEX],
  ])("refuses %s", async (_what, document, contentType) => {
    expect(await code(parse(document, contentType))).toBe("MANIFEST_INVALID");
  });

  it("refuses more than 4 MiB before it looks at a byte", async () => {
    expect(await code(parseManifest(new Uint8Array(MAX_MANIFEST_BYTES + 1), OCI))).toBe("LIMIT_EXCEEDED");
  });

  it("escapes what it quotes", async () => {
    const failure = parse({ ...image, config: { ...descriptor, mediaType: "\u001b]8;;x\u0007" } });
    await expect(failure).rejects.toThrow(/^[^\u0007\u001b]*$/); // oxlint-disable-line no-control-regex -- the point
  });

  it("meets any mutation of a manifest with a manifest or a FormatError", async () => {
    const values = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom<unknown>(descriptor, [descriptor], index.manifests, "2", 2, null, -1, { size: 1e300 }),
    );
    const keys = fc.constantFrom(
      "schemaVersion",
      "mediaType",
      "config",
      "layers",
      "manifests",
      "annotations",
      "subject",
      "__proto__",
      "Layers",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(keys, values), { maxLength: 3 }), async (changes) => {
        const document = JSON.stringify({ ...image, ...Object.fromEntries(changes) });
        await parse(document).then(
          (received) => expect(received.mediaType).toBe(OCI),
          (error: unknown) => expect(error).toBeInstanceOf(FormatError),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("meets any bytes with a FormatError", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await expect(parseManifest(bytes, OCI)).rejects.toBeInstanceOf(FormatError);
      }),
    );
  });
});

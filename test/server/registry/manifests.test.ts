import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes, type Digest } from "../../../src/base/digest.ts";
import {
  bytesOf,
  EMPTY_CONFIG,
  expectFault,
  imageManifest,
  OCI_INDEX,
  OCI_MANIFEST,
  openTestRegistry,
  type TestRegistry,
} from "./registry-fixture.ts";

const MANIFESTS = "/v2/acme/app/manifests";

let registry: TestRegistry;
let config: Digest;
beforeEach(async () => {
  registry = await openTestRegistry();
  config = await registry.pushBlob("acme/app", EMPTY_CONFIG);
});
afterEach(() => registry.close());

function put(reference: string, body: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
  return registry.request("PUT", `${MANIFESTS}/${reference}`, {
    body,
    headers: { "content-type": OCI_MANIFEST, ...headers },
  });
}

const get = (reference: string) => registry.request("GET", `${MANIFESTS}/${reference}`);
const tags = async () =>
  ((await (await registry.request("GET", "/v2/acme/app/tags/list")).json()) as { tags: string[] }).tags;

describe("a manifest", () => {
  test("comes back byte for byte, by tag and by digest, on GET and HEAD", async () => {
    const odd = bytesOf(
      ` {"layers":[] ,\n "schemaVersion":2,"config":{"mediaType":"a/b","size":2,"digest":"${config}"},"x":"\\u0041"}\n`,
    );
    const digest = await digestBytes(odd);
    const pushed = await put("v1", odd);
    expect(pushed.status).toBe(201);
    expect(pushed.headers.get("location")).toBe(`${MANIFESTS}/v1`);
    expect(pushed.headers.get("docker-content-digest")).toBe(digest);
    for (const reference of ["v1", digest]) {
      const answer = await get(reference);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        "content-type": OCI_MANIFEST,
        "content-length": String(odd.length),
        "docker-content-digest": digest,
        etag: `"${digest}"`,
      });
      expect(new Uint8Array(await answer.arrayBuffer())).toEqual(odd);
      const head = await registry.request("HEAD", `${MANIFESTS}/${reference}`);
      expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
        200,
        String(odd.length),
        "",
      ]);
    }
  });

  test("can be pushed under its sha512 digest, with tags that then point to it", async () => {
    const bytes = imageManifest(config);
    const digest = await digestBytes(bytes, "sha512");
    const answer = await put(`${digest}?tag=v1&tag=v2&tag=v1`, bytes);
    expect(answer.status).toBe(201);
    expect(answer.headers.get("oci-tag")).toBe("v1, v2");
    expect((await get("v2")).headers.get("docker-content-digest")).toBe(digest);
    await expectFault(await get(await digestBytes(bytes)), 404, "MANIFEST_UNKNOWN");
  });

  test("keeps its type without the parameters of the header", async () => {
    expect((await put("v1", imageManifest(config), { "content-type": `${OCI_MANIFEST}; charset=utf-8` })).status).toBe(
      201,
    );
    expect((await get("v1")).headers.get("content-type")).toBe(OCI_MANIFEST);
  });

  test("may have exactly 4 MiB, and not one byte more", async () => {
    const padding = 4 * 1024 * 1024 - imageManifest(config, { x: "" }).length;
    expect((await put("v1", imageManifest(config, { x: "x".repeat(padding) }))).status).toBe(201);
    expect((await (await get("v1")).arrayBuffer()).byteLength).toBe(4 * 1024 * 1024);
    const before = registry.snapshot();
    await expectFault(await put("v1", imageManifest(config, { x: "x".repeat(padding + 1) })), 413, "SIZE_INVALID");
    const streamed = registry.app.request(`${MANIFESTS}/v1`, {
      method: "PUT",
      body: new Blob([imageManifest(config, { x: "x".repeat(padding + 1) })]).stream(),
      headers: { "content-type": OCI_MANIFEST },
      duplex: "half",
    } as RequestInit);
    await expectFault(await streamed, 413, "SIZE_INVALID");
    expect(registry.snapshot()).toEqual(before);
  });

  test("is not sent again to a client that has it", async () => {
    const digest = await registry.pushImage("acme/app", "v1");
    for (const [known, status] of [
      [`"${digest}"`, 304],
      [`W/"${digest}", "x"`, 304],
      ["*", 304],
      ['"other"', 200],
    ] as const) {
      const answer = await registry.request("GET", `${MANIFESTS}/v1`, { headers: { "if-none-match": known } });
      expect(answer.status).toBe(status);
    }
  });

  test("that the disk changed is an error, never other bytes under its digest", async () => {
    const digest = await registry.pushImage("acme/app", "v1");
    writeFileSync(join(registry.dir, "blobs", digest.replace(":", "/")), imageManifest(config, { evil: true }));
    expect((await get("v1")).status).toBe(500);
    expect(registry.errors).toEqual([expect.objectContaining({ code: "STATE_INVALID" })]);
    await registry.pushImage("acme/app", "v1");
    expect((await get("v1")).status).toBe(200);
  });
});

describe("a push is refused, and nothing changes", () => {
  const cases: [string, () => string | Uint8Array, string][] = [
    ["is no JSON", () => "hello", OCI_MANIFEST],
    ["is empty", () => "", OCI_MANIFEST],
    [
      "has a key twice",
      () =>
        `{"schemaVersion":2,"schemaVersion":2,"config":{"mediaType":"a/b","size":2,"digest":"${config}"},"layers":[]}`,
      OCI_MANIFEST,
    ],
    [
      "has Layers beside layers",
      () => new TextDecoder().decode(imageManifest(config)).replace("{", '{"Layers":[],'),
      OCI_MANIFEST,
    ],
    ["is manifest and index at once", () => imageManifest(config, { manifests: [] }), OCI_MANIFEST],
    ["has another mediaType than its Content-Type", () => imageManifest(config), OCI_INDEX],
    ["is of a type that browsers run", () => imageManifest(config, { mediaType: "text/html" }), "text/html"],
    [
      "has a size that no file has",
      () => imageManifest(config, { layers: [{ mediaType: "a/b", digest: config, size: -1 }] }),
      OCI_MANIFEST,
    ],
    [
      "has a layer outside the store",
      () => imageManifest(config, { layers: [{ mediaType: "a/b", digest: "sha256:../../x", size: 1 }] }),
      OCI_MANIFEST,
    ],
    [
      "has a subject and annotations that would fill every list of referrers",
      () =>
        imageManifest(config, {
          subject: { mediaType: OCI_MANIFEST, digest: config, size: 2 },
          annotations: { a: "x".repeat(300_000) },
        }),
      OCI_MANIFEST,
    ],
  ];
  test.each(cases)("where the manifest %s", async (_, body, contentType) => {
    await registry.pushImage("acme/app", "v1");
    const before = registry.snapshot();
    const bytes = body();
    await expectFault(
      await put("v1", typeof bytes === "string" ? bytes : new Uint8Array(bytes), { "content-type": contentType }),
      400,
      "MANIFEST_INVALID",
    );
    expect(registry.snapshot()).toEqual(before);
  });

  test.each(["-v1", ".v1", "v+1", "x".repeat(129), "..%2F..%2Fx"])("where the tag is %s", async (tag) => {
    const before = registry.snapshot();
    await expectFault(await put(tag, imageManifest(config)), 400, "DIGEST_INVALID");
    const digest = await digestBytes(imageManifest(config));
    await expectFault(
      await put(`${digest}?tag=${encodeURIComponent(tag)}`, imageManifest(config)),
      400,
      "MANIFEST_INVALID",
    );
    expect(registry.snapshot()).toEqual(before);
  });

  test.each(["sha256", "sha512"] as const)("where its %s digest is another", async (algorithm) => {
    const before = registry.snapshot();
    await expectFault(
      await put(await digestBytes(bytesOf("x"), algorithm), imageManifest(config)),
      400,
      "DIGEST_INVALID",
    );
    expect(registry.snapshot()).toEqual(before);
  });

  test("where too many tags come at once", async () => {
    const digest = await digestBytes(imageManifest(config));
    const query = Array.from({ length: 101 }, (_, i) => `tag=v${i}`).join("&");
    await expectFault(await put(`${digest}?${query}`, imageManifest(config)), 414, "UNSUPPORTED");
    expect(await tags().catch(() => [])).toEqual([]);
  });

  test("where it is compressed", async () => {
    await expectFault(await put("v1", imageManifest(config), { "content-encoding": "gzip" }), 415, "UNSUPPORTED");
  });

  test("where its config, a layer or a manifest of an index is not in this repository", async () => {
    const layer = await registry.pushBlob("acme/other", bytesOf("layer"));
    const elsewhere = await registry.pushImage("acme/other", "v1");
    const before = registry.snapshot();
    const missing = await digestBytes(bytesOf("never pushed"));
    const withLayer = imageManifest(config, { layers: [{ mediaType: "a/b", digest: layer, size: 5 }] });
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ mediaType: OCI_MANIFEST, digest: elsewhere, size: 1 }],
    });
    await expectFault(await put("v1", imageManifest(missing)), 404, "MANIFEST_BLOB_UNKNOWN");
    await expectFault(await put("v1", withLayer), 404, "MANIFEST_BLOB_UNKNOWN");
    await expectFault(await put("v1", index, { "content-type": OCI_INDEX }), 404, "MANIFEST_BLOB_UNKNOWN");
    expect(registry.snapshot()).toEqual(before);
  });
});

test("takes a manifest whose foreign layer or subject is elsewhere", async () => {
  const missing = await digestBytes(bytesOf("never pushed"));
  const foreign = {
    mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    digest: missing,
    size: 1,
  };
  const subject = { mediaType: OCI_MANIFEST, digest: missing, size: 1 };
  const answer = await put("v1", imageManifest(config, { layers: [foreign], subject }));
  expect([answer.status, answer.headers.get("oci-subject")]).toEqual([201, missing]);
});

describe("tags", () => {
  test("move, and are the same name only in the same case", async () => {
    const first = await registry.pushImage("acme/app", "v1");
    const second = await registry.pushImage("acme/app", "V1", { annotations: { n: "2" } });
    expect((await get("v1")).headers.get("docker-content-digest")).toBe(first);
    expect((await get("V1")).headers.get("docker-content-digest")).toBe(second);
    await registry.pushImage("acme/app", "v1", { annotations: { n: "2" } });
    expect((await get("v1")).headers.get("docker-content-digest")).toBe(second);
    expect(await tags()).toEqual(["V1", "v1"]);
  });

  test("are deleted alone; the manifest stays", async () => {
    const digest = await registry.pushImage("acme/app", "v1");
    expect((await registry.request("DELETE", `${MANIFESTS}/v1`)).status).toBe(202);
    await expectFault(await get("v1"), 404, "MANIFEST_UNKNOWN");
    await expectFault(await registry.request("DELETE", `${MANIFESTS}/v1`), 404, "MANIFEST_UNKNOWN");
    expect((await get(digest)).status).toBe(200);
    expect(await tags()).toEqual([]);
  });

  test("go with their manifest, others stay", async () => {
    const digest = await registry.pushImage("acme/app", "v1");
    await registry.pushImage("acme/app", "also-v1");
    const other = await registry.pushImage("acme/app", "v2", { annotations: { n: "2" } });
    expect((await registry.request("DELETE", `${MANIFESTS}/${digest}`)).status).toBe(202);
    for (const reference of ["v1", "also-v1", digest]) await expectFault(await get(reference), 404, "MANIFEST_UNKNOWN");
    expect(await tags()).toEqual(["v2"]);
    expect((await get(other)).status).toBe(200);
    await expectFault(await registry.request("DELETE", `${MANIFESTS}/${digest}`), 404, "MANIFEST_UNKNOWN");
    expect(Object.keys(registry.snapshot()).some((path) => path.includes(digest.slice(7)))).toBe(false);
  });

  test("change only where the condition holds (If-Match, If-None-Match)", async () => {
    const first = await registry.pushImage("acme/app", "v1");
    const next = imageManifest(config, { annotations: { n: "2" } });
    const wrong = await digestBytes(bytesOf("x"));
    for (const headers of [
      { "if-match": `"${wrong}"` },
      { "if-match": "nonsense" },
      { "if-match": `"${first}", "${wrong}"` },
      { "if-none-match": "*" },
      { "if-none-match": `"${first}"` },
      { "if-match": "*", "if-none-match": "*" },
    ] as Record<string, string>[]) {
      await expectFault(await put("v1", next, headers), 412, "DENIED");
      await expectFault(await registry.request("DELETE", `${MANIFESTS}/v1`, { headers }), 412, "DENIED");
      expect((await get("v1")).headers.get("docker-content-digest")).toBe(first);
    }
    await expectFault(await put("v2", next, { "if-match": "*" }), 412, "DENIED");
    expect((await put("v1", next, { "if-match": `"${first}"` })).status).toBe(201);
    expect((await put("v2", next, { "if-none-match": "*" })).status).toBe(201);
    expect((await registry.request("DELETE", `${MANIFESTS}/v2`, { headers: { "if-match": "*" } })).status).toBe(202);
    expect(await tags()).toEqual(["v1"]);
  });

  test("of one name have one winner among concurrent conditional pushes", async () => {
    const first = await registry.pushImage("acme/app", "v1");
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        put("v1", imageManifest(config, { annotations: { n: String(n) } }), { "if-match": `"${first}"` }),
      ),
    );
    expect(answers.map((answer) => answer.status).filter((status) => status === 201)).toHaveLength(1);
    expect(answers.map((answer) => answer.status).filter((status) => status === 412)).toHaveLength(19);
  });

  test("pushed concurrently all land, while others are deleted", async () => {
    await Promise.all(Array.from({ length: 30 }, (_, n) => registry.pushImage("acme/app", `old-${n}`)));
    await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        await registry.pushImage("acme/app", `new-${n}`, { annotations: { n: String(n) } });
        expect((await registry.request("DELETE", `${MANIFESTS}/old-${n}`)).status).toBe(202);
      }),
    );
    expect((await tags()).length).toBe(30);
    expect((await tags()).every((tag) => tag.startsWith("new-"))).toBe(true);
  });
});

test.each(["GET", "DELETE"])(
  "answers %s for what it does not have with 404, known repository or not",
  async (method) => {
    const digest = await digestBytes(bytesOf("x"));
    for (const reference of ["v1", digest]) {
      await expectFault(await registry.request(method, `${MANIFESTS}/${reference}`), 404, "MANIFEST_UNKNOWN");
      await expectFault(await registry.request(method, `/v2/acme/none/manifests/${reference}`), 404, "NAME_UNKNOWN");
    }
  },
);

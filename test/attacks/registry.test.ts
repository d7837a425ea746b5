/** A registry, its disk or its administrator, against a consumer who verifies, and against one who only pulls. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.ts";
import type { Fault, SeenRequest } from "../support/faulty-server.ts";
import { sha256 } from "../support/hostile-registry.ts";
import { HONEST_MODULE, INDEX_TYPE, MANIFEST_TYPE, NAME, OUTPUT, SignedApp } from "../support/signed-app.ts";
import { moduleBytes } from "../support/use-case.ts";
import { custom, wasmModule } from "../support/wasm-builder.ts";

let app: SignedApp;

beforeAll(async () => {
  app = await SignedApp.start();
});

beforeEach(() => app.reset());

afterAll(() => app.stop());

const EVIL = moduleBytes("two"); // as long as "one"
const MODULE = moduleBytes("one");

/** Puts other bytes under the digest of the signed module. */
function replaceBlob(bytes: Uint8Array): void {
  app.registry.blobs.set(`${NAME}@${sha256(MODULE)}`, Buffer.from(bytes));
}

/** Puts a manifest under a tag, of whatever text. */
function retag(document: unknown, mediaType = MANIFEST_TYPE, tag = "v1"): void {
  app.registry.addManifest(NAME, document, mediaType, tag);
}

/** The manifest of a module as text, with a member written in front. */
function manifestText(bytes: Uint8Array, prefix = ""): string {
  return JSON.stringify(app.manifestOf(bytes)).replace("{", `{${prefix}`);
}

function indexOf(...digests: string[]): unknown {
  const manifests = digests.map((digest) => ({
    mediaType: MANIFEST_TYPE,
    digest,
    size: app.registry.manifests.get(`${NAME}@${digest}`)!.bytes.length,
    platform: { os: "wasip1", architecture: "wasm" },
  }));
  return { schemaVersion: 2, mediaType: INDEX_TYPE, manifests };
}

/** A container image: nothing of Wasm in it. */
function imageManifest(): Record<string, unknown> {
  const layer = app.registry.addBlob(NAME, Buffer.from("tar"));
  const config = app.registry.addBlob(NAME, Buffer.from("{}"));
  return {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config, size: 2 },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: layer, size: 3 }],
  };
}

/** What is done to a signed tag, and how its verified pull ends. */
const TAMPERED: readonly (readonly [
  name: string,
  tamper: () => void,
  code: ErrorCode,
  status: number,
  tag?: string,
])[] = [
  ["another blob of the same size", () => replaceBlob(EVIL), "DIGEST_MISMATCH", 10],
  [
    "a blob with one bit flipped",
    () => replaceBlob(MODULE.map((byte, i) => (i === 9 ? byte ^ 1 : byte))),
    "DIGEST_MISMATCH",
    10,
  ],
  ["a shorter blob", () => replaceBlob(MODULE.subarray(0, 10)), "DIGEST_MISMATCH", 10],
  ["a longer blob", () => replaceBlob(Buffer.concat([MODULE, custom("more")])), "DIGEST_MISMATCH", 10],
  ["an empty blob", () => replaceBlob(new Uint8Array()), "DIGEST_MISMATCH", 10],
  ["another module under the tag", () => void app.push(EVIL, "v1"), "TAG_MISMATCH", 10],
  ["another module under a tag signed as in 2019", () => void app.push(EVIL, "v0"), "TARGET_MISMATCH", 10, "v0"],
  ["another module under a delegation's tag", () => void app.push(EVIL, "r1"), "TAG_MISMATCH", 10, "r1"],
  [
    "no tag where one was signed as in 2019",
    () => void app.registry.manifests.delete(`${NAME}:v0`),
    "TAG_MISMATCH",
    10,
    "v0",
  ],
  ["a manifest with a key twice", () => retag(manifestText(MODULE, '"schemaVersion":2,')), "JSON_INVALID", 7],
  [
    "a manifest with the same key in capitals",
    () => retag(manifestText(MODULE, '"LAYERS":[],')),
    "MANIFEST_INVALID",
    7,
  ],
  [
    "a manifest that is an index as well",
    () => retag({ ...app.manifestOf(MODULE), manifests: [] }),
    "MANIFEST_INVALID",
    7,
  ],
  ["a manifest announced as something else", () => retag(app.manifestOf(MODULE), "text/html"), "MANIFEST_INVALID", 7],
  ["an index of another module", () => retag(indexOf(app.push(EVIL)), INDEX_TYPE), "TAG_MISMATCH", 10],
  ["an index of nothing", () => retag(indexOf(), INDEX_TYPE), "TAG_MISMATCH", 10],
  ["a container image", () => retag(imageManifest()), "TAG_MISMATCH", 10],
  [
    "a container image under a tag signed as in 2019",
    () => retag(imageManifest(), MANIFEST_TYPE, "v0"),
    "TARGET_MISMATCH",
    10,
    "v0",
  ],
  ["a manifest of the old signed size for other bytes", () => retag(manifestText(EVIL)), "TAG_MISMATCH", 10],
];

describe("a verified pull refuses", () => {
  it.each(TAMPERED.map((row) => ({ name: row[0], row })))("$name", async ({ row }) => {
    const [, tamper, code, status, tag] = row;
    tamper();
    const { message } = await app.pullRefusedLate(code, status, tag);
    expect(message).toMatch(/sha256:|manifest|tag/);
  });

  it("an older signed version put back under the tag", async () => {
    const first = app.registry.manifests.get(`${NAME}:v1`)!;
    const replaces = await app.release("v1", "two");
    await app.release("v1", "three", { replaces });
    await app.collection.publish("targets");
    await app.victim.succeed(app.pullWords());
    await rm(join(app.victim.work, OUTPUT));
    app.registry.manifests.set(`${NAME}:v1`, first);
    expect(await app.pullRefusedLate("TAG_MISMATCH", 10)).toMatchObject({ code: "TAG_MISMATCH" });
  });

  it("the version just before, delivering the signed one instead, as while a push is under way", async () => {
    const replaces = sha256(app.registry.manifests.get(`${NAME}:v1`)!.bytes);
    const first = app.registry.manifests.get(`${NAME}:v1`)!;
    await app.release("v1", "two", { replaces });
    await app.collection.publish("targets");
    app.registry.manifests.set(`${NAME}:v1`, first);
    const { stdout } = await app.victim.succeed([...app.pullWords(), "--format", "json"]);
    expect(JSON.parse(stdout)).toMatchObject({ module: { digest: sha256(moduleBytes("two")) }, verified: "module" });
  });

  it("a manifest that is not what its digest says, whatever the registry's header says", async () => {
    const digest = sha256(app.registry.manifests.get(`${NAME}:v1`)!.bytes);
    const bytes = Buffer.from(manifestText(EVIL));
    app.registry.setFault(({ path }) =>
      path.endsWith(digest)
        ? {
            alter: (honest) => ({
              ...honest,
              body: bytes,
              headers: { ...honest.headers, "docker-content-digest": digest },
            }),
          }
        : undefined,
    );
    await app.victim.refused(["pull", `${app.registry.host}/${NAME}@${digest}`, "-o", OUTPUT], "DIGEST_MISMATCH", 10, {
      mayAdvance: true,
    });
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });
});

const MANIFESTS = ({ path }: SeenRequest): boolean => path.includes("/manifests/");
const BLOBS = ({ path }: SeenRequest): boolean => path.includes("/blobs/");
const ALL = (): boolean => true;
const HONEST = (honest: Parameters<NonNullable<Fault["alter"]>>[0]) => honest;
const HTML = { status: 200, headers: { "content-type": "text/html" }, body: "<!doctype html><title>Sign in</title>" };
const BASIC = { "www-authenticate": 'Basic realm="x"' };

/** What a registry can answer to a pull, verified or not. */
const ANSWERS: readonly (readonly [string, (request: SeenRequest) => boolean, Fault, ErrorCode, number])[] = [
  ["401 without saying how to log in", ALL, { status: 401, body: "{}" }, "REGISTRY_DENIED", 4],
  ["401 to credentials", ALL, { status: 401, headers: BASIC, body: "{}" }, "REGISTRY_DENIED", 4],
  ["403", ALL, { status: 403, body: "{}" }, "REGISTRY_DENIED", 4],
  ["404 to everything", ALL, { status: 404, body: "{}" }, "REGISTRY_NOT_FOUND", 3],
  ["404 for the blob", BLOBS, { status: 404, body: "{}" }, "REGISTRY_NOT_FOUND", 3],
  ["429, come back in an hour", ALL, { status: 429, headers: { "retry-after": "3600" } }, "REGISTRY_UNAVAILABLE", 5],
  ["500", ALL, { status: 500, body: "no" }, "REGISTRY_UNAVAILABLE", 5],
  ["a manifest that is a web page", MANIFESTS, HTML, "JSON_INVALID", 7],
  ["an empty manifest", MANIFESTS, { status: 200 }, "JSON_INVALID", 7],
  ["a manifest without end", MANIFESTS, { status: 200, endless: Buffer.alloc(65_536, "[") }, "RESPONSE_TOO_LARGE", 5],
  ["a manifest that stops", MANIFESTS, { alter: HONEST, stallAfter: 10 }, "TIMEOUT", 5],
  ["silence", ALL, { hang: true }, "TIMEOUT", 5],
  ["a blob without end", BLOBS, { status: 200, endless: Buffer.alloc(65_536) }, "DIGEST_MISMATCH", 10],
  ["a blob that stops", BLOBS, { alter: HONEST, stallAfter: 0 }, "TIMEOUT", 5],
  ["a blob that is cut", BLOBS, { alter: HONEST, cutAfter: 0 }, "NETWORK", 5],
  ["a redirect in a circle", ALL, { status: 302, headers: { location: "/v2/again" } }, "REDIRECT_REFUSED", 5],
];

describe("a registry that answers", () => {
  it.each(ANSWERS)("%s", async (_, concerned, fault, code, status) => {
    app.registry.setFault((request) => (concerned(request) ? fault : undefined));
    expect(await app.pullRefusedLate(code, status)).toMatchObject({ code });
  });

  it("429, come back in a second, is obeyed once and then serves", async () => {
    const times: number[] = [];
    app.registry.setFault((request) => {
      if (MANIFESTS(request)) times.push(Date.now());
      return MANIFESTS(request) && times.length === 1 ? { status: 429, headers: { "retry-after": "1" } } : undefined;
    });
    await app.victim.succeed(app.pullWords());
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(1000);
  });

  it("nothing, being down", async () => {
    const up = await app.registry.goDown();
    const { message } = await app.victim.refused(app.pullWords(), "NETWORK", 5, { mayAdvance: true });
    expect(message).toContain(app.registry.host);
    await up();
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });

  it("with our own credentials and terminal escapes in its error", async () => {
    app.registry.setFault(({ headers }) => {
      const sent = headers["authorization"];
      if (sent === undefined) return { status: 401, headers: BASIC, body: "{}" };
      const message = `\u001b[2J\u202e\u009b${sent} ${Buffer.from(sent.slice(6), "base64").toString()}`;
      return {
        status: 403,
        body: JSON.stringify({ errors: [{ code: "DENIED\u001b[31m", message, detail: message }] }),
      };
    });
    expect(await app.pullRefusedLate("REGISTRY_DENIED", 4)).toMatchObject({ code: "REGISTRY_DENIED" });
    expect(app.registry.requests.some(({ headers }) => headers["authorization"] !== undefined)).toBe(true);
  });

  it("a redirect to another host, which gets no credentials", async () => {
    const elsewhere: SeenRequest[] = [];
    app.registry.setFault((request) => {
      if (request.headers["host"]?.startsWith("localhost") === true) elsewhere.push(request);
      else if (request.headers["authorization"] === undefined) return { status: 401, headers: BASIC, body: "{}" };
      else if (BLOBS(request)) {
        const port = app.registry.host.split(":")[1]!;
        return { status: 307, headers: { location: `http://localhost:${port}${request.path}` } };
      }
      return undefined;
    });
    await app.victim.succeed(app.pullWords());
    expect(elsewhere.length).toBeGreaterThan(0);
    expect(elsewhere.map(({ headers }) => headers["authorization"])).not.toContainEqual(expect.anything());
  });
});

describe("an unverified pull refuses", () => {
  beforeEach(() => app.victim.forget());

  it.each<[string, () => void, ErrorCode, number]>([
    ["a blob that is not what its digest says", () => replaceBlob(EVIL), "DIGEST_MISMATCH", 10],
    ["a container image", () => retag(imageManifest()), "MODULE_MISSING", 7],
    ["an index of nothing", () => retag(indexOf(), INDEX_TYPE), "MODULE_MISSING", 7],
    [
      "an index of two modules",
      () => retag(indexOf(app.push(EVIL), app.push(wasmModule())), INDEX_TYPE),
      "MODULE_AMBIGUOUS",
      7,
    ],
    ["a manifest with a key twice", () => retag(manifestText(MODULE, '"config":{},')), "JSON_INVALID", 7],
    ["a tag that is not there", () => void app.registry.manifests.delete(`${NAME}:v1`), "REGISTRY_NOT_FOUND", 3],
  ])("%s", async (_, tamper, code, status) => {
    tamper();
    await app.victim.refused(app.pullWords(), code, status);
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });
});

describe("an unsigned push ends, leaving no tag, at", () => {
  const uploading = ({ method, path }: SeenRequest): boolean => method !== "GET" && path.includes("/uploads");
  const tagging = ({ method, path }: SeenRequest): boolean => method === "PUT" && path.endsWith("/manifests/new");

  it.each<[string, (request: SeenRequest) => boolean, Fault, ErrorCode, number]>([
    ["401 to the upload", uploading, { status: 401, headers: BASIC, body: "{}" }, "REGISTRY_DENIED", 4],
    ["403 to the upload", uploading, { status: 403, body: "{}" }, "REGISTRY_DENIED", 4],
    ["404 to the upload", uploading, { status: 404, body: "{}" }, "REGISTRY_NOT_FOUND", 3],
    ["413 to the upload", uploading, { status: 413, body: "{}" }, "REGISTRY_REFUSED", 1],
    ["500 to the upload", uploading, { status: 500, body: "{}" }, "REGISTRY_UNAVAILABLE", 5],
    ["an upload without a place", uploading, { status: 202 }, "RESPONSE_INVALID", 5],
    ["silence to the upload", uploading, { hang: true }, "TIMEOUT", 5],
    ["an upload that is cut", ({ method }) => method === "PUT", { cutRequestAfter: 1 }, "NETWORK", 5],
    ["a tag that may not move", tagging, { status: 409, body: "{}" }, "TAG_REFUSED", 8],
  ])("%s", async (_, concerned, fault, code, status) => {
    const file = join(app.victim.home, "new.wasm");
    await writeFile(file, moduleBytes("new"));
    const words = ["push", file, `${app.registry.host}/${NAME}:new`, "--timeout", "1s"];
    app.registry.setFault((request) => (concerned(request) ? fault : undefined));
    await app.victim.refused(words, code, status);
    expect(app.registry.manifests.has(`${NAME}:new`)).toBe(false);
    app.registry.setFault(undefined);
    await app.victim.succeed(words);
    expect(app.registry.manifests.has(`${NAME}:new`)).toBe(true);
  });
});

it("a name in a manifest cannot drive the terminal", async () => {
  const document = { ...app.manifestOf(MODULE), annotations: { "org.opencontainers.image.title": "\u001b[2Jx\u202e" } };
  app.registry.addManifest(NAME, document, MANIFEST_TYPE, "escape");
  const { stdout } = await app.victim.succeed(["inspect", app.reference("escape")]);
  expect(stdout).not.toContain("\u001b");
  await app.victim.succeed(["inspect", app.reference("escape"), "--format", "json"]);
});

import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../src/base/digest.ts";
import { RegistryError, StorageError } from "../../src/base/errors.ts";
import type { StreamBody } from "../../src/base/http.ts";
import type { Progress } from "../../src/base/progress.ts";
import type { NodeTransport } from "../../src/node/transport.ts";
import { failureOf } from "../support/error-code.ts";
import { sha256, startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";
import { collect, registryRig, testTransport, type RegistryRig } from "../support/registry-rig.ts";

const CONTENT = randomBytes(300_000);
const BLOB = { digest: sha256(CONTENT) as Digest, size: CONTENT.length };
const PATH = `/v2/acme/app/blobs/${BLOB.digest}`;
const UPLOADS = "/v2/acme/app/blobs/uploads/";

let registry: HostileRegistry;
let transport: NodeTransport;
let rig: RegistryRig;

beforeEach(async () => {
  registry = await startHostileRegistry();
  transport = testTransport();
  rig = registryRig(registry.host, transport);
});
afterEach(async () => {
  transport.close();
  await registry.stop();
});

/** A body that counts how often it was opened. */
function body(bytes: Uint8Array): StreamBody & { opened: () => number } {
  let opened = 0;
  return {
    size: bytes.length,
    opened: () => opened,
    async *open(offset = 0) {
      opened++;
      for (let at = offset; at < bytes.length; at += 16_384)
        yield await Promise.resolve(bytes.subarray(at, at + 16_384));
    },
  };
}

function ranges(): (string | undefined)[] {
  return registry.requests.map(({ headers }) => headers["range"]);
}

describe("blobs.get", () => {
  beforeEach(() => void registry.addBlob("acme/app", CONTENT));

  it("gives the content", async () => {
    expect(sha256(await collect(rig.repository.blobs.get(BLOB)))).toBe(BLOB.digest);
    expect(registry.log()).toEqual([`GET ${PATH}`]);
  });

  it("gives an empty blob", async () => {
    const digest = registry.addBlob("acme/app", new Uint8Array(0)) as Digest;
    expect(await collect(rig.repository.blobs.get({ digest, size: 0 }))).toHaveLength(0);
  });

  it("goes on where the connection broke, and hashes on", async () => {
    registry.setFault(({ nth }) => (nth <= 2 ? { alter: (honest) => honest, cutAfter: 100_000 } : undefined));
    expect(sha256(await collect(rig.repository.blobs.get(BLOB)))).toBe(BLOB.digest);
    const [first, second, third] = ranges();
    expect(first).toBeUndefined();
    expect(second).toMatch(/^bytes=\d+-$/);
    expect(Number(/\d+/.exec(third!)![0])).toBeGreaterThan(Number(/\d+/.exec(second!)![0]));
    expect(rig.pauses).toHaveLength(2);
  });

  it("goes on with a server that ignores ranges", async () => {
    registry.setFault(({ nth }) => ({
      alter: () => ({ status: 200, headers: {}, body: CONTENT }),
      ...(nth === 1 && { cutAfter: 100_000 }),
    }));
    expect(sha256(await collect(rig.repository.blobs.get(BLOB)))).toBe(BLOB.digest);
    expect(registry.requests).toHaveLength(2);
  });

  it("gives up after four tries without progress", async () => {
    registry.setFault(() => ({ alter: (honest) => honest, cutAfter: 0 }));
    expect((await failureOf(collect(rig.repository.blobs.get(BLOB)))).code).toBe("NETWORK");
    expect(registry.requests).toHaveLength(4);
  });

  it("notices when the second half belongs to something else", async () => {
    const other = randomBytes(CONTENT.length);
    registry.setFault(({ nth, headers }) => {
      if (nth === 1) return { alter: (honest) => honest, cutAfter: 100_000 };
      const start = Number(/\d+/.exec(headers["range"] ?? "0")![0]);
      return { alter: (honest) => ({ ...honest, body: other.subarray(start) }) };
    });
    expect((await failureOf(collect(rig.repository.blobs.get(BLOB)))).code).toBe("DIGEST_MISMATCH");
  });

  it.each([
    ["another start", "bytes 0-299999/300000"],
    ["another size", "bytes 1-9/10"],
    ["no range at all", ""],
  ])("refuses a continuation with %s", async (_what, contentRange) => {
    registry.setFault(({ nth }) => {
      if (nth === 1) return { alter: (honest) => honest, cutAfter: 100_000 };
      return { alter: (honest) => ({ ...honest, headers: { "content-range": contentRange } }) };
    });
    expect((await failureOf(collect(rig.repository.blobs.get(BLOB)))).code).toBe("RESPONSE_INVALID");
  });

  it.each<[string, Buffer]>([
    ["other bytes of the same length", randomBytes(CONTENT.length)],
    ["too few bytes", CONTENT.subarray(1)],
    ["too many bytes", Buffer.concat([CONTENT, Buffer.from("x")])],
    ["nothing", Buffer.alloc(0)],
  ])("refuses %s, and takes the right ones afterwards", async (_what, evil) => {
    const lie = { "docker-content-digest": BLOB.digest };
    registry.setFault(() => ({ alter: () => ({ status: 200, headers: lie, body: evil }) }));
    const error = await failureOf(collect(rig.repository.blobs.get(BLOB)));
    expect([error.code, error.kind]).toEqual(["DIGEST_MISMATCH", "tampered"]);
    registry.setFault(undefined);
    expect(sha256(await collect(rig.repository.blobs.get(BLOB)))).toBe(BLOB.digest);
  });

  it("stops an endless body as soon as it is too long", async () => {
    registry.setFault(() => ({ status: 200, endless: randomBytes(65_536) }));
    let size = 0;
    const reading = (async () => {
      for await (const chunk of rig.repository.blobs.get(BLOB)) size += chunk.length;
    })();
    expect((await failureOf(reading)).code).toBe("DIGEST_MISMATCH");
    expect(size).toBeLessThanOrEqual(BLOB.size);
  });

  it("refuses encoded content", async () => {
    registry.setFault(() => ({ alter: (honest) => honest, headers: { "content-encoding": "gzip" } }));
    expect((await failureOf(collect(rig.repository.blobs.get(BLOB)))).code).toBe("RESPONSE_INVALID");
  });

  it("ends a connection that falls silent, after one more try", async () => {
    transport.close();
    transport = testTransport(300);
    rig = registryRig(registry.host, transport);
    registry.setFault(() => ({ alter: (honest) => honest, stallAfter: 1000 }));
    expect((await failureOf(collect(rig.repository.blobs.get(BLOB)))).code).toBe("TIMEOUT");
    expect(registry.requests).toHaveLength(2);
  });

  it("says where a blob is missing", async () => {
    registry.blobs.clear();
    const error = await failureOf(collect(rig.repository.blobs.get(BLOB)));
    expect(error).toBeInstanceOf(RegistryError);
    expect(error).toMatchObject({ code: "REGISTRY_NOT_FOUND", status: 404, details: { reason: "BLOB_UNKNOWN" } });
  });

  it("stops when told to, in the middle", async () => {
    const abort = new AbortController();
    const reading = (async () => {
      for await (const chunk of rig.repository.blobs.get(BLOB, { signal: abort.signal })) {
        if (chunk.length > 0) abort.abort();
      }
    })();
    expect((await failureOf(reading)).code).toBe("INTERRUPTED");
  });
});

describe("blobs.read", () => {
  it("takes embedded content without a request, and refuses what is too large before one", async () => {
    const data = Buffer.from("{}");
    const blob = { digest: sha256(data) as Digest, size: 2 };
    expect(await rig.repository.blobs.read({ ...blob, data }, 10)).toEqual(new Uint8Array(data));
    const error = await failureOf(rig.repository.blobs.read(blob, 1));
    expect(error.code).toBe("LIMIT_EXCEEDED");
    expect(registry.requests).toHaveLength(0);
    registry.addBlob("acme/app", data);
    expect(await rig.repository.blobs.read(blob, 10)).toEqual(new Uint8Array(data));
  });
});

describe("blobs.put", () => {
  it("uploads what is not there, in one piece with its length", async () => {
    const seen: Progress[] = [];
    const result = await rig.repository.blobs.put(BLOB, body(CONTENT), {
      onProgress: (progress) => seen.push(progress),
    });
    expect(result).toEqual({ existed: false });
    expect(sha256(registry.blobs.get(`acme/app@${BLOB.digest}`)!)).toBe(BLOB.digest);
    expect(registry.log()).toEqual([`HEAD ${PATH}`, `POST ${UPLOADS}`, `PUT ${UPLOADS}1`]);
    expect(registry.requests[2]!.headers["content-length"]).toBe("300000");
    expect(registry.requests[2]!.query.get("_state")).toBe("abc");
    expect(seen.at(-1)).toEqual({ phase: "uploading", subject: BLOB.digest, done: 300_000, total: 300_000 });
  });

  it("leaves the upload's address as the registry wrote it", async () => {
    const location = "/v2/acme/app/blobs/uploads/9?_state=a%20b+c%2Fd==&x";
    registry.setFault(({ method, query }) => {
      if (method === "POST") return { status: 202, headers: { location } };
      return method === "PUT" && query.get("digest") === BLOB.digest ? { status: 201 } : undefined;
    });
    const addresses: string[] = [];
    const spy = registryRig(registry.host, (request) => {
      addresses.push(request.url);
      return transport(request);
    });
    await spy.repository.blobs.put(BLOB, CONTENT);
    expect(addresses.at(-1)).toBe(`${registry.url}${location}&digest=sha256%3A${BLOB.digest.slice(7)}`);
  });

  it("sends nothing that is there", async () => {
    registry.addBlob("acme/app", CONTENT);
    const source = body(CONTENT);
    expect(await rig.repository.blobs.put(BLOB, source)).toEqual({ existed: true });
    expect([registry.log(), source.opened()]).toEqual([[`HEAD ${PATH}`], 0]);
    expect(await rig.repository.blobs.has(BLOB.digest)).toBe(true);
  });

  it("uploads again what the registry has with another length", async () => {
    registry.setFault(({ method }) =>
      method === "HEAD" ? { status: 200, headers: { "content-length": "5" } } : undefined,
    );
    expect(await rig.repository.blobs.put(BLOB, CONTENT)).toEqual({ existed: false });
  });

  it("mounts from another repository where it may, and uploads where it may not", async () => {
    const refused = await rig.repository.blobs.put(BLOB, CONTENT, { mountFrom: "acme/other" });
    expect(refused).toEqual({ existed: false });
    expect(registry.requests[1]!.query.get("mount")).toBe(BLOB.digest);
    expect(registry.requests[1]!.query.get("from")).toBe("acme/other");
    registry.blobs.clear();
    registry.setFault(({ method }) => (method === "POST" ? { status: 201 } : undefined));
    expect(await rig.repository.blobs.put(BLOB, CONTENT, { mountFrom: "acme/other" })).toEqual({ existed: true });
  });

  it("starts again with a new session where the connection breaks", async () => {
    const source = body(CONTENT);
    registry.setFault(({ path }) => (path === `${UPLOADS}1` ? { cutRequestAfter: 50_000 } : undefined));
    expect(await rig.repository.blobs.put(BLOB, source)).toEqual({ existed: false });
    expect(source.opened()).toBe(2);
    expect(registry.log().filter((line) => line.startsWith("PUT"))).toEqual([`PUT ${UPLOADS}1`, `PUT ${UPLOADS}2`]);
    expect(sha256(registry.blobs.get(`acme/app@${BLOB.digest}`)!)).toBe(BLOB.digest);
  });

  it("notices on the second try that the first has arrived, though its answer was lost", async () => {
    registry.setFault(({ method }) =>
      method === "PUT" ? { alter: (honest) => ({ ...honest, body: Buffer.from("lost") }), cutAfter: 0 } : undefined,
    );
    const result = await rig.repository.blobs.put(BLOB, CONTENT);
    expect(registry.log().filter((line) => line.startsWith("PUT"))).toHaveLength(1);
    expect(result.existed || registry.blobs.has(`acme/app@${BLOB.digest}`)).toBe(true);
  });

  it.each([
    ["503", { status: 503 }],
    [
      "a session that was forgotten",
      { status: 404, body: '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"x"}]}' },
    ],
  ])("starts again after %s", async (_what, fault) => {
    registry.setFault(({ path }) => (path === `${UPLOADS}1` ? fault : undefined));
    expect(await rig.repository.blobs.put(BLOB, CONTENT)).toEqual({ existed: false });
  });

  it("gives up after four tries", async () => {
    registry.setFault(({ method }) => (method === "PUT" ? { status: 500 } : undefined));
    const error = await failureOf(rig.repository.blobs.put(BLOB, CONTENT));
    expect(error).toMatchObject({ code: "REGISTRY_UNAVAILABLE", status: 500 });
    expect(registry.log().filter((line) => line.startsWith("PUT"))).toHaveLength(4);
    expect(registry.blobs.size).toBe(0);
    registry.setFault(undefined);
    expect(await rig.repository.blobs.put(BLOB, CONTENT)).toEqual({ existed: false });
  });

  it("says where the registry received other bytes than were announced", async () => {
    const changed = Buffer.from(CONTENT);
    changed[7] = changed[7]! ^ 1;
    const error = await failureOf(rig.repository.blobs.put(BLOB, body(changed)));
    expect(error).toMatchObject({ code: "REGISTRY_REFUSED", status: 400, details: { reason: "DIGEST_INVALID" } });
    expect(registry.blobs.size).toBe(0);
  });

  it.each([
    ["shorter", CONTENT.subarray(5)],
    ["longer", Buffer.concat([CONTENT, CONTENT])],
  ])("stops where the source has become %s", async (_what, bytes) => {
    const source = { ...body(bytes), size: CONTENT.length };
    const error = await failureOf(rig.repository.blobs.put(BLOB, source));
    expect(error).toBeInstanceOf(StorageError);
    expect(error.code).toBe("FILE_CHANGED");
    expect(registry.blobs.size).toBe(0);
  });

  it("passes on what the source throws, and does not try again", async () => {
    const problem = new StorageError("FILE_UNREADABLE", "the disk is gone");
    let opened = 0;
    const source: StreamBody = {
      size: CONTENT.length,
      // oxlint-disable-next-line require-yield -- it fails before it yields
      async *open() {
        opened++;
        await Promise.resolve();
        throw problem;
      },
    };
    expect(await failureOf(rig.repository.blobs.put(BLOB, source))).toBe(problem);
    expect(opened).toBe(1);
  });

  it.each([401, 403])("is denied by %d, with the registry's reason", async (status) => {
    const reason = { errors: [{ code: "DENIED", message: "quota\u001b[31m" }] };
    registry.setFault(({ method }) => (method === "POST" ? { status, body: JSON.stringify(reason) } : undefined));
    const error = await failureOf(rig.repository.blobs.put(BLOB, CONTENT));
    expect(error).toMatchObject({ code: "REGISTRY_DENIED", status, details: { reason: "DENIED" } });
    expect(error.message).toContain("quota\\u{1b}[31m");
  });

  it("refuses an answer that claims another digest", async () => {
    const headers = { "docker-content-digest": sha256(Buffer.from("evil")) };
    registry.setFault(({ method }) => (method === "PUT" ? { status: 201, headers } : undefined));
    expect((await failureOf(rig.repository.blobs.put(BLOB, CONTENT))).code).toBe("DIGEST_MISMATCH");
  });

  it("stops when told to, in the middle", async () => {
    const abort = new AbortController();
    const upload = rig.repository.blobs.put(BLOB, body(CONTENT), {
      signal: abort.signal,
      onProgress: () => abort.abort(),
    });
    expect((await failureOf(upload)).code).toBe("INTERRUPTED");
    expect(registry.blobs.size).toBe(0);
  });
});

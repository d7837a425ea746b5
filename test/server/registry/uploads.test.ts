import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes } from "../../../src/base/digest.ts";
import { bytesOf, expectFault, openTestRegistry, type TestRegistry } from "./registry-fixture.ts";

let registry: TestRegistry;
beforeEach(async () => {
  registry = await openTestRegistry();
});
afterEach(() => registry.close());

const UPLOADS = "/v2/acme/app/blobs/uploads/";

async function start(query = ""): Promise<string> {
  const answer = await registry.request("POST", UPLOADS + query);
  expect(answer.status).toBe(202);
  expect(answer.headers.get("range")).toBe("0-0");
  const location = answer.headers.get("location")!;
  expect(location).toMatch(/^\/v2\/acme\/app\/blobs\/uploads\/[0-9a-f-]{36}$/);
  return location;
}

async function patch(location: string, text: string, range?: string): Promise<Response> {
  return registry.request("PATCH", location, {
    body: text,
    headers: range === undefined ? {} : { "content-range": range },
  });
}

async function blobText(digest: string): Promise<string> {
  const answer = await registry.request("GET", `/v2/acme/app/blobs/${digest}`);
  expect(answer.status).toBe(200);
  return answer.text();
}

function openUploads(): number {
  return readdirSync(join(registry.dir, "uploads"), { recursive: true, withFileTypes: true }).filter((e) => e.isFile())
    .length;
}

describe("a blob arrives", () => {
  test("in one POST", async () => {
    const digest = await registry.pushBlob("acme/app", bytesOf("hello"));
    expect(await blobText(digest)).toBe("hello");
    expect(openUploads()).toBe(0);
  });

  test("by POST and PUT", async () => {
    const digest = await digestBytes(bytesOf("hello"));
    const location = await start();
    const answer = await registry.request("PUT", `${location}?digest=${digest}`, { body: "hello" });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("location")).toBe(`/v2/acme/app/blobs/${digest}`);
    expect(answer.headers.get("docker-content-digest")).toBe(digest);
    expect(await blobText(digest)).toBe("hello");
  });

  test("in chunks, the last one in the PUT", async () => {
    const digest = await digestBytes(bytesOf("hello world"));
    const location = await start();
    const first = await patch(location, "hello ", "0-5");
    expect(first.status).toBe(202);
    expect(first.headers.get("range")).toBe("0-5");
    const answer = await registry.request("PUT", `${first.headers.get("location")}?digest=${digest}`, {
      body: "world",
      headers: { "content-range": "6-10" },
    });
    expect(answer.status).toBe(201);
    expect(await blobText(digest)).toBe("hello world");
  });

  test("in chunks that do not say where they belong", async () => {
    const location = await start();
    await patch(location, "hello ");
    await patch(location, "world");
    const digest = await digestBytes(bytesOf("hello world"));
    expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await blobText(digest)).toBe("hello world");
  });

  test.each(["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"])(
    "under its sha512 digest, whatever was expected (%s)",
    async (query) => {
      const location = await start(query);
      await patch(location, "hello");
      const digest = await digestBytes(bytesOf("hello"), "sha512");
      expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
      expect(await blobText(digest)).toBe("hello");
    },
  );

  test("when it is empty", async () => {
    const digest = await digestBytes(bytesOf(""));
    const location = await start();
    expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await blobText(digest)).toBe("");
  });

  test("again where it is already, and heals what the disk did to it", async () => {
    const digest = await registry.pushBlob("acme/app", bytesOf("hello"));
    const path = join(registry.dir, "blobs", digest.replace(":", "/"));
    writeFileSync(path, "hullo");
    expect(await registry.pushBlob("acme/app", bytesOf("hello"))).toBe(digest);
    expect(await blobText(digest)).toBe("hello");
  });

  test("after the server was restarted in the middle", async () => {
    const location = await start();
    await patch(location, "hello ", "0-5");
    registry = await registry.reopen();
    const status = await registry.request("GET", location);
    expect(status.status).toBe(204);
    expect(status.headers.get("range")).toBe("0-5");
    await patch(location, "world", "6-10");
    const digest = await digestBytes(bytesOf("hello world"));
    expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await blobText(digest)).toBe("hello world");
  });
});

describe("an upload is refused", () => {
  test.each([
    ["skips bytes", "12-16"],
    ["repeats bytes", "0-4"],
    ["ends before it starts", "9-6"],
    ["is in another spelling", "bytes 6-10/*"],
    ["is beyond what numbers hold", "99999999999999999999-99999999999999999999"],
  ])("with 416 where a chunk %s, and goes on at the right place", async (_, range) => {
    const location = await start();
    await patch(location, "hello ", "0-5");
    const refused = await patch(location, "world", range);
    await expectFault(refused, 416, "BLOB_UPLOAD_INVALID");
    const status = await registry.request("GET", location);
    expect([status.status, status.headers.get("range")]).toEqual([204, "0-5"]);
    expect((await patch(location, "world", "6-10")).status).toBe(202);
    const digest = await digestBytes(bytesOf("hello world"));
    expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
  });

  test.each(["0-9", "0-1"])(
    "where a chunk has not the length that its range %s says, and takes nothing of it",
    async (range) => {
      const location = await start();
      await expectFault(await patch(location, "hello", range), 400, "SIZE_INVALID");
      expect(await registry.store.uploads.offset("acme/app", location.split("/").at(-1)!)).toBe(0);
      expect((await patch(location, "hello", "0-4")).status).toBe(202);
      const digest = await digestBytes(bytesOf("hello"));
      expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    },
  );

  test("where Content-Length and Content-Range disagree, or the length is none", async () => {
    const location = await start();
    const both = { "content-range": "0-4", "content-length": "6" };
    await expectFault(await registry.request("PATCH", location, { body: "hello", headers: both }), 400, "SIZE_INVALID");
    const wrong = { "content-length": "-5" };
    await expectFault(
      await registry.request("PATCH", location, { body: "hello", headers: wrong }),
      400,
      "SIZE_INVALID",
    );
  });

  test.each(["sha256", "sha512"] as const)(
    "where the %s digest is wrong, and nothing of it stays",
    async (algorithm) => {
      const before = registry.snapshot();
      const digest = await digestBytes(bytesOf("other"), algorithm);
      const location = await start();
      await patch(location, "hello");
      await expectFault(await registry.request("PUT", `${location}?digest=${digest}`), 400, "DIGEST_INVALID");
      await expectFault(await registry.request("GET", `/v2/acme/app/blobs/${digest}`), 404, "BLOB_UNKNOWN");
      await expectFault(await registry.request("GET", location), 404, "BLOB_UPLOAD_UNKNOWN");
      expect(registry.snapshot()).toEqual(before);
      expect(await registry.store.has("acme/app")).toBe(false);
      await registry.pushBlob("acme/app", bytesOf("hello"));
    },
  );

  test("in one POST where the digest is wrong, and nothing of it stays", async () => {
    const digest = await digestBytes(bytesOf("other"));
    await expectFault(
      await registry.request("POST", `${UPLOADS}?digest=${digest}`, { body: "hello" }),
      400,
      "DIGEST_INVALID",
    );
    expect(openUploads()).toBe(0);
  });

  test.each(["", "sha256:abc", "md5:00", "sha256:../../../../etc/passwd", `sha256:${"A".repeat(64)}`])(
    "where the digest %j follows no grammar, and can be finished with the right one",
    async (digest) => {
      const location = await start();
      await patch(location, "hello");
      const put = `${location}?digest=${encodeURIComponent(digest)}`;
      await expectFault(await registry.request("PUT", put), 400, "DIGEST_INVALID");
      const right = await digestBytes(bytesOf("hello"));
      expect((await registry.request("PUT", `${location}?digest=${right}`)).status).toBe(201);
    },
  );

  test("where the algorithm is not supported", async () => {
    await expectFault(await registry.request("POST", `${UPLOADS}?digest-algorithm=md5`), 400, "DIGEST_INVALID");
  });

  test("where the body is compressed", async () => {
    const location = await start();
    const headers = { "content-encoding": "gzip" };
    await expectFault(await registry.request("PATCH", location, { body: "x", headers }), 415, "UNSUPPORTED");
  });

  test.each(["GET", "PATCH", "PUT", "DELETE"])(
    "with %s where it is not known, belongs to another repository or is no id",
    async (method) => {
      const location = await start();
      const digest = await digestBytes(bytesOf(""));
      const query = method === "PUT" ? `?digest=${digest}` : "";
      const body = method === "PATCH" ? { body: "x" } : {};
      for (const path of [
        "/v2/acme/app/blobs/uploads/00000000-0000-0000-0000-000000000000",
        location.replace("acme/app", "acme/other"),
        "/v2/acme/app/blobs/uploads/..%2F..%2Foci-layout",
        "/v2/acme/app/blobs/uploads/not-an-id",
      ]) {
        await expectFault(await registry.request(method, path + query, body), 404, "BLOB_UPLOAD_UNKNOWN");
      }
      expect((await registry.request("GET", location)).status).toBe(204);
    },
  );

  test("with 413 where it is larger than blobs may be, announced or not, and takes nothing of it", async () => {
    registry = await registry.reopen({ maxBlobBytes: 10 });
    const location = await start();
    await patch(location, "12345678");
    await expectFault(await patch(location, "9ab", "8-10"), 413, "SIZE_INVALID");
    await expectFault(await patch(location, "9ab"), 413, "SIZE_INVALID");
    expect((await registry.request("GET", location)).headers.get("range")).toBe("0-7");
    expect((await patch(location, "9a", "8-9")).status).toBe(202);
  });

  test("while another request is adding to it", async () => {
    const location = await start();
    let send: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        send = controller;
      },
    });
    send!.enqueue(bytesOf("hello"));
    const slow = registry.app.request(location, { method: "PATCH", body, duplex: "half" } as RequestInit);
    const offset = async () => (await registry.request("GET", location)).headers.get("range");
    await expect.poll(offset).toBe("0-4");
    await expectFault(await patch(location, "x"), 416, "BLOB_UPLOAD_INVALID");
    send!.close();
    expect((await slow).status).toBe(202);
    const digest = await digestBytes(bytesOf("hello"));
    expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
  });
});

test("keeps what came before the connection broke, so that the client can go on there", async () => {
  const location = await start();
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent++ < 3) controller.enqueue(bytesOf("0123456789"));
      else controller.error(new Error("connection lost"));
    },
  });
  const answer = await registry.app.request(location, { method: "PATCH", body, duplex: "half" } as RequestInit);
  await expectFault(answer, 400, "BLOB_UPLOAD_INVALID");
  expect(registry.errors).toEqual([]);
  expect((await registry.request("GET", location)).headers.get("range")).toBe("0-29");
  await patch(location, "!", "30-30");
  const digest = await digestBytes(bytesOf(`${"0123456789".repeat(3)}!`));
  expect((await registry.request("PUT", `${location}?digest=${digest}`)).status).toBe(201);
});

test("cancels an upload", async () => {
  const location = await start();
  await patch(location, "hello");
  expect((await registry.request("DELETE", location)).status).toBe(204);
  await expectFault(await registry.request("GET", location), 404, "BLOB_UPLOAD_UNKNOWN");
  expect(openUploads()).toBe(0);
});

test("drops uploads that nobody added to for a day, and only those", async () => {
  const [old, fresh] = [await start(), await start()];
  const id = old.split("/").at(-1)!;
  const longAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
  utimesSync(join(registry.dir, "uploads", "acme+app", id), longAgo, longAgo);
  registry = await registry.reopen();
  await expectFault(await registry.request("GET", old), 404, "BLOB_UPLOAD_UNKNOWN");
  expect((await registry.request("GET", fresh)).status).toBe(204);
});

test("drops them while it runs too", async () => {
  let now = new Date();
  registry = await registry.reopen({ now: () => now });
  const old = await start();
  now = new Date(now.getTime() + 25 * 60 * 60 * 1000);
  await start();
  await expectFault(await registry.request("GET", old), 404, "BLOB_UPLOAD_UNKNOWN");
});

test("opens a bounded number of uploads, and more when some have ended", async () => {
  const ids = await Promise.all(Array.from({ length: 1000 }, () => registry.store.uploads.start("acme/app", "sha256")));
  const files = openUploads();
  const refused = await registry.request("POST", UPLOADS);
  expect(openUploads()).toBe(files);
  expect(refused.headers.get("retry-after")).toBe("60");
  await expectFault(refused, 429, "TOOMANYREQUESTS");
  expect(await registry.store.uploads.cancel("acme/app", ids[0]!)).toBe(true);
  await start();
});

test("makes room for new uploads by those that nobody added to for an hour", async () => {
  let now = new Date();
  registry = await registry.reopen({ now: () => now });
  await Promise.all(Array.from({ length: 1000 }, () => registry.store.uploads.start("acme/app", "sha256")));
  now = new Date(now.getTime() + 61 * 60 * 1000);
  await start();
  expect(openUploads()).toBe(1);
});

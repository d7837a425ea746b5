import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes, type Digest } from "../../../src/base/digest.ts";
import {
  bytesOf,
  expectFault,
  imageManifest,
  OCI_MANIFEST,
  openTestRegistry,
  type TestRegistry,
} from "./registry-fixture.ts";

let registry: TestRegistry;
let digest: Digest;
beforeEach(async () => {
  registry = await openTestRegistry();
  digest = await registry.pushBlob("acme/app", bytesOf("0123456789"));
});
afterEach(() => registry.close());

const get = (headers: Record<string, string> = {}, path = `/v2/acme/app/blobs/${digest}`) =>
  registry.request("GET", path, { headers });

test("answers GET and HEAD with length, digest and a type that no browser runs", async () => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await registry.request(method, `/v2/acme/app/blobs/${digest}`);
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-length": "10",
      "content-type": "application/octet-stream",
      "docker-content-digest": digest,
      "docker-distribution-api-version": "registry/2.0",
      "x-content-type-options": "nosniff",
      "accept-ranges": "bytes",
    });
    expect(await answer.text()).toBe(method === "GET" ? "0123456789" : "");
  }
});

describe("ranges", () => {
  test.each([
    ["bytes=2-4", "234", "bytes 2-4/10"],
    ["bytes=7-", "789", "bytes 7-9/10"],
    ["bytes=7-999", "789", "bytes 7-9/10"],
    ["bytes=-3", "789", "bytes 7-9/10"],
    ["bytes=-999", "0123456789", "bytes 0-9/10"],
    ["Bytes=0-0", "0", "bytes 0-0/10"],
  ])("%s is answered with the part", async (range, text, contentRange) => {
    const answer = await get({ range });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("content-range")).toBe(contentRange);
    expect(answer.headers.get("content-length")).toBe(String(text.length));
    expect(await answer.text()).toBe(text);
  });

  test.each(["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=4-2"])("%s is refused with the length", async (range) => {
    const answer = await get({ range });
    expect(answer.headers.get("content-range")).toBe("bytes */10");
    await expectFault(answer, 416, "SIZE_INVALID");
  });

  test.each(["bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b", "bytes=1", "bytes=9999999999999999999-"])(
    "%s is ignored, as the specification permits",
    async (range) => {
      const answer = await get({ range });
      expect([answer.status, await answer.text()]).toEqual([200, "0123456789"]);
    },
  );

  test("If-Range gives the part only of the same content", async () => {
    expect(await (await get({ range: "bytes=2-4", "if-range": `"${digest}"` })).text()).toBe("234");
    expect(await (await get({ range: "bytes=2-4", "if-range": '"other"' })).text()).toBe("0123456789");
  });

  test("an empty blob has no part", async () => {
    const empty = await registry.pushBlob("acme/app", bytesOf(""));
    await expectFault(await get({ range: "bytes=-5" }, `/v2/acme/app/blobs/${empty}`), 416, "SIZE_INVALID");
  });
});

describe("what is not there", () => {
  test("is 404, in a known and in an unknown repository", async () => {
    const other = await digestBytes(bytesOf("other"));
    for (const repository of ["acme/app", "acme/none"]) {
      await expectFault(await registry.request("GET", `/v2/${repository}/blobs/${other}`), 404, "BLOB_UNKNOWN");
      expect((await registry.request("HEAD", `/v2/${repository}/blobs/${other}`)).status).toBe(404);
      await expectFault(await registry.request("DELETE", `/v2/${repository}/blobs/${other}`), 404, "BLOB_UNKNOWN");
    }
  });

  test.each(["latest", "sha256:abc", "sha256:..%2F..%2Foci-layout", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"])(
    "is 400 where the digest is %s",
    async (text) => {
      for (const method of ["GET", "DELETE"]) {
        await expectFault(await registry.request(method, `/v2/acme/app/blobs/${text}`), 400, "DIGEST_INVALID");
      }
    },
  );
});

describe("one content in two repositories", () => {
  test("is readable only where it was pushed", async () => {
    await expectFault(await registry.request("GET", `/v2/evil/app/blobs/${digest}`), 404, "BLOB_UNKNOWN");
    await registry.pushBlob("evil/app", bytesOf("mine"));
    await expectFault(await registry.request("GET", `/v2/evil/app/blobs/${digest}`), 404, "BLOB_UNKNOWN");
  });

  test("is not readable as a blob where it is a manifest, nor the other way round", async () => {
    const manifest = await registry.pushImage("acme/app", "v1");
    await expectFault(await registry.request("GET", `/v2/acme/app/blobs/${manifest}`), 404, "BLOB_UNKNOWN");
    await expectFault(await registry.request("GET", `/v2/acme/app/manifests/${digest}`), 404, "MANIFEST_UNKNOWN");
  });

  test("stays in one when the other deletes it, and leaves the disk with the last", async () => {
    await registry.pushBlob("acme/other", bytesOf("0123456789"));
    expect((await registry.request("DELETE", `/v2/acme/app/blobs/${digest}`)).status).toBe(202);
    await expectFault(await get(), 404, "BLOB_UNKNOWN");
    expect(await (await get({}, `/v2/acme/other/blobs/${digest}`)).text()).toBe("0123456789");
    expect((await registry.request("DELETE", `/v2/acme/other/blobs/${digest}`)).status).toBe(202);
    expect(Object.keys(registry.snapshot()).filter((path) => path.startsWith("blobs/"))).toEqual([]);
    expect(Object.keys(registry.snapshot()).filter((path) => path.startsWith("links/"))).toEqual([]);
  });

  test("stays as a manifest when it is deleted as a blob", async () => {
    const config = await registry.pushBlob("acme/app", bytesOf("{}"));
    const bytes = imageManifest(config);
    const manifest = await registry.pushBlob("acme/app", bytes);
    await registry.request("PUT", "/v2/acme/app/manifests/v1", {
      body: bytes,
      headers: { "content-type": OCI_MANIFEST },
    });
    expect((await registry.request("DELETE", `/v2/acme/app/blobs/${manifest}`)).status).toBe(202);
    expect((await registry.request("GET", "/v2/acme/app/manifests/v1")).status).toBe(200);
  });
});

describe("mounting", () => {
  const mount = (query: string, repository = "acme/copy") =>
    registry.request("POST", `/v2/${repository}/blobs/uploads/?${query}`);

  test("makes a blob readable in another repository without sending it", async () => {
    const answer = await mount(`mount=${digest}&from=acme/app`);
    expect(answer.status).toBe(201);
    expect(answer.headers.get("location")).toBe(`/v2/acme/copy/blobs/${digest}`);
    expect(await (await get({}, `/v2/acme/copy/blobs/${digest}`)).text()).toBe("0123456789");
  });

  test("finds the blob by itself where no source is named", async () => {
    expect((await mount(`mount=${digest}`)).status).toBe(201);
    expect(await (await get({}, `/v2/acme/copy/blobs/${digest}`)).text()).toBe("0123456789");
  });

  test.each([
    ["the source has no such blob", "from=acme/none"],
    ["the source is no name", "from=../../etc"],
    ["the source is empty", "from="],
  ])("begins an upload instead where %s, and makes nothing readable", async (_, from) => {
    const answer = await mount(`mount=${digest}&${from}`);
    expect(answer.status).toBe(202);
    expect(answer.headers.get("location")).toContain("/v2/acme/copy/blobs/uploads/");
    await expectFault(await get({}, `/v2/acme/copy/blobs/${digest}`), 404, "BLOB_UNKNOWN");
    expect(await registry.store.has("acme/copy")).toBe(false);
  });

  test("of a sha512 digest that is not there begins an upload that hashes by it", async () => {
    const wanted = await digestBytes(bytesOf("new"), "sha512");
    const answer = await mount(`mount=${wanted}`);
    expect(answer.status).toBe(202);
    const put = `${answer.headers.get("location")}?digest=${wanted}`;
    expect((await registry.request("PUT", put, { body: "new" })).status).toBe(201);
  });

  test("is refused where the digest follows no grammar", async () => {
    await expectFault(await mount("mount=sha256:xyz&from=acme/app"), 400, "DIGEST_INVALID");
  });
});

describe("what the disk did", () => {
  const file = () => join(registry.dir, "blobs", digest.replace(":", "/"));

  test("a link in place of a blob is not followed", async () => {
    const secret = join(registry.dir, "secret");
    writeFileSync(secret, "secret");
    rmSync(file());
    symlinkSync(secret, file());
    const answer = await get();
    expect([answer.status, (await answer.text()).includes("secret")]).toEqual([500, false]);
    expect(registry.errors).toEqual([expect.objectContaining({ code: "STATE_INVALID" })]);
    await registry.pushBlob("acme/app", bytesOf("0123456789"));
    expect(await (await get()).text()).toBe("0123456789");
  });

  test("a directory in place of a blob is an error of the registry, without a path in the answer", async () => {
    rmSync(file());
    mkdirSync(file());
    const answer = await get();
    expect(answer.status).toBe(500);
    expect(await answer.text()).toBe('{"errors":[{"code":"UNKNOWN","message":"the registry failed"}]}');
  });

  test("a blob that becomes shorter while it is read ends in an error, never as if it were whole", async () => {
    const large = new Uint8Array(2 * 1024 * 1024).fill(7);
    const name = await registry.pushBlob("acme/app", large);
    const answer = await get({}, `/v2/acme/app/blobs/${name}`);
    truncateSync(join(registry.dir, "blobs", name.replace(":", "/")), 300_000);
    await expect(answer.arrayBuffer()).rejects.toMatchObject({ code: "STATE_INVALID" });
  });

  test("a blob that is deleted while it is read is still sent whole", async () => {
    const large = new Uint8Array(2 * 1024 * 1024).fill(7);
    const name = await registry.pushBlob("acme/app", large);
    const answer = await get({}, `/v2/acme/app/blobs/${name}`);
    expect((await registry.request("DELETE", `/v2/acme/app/blobs/${name}`)).status).toBe(202);
    expect(await digestBytes(new Uint8Array(await answer.arrayBuffer()))).toBe(name);
  });
});

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Digest } from "../../../src/base/digest.ts";
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
  digest = await registry.pushImage("acme/app", "v1");
});
afterEach(() => registry.close());

const ID = "00000000-0000-0000-0000-000000000000";

/** Every endpoint, for tables of who may do what. */
function endpoints(repository: string): [method: string, path: string, action: "pull" | "push" | "delete"][] {
  const base = `/v2/${repository}`;
  return [
    ["GET", `${base}/tags/list`, "pull"],
    ["GET", `${base}/referrers/${digest}`, "pull"],
    ["GET", `${base}/manifests/v1`, "pull"],
    ["HEAD", `${base}/manifests/v1`, "pull"],
    ["GET", `${base}/manifests/${digest}`, "pull"],
    ["PUT", `${base}/manifests/v1`, "push"],
    ["PUT", `${base}/manifests/${digest}?tag=v3`, "push"],
    ["DELETE", `${base}/manifests/v1`, "delete"],
    ["DELETE", `${base}/manifests/${digest}`, "delete"],
    ["GET", `${base}/blobs/${digest}`, "pull"],
    ["HEAD", `${base}/blobs/${digest}`, "pull"],
    ["DELETE", `${base}/blobs/${digest}`, "delete"],
    ["POST", `${base}/blobs/uploads/`, "push"],
    ["POST", `${base}/blobs/uploads/?digest=${digest}`, "push"],
    ["POST", `${base}/blobs/uploads/?mount=${digest}&from=acme/app`, "push"],
    ["GET", `${base}/blobs/uploads/${ID}`, "push"],
    ["PATCH", `${base}/blobs/uploads/${ID}`, "push"],
    ["PUT", `${base}/blobs/uploads/${ID}?digest=${digest}`, "push"],
    ["DELETE", `${base}/blobs/uploads/${ID}`, "push"],
  ];
}

test.each(["/v2", "/v2/"])("says at %s that it is a registry", async (path) => {
  const answer = await registry.request("GET", path);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
  expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test.each([
  "/",
  "/v1/",
  "/v2/acme",
  "/v2/acme/app",
  "/v2/acme/app/tags",
  "/v2/acme/app/blobs",
  "/v2/acme/app/manifests/",
])("has nothing at %s", async (path) => {
  await expectFault(await registry.request("GET", path), 404, "UNSUPPORTED");
});

test.each([
  ["PATCH", "/v2/acme/app/manifests/v1", "GET, HEAD, PUT, DELETE"],
  ["POST", "/v2/acme/app/tags/list", "GET, HEAD"],
  ["PUT", "/v2/acme/app/blobs/uploads/", "POST"],
  ["POST", `/v2/acme/app/blobs/uploads/${ID}`, "GET, HEAD, PATCH, PUT, DELETE"],
])("refuses %s %s and says what it takes", async (method, path, allow) => {
  const answer = await registry.request(method, path);
  expect(answer.headers.get("allow")).toBe(allow);
  await expectFault(answer, 405, "UNSUPPORTED");
});

describe("repository names", () => {
  test.each([
    "Acme",
    "acme//app",
    "-acme",
    "acme_",
    "acme/.app",
    "a".repeat(230),
    "..%2F..",
    "acme%00",
    "acm%C3%A9",
    "a b",
    "%E0%A4%A",
  ])("that are none (%s) are refused everywhere, and nothing changes", async (name) => {
    const before = registry.snapshot();
    for (const [method, path] of endpoints(name)) {
      const answer = await registry.request(method, path);
      expect([method, path, answer.status >= 400 && answer.status < 500]).toEqual([method, path, true]);
      if (method === "PUT") await expectFault(answer, 400, "NAME_INVALID");
    }
    expect(registry.snapshot()).toEqual(before);
  });

  test.each([
    "a",
    "a".repeat(229),
    "acme/manifests/app",
    "acme/blobs/uploads",
    "tags/list",
    "v2",
    "a__b",
    "a---b",
    "con",
    "acme/app/tags/list",
  ])("that look like something else (%s) work", async (name) => {
    const pushed = await registry.pushImage(name, "v1");
    const answer = await registry.request("GET", `/v2/${name}/manifests/v1`);
    expect(answer.headers.get("docker-content-digest")).toBe(pushed);
    expect(await (await registry.request("GET", `/v2/${name}/tags/list`)).json()).toEqual({ name, tags: ["v1"] });
  });
});

test("a read-only registry answers and changes nothing, on no path", async () => {
  await registry.store.close();
  registry = await openTestRegistry({ dir: registry.dir, readOnly: true });
  const before = registry.snapshot();
  for (const [method, path, action] of endpoints("acme/app")) {
    const body = method === "PUT" || method === "PATCH" ? { body: "x" } : {};
    const answer = await registry.request(method, path, body);
    if (action === "pull") expect([path, answer.status === 405]).toEqual([path, false]);
    else await expectFault(answer, 405, "UNSUPPORTED");
  }
  expect(registry.snapshot()).toEqual(before);
});

describe("access control", () => {
  test("is asked on every endpoint, with the right action, before anything happens", async () => {
    await registry.store.close();
    const asked: string[] = [];
    registry = await openTestRegistry({
      dir: registry.dir,
      access: (_, repository, action) => {
        asked.push(`${repository} ${action}`);
        return false;
      },
    });
    const before = registry.snapshot();
    for (const [method, path, action] of endpoints("acme/app")) {
      asked.length = 0;
      const answer = await registry.request(method, path, method === "PUT" ? { body: "x" } : {});
      if (method === "HEAD") expect(answer.status).toBe(403);
      else await expectFault(answer, 403, "DENIED");
      expect(asked).toEqual([`acme/app ${action}`]);
    }
    expect(registry.snapshot()).toEqual(before);
    expect(await (await registry.request("GET", "/v2/_catalog")).json()).toEqual({ repositories: [] });
  });

  test("of the source decides a mount, named or found: a digest alone opens nothing", async () => {
    const secret = await registry.pushBlob("acme/secret", bytesOf("secret"));
    await registry.store.close();
    let mayReadSecret = false;
    registry = await openTestRegistry({
      dir: registry.dir,
      access: (_, repository) => repository === "evil/app" || (mayReadSecret && repository === "acme/secret"),
    });
    for (const from of ["&from=acme/secret", ""]) {
      const answer = await registry.request("POST", `/v2/evil/app/blobs/uploads/?mount=${secret}${from}`);
      expect(answer.status).toBe(202);
      await expectFault(await registry.request("GET", `/v2/evil/app/blobs/${secret}`), 404, "BLOB_UNKNOWN");
    }
    const manifest = imageManifest(secret);
    const put = await registry.request("PUT", "/v2/evil/app/manifests/v1", {
      body: manifest,
      headers: { "content-type": OCI_MANIFEST },
    });
    await expectFault(put, 404, "MANIFEST_BLOB_UNKNOWN");
    mayReadSecret = true;
    expect((await registry.request("POST", `/v2/evil/app/blobs/uploads/?mount=${secret}`)).status).toBe(201);
  });
});

test("keeps a caller's request id where it is plain, and never logs what is secret", async () => {
  const answer = await registry.request("GET", "/v2/", { headers: { "x-request-id": "trace-1" } });
  expect(answer.headers.get("x-request-id")).toBe("trace-1");
  const forged = await registry.request("GET", "/v2/", { headers: { "x-request-id": 'a" b' } });
  expect(forged.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test("the answer to a digest that follows no grammar does not repeat it without end", async () => {
  const answer = await registry.request("GET", `/v2/acme/app/blobs/${"x".repeat(5000)}`);
  expect((await answer.text()).length).toBeLessThan(500);
});

import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes } from "../../../src/base/digest.ts";
import { openRegistryStore } from "../../../src/server/registry/file-store.ts";
import { bytesOf, expectFault, OCI_MANIFEST, openTestRegistry, type TestRegistry } from "./registry-fixture.ts";

let registry: TestRegistry;
beforeEach(async () => {
  registry = await openTestRegistry();
});
afterEach(() => registry.close());

const tags = async () =>
  ((await (await registry.request("GET", "/v2/acme/app/tags/list")).json()) as { tags: string[] }).tags;
const status = async (reference: string) =>
  (await registry.request("GET", `/v2/acme/app/manifests/${reference}`)).status;

/** Leaves the folder as a crash at this moment would, with `change` made meanwhile. */
async function crashed(change: () => void): Promise<void> {
  await registry.store.close();
  writeFileSync(join(registry.dir, "in-use"), "");
  change();
  registry = await openTestRegistry({ dir: registry.dir });
}

test("keeps everything over a restart", async () => {
  const digest = await registry.pushImage("acme/app", "v1");
  const blob = await registry.pushBlob("acme/app", bytesOf("blob"));
  registry = await registry.reopen();
  expect([await tags(), await status("v1"), await status(digest)]).toEqual([["v1"], 200, 200]);
  expect(await (await registry.request("GET", `/v2/acme/app/blobs/${blob}`)).text()).toBe("blob");
});

test("is for one process at a time, and for the next when that ends", async () => {
  await expect(openRegistryStore(registry.dir)).rejects.toMatchObject({ code: "LOCKED" });
  registry = await registry.reopen();
  await registry.pushImage("acme/app", "v1");
});

test("is free for the next container, with another host name, when one was killed", async () => {
  await registry.store.close();
  writeFileSync(join(registry.dir, "in-use"), "");
  // what a killed process left under the name of a container that is gone; only the system's lock counts
  writeFileSync(join(registry.dir, "lock"), JSON.stringify({ host: "0a1b2c3d", pid: 1, start: "1", token: "t" }));
  registry = await openTestRegistry({ dir: registry.dir });
  await registry.pushImage("acme/app", "v1");
  await expect(openRegistryStore(registry.dir)).rejects.toMatchObject({ code: "LOCKED" });
});

test("refuses a directory that it cannot use, and says so", async () => {
  const file = join(registry.dir, "file");
  writeFileSync(file, "");
  await expect(openRegistryStore(join(file, "data"))).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
});

describe("a directory that is not a registry's is refused, and nothing in it changes:", () => {
  test("an OCI layout of another tool", async () => {
    const dir = join(registry.dir, "layout");
    mkdirSync(join(dir, "blobs/sha256"), { recursive: true });
    writeFileSync(join(dir, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
    writeFileSync(join(dir, "blobs/sha256", "a".repeat(64)), "theirs");
    const before = registry.snapshot();
    await expect(openRegistryStore(dir)).rejects.toMatchObject({ code: "STATE_INVALID" });
    expect(registry.snapshot()).toEqual(before);
  });

  test("one of a newer version", async () => {
    await registry.store.close();
    writeFileSync(join(registry.dir, "registry.json"), '{"format":2}');
    const before = registry.snapshot();
    await expect(openRegistryStore(registry.dir)).rejects.toMatchObject({ code: "STATE_INVALID" });
    expect(registry.snapshot()).toEqual(before);
    writeFileSync(join(registry.dir, "registry.json"), '{"format":1}');
    registry = await openTestRegistry({ dir: registry.dir });
  });
});

describe("after a crash", () => {
  test("content that was stored and not linked yet is removed; linked content stays", async () => {
    await registry.pushImage("acme/app", "v1");
    const orphan = await digestBytes(bytesOf("orphan"));
    const path = join(registry.dir, "blobs", orphan.replace(":", "/"));
    await crashed(() => writeFileSync(path, "orphan"));
    expect(existsSync(path)).toBe(false);
    expect(await status("v1")).toBe(200);
    await expectFault(await registry.request("GET", `/v2/acme/app/blobs/${orphan}`), 404, "BLOB_UNKNOWN");
  });

  test("half-written files are removed and never seen", async () => {
    await registry.pushImage("acme/app", "v1");
    const repository = join(registry.dir, "repositories", "acme+app");
    const left = [
      join(repository, "tags", ".v2+.0123456789abcdef.tmp"),
      join(registry.dir, "intents", ".x.json.0123.tmp"),
    ];
    await crashed(() => {
      for (const path of left) writeFileSync(path, "[{");
    });
    expect(await tags()).toEqual(["v1"]);
    expect(left.filter((path) => existsSync(path))).toEqual([]);
  });

  test("a change that was written down is completed, whatever part of it was made", async () => {
    const digest = await registry.pushImage("acme/app", "v1");
    await registry.pushImage("acme/app", "v2");
    const repository = "repositories/acme+app";
    const steps = [
      { remove: `${repository}/tags/v1+` },
      { remove: `${repository}/tags/v2+` },
      { remove: `${repository}/manifests/${digest.replace(":", "-")}` },
    ];
    await crashed(() => {
      writeFileSync(join(registry.dir, "intents", "x.json"), JSON.stringify(steps));
      rmSync(join(registry.dir, repository, "tags", "v1+"));
    });
    expect([await tags(), await status("v1"), await status("v2"), await status(digest)]).toEqual([[], 404, 404, 404]);
    expect(readdirSync(join(registry.dir, "intents"))).toEqual([]);
  });

  test.each([
    ["is no JSON", "{"],
    ["leads outside", '[{"remove":"repositories/../../x"}]'],
    ["is absolute", '[{"put":"/etc/x","text":""}]'],
    ["has no text", '[{"put":"repositories/a"}]'],
  ])("a change that %s stops the start and changes nothing", async (_, text) => {
    await registry.pushImage("acme/app", "v1");
    await registry.store.close();
    const intent = join(registry.dir, "intents", "x.json");
    writeFileSync(intent, text);
    const before = registry.snapshot();
    await expect(openRegistryStore(registry.dir)).rejects.toMatchObject({ code: "STATE_INVALID" });
    expect(registry.snapshot()).toEqual(before);
    rmSync(intent);
    registry = await openTestRegistry({ dir: registry.dir });
    expect(await tags()).toEqual(["v1"]);
  });
});

describe("a record that the disk damaged", () => {
  test.each(["tags/v1+", "manifests"])("(%s) is an error of the registry, and a new push repairs it", async (name) => {
    const digest = await registry.pushImage("acme/app", "v1");
    const path = join(
      registry.dir,
      "repositories",
      "acme+app",
      name === "manifests" ? `manifests/${digest.replace(":", "-")}` : name,
    );
    writeFileSync(path, "garbage");
    expect(await status("v1")).toBe(500);
    expect(registry.errors).toEqual([expect.objectContaining({ code: "STATE_INVALID" })]);
    await registry.pushImage("acme/app", "v1");
    expect(await status("v1")).toBe(200);
  });

  test("of a referrer is an error of the registry", async () => {
    const subject = await registry.pushImage("acme/app", "v1");
    await registry.pushImage("acme/app", undefined, { subject: { mediaType: "a/b", digest: subject, size: 1 } });
    const dir = join(registry.dir, "repositories/acme+app/referrers", subject.replace(":", "-"));
    writeFileSync(join(dir, readdirSync(dir)[0]!), '{"mediaType":"a/b","digest":"sha256:..","size":1}');
    expect((await registry.request("GET", `/v2/acme/app/referrers/${subject}`)).status).toBe(500);
  });
});

test("completes a change that failed in the middle before any other, so that it cannot undo what comes after", async () => {
  const first = await registry.pushImage("acme/app", "v1");
  const second = await registry.pushImage("acme/app", undefined, { annotations: { n: "2" } });
  const bytes = await (await registry.request("GET", `/v2/acme/app/manifests/${second}`)).arrayBuffer();
  const inTheWay = join(registry.dir, "repositories/acme+app/tags/v3+");
  mkdirSync(inTheWay);
  const push = () =>
    registry.request("PUT", `/v2/acme/app/manifests/${second}?tag=v2&tag=v1&tag=v3`, {
      body: bytes,
      headers: { "content-type": OCI_MANIFEST },
    });
  expect((await push()).status).toBe(500);
  const refused = await registry.request("DELETE", "/v2/acme/app/manifests/v1");
  expect(refused.status).toBe(500);
  rmSync(inTheWay, { recursive: true });
  await registry.pushImage("acme/app", "v1");
  registry = await registry.reopen();
  const digests = await Promise.all(["v1", "v2", "v3"].map((tag) => registry.store.manifests.resolve("acme/app", tag)));
  expect(digests).toEqual([first, second, second]);
});

test("makes its directory for its owner only", async () => {
  const dir = join(registry.dir, "new");
  const store = await openRegistryStore(dir);
  await store.close();
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

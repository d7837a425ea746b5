/** Our client against our registry, over a real connection. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestBytes } from "../../../src/base/digest.ts";
import { nodeHasher } from "../../../src/node/hasher.ts";
import { createNodeTransport, type NodeTransport } from "../../../src/node/transport.ts";
import { RegistryClient, type Repository } from "../../../src/oci/registry-client.ts";
import { listen, type RunningServer } from "../../../src/server/listen.ts";
import { createRegistryApp } from "../../../src/server/registry/app.ts";
import { openRegistryStore } from "../../../src/server/registry/file-store.ts";
import type { RegistryStore } from "../../../src/server/registry/store.ts";
import { EMPTY_CONFIG, imageManifest, OCI_MANIFEST } from "./registry-fixture.ts";

let dir: string;
let store: RegistryStore;
let server: RunningServer;
let transport: NodeTransport;
let repository: Repository;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "registry-client-"));
  store = await openRegistryStore(dir);
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  server = await listen(createRegistryApp({ store, log }), { host: "127.0.0.1", port: 0 });
  transport = createNodeTransport({ env: {} });
  const runtime = { transport, createHasher: nodeHasher, now: () => new Date() };
  const client = new RegistryClient({ runtime });
  repository = client.repository({ registry: `127.0.0.1:${server.port}`, repository: "team/app" });
});
afterAll(async () => {
  transport.close();
  await server.close();
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

test("pushes and pulls blobs, manifests, tags and referrers", async () => {
  const layer = new Uint8Array(3_000_000).map((_, at) => at * 31);
  const blob = { digest: await digestBytes(layer), size: layer.length };
  const body = {
    size: layer.length,
    async *open(offset = 0) {
      for (let at = offset; at < layer.length; at += 65_536) yield layer.subarray(at, at + 65_536);
    },
  };
  expect(await repository.blobs.has(blob.digest)).toBe(false);
  expect(await repository.blobs.put(blob, body)).toEqual({ existed: false });
  expect(await repository.blobs.put(blob, body)).toEqual({ existed: true });
  expect((await collect(repository.blobs.get(blob))).equals(layer)).toBe(true);

  const config = { digest: await digestBytes(EMPTY_CONFIG), size: EMPTY_CONFIG.length };
  await repository.blobs.put(config, EMPTY_CONFIG);
  const bytes = imageManifest(config.digest, { layers: [{ mediaType: "application/wasm", ...blob }] });
  const digest = await digestBytes(bytes);
  await repository.manifests.putByDigest(bytes, OCI_MANIFEST, digest);
  expect(await repository.manifests.get("v1")).toBeUndefined();
  await repository.manifests.tag(bytes, OCI_MANIFEST, "v1");
  expect((await repository.manifests.get("v1"))?.bytes).toEqual(bytes);
  expect(await repository.manifests.head("v1")).toMatchObject({ digest });

  const subject = { mediaType: OCI_MANIFEST, digest, size: bytes.length };
  const referrer = imageManifest(config.digest, { artifactType: "application/vnd.test", subject });
  const referrerDigest = await digestBytes(referrer);
  await repository.manifests.putByDigest(referrer, OCI_MANIFEST, referrerDigest);
  const referrers = await repository.referrers.list(digest);
  expect(referrers).toEqual([
    expect.objectContaining({ digest: referrerDigest, artifactType: "application/vnd.test" }),
  ]);

  const tags: string[] = [];
  for await (const tag of repository.tags.list()) tags.push(tag);
  expect(tags).toEqual(["v1"]);
});

test("refuses over the wire what it refuses in the process, with the code of the specification", async () => {
  const missing = await digestBytes(new Uint8Array(7));
  const push = repository.manifests.tag(imageManifest(missing), OCI_MANIFEST, "broken");
  await expect(push).rejects.toMatchObject({ message: expect.stringContaining("MANIFEST_BLOB_UNKNOWN") });
  expect(await repository.manifests.get("broken")).toBeUndefined();
});

test("an upload that the client breaks off leaves no blob, and the next one succeeds", async () => {
  const bytes = new Uint8Array(2_000_000).fill(5);
  const blob = { digest: await digestBytes(bytes), size: bytes.length };
  const abort = new AbortController();
  const body = {
    size: bytes.length,
    async *open() {
      yield bytes.subarray(0, 1_000_000);
      abort.abort();
      yield bytes.subarray(1_000_000);
    },
  };
  await expect(repository.blobs.put(blob, body, { signal: abort.signal })).rejects.toMatchObject({
    code: "INTERRUPTED",
  });
  expect(await repository.blobs.has(blob.digest)).toBe(false);
  expect(await repository.blobs.put(blob, bytes)).toEqual({ existed: false });
});

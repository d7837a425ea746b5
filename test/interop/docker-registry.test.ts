/** Our registry client against docker-registry 2.8.2, and skopeo reading what it wrote. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { StreamBody } from "../../src/base/http.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import { createNodeTransport, type NodeTransport } from "../../src/node/transport.ts";
import { RegistryClient, type RegistryClientOptions, type Repository } from "../../src/oci/registry-client.ts";
import { MediaType } from "../../src/oci/types.ts";
import { failureOf } from "../support/error-code.ts";
import { describeWithPeers, skopeo, startDockerRegistry, type DockerRegistry } from "../support/peers.ts";
import { collect, fixedCredentials } from "../support/registry-rig.ts";

const EMPTY = utf8Encode("{}");
/** `alice:secret` in the one form that docker-registry reads, bcrypt. */
const HTPASSWD = "alice:$2b$04$Jn5XV5g6DVyk3r5hv/Oh.uONgCfdW.Nn.sqO.VknH62urVa4ZTVDG\n";

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function streamed(bytes: Uint8Array): StreamBody {
  return {
    size: bytes.length,
    async *open(offset = 0) {
      for (let at = offset; at < bytes.length; at += 65_536)
        yield await Promise.resolve(bytes.subarray(at, at + 65_536));
    },
  };
}

function clientOf(transport: NodeTransport, options: Partial<RegistryClientOptions> = {}): RegistryClient {
  return new RegistryClient({ runtime: { transport, createHasher: nodeHasher, now: () => new Date() }, ...options });
}

/** Pushes a module as anybody would; gives the manifest's digest. */
async function push(repository: Repository, module: Uint8Array, tag: string): Promise<Digest> {
  const config = { mediaType: MediaType.ociEmpty, digest: digestOf(EMPTY), size: EMPTY.length };
  const layer = { mediaType: "application/wasm", digest: digestOf(module), size: module.length };
  await repository.blobs.put(config, EMPTY);
  await repository.blobs.put(layer, streamed(module));
  const manifest = { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [layer] };
  const bytes = utf8Encode(JSON.stringify(manifest));
  const digest = await digestBytes(bytes);
  await repository.manifests.putByDigest(bytes, MediaType.ociManifest, digest);
  await repository.manifests.tag(bytes, MediaType.ociManifest, tag);
  return digest;
}

describeWithPeers(["docker-registry"], "docker-registry without authentication", () => {
  const module = randomBytes(3_000_000);
  const layer = { digest: digestOf(module), size: module.length };
  let registry: DockerRegistry;
  let transport: NodeTransport;
  let repository: Repository;
  let digest: Digest;

  beforeAll(async () => {
    registry = await startDockerRegistry();
    transport = createNodeTransport({ env: {} });
    repository = clientOf(transport).repository({ registry: registry.host, repository: "acme/app" });
    digest = await push(repository, module, "v1");
  });
  afterAll(async () => {
    transport.close();
    await registry.stop();
  });

  test("gives back what was pushed, by tag and by digest", async () => {
    const byTag = await repository.manifests.get("v1");
    const byDigest = await repository.manifests.get(digest);
    expect([byTag!.digest, byDigest!.digest]).toEqual([digest, digest]);
    expect(await repository.manifests.head("v1")).toMatchObject({ digest, size: byTag!.bytes.length });
    expect(digestOf(await collect(repository.blobs.get(layer)))).toBe(layer.digest);
  });

  test("is not sent a blob that it has", async () => {
    let opened = 0;
    const body: StreamBody = { size: module.length, open: (offset) => (opened++, streamed(module).open(offset)) };
    expect(await repository.blobs.put(layer, body)).toEqual({ existed: true });
    expect(opened).toBe(0);
  });

  test("mounts a blob from another repository", async () => {
    const other = clientOf(transport).repository({ registry: registry.host, repository: "acme/other" });
    expect(await other.blobs.has(layer.digest)).toBe(false);
    expect(await other.blobs.put(layer, streamed(module), { mountFrom: "acme/app" })).toEqual({ existed: true });
    expect(await other.blobs.has(layer.digest)).toBe(true);
  });

  test("lists tags, and has no referrers API", async () => {
    const manifest = (await repository.manifests.get("v1"))!;
    await repository.manifests.tag(manifest.bytes, manifest.mediaType, "v2");
    const tags: string[] = [];
    for await (const tag of repository.tags.list()) tags.push(tag);
    expect(tags.toSorted()).toEqual(["v1", "v2"]);
    expect(await repository.referrers.list(digest)).toEqual([]);
  });

  test("says no where something is missing", async () => {
    expect(await repository.manifests.get("nope")).toBeUndefined();
    expect(await repository.manifests.head("nope")).toBeUndefined();
    expect(await repository.blobs.has(`sha256:${"0".repeat(64)}`)).toBe(false);
    const absent = collect(repository.blobs.get({ digest: `sha256:${"0".repeat(64)}`, size: 1 }));
    expect(await failureOf(absent)).toMatchObject({ code: "REGISTRY_NOT_FOUND", details: { reason: "BLOB_UNKNOWN" } });
    const empty = clientOf(transport).repository({ registry: registry.host, repository: "acme/empty" });
    expect((await failureOf(collectTags(empty))).code).toBe("REGISTRY_NOT_FOUND");
  });

  test("names the fault where other bytes arrive than were announced", async () => {
    const other = randomBytes(1000);
    const error = await failureOf(repository.blobs.put({ digest: digestOf(module.subarray(1)), size: 1000 }, other));
    expect(error).toMatchObject({ code: "REGISTRY_REFUSED", details: { reason: "DIGEST_INVALID" } });
    expect(await repository.blobs.has(digestOf(other))).toBe(false);
  });

  test("resumes a download that breaks in the middle", async () => {
    let cuts = 0;
    const flaky = Object.assign(
      async (request: Parameters<NodeTransport>[0]) => {
        const response = await transport(request);
        if (request.method !== "GET" || cuts >= 2) return response;
        cuts++;
        return { ...response, body: cutAfter(response.body, 500_000) };
      },
      { close: () => undefined },
    );
    const client = clientOf(flaky, { retry: { sleep: () => Promise.resolve() } });
    const flakyRepository = client.repository({ registry: registry.host, repository: "acme/app" });
    expect(digestOf(await collect(flakyRepository.blobs.get(layer)))).toBe(layer.digest);
    expect(cuts).toBe(2);
  });

  test("accepts a manifest with case-variant keys, which we refuse", async () => {
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociEmpty, digest: digestOf(EMPTY), size: 2 },
      layers: [{ mediaType: "application/wasm", ...layer }],
      Layers: [{ mediaType: "application/wasm", digest: digestOf(EMPTY), size: 2 }],
    });
    await repository.manifests.tag(utf8Encode(text), MediaType.ociManifest, "two-faced");
    expect((await failureOf(repository.manifests.get("two-faced"))).code).toBe("MANIFEST_INVALID");
    expect((await repository.manifests.get("v1"))!.digest).toBe(digest);
  });
});

describeWithPeers(["docker-registry", "skopeo"], "skopeo", () => {
  test("reads our pushes, and we read its copies", async () => {
    const registry = await startDockerRegistry();
    const transport = createNodeTransport({ env: {} });
    const dir = mkdtempSync(join(tmpdir(), "skopeo-"));
    try {
      const client = clientOf(transport);
      const repository = client.repository({ registry: registry.host, repository: "acme/app" });
      const module = randomBytes(100_000);
      const digest = await push(repository, module, "v1");
      const raw = await skopeo(["inspect", "--raw", "--tls-verify=false", `docker://${registry.host}/acme/app:v1`]);
      expect(raw.status).toBe(0);
      expect(digestOf(Buffer.from(raw.stdout))).toBe(digest);
      const from = `docker://${registry.host}/acme/app:v1`;
      const to = `docker://${registry.host}/acme/copy:v1`;
      const copied = await skopeo(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
      expect(copied.status).toBe(0);
      const copy = client.repository({ registry: registry.host, repository: "acme/copy" });
      expect((await copy.manifests.get("v1"))!.digest).toBe(digest);
      const layer = { digest: digestOf(module), size: module.length };
      expect(digestOf(await collect(copy.blobs.get(layer)))).toBe(layer.digest);
    } finally {
      transport.close();
      rmSync(dir, { recursive: true, force: true });
      await registry.stop();
    }
  });
});

describeWithPeers(["docker-registry"], "docker-registry with Basic authentication", () => {
  test("lets in who knows the password, and tells others why not", async () => {
    const dir = mkdtempSync(join(tmpdir(), "htpasswd-"));
    writeFileSync(join(dir, "htpasswd"), HTPASSWD);
    const registry = await startDockerRegistry({
      env: {
        REGISTRY_AUTH: "htpasswd",
        REGISTRY_AUTH_HTPASSWD_REALM: "test",
        REGISTRY_AUTH_HTPASSWD_PATH: join(dir, "htpasswd"),
      },
    });
    const transport = createNodeTransport({ env: {} });
    try {
      const as = (password?: string): RegistryClient =>
        clientOf(transport, password === undefined ? {} : { credentials: fixedCredentials("alice", password) });
      const at = { registry: registry.host, repository: "acme/app" };
      await as("secret").ping(registry.host);
      const digest = await push(as("secret").repository(at), randomBytes(50_000), "v1");
      expect((await as("secret").repository(at).manifests.get("v1"))!.digest).toBe(digest);
      for (const client of [as("canary-wrong"), as()]) {
        for (const work of [() => client.ping(registry.host), () => client.repository(at).manifests.get("v1")]) {
          const error = await failureOf(work());
          expect(error).toMatchObject({ code: "REGISTRY_DENIED", status: 401, details: { reason: "UNAUTHORIZED" } });
          expect(error.hint).toContain("login");
          expect(error.message + error.hint).not.toContain("canary");
        }
      }
    } finally {
      transport.close();
      await registry.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describeWithPeers(["docker-registry", "openssl"], "docker-registry with tokens and TLS", () => {
  const module = randomBytes(50_000);
  let registry: DockerRegistry;
  let transport: NodeTransport;

  beforeAll(async () => {
    registry = await startDockerRegistry({ tls: true, auth: { users: { alice: "secret" } } });
    transport = createNodeTransport({ env: {}, ca: readFileSync(registry.caFile!, "utf8") });
  });
  afterAll(async () => {
    transport.close();
    await registry.stop();
  });

  function repositoryAs(password: string | undefined): Repository {
    const credentials = password === undefined ? undefined : fixedCredentials("alice", password);
    const client = clientOf(transport, { credentials, plainHttp: () => false });
    return client.repository({ registry: registry.host, repository: "acme/app" });
  }

  test("takes a push with a token, and a pull with another", async () => {
    const repository = repositoryAs("secret");
    const before = registry.tokens!.requests.length;
    const digest = await push(repository, module, "v1");
    const scopes = registry.tokens!.requests.slice(before).map((request) => request.scopes.join(" "));
    expect(new Set(scopes)).toEqual(new Set(["repository:acme/app:pull,push"]));
    expect((await repositoryAs(undefined).manifests.get("v1"))!.digest).toBe(digest);
  });

  test("shares one token exchange among requests that run side by side", async () => {
    const repository = repositoryAs("secret");
    const before = registry.tokens!.requests.length;
    await Promise.all([repository.manifests.get("v1"), repository.manifests.head("v1"), collectTags(repository)]);
    expect(registry.tokens!.requests.slice(before)).toHaveLength(1);
  });

  test("refuses a push without rights, and a wrong password", async () => {
    const body = randomBytes(10);
    const blob = { digest: digestOf(body), size: 10 };
    expect((await failureOf(repositoryAs(undefined).blobs.put(blob, body))).code).toBe("REGISTRY_DENIED");
    const error = await failureOf(repositoryAs("canary-wrong").blobs.put(blob, body));
    expect(error.code).toBe("REGISTRY_DENIED");
    expect(error.message + error.hint).not.toContain("canary");
    expect(await repositoryAs("secret").blobs.has(blob.digest)).toBe(false);
  });

  test("is not trusted without its authority", async () => {
    const strict = createNodeTransport({ env: {} });
    const client = clientOf(strict, { plainHttp: () => false });
    expect((await failureOf(client.ping(registry.host))).code).toBe("TLS");
    strict.close();
  });
});

async function collectTags(repository: Repository): Promise<string[]> {
  const tags: string[] = [];
  for await (const tag of repository.tags.list()) tags.push(tag);
  return tags;
}

async function* cutAfter(body: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    yield chunk;
    if (size > limit) throw new TransportError("NETWORK", "cut", { details: { reason: "ECONNRESET" } });
  }
}

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../src/base/digest.ts";
import { RegistryClient, type RegistryClientOptions } from "../../src/oci/registry-client.ts";
import { MediaType } from "../../src/oci/types.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import type { NodeTransport } from "../../src/node/transport.ts";
import { failureOf } from "../support/error-code.ts";
import { fakeTransport, type FakeAnswer, type SentRequest } from "../support/fake-transport.ts";
import { sha256, startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";
import { collect, fixedCredentials, registryRig, testTransport } from "../support/registry-rig.ts";

const CONTENT = Buffer.from("the module");
const BLOB = { digest: sha256(CONTENT) as Digest, size: CONTENT.length };
const BLOB_URL = `https://registry.example.com/v2/acme/app/blobs/${BLOB.digest}`;
/** Everything by which a request could carry who we are. */
const IDENTIFYING = ["authorization", "cookie", "proxy-authorization", "x-registry-auth", "private-token"];

/** A client of https://registry.example.com without a network. */
function offline(
  handler: (request: SentRequest) => FakeAnswer | Promise<FakeAnswer>,
  options: Partial<RegistryClientOptions> = {},
) {
  const fake = fakeTransport(handler);
  return { ...fake, ...registryRig("registry.example.com", fake.transport, options) };
}

const token = (text: string): FakeAnswer => ({ body: JSON.stringify({ token: text }) });
const challenge = (realm = "https://auth.example.com/token"): FakeAnswer => ({
  status: 401,
  headers: { "www-authenticate": `Bearer realm="${realm}",service="s"` },
});
const read = (rig: { repository: ReturnType<RegistryClient["repository"]> }) => collect(rig.repository.blobs.get(BLOB));

describe("addresses", () => {
  it.each<[string, Partial<RegistryClientOptions>, string]>([
    ["ghcr.io", {}, "https://ghcr.io/v2/"],
    ["docker.io", {}, "https://registry-1.docker.io/v2/"],
    ["localhost:5000", {}, "http://localhost:5000/v2/"],
    ["127.0.0.1:5000", {}, "http://127.0.0.1:5000/v2/"],
    ["[::1]:5000", {}, "http://[::1]:5000/v2/"],
    ["localhost:5000", { plainHttp: () => false }, "https://localhost:5000/v2/"],
    ["registry.corp", { plainHttp: (registry) => registry === "registry.corp" }, "http://registry.corp/v2/"],
    ["localhost.evil.example", { plainHttp: () => undefined }, "https://localhost.evil.example/v2/"],
  ])("speaks to %s as it must", async (registry, options, expected) => {
    const { client, log } = offline(() => ({}), options);
    await client.ping(registry);
    expect(log()).toEqual([`GET ${expected}`]);
  });

  it.each(["", "a b", "x/y", "user@host", "host?x", "host#x", "host:port"])(
    "refuses the registry %j",
    async (registry) => {
      const { client, requests } = offline(() => ({}));
      expect((await failureOf(client.ping(registry))).code).toBe("REFERENCE_INVALID");
      expect(requests).toEqual([]);
    },
  );

  it.each(["", "../x", "A", "a//b", "a?b"])("refuses the repository %j", (repository) => {
    const { client } = offline(() => ({}));
    expect(() => client.repository({ registry: "ghcr.io", repository })).toThrow(
      expect.objectContaining({ code: "REFERENCE_INVALID" }),
    );
  });

  it("tells a server that is no registry, and one that refuses the credentials", async () => {
    expect((await failureOf(offline(() => ({ status: 404 })).client.ping("h.example"))).code).toBe(
      "REGISTRY_NOT_FOUND",
    );
    const rig = offline(() => ({ status: 401, headers: { "www-authenticate": "Basic" } }), {
      credentials: fixedCredentials("ann", "canary-password"),
    });
    const error = await failureOf(rig.client.ping("h.example"));
    expect(error).toMatchObject({ code: "REGISTRY_DENIED", status: 401 });
    expect(rig.requests).toHaveLength(2);
    expect(error.message + error.hint).not.toContain("canary");
  });
});

describe("authentication", () => {
  it("exchanges once for requests that run side by side", async () => {
    const rig = offline(async ({ url, headers }) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (url.host === "auth.example.com") return token("T");
      return headers["authorization"] === "Bearer T" ? { body: CONTENT } : challenge();
    });
    await Promise.all([read(rig), read(rig), read(rig)]);
    expect(rig.log().filter((line) => line.includes("auth.example.com"))).toHaveLength(1);
  });

  it("asks for the right to push once, and uses it for every step of an upload", async () => {
    const rig = offline(({ url, method, headers }) => {
      if (url.host === "auth.example.com") return token(url.searchParams.get("scope") ?? "");
      if (headers["authorization"] !== "Bearer repository:acme/app:pull,push") return challenge();
      if (method === "HEAD") return { status: 404 };
      return method === "POST" ? { status: 202, headers: { location: "/upload/1" } } : { status: 201 };
    });
    await rig.repository.blobs.put(BLOB, CONTENT);
    expect(rig.log().map((line) => line.replace(/\?.*/, ""))).toEqual([
      `HEAD ${BLOB_URL}`,
      "GET https://auth.example.com/token",
      `HEAD ${BLOB_URL}`,
      "POST https://registry.example.com/v2/acme/app/blobs/uploads/",
      "PUT https://registry.example.com/upload/1",
    ]);
  });

  it("refreshes a token once that is refused, and gives up when the new one is too", async () => {
    let count = 0;
    const rig = offline(({ url, headers }) => {
      if (url.host === "auth.example.com") return token(`T${++count}`);
      return headers["authorization"] === "Bearer T1" && count === 1 ? { body: CONTENT } : challenge();
    });
    await read(rig);
    count = 1.5; // the registry forgets T1
    const error = await failureOf(read(rig));
    expect(error).toMatchObject({ code: "REGISTRY_DENIED", status: 401 });
    expect(rig.log().filter((line) => line.includes("auth.example.com"))).toHaveLength(2);
  });

  it("sends a streamed body again after the challenge", async () => {
    let opened = 0;
    const rig = offline(
      ({ method, headers }) => {
        if (method === "HEAD") return { status: 404 };
        if (method === "POST") return { status: 202, headers: { location: "/upload/1" } };
        if (headers["authorization"] !== undefined) return { status: 201 };
        return { status: 401, headers: { "www-authenticate": "Basic" } };
      },
      { credentials: fixedCredentials("a", "b") },
    );
    const body = {
      size: CONTENT.length,
      async *open() {
        opened++;
        yield await Promise.resolve(CONTENT);
      },
    };
    expect(await rig.repository.blobs.put(BLOB, body)).toEqual({ existed: false });
    expect(opened).toBe(2);
    expect(rig.requests.at(-1)!.body).toEqual(new Uint8Array(CONTENT));
  });

  it("stops waiting for a token when told to, without ending the exchange for others", async () => {
    let answer: (value: FakeAnswer) => void = () => undefined;
    const rig = offline(({ url, headers }) => {
      if (url.host !== "auth.example.com")
        return headers["authorization"] === undefined ? challenge() : { body: CONTENT };
      return new Promise<FakeAnswer>((resolve) => {
        answer = resolve;
      });
    });
    const abort = new AbortController();
    const stopped = failureOf(collect(rig.repository.blobs.get(BLOB, { signal: abort.signal })));
    const other = read(rig);
    await expect.poll(() => rig.requests.length).toBe(3);
    abort.abort();
    expect((await stopped).code).toBe("INTERRUPTED");
    answer(token("T"));
    expect(await other).toEqual(CONTENT);
  });

  it.each([
    "http://auth.example.com/token",
    "https://169.254.169.254/latest",
    "https://localhost/token",
    "https://evil.test/token",
    "https://registry.example.com@evil.test/token",
  ])("sends nothing to the realm %s", async (realm) => {
    const rig = offline(() => challenge(realm), { credentials: fixedCredentials("ann", "canary-password") });
    expect((await failureOf(read(rig))).code).toBe("REDIRECT_REFUSED");
    expect(rig.log()).toEqual([`GET ${BLOB_URL}`]);
  });

  it("asks a token server of another domain where a person allowed it", async () => {
    const handler = ({ url, headers }: SentRequest): FakeAnswer => {
      if (url.host === "sso.other.example") return token("T");
      return headers["authorization"] === "Bearer T" ? { body: CONTENT } : challenge("https://sso.other.example/token");
    };
    const pairs: string[] = [];
    const rig = offline(handler, {
      credentials: fixedCredentials("ann", "secret"),
      allowRealm: (registry, realm) => pairs.push(`${registry} ${realm}`) > 0,
    });
    expect(await read(rig)).toEqual(CONTENT);
    expect(pairs).toEqual(["registry.example.com sso.other.example"]);
  });

  it("takes its secrets out of what the registry says about a refusal", async () => {
    const rig = offline(
      ({ headers }) =>
        headers["authorization"] === undefined
          ? { status: 401, headers: { "www-authenticate": "Basic" } }
          : {
              status: 403,
              body: JSON.stringify({ errors: [{ code: "DENIED", message: `bad ${headers["authorization"]}` }] }),
            },
      { credentials: fixedCredentials("ann", "canary-password") },
    );
    const error = await failureOf(read(rig));
    expect(error.message).toContain("bad Basic [redacted]");
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toContain(btoa("ann:canary-password"));
  });
});

describe("redirects", () => {
  const withCredentials = { credentials: fixedCredentials("ann", "canary-password") };
  /** Answers 401 until there is an Authorization, then redirects. */
  const redirecting =
    (location: string, elsewhere: (request: SentRequest) => FakeAnswer) =>
    (request: SentRequest): FakeAnswer => {
      if (request.url.href !== BLOB_URL) return elsewhere(request);
      if (request.headers["authorization"] === undefined)
        return { status: 401, headers: { "www-authenticate": "Basic" } };
      return { status: 307, headers: { location }, peerAddress: "93.184.216.34" };
    };

  it.each([
    ["another host", "https://cdn.example.net/b?sig=1"],
    ["another port of the same host", "https://registry.example.com:8443/b"],
    ["a host below it", "https://cdn.registry.example.com/b"],
  ])("leads to %s without anything that says who we are", async (_what, location) => {
    const rig = offline(
      redirecting(location, () => ({ body: CONTENT })),
      withCredentials,
    );
    expect(await read(rig)).toEqual(CONTENT);
    const last = rig.requests.at(-1)!;
    expect(last.url.href).toBe(location);
    for (const name of IDENTIFYING) expect(last.headers[name]).toBeUndefined();
    expect(last.publicOnly).toBe(true);
  });

  it("keeps the credentials on the same origin, port spelt out or not", async () => {
    const rig = offline(
      redirecting("https://registry.example.com:443/b", () => ({ body: CONTENT })),
      withCredentials,
    );
    await read(rig);
    expect(rig.requests.at(-1)!.headers["authorization"]).toBe(`Basic ${btoa("ann:canary-password")}`);
  });

  it("does not take the credentials up again on the way back", async () => {
    const rig = offline(
      redirecting("https://cdn.example.net/b", ({ url }) =>
        url.host === "cdn.example.net"
          ? { status: 302, headers: { location: "https://registry.example.com/back" } }
          : { body: CONTENT },
      ),
      withCredentials,
    );
    await read(rig);
    expect(rig.requests.at(-1)).toMatchObject({ url: new URL("https://registry.example.com/back") });
    expect(rig.requests.at(-1)!.headers["authorization"]).toBeUndefined();
  });

  it("answers no challenge of another server", async () => {
    const evil: FakeAnswer = challenge("https://auth.example.com/token");
    const rig = offline(
      redirecting("https://cdn.example.net/b", () => evil),
      withCredentials,
    );
    const error = await failureOf(read(rig));
    expect(error).toMatchObject({ code: "REGISTRY_DENIED", details: { host: "cdn.example.net" } });
    expect(rig.log().filter((line) => line.includes("auth.example.com"))).toEqual([]);
    expect(rig.requests.at(-1)!.headers["authorization"]).toBeUndefined();
  });

  it("exchanges no token for a server that the registry leads to before it asks for any", async () => {
    const rig = offline(
      ({ url }) =>
        url.href === BLOB_URL ? { status: 307, headers: { location: "https://cdn.example.net/b" } } : challenge(),
      withCredentials,
    );
    expect(await failureOf(read(rig))).toMatchObject({ code: "REGISTRY_DENIED", details: { host: "cdn.example.net" } });
    expect(rig.log()).toEqual([`GET ${BLOB_URL}`, "GET https://cdn.example.net/b"]);
  });

  it("never goes from https to http", async () => {
    const rig = offline(
      redirecting("http://registry.example.com/b", () => ({ body: CONTENT })),
      withCredentials,
    );
    expect((await failureOf(read(rig))).code).toBe("REDIRECT_REFUSED");
    expect(rig.requests).toHaveLength(2);
  });

  it("gives up after five", async () => {
    const rig = offline(({ nth, url }) => ({ status: 302, headers: { location: `${url.pathname}?${nth}` } }));
    expect(await failureOf(read(rig))).toMatchObject({ code: "REDIRECT_REFUSED", details: { limit: 5 } });
    expect(rig.requests).toHaveLength(6);
  });

  it("refuses to upload anywhere but to the registry", async () => {
    for (const location of [
      "https://evil.test/u",
      "http://registry.example.com/u",
      "https://registry.example.com:444/u",
    ]) {
      const rig = offline(({ method, headers }) => {
        if (headers["authorization"] === undefined) return { status: 401, headers: { "www-authenticate": "Basic" } };
        return method === "HEAD" ? { status: 404 } : { status: 202, headers: { location } };
      }, withCredentials);
      expect((await failureOf(rig.repository.blobs.put(BLOB, CONTENT))).code).toBe("REDIRECT_REFUSED");
      expect(rig.requests.map(({ method }) => method)).toEqual(["HEAD", "HEAD", "POST"]);
    }
  });

  it("shows no signed query of a storage address in a failure", async () => {
    const rig = offline(
      redirecting("https://cdn.example.net/b?X-Signature=canary", () => ({ status: 403 })),
      withCredentials,
    );
    const error = await failureOf(read(rig));
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toContain("canary");
  });
});

describe("over real connections", () => {
  let registry: HostileRegistry;
  let storage: HostileRegistry;
  let transport: NodeTransport;
  beforeEach(async () => {
    registry = await startHostileRegistry();
    storage = await startHostileRegistry();
    transport = testTransport();
  });
  afterEach(async () => {
    transport.close();
    await registry.stop();
    await storage.stop();
  });

  it("reads a blob from the storage that the registry names, which sees no credentials", async () => {
    registry.addBlob("acme/app", CONTENT);
    const location = `${storage.url}/bucket/blob?X-Signature=abc`;
    storage.setFault(() => ({ status: 200, body: CONTENT }));
    registry.setFault(({ headers, path }) => {
      if (headers["authorization"] === undefined)
        return { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } };
      return path.includes("/blobs/") ? { status: 307, headers: { location } } : undefined;
    });
    const rig = registryRig(registry.host, transport, { credentials: fixedCredentials("ann", "canary-password") });
    expect(await read(rig)).toEqual(CONTENT);
    expect(storage.requests).toHaveLength(1);
    for (const name of IDENTIFYING) expect(storage.requests[0]!.headers[name]).toBeUndefined();
  });

  it("resumes at the registry, not at an address that may be stale", async () => {
    const content = Buffer.alloc(200_000, "x");
    const blob = { digest: sha256(content) as Digest, size: content.length };
    registry.setFault(({ nth }) => ({ status: 307, headers: { location: `${storage.url}/b${nth}` } }));
    storage.setFault(({ path }) =>
      path === "/b1" ? { status: 200, body: content, cutAfter: 50_000 } : { status: 200, body: content },
    );
    const rig = registryRig(registry.host, transport);
    expect(sha256(await collect(rig.repository.blobs.get(blob)))).toBe(blob.digest);
    expect(storage.log()).toEqual(["GET /b1", "GET /b2"]);
    expect(storage.requests[1]!.headers["range"]).toMatch(/^bytes=/);
  });

  it("writes the bytes that it verified, though the registry changes its mind at each request", async () => {
    const manifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { ...BLOB, mediaType: "a/b" },
      layers: [],
    };
    const digest = registry.addManifest("acme/app", manifest, MediaType.ociManifest, "v1") as Digest;
    registry.setFault(({ nth }) =>
      nth % 2 === 0
        ? { alter: (honest) => ({ ...honest, body: Buffer.from(honest.body.toString().replace("a/b", "e/v")) }) }
        : undefined,
    );
    const rig = registryRig(registry.host, transport);
    expect((await rig.repository.manifests.get(digest))!.digest).toBe(digest);
    expect((await failureOf(rig.repository.manifests.get(digest))).code).toBe("DIGEST_MISMATCH");
    expect((await rig.repository.manifests.get(digest))!.digest).toBe(digest);
  });

  it("uses one client for many repositories without mixing their tokens", async () => {
    const runtime = { transport, createHasher: nodeHasher, now: () => new Date() };
    registry.setFault(({ path, headers, query }) => {
      if (path === "/token")
        return { status: 200, body: JSON.stringify({ token: encodeURIComponent(query.get("scope")!) }) };
      const name = /^\/v2\/(.+)\/manifests/.exec(path)![1]!;
      if (headers["authorization"] === `Bearer ${encodeURIComponent(`repository:${name}:pull`)}`)
        return { status: 404 };
      return { status: 401, headers: { "www-authenticate": `Bearer realm="${registry.url}/token"` } };
    });
    const client = new RegistryClient({ runtime });
    for (const name of ["a/b", "c/d", "a/b"]) {
      const repository = client.repository({ registry: registry.host, repository: name });
      expect(await repository.manifests.get("v1")).toBeUndefined();
    }
    expect(registry.log().filter((line) => line === "GET /token")).toHaveLength(2);
  });
});

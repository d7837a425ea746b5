import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import type { NodeTransport } from "../../src/node/transport.ts";
import { MAX_MANIFEST_BYTES } from "../../src/oci/manifest.ts";
import { MediaType } from "../../src/oci/types.ts";
import { failureOf } from "../support/error-code.ts";
import { startHostileRegistry, type Fault, type HostileRegistry } from "../support/hostile-registry.ts";
import { collect, registryRig, testTransport, type RegistryRig } from "../support/registry-rig.ts";

const OCI = MediaType.ociManifest;
const HEX = "0123456789abcdef".repeat(4);
const layer = { mediaType: "application/wasm", digest: `sha256:${HEX}`, size: 10 };
const good = { schemaVersion: 2, mediaType: OCI, config: layer, layers: [layer] };
const evil = { ...good, layers: [{ ...layer, digest: `sha256:${"e".repeat(64)}` }] };

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

function add(document: unknown, tag?: string): Digest {
  return registry.addManifest("acme/app", document, OCI, tag) as Digest;
}

describe("manifests.get", () => {
  it("reads by tag and by digest, and asks for every type that it can read", async () => {
    const digest = add(good, "v1");
    for (const reference of ["v1", digest]) {
      const received = await rig.repository.manifests.get(reference);
      expect(received).toMatchObject({ digest, mediaType: OCI });
      expect(Buffer.from(received!.bytes).toString()).toBe(JSON.stringify(good));
    }
    for (const type of [OCI, MediaType.ociIndex, MediaType.dockerManifest, MediaType.dockerIndex]) {
      expect(registry.requests[0]!.headers["accept"]).toContain(type);
    }
  });

  it("reads by sha512, and gives that digest", async () => {
    add(good, "v1");
    const bytes = utf8Encode(JSON.stringify(good));
    const digest = await digestBytes(bytes, "sha512");
    registry.manifests.set(`acme/app@${digest}`, { bytes: Buffer.from(bytes), mediaType: OCI });
    expect((await rig.repository.manifests.get(digest))!.digest).toBe(digest);
  });

  it("gives undefined for 404, and an error for any other failure", async () => {
    expect(await rig.repository.manifests.get("v1")).toBeUndefined();
    for (const [status, code] of [
      [401, "REGISTRY_DENIED"],
      [403, "REGISTRY_DENIED"],
      [418, "REGISTRY_REFUSED"],
      [429, "REGISTRY_UNAVAILABLE"],
      [500, "REGISTRY_UNAVAILABLE"],
    ] as const) {
      registry.setFault(() => ({ status }));
      expect(await failureOf(rig.repository.manifests.get("v1"))).toMatchObject({ code, status });
    }
  });

  it("reads a tag although the registry answers 500 while it moves", async () => {
    const digest = add(good, "v1");
    registry.setFault(({ nth }) => (nth <= 2 ? { status: 500 } : undefined));
    expect((await rig.repository.manifests.get("v1"))!.digest).toBe(digest);
    expect(rig.pauses).toEqual([200, 400]);
  });

  it("reads again what was cut", async () => {
    const digest = add(good, "v1");
    registry.setFault(({ nth }) => (nth === 1 ? { alter: (honest) => honest, cutAfter: 20 } : undefined));
    expect((await rig.repository.manifests.get("v1"))!.digest).toBe(digest);
  });

  it("refuses other bytes than a digest names, with and without a header that lies", async () => {
    const digest = add(good);
    const body = Buffer.from(JSON.stringify(evil));
    const lies = [{ "docker-content-digest": digest }, { "docker-content-digest": await digestBytes(body) }, {}];
    for (const lie of lies) {
      registry.setFault(() => ({ alter: () => ({ status: 200, headers: { "content-type": OCI, ...lie }, body }) }));
      expect((await failureOf(rig.repository.manifests.get(digest))).code).toBe("DIGEST_MISMATCH");
    }
    registry.setFault(undefined);
    expect((await rig.repository.manifests.get(digest))!.digest).toBe(digest);
  });

  it("refuses what a tag names where the registry's own header says otherwise", async () => {
    add(good, "v1");
    const headers = { "docker-content-digest": `sha256:${HEX}` };
    registry.setFault(() => ({ alter: (honest) => honest, headers }));
    expect((await failureOf(rig.repository.manifests.get("v1"))).code).toBe("DIGEST_MISMATCH");
  });

  it.each<[string, Fault, string]>([
    ["a digest header that is none", { headers: { "docker-content-digest": "sha256:../x" } }, "RESPONSE_INVALID"],
    ["two digest headers", { headers: { "docker-content-digest": ["sha256:a", "sha256:b"] } }, "RESPONSE_INVALID"],
    ["encoded content", { headers: { "content-encoding": "gzip" } }, "RESPONSE_INVALID"],
    ["another Content-Type", { headers: { "content-type": MediaType.ociIndex } }, "MANIFEST_INVALID"],
    [
      "a length beyond the limit",
      { headers: { "content-length": String(MAX_MANIFEST_BYTES + 1) } },
      "RESPONSE_TOO_LARGE",
    ],
  ])("refuses %s", async (_what, fault, code) => {
    add(good, "v1");
    registry.setFault(() => ({ alter: (honest) => honest, ...fault }));
    expect((await failureOf(rig.repository.manifests.get("v1"))).code).toBe(code);
  });

  it("stops an endless manifest at the limit", async () => {
    registry.setFault(() => ({ status: 200, endless: Buffer.alloc(65_536, " ") }));
    expect((await failureOf(rig.repository.manifests.get("v1"))).code).toBe("RESPONSE_TOO_LARGE");
  });

  it("refuses the document that means one thing to us and another to Go readers", async () => {
    const [start] = JSON.stringify(good).split("}]}");
    const text = `${start}}],"Layers":${JSON.stringify(evil.layers)}}`;
    expect(JSON.parse(text)).toMatchObject({ layers: good.layers, Layers: evil.layers });
    const digest = add(text, "v1");
    expect((await failureOf(rig.repository.manifests.get(digest))).code).toBe("MANIFEST_INVALID");
  });

  it("never asks for the addresses that a manifest lists", async () => {
    const attacker = await startHostileRegistry({
      fault: () => ({ status: 401, headers: { "www-authenticate": "Basic" } }),
    });
    add({ ...good, layers: [{ ...layer, urls: [`${attacker.url}/layer`] }] }, "v1");
    await rig.repository.manifests.get("v1");
    const blob = { digest: `sha256:${HEX}`, size: 10 } as const;
    expect((await failureOf(collect(rig.repository.blobs.get(blob)))).code).toBe("REGISTRY_NOT_FOUND");
    expect(attacker.requests).toEqual([]);
    await attacker.stop();
  });

  it.each(["../../other/manifests/x", "a/b", "", "sha256:abc", "x?y", "x#y", "%2e%2e"])(
    "sends no request for the reference %j",
    async (reference) => {
      expect((await failureOf(rig.repository.manifests.get(reference))).code).toBe("REFERENCE_INVALID");
      expect(registry.requests).toEqual([]);
    },
  );
});

describe("manifests.head", () => {
  it("gives what the registry says", async () => {
    const digest = add(good, "v1");
    const size = JSON.stringify(good).length;
    expect(await rig.repository.manifests.head("v1")).toEqual({ mediaType: OCI, digest, size });
    expect(await rig.repository.manifests.head("v2")).toBeUndefined();
  });

  it("reads the manifest where the registry sends no digest", async () => {
    const digest = add(good, "v1");
    registry.setFault(() => ({
      alter: (honest) => {
        delete honest.headers["docker-content-digest"];
        return honest;
      },
    }));
    expect((await rig.repository.manifests.head("v1"))!.digest).toBe(digest);
    expect(registry.log()).toEqual(["HEAD /v2/acme/app/manifests/v1", "GET /v2/acme/app/manifests/v1"]);
  });

  it("is denied", async () => {
    registry.setFault(() => ({ status: 403 }));
    expect(await failureOf(rig.repository.manifests.head("v1"))).toMatchObject({
      code: "REGISTRY_DENIED",
      status: 403,
    });
  });
});

describe("manifests.putByDigest and tag", () => {
  const bytes = utf8Encode(JSON.stringify(good));

  it("writes the bytes as they are, first without and then with a tag", async () => {
    const digest = await digestBytes(bytes);
    await rig.repository.manifests.putByDigest(bytes, OCI, digest);
    expect([...registry.manifests.keys()]).toEqual([`acme/app@${digest}`]);
    await rig.repository.manifests.tag(bytes, OCI, "v1");
    const stored = registry.manifests.get("acme/app:v1")!;
    expect([stored.bytes.toString(), stored.mediaType]).toEqual([JSON.stringify(good), OCI]);
  });

  it("sends nothing where the digest is not that of the bytes, or the tag is none", async () => {
    const wrong = rig.repository.manifests.putByDigest(bytes, OCI, `sha256:${HEX}`);
    expect((await failureOf(wrong)).code).toBe("DIGEST_MISMATCH");
    expect((await failureOf(rig.repository.manifests.tag(bytes, OCI, "a/b"))).code).toBe("REFERENCE_INVALID");
    expect(registry.requests).toEqual([]);
  });

  it("writes again what the registry did not take at once", async () => {
    registry.setFault(({ nth }) => (nth === 1 ? { status: 502 } : undefined));
    await rig.repository.manifests.tag(bytes, OCI, "v1");
    expect(registry.manifests.has("acme/app:v1")).toBe(true);
  });

  it("tells a tag that may not be moved from a lack of rights", async () => {
    const body = JSON.stringify({ errors: [{ code: "TAG_INVALID", message: "tag is immutable" }] });
    registry.setFault(() => ({ status: 400, body }));
    const refused = await failureOf(rig.repository.manifests.tag(bytes, OCI, "v1"));
    expect(refused).toMatchObject({ code: "REGISTRY_REFUSED", status: 400, details: { reason: "TAG_INVALID" } });
    expect(refused.message).toContain("tag is immutable");
    registry.setFault(() => ({ status: 403 }));
    expect((await failureOf(rig.repository.manifests.tag(bytes, OCI, "v1"))).code).toBe("REGISTRY_DENIED");
    expect(registry.manifests.size).toBe(0);
  });

  it("notices that the registry stored something else", async () => {
    const headers = { "docker-content-digest": `sha256:${HEX}` };
    registry.setFault(() => ({ alter: (honest) => honest, headers }));
    expect((await failureOf(rig.repository.manifests.tag(bytes, OCI, "v1"))).code).toBe("DIGEST_MISMATCH");
  });

  it("follows no redirect of a write", async () => {
    const attacker = await startHostileRegistry();
    registry.setFault(() => ({ status: 307, headers: { location: `${attacker.url}/v2/acme/app/manifests/v1` } }));
    expect((await failureOf(rig.repository.manifests.tag(bytes, OCI, "v1"))).code).toBe("REDIRECT_REFUSED");
    expect(attacker.requests).toEqual([]);
    await attacker.stop();
  });
});

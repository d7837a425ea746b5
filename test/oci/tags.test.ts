import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { WasmToOciError } from "../../src/base/errors.ts";
import type { NodeTransport } from "../../src/node/transport.ts";
import { MediaType } from "../../src/oci/types.ts";
import { failureOf } from "../support/error-code.ts";
import { startHostileRegistry, type Fault, type HostileRegistry } from "../support/hostile-registry.ts";
import { registryRig, testTransport, type RegistryRig } from "../support/registry-rig.ts";

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

async function list(): Promise<string[]> {
  const tags: string[] = [];
  for await (const tag of rig.repository.tags.list()) tags.push(tag);
  return tags;
}

const failure = (): Promise<WasmToOciError> => failureOf(list());

const page = (tags: unknown, link?: string): Fault => ({
  status: 200,
  headers: { "content-type": "application/json", ...(link !== undefined && { link }) },
  body: JSON.stringify({ name: "acme/app", tags }),
});

describe("tags.list", () => {
  it("lists every page", async () => {
    const names = Array.from({ length: 2500 }, (_, index) => `v${String(index).padStart(4, "0")}`);
    for (const name of names) registry.manifests.set(`acme/app:${name}`, { bytes: Buffer.from("x"), mediaType: "x" });
    expect(await list()).toEqual(names);
    expect(registry.requests.map(({ query }) => query.get("last"))).toEqual([null, "v0999", "v1999"]);
  });

  it("lists nothing where the registry says null", async () => {
    registry.setFault(() => page(null));
    expect(await list()).toEqual([]);
  });

  it("says where there is no such repository", async () => {
    expect(await failure()).toMatchObject({ code: "REGISTRY_NOT_FOUND", status: 404 });
  });

  it("goes to no other server for the next page", async () => {
    const attacker = await startHostileRegistry();
    for (const link of [`<${attacker.url}/v2/x>; rel="next"`, '<//127.0.0.1:1/>; rel="next"']) {
      registry.setFault(() => page(["a"], link));
      expect((await failure()).code).toBe("REDIRECT_REFUSED");
    }
    expect(attacker.requests).toEqual([]);
    await attacker.stop();
  });

  it("stops a list without end, and says so", async () => {
    registry.setFault(({ nth }) => page([`t${nth}`], `</v2/acme/app/tags/list?x=${nth}>; rel="next"`));
    const error = await failure();
    expect(error).toMatchObject({ code: "LIMIT_EXCEEDED", details: { limit: 1000 } });
    expect(registry.requests).toHaveLength(1000);
  });

  it.each<[string, unknown]>([
    ["a tag with a terminal escape", ["\u001b[2J"]],
    ["a tag that is a path", ["../x"]],
    ["a number", [1]],
    ["an object", { a: 1 }],
  ])("refuses %s", async (_what, tags) => {
    registry.setFault(() => page(tags));
    const error = await failure();
    expect(error.code).toBe("JSON_INVALID");
    expect(error.message).not.toContain("\u001b");
  });

  it("refuses a page that is larger than any list", async () => {
    registry.setFault(() => ({ status: 200, endless: Buffer.alloc(65_536, " ") }));
    expect((await failure()).code).toBe("RESPONSE_TOO_LARGE");
  });
});

describe("referrers.list", () => {
  const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}` as const;
  const entry = (artifactType: string, fill: string) => ({
    mediaType: MediaType.ociManifest,
    digest: `sha256:${fill.repeat(64)}`,
    size: 1,
    artifactType,
  });
  const index = (manifests: unknown[]) => ({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests });
  const answer = (manifests: unknown[], link?: string): Fault => ({
    status: 200,
    headers: { "content-type": MediaType.ociIndex, ...(link !== undefined && { link }) },
    body: JSON.stringify(index(manifests)),
  });

  it("reads the API, page by page, and filters where the registry does not", async () => {
    registry.setFault(({ nth }) =>
      nth === 1
        ? answer([entry("a/a", "1")], `</v2/acme/app/referrers/${DIGEST}?p=2>; rel="next"`)
        : answer([entry("b/b", "2")]),
    );
    expect(await rig.repository.referrers.list(DIGEST, { artifactType: "b/b" })).toMatchObject([entry("b/b", "2")]);
    expect(registry.requests[0]!.query.get("artifactType")).toBe("b/b");
  });

  it("reads the tag that stands in for the API", async () => {
    registry.addManifest("acme/app", index([entry("a/a", "1")]), MediaType.ociIndex, DIGEST.replace(":", "-"));
    expect(await rig.repository.referrers.list(DIGEST)).toMatchObject([entry("a/a", "1")]);
    expect(registry.log()).toHaveLength(2);
  });

  it("finds nothing where there is neither, and where a page for people answers", async () => {
    expect(await rig.repository.referrers.list(DIGEST)).toEqual([]);
    registry.setFault(({ path }) =>
      path.includes("/referrers/")
        ? { status: 200, headers: { "content-type": "text/html" }, body: "<html>" }
        : undefined,
    );
    expect(await rig.repository.referrers.list(DIGEST)).toEqual([]);
  });

  it("stops a flood of referrers in bounded time", async () => {
    const flood = Array.from({ length: 9_000 }, () => entry("a/a", "1"));
    registry.setFault(({ nth }) => answer(flood, `</v2/acme/app/referrers/${DIGEST}?p=${nth}>; rel="next"`));
    const start = performance.now();
    await expect(rig.repository.referrers.list(DIGEST)).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    expect(performance.now() - start).toBeLessThan(5000);
    expect(registry.requests.length).toBeLessThanOrEqual(2);
  });

  it("does not take a denied API for an absent one", async () => {
    registry.setFault(() => ({ status: 403 }));
    await expect(rig.repository.referrers.list(DIGEST)).rejects.toMatchObject({ code: "REGISTRY_DENIED" });
  });
});

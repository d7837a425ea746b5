/** Staged changes in a registry that anybody with the right to push may write to. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { utf8Decode, utf8Encode } from "../../../src/base/bytes.ts";
import { nodeHasher } from "../../../src/node/hasher.ts";
import { RegistryClient } from "../../../src/oci/registry-client.ts";
import { ociStaging } from "../../../src/trust/oci/staging.ts";
import { STAGED_TAG } from "../../../src/trust/oci/tags.ts";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { codeOf } from "../../support/key-fixtures.ts";
import { testTransport } from "../../support/registry-rig.ts";

const NAME = "acme/app";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";

describe("staging in a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  beforeEach(async () => {
    registry = await startHostileRegistry();
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  const open = () => {
    const client = new RegistryClient({ runtime: { transport, createHasher: nodeHasher, now: () => new Date() } });
    const store = client.repository({ registry: registry.host, repository: NAME });
    return ociStaging({ store, location: `oci://${registry.host}/${NAME}` });
  };
  const text = async (): Promise<string | undefined> => {
    const bytes = await open().read();
    return bytes && utf8Decode(bytes);
  };
  const put = (content: string) => open().update(async () => utf8Encode(content));
  const puts = (): number => registry.requests.filter(({ method }) => method === "PUT").length;
  const tagged = (): string | undefined => registry.manifests.get(`${NAME}:${STAGED_TAG}`)?.bytes.toString();

  test("keeps what was written for everybody, and forgets it without deleting anything", async () => {
    expect(await text()).toBeUndefined();
    await put("one");
    expect(await text()).toBe("one");
    await put("two");
    expect(await text()).toBe("two");
    await open().update(async () => undefined);
    expect(await text()).toBeUndefined();
    expect(JSON.parse(tagged()!)).toMatchObject({ layers: [{ mediaType: "application/vnd.oci.empty.v1+json" }] });
    await put("three");
    expect(await text()).toBe("three");
  });

  test("writes nothing where nothing changes, or where the change is refused", async () => {
    await open().update(async () => undefined);
    await put("one");
    const before = puts();
    await put("one");
    await expect(open().update(() => Promise.reject(new RangeError("no")))).rejects.toThrow(RangeError);
    expect(puts()).toBe(before);
    expect(await text()).toBe("one");
  });

  test("brings a change into what somebody else wrote meanwhile", async () => {
    await put("base");
    let rounds = 0;
    await open().update(async (current) => {
      rounds++;
      if (rounds === 1) await put("base theirs");
      return utf8Encode(`${utf8Decode(current!)} mine`);
    });
    expect(rounds).toBe(2);
    expect(await text()).toBe("base theirs mine");
  });

  test("loses none of three people who sign at the same moment", async () => {
    await put("signed by");
    const sign = (who: string) =>
      open().update(async (current) => {
        const now = utf8Decode(current!);
        return utf8Encode(now.includes(who) ? now : `${now} ${who}`);
      });
    await Promise.all(["ada", "bob", "cid"].map(sign));
    for (const who of ["ada", "bob", "cid"]) expect(await text()).toContain(who);
  });

  test("gives up where others never stop", async () => {
    await put("base");
    let other = 0;
    const code = await codeOf(() =>
      open().update(async () => {
        await put(`theirs ${other++}`);
        return utf8Encode("mine");
      }),
    );
    expect(code).toBe("TRUST_CONFLICT");
    expect(await text()).toMatch(/^theirs/);
  }, 60_000);

  test.each([
    ["an index", { schemaVersion: 2, mediaType: INDEX, manifests: [] }, INDEX],
    ["no layer", { layers: [] }, MANIFEST],
    ["two layers", { layers: ["a", "b"] }, MANIFEST],
    ["a module", { layers: ["a"], mediaType: "application/wasm" }, MANIFEST],
  ])("refuses what is no staged change, and lets it be dropped: %s", async (_name, wanted, mediaType) => {
    const { layers, mediaType: type = "application/vnd.wasm-to-oci.tuf.staged.v1+json" } = wanted as {
      layers?: string[];
      mediaType?: string;
    };
    const config = registry.addBlob(NAME, utf8Encode("{}"));
    const document =
      layers === undefined
        ? wanted
        : {
            schemaVersion: 2,
            mediaType: MANIFEST,
            config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
            layers: layers.map((content) => ({
              mediaType: type,
              digest: registry.addBlob(NAME, utf8Encode(content)),
              size: content.length,
            })),
          };
    registry.addManifest(NAME, document, mediaType, STAGED_TAG);
    expect(await codeOf(() => open().read())).toBe("MANIFEST_INVALID");
    await open().update(async (current) => {
      expect(current).toBeUndefined();
      return undefined;
    });
    expect(await text()).toBeUndefined();
    await put("honest");
    expect(await text()).toBe("honest");
  });

  test.each([
    ["not what its manifest says", "DIGEST_MISMATCH"],
    ["gone", "REGISTRY_NOT_FOUND"],
  ])("refuses a blob that is %s, and lets it be dropped", async (_name, code) => {
    await put("honest");
    const manifest = JSON.parse(tagged()!) as { layers: { digest: string }[] };
    const { digest } = manifest.layers[0]!;
    if (code === "DIGEST_MISMATCH") registry.blobs.set(`${NAME}@${digest}`, Buffer.from("forged"));
    else registry.blobs.delete(`${NAME}@${digest}`);
    expect(await codeOf(() => open().read())).toBe(code);
    await open().update(async () => undefined);
    expect(await text()).toBeUndefined();
  });
});

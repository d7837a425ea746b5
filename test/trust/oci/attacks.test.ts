import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { codeOf } from "../../support/key-fixtures.ts";
import { ACCEPT, adding, COLLECTION, machine, memoryTrust, REFUSE } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";

const TUF = "acme/app:tuf";
const FILE = "tuf.io/filename";

interface Layer {
  digest: string;
  size: number;
  data?: string;
  annotations: Record<string, string>;
}

interface Manifest {
  layers: Layer[];
}

const named = ({ layers }: Manifest, name: RegExp): Layer =>
  layers.find(({ annotations }) => name.test(annotations[FILE] ?? ""))!;

describe("a registry that lies about trust data", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  beforeEach(async () => {
    registry = await startHostileRegistry();
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  /** Publishes twice, and gives what the tag named after each. */
  async function published(): Promise<Manifest[]> {
    const ada = machine(registry.host, transport);
    const manifests: Manifest[] = [];
    for (const name of ["v1", "v2"]) {
      await ada.source.publish(COLLECTION, adding(name), REFUSE);
      manifests.push(JSON.parse(registry.manifests.get(TUF)!.bytes.toString()));
    }
    return manifests;
  }

  const attacks: readonly [string, string, (manifest: Manifest, former: Manifest) => void][] = [
    ["embedded data that is not what its digest says", "MANIFEST_INVALID", ({ layers }) => (layers[0]!.data = "e30=")],
    ["a layer of a size that its data has not", "MANIFEST_INVALID", ({ layers }) => layers[0]!.size++],
    [
      "a layer of a size that its blob has not",
      "DIGEST_MISMATCH",
      (manifest) => {
        const layer = named(manifest, /targets/);
        delete layer.data;
        layer.size--;
      },
    ],
    [
      "a layer whose blob is not there",
      "TRUST_WITHHELD",
      (manifest) => {
        const layer = named(manifest, /targets/);
        delete layer.data;
        layer.digest = `sha256:${"0".repeat(64)}`;
      },
    ],
    ["layers of two publishes", "MANIFEST_INVALID", ({ layers }, former) => layers.push(named(former, /targets/))],
    ["one file twice", "MANIFEST_INVALID", ({ layers }) => layers.push(layers[0]!)],
    [
      "the targets of another publish under today's name",
      "METADATA_TAMPERED",
      (manifest, former) => {
        const { digest, size, data } = named(former, /targets/);
        Object.assign(named(manifest, /targets/), { digest, size, data });
      },
    ],
    [
      "an older targets alone",
      "TRUST_WITHHELD",
      (manifest, former) => Object.assign(named(manifest, /targets/), named(former, /targets/)),
    ],
    [
      "names that are exchanged",
      "METADATA_INVALID",
      (manifest) => {
        const [a, b] = [named(manifest, /timestamp/), named(manifest, /snapshot/)];
        [a.annotations, b.annotations] = [b.annotations, a.annotations];
      },
    ],
    [
      "no timestamp",
      "TRUST_WITHHELD",
      (manifest) => {
        manifest.layers = manifest.layers.filter((layer) => layer !== named(manifest, /timestamp/));
      },
    ],
    [
      "thousands of layers",
      "MANIFEST_INVALID",
      ({ layers }) => {
        for (let n = 2; n < 3_000; n++) layers.push({ ...layers[0]!, annotations: { [FILE]: `${n}.root.json` } });
      },
    ],
  ];

  test.each(attacks)("is refused: %s", async (_, code, attack) => {
    const [former, manifest] = (await published()) as [Manifest, Manifest];
    const honest = registry.manifests.get(TUF)!;
    const trust = memoryTrust();
    const known = machine(registry.host, transport, { trust });
    const seen = (await known.source.open(COLLECTION, ACCEPT)).roles.map(({ role, version }) => `${role} ${version}`);
    attack(manifest, former);
    registry.manifests.set(TUF, { ...honest, bytes: Buffer.from(JSON.stringify(manifest)) });
    expect(await codeOf(() => machine(registry.host, transport).source.open(COLLECTION, ACCEPT))).toBe(code);
    const again = machine(registry.host, transport, { trust });
    const known2 = await codeOf(() => again.source.open(COLLECTION, REFUSE));
    expect([code, "no error"]).toContain(known2); // who has a file already needs none of the registry
    registry.manifests.set(TUF, honest);
    for (const consumer of [known, again, machine(registry.host, transport)]) {
      const { roles } = await consumer.source.open(COLLECTION, ACCEPT);
      expect(roles.map(({ role, version }) => `${role} ${version}`)).toEqual(seen);
    }
  });

  test("shows two requests two states, and a consumer sees one", async () => {
    const [former] = await published();
    const honest = registry.manifests.get(TUF)!;
    registry.setFault(({ path, nth }) =>
      path.endsWith("/manifests/tuf") && nth % 2 === 0
        ? {
            alter: (answer) => ({
              ...answer,
              headers: { "content-type": honest.mediaType },
              body: Buffer.from(JSON.stringify(former)),
            }),
          }
        : undefined,
    );
    const seen = new Set<string>();
    for (let times = 0; times < 6; times++) {
      const opened = await machine(registry.host, transport).source.open(COLLECTION, ACCEPT);
      seen.add(
        opened
          .list()
          .map(({ name }) => name)
          .join(),
      );
    }
    expect(seen).toEqual(new Set(["v1,v2", "v1"]));
  });

  test("serves one collection in the place of another of the same keys: each says which it is", async () => {
    const ada = machine(registry.host, transport);
    await ada.source.publish(COLLECTION, adding("v1"), REFUSE);
    const place = { registry: registry.host, repository: "acme/other" };
    const other = machine(registry.host, transport, { keyStore: ada.keyStore, repository: place });
    await other.source.publish("acme/other", adding("v1"), REFUSE);
    registry.manifests.set(TUF, registry.manifests.get("acme/other:tuf")!);
    for (const [key, blob] of registry.blobs) registry.blobs.set(key.replace("acme/other@", "acme/app@"), blob);
    const code = await codeOf(() => machine(registry.host, transport).source.open(COLLECTION, ACCEPT));
    expect(code).toBe("COLLECTION_MISMATCH");
  });
});

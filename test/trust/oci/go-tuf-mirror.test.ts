/** What docker/go-tuf-mirror writes, with metadata that go-tuf signed: all top-level files in one manifest, unpacked. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { codeOf } from "../../support/key-fixtures.ts";
import { ACCEPT, machine, REFUSE } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";
import { base64Encode, ownBytes, utf8Encode, type Bytes } from "../../../src/base/bytes.ts";
import { digestBytes } from "../../../src/base/digest.ts";
import { MediaType } from "../../../src/oci/types.ts";

const METADATA = join(import.meta.dirname, "../../fixtures/tuf-peers/go-tuf/metadata");
const FILES = ["1.root.json", "2.root.json", "9.snapshot.json", "7.targets.json", "timestamp.json"];

describe("metadata that go-tuf-mirror has put into a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  const repository = (): { registry: string; repository: string } => ({
    registry: registry.host,
    repository: "acme/tuf-metadata",
  });
  beforeEach(async () => {
    registry = await startHostileRegistry();
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  async function mirror(tag: string, change: (file: string, bytes: Bytes) => Bytes = (_, bytes) => bytes) {
    const store = machine(registry.host, transport).registry.repository(repository());
    const describeBlob = async (mediaType: string, bytes: Bytes) => {
      const blob = { mediaType, size: bytes.length, digest: await digestBytes(bytes) };
      await store.blobs.put(blob, bytes);
      return blob;
    };
    const empty = utf8Encode("{}");
    const config = { ...(await describeBlob(MediaType.ociEmpty, empty)), data: base64Encode(empty) };
    const layers = [];
    for (const file of FILES) {
      const bytes = change(file, ownBytes(readFileSync(join(METADATA, file))));
      const blob = await describeBlob("application/vnd.tuf.metadata+json", bytes);
      layers.push({ ...blob, annotations: { "tuf.io/filename": file } });
    }
    const manifest = { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers };
    await store.manifests.tag(utf8Encode(JSON.stringify(manifest)), MediaType.ociManifest, tag);
  }

  test.each(["latest", "tuf"])("is read and verified under the tag %s", async (tag) => {
    await mirror(tag);
    const { source } = machine(registry.host, transport, { repository: repository(), tag });
    const collection = await source.open("acme/app", { ...ACCEPT, names: ["v1"] });
    expect(collection.find("v1")).toMatchObject({ role: "targets", length: 2 });
    expect(collection.roles.map(({ role, version }) => [role, version])).toEqual([
      ["root", 2],
      ["timestamp", 1],
      ["snapshot", 9],
      ["targets", 7],
    ]);
    expect(collection.warnings).toContainEqual(expect.stringContaining("the root names no collection"));
  });

  test("is trusted by its root file or its keys only, and refused where a byte is another", async () => {
    await mirror("tuf");
    const open = (more: object = {}) =>
      machine(registry.host, transport, { repository: repository(), ...more }).source.open("acme/app", REFUSE);
    expect(await codeOf(() => open())).toBe("FIRST_USE_REFUSED");
    const anchor = ownBytes(readFileSync(join(METADATA, "1.root.json")));
    expect((await open({ anchor })).roles[0]).toMatchObject({ role: "root", version: 2 });
    await mirror("tuf", (file, bytes) =>
      file === "7.targets.json" ? utf8Encode(`${new TextDecoder().decode(bytes)} `) : bytes,
    );
    expect(await codeOf(() => open({ anchor }))).toBe("METADATA_TAMPERED");
  });
});

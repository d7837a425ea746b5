import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { digestBytes } from "../../src/base/digest.ts";
import { createLayoutArchive } from "../../src/node/layout-archive-output.ts";
import { openLayoutArchive } from "../../src/node/layout-archive.ts";
import { openLayoutDirectory } from "../../src/node/layout-directory.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import { createNodeTransport } from "../../src/node/transport.ts";
import { layoutStore } from "../../src/oci/layout-store.ts";
import { listen } from "../../src/server/listen.ts";
import { createRegistryApp } from "../../src/server/registry/app.ts";
import { openRegistryStore } from "../../src/server/registry/file-store.ts";
import { registryRig } from "../support/registry-rig.ts";
import { startHostileRegistry } from "../support/hostile-registry.ts";
import { contentStoreContract } from "./content-store-contract.ts";

const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), "content-store-"));
const options = { createHasher: nodeHasher };

contentStoreContract("a layout in a directory", async () => {
  const dir = await temporary();
  const path = join(dir, "layout");
  return {
    store: layoutStore(await openLayoutDirectory(path, { create: true }), options),
    reopen: async () => layoutStore(await openLayoutDirectory(path), options),
    stop: () => rm(dir, { recursive: true }),
  };
});

contentStoreContract("a layout in an archive", async () => {
  const dir = await temporary();
  const path = join(dir, "app.tar");
  const output = await createLayoutArchive(path);
  let reopened: { close(): Promise<void> } | undefined;
  return {
    store: layoutStore(output.files, options),
    async reopen() {
      await output.commit();
      if ((await readdir(dir)).join() !== "app.tar") throw new Error("something else than the archive was left behind");
      const archive = await openLayoutArchive(path);
      reopened = archive;
      return layoutStore(archive, options);
    },
    async stop() {
      await reopened?.close();
      await rm(dir, { recursive: true });
    },
  };
});

contentStoreContract("our registry", async () => {
  const dir = await temporary();
  const store = await openRegistryStore(dir);
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const server = await listen(createRegistryApp({ store, log }), { host: "127.0.0.1", port: 0 });
  const transport = createNodeTransport();
  const { repository, client } = registryRig(`127.0.0.1:${server.port}`, transport);
  return {
    store: repository,
    reopen: async () => client.repository({ registry: `127.0.0.1:${server.port}`, repository: "acme/app" }),
    async stop() {
      transport.close();
      await server.close();
      await store.close();
      await rm(dir, { recursive: true });
    },
  };
});

contentStoreContract("a registry without the referrers API", async () => {
  const server = await startHostileRegistry();
  const transport = createNodeTransport();
  const { repository, client } = registryRig(server.host, transport);
  return {
    store: repository,
    reopen: async () => client.repository({ registry: server.host, repository: "acme/app" }),
    async stop() {
      transport.close();
      await server.stop();
    },
  };
});

describe("an archive that is written again", () => {
  it("keeps what it has, and stays as it is where nothing is added", async () => {
    const dir = await temporary();
    const path = join(dir, "app.tar");
    const bytes = new TextEncoder().encode("one");
    const blob = { digest: await digestBytes(bytes), size: bytes.length };
    const first = await createLayoutArchive(path);
    const store = layoutStore(first.files, options);
    await store.blobs.put(blob, bytes);
    const manifest = new TextEncoder().encode(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: { mediaType: "a/b", ...blob },
        layers: [],
      }),
    );
    await store.manifests.tag(manifest, "application/vnd.oci.image.manifest.v1+json", "v1");
    await first.commit();
    const second = await createLayoutArchive(path);
    await layoutStore(second.files, options).manifests.tag(
      manifest,
      "application/vnd.oci.image.manifest.v1+json",
      "v2",
    );
    await second.discard();
    expect(await readdir(dir)).toEqual(["app.tar"]);
    const archive = await openLayoutArchive(path);
    const tags: string[] = [];
    for await (const tag of layoutStore(archive, options).tags.list()) tags.push(tag);
    expect(tags).toEqual(["v1"]);
    expect(await layoutStore(archive, options).blobs.read(blob, 10)).toEqual(bytes);
    await archive.close();
    await rm(dir, { recursive: true });
  });

  it("has room for digests whose paths are longer than a header", async () => {
    const dir = await temporary();
    const path = join(dir, "app.tar");
    const bytes = new TextEncoder().encode("long");
    const blob = { digest: await digestBytes(bytes, "sha512"), size: bytes.length };
    const output = await createLayoutArchive(path);
    const store = layoutStore(output.files, options);
    await store.blobs.put(blob, bytes);
    const config = { mediaType: "a/b", ...blob };
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const manifest = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] }));
    await store.manifests.putByDigest(manifest, mediaType, await digestBytes(manifest, "sha512"));
    await output.commit();
    const archive = await openLayoutArchive(path);
    expect(await layoutStore(archive, options).blobs.read(blob, 10)).toEqual(bytes);
    expect(execFileSync("tar", ["-tf", path]).toString()).toContain(`blobs/sha512/${blob.digest.slice(7)}`);
    await archive.close();
    await rm(dir, { recursive: true });
  });

  it("clears away what a run that was killed left beside it, and nothing else", async () => {
    const dir = await temporary();
    const path = join(dir, "app.tar");
    const old = new Date(Date.now() - 48 * 3600 * 1000);
    for (const name of [".app.tar.AbC123", ".app.tar.short", ".app.tar.Fresh1", "app.tar.AbC123"]) {
      await mkdir(join(dir, name));
      if (!name.includes("Fresh")) await utimes(join(dir, name), old, old);
    }
    const output = await createLayoutArchive(path);
    await output.discard();
    expect((await readdir(dir)).toSorted()).toEqual([".app.tar.Fresh1", ".app.tar.short", "app.tar.AbC123"]);
    await rm(dir, { recursive: true });
  });
});

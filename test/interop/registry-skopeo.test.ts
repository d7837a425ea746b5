/** Our registry under skopeo, a client of other people: images of every shape go in and come out unchanged. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import { openLocalCa } from "../../src/node/local-ca.ts";
import { listen, type RunningServer } from "../../src/server/listen.ts";
import { createRegistryApp } from "../../src/server/registry/app.ts";
import { openRegistryStore } from "../../src/server/registry/file-store.ts";
import type { RegistryStore } from "../../src/server/registry/store.ts";
import { describeWithPeers, skopeo, startDockerRegistry, type DockerRegistry } from "../support/peers.ts";

const IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json";

let dir: string;
let store: RegistryStore;
let server: RunningServer;
let secure: RunningServer;

/** Runs skopeo; its failure is the test's. */
async function run(args: readonly string[]): Promise<string> {
  const result = await skopeo(args);
  if (result.status !== 0) throw new Error(`skopeo ${args.join(" ")} failed: ${result.output}`);
  return result.stdout;
}

/** Writes an OCI layout with one image of one layer, as an image of Wasm looks; gives its manifest's digest. */
async function writeLayout(folder: string): Promise<Digest> {
  const put = async (bytes: Uint8Array): Promise<{ digest: Digest; size: number }> => {
    const digest = await digestBytes(bytes);
    mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
    writeFileSync(join(folder, "blobs", digest.replace(":", "/")), bytes);
    return { digest, size: bytes.length };
  };
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const layer = await put(new Uint8Array(3_000_000).map((_, at) => at * 31));
  const config = await put(text({ architecture: "wasm", os: "wasip1", layerDigests: [layer.digest] }));
  const manifest = await put(
    text({
      schemaVersion: 2,
      mediaType: IMAGE_MANIFEST,
      config: { mediaType: "application/vnd.wasm.config.v0+json", ...config },
      layers: [{ mediaType: "application/wasm", ...layer }],
    }),
  );
  const index = {
    schemaVersion: 2,
    manifests: [{ mediaType: IMAGE_MANIFEST, ...manifest, annotations: { "org.opencontainers.image.ref.name": "v1" } }],
  };
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, "index.json"), JSON.stringify(index));
  return manifest.digest;
}

describeWithPeers(["skopeo"], "skopeo and our registry", () => {
  let manifest: Digest;
  let caDir: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "registry-skopeo-"));
    store = await openRegistryStore(join(dir, "data"));
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const app = createRegistryApp({ store, log });
    server = await listen(app, { host: "127.0.0.1", port: 0 });
    const ca = await openLocalCa(join(dir, "ca"));
    secure = await listen(app, { host: "127.0.0.1", port: 0, tls: await ca.serverCertificate(["localhost"]) });
    caDir = join(dir, "skopeo-ca");
    mkdirSync(caDir);
    writeFileSync(join(caDir, "ca.crt"), ca.caPem);
    manifest = await writeLayout(join(dir, "in"));
  });
  afterAll(async () => {
    await server.close();
    await secure.close();
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const ours = () => `docker://127.0.0.1:${server.port}`;

  test("an artifact goes in and comes out with the same digest", async () => {
    await run(["copy", "--dest-tls-verify=false", `oci:${dir}/in:v1`, `${ours()}/team/app:v1`]);
    const raw = await run(["inspect", "--raw", "--tls-verify=false", `${ours()}/team/app:v1`]);
    expect(await digestBytes(new TextEncoder().encode(raw))).toBe(manifest);
    await run(["copy", "--src-tls-verify=false", `${ours()}/team/app@${manifest}`, `oci:${dir}/out:v1`]);
    const index = JSON.parse(readFileSync(join(dir, "out/index.json"), "utf8")) as { manifests: { digest: string }[] };
    expect(index.manifests[0]!.digest).toBe(manifest);
    execFileSync("diff", ["-r", join(dir, "in/blobs"), join(dir, "out/blobs")]);
  });

  test("copies inside the registry, lists tags that differ by case, deletes one of them", async () => {
    await run([
      "copy",
      "--src-tls-verify=false",
      "--dest-tls-verify=false",
      `${ours()}/team/app:v1`,
      `${ours()}/other/app:V1`,
    ]);
    await run([
      "copy",
      "--src-tls-verify=false",
      "--dest-tls-verify=false",
      `${ours()}/team/app:v1`,
      `${ours()}/other/app:v1`,
    ]);
    const list = JSON.parse(await run(["list-tags", "--tls-verify=false", `${ours()}/other/app`])) as {
      Tags: string[];
    };
    expect(list.Tags).toEqual(["V1", "v1"]);
    await run(["delete", "--tls-verify=false", `${ours()}/other/app:v1`]);
    const gone = await skopeo(["inspect", "--raw", "--tls-verify=false", `${ours()}/other/app:v1`]);
    expect(gone.status).not.toBe(0);
    expect(gone.output).toContain("manifest unknown");
    await run(["inspect", "--raw", "--tls-verify=false", `${ours()}/team/app:v1`]);
  });

  test("works over https with our local authority, and refuses without it", async () => {
    const reference = `docker://localhost:${secure.port}/team/app:v1`;
    const raw = await run(["inspect", "--raw", `--cert-dir=${caDir}`, reference]);
    expect(await digestBytes(new TextEncoder().encode(raw))).toBe(manifest);
    const refused = await skopeo(["inspect", "--raw", reference]);
    expect(refused.status).not.toBe(0);
    expect(refused.output).toMatch(/x509|certificate/);
  });
});

describeWithPeers(["skopeo", "docker-registry"], "skopeo between docker-registry and ours", () => {
  let peer: DockerRegistry;
  let folder: string;
  let own: RegistryStore;
  let listening: RunningServer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "registry-skopeo-"));
    own = await openRegistryStore(join(folder, "data"));
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    listening = await listen(createRegistryApp({ store: own, log }), { host: "127.0.0.1", port: 0 });
    peer = await startDockerRegistry();
  });
  afterAll(async () => {
    await peer.stop();
    await listening.close();
    await own.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("an image moves there and back unchanged", async () => {
    const manifest = await writeLayout(join(folder, "in"));
    const insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    const mine = `docker://127.0.0.1:${listening.port}/team`;
    await run(["copy", "--dest-tls-verify=false", `oci:${folder}/in:v1`, `${mine}/app:v1`]);
    await run(["copy", ...insecure, `${mine}/app:v1`, `docker://${peer.host}/team/app:v1`]);
    await run(["copy", ...insecure, `docker://${peer.host}/team/app:v1`, `${mine}/back:v1`]);
    expect(await own.manifests.resolve("team/back", "v1")).toBe(manifest);
  });
});

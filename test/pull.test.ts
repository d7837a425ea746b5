import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TrustError } from "../src/base/errors.ts";
import type { Transport } from "../src/base/http.ts";
import { MemoryOutput } from "../src/download.ts";
import { RegistryClient } from "../src/oci/registry-client.ts";
import { MediaType } from "../src/oci/types.ts";
import { pull } from "../src/pull.ts";
import type { Pin } from "../src/trust/pin.ts";
import type { TrustedCollection } from "../src/trust/source.ts";
import { failure, moduleBytes, UseCase } from "./support/use-case.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

/** What somebody with the registry's disk can do: put another module under the tag, with everything consistent. */
async function replaceTag(text: string): Promise<string> {
  const evil = await world.push(text, { sign: undefined });
  return evil.module.digest;
}

describe("pull, verified", () => {
  it("delivers the signed module, and reports what was checked, by which keys, until when", async () => {
    const pushed = await world.push("one");
    const { report, bytes } = await world.pull();
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report).toMatchObject({
      reference: world.reference,
      verified: "artifact",
      module: pushed.module,
      artifact: pushed.artifact,
      trust: { source: "notary", collection: world.repository, target: "v1", role: "targets" },
    });
    expect(report.trust?.roles.map(({ role }) => role)).toEqual(["root", "timestamp", "snapshot", "targets"]);
    expect(report.checks.map(({ check }) => check)).toEqual([
      "root-trusted",
      "root-verified",
      "timestamp-verified",
      "snapshot-verified",
      "targets-verified",
      "target-signed",
      "tag-agrees",
      "module-digest",
      "contract-kept",
    ]);
  });

  it("costs the registry no more requests than an unverified one", async () => {
    await world.push("one");
    const count = async (trust: typeof world.coverage | undefined): Promise<number> => {
      const before = world.registry.requests.length;
      await world.pull({ trust });
      return world.registry.requests.length - before;
    };
    expect(await count(world.coverage)).toBe(await count(undefined));
  });

  it("refuses a replaced tag with the digests of both, and works again when the tag is put back", async () => {
    const good = await world.push("one");
    const evil = await replaceTag("evil");
    const error = await failure(world.pull(), "TAG_MISMATCH");
    expect(error.details).toMatchObject({ expectedModule: good.module.digest, gotModule: evil });
    await replaceTag("one");
    expect((await world.pull()).bytes).toEqual(moduleBytes("one"));
  });

  it("refuses a tag that was moved to something that is no module", async () => {
    await world.push("one");
    world.registry.addManifest(
      "team/app",
      {
        schemaVersion: 2,
        config: { mediaType: MediaType.ociEmpty, digest: `sha256:${"4".repeat(64)}`, size: 2 },
        layers: [],
      },
      MediaType.ociManifest,
      "v1",
    );
    await failure(world.pull(), "TAG_MISMATCH");
  });

  it("refuses a blob whose bytes were replaced under the signed digest", async () => {
    const { module } = await world.push("one");
    world.registry.blobs.set(`team/app@${module.digest}`, Buffer.from(moduleBytes("evil")));
    await failure(world.pull(), "DIGEST_MISMATCH");
    world.registry.blobs.set(`team/app@${module.digest}`, Buffer.from(moduleBytes("one")));
    expect((await world.pull()).report.verified).toBe("artifact");
  });

  it("delivers the module alone where another manifest holds it, and says so", async () => {
    await world.push("one");
    await world.push("one", { sign: undefined, annotations: { added: "later" } });
    const { report, bytes } = await world.pull();
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report.verified).toBe("module");
    expect(report.notes.map(({ code }) => code)).toEqual(["artifact-not-signed"]);
  });

  it("gives a target of the 2019 tool when the layer is the signed one, and refuses it when it is not", async () => {
    const { module } = await world.push("one", { sign: undefined, format: "wasm-to-oci" });
    world.source.sign(world.repository, {
      name: "v1",
      length: module.size,
      hashes: { sha256: module.digest.slice(7) },
      custom: undefined,
    });
    expect((await world.pull()).report.verified).toBe("module");
    await replaceTag("evil");
    await failure(world.pull(), "TARGET_MISMATCH");
  });

  it("takes a target that signs the manifest, as docker trust does", async () => {
    const { artifact } = await world.push("one", { sign: undefined });
    const size = world.registry.manifests.get("team/app:v1")!.bytes.length;
    world.source.sign(world.repository, {
      name: "v1",
      length: size,
      hashes: { sha256: artifact.digest.slice(7) },
      custom: undefined,
    });
    expect((await world.pull()).report.verified).toBe("artifact");
  });

  it("finds a signed digest though a delegate has signed a target with a broken binding", async () => {
    const { artifact } = await world.push("one");
    const broken = { name: "a", length: 1, hashes: { sha256: "0".repeat(64) }, custom: { "wasm-to-oci": {} } };
    world.source.sign(world.repository, broken);
    const reference = `${world.repository}@${artifact.digest}`;
    expect((await world.pull({ reference })).report.trust?.target).toBe("v1");
    await failure(world.pull({ reference: `${world.repository}@sha256:${"0".repeat(64)}` }), "REGISTRY_NOT_FOUND");
  });

  it("refuses the digest of a manifest that nobody signed, though it holds the signed module", async () => {
    await world.push("one");
    const other = await world.push("one", {
      sign: undefined,
      reference: `${world.repository}:other`,
      annotations: { "org.example": "hostile" },
    });
    await failure(world.pull({ reference: `${world.repository}@${other.artifact.digest}` }), "TARGET_NOT_FOUND");
  });

  it("writes nothing more once a refused output is aborted", async () => {
    await world.push("one");
    const log: string[] = [];
    let begun = (): void => {};
    const writing = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const output = new MemoryOutput();
    output.write = async () => {
      log.push("begins to write");
      begun();
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
      log.push("has written");
    };
    output.abort = async () => void log.push("aborted");
    const { runtime, client: registry, reference, coverage } = world;
    const open = async (): Promise<never> => {
      await writing;
      throw new TrustError("METADATA_EXPIRED", "too late");
    };
    const source = { kind: "notary", location: "", open, isKnown: open, publish: open } as const;
    const refused = pull({ runtime, registry, reference, output, trust: { ...coverage, source } });
    await failure(refused, "METADATA_EXPIRED");
    expect(log).toEqual(["begins to write", "has written", "aborted"]);
  });

  it("claims no pin where the one given is empty", async () => {
    await world.push("one");
    const anchor = async (pin: Pin | undefined): Promise<string> =>
      (await world.pull({ trust: { ...world.coverage, pin } })).report.checks[0]!.detail;
    expect(await anchor({ fingerprints: ["ab".repeat(32)] })).toContain("as pinned");
    expect(await anchor({ fingerprints: [] })).not.toContain("as pinned");
    expect(await anchor(undefined)).not.toContain("as pinned");
  });

  it("fetches nothing of an enormous module before somebody has signed for it", async () => {
    await world.push("one");
    world.registry.addManifest(
      "team/app",
      {
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { mediaType: "application/vnd.wasm.config.v0+json", digest: `sha256:${"4".repeat(64)}`, size: 2 },
        layers: [{ mediaType: "application/wasm", digest: `sha256:${"5".repeat(64)}`, size: 2 ** 40 }],
      },
      MediaType.ociManifest,
      "v1",
    );
    const paths: string[] = [];
    const transport: Transport = (request) => {
      paths.push(new URL(request.url).pathname);
      return world.runtime.transport(request);
    };
    const runtime = { ...world.runtime, transport };
    const { reference, coverage } = world;
    const open = async (): Promise<TrustedCollection> => {
      // time enough for the manifest, and for the module if that were asked for
      for (let turn = 0; turn < 3000 && !paths.some((path) => path.includes("/blobs/")); turn++) {
        await new Promise(setImmediate);
      }
      return world.source.open(coverage.collection, coverage);
    };
    const trust = {
      ...coverage,
      source: { kind: "notary", location: "", open, isKnown: open, publish: open } as never,
    };
    const registry = new RegistryClient({ runtime });
    await failure(pull({ runtime, registry, reference, output: new MemoryOutput(), trust }), "TAG_MISMATCH");
    expect(paths).toEqual(["/v2/team/app/manifests/v1"]);
  });

  it("checks sha512 as well, where it is signed", async () => {
    const { module } = await world.push("one", { sign: undefined });
    const hashes = { sha256: module.digest.slice(7), sha512: "0".repeat(128) };
    world.source.sign(world.repository, { name: "v1", length: module.size, hashes, custom: undefined });
    await failure(world.pull(), "TARGET_MISMATCH");
  });

  it("refuses a tag that is not signed, though the repository is", async () => {
    await world.push("one");
    await world.push("one", { sign: undefined, reference: `${world.repository}:v2` });
    await failure(world.pull({ reference: `${world.repository}:v2` }), "TARGET_NOT_FOUND");
  });

  it("fails with what trust says, even where the registry fails as well", async () => {
    await world.push("one");
    world.source.failOpen = new TrustError("METADATA_EXPIRED", "timestamp has expired", { role: "timestamp" });
    await failure(world.pull(), "METADATA_EXPIRED");
    world.registry.setFault(() => ({ status: 500 }));
    await failure(world.pull(), "METADATA_EXPIRED");
    world.registry.setFault(undefined);
    world.source.failOpen = undefined;
    expect((await world.pull()).report.verified).toBe("artifact");
  });

  it("fails closed where a covered repository has no trust data", async () => {
    await world.push("one", { sign: undefined });
    await failure(world.pull(), "TRUST_NOT_FOUND");
  });
});

describe("pull by digest", () => {
  it("finds the target that signs this manifest", async () => {
    const { artifact } = await world.push("one");
    const { report } = await world.pull({ reference: `${world.repository}@${artifact.digest}` });
    expect(report).toMatchObject({
      verified: "artifact",
      trust: { target: "v1" },
      reference: `${world.repository}@${artifact.digest}`,
    });
  });

  it("refuses a digest that no target signs", async () => {
    const old = await world.push("one");
    await world.push("two");
    await failure(world.pull({ reference: `${world.repository}@${old.artifact.digest}` }), "TARGET_NOT_FOUND");
  });

  it("wants tag and digest to agree where both are given", async () => {
    const old = await world.push("one");
    const { artifact } = await world.push("two");
    expect((await world.pull({ reference: `${world.reference}@${artifact.digest}` })).report.verified).toBe("artifact");
    await failure(world.pull({ reference: `${world.reference}@${old.artifact.digest}` }), "TAG_MISMATCH");
  });

  it("says that a digest is not there", async () => {
    await world.push("one");
    const missing = `${world.repository}@sha256:${"0".repeat(64)}`;
    await failure(world.pull({ reference: missing }), "REGISTRY_NOT_FOUND");
    await failure(world.pull({ reference: missing, trust: undefined }), "REGISTRY_NOT_FOUND");
  });
});

describe("pull, unverified", () => {
  it("delivers, and says that nothing was verified, on every run", async () => {
    await world.push("one", { sign: undefined });
    for (let run = 0; run < 2; run++) {
      const { report, bytes } = await world.pull({ trust: undefined });
      expect(bytes).toEqual(moduleBytes("one"));
      expect(report).toMatchObject({ verified: "none", trust: undefined });
      expect(report.notes.map(({ code }) => code)).toEqual(["unverified"]);
    }
  });

  it("takes whatever the registry serves: that is the point of verifying", async () => {
    await world.push("one");
    await replaceTag("evil");
    expect((await world.pull({ trust: undefined })).bytes).toEqual(moduleBytes("evil"));
  });

  it("still refuses bytes that are not what their digest says", async () => {
    const { module } = await world.push("one");
    world.registry.blobs.set(`team/app@${module.digest}`, Buffer.from(moduleBytes("evil")));
    await failure(world.pull({ trust: undefined }), "DIGEST_MISMATCH");
  });

  it("says that a tag does not exist, and why an artifact cannot be pulled", async () => {
    await failure(world.pull({ trust: undefined }), "REGISTRY_NOT_FOUND");
    world.registry.addManifest(
      "team/app",
      {
        schemaVersion: 2,
        config: { mediaType: MediaType.ociEmpty, digest: `sha256:${"4".repeat(64)}`, size: 2 },
        layers: [],
      },
      MediaType.ociManifest,
      "v1",
    );
    await failure(world.pull({ trust: undefined }), "MODULE_MISSING");
  });
});

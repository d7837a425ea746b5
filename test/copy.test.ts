import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MediaType } from "../src/oci/types.ts";
import { taggedReference } from "../src/oci/tagged-reference.ts";
import { CopyRig } from "./support/copy-rig.ts";
import { sha256 } from "./support/hostile-registry.ts";
import { MemoryTrustSource } from "./support/memory-trust-source.ts";
import { machine, memoryTrust } from "./support/oci-trust.ts";
import { readTrustState, writeTrustState } from "../src/trust/oci/state.ts";
import { failure, moduleBytes, moduleSource } from "./support/use-case.ts";
import { push } from "../src/push.ts";

let rig: CopyRig;

beforeEach(async () => {
  rig = await CopyRig.start();
});
afterEach(async () => rig.stop());

const writes = (log: readonly string[]): string[] => log.filter((line) => /^(PUT|POST)/.test(line));

/** An artifact that refers to another one, in the source. */
function attach(subject: string, artifactType: string): string {
  const { from } = rig;
  const config = { mediaType: MediaType.ociEmpty, digest: from.addBlob("acme/app", Buffer.from("{}")), size: 2 };
  const text = Buffer.from(`attached to ${subject}`);
  const layers = [{ mediaType: "text/plain", digest: from.addBlob("acme/app", text), size: text.length }];
  const size = from.manifests.get(`acme/app@${subject}`)?.bytes.length ?? 100;
  return from.addManifest(
    "acme/app",
    {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType,
      config,
      layers,
      subject: { mediaType: MediaType.ociManifest, digest: subject, size },
    },
    MediaType.ociManifest,
  );
}

function listReferrers(subject: string, ...digests: string[]): void {
  const manifests = digests.map((digest) => ({
    mediaType: MediaType.ociManifest,
    digest,
    size: rig.from.manifests.get(`acme/app@${digest}`)!.bytes.length,
  }));
  const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
  rig.from.addManifest("acme/app", index, MediaType.ociIndex, subject.replace(":", "-"));
}

describe("a copy", () => {
  it("verifies at the destination as at the source, once a pin maps the new place to the same name", async () => {
    const now = new Date();
    rig.now = () => now;
    await rig.push("app");
    const report = await rig.copy();
    expect(report.tags).toEqual([expect.objectContaining({ tag: "v1", verified: "artifact", former: undefined })]);
    expect(report.trust).toEqual({ change: "copied", collection: "acme/app", verified: true });
    const there = await rig.pull();
    const here = await rig.pull("v1", { registry: rig.from, repository: "acme/app" });
    expect(there.bytes).toEqual(moduleBytes("app"));
    expect(there.report.checks).toEqual(here.report.checks);
    expect(there.report.verified).toBe("artifact");
    expect({ ...there.report.trust, location: "" }).toEqual({ ...here.report.trust, location: "" });
    // the source may be gone
    await rig.from.goDown();
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });

  it("sends nothing the second time", async () => {
    await rig.push("app");
    await rig.copy();
    const before = writes(rig.to.log()).length;
    const report = await rig.copy();
    expect(writes(rig.to.log()).slice(before)).toEqual([]);
    expect(report).toMatchObject({ blobs: 0, bytes: 0, manifests: 0, trust: { change: "same" } });
  });

  it("asks the registry to mount blobs of a repository beside it", async () => {
    const { artifact } = await rig.push("app");
    const beside = rig.client.repository({ registry: rig.from.host, repository: "acme/copy" });
    await rig.copy({ destination: beside, mountFrom: "acme/app" });
    const asked = rig.from.requests.filter(
      ({ method, path }) => method === "POST" && path === "/v2/acme/copy/blobs/uploads/",
    );
    const mounts = asked.filter(({ query }) => query.get("from") === "acme/app").map(({ query }) => query.get("mount"));
    expect(mounts).toHaveLength(2);
    expect(await beside.manifests.head("v1")).toMatchObject({ digest: artifact.digest });
  });

  it("brings referrers and cosign's signatures along, and leaves out what only claims to be attached", async () => {
    const { artifact } = await rig.push("app");
    const sbom = attach(artifact.digest, "application/vnd.example.sbom");
    const signature = attach(sbom, "application/vnd.cncf.notary.signature");
    const stranger = attach(sha256(Buffer.from("something else")), "application/vnd.example.stranger");
    listReferrers(artifact.digest, sbom, stranger);
    listReferrers(sbom, signature);
    const cosign = `${artifact.digest.replace(":", "-")}.sig`;
    const cosigned = rig.from.manifests.get(`acme/app@${attach(artifact.digest, "application/vnd.example.cosign")}`)!;
    rig.from.manifests.set(`acme/app:${cosign}`, cosigned);

    const report = await rig.copy();
    expect(report.attachments).toBe(3);
    expect(report.notes.filter(({ code }) => code === "attachment-left-out")).toHaveLength(1);
    expect(rig.to.manifests.get(`mirror/app:${cosign}`)?.bytes).toEqual(cosigned.bytes);
    expect(rig.to.manifests.has(`mirror/app@${stranger}`)).toBe(false);
    const listed = await rig.destination.referrers.list(artifact.digest);
    expect(listed).toEqual([expect.objectContaining({ digest: sbom, artifactType: "application/vnd.example.sbom" })]);
    expect(await rig.destination.referrers.list(listed[0]!.digest)).toHaveLength(1);
  });

  it("is not verified where nothing covers the source, and says so", async () => {
    await rig.push("app", "v1", false);
    const report = await rig.copy({ trust: undefined });
    expect(report.tags[0]!.verified).toBe("none");
    expect(report.notes.map(({ code }) => code)).toEqual(["unverified"]);
    expect(report.notes[0]!.message).toContain(`${rig.from.host}/acme/app:v1 is copied`);
    expect(report.trust).toEqual({ change: "none", collection: undefined, verified: false });
    expect(rig.to.manifests.has("mirror/app:v1")).toBe(true);
  });

  it("of what nobody signed, onto what somebody did, leaves the trust data there, and says what follows", async () => {
    await rig.push("app");
    await rig.copy();
    const beside = rig.client.repository({ registry: rig.from.host, repository: "acme/unsigned" });
    await rig.push("nobody's", "v1", false, { reference: `${rig.from.host}/acme/unsigned:v1` });
    const signed = rig.to.manifests.get("mirror/app:tuf");
    const report = await rig.copy({
      source: beside,
      reference: taggedReference(`${rig.from.host}/acme/unsigned:v1`),
      trust: undefined,
    });
    expect(report.notes.map(({ code }) => code)).toEqual(["unverified", "unsigned-copy"]);
    expect(rig.to.manifests.get("mirror/app:tuf")).toBe(signed);
    await failure(rig.pull(), "TAG_MISMATCH");
    await rig.copy();
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });

  it("of what another place signs leaves the trust data there, and says so plainly", async () => {
    const { artifact, module } = await rig.push("app", "v1", false);
    const source = new MemoryTrustSource();
    const custom = { "wasm-to-oci": { manifests: [artifact.digest] } };
    const hashes = { sha256: module.digest.slice(7) };
    await source.publish("team", () => [{ action: "add", name: "v1", length: module.size, hashes, custom }], {
      firstUse: "refuse",
    });
    const report = await rig.copy({ trust: { source, collection: "team", reason: "flags", firstUse: "refuse" } });
    expect(report.tags[0]!.verified).toBe("artifact");
    expect(report.trust).toMatchObject({ change: "elsewhere", collection: "team" });
    expect(report.notes.map(({ code }) => code)).toContain("trust-elsewhere");
  });

  it("in the middle of a publish brings the signed module, not the one that the tag still names", async () => {
    await rig.push("old");
    const stale = rig.from.manifests.get("acme/app:v1")!;
    const { artifact } = await rig.push("new");
    rig.from.manifests.set("acme/app:v1", stale);
    await rig.copy();
    expect(rig.digestAt(rig.to, "mirror/app:v1")).toBe(artifact.digest);
    expect((await rig.pull()).bytes).toEqual(moduleBytes("new"));
  });

  it("brings along the tags that the new trust data would contradict at the destination", async () => {
    await rig.push("one-a", "v1");
    await rig.push("two-a", "v2");
    await rig.push("three", "v3");
    await rig.copy({ allTags: true });
    for (const text of ["two-b", "two-c"]) await rig.push(text, "v2"); // two steps: what the tag names is replaced no more
    await rig.push("one-b", "v1");
    const report = await rig.copy();
    expect(report.tags.map(({ tag }) => tag)).toEqual(["v1", "v2"]);
    for (const [tag, text] of [
      ["v1", "one-b"],
      ["v2", "two-c"],
      ["v3", "three"],
    ] as const) {
      expect((await rig.pull(tag)).bytes).toEqual(moduleBytes(text));
    }
  });

  it("copies an index with what it lists, children first", async () => {
    const { artifact } = await rig.push("app", "v1", false);
    const child = {
      mediaType: MediaType.ociManifest,
      digest: artifact.digest,
      size: rig.from.manifests.get("acme/app:v1")!.bytes.length,
    };
    const index = rig.from.addManifest(
      "acme/app",
      { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] },
      MediaType.ociIndex,
      "all",
    );
    await rig.copy({ trust: undefined, reference: taggedReference(`${rig.from.host}/acme/app:all`) });
    const order = rig.to.log().filter((line) => line.startsWith("PUT /v2/mirror/app/manifests/"));
    expect(order.map((line) => line.split("/").at(-1))).toEqual([artifact.digest, index, "all"]);
  });

  it("brings along what is attached to the members of an index", async () => {
    const { artifact } = await rig.push("app", "v1", false);
    const size = rig.from.manifests.get("acme/app:v1")!.bytes.length;
    const child = { mediaType: MediaType.ociManifest, digest: artifact.digest, size };
    const inner = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] };
    const digest = rig.from.addManifest("acme/app", inner, MediaType.ociIndex);
    const entry = { mediaType: MediaType.ociIndex, digest, size: Buffer.byteLength(JSON.stringify(inner)) };
    rig.from.addManifest("acme/app", { ...inner, manifests: [entry] }, MediaType.ociIndex, "all");
    const signature = attach(artifact.digest, "application/vnd.cncf.notary.signature");
    listReferrers(artifact.digest, signature);
    const reference = taggedReference(`${rig.from.host}/acme/app:all`);
    expect(await rig.copy({ trust: undefined, reference })).toMatchObject({ attachments: 1 });
    expect(await rig.destination.referrers.list(artifact.digest)).toMatchObject([{ digest: signature }]);
  });
});

describe("a copy refuses, and changes nothing,", () => {
  const expectRefusal = async (promise: Promise<unknown>, code: Parameters<typeof failure>[1]) => {
    const before = rig.contents();
    const seen = rig.to.log().length;
    const error = await failure(promise, code);
    expect(rig.contents()).toBe(before);
    expect(writes(rig.to.log().slice(seen))).toEqual([]);
    expect(error.hint).toMatch(/\w{3}/);
    return error;
  };

  it("a source whose tag was moved to another module", async () => {
    await rig.push("good");
    const good = rig.from.manifests.get("acme/app:v1")!;
    await rig.push("evil", "evil", false);
    rig.from.manifests.set("acme/app:v1", rig.from.manifests.get("acme/app:evil")!);
    await expectRefusal(rig.copy(), "TAG_MISMATCH");
    rig.from.manifests.set("acme/app:v1", good);
    await rig.copy();
    expect((await rig.pull()).bytes).toEqual(moduleBytes("good"));
  });

  it("a source that has lost its trust data, or has somebody else's", async () => {
    await rig.push("app");
    const trusted = rig.from.manifests.get("acme/app:tuf")!;
    rig.from.manifests.delete("acme/app:tuf");
    await expectRefusal(rig.copy(), "TRUST_WITHHELD");
    const thief = machine(rig.from.host, rig.runtime.transport);
    await thief.source.publish("acme/app", () => [], { firstUse: "refuse" });
    await expectRefusal(rig.copy(), "PIN_MISMATCH");
    rig.from.manifests.set("acme/app:tuf", trusted);
    await rig.copy();
  });

  it.each(["tuf", "tuf-staged", "tuf-change-1"])("to or from the tag %s, which is trust data's own", async (tag) => {
    await rig.push("app");
    await rig.copy();
    await rig.push("nobody's", "v1", false, { reference: `${rig.from.host}/acme/unsigned:v1` });
    const source = rig.client.repository({ registry: rig.from.host, repository: "acme/unsigned" });
    const reference = taggedReference(`${rig.from.host}/acme/unsigned:v1`);
    await expectRefusal(rig.copy({ source, reference, trust: undefined, destinationTag: tag }), "USAGE");
    const trusted = taggedReference(`${rig.from.host}/acme/app:${tag}`);
    await expectRefusal(rig.copy({ reference: trusted, trust: undefined, destinationTag: "v9" }), "USAGE");
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });

  it("a destination with newer trust data", async () => {
    await rig.push("old");
    const old = new Map(rig.from.manifests);
    await rig.push("new");
    await rig.copy();
    const newer = new Map(rig.from.manifests);
    for (const name of ["acme/app:v1", "acme/app:tuf"]) rig.from.manifests.set(name, old.get(name)!);
    const error = await expectRefusal(rig.copy(), "COPY_DESTINATION_NEWER");
    expect(error.details).toMatchObject({ source: 1, there: 2 });
    expect((await rig.pull()).bytes).toEqual(moduleBytes("new"));
    for (const name of ["acme/app:v1", "acme/app:tuf"]) rig.from.manifests.set(name, newer.get(name)!);
    await rig.push("newest");
    await rig.copy();
    expect((await rig.pull()).bytes).toEqual(moduleBytes("newest"));
  });

  it("a destination with another collection, of another name or of other keys", async () => {
    await rig.push("app");
    for (const name of ["other/app", "acme/app"]) {
      const stranger = machine(rig.to.host, rig.runtime.transport, {
        repository: { registry: rig.to.host, repository: `${name}/there` },
      });
      await stranger.source.publish(name, () => [], { firstUse: "refuse" });
      const destination = rig.client.repository({ registry: rig.to.host, repository: `${name}/there` });
      await expectRefusal(rig.copy({ destination }), "COPY_OTHER_COLLECTION");
      await expectRefusal(rig.copy({ destination, trust: undefined }), "COPY_OTHER_COLLECTION");
    }
    await rig.copy();
  });

  it("a destination whose trust data cannot be read", async () => {
    await rig.push("app");
    const config = { mediaType: MediaType.ociEmpty, digest: rig.to.addBlob("mirror/app", Buffer.from("{}")), size: 2 };
    rig.to.addManifest(
      "mirror/app",
      { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [] },
      MediaType.ociManifest,
      "tuf",
    );
    await expectRefusal(rig.copy(), "MANIFEST_INVALID");
  });

  it("a destination that cannot say whether it has trust data", async () => {
    await rig.push("app");
    rig.to.setFault(({ path }) => (path.endsWith("/manifests/tuf") ? { status: 500 } : undefined));
    await expectRefusal(rig.copy(), "REGISTRY_UNAVAILABLE");
    rig.to.setFault(undefined);
    await rig.copy();
  });

  it("to overwrite trust data that somebody else puts there at this moment", async () => {
    await rig.push("app");
    const rival = machine(rig.to.host, rig.runtime.transport, {
      repository: { registry: rig.to.host, repository: "rival/app" },
    });
    await rival.source.publish("acme/app", () => [], { firstUse: "refuse" });
    const theirs = rig.to.manifests.get("rival/app:tuf")!;
    rig.to.setFault(({ path, method }) => {
      if (method === "POST" && path.startsWith("/v2/mirror/app/")) rig.to.manifests.set("mirror/app:tuf", theirs);
      return undefined;
    });
    await failure(rig.copy(), "TRUST_CONFLICT");
    rig.to.setFault(undefined);
    expect(rig.to.manifests.get("mirror/app:tuf")).toBe(theirs);
    expect(rig.to.manifests.has("mirror/app:v1")).toBe(false);
    rig.to.manifests.delete("mirror/app:tuf");
    await rig.copy();
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });

  it("trust data that would not fit into memory", async () => {
    await rig.push("app");
    const good = rig.from.manifests.get("acme/app:tuf")!;
    const manifest = JSON.parse(good.bytes.toString()) as { layers: object[] };
    const huge = (name: string) => ({
      mediaType: "application/vnd.tuf.metadata+json",
      digest: sha256(Buffer.from(name)),
      size: 100 * 1024 * 1024,
      annotations: { "tuf.io/filename": name },
    });
    const layers = [...manifest.layers, huge("1.a.json"), huge("1.b.json"), huge("1.c.json")];
    rig.from.addManifest("acme/app", { ...manifest, layers }, MediaType.ociManifest, "tuf");
    await expectRefusal(rig.copy(), "LIMIT_EXCEEDED");
    rig.from.manifests.set("acme/app:tuf", good);
    await rig.copy();
  });

  it("content that is not what its digest says", async () => {
    await rig.push("good");
    const { module } = await rig.push("good");
    const evil = moduleBytes("evil");
    rig.from.blobs.set(`acme/app@${module.digest}`, Buffer.from(evil));
    const error = await failure(rig.copy(), "DIGEST_MISMATCH");
    expect(error.message).toContain(module.digest);
    expect(rig.to.manifests.has("mirror/app:v1")).toBe(false);
    expect(rig.to.manifests.has("mirror/app:tuf")).toBe(false);
    rig.from.blobs.set(`acme/app@${module.digest}`, Buffer.from(moduleBytes("good")));
    await rig.copy();
  });
});

describe("a source that answers differently per request", () => {
  it("cannot have one state verified and another one copied", async () => {
    await rig.push("app");
    const good = rig.from.manifests.get("acme/app:tuf")!;
    const thief = machine(rig.from.host, rig.runtime.transport, {
      repository: { registry: rig.from.host, repository: "thief/app" },
    });
    await thief.source.publish("acme/app", () => [], { firstUse: "refuse" });
    const forged = rig.from.manifests.get("thief/app:tuf")!;
    for (const [digest, bytes] of rig.from.blobs)
      if (digest.startsWith("thief/app@")) rig.from.blobs.set(digest.replace("thief", "acme"), bytes);
    for (const first of [good, forged]) {
      let reads = 0;
      rig.from.setFault(({ path, method }) => {
        if (method !== "GET" || path !== "/v2/acme/app/manifests/tuf") return undefined;
        const { bytes, mediaType } = ++reads === 1 ? first : first === good ? forged : good;
        return { alter: (honest) => ({ ...honest, status: 200, headers: { "content-type": mediaType }, body: bytes }) };
      });
      if (first === good) await rig.copy();
      else await failure(rig.copy(), "PIN_MISMATCH");
      expect(rig.to.manifests.get("mirror/app:tuf")?.bytes).toEqual(good.bytes);
    }
    rig.from.setFault(undefined);
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });

  it("cannot have files copied that nobody read, since this machine knows better ones", async () => {
    await rig.push("app");
    const trust = memoryTrust();
    const verified = { trust: rig.coverage(rig.from, "acme/app", trust), openState: rig.openState(trust) };
    await rig.copy({
      ...verified,
      destination: rig.client.repository({ registry: rig.to.host, repository: "first/copy" }),
    });
    const good = rig.from.manifests.get("acme/app:tuf")!;
    const state = (await readTrustState(rig.source))!;
    const garbled = new Map(
      [...state.files].map(([name, bytes]) => [name, /snapshot|root/.test(name) ? bytes.slice(1) : bytes]),
    );
    for (const [name, code] of [
      ["1.snapshot.json", "METADATA_TAMPERED"],
      ["1.root.json", "JSON_INVALID"],
    ] as const) {
      const files = new Map(state.files).set(name, garbled.get(name)!);
      await writeTrustState(rig.source, files, (await readTrustState(rig.source))!.digest);
      const before = rig.contents();
      const freshness = { mode: "max-age", seconds: 3600 } as const;
      await failure(rig.copy({ ...verified, trust: { ...verified.trust, freshness } }), code);
      expect(rig.contents()).toBe(before);
    }
    rig.from.manifests.set("acme/app:tuf", good);
    await rig.copy(verified);
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });

  it("cannot have one manifest verified and another one copied", async () => {
    const { artifact } = await rig.push("good");
    await rig.push("evil", "evil", false);
    const evil = rig.from.manifests.get("acme/app:evil")!;
    rig.from.setFault(({ path, nth }) =>
      path === "/v2/acme/app/manifests/v1" && nth > 1
        ? { alter: (honest) => ({ ...honest, headers: { "content-type": evil.mediaType }, body: evil.bytes }) }
        : undefined,
    );
    await rig.copy();
    expect(rig.digestAt(rig.to, "mirror/app:v1")).toBe(artifact.digest);
  });
});

describe("a copy that is broken off", () => {
  /** Cuts every exchange with a registry from the n-th on, so many bytes into it. */
  const breakAt = (registry: CopyRig["to"], n: number, offset: number, request: boolean): void => {
    let seen = 0;
    registry.setFault(() =>
      ++seen < n ? undefined : request ? { cutRequestAfter: offset } : { alter: (honest) => honest, cutAfter: offset },
    );
  };

  it.each([
    ["the destination, while it is sent to", (r: CopyRig) => r.to, true],
    ["the destination, while it answers", (r: CopyRig) => r.to, false],
    ["the source", (r: CopyRig) => r.from, false],
  ] as const)(
    "by %s at any request shows the old or the new, and is completed by the next run",
    async (_, choose, request) => {
      await rig.push("old");
      await rig.copy();
      const old = new Map(rig.to.manifests);
      const oldBlobs = new Map(rig.to.blobs);
      await rig.push("new");
      const registry = choose(rig);
      const start = registry.requests.length;
      await rig.copy();
      const total = registry.requests.length - start;
      expect(total).toBeGreaterThan(4);
      const outcomes = new Set<string>();
      for (let n = 1; n <= total; n++) {
        rig.to.manifests.clear();
        rig.to.blobs.clear();
        for (const [name, manifest] of old) rig.to.manifests.set(name, manifest);
        for (const [name, blob] of oldBlobs) rig.to.blobs.set(name, blob);
        breakAt(registry, n, (n * 37) % 300, request);
        const ended = await rig.copy().then(
          () => "completed",
          () => "broken off",
        );
        registry.setFault(undefined);
        outcomes.add(ended);
        const seen = Buffer.from((await rig.pull()).bytes);
        expect([moduleBytes("old"), moduleBytes("new")].some((bytes) => seen.equals(bytes))).toBe(true);
        await rig.copy();
        expect((await rig.pull()).bytes).toEqual(moduleBytes("new"));
      }
      expect(outcomes).toContain("broken off");
    },
  );
});

it("puts the trust data where it is told to", async () => {
  await rig.push("app");
  const trustDestination = rig.client.repository({ registry: rig.to.host, repository: "mirror/trust" });
  await rig.copy({ trustDestination });
  expect(rig.to.manifests.has("mirror/trust:tuf")).toBe(true);
  expect(rig.to.manifests.has("mirror/app:tuf")).toBe(false);
});

it("says that a signed module has no signature under another tag", async () => {
  await rig.push("app");
  const report = await rig.copy({ destinationTag: "prod" });
  expect(report.notes.map(({ code }) => code)).toContain("renamed");
  await failure(rig.pull("prod"), "TARGET_NOT_FOUND");
});

it("does not take the trust data's tag for a module", async () => {
  const reference = `${rig.from.host}/acme/app:tuf`;
  await failure(push({ runtime: rig.runtime, registry: rig.client, reference, module: moduleSource("x") }), "USAGE");
});

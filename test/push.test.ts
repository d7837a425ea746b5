import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TrustError } from "../src/base/errors.ts";
import type { FaultRule, SeenRequest } from "./support/hostile-registry.ts";
import { readBinding } from "../src/trust/target-custom.ts";
import { failure, moduleBytes, moduleSource, UseCase } from "./support/use-case.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

const isTagMove = ({ method, path }: SeenRequest): boolean => method === "PUT" && path.endsWith("/manifests/v1");
const isManifestPut = ({ method, path }: SeenRequest): boolean =>
  method === "PUT" && path.includes("/manifests/sha256:");
const isUpload = ({ method, path }: SeenRequest): boolean => method === "PUT" && path.includes("/blobs/uploads/");
const signedTarget = () => world.source.collections.get(world.repository)?.get("v1");

describe("push", () => {
  it("uploads, signs and moves the tag in this order", async () => {
    const order: string[] = [];
    world.source.beforePublish = () => order.push("sign");
    world.registry.setFault((request) => {
      if (request.method === "PUT")
        order.push(isTagMove(request) ? "tag" : isManifestPut(request) ? "manifest" : "blob");
      return undefined;
    });
    const report = await world.push("one");
    expect(order).toEqual(["blob", "blob", "manifest", "sign", "tag"]);
    expect(report.reference).toBe(world.reference);
    expect(world.tag()).toBe(report.artifact.digest);
    expect(signedTarget()).toMatchObject({
      length: report.module.size,
      hashes: { sha256: report.module.digest.slice(7) },
    });
  });

  it("gives the same digest for the same bytes, and uploads what is there only once", async () => {
    const first = await world.push("one");
    world.registry.setFault((request) => (isUpload(request) ? { status: 500 } : undefined));
    const second = await world.push("one");
    expect(second.artifact).toEqual(first.artifact);
  });

  it("signs sha256 and sha512 of the module's own bytes, and the manifest", async () => {
    const { createHash } = await import("node:crypto");
    const report = await world.push("one");
    const hash = (algorithm: string): string => createHash(algorithm).update(moduleBytes("one")).digest("hex");
    expect(signedTarget()?.hashes).toEqual({ sha256: hash("sha256"), sha512: hash("sha512") });
    expect(readBinding(signedTarget()?.custom, "v1")?.manifests).toEqual([report.artifact.digest]);
  });

  it("records what the tag named before", async () => {
    const first = await world.push("one");
    await world.push("two");
    expect(readBinding(signedTarget()?.custom, "v1")?.replaces).toBe(first.artifact.digest);
  });

  it("publishes nothing when everything is signed and tagged already", async () => {
    await world.push("one");
    const version = world.source.version;
    await world.push("one");
    expect(world.source.version).toBe(version);
  });

  it("signs over the newer state when another publisher was faster", async () => {
    await world.push("one");
    world.source.beforePublish = () =>
      world.source.sign(world.repository, { name: "other", length: 1, hashes: {}, custom: undefined });
    await world.push("two");
    expect([...world.source.collections.get(world.repository)!.keys()].toSorted()).toEqual(["other", "v1"]);
  });

  it("tags latest where no tag is given", async () => {
    const report = await world.push("one", { reference: world.repository });
    expect(report.reference).toBe(`${world.repository}:latest`);
    expect(world.tag("latest")).toBe(report.artifact.digest);
  });

  it("warns when it pushes unsigned over a covered reference", async () => {
    const report = await world.push("one", { sign: undefined, coverage: world.coverage });
    expect(report.notes.map((note) => note.code)).toEqual(["unsigned-push"]);
    expect((await world.push("one", { sign: undefined })).notes).toEqual([]);
  });

  it.each([
    ["a digest without a tag", `@sha256:${"0".repeat(64)}`],
    ["the tag of trust data", ":tuf"],
    ["a digest that the module does not give", `:v1@sha256:${"0".repeat(64)}`],
  ])("refuses %s before anything is sent", async (_what, suffix) => {
    await failure(world.push("one", { reference: `${world.repository}${suffix}` }), "USAGE");
    expect(world.registry.requests).toEqual([]);
    expect(world.source.version).toBe(0);
  });

  it("accepts the digest that the module gives", async () => {
    const { artifact } = await world.push("one");
    await expect(world.push("one", { reference: `${world.reference}@${artifact.digest}` })).resolves.toBeDefined();
  });

  it("refuses what is no module, before anything is sent", async () => {
    const module = {
      name: "x",
      body: {
        size: 3,
        open: async function* () {
          yield await Promise.resolve(Uint8Array.of(1, 2, 3));
        },
      },
    };
    await failure(world.push("", { module }), "WASM_INVALID");
    expect(world.registry.requests).toEqual([]);
  });

  it("reports a file that changed between hashing and upload, and signs nothing", async () => {
    const good = moduleSource("one");
    let opened = 0;
    const body = {
      size: good.body.size,
      open: () => (opened++ === 0 ? good.body.open() : moduleSource("two").body.open()),
    };
    await failure(world.push("one", { module: { name: "one.wasm", body } }), "FILE_CHANGED");
    expect(world.source.version).toBe(0);
    expect(world.tag()).toBeUndefined();
    await world.push("one");
    expect((await world.pull()).bytes).toEqual(moduleBytes("one"));
  });
});

describe("a push that dies", () => {
  const kill =
    (matches: (request: SeenRequest) => boolean): FaultRule =>
    (request) =>
      matches(request) ? { cutRequestAfter: 1 } : undefined;

  it.each([
    ["while a blob is uploaded", isUpload],
    ["while the manifest is uploaded", isManifestPut],
  ])("%s leaves the old state for consumers, and completes when run again", async (_when, matches) => {
    await world.push("one");
    const version = world.source.version;
    world.registry.setFault(kill(matches));
    await failure(world.push("two"), "NETWORK");
    expect(world.source.version).toBe(version);
    expect((await world.pull()).bytes).toEqual(moduleBytes("one"));
    world.registry.setFault(undefined);
    await world.push("two");
    expect((await world.pull()).report.verified).toBe("artifact");
  });

  it("while signing leaves the old state for consumers, and completes when run again", async () => {
    await world.push("one");
    world.source.failPublish = new TrustError("TRUST_UNAVAILABLE", "the trust server is down");
    await failure(world.push("two"), "TRUST_UNAVAILABLE");
    expect((await world.pull()).bytes).toEqual(moduleBytes("one"));
    world.source.failPublish = undefined;
    await world.push("two");
    expect((await world.pull()).bytes).toEqual(moduleBytes("two"));
  });

  it.each([
    ["over an older tag", true],
    ["as the first of its tag", false],
  ])("between signing and the tag, %s, is no outage: the signed module is delivered", async (_how, hasOlder) => {
    if (hasOlder) await world.push("one");
    world.registry.setFault(kill(isTagMove));
    await failure(world.push("two"), "NETWORK");
    world.registry.setFault(undefined);
    const between = await world.pull();
    expect(between.bytes).toEqual(moduleBytes("two"));
    expect(between.report.notes.map((note) => note.code)).toContain("publish-under-way");
    const again = await world.push("two");
    const complete = await world.pull();
    expect(complete.report).toMatchObject({ verified: "artifact", artifact: { digest: again.artifact.digest } });
    expect(complete.report.notes).toEqual([]);
  });
});

describe("a registry that refuses to move the tag", () => {
  const refuse: FaultRule = (request) =>
    isTagMove(request) ? { status: 403, body: '{"errors":[{"code":"DENIED"}]}' } : undefined;

  it("gets the old mapping restored as a new version, and the push fails", async () => {
    await world.push("one");
    const before = signedTarget();
    const version = world.source.version;
    world.registry.setFault(refuse);
    const error = await failure(world.push("two"), "TAG_REFUSED");
    expect(error.hint).toContain("the signed mapping was put back");
    expect(signedTarget()).toMatchObject({ hashes: before!.hashes, length: before!.length, custom: before!.custom });
    expect(world.source.version).toBe(version + 2);
    expect((await world.pull()).bytes).toEqual(moduleBytes("one"));
    world.registry.setFault(undefined);
    await world.push("two");
    expect((await world.pull()).bytes).toEqual(moduleBytes("two"));
  });

  it("gets the name removed again where it was new", async () => {
    world.registry.setFault(refuse);
    await failure(world.push("one"), "TAG_REFUSED");
    expect(signedTarget()).toBeUndefined();
    world.registry.setFault(undefined);
    await failure(world.pull(), "TARGET_NOT_FOUND");
  });

  it("gets a name that another role signs removed from ours, not copied into it", async () => {
    await world.push("one");
    const before = signedTarget();
    world.registry.setFault(refuse);
    const sign = { ...world.coverage, roles: ["targets/releases"] };
    await failure(world.push("two", { sign }), "TAG_REFUSED");
    expect(before?.role).toBe("targets");
    expect(signedTarget()).toBeUndefined(); // the source of these tests holds one role a name; a real one finds the other again
  });

  it("does not undo what another publisher has signed since", async () => {
    world.registry.setFault((request) => {
      if (!isTagMove(request)) return undefined;
      world.source.sign(world.repository, {
        name: "v1",
        length: 1,
        hashes: { sha256: "f".repeat(64) },
        custom: undefined,
      });
      return { status: 405 };
    });
    await failure(world.push("one"), "TAG_REFUSED");
    expect(signedTarget()?.hashes.sha256).toBe("f".repeat(64));
  });

  it("says so where the mapping could not be put back either", async () => {
    await world.push("one");
    world.registry.setFault((request) => {
      if (!isTagMove(request)) return undefined;
      world.source.failPublish = new TrustError("TRUST_UNAVAILABLE", "the trust server is down");
      return { status: 403 };
    });
    const error = await failure(world.push("two"), "PUBLISH_UNREADABLE");
    expect(error.message).toContain("the trust server is down");
  });

  it("fails plainly where nothing was signed", async () => {
    world.registry.setFault(refuse);
    const error = await failure(world.push("one", { sign: undefined }), "TAG_REFUSED");
    expect(error.hint).not.toContain("put back");
  });
});

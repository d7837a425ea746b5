import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sign, type SignReport } from "../src/sign.ts";
import { readBinding } from "../src/trust/target-custom.ts";
import { failure, moduleBytes, UseCase } from "./support/use-case.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

function signTag(reference = world.reference): Promise<SignReport> {
  const { runtime, client: registry, coverage } = world;
  return sign({ runtime, registry, reference, sign: coverage });
}

const bindingOf = (tag: string) => readBinding(world.source.collections.get(world.repository)?.get(tag)?.custom, tag);

describe("sign", () => {
  it("signs what the tag names, so that it pulls verified", async () => {
    const pushed = await world.push("one", { sign: undefined });
    const report = await signTag();
    expect(report).toMatchObject({ module: pushed.module, artifact: { digest: pushed.artifact.digest } });
    expect((await world.pull()).report.verified).toBe("artifact");
  });

  it("adds a second manifest of the same module beside the first", async () => {
    const first = await world.push("one");
    const second = await world.push("one", { sign: undefined, annotations: { added: "later" } });
    await signTag();
    expect(bindingOf("v1")?.manifests).toEqual([second.artifact.digest, first.artifact.digest]);
    expect((await world.pull()).report.verified).toBe("artifact");
  });

  it("does not sign another module because somebody moved the tag: it wants to be told which", async () => {
    const first = await world.push("one");
    const evil = await world.push("evil", { sign: undefined });
    const version = world.source.version;
    const error = await failure(signTag(), "TAG_MISMATCH");
    expect(error.details).toMatchObject({ expected: first.module.digest, got: evil.module.digest });
    expect(error.hint).toContain(`${world.reference}@${evil.artifact.digest}`);
    expect(world.source.version).toBe(version);
    await failure(world.pull(), "TAG_MISMATCH");
  });

  it("replaces the signature of another module that is named by its digest, and forgets its manifests", async () => {
    await world.push("one");
    const second = await world.push("two", { sign: undefined });
    await signTag(`${world.reference}@${second.artifact.digest}`);
    expect(bindingOf("v1")).toMatchObject({ manifests: [second.artifact.digest], replaces: undefined });
    expect((await world.pull()).bytes).toEqual(moduleBytes("two"));
  });

  it("signs in the role that is named, though another role says the same", async () => {
    await world.push("one");
    const { runtime, client: registry, coverage, reference } = world;
    const inRole = { runtime, registry, reference, sign: { ...coverage, roles: ["targets/releases"] } };
    await sign(inRole);
    expect(world.source.collections.get(world.repository)?.get("v1")?.role).toBe("targets/releases");
    const published = world.source.version;
    await sign(inRole);
    expect(world.source.version).toBe(published);
  });

  it("signs nothing where the tag does not name the digest that was asked for", async () => {
    await world.push("one", { sign: undefined });
    await failure(signTag(`${world.reference}@sha256:${"0".repeat(64)}`), "TAG_MISMATCH");
    await failure(signTag(`${world.repository}@sha256:${"0".repeat(64)}`), "USAGE");
    await failure(signTag(`${world.repository}:v2`), "REGISTRY_NOT_FOUND");
    expect(world.source.version).toBe(0);
  });

  it("signs nothing where the registry's bytes are not those of the digest", async () => {
    const { module } = await world.push("one", { sign: undefined });
    world.registry.blobs.set(`team/app@${module.digest}`, Buffer.from(moduleBytes("evil")));
    await failure(signTag(), "DIGEST_MISMATCH");
    expect(world.source.version).toBe(0);
  });
});

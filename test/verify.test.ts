import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { moduleFromBytes } from "../src/read-module.ts";
import type { VerificationReport } from "../src/trust/report.ts";
import { verify } from "../src/verify.ts";
import { failure, moduleSource, UseCase } from "./support/use-case.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

function check(text: string, reference = world.reference): Promise<VerificationReport> {
  const { runtime, client: registry, coverage: trust } = world;
  return verify({ runtime, registry, reference, module: moduleSource(text), trust });
}

describe("verify", () => {
  it("accepts the signed module without asking the registry at all", async () => {
    await world.push("one");
    const before = world.registry.requests.length;
    const report = await check("one");
    expect(report).toMatchObject({ verified: "module", trust: { target: "v1", role: "targets" } });
    expect(world.registry.requests.length).toBe(before);
  });

  it("refuses another module with both digests", async () => {
    const { module } = await world.push("one");
    const error = await failure(check("evil"), "TARGET_MISMATCH");
    expect(error.details).toMatchObject({ expected: module.digest });
    expect((await check("one")).verified).toBe("module");
  });

  it("refuses a file of another length than was signed, though its hash is the signed one", async () => {
    const { module } = await world.push("one", { sign: undefined });
    const hashes = { sha256: module.digest.slice(7) };
    world.source.sign(world.repository, { name: "v1", length: module.size + 1, hashes, custom: undefined });
    await failure(check("one"), "TARGET_MISMATCH");
  });

  it("finds the target of a digest though a delegate has signed one with a broken binding", async () => {
    const { artifact } = await world.push("one");
    const broken = { name: "a", length: 1, hashes: { sha256: "0".repeat(64) }, custom: { "wasm-to-oci": {} } };
    world.source.sign(world.repository, broken);
    expect((await check("one", `${world.repository}@${artifact.digest}`)).trust?.target).toBe("v1");
  });

  it("refuses a file that is no module, and a name that is not signed", async () => {
    await world.push("one");
    const { runtime, client: registry, coverage: trust, reference } = world;
    const module = moduleFromBytes("x", Uint8Array.of(1, 2, 3));
    await failure(verify({ runtime, registry, reference, module, trust }), "WASM_INVALID");
    await failure(check("one", `${world.repository}:v2`), "TARGET_NOT_FOUND");
  });

  it("finds the target of a digest, and refuses a digest that is not signed", async () => {
    const { artifact } = await world.push("one");
    expect((await check("one", `${world.repository}@${artifact.digest}`)).trust?.target).toBe("v1");
    expect((await check("one", `${world.reference}@${artifact.digest}`)).trust?.target).toBe("v1");
    await failure(check("one", `${world.repository}@sha256:${"0".repeat(64)}`), "TARGET_NOT_FOUND");
    await failure(check("one", `${world.reference}@sha256:${"0".repeat(64)}`), "TARGET_NOT_FOUND");
  });

  it("follows a target of docker trust to the module of the manifest that it signs", async () => {
    const { artifact } = await world.push("one", { sign: undefined });
    const length = world.registry.manifests.get("team/app:v1")!.bytes.length;
    const hashes = { sha256: artifact.digest.slice(7) };
    world.source.sign(world.repository, { name: "v1", length, hashes, custom: undefined });
    expect((await check("one")).verified).toBe("module");
    await failure(check("evil"), "TARGET_MISMATCH");
    for (const wrong of [{ length: length + 1 }, { length, hashes: { ...hashes, sha512: "0".repeat(128) } }]) {
      world.source.sign(world.repository, { name: "v1", hashes, custom: undefined, ...wrong });
      await failure(check("one"), "TARGET_MISMATCH");
    }
  });
});

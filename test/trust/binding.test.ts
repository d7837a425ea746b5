import { describe, expect, it } from "vitest";
import type { Digest } from "../../src/base/digest.ts";
import { FormatError, TrustError } from "../../src/base/errors.ts";
import type { JsonValue } from "../../src/base/json.ts";
import { bindTarget, type FoundArtifact } from "../../src/trust/binding.ts";
import type { SignedTarget } from "../../src/trust/source.ts";
import { readBinding, withBinding } from "../../src/trust/target-custom.ts";

const hex = (digit: string): string => digit.repeat(64);
const digest = (digit: string): Digest => `sha256:${hex(digit)}`;
const GOOD = digest("a");
const OLD = digest("0");
const EVIL = digest("e");

function target(custom: JsonValue | undefined, overrides: Partial<SignedTarget> = {}): SignedTarget {
  return { name: "v1", length: 10, hashes: { sha256: hex("b") }, custom, role: "targets", ...overrides };
}

function found(manifest: Digest, module: Digest | null = digest("b"), size = 10): FoundArtifact {
  return {
    digest: manifest,
    size: 400,
    sha512: "5".repeat(128),
    format: "cncf-wasm-v0",
    module: module === null ? undefined : { digest: module, size },
    fault: module === null ? new FormatError("MODULE_MISSING", "no module") : undefined,
  };
}

const signed = withBinding(undefined, { manifests: [GOOD], replaces: OLD });

function refusal(run: () => unknown): TrustError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(TrustError);
    return error as TrustError;
  }
  throw new Error("nothing was refused");
}

describe("bindTarget, with the manifests signed", () => {
  it("verifies the artifact where the tag names a signed manifest", () => {
    const binding = bindTarget(target(signed), found(GOOD), "r:v1");
    expect(binding.verified).toBe("artifact");
    expect(binding.blob).toEqual({ digest: digest("b"), size: 10 });
    expect(binding.notes).toEqual([]);
  });

  it.each([
    ["the tag still names the manifest that is replaced", found(OLD, digest("c"), 99)],
    ["the tag names a replaced manifest without a module", found(OLD, null)],
    ["the tag does not exist yet", undefined],
  ])("delivers the signed module while a publish is under way: %s", (_when, artifact) => {
    const binding = bindTarget(target(signed), artifact, "r:v1");
    expect(binding.verified).toBe("module");
    expect(binding.blob).toEqual({ digest: digest("b"), size: 10 });
    expect(binding.notes[0]!.code).toBe("publish-under-way");
  });

  it("verifies the module alone where another manifest holds it", () => {
    const binding = bindTarget(target(signed), found(EVIL), "r:v1");
    expect(binding.verified).toBe("module");
    expect(binding.notes[0]!.code).toBe("artifact-not-signed");
  });

  it("refuses any other manifest, with the digests of both", () => {
    const error = refusal(() => bindTarget(target(signed), found(EVIL, EVIL), "r:v1"));
    expect(error.code).toBe("TAG_MISMATCH");
    expect(error.details).toMatchObject({ got: EVIL, gotModule: EVIL, expectedModule: digest("b") });
  });

  it("refuses another manifest whose module only has the signed length, or only the signed digest", () => {
    expect(refusal(() => bindTarget(target(signed), found(EVIL, EVIL, 10), "r")).code).toBe("TAG_MISMATCH");
    expect(refusal(() => bindTarget(target(signed), found(EVIL, digest("b"), 11), "r")).code).toBe("TAG_MISMATCH");
  });

  it("refuses a manifest without a module, where it is none of those expected", () => {
    expect(refusal(() => bindTarget(target(signed), found(EVIL, null), "r:v1")).code).toBe("TAG_MISMATCH");
  });

  it("refuses a signed manifest whose module is not the signed one", () => {
    expect(refusal(() => bindTarget(target(signed), found(GOOD, EVIL), "r:v1")).code).toBe("TARGET_MISMATCH");
  });

  it("gives the reason where the signed manifest has no single module", () => {
    expect(() => bindTarget(target(signed), found(GOOD, null), "r:v1")).toThrow("no module");
  });

  it.each<[string, JsonValue]>([
    ["no manifest", { "wasm-to-oci": { manifests: [] } }],
    ["a broken digest", { "wasm-to-oci": { manifests: ["sha256:xyz"] } }],
    ["a broken replaced digest", { "wasm-to-oci": { manifests: [GOOD], replaces: "" } }],
    ["another type", { "wasm-to-oci": "yes" }],
    ["keys in another case", { "wasm-to-oci": { Manifests: [GOOD] } }],
  ])("refuses a binding with %s, instead of treating the target as another tool's", (_what, custom) => {
    expect(refusal(() => bindTarget(target(custom), found(GOOD), "r:v1")).code).toBe("TARGET_MISMATCH");
  });
});

describe("bindTarget, with a target of another tool", () => {
  it("compares the module, as the 2019 tool signs it", () => {
    const binding = bindTarget(target(undefined), found(GOOD), "r:v1");
    expect(binding.verified).toBe("module");
    expect(refusal(() => bindTarget(target(undefined), found(GOOD, EVIL), "r:v1")).code).toBe("TARGET_MISMATCH");
  });

  it("takes a target that signs the manifest's very bytes, as docker trust does", () => {
    const docker = target({ any: "thing" }, { hashes: { sha256: hex("a") }, length: 400 });
    const binding = bindTarget(docker, found(GOOD), "r:v1");
    expect(binding.verified).toBe("artifact");
    expect(binding.module).toEqual({ length: 10, hashes: { sha256: hex("b") } });
  });

  it("refuses a manifest whose signed sha512 is another, and takes it with the right one", () => {
    const docker = (digit: string) =>
      target(undefined, { hashes: { sha256: hex("a"), sha512: digit.repeat(128) }, length: 400 });
    expect(bindTarget(docker("5"), found(GOOD), "r:v1").verified).toBe("artifact");
    expect(refusal(() => bindTarget(docker("6"), found(GOOD), "r:v1")).code).toBe("TARGET_MISMATCH");
  });

  it("expects of a signed manifest's module the very hash that the manifest names", () => {
    const docker = target(undefined, { hashes: { sha256: hex("a") }, length: 400 });
    const module: Digest = `sha512:${"7".repeat(128)}`;
    expect(bindTarget(docker, found(GOOD, module), "r:v1").module.hashes).toEqual({ sha512: "7".repeat(128) });
  });

  it("refuses a manifest of the signed digest but another length", () => {
    const docker = target(undefined, { hashes: { sha256: hex("a") }, length: 401 });
    expect(refusal(() => bindTarget(docker, found(GOOD), "r:v1")).code).toBe("TARGET_MISMATCH");
  });

  it("refuses a tag that is gone: nothing says that a publish is under way", () => {
    expect(refusal(() => bindTarget(target(undefined), undefined, "r:v1")).code).toBe("TAG_MISMATCH");
  });

  it("leaves a target with sha512 alone to the check of the bytes", () => {
    const binding = bindTarget(target(undefined, { hashes: { sha512: "f".repeat(128) } }), found(GOOD), "r:v1");
    expect(binding.module.hashes).toEqual({ sha512: "f".repeat(128) });
  });
});

describe("withBinding", () => {
  it("keeps what other tools wrote", () => {
    const custom = withBinding({ other: 1 }, { manifests: [GOOD] });
    expect(custom["other"]).toBe(1);
    expect(readBinding(custom, "v1")).toEqual({ manifests: [GOOD], replaces: undefined });
  });
});

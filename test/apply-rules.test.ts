/** What a policy's rules do to a pull and to a verification, and what they leave as it was. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TransportError, TrustError } from "../src/base/errors.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import { sign } from "../src/sign.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { TrustRules } from "../src/trust/policy/rules.ts";
import { verify } from "../src/verify.ts";
import { failure, moduleBytes, UseCase, type Pulled } from "./support/use-case.ts";
import { coreImport, coreImports, ONE_TYPE, wasmModule } from "./support/wasm-builder.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

/** A core module that imports a function from each of these. */
const importing = (...modules: string[]): Uint8Array =>
  wasmModule(ONE_TYPE, coreImports(...modules.map((module) => coreImport(module, "f", "function"))));

const under = (rules: Partial<TrustRules>): Coverage => ({
  ...world.coverage,
  reason: "policy",
  rules: { origin: "policy.json:3", missing: "reject", ...rules },
});

const pull = (rules: Partial<TrustRules>): Promise<Pulled> => world.pull({ trust: under(rules) });

const blobRequests = (): number =>
  world.registry.requests.filter(({ method, path }) => method === "GET" && path.includes("/blobs/")).length;

describe("a pull under a policy", () => {
  it("delivers what every rule allows, and reports each of them", async () => {
    await world.push("one");
    const { report } = await pull({
      roles: ["targets"],
      verified: "artifact",
      formats: ["cncf-wasm-v0"],
      kinds: ["module"],
      maxSize: 1_000,
      imports: { deny: ["env"] },
    });
    expect(report.checks.map(({ check }) => check).filter((check) => check.startsWith("policy-"))).toEqual([
      "policy-role",
      "policy-artifact",
      "policy-format",
      "policy-size",
      "policy-kind",
      "policy-imports",
    ]);
    expect(report.verified).toBe("artifact");
  });

  it.each<[string, Partial<TrustRules>]>([
    ["another role has signed", { roles: ["targets/releases"] }],
    ["the layout is not allowed", { formats: ["wasm-to-oci"] }],
    ["it is too large", { maxSize: 8 }],
    ["its signed contract says another kind", { kinds: ["component"] }],
  ])("refuses before the module is fetched where %s", async (_why, rules) => {
    await world.push("one");
    const before = blobRequests();
    const error = await failure(pull(rules), "POLICY_REFUSED");
    expect(error.details["policy"]).toBe("policy.json:3");
    // what nothing in the manifest forbids may be on its way already; it is not released
    expect(blobRequests() - before).toBeLessThanOrEqual("roles" in rules || "kinds" in rules ? 1 : 0);
    expect((await pull({})).bytes).toEqual(moduleBytes("one"));
  });

  it("refuses denied imports by the signed contract, and without one by the module itself", async () => {
    const bytes = importing("env", "wasi_snapshot_preview1");
    await world.push("x", { module: moduleFromBytes("x.wasm", bytes) });
    const rules = { imports: { deny: ["wasi_*"] } };
    const signed = await failure(pull(rules), "POLICY_REFUSED");
    expect(signed.details).toMatchObject({ rule: "imports.deny", got: "wasi_snapshot_preview1" });
    const target = world.source.collections.get(world.repository)?.get("v1");
    world.source.sign(world.repository, { ...target!, custom: undefined }); // as the 2019 tool signs: bytes only
    const read = await failure(pull(rules), "POLICY_REFUSED");
    expect(read.details).toMatchObject({ rule: "imports.deny", got: "wasi_snapshot_preview1" });
    expect((await pull({ imports: { allow: ["env", "wasi_snapshot_preview1"] } })).bytes).toEqual(bytes);
  });

  it("refuses where only the module is signed and the policy wants the artifact", async () => {
    await world.push("one");
    await world.push("one", { sign: undefined, annotations: { "org.opencontainers.image.title": "other" } });
    const { report } = await pull({ verified: "module" });
    expect(report.verified).toBe("module");
    await failure(pull({ verified: "artifact" }), "POLICY_REFUSED");
  });

  it("does not take the layout of the former artifact for that of the signed module while a publish is under way", async () => {
    await world.push("old", { sign: undefined, format: "wasm-to-oci" });
    const tag = world.registry.manifests.get("team/app:v1")!;
    await world.push("one");
    world.registry.manifests.set("team/app:v1", tag); // the tag was not moved yet
    const { report } = await pull({ formats: ["cncf-wasm-v0"] });
    expect(report.notes.map(({ code }) => code)).toContain("publish-under-way");
    await failure(pull({ verified: "artifact" }), "POLICY_REFUSED");
  });
});

describe("a verification of a file under a policy", () => {
  const check = (rules: Partial<TrustRules>) =>
    verify({
      runtime: world.runtime,
      registry: world.client,
      reference: world.reference,
      module: moduleFromBytes("one.wasm", moduleBytes("one")),
      trust: under(rules),
    });

  it("asks every rule that a file can answer", async () => {
    await world.push("one");
    const report = await check({ roles: ["targets"], kinds: ["module"], verified: "artifact", formats: ["solo"] });
    expect(report.checks.map(({ check: name }) => name)).toEqual(
      expect.arrayContaining(["policy-role", "policy-kind"]),
    );
    await failure(check({ roles: ["targets/releases"] }), "POLICY_REFUSED");
    await failure(check({ kinds: ["component"] }), "POLICY_REFUSED");
    await failure(check({ maxSize: 8 }), "POLICY_REFUSED");
  });

  it("never passes for want of trust data", async () => {
    await failure(check({ missing: "accept" }), "TRUST_NOT_FOUND");
  });
});

describe("signing under a policy", () => {
  it("refuses what everybody under that policy would refuse, before anything is uploaded", async () => {
    const requests = world.registry.requests.length;
    const refusals: Partial<TrustRules>[] = [{ kinds: ["component"] }, { maxSize: 8 }, { formats: ["wasm-to-oci"] }];
    for (const rules of refusals) await failure(world.push("one", { sign: under(rules) }), "POLICY_REFUSED");
    const named = { ...under({ roles: ["targets/releases"] }), roles: ["targets/other"] };
    await failure(world.push("one", { sign: named }), "POLICY_REFUSED");
    expect(world.registry.requests.length).toBe(requests);
    expect(world.source.version).toBe(0);
    await world.push("one", { sign: under({ kinds: ["module"] }) });
  });

  it("signs in the role that the policy demands where none is named", async () => {
    const rules = { roles: ["targets/releases", "targets"] };
    await world.push("one", { sign: under(rules) });
    expect((await pull(rules)).report.trust?.role).toBe("targets/releases");
  });

  it("refuses to sign what lies in a registry already, too", async () => {
    await world.push("one", { sign: undefined });
    const { runtime, reference, client: registry } = world;
    await failure(sign({ runtime, registry, reference, sign: under({ kinds: ["component"] }) }), "POLICY_REFUSED");
    expect(world.source.version).toBe(0);
    await sign({ runtime, registry, reference, sign: under({ roles: ["targets"] }) });
    expect((await pull({})).report.verified).toBe("artifact");
  });
});

describe("missing trust data", () => {
  beforeEach(() => world.push("one", { sign: undefined }));

  it("is a refusal unless the policy says otherwise", async () => {
    await failure(pull({}), "TRUST_NOT_FOUND");
    await failure(pull({ missing: "reject" }), "TRUST_NOT_FOUND");
  });

  it.each([
    ["warn", "unverified"],
    ["accept", "unverified-accepted"],
  ] as const)("is delivered where the policy says %s, and reported as not verified", async (missing, code) => {
    const { report, bytes } = await pull({ missing });
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report).toMatchObject({ verified: "none", trust: undefined });
    expect(report.notes).toMatchObject([{ code, message: expect.stringContaining("delivered unverified") as string }]);
    expect(report.checks.map(({ check }) => check)).toEqual(["registry-digests"]);
  });

  it("changes nothing about the other rules", async () => {
    expect((await pull({ missing: "accept", kinds: ["module"] })).report.verified).toBe("none");
    await failure(pull({ missing: "accept", kinds: ["component"] }), "POLICY_REFUSED");
    await failure(pull({ missing: "accept", maxSize: 8 }), "POLICY_REFUSED");
    await failure(pull({ missing: "accept", formats: ["wasm-to-oci"] }), "POLICY_REFUSED");
  });

  it.each([
    new TransportError("NETWORK", "no route"),
    new TransportError("TIMEOUT", "silence"),
    new TrustError("TRUST_UNAVAILABLE", "503"),
    new TrustError("TRUST_DENIED", "403"),
    new TrustError("METADATA_EXPIRED", "old"),
    new TrustError("METADATA_TAMPERED", "evil"),
    new TrustError("PIN_MISMATCH", "evil"),
    new TrustError("FIRST_USE_REFUSED", "there is something"),
    new TrustError("TRUST_WITHHELD", "no timestamp", { details: { missing: "timestamp" } }),
  ])("is not what $code means: what could not be checked is not delivered", async (error) => {
    world.source.failOpen = error;
    await failure(pull({ missing: "accept" }), error.code);
  });

  it("may be of a pinned collection that is not there yet", async () => {
    world.source.failOpen = new TrustError("TRUST_WITHHELD", "no root", { details: { missing: "root" } });
    expect((await pull({ missing: "warn" })).report.verified).toBe("none");
    await failure(pull({}), "TRUST_WITHHELD");
  });

  it("is a refusal where the collection was seen before, however friendly the policy", async () => {
    await world.push("one");
    world.source.failOpen = new TrustError("TRUST_NOT_FOUND", "nothing there");
    await failure(pull({ missing: "accept" }), "TRUST_NOT_FOUND");
  });

  it("is a refusal where a lockfile knows its versions, and offline", async () => {
    const friendly = under({ missing: "accept" });
    await failure(world.pull({ trust: { ...friendly, floors: new Map([["root", 1]]) } }), "TRUST_NOT_FOUND");
    await failure(world.pull({ trust: { ...friendly, freshness: { mode: "offline" } } }), "TRUST_NOT_FOUND");
  });

  it("is not a name that a collection does not sign: somebody signs here, and not this", async () => {
    await world.push("two", { reference: `${world.repository}:v2` });
    await failure(pull({ missing: "accept" }), "TARGET_NOT_FOUND");
  });
});

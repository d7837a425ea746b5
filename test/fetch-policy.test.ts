import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { utf8Encode, type Bytes } from "../src/base/bytes.ts";
import { TrustError } from "../src/base/errors.ts";
import { fetchPolicy } from "../src/fetch-policy.ts";
import { pushPolicy } from "../src/push-policy.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import { failure, UseCase } from "./support/use-case.ts";

const POLICY = utf8Encode('{"version":1,"entries":[{"pattern":"{rest}"}]}');

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});
afterEach(() => world.stop());

const push = (policy: Bytes = POLICY, reference = world.reference) =>
  pushPolicy({ registry: world.client, reference, policy, sign: world.coverage });

const fetch = (trust: Coverage = world.coverage) =>
  fetchPolicy({
    reference: world.reference,
    trust,
    content: world.client.repository({ registry: world.registry.host, repository: "team/app" }),
  });

describe("a policy that is published", () => {
  it("is an artifact under its tag, and signed by its length and hashes", async () => {
    const report = await push();
    expect(report.policy.size).toBe(POLICY.length);
    expect(world.tag()).toBe(report.manifest);
    expect(world.source.collections.get(world.repository)?.get("v1")).toMatchObject({
      length: POLICY.length,
      hashes: {
        sha256: report.policy.digest.slice("sha256:".length),
        sha512: expect.stringMatching(/^[0-9a-f]{128}$/) as string,
      },
    });
    expect((await fetch()).bytes).toEqual(POLICY);
  });

  it.each([
    ["is no policy", '{"version":1}', "POLICY_INVALID"],
    ["ties", '{"version":1,"entries":[{"pattern":"a.io/*/x"},{"pattern":"a.io/y/*"}]}', "POLICY_AMBIGUOUS"],
    ["names a root file", '{"version":1,"entries":[{"pattern":"{rest}","roots":{"file":"r.json"}}]}', "USAGE"],
    [
      "names a folder",
      '{"version":1,"entries":[{"pattern":"{rest}","sources":[{"trust":"folder"}]}]}',
      "POLICY_INVALID",
    ],
    ["only says where one is", '{"version":1,"policy":{"reference":"a.io/p:v1"}}', "POLICY_INVALID"],
  ] as const)("is refused before anything is uploaded where it %s", async (_what, text, code) => {
    await failure(push(utf8Encode(text)), code);
    expect(world.registry.requests).toEqual([]);
    expect(world.source.version).toBe(0);
  });

  it("needs a tag that is not one of trust data", async () => {
    await failure(push(POLICY, `${world.repository}:tuf`), "USAGE");
    await failure(push(POLICY, `${world.repository}@sha256:${"0".repeat(64)}`), "USAGE");
    expect(world.registry.requests).toEqual([]);
  });
});

describe("a policy that is fetched", () => {
  beforeEach(() => push());

  it("is what was signed, whatever the tag names by now", async () => {
    await world.push("a module under the tag", { sign: undefined });
    expect((await fetch()).bytes).toEqual(POLICY);
  });

  it("is refused where the registry has other bytes for it", async () => {
    const { digest } = await fetch();
    const blob = world.registry.blobs.get(`team/app@${digest}`) ?? world.registry.blobs.get(digest);
    expect(blob).toBeDefined();
    world.registry.setFault(({ path }) =>
      path.includes(digest) ? { status: 200, body: "x".repeat(POLICY.length) } : undefined,
    );
    await failure(fetch(), "DIGEST_MISMATCH");
    world.registry.setFault(undefined);
    expect((await fetch()).bytes).toEqual(POLICY);
  });

  it("is refused where another role has signed it than must have", async () => {
    const rules = { origin: "pointer", missing: "reject", roles: ["targets/policies"] } as const;
    expect((await failure(fetch({ ...world.coverage, rules }), "POLICY_REFUSED")).details["got"]).toBe("targets");
  });

  it("is refused where one hash of two is wrong, or it is larger than a policy can be", async () => {
    const target = world.source.collections.get(world.repository)!.get("v1")!;
    world.source.sign(world.repository, { ...target, hashes: { ...target.hashes, sha512: "0".repeat(128) } });
    await failure(fetch(), "TARGET_MISMATCH");
    world.source.sign(world.repository, { ...target, length: 5 * 1024 * 1024 });
    expect((await failure(fetch(), "LIMIT_EXCEEDED")).message).toContain("4194304");
  });

  it("is refused, never left out, where there is no trust data or it cannot be had", async () => {
    const friendly = { origin: "pointer", missing: "accept" } as const;
    for (const code of ["TRUST_NOT_FOUND", "TRUST_UNAVAILABLE", "METADATA_ROLLED_BACK"] as const) {
      world.source.failOpen = new TrustError(code, "no");
      expect((await failure(fetch({ ...world.coverage, rules: friendly }), code)).message).toBe("no");
    }
  });
});

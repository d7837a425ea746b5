/** Explanations of references that verify, and of every way in which they do not. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InterruptedError, TransportError, TrustError } from "../src/base/errors.ts";
import { explain, type Explained, type ExplainOptions } from "../src/explain.ts";
import { openTufTrustDir } from "../src/node/tuf-source.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import type { CollectionStatus } from "../src/trust/administration.ts";
import { memoryApprovalStore } from "../src/trust/contract/approvals.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import { createTufSource } from "../src/trust/tuf/source.ts";
import { MemoryTrustSource } from "./support/memory-trust-source.ts";
import { NOW, TufSimulator } from "./support/tuf-repository.ts";
import { failure, moduleBytes, UseCase } from "./support/use-case.ts";
import { moduleAsking } from "./support/wasm-builder.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

function ask(options: Partial<ExplainOptions> = {}): Promise<Explained> {
  const { runtime, client: registry, reference, coverage: trust } = world;
  return explain({ runtime, registry, reference, trust, ...options });
}

const STATUS = { collection: "acme/app", roles: [], expired: true, warnings: [] } as unknown as CollectionStatus;

describe("explain", () => {
  it("shows where trust comes from, what is signed, and the checks of a pull without its download", async () => {
    const pushed = await world.push("one");
    const reads = (): number => world.registry.requests.filter(({ path }) => path.includes("/blobs/sha")).length;
    const before = reads();
    const { explanation, error } = await ask();
    expect(error).toBeUndefined();
    expect(reads()).toBe(before);
    expect(explanation).toMatchObject({
      reference: world.reference,
      source: { kind: "notary", reason: "flags", collection: world.repository, target: "v1", firstUse: "refuse" },
      signed: { role: "targets", manifests: [pushed.artifact.digest], contract: { kind: "module" } },
      found: { digest: pushed.artifact.digest, module: pushed.module.digest },
      verified: "artifact",
      refusal: undefined,
    });
    expect(explanation.checks.map(({ check }) => check)).toContain("tag-agrees");
    expect(explanation.rootKeys).toHaveLength(1);
  });

  it("explains a reference by its digest alone", async () => {
    const pushed = await world.push("one");
    const { explanation } = await ask({ reference: `${world.repository}@${pushed.artifact.digest}` });
    expect(explanation).toMatchObject({ source: { target: "v1" }, verified: "artifact" });
  });

  it("says why a tag that was moved is refused, and shows what is signed all the same", async () => {
    const good = await world.push("one");
    const evil = await world.push("evil", { sign: undefined });
    const { explanation, error } = await ask();
    expect(error?.code).toBe("TAG_MISMATCH");
    expect(explanation).toMatchObject({
      refusal: {
        code: "TAG_MISMATCH",
        kind: "tampered",
        message: expect.stringContaining(evil.module.digest) as string,
      },
      signed: { manifests: [good.artifact.digest] },
      found: { digest: evil.artifact.digest },
      verified: undefined,
    });
    expect(explanation.refusal?.hint).toBe(error?.hint);
  });

  it("says what is missing: the signature, the collection, the tag, the digest", async () => {
    await world.push("one", { sign: undefined });
    expect((await ask()).explanation.refusal?.code).toBe("TRUST_NOT_FOUND");
    world.source.collections.set(world.repository, new Map());
    expect((await ask()).explanation.refusal?.code).toBe("TARGET_NOT_FOUND");
    const reference = `${world.repository}@sha256:${"0".repeat(64)}`;
    expect((await ask({ reference })).explanation.refusal?.code).toBe("REGISTRY_NOT_FOUND");
  });

  it("shows what can be seen of a collection that has expired", async () => {
    await world.push("one");
    world.source.failOpen = new TrustError("METADATA_EXPIRED", "the timestamp has expired", { role: "timestamp" });
    const asked: unknown[] = [];
    const administration = {
      status: async (...words: unknown[]) => {
        asked.push(words);
        return STATUS;
      },
    };
    const { explanation, error } = await ask({ administration });
    expect(error?.code).toBe("METADATA_EXPIRED");
    expect(explanation).toMatchObject({ status: STATUS, authorities: [], refusal: { details: { role: "timestamp" } } });
    expect(asked).toEqual([[world.repository, { pin: undefined, firstUse: "refuse", signal: undefined }]]);
  });

  it("keeps to the first reason where not even that can be seen", async () => {
    world.source.failOpen = new TransportError("NETWORK", "no way there");
    const administration = { status: () => Promise.reject(new TrustError("TRUST_UNAVAILABLE", "nothing there")) };
    const { explanation } = await ask({ administration });
    expect(explanation).toMatchObject({ refusal: { code: "NETWORK" }, status: undefined });
  });

  it("tells a policy's refusal", async () => {
    await world.push("one");
    const trust = {
      ...world.coverage,
      rules: { origin: "policy.json:3", missing: "reject", kinds: ["component"] },
    } as const;
    const { explanation } = await ask({ trust });
    expect(explanation.refusal).toMatchObject({ code: "POLICY_REFUSED", details: { rule: "kinds" } });
    expect(explanation.checks.length).toBeGreaterThan(0);
  });

  it("judges the module that a pull would deliver, not the manifest that docker trust has signed", async () => {
    const { artifact } = await world.push("one", { sign: undefined });
    const { bytes } = world.registry.manifests.get("team/app:v1")!;
    const hashes = { sha256: artifact.digest.slice("sha256:".length) };
    const source = new MemoryTrustSource();
    await source.publish(world.repository, () => [{ action: "add", name: "v1", length: bytes.length, hashes }], {
      firstUse: "refuse",
    });
    const { length } = moduleBytes("one");
    expect(length).toBeLessThan(bytes.length);
    const rules = { origin: "policy.json:3", missing: "reject", maxSize: length } as const;
    const trust: Coverage = { ...world.coverage, source, rules };
    expect((await ask({ trust })).error).toBeUndefined();
    await world.pull({ trust });
    const tight = { ...trust, rules: { ...rules, maxSize: length - 1 } };
    expect((await ask({ trust: tight })).error).toMatchObject({ code: "POLICY_REFUSED" });
  });

  it("tells that a wider contract waits for approval, and approves nothing by looking", async () => {
    const approvals = memoryApprovalStore();
    const rules = { origin: "policy.json:3", missing: "reject", widening: "approve" } as const;
    const trust: Coverage = { ...world.coverage, rules };
    await world.push("one");
    await world.pull({ trust, approvals: { store: approvals } });
    const before = await approvals.list();
    const { explanation } = await ask({ trust, approvals });
    expect(explanation.checks.at(-1)?.check).toBe("contract-approved");
    await world.push("two", { module: moduleFromBytes("two.wasm", moduleAsking("env", "boom")) });
    const { explanation: wider, error } = await ask({ trust, approvals });
    expect(error?.code).toBe("CONTRACT_WIDENED");
    expect(wider).toMatchObject({ verified: undefined, refusal: { code: "CONTRACT_WIDENED" } });
    expect(await approvals.list()).toEqual(before);
  });

  it("does not hide that a pull delivers what nobody has signed, where a policy lets it", async () => {
    await world.push("one", { sign: undefined });
    const rules = { origin: "policy.json:3", missing: "accept" } as const;
    const { explanation } = await ask({ trust: { ...world.coverage, rules } });
    expect(explanation.refusal?.code).toBe("TRUST_NOT_FOUND");
    expect(explanation.notes).toMatchObject([{ code: "unverified", message: /policy\.json:3/ }]);
    expect((await ask()).explanation.notes).toEqual([]);
  });

  it("shows the other roles where a delegated one cannot be relied on", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["*"] });
    await repository.publish("team", "targets");
    repository.files.delete("2.team.json");
    const trust: Coverage = {
      source: createTufSource({
        repository: repository.repository,
        runtime: { ...world.runtime, now: () => NOW },
        trust: openTufTrustDir(await mkdtemp(join(tmpdir(), "explain-"))),
        anchor: repository.anchor,
      }),
      collection: "team/app",
      prefix: "",
      reason: "pin",
      firstUse: "refuse",
    };
    const { explanation } = await ask({ trust });
    expect(explanation.refusal?.code).toBe("TRUST_WITHHELD");
    expect(explanation.authorities.map(({ role, state }) => [role, state])).toEqual([
      ["targets", "silent"],
      ["team", "unusable"],
    ]);
  });

  it("ends where it is interrupted", async () => {
    world.source.failOpen = new InterruptedError();
    await failure(ask(), "INTERRUPTED");
  });
});

/** Upgrades under a policy that wants wider contracts approved. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../src/base/errors.ts";
import { MemoryOutput } from "../src/download.ts";
import { lock, type LockReport } from "../src/lock.ts";
import { pull } from "../src/pull.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import { memoryApprovalStore, type ApprovalStore } from "../src/trust/contract/approvals.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { VerificationReport } from "../src/trust/report.ts";
import { readBinding, withBinding } from "../src/trust/target-custom.ts";
import { failure, UseCase } from "./support/use-case.ts";
import { componentAsking, moduleAsking } from "./support/wasm-builder.ts";

let world: UseCase;
let store: ApprovalStore;

beforeEach(async () => {
  world = await UseCase.start();
  store = memoryApprovalStore();
});

afterEach(() => world.stop());

function wasi(...names: string[]): Uint8Array {
  return componentAsking(...names.map((name) => `wasi:${name}`));
}

async function release(tag: string, bytes: Uint8Array): Promise<void> {
  await world.push("", { reference: `${world.repository}:${tag}`, module: moduleFromBytes("app.wasm", bytes) });
}

function careful(): Coverage {
  return { ...world.coverage, rules: { origin: "policy.json:3", widening: "approve", missing: "reject" } };
}

function pullTag(tag: string, approve = false, trust = careful()): Promise<VerificationReport> {
  const { runtime, client: registry } = world;
  const reference = `${world.repository}:${tag}`;
  return pull({ runtime, registry, reference, output: new MemoryOutput(), trust, approvals: { store, approve } });
}

async function refused(tag: string, code: ErrorCode): Promise<Record<string, unknown>> {
  const before = await store.get(scope());
  const error = await failure(pullTag(tag), code);
  expect(await store.get(scope())).toEqual(before);
  return error.details;
}

const scope = (): { repository: string; collection: string } => ({
  repository: world.repository,
  collection: world.repository,
});

function lastCheck({ checks }: VerificationReport): string {
  expect(checks.at(-1)?.check).toBe("contract-approved");
  return checks.at(-1)!.detail;
}

const V1 = wasi("cli/stdin@0.2.0");
const V2 = wasi("cli/stdin@0.2.0", "sockets/tcp@0.2.0");

describe("lock, where the policy wants wider contracts approved", () => {
  function lockTag(tag: string, approve = false): Promise<LockReport> {
    const { runtime, client: registry } = world;
    const reference = `${world.repository}:${tag}`;
    return lock({ runtime, registry, reference, trust: placed(), approvals: { store, approve } });
  }

  /** A lockfile says where trust data is, so it must be a place. */
  function placed(): Coverage {
    return { ...careful(), source: Object.assign(world.source, { location: "https://notary.test" }) };
  }

  it("holds a wider one until it is approved, since nobody asks once it is locked", async () => {
    await release("v1", V1);
    await release("v2", V2);
    await lockTag("v1");
    await failure(lockTag("v2"), "CONTRACT_WIDENED");
    expect((await store.get(scope()))?.imports).toEqual(["wasi:cli/stdin@0.2.0"]);
    const { module } = await lockTag("v2", true);
    await lockTag("v2");
    const { runtime, client: registry } = world;
    const output = new MemoryOutput();
    const pulled = {
      runtime,
      registry,
      reference: module.reference,
      output,
      trust: placed(),
      lock: { mode: "locked", module },
    } as const;
    expect((await pull(pulled)).checks.map(({ check }) => check)).not.toContain("contract-approved");
  });

  it("locks nothing whose signed contract is missing or cut short", async () => {
    await release("v1", V1);
    const target = world.source.collections.get(world.repository)!.get("v1")!;
    const { manifests, contract } = readBinding(target.custom, "v1")!;
    for (const signed of [undefined, { ...contract!, truncated: true }]) {
      world.source.sign(world.repository, {
        ...target,
        custom: withBinding(undefined, { manifests, contract: signed }),
      });
      await failure(lockTag("v1", true), "CONTRACT_WIDENED");
    }
    expect(await store.get(scope())).toBeUndefined();
  });
});

describe("pull, where the policy wants wider contracts approved", () => {
  it("takes the first version for the baseline, refuses a wider one until it is approved, and then remembers that", async () => {
    await release("v1", V1);
    await release("v2", V2);
    expect(lastCheck(await pullTag("v1"))).toContain("the first version seen");
    expect(await refused("v2", "CONTRACT_WIDENED")).toMatchObject({ kind: null, imports: ["wasi:sockets/tcp@0.2.0"] });
    expect(lastCheck(await pullTag("v1"))).toContain("nothing that was not approved before");
    expect(lastCheck(await pullTag("v2", true))).toContain('approved by this run: may import "wasi:sockets/tcp@0.2.0"');
    await pullTag("v2");
    await pullTag("v1");
    await pullTag("v2"); // going back to an old version takes no approval away
  });

  it("refuses by the signed contract, before the module is fetched to be released", async () => {
    await release("v1", V1);
    await pullTag("v1");
    await release("v2", V2);
    world.registry.blobs.clear(); // what decides is what was signed, not what could be downloaded
    await refused("v2", "CONTRACT_WIDENED");
  });

  it("looks into the module where nobody signed a contract, or a short one", async () => {
    await release("v1", V1);
    await pullTag("v1");
    await release("v2", V2);
    const target = world.source.collections.get(world.repository)!.get("v2")!;
    const { manifests, contract } = readBinding(target.custom, "v2")!;
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests }) });
    await refused("v2", "CONTRACT_WIDENED");
    const short = { ...contract!, imports: contract!.imports.slice(0, 1), truncated: true };
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests, contract: short }) });
    await refused("v2", "CONTRACT_WIDENED");
  });

  it("wants another kind approved, and a compatible version not", async () => {
    await release("v1", V1);
    await pullTag("v1");
    await release("core", moduleAsking("wasi:cli/stdin@0.2.0", "read"));
    expect(await refused("core", "CONTRACT_WIDENED")).toMatchObject({ kind: "module" });
    await release("v1.1", wasi("cli/stdin@0.2.9"));
    await pullTag("v1.1");
    await release("v2", wasi("cli/stdin@0.3.0"));
    await refused("v2", "CONTRACT_WIDENED");
  });

  it("asks nobody where the policy does not want it, and records nothing then", async () => {
    await release("v1", V1);
    await release("v2", V2);
    await pullTag("v1", false, world.coverage);
    await pullTag("v2", false, world.coverage);
    expect(await store.get(scope())).toBeUndefined();
  });

  it("does not take an approval for a signature", async () => {
    await release("v1", V1);
    await world.push("", { module: moduleFromBytes("app.wasm", V2), sign: undefined });
    await failure(pullTag("v1", true), "TAG_MISMATCH");
    expect(await store.get(scope())).toBeUndefined();
  });

  it("asks about what nobody has signed, too, where the policy delivers that", async () => {
    const trust: Coverage = { ...world.coverage, rules: { ...careful().rules!, missing: "accept" } };
    const leave = (tag: string, bytes: Uint8Array): Promise<unknown> => {
      const reference = `${world.repository}:${tag}`;
      return world.push("", { reference, module: moduleFromBytes("app.wasm", bytes), sign: undefined });
    };
    await leave("v1", V1);
    await leave("v2", V2);
    const first = await pullTag("v1", false, trust);
    expect(first.verified).toBe("none");
    expect(lastCheck(first)).toContain("the first version seen");
    await failure(pullTag("v2", false, trust), "CONTRACT_WIDENED");
    expect((await store.get(scope()))?.imports).toEqual(["wasi:cli/stdin@0.2.0"]);
    expect(lastCheck(await pullTag("v2", true, trust))).toContain("approved by this run");
  });

  it("refuses where it is given nowhere to look approvals up", async () => {
    await release("v1", V1);
    const { runtime, client: registry, reference } = world;
    const output = new MemoryOutput();
    await failure(pull({ runtime, registry, reference, output, trust: careful() }), "USAGE");
    expect(() => output.bytes).toThrow("nothing was committed");
  });
});

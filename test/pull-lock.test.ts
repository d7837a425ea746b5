import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lock } from "../src/lock.ts";
import { openModuleCache } from "../src/node/module-cache.ts";
import { RegistryClient } from "../src/oci/registry-client.ts";
import type { PullLock } from "../src/pull.ts";
import type { Approvals } from "../src/approve-contract.ts";
import { memoryApprovalStore } from "../src/trust/contract/approvals.ts";
import { fullContract } from "../src/trust/contract/contract.ts";
import type { TrustRules } from "../src/trust/policy/rules.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { LockedModule } from "../src/trust/lock/lockfile.ts";
import { readBinding, withBinding } from "../src/trust/target-custom.ts";
import { verify } from "../src/verify.ts";
import { list } from "../src/list.ts";
import { failure, moduleBytes, moduleSource, UseCase } from "./support/use-case.ts";

let world: UseCase;
let dir: string;

beforeEach(async () => {
  world = await UseCase.start();
  dir = mkdtempSync(join(tmpdir(), "pull-lock-"));
});
afterEach(async () => {
  rmSync(dir, { recursive: true, force: true });
  await world.stop();
});

const cache = () => openModuleCache({ dir });
const frozen = (module: LockedModule): { lock: PullLock } => ({ lock: { mode: "frozen", module } });
const locked = (module: LockedModule): { lock: PullLock } => ({ lock: { mode: "locked", module } });

async function lockNow(changes: Partial<LockedModule> = {}): Promise<LockedModule> {
  const { runtime, client: registry, reference, coverage: trust } = world;
  return { ...(await lock({ runtime, registry, reference, trust })).module, ...changes };
}

/** The requests that something made, without the trust data's. */
async function requestsOf(work: () => Promise<unknown>): Promise<string[]> {
  const before = world.registry.requests.length;
  await work();
  return world.registry.requests.slice(before).map(({ method, path }) => `${method} ${path}`);
}

describe("lock", () => {
  it("writes what is signed, and downloads no module for it", async () => {
    const pushed = await world.push("one");
    let entry: LockedModule | undefined;
    const requests = await requestsOf(async () => (entry = await lockNow()));
    expect(requests.some((request) => request.includes("/blobs/"))).toBe(false);
    expect(entry).toMatchObject({
      reference: world.reference,
      manifest: pushed.artifact.digest,
      module: pushed.module.digest,
      size: pushed.module.size,
      format: "cncf-wasm-v0",
      collection: world.repository,
      target: "v1",
      role: "targets",
      place: { kind: "notary", server: "memory:" },
    });
    expect([...entry!.versions.keys()]).toEqual(["root", "timestamp", "snapshot", "targets"]);
  });

  it("writes the manifest that was signed, while the tag still names the one before", async () => {
    await world.push("one");
    const before = world.registry.manifests.get("team/app:v1")!;
    const pushed = await world.push("two");
    world.registry.manifests.set("team/app:v1", before);
    expect(await lockNow()).toMatchObject({ manifest: pushed.artifact.digest, module: pushed.module.digest });
  });

  it("refuses what is not signed, or not what was", async () => {
    await world.push("one", { sign: undefined });
    await failure(lockNow(), "TRUST_NOT_FOUND");
    await world.push("one");
    await world.push("evil", { sign: undefined });
    await failure(lockNow(), "TAG_MISMATCH");
  });
});

describe("lock under a policy", () => {
  const rules: TrustRules = { origin: "policy.json", missing: "reject" };
  const lockUnder = (more: Partial<TrustRules>, approvals?: Approvals): Promise<unknown> => {
    const { runtime, client: registry, reference, coverage } = world;
    return lock({ runtime, registry, reference, trust: { ...coverage, rules: { ...rules, ...more } }, approvals });
  };

  it("locks nothing that a pull would refuse", async () => {
    await world.push("one");
    await failure(lockUnder({ maxSize: 5 }), "POLICY_REFUSED");
    await failure(lockUnder({ formats: ["wasm-to-oci"] }), "POLICY_REFUSED");
    await lockUnder({ maxSize: 5_000 });
  });

  it("asks for the approval that pulls of what is locked are spared", async () => {
    await world.push("one");
    const store = memoryApprovalStore();
    const scope = { repository: world.repository, collection: world.repository };
    await store.add(scope, { kind: "component", imports: [] });
    await failure(lockUnder({ widening: "approve" }, { store }), "CONTRACT_WIDENED");
    await lockUnder({ widening: "approve" }, { store, approve: true });
    const targets = world.source.collections.get(world.repository)!;
    const { hashes, ...rest } = targets.get("v1")!;
    targets.set("v1", { ...rest, hashes, custom: undefined });
    await failure(lockUnder({ widening: "approve" }, { store, approve: true }), "CONTRACT_WIDENED");
  });
});

describe("a pull that is locked", () => {
  it("delivers what is locked, and says so", async () => {
    await world.push("one");
    const { report, bytes } = await world.pull(locked(await lockNow()));
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report.checks.at(-1)).toMatchObject({ check: "as-locked" });
  });

  it("refuses a newer module, though it is signed, until it is locked", async () => {
    await world.push("one");
    const entry = await lockNow();
    const two = await world.push("two");
    const error = await failure(world.pull(locked(entry)), "LOCK_MISMATCH");
    expect(error.details).toMatchObject({ expected: entry.module, got: two.module.digest });
    expect((await world.pull(locked(await lockNow()))).bytes).toEqual(moduleBytes("two"));
  });

  it("refuses trust data that is older than what is locked, whatever the source lets through", async () => {
    await world.push("one");
    const entry = await lockNow();
    for (const role of entry.versions.keys()) {
      const versions = new Map(entry.versions).set(role, 1000);
      const error = await failure(world.pull(locked({ ...entry, versions })), "METADATA_ROLLED_BACK");
      expect(error.details).toMatchObject({ role, expected: 1000 });
    }
    expect((await world.pull(locked(entry))).bytes).toEqual(moduleBytes("one"));
  });

  it.each<[string, (entry: LockedModule) => Partial<LockedModule>]>([
    ["another module", () => ({ module: `sha256:${"0".repeat(64)}` })],
    ["another sha512", () => ({ sha512: `sha512:${"0".repeat(128)}` })],
    ["another manifest", () => ({ manifest: `sha256:${"0".repeat(64)}` })],
    ["another length", ({ size }) => ({ size: size + 1 })],
    ["another format", () => ({ format: "wasm-to-oci" })],
    ["another contract", () => ({ contract: `sha256:${"0".repeat(64)}` })],
    ["another collection", () => ({ collection: "other" })],
    ["another target", () => ({ target: "v2" })],
  ])("refuses an entry that names %s", async (_what, change) => {
    await world.push("one");
    const entry = await lockNow();
    await failure(world.pull(locked({ ...entry, ...change(entry) })), "LOCK_MISMATCH");
    expect((await world.pull(locked(entry))).bytes).toEqual(moduleBytes("one"));
  });

  it("has no meaning for another reference, or with nothing to verify against", async () => {
    await world.push("one");
    const entry = await lockNow();
    await failure(world.pull({ ...locked(entry), reference: `${world.repository}:v2` }), "USAGE");
    await failure(world.pull({ ...locked(entry), trust: undefined }), "USAGE");
  });
});

describe("a pull that is frozen", () => {
  it("delivers the locked bytes whatever the tag names now, and does not ask what that is", async () => {
    await world.push("one");
    const entry = await lockNow();
    await world.push("two", { sign: undefined });
    const requests = await requestsOf(async () => {
      const { report, bytes } = await world.pull({ ...frozen(entry), trust: undefined });
      expect(bytes).toEqual(moduleBytes("one"));
      expect(report).toMatchObject({ verified: "none", trust: undefined });
      expect(report.notes.map(({ code }) => code)).toEqual(["frozen"]);
    });
    expect(requests).toEqual([
      `GET /v2/team/app/manifests/${entry.manifest}`,
      `GET /v2/team/app/blobs/${entry.module}`,
    ]);
  });

  it("verifies signatures where something covers the reference, and refuses what is signed no more", async () => {
    await world.push("one");
    const entry = await lockNow();
    const { report } = await world.pull(frozen(entry));
    expect(report).toMatchObject({ verified: "artifact", trust: { role: "targets" } });
    expect(report.checks.map(({ check }) => check)).toContain("manifest-signed");
    await world.push("two");
    await failure(world.pull(frozen(entry)), "LOCK_MISMATCH");
    world.source.collections.get(world.repository)!.delete("v1");
    await failure(world.pull(frozen(entry)), "TARGET_NOT_FOUND");
    world.source.failOpen = new Error("no trust data today");
    await expect(world.pull(frozen(entry))).rejects.toThrow("no trust data today");
  });

  it("refuses what the registry has no more, or never had so", async () => {
    await world.push("one");
    const entry = await lockNow();
    const gone = { ...entry, manifest: `sha256:${"0".repeat(64)}` } as const;
    const error = await failure(world.pull({ ...frozen(gone), trust: undefined }), "LOCK_MISMATCH");
    expect(error.details).toMatchObject({ got: null });
    for (const change of [{ module: `sha256:${"0".repeat(64)}` }, { size: entry.size + 1 }] as const) {
      await failure(world.pull({ ...frozen({ ...entry, ...change }), trust: undefined }), "LOCK_MISMATCH");
    }
    const sha512 = `sha512:${"0".repeat(128)}` as const;
    await failure(world.pull({ ...frozen({ ...entry, sha512 }), trust: undefined }), "LOCK_MISMATCH");
    const contract = `sha256:${"0".repeat(64)}` as const;
    await failure(world.pull({ ...frozen({ ...entry, contract }), trust: undefined }), "LOCK_MISMATCH");
    expect((await world.pull({ ...frozen(entry), trust: undefined })).bytes).toEqual(moduleBytes("one"));
  });

  it("refuses a module that does not keep to the contract that was signed when it was locked", async () => {
    await world.push("one");
    const target = world.source.collections.get(world.repository)!.get("v1")!;
    const binding = readBinding(target.custom, "v1")!;
    const contract = await fullContract({ kind: "component", imports: [], exports: [] });
    expect(contract.digest).not.toBe(binding.contract!.digest);
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { ...binding, contract }) });
    const entry = await lockNow(); // which reads no module, and cannot know
    await failure(world.pull(), "CONTRACT_MISMATCH");
    const error = await failure(world.pull({ ...frozen(entry), trust: undefined }), "LOCK_MISMATCH");
    expect(error.details).toMatchObject({ expected: contract.digest, got: binding.contract!.digest });
  });

  it("refuses bytes that are not what their digest says", async () => {
    const one = await world.push("one");
    const entry = await lockNow();
    const path = `team/app@${one.module.digest}`;
    const honest = world.registry.blobs.get(path)!;
    world.registry.blobs.set(path, Buffer.from(moduleBytes("eno")));
    await failure(world.pull({ ...frozen(entry), trust: undefined }), "DIGEST_MISMATCH");
    world.registry.blobs.set(path, honest);
    expect((await world.pull({ ...frozen(entry), trust: undefined })).bytes).toEqual(moduleBytes("one"));
  });
});

describe("a pull with a cache", () => {
  it("fetches a module once, and asks what the tag names each time", async () => {
    const one = await world.push("one");
    await world.pull({ cache: cache() });
    const requests = await requestsOf(async () => {
      const { bytes, report } = await world.pull({ cache: cache() });
      expect(bytes).toEqual(moduleBytes("one"));
      expect(report.verified).toBe("artifact");
    });
    expect(requests).toEqual(["GET /v2/team/app/manifests/v1"]);
    expect(readdirSync(dir).toSorted()).toEqual([named(one.module.digest), named(one.artifact.digest)].toSorted());
  });

  it("heals itself: what is damaged there is fetched again, said, and kept anew", async () => {
    const one = await world.push("one");
    await world.pull({ cache: cache() });
    const path = join(dir, named(one.module.digest));
    writeFileSync(path, Buffer.from(moduleBytes("eno")));
    const { bytes, report } = await world.pull({ cache: cache() });
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report.notes.map(({ code }) => code)).toContain("cache-problem");
    const next = await world.pull({ cache: cache(), offline: true, trust: offline() });
    expect(next.bytes).toEqual(moduleBytes("one"));
  });

  it("keeps nothing of a pull that was refused, nor of one that nobody verified", async () => {
    await world.push("one");
    await world.push("evil", { sign: undefined });
    await failure(world.pull({ cache: cache() }), "TAG_MISMATCH");
    await world.pull({ cache: cache(), trust: undefined });
    expect(readdirSync(dir)).toEqual([]);
  });

  it("is no reason to deliver what is signed no more", async () => {
    await world.push("one");
    await world.pull({ cache: cache() });
    world.source.collections.get(world.repository)!.delete("v1");
    await failure(world.pull({ cache: cache() }), "TARGET_NOT_FOUND");
  });

  it("succeeds where the cache cannot be written, and says so", async () => {
    await world.push("one");
    const file = join(dir, "file");
    writeFileSync(file, "");
    const { bytes, report } = await world.pull({ cache: openModuleCache({ dir: file }) });
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report.notes.map(({ code }) => code)).toContain("cache-problem");
  });
});

describe("offline", () => {
  const nobody = () =>
    new RegistryClient({
      runtime: { ...world.runtime, transport: () => Promise.reject(new Error("somebody was asked")) },
    });

  it("a pull delivers what is signed and cached, asks nobody, and says how old the knowledge is", async () => {
    await world.push("one");
    await world.pull({ cache: cache() });
    const { bytes, report } = await world.pull({
      cache: cache(),
      registry: nobody(),
      offline: true,
      trust: offline(),
    });
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report.verified).toBe("artifact");
    expect(report.checks.map(({ check }) => check)).toContain("manifest-signed");
    expect(report.checks.map(({ check }) => check)).not.toContain("tag-agrees");
    expect(report.notes).toContainEqual({
      code: "stored-knowledge",
      message: expect.stringContaining("what was published since is not known") as string,
    });
  });

  it("a pull without the manifest still verifies the module, and only that", async () => {
    const one = await world.push("one");
    await world.pull({ cache: cache() });
    rmSync(join(dir, named(one.artifact.digest)));
    const { bytes, report } = await world.pull({ cache: cache(), registry: nobody(), offline: true, trust: offline() });
    expect(bytes).toEqual(moduleBytes("one"));
    expect(report).toMatchObject({ verified: "module", artifact: undefined });
  });

  it("a pull is refused where the module, or a manifest that alone says what is meant, is not there", async () => {
    const one = await world.push("one");
    const options = { cache: cache(), registry: nobody(), offline: true, trust: offline() };
    await failure(world.pull(options), "OFFLINE_MISSING");
    await failure(
      world.pull({ ...options, reference: `${world.repository}@${one.artifact.digest}` }),
      "OFFLINE_MISSING",
    );
    await failure(world.pull({ ...options, trust: undefined }), "OFFLINE_MISSING");
    await failure(world.pull({ ...options, cache: undefined }), "OFFLINE_MISSING");
  });

  it("a pull delivers no damaged module, and removes it", async () => {
    const one = await world.push("one");
    await world.pull({ cache: cache() });
    writeFileSync(join(dir, named(one.module.digest)), Buffer.from(moduleBytes("eno")));
    const options = { registry: nobody(), offline: true, trust: offline() };
    await failure(world.pull({ ...options, cache: cache() }), "OFFLINE_MISSING");
    expect(readdirSync(dir)).toEqual([named(one.artifact.digest)]);
  });

  it("a pull by digest, a locked and a frozen one work as online", async () => {
    const one = await world.push("one");
    await world.pull({ cache: cache() });
    const entry = await lockNow();
    const options = { registry: nobody(), offline: true, trust: offline() };
    for (const more of [
      { reference: `${world.repository}@${one.artifact.digest}` },
      { reference: `${world.reference}@${one.artifact.digest}` },
      locked(entry),
      frozen(entry),
      { ...frozen(entry), trust: undefined },
    ]) {
      expect((await world.pull({ ...options, cache: cache(), ...more })).bytes).toEqual(moduleBytes("one"));
    }
    const newer = { ...entry, module: `sha256:${"0".repeat(64)}` } as const;
    await failure(world.pull({ ...options, cache: cache(), ...locked(newer) }), "LOCK_MISMATCH");
  });

  it("lock, verify and list work from what is stored", async () => {
    const one = await world.push("one");
    await world.pull({ cache: cache() });
    const { runtime, reference } = world;
    const base = { runtime, registry: nobody(), reference, trust: offline(), offline: true };
    expect((await lock({ ...base, cache: cache() })).module).toMatchObject({ manifest: one.artifact.digest });
    await failure(lock(base), "OFFLINE_MISSING");
    const report = await verify({ ...base, module: moduleSource("one") });
    expect(report.notes.map(({ code }) => code)).toContain("stored-knowledge");
    expect((await list(base)).tags).toEqual([
      {
        tag: "v1",
        state: "unchecked",
        signedModule: { digest: one.module.digest, size: one.module.size, role: "targets" },
      },
    ]);
    await failure(list({ ...base, trust: undefined }), "OFFLINE_MISSING");
  });
});

/** A coverage whose source is told to ask nobody. */
function offline(): Coverage {
  return { ...world.coverage, freshness: { mode: "offline" } };
}

function named(digest: string): string {
  return digest.replace(":", "-");
}

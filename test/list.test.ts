import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { list, type ListReport } from "../src/list.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import { memoryApprovalStore } from "../src/trust/contract/approvals.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { TrustRules } from "../src/trust/policy/rules.ts";
import { failure, UseCase } from "./support/use-case.ts";
import { componentAsking } from "./support/wasm-builder.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

function listTags(trust: typeof world.coverage | undefined = world.coverage): Promise<ListReport> {
  const { runtime, client: registry, repository: reference } = world;
  return list({ runtime, registry, reference, trust });
}

const states = ({ tags }: ListReport): string[] => tags.map(({ tag, state }) => `${tag} ${state}`);

describe("list", () => {
  it("tells signed, unsigned, moved and half-published tags apart", async () => {
    const at = (tag: string) => ({ reference: `${world.repository}:${tag}` });
    await world.push("one", at("good"));
    await world.push("one", { ...at("plain"), sign: undefined });
    await world.push("one", at("moved"));
    await world.push("evil", { ...at("moved"), sign: undefined });
    await world.push("one", at("pending"));
    world.registry.manifests.delete("team/app:pending");
    const report = await listTags();
    expect(states(report)).toEqual(["good signed", "moved mismatch", "pending publishing", "plain unsigned"]);
    expect(report.tags[1]!.reason).toContain("is not what was signed");
    expect(report.tags.find(({ tag }) => tag === "pending")?.digest).toBeUndefined();
  });

  it("lists the tags alone where nothing covers the repository", async () => {
    await world.push("one", { sign: undefined });
    const { runtime, client: registry, repository: reference } = world;
    const report = await list({ runtime, registry, reference });
    expect(states(report)).toEqual(["v1 unchecked"]);
    expect(report.collection).toBeUndefined();
  });

  it("shows a tag that is no module as it is", async () => {
    await world.push("one");
    world.registry.addManifest(
      "team/app",
      { schemaVersion: 2, manifests: [] },
      "application/vnd.oci.image.index.v1+json",
      "v1",
    );
    expect(states(await listTags())).toEqual(["v1 mismatch"]);
  });

  it("leaves the tag of trust data out, and reads every page", async () => {
    await world.push("one", { sign: undefined });
    const stored = world.registry.manifests.get("team/app:v1")!;
    const names = ["tuf", ...Array.from({ length: 40 }, (_, index) => `t${index}`)];
    for (const name of names) world.registry.manifests.set(`team/app:${name}`, stored);
    const { runtime, client: registry, repository: reference } = world;
    const { tags } = await list({ runtime, registry, reference });
    expect(tags.length).toBe(41);
    expect(tags.some(({ tag }) => tag === "tuf")).toBe(false);
  });

  it("fails where trust data is missing: unreadable is not unsigned", async () => {
    await world.push("one", { sign: undefined });
    await failure(listTags(), "TRUST_NOT_FOUND");
  });
});

describe("list under a policy", () => {
  const asking = (...names: string[]) =>
    moduleFromBytes("m.wasm", componentAsking(...names.map((name) => `wasi:${name}@0.2.0`)));
  const under = (rules: Partial<TrustRules>): Coverage => ({
    ...world.coverage,
    reason: "policy",
    rules: { origin: "policy.json:3", missing: "reject", ...rules },
  });
  const blobs = (): number => world.registry.requests.filter(({ path }) => path.includes("/blobs/")).length;
  const at = (tag: string) => ({ reference: `${world.repository}:${tag}` });
  const verdicts = ({ tags }: ListReport): string[] =>
    tags.map(({ tag, policy }) => `${tag} ${policy?.verdict ?? "-"}`);

  it("shows what the rules make of each signed tag, and why, without downloading a module", async () => {
    await world.push("x", { ...at("calm"), module: asking("cli/stdin") });
    await world.push("x", { ...at("loud"), module: asking("sockets/tcp") });
    await world.push("one", { ...at("plain"), sign: undefined });
    await world.push("x", { ...at("silent"), module: asking("cli/stdout") });
    const silent = world.source.collections.get(world.repository)?.get("silent");
    world.source.sign(world.repository, { ...silent!, custom: undefined }); // as the 2019 tool signs: bytes only
    await world.push("x", { ...at("swapped"), module: asking("cli/stdin") });
    await world.push("evil", { ...at("swapped"), sign: undefined });
    const before = blobs();
    const report = await listTags(under({ imports: { deny: ["wasi:sockets/*"] } }));
    expect(verdicts(report)).toEqual(["calm allowed", "loud refused", "plain -", "silent undecided", "swapped -"]);
    expect(report.tags[1]!.policy?.reason).toContain('"wasi:sockets/tcp@0.2.0"');
    expect(report.tags[3]!.policy?.reason).toContain("does not say what it imports");
    expect(blobs()).toBe(before);
    await failure(
      world.pull({ ...at("loud"), trust: under({ imports: { deny: ["wasi:sockets/*"] } }) }),
      "POLICY_REFUSED",
    );
    expect(verdicts(await listTags())).toEqual(["calm -", "loud -", "plain -", "silent -", "swapped -"]);
  });

  it("agrees with a pull on roles, layouts, sizes and artifacts", async () => {
    await world.push("one");
    for (const rules of [
      { roles: ["targets/releases"] },
      { formats: ["wasm-to-oci"] },
      { maxSize: 8 },
      { kinds: ["component"] as const },
    ]) {
      expect(verdicts(await listTags(under(rules)))).toEqual(["v1 refused"]);
      await failure(world.pull({ trust: under(rules) }), "POLICY_REFUSED");
    }
    expect(verdicts(await listTags(under({ roles: ["targets"], maxSize: 1_000 })))).toEqual(["v1 allowed"]);
  });

  it("tells what waits for approval, and approves nothing by looking", async () => {
    await world.push("x", { ...at("v1"), module: asking("cli/stdin") });
    await world.push("x", { ...at("v2"), module: asking("cli/stdin", "sockets/tcp") });
    const approvals = memoryApprovalStore();
    const trust = under({ widening: "approve" });
    await world.pull({ ...at("v1"), trust, approvals: { store: approvals } });
    const before = await approvals.list();
    const { runtime, client: registry, repository: reference } = world;
    const report = await list({ runtime, registry, reference, trust, approvals });
    expect(verdicts(report)).toEqual(["v1 allowed", "v2 unapproved"]);
    expect(await approvals.list()).toEqual(before);
  });

  it("says offline what signatures alone decide, and leaves the rest open", async () => {
    await world.push("x", { ...at("loud"), module: asking("sockets/tcp") });
    const { runtime, client: registry, repository: reference } = world;
    const offline = (rules: Partial<TrustRules>) =>
      list({ runtime, registry, reference, trust: under(rules), offline: true });
    expect(verdicts(await offline({ imports: { deny: ["wasi:sockets/*"] } }))).toEqual(["loud refused"]);
    expect(verdicts(await offline({ formats: ["cncf-wasm-v0"] }))).toEqual(["loud undecided"]);
    expect(verdicts(await offline({ maxSize: 10_000 }))).toEqual(["loud allowed"]);
  });
});

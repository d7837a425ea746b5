/** What the policies of both ends do to a copy, and that nothing arrives of what they refuse. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DestinationRules } from "../src/admit-copy.ts";
import { digestBytes } from "../src/base/digest.ts";
import type { CopyOptions, CopyReport } from "../src/copy.ts";
import { MediaType } from "../src/oci/types.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { TrustRules } from "../src/trust/policy/rules.ts";
import { CopyRig } from "./support/copy-rig.ts";
import { memoryTrust } from "./support/oci-trust.ts";
import { failure, moduleBytes } from "./support/use-case.ts";
import { componentAsking } from "./support/wasm-builder.ts";

let rig: CopyRig;

beforeEach(async () => {
  rig = await CopyRig.start();
});
afterEach(async () => rig.stop());

const asking = (...names: string[]): Uint8Array => componentAsking(...names.map((name) => `wasi:${name}@0.2.0`));

/** Pushes a component that asks for these interfaces. */
const pushAsking = (tag: string, ...names: string[]) =>
  rig.push("", tag, true, { module: moduleFromBytes("m.wasm", asking(...names)) });

const rules = (more: Partial<TrustRules>): TrustRules => ({ origin: "policy.json:7", missing: "reject", ...more });

/** The rules of an entry for the source. */
function sourceUnder(more: Partial<TrustRules>): Partial<CopyOptions> {
  const trust = memoryTrust();
  const covered: Coverage = { ...rig.coverage(rig.from, "acme/app", trust), reason: "policy", rules: rules(more) };
  return { trust: covered, openState: rig.openState(trust) };
}

/** The rules of an entry for the destination. */
const destinationUnder = (more: Partial<TrustRules>, collection?: string): { destinationRules: DestinationRules } => ({
  destinationRules: { repository: `${rig.to.host}/mirror/app`, rules: rules(more), collection },
});

const bothEnds: readonly [string, (more: Partial<TrustRules>) => Partial<CopyOptions>][] = [
  ["the source", sourceUnder],
  ["the destination", destinationUnder],
];

/** A copy that must end so, and leave nothing; without the rules it works. */
async function refusedCopy(options: Partial<CopyOptions>, rule: string): Promise<void> {
  const before = rig.contents();
  const error = await failure(rig.copy(options), "POLICY_REFUSED");
  expect(error.details).toMatchObject({ rule, policy: "policy.json:7" });
  expect(error.kind).toBe("refused");
  expect(rig.contents()).toBe(before);
  expect((await rig.copy()).tags).toMatchObject([{ tag: "v1" }]);
}

const refusedTags = ({ refused }: CopyReport): string[] => refused.map(({ tag }) => tag);

describe.each(bothEnds)("a policy for %s of a copy", (_end, under) => {
  it("lets through what every rule allows", async () => {
    await pushAsking("v1", "cli/stdin");
    const report = await rig.copy(
      under({
        roles: ["targets"],
        verified: "artifact",
        formats: ["cncf-wasm-v0"],
        kinds: ["component"],
        maxSize: 10_000,
        imports: { allow: ["wasi:cli/*"], deny: ["wasi:sockets/*"] },
      }),
    );
    expect(report).toMatchObject({ tags: [{ tag: "v1", verified: "artifact" }], refused: [] });
    expect((await rig.pull()).bytes).toEqual(asking("cli/stdin"));
  });

  it.each<[string, Partial<TrustRules>]>([
    ["roles", { roles: ["releases"] }],
    ["formats", { formats: ["wasm-to-oci"] }],
    ["maxSize", { maxSize: 8 }],
    ["kinds", { kinds: ["module"] }],
    ["imports.deny", { imports: { deny: ["wasi:sockets/*"] } }],
    ["imports.allow", { imports: { allow: ["wasi:cli/*"] } }],
  ])("keeps out what its rule %s refuses, before a byte is written", async (rule, more) => {
    await pushAsking("v1", "cli/stdin", "sockets/tcp");
    await refusedCopy(under(more), rule);
  });

  it("keeps out an artifact of which only the module is signed, where it wants the artifact", async () => {
    await rig.push("app");
    await rig.push("app", "v1", false, { annotations: { "org.opencontainers.image.title": "other" } });
    await refusedCopy(under({ verified: "artifact" }), "verified");
  });

  it("leaves refused tags out of a copy of all tags, and lists them with the reason", async () => {
    await pushAsking("good", "cli/stdin");
    await pushAsking("bad", "sockets/tcp");
    const options = under({ imports: { deny: ["wasi:sockets/*"] } });
    const report = await rig.copy({ ...options, allTags: true });
    expect(report.tags.map(({ tag }) => tag)).toEqual(["good"]);
    expect(report.refused).toEqual([{ tag: "bad", reason: expect.stringContaining('"wasi:sockets/tcp@0.2.0"') }]);
    expect(report.onlyAtDestination).toEqual([]);
    expect(rig.to.manifests.has("mirror/app:bad")).toBe(false);
    expect((await rig.pull("good")).bytes).toEqual(asking("cli/stdin"));
    await failure(rig.pull("bad"), "REGISTRY_NOT_FOUND");
    expect(refusedTags(await rig.copy({ allTags: true }))).toEqual([]);
    expect((await rig.pull("bad")).bytes).toEqual(asking("sockets/tcp"));
  });

  it("judges the signed module while a publish is under way, not the one that the tag still names", async () => {
    await pushAsking("v1", "sockets/tcp");
    const former = rig.from.manifests.get("acme/app:v1")!;
    await pushAsking("v1", "cli/stdin");
    rig.from.manifests.set("acme/app:v1", former);
    await rig.copy(under({ imports: { deny: ["wasi:sockets/*"] } }));
    expect((await rig.pull()).bytes).toEqual(asking("cli/stdin"));
  });
});

describe("a policy for the destination", () => {
  it("keeps out what nobody has signed, unless it accepts that", async () => {
    await rig.push("app", "v1", false);
    const unverified = { trust: undefined };
    const before = rig.contents();
    const error = await failure(rig.copy({ ...unverified, ...destinationUnder({}) }), "POLICY_REFUSED");
    expect(error.details["rule"]).toBe("missing");
    expect(rig.contents()).toBe(before);
    for (const missing of ["warn", "accept"] as const) {
      const report = await rig.copy({ ...unverified, ...destinationUnder({ missing }) });
      expect(report.tags).toMatchObject([{ tag: "v1", verified: "none" }]);
    }
  });

  it("reads unsigned modules, too, where it has rules for them", async () => {
    await rig.push("", "v1", false, { module: moduleFromBytes("m.wasm", asking("sockets/tcp")) });
    const denied = destinationUnder({ missing: "accept", imports: { deny: ["wasi:sockets/*"] } });
    const before = rig.contents();
    await failure(rig.copy({ trust: undefined, ...denied }), "POLICY_REFUSED");
    expect(rig.contents()).toBe(before);
    await rig.copy({ trust: undefined, ...destinationUnder({ missing: "accept", imports: { deny: ["env"] } }) });
  });

  it("keeps out an index of several modules, of which nobody can say what they are", async () => {
    const { artifact } = await rig.push("one", "one", false);
    const other = await rig.push("two", "two", false);
    const manifests = [artifact.digest, other.artifact.digest].map((digest) => ({
      mediaType: MediaType.ociManifest,
      digest,
      size: rig.from.manifests.get(`acme/app@${digest}`)!.bytes.length,
    }));
    rig.from.addManifest(
      "acme/app",
      { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
      MediaType.ociIndex,
      "v1",
    );
    const before = rig.contents();
    for (const more of [{ maxSize: 1_000 }, { kinds: ["module"] as const }]) {
      await failure(
        rig.copy({ trust: undefined, ...destinationUnder({ missing: "accept", ...more }) }),
        "MODULE_MISSING",
      );
    }
    await failure(
      rig.copy({ trust: undefined, ...destinationUnder({ missing: "accept", formats: ["cncf-wasm-v0"] }) }),
      "POLICY_REFUSED",
    );
    expect(rig.contents()).toBe(before);
    await rig.copy({ trust: undefined, ...destinationUnder({ missing: "accept" }) });
  });

  it("keeps out another collection than the one that it names", async () => {
    await rig.push("app");
    const before = rig.contents();
    await failure(rig.copy(destinationUnder({}, "acme/other")), "COLLECTION_MISMATCH");
    expect(rig.contents()).toBe(before);
    await rig.copy(destinationUnder({}, "acme/app"));
    expect((await rig.pull()).bytes).toEqual(moduleBytes("app"));
  });
});

describe("a module that has to be read for the rules", () => {
  it("is refused where it is not what its signed contract says", async () => {
    const honest = await pushAsking("v1", "cli/stdin");
    const lying = asking("sockets/tcp");
    // the publisher's own tool signs the truth; this one signs the bytes of another module with it
    const { source } = rig.publisher;
    const layer = rig.from.addBlob("acme/app", lying);
    expect(layer).toBe(await digestBytes(new Uint8Array(lying)));
    const stored = JSON.parse(rig.from.manifests.get("acme/app:v1")!.bytes.toString()) as { layers: object[] };
    const manifest = { ...stored, layers: [{ ...stored.layers[0], digest: layer, size: lying.length }] };
    const digest = rig.from.addManifest("acme/app", manifest, MediaType.ociManifest, "v1");
    await source.publish(
      "acme/app",
      (current) => {
        const target = current!.find("v1")!;
        const custom = JSON.parse(JSON.stringify(target.custom).replaceAll(honest.artifact.digest, digest));
        return [
          {
            action: "add",
            name: "v1",
            length: lying.length,
            hashes: { sha256: layer.slice("sha256:".length) },
            custom,
          },
        ];
      },
      { firstUse: "refuse" },
    );
    const before = rig.contents();
    await failure(rig.copy(destinationUnder({ imports: { deny: ["wasi:sockets/*"] } })), "CONTRACT_MISMATCH");
    expect(rig.contents()).toBe(before);
    await pushAsking("v1", "cli/stdin");
    await rig.copy(destinationUnder({ imports: { deny: ["wasi:sockets/*"] } }));
  });

  it("is read once, however many tags name it", async () => {
    await pushAsking("v1", "cli/stdin");
    await pushAsking("v2", "cli/stdin");
    const digest = await digestBytes(new Uint8Array(asking("cli/stdin")));
    const reads = () => rig.from.requests.filter(({ path }) => path.endsWith(digest)).length;
    const before = reads();
    await rig.copy({ allTags: true, dryRun: true, ...destinationUnder({ imports: { deny: ["env"] } }) });
    expect(reads() - before).toBe(1);
  });
});

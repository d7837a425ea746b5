import { describe, expect, it } from "vitest";
import { publishTarget, type Signing } from "../src/sign-target.ts";
import { fullContract } from "../src/trust/contract/contract.ts";
import type { SignedTarget, TargetEdit, TrustedCollection, TrustSource } from "../src/trust/source.ts";
import { withBinding } from "../src/trust/target-custom.ts";

describe("publishTarget", () => {
  it.each<[string, readonly string[] | undefined, Pick<SignedTarget, "role" | "home">, number]>([
    ["no role is named", undefined, { role: "targets" }, 0],
    ["the named role has signed it", ["targets"], { role: "targets" }, 0],
    ["a hash bin of the named role has", ["targets"], { role: "targets-bin-0e", home: "targets" }, 0],
    ["the named bin has", ["targets-bin-0e"], { role: "targets-bin-0e", home: "targets" }, 0],
    ["a bin has that others sign", ["targets"], { role: "targets-bin-0e" }, 1],
    ["another role has", ["team"], { role: "targets-bin-0e", home: "targets" }, 1],
  ])("publishes what is signed already only where it must: %s", async (_what, roles, where, count) => {
    const contract = await fullContract({ kind: "module", imports: [], exports: [] });
    const manifest = `sha256:${"a".repeat(64)}` as const;
    const content = { name: "v1", length: 8, hashes: { sha256: "b".repeat(64) } };
    const custom = withBinding(undefined, { manifests: [manifest], contract });
    let edits: readonly TargetEdit[] = [];
    const source = {
      publish: async (_collection: string, edit: (current: TrustedCollection) => readonly TargetEdit[]) => {
        edits = edit({ find: () => ({ ...content, custom, ...where }) } as unknown as TrustedCollection);
      },
    } as unknown as TrustSource;
    const signing: Signing = { source, collection: "acme/app", firstUse: "refuse", roles };
    await publishTarget(signing, { ...content, manifests: [manifest], contract, tagDigest: manifest });
    expect(edits).toHaveLength(count);
  });
});

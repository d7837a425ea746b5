import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CopyRig } from "./support/copy-rig.ts";
import { failure, moduleBytes } from "./support/use-case.ts";

let rig: CopyRig;

beforeEach(async () => {
  rig = await CopyRig.start();
});
afterEach(async () => rig.stop());

describe("a copy of all tags", () => {
  it("mirrors a repository and tells how the destination differed", async () => {
    await rig.push("one", "v1");
    await rig.push("two", "v2");
    await rig.copy({ allTags: true });
    await rig.push("two-b", "v2");
    await rig.push("three", "v3");
    await rig.push("nobody's", "dev", false);
    rig.to.manifests.set("mirror/app:gone", rig.to.manifests.get("mirror/app:v1")!);
    const before = rig.contents();
    const planned = await rig.copy({ allTags: true, dryRun: true });
    expect(rig.contents()).toBe(before);
    const report = await rig.copy({ allTags: true });
    expect({ ...planned, dryRun: false }).toEqual(report);
    expect(
      report.tags.map(({ tag, digest, former }) => [
        tag,
        former === undefined ? "new" : former === digest ? "same" : "moved",
      ]),
    ).toEqual([
      ["v1", "same"],
      ["v2", "moved"],
      ["v3", "new"],
    ]);
    expect(report).toMatchObject({ unsigned: ["dev"], onlyAtDestination: ["gone"] });
    expect(rig.to.manifests.has("mirror/app:dev")).toBe(false);
    expect(rig.to.manifests.has("mirror/app:gone")).toBe(true);
    for (const [tag, text] of [
      ["v1", "one"],
      ["v2", "two-b"],
      ["v3", "three"],
    ] as const) {
      expect((await rig.pull(tag)).bytes).toEqual(moduleBytes(text));
    }
  });

  it("that nothing covers is not verified, and names no tag that nobody named", async () => {
    await rig.push("app", "v1", false);
    const { notes } = await rig.copy({ trust: undefined, allTags: true });
    expect(notes).toMatchObject([{ code: "unverified", message: expect.stringContaining("/acme/app is copied") }]);
  });

  it("of a repository that does not exist is no copy of nothing", async () => {
    const source = rig.client.repository({ registry: rig.from.host, repository: "acme/ap" });
    const before = rig.contents();
    await failure(rig.copy({ source, trust: undefined, allTags: true }), "REGISTRY_NOT_FOUND");
    expect(rig.contents()).toBe(before);
  });
});

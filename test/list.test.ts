import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { list, type ListReport } from "../src/list.ts";
import { failure, UseCase } from "./support/use-case.ts";

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

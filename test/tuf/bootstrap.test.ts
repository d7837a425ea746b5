import { describe, expect, it } from "vitest";
import { findAnchor } from "../../src/tuf/bootstrap.ts";
import type { MetadataRequest } from "../../src/tuf/repository.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

const anything = async (): Promise<boolean> => true;
const nothing = async (): Promise<boolean> => false;

describe("finding a root to start from", () => {
  it("gives the first one that is accepted, each having been shown once", async () => {
    const repository = await TufSimulator.create();
    for (let i = 0; i < 3; i++) await repository.publishRoot();
    const shown: [number, string][] = [];
    const found = await findAnchor({
      repository: repository.repository,
      accepts: async ({ document, from }) => shown.push([document.signed.version, from]) === 3,
    });
    expect(found).toEqual({ anchor: repository.files.get("3.root.json") });
    expect(shown).toEqual([
      [1, "cache"],
      [2, "network"],
      [3, "network"],
    ]);
    expect(repository.requests).toEqual(["1.root.json", "2.root.json", "3.root.json"]);
  });

  it("takes a root without a version in its name where there is no other", async () => {
    const repository = await TufSimulator.create();
    repository.files.set("root.json", repository.anchor);
    repository.files.delete("1.root.json");
    const found = await findAnchor({ repository: repository.repository, accepts: anything });
    expect(found).toEqual({ anchor: repository.anchor });
  });

  it("tells a repository without a root from one whose roots are not accepted", async () => {
    const repository = await TufSimulator.create();
    expect(await findAnchor({ repository: repository.repository, accepts: nothing })).toBe("refused");
    repository.files.clear();
    expect(await findAnchor({ repository: repository.repository, accepts: anything })).toBe("absent");
  });

  it("follows no root that the one before has not signed", async () => {
    const [repository, stranger] = [await TufSimulator.create(), await TufSimulator.create()];
    repository.files.set("2.root.json", await stranger.publishRoot());
    const refused = findAnchor({
      repository: repository.repository,
      accepts: async ({ document }) => document.signed.version === 2,
    });
    await expect(refused).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "root" } });
  });

  it("ends where roots do not", async () => {
    const repository = await TufSimulator.create();
    for (let i = 0; i < 257; i++) await repository.publishRoot();
    const refused = findAnchor({ repository: repository.repository, accepts: nothing });
    await expect(refused).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      details: { role: "root", limit: 256 },
      message: "none of the repository's first 256 roots is one to trust",
      hint: "Give a newer root file as trust anchor",
    });
    expect(repository.requests.at(-1)).toBe("258.root.json");
  });

  it("may be at the last root that is looked at, and asks within limits and with the caller's signal", async () => {
    const repository = await TufSimulator.create();
    for (let i = 0; i < 3; i++) await repository.publishRoot();
    const { signal } = new AbortController();
    const asked: unknown[] = [];
    const place = {
      ...repository.repository,
      metadata: (request: MetadataRequest) => (asked.push(request), repository.repository.metadata(request)),
    };
    const found = await findAnchor({
      repository: place,
      signal,
      accepts: async ({ document }) => document.signed.version === 4,
    });
    expect(found).toEqual({ anchor: repository.files.get("4.root.json") });
    expect(asked).toEqual([1, 2, 3, 4].map((version) => ({ file: `${version}.root.json`, limit: 512_000, signal })));
  });

  it("refuses a first root that is not signed as it demands, and shows it to nobody", async () => {
    const [repository, stranger] = [await TufSimulator.create(), await TufSimulator.create()];
    await repository.serve("root", repository.root, 1, stranger.signers.get("root"));
    const refused = findAnchor({
      repository: repository.repository,
      accepts: () => expect.unreachable("not verified"),
    });
    await expect(refused).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD", details: { role: "root" } });
  });

  it("accepts a root that has expired: that is for the client to judge", async () => {
    const repository = await TufSimulator.create();
    repository.root.expires = new Date("2001-01-01T00:00:00Z");
    const anchor = await repository.serve("root", repository.root, 1);
    expect(await findAnchor({ repository: repository.repository, accepts: anything })).toEqual({ anchor });
  });

  it("reads one view of a place that has one state at a time", async () => {
    const repository = await TufSimulator.create();
    let views = 0;
    const place = {
      ...repository.repository,
      metadata: () => expect.unreachable("the view is to be read"),
      view: () => (views++, repository.repository),
    };
    expect(await findAnchor({ repository: place, accepts: nothing })).toBe("refused");
    expect(views).toBe(1);
  });
});

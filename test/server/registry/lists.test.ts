import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  digestFile,
  digestOfFile,
  repositoryFile,
  repositoryOfFile,
  tagFile,
  tagOfFile,
} from "../../../src/server/registry/file-names.ts";
import { isDigest } from "../../../src/base/digest.ts";
import { expectFault, openTestRegistry, type TestRegistry } from "./registry-fixture.ts";

let registry: TestRegistry;
beforeEach(async () => {
  registry = await openTestRegistry();
});
afterEach(() => registry.close());

/** Few letters, so that names are prefixes of each other, differ by case only and by `.`, `-`, `_`. */
const tag = fc.stringMatching(/^[aAbB_][aAbB0._-]{0,5}$/);
const repository = fc.stringMatching(/^[ab]{1,3}([._-][ab]{1,2}){0,1}(\/[ab]{1,3}){0,2}$/);

async function pages(path: string, key: "tags" | "repositories", n: number): Promise<string[]> {
  const all: string[] = [];
  for (let next: string | undefined = `${path}?n=${n}`; next !== undefined;) {
    const answer = await registry.request("GET", next);
    expect(answer.status).toBe(200);
    const names = ((await answer.json()) as Record<string, string[]>)[key]!;
    expect(names.length).toBeLessThanOrEqual(n);
    all.push(...names);
    const link = answer.headers.get("link");
    if (link !== null) expect(names.length).toBe(n);
    next = link === null ? undefined : /^<(\/v2\/[^>]+)>; rel="next"$/.exec(link)![1];
  }
  return all;
}

test(
  "the list of tags is the sorted set of what was pushed, and its pages are the list cut in pieces",
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tag, { minLength: 1, maxLength: 8 }),
        repository,
        fc.integer({ min: 1, max: 9 }),
        async (names, name, n) => {
          await registry.close();
          registry = await openTestRegistry();
          for (const one of names) await registry.pushImage(name, one);
          const answer = await registry.request("GET", `/v2/${name}/tags/list`);
          const expected = names.toSorted((a, b) => (a < b ? -1 : 1));
          expect(await answer.json()).toEqual({ name, tags: expected });
          expect(answer.headers.get("link")).toBeNull();
          expect(await pages(`/v2/${name}/tags/list`, "tags", n)).toEqual(expected);
        },
      ),
      { numRuns: 15 },
    );
  },
);

test(
  "the catalog is the sorted set of repositories, also where one name begins another",
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(repository, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 9 }),
        async (names, n) => {
          await registry.close();
          registry = await openTestRegistry();
          for (const name of names) await registry.pushBlob(name, new Uint8Array(1));
          const expected = names.toSorted((a, b) => (a < b ? -1 : 1));
          expect(await pages("/v2/_catalog", "repositories", n)).toEqual(expected);
        },
      ),
      { numRuns: 15 },
    );
  },
);

describe("n", () => {
  beforeEach(async () => {
    for (const name of ["v1", "v10", "v2"]) await registry.pushImage("acme/app", name);
  });
  const list = (query: string) => registry.request("GET", `/v2/acme/app/tags/list?${query}`);

  test.each(["2147483648", "1000000000", "99999999999999999999999", "10001"])(
    "of %s is no reason to make room for it",
    async (n) => {
      expect(await (await list(`n=${n}`)).json()).toEqual({ name: "acme/app", tags: ["v1", "v10", "v2"] });
    },
  );

  test.each(["-1", "NaN", "1e9", "", "0x10", "1.5"])("of %j is refused", async (n) => {
    await expectFault(await list(`n=${n}`), 400, "UNSUPPORTED");
  });

  test("of 0 gives an empty list without a link", async () => {
    const answer = await list("n=0");
    expect(await answer.json()).toEqual({ name: "acme/app", tags: [] });
    expect(answer.headers.get("link")).toBeNull();
  });

  test("and last give what comes after, whether that name exists or not", async () => {
    expect(await (await list("last=v1")).json()).toMatchObject({ tags: ["v10", "v2"] });
    expect(await (await list("last=v11&n=5")).json()).toMatchObject({ tags: ["v2"] });
    expect(await (await list("last=zzz")).json()).toMatchObject({ tags: [] });
    expect((await list("last=v1&n=1")).headers.get("link")).toBe('</v2/acme/app/tags/list?n=1&last=v10>; rel="next"');
  });
});

test("a repository that nobody pushed to has no list", async () => {
  await expectFault(await registry.request("GET", "/v2/acme/none/tags/list"), 404, "NAME_UNKNOWN");
});

test("a repository whose tags are all deleted has an empty list", async () => {
  const digest = await registry.pushImage("acme/app", "v1");
  await registry.request("DELETE", `/v2/acme/app/manifests/${digest}`);
  expect(await (await registry.request("GET", "/v2/acme/app/tags/list")).json()).toEqual({
    name: "acme/app",
    tags: [],
  });
});

describe("file names", () => {
  const anyTag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/);

  test("say each name, and only that name, also where the file system folds case", () => {
    fc.assert(
      fc.property(anyTag, anyTag, (a, b) => {
        expect(tagOfFile(tagFile(a))).toBe(a);
        expect(tagFile(a).length).toBeLessThanOrEqual(255);
        expect(tagFile(a)).toMatch(/^[a-z0-9_][a-z0-9._-]*\+[0-9a-f]*$/);
        if (a !== b) expect(tagFile(a).toLowerCase()).not.toBe(tagFile(b).toLowerCase());
      }),
    );
    fc.assert(
      fc.property(repository, repository, (a, b) => {
        expect(repositoryOfFile(repositoryFile(a))).toBe(a);
        expect(repositoryFile(a)).not.toContain("/");
        if (a !== b) expect(repositoryFile(a)).not.toBe(repositoryFile(b));
      }),
    );
    const digest = `sha512:${"ab".repeat(64)}` as const;
    expect(digestOfFile(digestFile(digest))).toBe(digest);
  });

  test("that stand for no name are none", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const asTag = tagOfFile(text);
        expect(asTag === undefined || tagFile(asTag) === text).toBe(true);
        const asRepository = repositoryOfFile(text);
        expect(asRepository === undefined || repositoryFile(asRepository) === text).toBe(true);
        const asDigest = digestOfFile(text);
        expect(asDigest === undefined || (isDigest(asDigest) && digestFile(asDigest) === text)).toBe(true);
      }),
    );
    for (const text of ["v1", "V1+", "v1+0", "v1+02", "v1+4", ".v1+.0123.tmp", "..", "+", "a/b"])
      expect(tagOfFile(text)).toBeUndefined();
    for (const text of ["..", "a/b", "acme+app@manifest", "a++b", "A"]) expect(repositoryOfFile(text)).toBeUndefined();
  });
});

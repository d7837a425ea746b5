import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../../../src/base/errors.ts";
import { parseReference } from "../../../src/oci/reference.ts";
import { repositoryName } from "../../../src/oci/tagged-reference.ts";
import {
  includes,
  matchesPattern as matchesParts,
  overlap,
  parsePattern,
  restOf,
  type RepositoryPattern,
} from "../../../src/trust/policy/pattern.ts";

const matchesPattern = (pattern: RepositoryPattern, repository: string): boolean =>
  matchesParts(pattern, repository.split("/"));

const matches = (pattern: string, reference: string): boolean =>
  matchesPattern(parsePattern(pattern), repositoryName(parseReference(reference)));

describe("parsePattern", () => {
  it.each([
    "ghcr.io/acme/app",
    "ghcr.io/acme/app-*",
    "ghcr.io/*/app",
    "ghcr.io/acme/{rest}",
    "ghcr.io/{rest}",
    "{rest}",
    "*/{rest}",
    "*.gcr.io/acme/{rest}",
    "localhost:*/app",
    "localhost:5000/app",
    "localhost/app",
    "[::1]:5000/app",
    "docker.io/library/hello",
    "docker.io/{rest}",
  ])("takes %s", (text) => {
    expect(parsePattern(text).text).toBe(text);
  });

  it.each([
    ["", "not a host"],
    ["acme/app", "docker.io"],
    ["hello", "docker.io"],
    ["docker.io/hello", "docker.io/library/hello"],
    ["docker.io/*", "docker.io/library/*"],
    ["index.docker.io/library/hello", "docker.io"],
    ["GHCR.io/acme/app", "ghcr.io"],
    ["ghcr.io/Acme/app", "no repository"],
    ["ghcr.io/acme/app:v1", "not for tags"],
    ["ghcr.io/acme/app@sha256:00", "not for digests"],
    ["ghcr.io", "names a host only"],
    ["ghcr.io/", "no repository"],
    ["ghcr.io/acme//app", "no repository"],
    ["ghcr.io/acme/../app", "no repository"],
    ["ghcr.io/acme/.*", "no repository"],
    ["ghcr.io/**", "no more than one"],
    ["ghcr.io/{rest}/app", "only once"],
    ["{rest}/app", "only once"],
    ["ghcr.io/x{rest}", "only once"],
    ["ghcr.io/{any}", "only once"],
    ["*gcr.io/acme/{rest}", "stands alone"],
    ["ghcr.io*/acme/{rest}", "stands alone"],
    ["ghcr.i*/acme/{rest}", "stands alone"],
    ["ghcr.io:5*/acme/{rest}", "stands alone"],
    ["https://ghcr.io/acme", "not a host"],
    ["ghcr.io/аcme/app", "no repository"], // a Cyrillic a
    ["ghcr.іo/acme/app", "not a host"], // a Cyrillic i
    ["ghcr。io/acme/app", "not a host"], // an ideographic full stop, which URLs take for a dot
    ["ghcr.io/acme/app ", "no repository"],
    ["ghcr.io/acme/\u200bapp", "no repository"],
    ["127.1/app", "127.0.0.1"],
    ["ghcr.io:99999/app", "not a host"],
    [`ghcr.io/${"a".repeat(600)}`, "too long"],
  ])("refuses %j", (text, reason) => {
    expect(() => parsePattern(text)).toThrow(UsageError);
    expect(() => parsePattern(text)).toThrow(reason);
  });

  it("ends any text in a pattern or in its own error", () => {
    const texts = fc.string({
      unit: fc.constantFrom("a", "*", "/", ".", ":", "{rest}", "-", "[", "1", "A"),
      maxLength: 12,
    });
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parsePattern(text);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});

describe("matchesPattern", () => {
  it.each([
    ["ghcr.io/acme/app-*", "ghcr.io/acme/app-one", true],
    ["ghcr.io/acme/app-*", "ghcr.io/acme/app-one/two", false],
    ["ghcr.io/acme/*", "ghcr.io/acme/app", true],
    ["ghcr.io/acme/*", "ghcr.io/acme/team/app", false],
    ["ghcr.io/acme/{rest}", "ghcr.io/acme/team/app", true],
    ["ghcr.io/acme/{rest}", "ghcr.io/acme", false],
    ["ghcr.io/acme/{rest}", "ghcr.io/acme-evil/app", false],
    ["ghcr.io/*/app", "ghcr.io/x/app", true],
    ["ghcr.io/*/app", "ghcr.io/x/y/app", false],
    ["*.gcr.io/x", "eu.gcr.io/x", true],
    ["*.gcr.io/x", "gcr.io/x", false],
    ["*.gcr.io/x", "evilgcr.io/x", false],
    ["*.gcr.io/x", "eu.gcr.io.evil.test/x", false],
    ["*.gcr.io/x", "eu.gcr.io:8443/x", false],
    ["*/acme/{rest}", "ghcr.io/acme/app", true],
    ["*/acme/{rest}", "localhost:5000/acme/app", true],
    ["*/acme/{rest}", "evil.test/ghcr.io/acme/app", false],
    ["ghcr.io/acme/{rest}", "evil.test/ghcr.io/acme/app", false],
    ["ghcr.io/{rest}", "ghcr.io:443/acme/app", false],
    ["localhost:*/app", "localhost:5000/app", true],
    ["localhost:*/app", "localhost/app", false],
    ["localhost:5000/app", "localhost:5001/app", false],
    ["docker.io/library/hello", "hello", true],
    ["docker.io/library/hello", "index.docker.io/hello", true],
    ["docker.io/library/*", "hello", true],
    ["{rest}", "hello", true],
    ["{rest}", "localhost:5000/x", true],
  ])("%s, asked for %s: %s", (pattern, reference, expected) => {
    expect(matches(pattern, reference)).toBe(expected);
  });

  it("covers each way to type a reference", () => {
    for (const reference of [
      "hello",
      "hello:v1",
      "docker.io/hello",
      "DOCKER.IO/hello",
      "index.docker.io/library/hello",
    ]) {
      expect(matches("docker.io/library/hello", reference)).toBe(true);
    }
    expect(matches("ghcr.io/acme/app", "GHCR.IO/acme/app")).toBe(true);
  });

  it("knows what {rest} stands for", () => {
    expect(restOf(parsePattern("ghcr.io/{rest}"), "ghcr.io/acme/team/app")).toBe("acme/team/app");
    expect(restOf(parsePattern("ghcr.io/*/{rest}"), "ghcr.io/acme/team/app")).toBe("team/app");
    expect(restOf(parsePattern("ghcr.io/acme/app"), "ghcr.io/acme/app")).toBeUndefined();
  });
});

const patterns = fc
  .tuple(
    fc.constantFrom("a.io", "*", "*.io", "a.*"),
    fc.array(fc.constantFrom("x", "y", "*", "x*", "*x", "x*y"), { maxLength: 3 }),
    fc.boolean(),
  )
  .filter(([, path, rest]) => rest || path.length > 0)
  .map(([host, path, rest]) => parsePattern([host, ...path, ...(rest ? ["{rest}"] : [])].join("/")));

const repositories = fc
  .tuple(
    fc.constantFrom("a.io", "b.io", "a.b", "a.b.io"),
    fc.array(fc.constantFrom("x", "y", "xy", "xxy", "yx", "z"), { minLength: 1, maxLength: 4 }),
  )
  .map(([host, path]) => [host, ...path].join("/"));

describe("includes and overlap", () => {
  it("does not include in {rest} the repository that has no further part", () => {
    const rest = parsePattern("a.io/x/{rest}");
    expect(includes(rest, parsePattern("a.io/x"))).toBe(false);
    expect(includes(rest, parsePattern("a.io/x/y"))).toBe(true);
    expect(includes(rest, parsePattern("a.io/x/{rest}"))).toBe(true);
    expect(includes(parsePattern("a.io/x/y/{rest}"), rest)).toBe(false);
  });

  it("includes a pattern exactly where every repository of it is one of the other's", () => {
    fc.assert(
      fc.property(patterns, patterns, repositories, (a, b, repository) => {
        if (includes(a, b) && matchesPattern(b, repository)) expect(matchesPattern(a, repository)).toBe(true);
        expect(includes(a, a)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("finds a repository that is in one and not in the other where it is not included", () => {
    const unlike = (b: string): string => b.replaceAll("*", "q").replace("{rest}", "q/q/q/q");
    fc.assert(
      fc.property(patterns, patterns, (a, b) => {
        // what a `*` of b may be, a literal of a is not: `q` stands in no pattern
        if (!includes(a, b) && !b.hasRest) expect(matchesPattern(a, unlike(b.text))).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("gives a repository that both match, and none only where there is none", () => {
    fc.assert(
      fc.property(patterns, patterns, repositories, (a, b, repository) => {
        const common = overlap(a, b);
        if (common === undefined) expect(matchesPattern(a, repository) && matchesPattern(b, repository)).toBe(false);
        else expect([matchesPattern(a, common), matchesPattern(b, common)]).toEqual([true, true]);
      }),
      { numRuns: 2_000 },
    );
  });
});

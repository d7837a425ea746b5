import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { formatReference, isRepositoryName, isTag, parseReference, registryApiHost } from "../../src/oci/reference.ts";

const HEX = "0123456789abcdef".repeat(4);
const DIGEST = `sha256:${HEX}`;

function refusal(text: string): UsageError {
  try {
    parseReference(text);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe("parseReference", () => {
  it.each([
    ["hello", "docker.io", "library/hello"],
    ["acme/hello", "docker.io", "acme/hello"],
    ["docker.io/hello", "docker.io", "library/hello"],
    ["index.docker.io/hello", "docker.io", "library/hello"],
    ["index.docker.io/acme/hello", "docker.io", "acme/hello"],
    ["docker.io/library/hello", "docker.io", "library/hello"],
    ["ghcr.io/acme/app", "ghcr.io", "acme/app"],
    ["GHCR.io/acme/app", "ghcr.io", "acme/app"],
    ["localhost/app", "localhost", "app"],
    ["localhost:5000/app", "localhost:5000", "app"],
    ["LOCALHOST/app", "localhost", "app"],
    ["registry:5000/a/b/c", "registry:5000", "a/b/c"],
    ["127.0.0.1:5000/app", "127.0.0.1:5000", "app"],
    ["127.1:5000/app", "127.0.0.1:5000", "app"],
    ["0x7f.1:5000/app", "127.0.0.1:5000", "app"],
    ["[::1]:5000/app", "[::1]:5000", "app"],
    ["[0:0:0:0:0:0:0:1]/app", "[::1]", "app"],
    ["[2001:DB8::1]:443/app", "[2001:db8::1]:443", "app"],
    ["host:443/app", "host:443", "app"],
    ["a.b/c__d/e-f/g---h/i.j", "a.b", "c__d/e-f/g---h/i.j"],
  ])("reads %s", (text, registry, repository) => {
    expect(parseReference(text)).toEqual({ registry, repository });
  });

  it("reads tag, digest and both", () => {
    expect(parseReference("ghcr.io/acme/app:v1.2-3_x")).toMatchObject({ tag: "v1.2-3_x" });
    expect(parseReference(`ghcr.io/acme/app@${DIGEST}`)).toEqual({
      registry: "ghcr.io",
      repository: "acme/app",
      digest: DIGEST,
    });
    expect(parseReference(`host:5000/app:V1@sha512:${HEX}${HEX}`)).toEqual({
      registry: "host:5000",
      repository: "app",
      tag: "V1",
      digest: `sha512:${HEX}${HEX}`,
    });
  });

  it("takes a colon after the last slash for a tag and one before it for a port", () => {
    expect(parseReference("host:5000/app")).toEqual({ registry: "host:5000", repository: "app" });
    expect(parseReference("host:5000")).toEqual({ registry: "docker.io", repository: "library/host", tag: "5000" });
  });

  it("accepts a tag of 128 characters and a name of 255, and refuses one more", () => {
    const name = "a".repeat(255);
    expect(parseReference(`h.io/${name}:${"t".repeat(128)}`).tag).toHaveLength(128);
    expect(refusal(`h.io/a:${"t".repeat(129)}`).message).toContain("tag");
    expect(refusal(`h.io/${name}a`).message).toContain("255");
  });

  it.each([
    ["nothing", ""],
    ["a capital letter in the path", "ghcr.io/Acme/app"],
    ["a capital letter where a host or a path may be meant", "Acme/app"],
    ["an image id", HEX],
    ["a URL", "https://ghcr.io/acme/app"],
    ["a missing path", "ghcr.io/"],
    ["a missing host", "/app"],
    ["an empty path component", "ghcr.io/a//b"],
    ["a path that leaves the repository", "ghcr.io/a/../b"],
    ["a dot as component", "ghcr.io/./a"],
    ["a component that starts with a separator", "ghcr.io/-a"],
    ["three underscores", "ghcr.io/a___b"],
    ["two dots", "ghcr.io/a..b"],
    ["an empty tag", "ghcr.io/a:"],
    ["a tag that starts with a dot", "ghcr.io/a:.x"],
    ["a tag with a slash in it", "ghcr.io/a:x/y:z/w"],
    ["an empty digest", "ghcr.io/a@"],
    ["two digests", `ghcr.io/a@${DIGEST}@${DIGEST}`],
    ["a short digest", "ghcr.io/a@sha256:abcd"],
    ["a digest in capitals", `ghcr.io/a@sha256:${HEX.toUpperCase()}`],
    ["another algorithm", "ghcr.io/a@md5:d41d8cd98f00b204e9800998ecf8427e"],
    ["port 0", "host:0/a"],
    ["a port beyond 65535", "host:65536/a"],
    ["a port that is none", "host:x/a"],
    ["a user name", "user@ghcr.io/a"],
    ["a host with an underscore", "a_b.io/c"],
    ["a host that ends in a dot", "ghcr.io./a"],
    ["an IPv6 address without brackets", "::1/a"],
    ["an IPv6 address that is none", "[:::1]/a"],
    ["an IPv4 address that is none", "1.2.3.999/a"],
    ["a space", "ghcr.io/a b"],
    ["a line break", "ghcr.io/a\n"],
    ["a NUL", "ghcr.io/a\u0000"],
    ["a query", "ghcr.io/a?x=y"],
    ["a percent sign", "ghcr.io/%2e%2e/a"],
    ["a backslash", "ghcr.io\\a/b"],
    ["a letter beyond ASCII in the host", "ghćr.io/a"],
    ["a letter that lower-cases into ASCII", "ghcr.io/\u212aey"],
    ["5 kB", `ghcr.io/${"a/".repeat(2560)}a`],
  ])("refuses %s, with a hint", (_what, text) => {
    const error = refusal(text);
    expect(error.code).toBe("REFERENCE_INVALID");
    expect(error.hint).toBeTruthy();
    expect(error.message.length).toBeLessThan(400);
  });

  it("says what to type where only the case is wrong", () => {
    expect(refusal("ghcr.io/Acme/app:V1").hint).toBe("Try ghcr.io/acme/app:V1");
  });

  it("never lets control characters of a reference into a message", () => {
    expect(refusal("ghcr.io/a\u001b[2J").message).not.toContain("\u001b");
  });

  const component = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
  const host = fc.oneof(
    fc.stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z]\.[a-z]{2,6}$/),
    fc.ipV4(),
    fc.constantFrom("localhost", "[::1]", "[2001:db8::7]"),
  );
  const port = fc.option(fc.integer({ min: 1, max: 65535 }), { nil: undefined });
  const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined });
  const digest = fc.option(fc.constant(DIGEST), { nil: undefined });

  it("reads back what it writes", () => {
    fc.assert(
      fc.property(
        host,
        port,
        fc.array(component, { minLength: 1, maxLength: 4 }),
        tag,
        digest,
        (name, number, path, label, hash) => {
          const registry = number === undefined ? name : `${name}:${number}`;
          const text = `${registry}/${path.join("/")}${label === undefined ? "" : `:${label}`}${hash === undefined ? "" : `@${hash}`}`;
          const reference = parseReference(text);
          expect(parseReference(formatReference(reference))).toEqual(reference);
          expect(reference.registry).toBe(registry);
          expect(reference.repository).toBe(path.join("/"));
        },
      ),
    );
  });

  it("gives for any text either a reference that is its own normal form or REFERENCE_INVALID", () => {
    const pieces = fc.constantFrom(
      "a",
      "B",
      ".",
      ":",
      "/",
      "@",
      "-",
      "_",
      "[",
      "]",
      "%",
      "\n",
      "localhost",
      DIGEST,
      "5000",
      "é",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((parts) => parts.join("")),
        ),
        (text) => {
          let reference;
          try {
            reference = parseReference(text);
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
            return;
          }
          expect(parseReference(formatReference(reference))).toEqual(reference);
          expect(isRepositoryName(reference.repository)).toBe(true);
          // What goes into a request must stay where it was put.
          const url = new URL(`https://${reference.registry}/v2/${reference.repository}/manifests/x`);
          expect(url.pathname).toBe(`/v2/${reference.repository}/manifests/x`);
          expect(url.username).toBe("");
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("isTag", () => {
  it.each(["", "a b", "../x", "a/b", "a:b", "\u0000", "x\n"])("refuses %j", (text) => {
    expect(isTag(text)).toBe(false);
  });
});

describe("registryApiHost", () => {
  it("knows that Docker Hub's API lives elsewhere", () => {
    expect(registryApiHost("docker.io")).toBe("registry-1.docker.io");
    expect(registryApiHost("ghcr.io")).toBe("ghcr.io");
  });
});

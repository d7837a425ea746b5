import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WasmToOciError } from "../../src/base/errors.ts";
import { nextPage, redirectTarget, uploadLocation } from "../../src/oci/location.ts";

const FROM = new URL("https://registry.example.com/v2/acme/app/blobs/uploads/");

function code(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof WasmToOciError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("redirectTarget", () => {
  it.each([
    ["another host", "https://cdn.example.net/blob?sig=x", "https://cdn.example.net/blob?sig=x"],
    ["a relative path", "/other", "https://registry.example.com/other"],
    ["another port", "https://registry.example.com:8443/b", "https://registry.example.com:8443/b"],
    ["a fragment, without it", "https://cdn.example.net/b#f", "https://cdn.example.net/b"],
  ])("leads to %s", (_what, location, expected) => {
    expect(redirectTarget(location, FROM, undefined).href).toBe(expected);
  });

  it.each([
    ["http", "http://cdn.example.net/b"],
    ["http on the same host", "http://registry.example.com/b"],
    ["a file", "file:///etc/passwd"],
    ["a user name", "https://u:p@cdn.example.net/b"],
    ["loopback", "https://127.0.0.1/b"],
    ["loopback in decimal", "https://2130706433/b"],
    ["the metadata service", "https://169.254.169.254/b"],
    ["a private network", "https://10.1.1.1/b"],
    ["IPv6 loopback", "https://[::1]/b"],
  ])("refuses %s", (_what, location) => {
    expect(code(() => redirectTarget(location, FROM, undefined))).toBe("REDIRECT_REFUSED");
    expect(code(() => redirectTarget(location, FROM, "93.184.216.34"))).toBe("REDIRECT_REFUSED");
  });

  it("lets a private registry name its private storage, and nobody but loopback name loopback", () => {
    expect(redirectTarget("https://10.0.0.9:9000/b", FROM, "10.0.0.5").host).toBe("10.0.0.9:9000");
    expect(code(() => redirectTarget("https://127.0.0.1/b", FROM, "10.0.0.5"))).toBe("REDIRECT_REFUSED");
    const local = new URL("http://127.0.0.1:5000/v2/");
    expect(redirectTarget("http://127.0.0.1:9000/b", local, "127.0.0.1").host).toBe("127.0.0.1:9000");
  });

  it.each([null, "", "https://", "http://[", "x".repeat(20_000)])("refuses the location %j", (location) => {
    expect(code(() => redirectTarget(location, FROM, undefined))).toMatch(/RESPONSE_INVALID/);
  });
});

describe("uploadLocation", () => {
  it.each([
    ["/v2/acme/app/blobs/uploads/1?_state=x", "https://registry.example.com/v2/acme/app/blobs/uploads/1?_state=x"],
    ["uuid", "https://registry.example.com/v2/acme/app/blobs/uploads/uuid"],
    ["https://registry.example.com/u/1", "https://registry.example.com/u/1"],
    ["https://registry.example.com:443/u/1", "https://registry.example.com/u/1"],
    ["https://REGISTRY.example.com/u/1", "https://registry.example.com/u/1"],
    ["//registry.example.com/u/1", "https://registry.example.com/u/1"],
  ])("accepts %s", (location, expected) => {
    expect(uploadLocation(location, FROM).href).toBe(expected);
  });

  it.each([
    "https://evil.example/u/1",
    "//evil.example/u/1",
    "https://registry.example.com:8443/u/1",
    "http://registry.example.com/u/1",
    "https://user@registry.example.com/u/1",
    "https://registry.example.com.evil.example/u/1",
    "https://registry.example.com@evil.example/u/1",
    "https://127.0.0.1/u/1",
    "\\\\evil.example\\u",
    "javascript:alert(1)",
  ])("refuses %s", (location) => {
    expect(code(() => uploadLocation(location, FROM))).toBe("REDIRECT_REFUSED");
  });

  it("never leaves the registry, whatever the header", () => {
    const piece = fc.constantFrom(
      "https:",
      "http:",
      "/",
      "//",
      "\\",
      "@",
      ":",
      "evil.example",
      "registry.example.com",
      "?",
      "#",
      "..",
      "\t",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        let target;
        try {
          target = uploadLocation(pieces.join(""), FROM);
        } catch (error) {
          expect(error).toBeInstanceOf(WasmToOciError);
          return;
        }
        expect([target.origin, target.username]).toEqual([FROM.origin, ""]);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("nextPage", () => {
  it.each<[string | null, string | undefined]>([
    ['</v2/a/tags/list?n=1&last=x>; rel="next"', "https://registry.example.com/v2/a/tags/list?n=1&last=x"],
    ["</next>;rel=next", "https://registry.example.com/next"],
    ['<https://registry.example.com/next>; title="a, b"; rel="next"', "https://registry.example.com/next"],
    ['</prev>; rel="prev", </next>; rel="next"', "https://registry.example.com/next"],
    ['</prev>; rel="prev"', undefined],
    ["", undefined],
    [null, undefined],
    ["no link at all", undefined],
  ])("reads %j", (link, expected) => {
    expect(nextPage(link, FROM)?.href).toBe(expected);
  });

  it.each([
    "https://evil.example/v2/",
    "http://registry.example.com/v2/",
    "http://169.254.169.254/",
    "//evil.example/",
  ])("refuses to go on at %s", (address) => {
    expect(code(() => nextPage(`<${address}>; rel="next"`, FROM))).toBe("REDIRECT_REFUSED");
  });

  it("reads any header in bounded time", () => {
    for (const unit of ["<", "<a>;", "<a>; a=b", '<a>; a="', ";", " "]) {
      const start = performance.now();
      nextPage(unit.repeat(16_000 / unit.length), FROM);
      expect(performance.now() - start).toBeLessThan(500);
    }
  });
});

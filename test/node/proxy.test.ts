import { describe, expect, it } from "vitest";
import { proxyAuthorization, proxyFromEnvironment } from "../../src/node/proxy.ts";

const find = (env: Record<string, string>, target: string) => proxyFromEnvironment(env)(new URL(target))?.href;
const BOTH = { HTTP_PROXY: "http://p:1", HTTPS_PROXY: "http://q:2" };

describe("proxyFromEnvironment", () => {
  it("takes the proxy of the target's scheme, in lower case before upper", () => {
    expect(find(BOTH, "http://a.example/")).toBe("http://p:1/");
    expect(find(BOTH, "https://a.example/")).toBe("http://q:2/");
    expect(find({ ...BOTH, https_proxy: "http://r:3" }, "https://a.example/")).toBe("http://r:3/");
    expect(find({ ALL_PROXY: "https://s:4" }, "https://a.example/")).toBe("https://s:4/");
    expect(find({}, "https://a.example/")).toBeUndefined();
    expect(find({ HTTPS_PROXY: "" }, "https://a.example/")).toBeUndefined();
    expect(find({ HTTPS_PROXY: "proxy.example:3128" }, "https://a.example/")).toBe("http://proxy.example:3128/");
  });

  it.each(["localhost", "127.0.0.1", "[::1]", "x.localhost", "127.9.9.9"])("never uses one for %s", (host) => {
    expect(find(BOTH, `https://${host}:5000/`)).toBeUndefined();
  });

  it("ignores HTTP_PROXY under CGI, where a request can set it", () => {
    expect(find({ ...BOTH, REQUEST_METHOD: "GET" }, "http://a.example/")).toBeUndefined();
    expect(find({ http_proxy: "http://p:1", REQUEST_METHOD: "GET" }, "http://a.example/")).toBe("http://p:1/");
  });

  it.each([
    ["*", "https://a.example/", true],
    ["a.example", "https://a.example/", true],
    ["a.example", "https://b.a.example/", true],
    ["a.example", "https://ba.example/", false],
    [".a.example", "https://b.a.example/", true],
    [".a.example", "https://a.example/", false],
    ["*.a.example", "https://b.a.example/", true],
    ["A.Example", "https://a.example/", true],
    ["a.example:443", "https://a.example/", true],
    ["a.example:444", "https://a.example/", false],
    ["x, a.example y", "https://a.example/", true],
    ["10.0.0.0/8", "https://10.9.8.7/", true],
    ["10.0.0.0/8", "https://11.9.8.7/", false],
    ["10.0.0.0/99", "https://10.9.8.7/", false],
    ["10.9.8.7", "https://10.9.8.7/", true],
    ["10.9.8.7:443", "https://10.9.8.7/", true],
    ["fd00::/8", "https://[fd12::1]/", true],
    ["[fd12::1]:443", "https://[fd12::1]/", true],
    ["fd12::1", "https://[fd12::1]/", true],
    ["", "https://a.example/", false],
    [":::", "https://a.example/", false],
  ])("NO_PROXY=%s excludes %s: %s", (list, target, excluded) => {
    expect(find({ ...BOTH, NO_PROXY: list }, target) === undefined).toBe(excluded);
  });

  it.each(["socks5://p:1", "http://", "://", "http://u:100%@p:1", "http://u%4:1@p"])(
    "refuses the proxy %s without showing it",
    (proxy) => {
      expect(() => proxyFromEnvironment({ HTTPS_PROXY: proxy })).toThrow(
        expect.objectContaining({ code: "CONFIG_INVALID" }),
      );
    },
  );
});

describe("proxyAuthorization", () => {
  it("decodes what the address holds", () => {
    expect(proxyAuthorization(new URL("http://a%40b:c%3Ad@p:1"))).toBe(`Basic ${btoa("a@b:c:d")}`);
    expect(proxyAuthorization(new URL("http://p:1"))).toBeUndefined();
  });
});

import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/base/errors.ts";
import { checkRealm } from "../../src/base/realm.ts";

function check(server: string, realm: string, options: { withCredentials?: boolean; allow?: boolean } = {}) {
  return checkRealm(realm, {
    server: new URL(server),
    withCredentials: options.withCredentials ?? true,
    allow: () => options.allow ?? false,
  });
}

describe("checkRealm", () => {
  it.each([
    ["Docker Hub's own token server", "https://registry-1.docker.io/", "https://auth.docker.io/token"],
    ["the server itself", "https://ghcr.io/", "https://ghcr.io/token"],
    ["the server itself with its port spelt out", "https://example.com/", "https://example.com:443/token"],
    ["the server itself on its port", "https://registry.corp:5000/", "https://registry.corp:5000/token"],
    ["the server itself at a private address", "https://10.0.0.5:5000/", "https://10.0.0.5:5000/token"],
    ["the same private address on another port", "https://10.0.0.5:5000/", "https://10.0.0.5:5001/token"],
    ["a plain http server's own", "http://registry.corp:5000/", "http://registry.corp:5000/token"],
    ["a step from http to https", "http://registry.example.com/", "https://auth.example.com/token"],
    ["loopback from loopback", "http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"],
    ["loopback from loopback by name", "http://localhost:5000/", "https://127.0.0.1:5001/token"],
    ["a sibling in the same domain", "https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"],
    ["a sibling below a country's suffix", "https://registry.acme.co.uk/", "https://auth.acme.co.uk/token"],
    ["an internal name from an internal name", "https://registry.acme.internal/", "https://auth.acme.internal/token"],
  ])("accepts %s", (_what, server, realm) => {
    expect(check(server, realm).href).toBe(new URL(realm).href);
  });

  it.each([
    ["http from https", "http://registry.example.com/token"],
    ["another scheme", "ftp://registry.example.com/token"],
    ["a file", "file:///etc/passwd"],
    ["javascript", "javascript:alert(1)"],
    ["data", "data:text/plain,x"],
    ["no address", "/token"],
    ["nothing", ""],
    ["a user name", "https://user@registry.example.com/token"],
    ["a look-alike user name", "https://registry.example.com:x@evil.example/token"],
    ["loopback", "https://127.0.0.1/token"],
    ["loopback in decimal", "https://2130706433/token"],
    ["loopback in hexadecimal", "https://0x7f000001/token"],
    ["loopback in octal", "https://0177.0.0.1/token"],
    ["loopback in short", "https://127.1/token"],
    ["loopback by name", "https://localhost/token"],
    ["loopback by a longer name", "https://x.localhost/token"],
    ["loopback in IPv6", "https://[::1]/token"],
    ["loopback mapped into IPv6", "https://[::ffff:127.0.0.1]/token"],
    ["nowhere", "https://0.0.0.0/token"],
    ["nowhere in IPv6", "https://[::]/token"],
    ["the metadata service", "https://169.254.169.254/latest/meta-data/"],
    ["the metadata service by name", "https://metadata.google.internal/token"],
    ["a private network", "https://10.0.0.1/token"],
    ["another private network", "https://192.168.0.1/token"],
    ["a private network in IPv6", "https://[fd00::1]/token"],
    ["a link-local address", "https://[fe80::1]/token"],
    ["a bare public address", "https://8.8.8.8/token"],
    ["a host without domain", "https://metadata/token"],
    ["a trailing dot", "https://auth.example.com./token"],
    ["an internationalised host", "https://аuth.example.com/token"],
    ["punycode", "https://xn--uth-6cd.example.com/token"],
    ["another domain", "https://auth.evil.example/token"],
    ["a look-alike", "https://evilexample.com/token"],
    ["a host that only starts like it", "https://example.com.evil.test/token"],
    ["an address that is too long", `https://auth.example.com/${"a".repeat(3000)}`],
  ])("refuses %s before anything is sent", (_what, realm) => {
    expect(() => check("https://registry.example.com/", realm)).toThrow(
      expect.objectContaining({
        code: "REDIRECT_REFUSED",
        details: expect.objectContaining({ reason: "REALM_REFUSED" }),
      }),
    );
  });

  it.each([
    ["two customers of one host", "https://acme.azurecr.io/", "https://evil.azurecr.io/oauth2/token"],
    ["two buckets in one region", "https://a.us-east-1.amazonaws.com/", "https://b.us-east-1.amazonaws.com/token"],
    ["two companies below co.uk", "https://registry.acme.co.uk/", "https://evil.co.uk/token"],
    ["https from https to loopback", "https://127.0.0.1:5000/", "http://127.0.0.1:5000/token"],
    ["a private host from a loopback one", "http://127.0.0.1:5000/", "http://10.0.0.1/token"],
  ])("keeps %s apart", (_what, server, realm) => {
    expect(() => check(server, realm)).toThrow(TransportError);
  });

  it("asks another domain without credentials, or where a person allowed the pair", () => {
    const realm = "https://auth.other.example/token";
    expect(check("https://registry.example.com/", realm, { withCredentials: false }).host).toBe("auth.other.example");
    expect(check("https://registry.example.com/", realm, { allow: true }).host).toBe("auth.other.example");
  });

  it("lets no permission reach a local address", () => {
    expect(() => check("https://registry.example.com/", "https://10.0.0.1/", { allow: true })).toThrow(TransportError);
  });

  it("keeps a password in the address out of the message", () => {
    const realm = "https://user:hunter2@registry.example.com/token?key=hunter3#hunter4";
    expect(() => check("https://registry.example.com/", realm)).toThrow(/^(?!.*hunter)/s);
  });
});

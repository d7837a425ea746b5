import fc from "fast-check";
import { isIP } from "node:net";
import { describe, expect, it } from "vitest";
import { addressScope } from "../../src/base/ip-address.ts";

describe("addressScope", () => {
  it.each([
    ["127.0.0.1", "loopback"],
    ["127.255.255.254", "loopback"],
    ["::1", "loopback"],
    ["[::1]", "loopback"],
    ["::ffff:127.0.0.1", "loopback"],
    ["::ffff:7f00:1", "loopback"],
    ["localhost", "loopback"],
    ["LOCALHOST", "loopback"],
    ["localhost.", "loopback"],
    ["evil.localhost", "loopback"],
    ["0.0.0.0", "private"],
    ["10.1.2.3", "private"],
    ["100.64.0.1", "private"],
    ["169.254.169.254", "private"],
    ["172.16.0.1", "private"],
    ["172.31.255.255", "private"],
    ["192.168.1.1", "private"],
    ["224.0.0.1", "private"],
    ["255.255.255.255", "private"],
    ["::", "private"],
    ["fc00::1", "private"],
    ["fd12:3456::1", "private"],
    ["fe80::1%eth0", "private"],
    ["ff02::1", "private"],
    ["::ffff:10.0.0.1", "private"],
    ["::10.0.0.1", "private"],
    ["64:ff9b::a00:1", "private"],
    ["2002:0a00:0001::1", "private"],
    ["2001:db8::1", "private"],
    ["8.8.8.8", "public"],
    ["172.32.0.1", "public"],
    ["100.128.0.1", "public"],
    ["2606:4700::1111", "public"],
    ["::ffff:8.8.8.8", "public"],
    ["64:ff9b::808:808", "public"],
  ])("takes %s for %s", (host, scope) => {
    expect(addressScope(host)).toBe(scope);
  });

  it.each([
    "example.com",
    "localhost.example.com",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    ":::",
    "1::2::3",
    "12345::",
    "",
    "g::1",
  ])("takes %j for a name", (host) => {
    expect(addressScope(host)).toBeUndefined();
  });

  it("knows every address that Node knows, in the spelling of URLs", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        expect(isIP(address)).not.toBe(0);
        const host = new URL(`http://${address.includes(":") ? `[${address}]` : address}/`).hostname;
        expect(addressScope(host)).toBeDefined();
        expect(addressScope(address)).toBe(addressScope(host));
      }),
      { numRuns: 1000 },
    );
  });
});

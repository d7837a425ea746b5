import { describe, expect, test } from "vitest";
import { Certificate, parseCertificates } from "../../src/keys/certificate.ts";
import { chainsTo } from "../../src/keys/certificate-chain.ts";
import { openssl } from "../support/key-fixtures.ts";

const load = (name: string): Certificate => parseCertificates(openssl(`${name}.crt`))[0]!;
const NOW = new Date(load("leaf").notBefore.getTime() + 1000);
const chains = (leaf: string, intermediates: string[], anchors: string[], now = NOW) =>
  chainsTo(load(leaf), intermediates.map(load), anchors.map(load), now);

describe("accepts a leaf", () => {
  test.each([
    ["issued by the anchor", "leaf-code-signing", [], ["authority"]],
    ["for servers, as Notary's programs want it", "leaf-server", [], ["authority"]],
    ["issued by an intermediate", "leaf", ["intermediate"], ["authority"]],
    ["issued by an intermediate among others", "leaf", ["second", "authority-rsa", "intermediate"], ["authority"]],
    ["whose anchor is the intermediate itself", "leaf", [], ["intermediate"]],
    ["of an RSA authority among several anchors", "leaf-of-rsa", [], ["authority", "authority-rsa"]],
  ])("%s", async (_, leaf, intermediates, anchors) => {
    expect(await chains(leaf, intermediates, anchors)).toBe(true);
  });
});

test("a certificate whose signed part names another signature algorithm than its signature is none", () => {
  const bytes = load("leaf-server").bytes.slice();
  const ecdsaSha256 = Buffer.from("2a8648ce3d040302", "hex");
  const inner = Buffer.from(bytes).indexOf(ecdsaSha256);
  expect(inner).toBeGreaterThan(0);
  bytes[inner + ecdsaSha256.length - 1] = 3; // ECDSA with SHA-384
  expect(() => new Certificate(bytes)).toThrow("two signature algorithms");
});

describe("refuses a leaf", () => {
  test.each([
    ["of another authority", "leaf-of-rsa", [], ["authority"]],
    ["whose intermediate is missing", "leaf", [], ["authority"]],
    [
      "whose intermediates go deeper than the path length allows",
      "leaf-below-second",
      ["second", "intermediate"],
      ["authority"],
    ],
    ["issued by another leaf", "leaf-of-leaf", ["leaf-server"], ["authority"]],
    ["for e-mail only", "leaf-email", [], ["authority"]],
    ["that may not sign", "leaf-agreement", [], ["authority"]],
    ["with a critical extension that is not known", "leaf-critical", [], ["authority"]],
    ["that is an authority itself", "intermediate", [], ["authority"]],
    ["without any anchor", "leaf-server", [], []],
    ["that brings its own anchor as an intermediate", "leaf-server", ["authority"], []],
  ])("%s", async (_, leaf, intermediates, anchors) => {
    expect(await chains(leaf, intermediates, anchors)).toBe(false);
  });

  test("where only one of the marks of an authority is there, or it bears one itself", async () => {
    const [leaf, authority] = [load("leaf-server"), load("authority")];
    const altered = (certificate: Certificate, change: object): Certificate =>
      Object.create(certificate, { extensions: { value: { ...certificate.extensions, ...change } } }) as Certificate;
    expect(await chainsTo(altered(leaf, {}), [], [altered(authority, {})], NOW)).toBe(true);
    for (const lacking of [{ isCa: false }, { mayIssue: false }]) {
      expect(await chainsTo(leaf, [], [altered(authority, lacking)], NOW)).toBe(false);
    }
    expect(await chainsTo(altered(leaf, { isCa: true }), [], [authority], NOW)).toBe(false);
  });

  test("when it, an intermediate or the anchor is not valid", async () => {
    const after = new Date(load("leaf").notAfter.getTime() + 1000);
    const before = new Date(load("authority").notBefore.getTime() - 25 * 60 * 60 * 1000);
    for (const now of [after, before]) expect(await chains("leaf", ["intermediate"], ["authority"], now)).toBe(false);
  });

  test("whose signature was changed", async () => {
    const bytes = load("leaf-server").bytes.slice();
    bytes[bytes.length - 3]! ^= 1;
    expect(await chainsTo(new Certificate(bytes), [], [load("authority")], NOW)).toBe(false);
  });
});

test("follows authorities that issue each other in a circle once, and comes to an end", async () => {
  const circle = Array.from({ length: 60 }, () => load("second")).concat(
    Array.from({ length: 60 }, () => load("intermediate")),
  );
  const started = performance.now();
  expect(await chainsTo(load("leaf-below-second"), circle, [load("authority-rsa")], NOW)).toBe(false);
  expect(performance.now() - started).toBeLessThan(5000);
});

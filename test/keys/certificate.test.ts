import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { WasmToOciError } from "../../src/base/errors.ts";
import { Certificate, createSelfSignedCertificate, parseCertificates } from "../../src/keys/certificate.ts";
import { isValidAt } from "../../src/keys/certificate-chain.ts";
import { element, explicit, integer, oid, sequence, utf8String } from "../../src/keys/der-writer.ts";
import { OID } from "../../src/keys/oid.ts";
import { formatPem, parsePem } from "../../src/keys/pem.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { codeOf, FIXTURES, openssl } from "../support/key-fixtures.ts";

const load = (name: string): Certificate => parseCertificates(openssl(`${name}.crt`))[0]!;
const ALL = [
  "authority",
  "authority-rsa",
  "intermediate",
  "leaf",
  "leaf-server",
  "sha1",
  "p521-sha512",
  "ed25519",
  "rsa-pss",
];

/** The root certificates that Notary's own documents hold. */
function notaryRoots(): { text: string; certificate: Certificate }[] {
  const path = "notary-v1/session1/states/28-nested/trust/tuf/localhost:5000/demo/hello/metadata/root.json";
  const { keys } = JSON.parse(readFileSync(join(FIXTURES, path), "utf8")).signed;
  return Object.values(keys as Record<string, { keytype: string; keyval: { public: string } }>)
    .filter(({ keytype }) => keytype === "ecdsa-x509")
    .map(({ keyval }) => Buffer.from(keyval.public, "base64").toString())
    .map((text) => ({ text, certificate: parseCertificates(text)[0]! }));
}

describe("reading", () => {
  test.each(ALL)("agrees with node:crypto about %s", (name) => {
    const ours = load(name);
    const node = new X509Certificate(openssl(`${name}.crt`));
    expect(Buffer.from(ours.bytes)).toEqual(node.raw);
    expect(node.subject.split("\n")).toContain(`CN=${ours.commonName}`);
    expect(ours.notBefore).toEqual(new Date(node.validFrom));
    expect(ours.notAfter).toEqual(new Date(node.validTo));
    expect(ours.isCa).toBe(node.ca);
    expect(Buffer.from(ours.publicKey.spki)).toEqual(node.publicKey.export({ type: "spki", format: "der" }));
  });

  test.each(ALL)("agrees with node:crypto about who signed %s", async (name) => {
    const node = new X509Certificate(openssl(`${name}.crt`));
    for (const other of ["authority", "authority-rsa", "intermediate", "p521-sha512", "ed25519", "rsa-pss"]) {
      const { publicKey } = load(other);
      const theirs = node.verify(new X509Certificate(openssl(`${other}.crt`)).publicKey);
      expect(await load(name).isSignedBy(publicKey)).toBe(theirs && name !== "sha1");
    }
  });

  test("knows Notary's root certificates for what they are", async () => {
    const roots = notaryRoots();
    expect(roots.length).toBe(2);
    for (const { certificate } of roots) {
      expect(certificate.commonName).toBe("localhost:5000/demo/hello");
      expect(certificate.isCa).toBe(false);
      expect(certificate.usesSha1).toBe(false);
      expect(certificate.extensions).toMatchObject({ extendedKeyUsages: [OID.codeSigning], unknownCritical: [] });
      expect(await certificate.isSignedBy(certificate.publicKey)).toBe(true);
    }
  });

  test("reads bundles in order, and passes over other blocks", () => {
    const text = openssl("leaf.crt") + openssl("p256.pub.pem") + openssl("intermediate.crt");
    expect(parseCertificates(text).map(({ commonName }) => commonName)).toEqual(["ghcr.io/acme/app", "intermediate"]);
  });

  test("knows SHA-1 and never accepts it", async () => {
    const old = load("sha1");
    expect(old.usesSha1).toBe(true);
    expect(await old.isSignedBy(old.publicKey)).toBe(false);
  });

  test("refuses two common names, of which other programs take either", async () => {
    expect(await codeOf(() => load("two-names"))).toBe("CERTIFICATE_INVALID");
  });

  test.each([
    ["no certificate", "", "CERTIFICATE_INVALID"],
    ["a key", openssl("p256.pub.pem"), "CERTIFICATE_INVALID"],
    ["damaged base64", openssl("leaf.crt").replace("MII", "M*I"), "CERTIFICATE_INVALID"],
    ["bytes that are no certificate", pem(Uint8Array.of(0x30, 0)), "CERTIFICATE_INVALID"],
    ["bytes after the certificate", pem(Uint8Array.of(...load("leaf").bytes, 0)), "CERTIFICATE_INVALID"],
    ["a certificate of 64 KiB", pem(new Uint8Array(64 * 1024 + 1)), "CERTIFICATE_INVALID"],
    ["501 certificates", openssl("leaf.crt").repeat(501), "LIMIT_EXCEEDED"],
  ])("refuses %s", async (_, text, code) => {
    expect(await codeOf(() => parseCertificates(text))).toBe(code);
  });

  test.each([
    ["an extension twice", sequence(extension(OID.keyUsage, "03020780"), extension(OID.keyUsage, "03020780"))],
    ["an unfinished extension", sequence(extension(OID.basicConstraints, "3003"))],
    ["65 extensions", sequence(...Array.from({ length: 65 }, (__, i) => extension(`1.2.3.${i}`, "0500")))],
    [
      "101 usages",
      sequence(
        extension(OID.extendedKeyUsage, hexEncode(sequence(...Array.from({ length: 101 }, () => oid("1.2.3"))))),
      ),
    ],
  ])("refuses %s", async (_, list) => {
    expect(await codeOf(async () => withExtensions(list))).toBe("CERTIFICATE_INVALID");
  });

  test("notes critical extensions that it does not know", () => {
    expect(load("leaf-critical").extensions.unknownCritical).toEqual(["1.2.3.4"]);
  });

  test("ends changed certificates in a certificate or an error of ours, in time", async () => {
    const originals = [load("leaf-server").bytes, load("rsa-pss").bytes, load("leaf").bytes];
    const change = fc.record({
      der: fc.constantFrom(...originals),
      at: fc.nat(900),
      octet: fc.nat(255),
      cut: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(change, async ({ der, at, octet, cut }) => {
        const changed = cut ? der.slice(0, at) : der.slice();
        if (!cut && at < changed.length) changed[at] = octet;
        try {
          const certificate = new Certificate(changed);
          await certificate.isSignedBy(load("authority").publicKey);
        } catch (error) {
          expect(error).toBeInstanceOf(WasmToOciError);
        }
      }),
      { numRuns: 1500 },
    );
  });
});

describe("Notary's root certificate", () => {
  const dates = { notBefore: new Date("2026-01-02T03:04:05Z"), notAfter: new Date("2035-12-31T03:04:05Z") };

  test.each(["ecdsa-p256", "ecdsa-p521", "ed25519"] as const)("is self-signed by an %s key", async (algorithm) => {
    const signer = await PrivateKey.generate(algorithm);
    const text = await createSelfSignedCertificate({ commonName: "ghcr.io/acme/app", signer, ...dates });
    const [certificate] = parseCertificates(text);
    expect(certificate).toMatchObject({ commonName: "ghcr.io/acme/app", ...dates, isCa: false });
    expect(await certificate!.isSignedBy(signer.publicKey)).toBe(true);
    const node = new X509Certificate(text);
    expect(node.verify(node.publicKey)).toBe(true);
  });

  test("is self-signed by an RSA key", async () => {
    const signer = await PrivateKey.fromPkcs8(parsePem(openssl("rsa2048.pem"))[0]!.bytes);
    const text = await createSelfSignedCertificate({ commonName: "x", signer, ...dates });
    expect(await parseCertificates(text)[0]!.isSignedBy(signer.publicKey)).toBe(true);
    const node = new X509Certificate(text);
    expect(node.verify(node.publicKey)).toBe(true);
  });

  test("has the very extensions that Notary writes, byte for byte", async () => {
    const signer = await PrivateKey.generate();
    const text = await createSelfSignedCertificate({ commonName: "localhost:5000/demo/hello", signer, ...dates });
    const extensions = (certificate: Certificate): string => {
      const hex = hexEncode(certificate.bytes);
      return hex.slice(hex.indexOf("a3", hex.indexOf("03420004") + 136), hex.lastIndexOf("300a06082a8648ce3d040302"));
    };
    expect(extensions(parseCertificates(text)[0]!)).toBe(extensions(notaryRoots()[0]!.certificate));
    expect(extensions(parseCertificates(text)[0]!).length).toBeGreaterThan(60);
  });

  test("carries names longer than X.509's 64 characters, and any character", async () => {
    const signer = await PrivateKey.generate();
    for (const commonName of [`ghcr.io/${"a/".repeat(400)}b`, "höst:5000/\u{1F980}"]) {
      const text = await createSelfSignedCertificate({ commonName, signer, ...dates });
      expect(parseCertificates(text)[0]!.commonName).toBe(commonName);
    }
  });

  test.each(["", "x".repeat(5000)])("refuses the empty name and one of 5 kB", async (commonName) => {
    const signer = await PrivateKey.generate();
    expect(await codeOf(() => createSelfSignedCertificate({ commonName, signer, ...dates }))).toBe(
      "CERTIFICATE_INVALID",
    );
  });

  test("has another serial number each time, positive and short enough", async () => {
    const signer = await PrivateKey.generate();
    const serials = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const text = await createSelfSignedCertificate({ commonName: "x", signer, ...dates });
      serials.add(new X509Certificate(text).serialNumber);
    }
    expect(serials.size).toBe(20);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });
});

test("is valid from a day before its time, for slow clocks, and never after it", () => {
  const certificate = load("leaf");
  const at = (date: Date, offset: number): boolean => isValidAt(certificate, new Date(date.getTime() + offset));
  const day = 24 * 60 * 60 * 1000;
  expect(at(certificate.notBefore, -day)).toBe(true);
  expect(at(certificate.notBefore, -day - 1)).toBe(false);
  expect(at(certificate.notAfter, 0)).toBe(true);
  expect(at(certificate.notAfter, 1)).toBe(false);
});

function pem(bytes: Uint8Array): string {
  return formatPem({ label: "CERTIFICATE", headers: new Map(), bytes: new Uint8Array(bytes) });
}

function extension(id: string, hex: string): Uint8Array {
  return sequence(oid(id), element(0x04, Buffer.from(hex, "hex")));
}

/** A certificate with these extensions; its signature is of no matter here. */
function withExtensions(list: Uint8Array): Certificate {
  const algorithm = sequence(oid(OID.ecdsaSha256));
  const name = sequence(element(0x31, sequence(oid(OID.commonName), utf8String("x"))));
  const validity = sequence(element(0x17, Buffer.from("260101000000Z")), element(0x17, Buffer.from("270101000000Z")));
  const { spki } = load("leaf").publicKey;
  const tbs = sequence(explicit(0, integer(2)), integer(1), algorithm, name, validity, name, spki, explicit(3, list));
  return new Certificate(sequence(tbs, algorithm, element(0x03, Uint8Array.of(0, 1))));
}

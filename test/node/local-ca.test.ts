import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadLocalCas, localAuthorities, openLocalCa, registerLocalCa } from "../../src/node/local-ca.ts";
import { codeOf, openssl } from "../support/key-fixtures.ts";

let dir: string;
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "wasm-to-oci-ca-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Asks an https server with these certificates for a page, trusting this authority. */
async function request(tls: { cert: string; key: string }, ca: string, host: string): Promise<string> {
  const server = createServer(tls, (_, response) => response.end("hello"));
  await new Promise<void>((resolve) => server.listen(0, host === "::1" ? "::1" : "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await new Promise((resolve, reject) => {
      get({ host, port, ca, agent: false }, (response) => {
        response.setEncoding("utf8").on("data", resolve);
      }).on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      setTimeout(() => reject(new Error("no answer")), 10_000).unref();
    });
  } finally {
    server.close();
  }
}

test("serves https that clients accept under every loopback name, and only with this authority", async () => {
  const ca = await openLocalCa(dir);
  const tls = await ca.serverCertificate();
  for (const host of ["localhost", "127.0.0.1"]) expect(await request(tls, ca.caPem, host)).toBe("hello");
  const other = await openLocalCa(join(dir, "other"));
  expect(await request(tls, other.caPem, "localhost")).toMatch(
    /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN/,
  );
});

test("names what it is asked to name", async () => {
  const { cert } = await (
    await openLocalCa(dir)
  ).serverCertificate(["Registry.Internal", "10.0.0.7", "[fe80::1:2]", "::ffff:1.2.3.4", "bücher.example"]);
  const leaf = new X509Certificate(cert);
  expect(leaf.subjectAltName).toBe(
    "DNS:localhost, DNS:registry.internal, DNS:xn--bcher-kva.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:10.0.0.7, IP Address:FE80:0:0:0:0:0:1:2, IP Address:0:0:0:0:0:FFFF:102:304",
  );
});

test.each(["", "a b", "*.example", "-x", "a/b", "x".repeat(300), "1.2.3.4.5:80", "ü/b"])(
  "refuses the name %j",
  async (name) => {
    const ca = await openLocalCa(dir);
    expect(await codeOf(() => ca.serverCertificate([name]))).toBe("USAGE");
  },
);

test("is made once, kept, and its key is readable by its owner only", async () => {
  const made = await Promise.all([openLocalCa(dir), openLocalCa(dir), openLocalCa(dir)]);
  const again = await openLocalCa(dir);
  for (const ca of made) expect(ca.caPem).toBe(again.caPem);
  expect(again.caFingerprint).toBe(new X509Certificate(again.caPem).fingerprint256.replaceAll(":", "").toLowerCase());
  expect(readdirSync(dir).toSorted()).toEqual(["ca.key", "ca.pem"]);
  expect(statSync(join(dir, "ca.key")).mode & 0o777).toBe(0o600);
});

test("is completed where the first start was cut off between key and certificate", async () => {
  const { caPem } = await openLocalCa(dir);
  const key = readFileSync(join(dir, "ca.key"), "utf8");
  rmSync(join(dir, "ca.pem"));
  const again = await openLocalCa(dir);
  expect(readFileSync(join(dir, "ca.key"), "utf8")).toBe(key);
  expect(new X509Certificate(again.caPem).publicKey.export({ type: "spki", format: "pem" })).toBe(
    new X509Certificate(caPem).publicKey.export({ type: "spki", format: "pem" }),
  );
});

describe("is not replaced behind the back of its clients", () => {
  test("where its key is gone", async () => {
    await openLocalCa(dir);
    rmSync(join(dir, "ca.key"));
    expect(await codeOf(() => openLocalCa(dir))).toBe("STATE_INVALID");
    expect(readdirSync(dir)).toEqual(["ca.pem"]);
  });

  test("where its key is another one", async () => {
    await openLocalCa(dir);
    writeFileSync(join(dir, "ca.key"), openssl("p256.pem"));
    expect(await codeOf(() => openLocalCa(dir))).toBe("STATE_INVALID");
  });

  test.each([
    ["ca.key", "hello", "STATE_INVALID"],
    ["ca.key", openssl("p256-default.enc.pem"), "STATE_INVALID"],
    ["ca.pem", "hello", "CERTIFICATE_INVALID"],
  ])("where %s is damaged", async (name, content, code) => {
    await openLocalCa(dir);
    writeFileSync(join(dir, name), content);
    expect(await codeOf(() => openLocalCa(dir))).toBe(code);
    expect(readFileSync(join(dir, name), "utf8")).toBe(content);
  });
});

describe("renewal", () => {
  test("gives the authority a new certificate for its old key a year before the end", async () => {
    const start = Date.parse("2026-01-01T00:00:00Z");
    const first = await openLocalCa(dir, () => new Date(start));
    expect((await openLocalCa(dir, () => new Date(start + 8.9 * YEAR_MS))).caPem).toBe(first.caPem);
    const renewed = await openLocalCa(dir, () => new Date(start + 9.1 * YEAR_MS));
    expect(renewed.caPem).not.toBe(first.caPem);
    const leaf = new X509Certificate((await renewed.serverCertificate()).cert);
    expect(leaf.checkIssued(new X509Certificate(first.caPem))).toBe(true);
    expect(leaf.verify(new X509Certificate(first.caPem).publicKey)).toBe(true);
  });

  test("tells a server when to ask for its next certificate", async () => {
    const now = new Date();
    const ca = await openLocalCa(dir, () => now);
    const { cert, renewAt } = await ca.serverCertificate();
    const days = (new Date(new X509Certificate(cert).validTo).getTime() - now.getTime()) / (YEAR_MS / 365);
    expect(days).toBeGreaterThan(396);
    expect(days).toBeLessThan(398);
    expect(renewAt.getTime()).toBeLessThan(now.getTime() + 370 * (YEAR_MS / 365));
  });
});

describe("registration with clients", () => {
  test("gives back what was registered, once each", async () => {
    expect(await loadLocalCas(dir)).toEqual([]);
    const one = await openLocalCa(join(dir, "one"));
    const two = await openLocalCa(join(dir, "two"));
    for (const { caPem } of [one, two, one]) await registerLocalCa(dir, caPem);
    expect((await loadLocalCas(dir)).toSorted()).toEqual([one.caPem, two.caPem].toSorted());
    expect(readdirSync(join(dir, "local-ca"))).toContain(`${one.caFingerprint}.pem`);
  });

  test("refuses what is no certificate", async () => {
    expect(await codeOf(() => registerLocalCa(dir, "hello"))).toBe("CERTIFICATE_INVALID");
    expect(await loadLocalCas(dir)).toEqual([]);
  });

  test("passes over files that are damaged, foreign or no authority", async () => {
    const { caPem } = await openLocalCa(join(dir, "one"));
    await registerLocalCa(dir, caPem);
    await registerLocalCa(dir, openssl("leaf-server.crt"));
    for (const [name, content] of [
      ["a.pem", caPem],
      ["b.pem", "hello"],
      [`${"c".repeat(64)}.pem`, caPem],
    ] as const) {
      writeFileSync(join(dir, "local-ca", name), content);
    }
    expect(await loadLocalCas(dir)).toEqual([caPem]);
  });

  test("lets a registered authority speak for this machine only", async () => {
    const { caPem } = await openLocalCa(join(dir, "one"));
    await registerLocalCa(dir, caPem);
    const authorities = await localAuthorities(dir);
    for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
      expect(authorities(host)).toEqual([caPem]);
    for (const host of ["notary.example", "localhost.example", "10.0.0.1", "128.0.0.1", "127.0.0.1.example"]) {
      expect(authorities(host)).toBeUndefined();
    }
  });
});

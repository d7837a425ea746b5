import { expect, test } from "vitest";
import { base64Encode, utf8Encode } from "../../src/base/bytes.ts";
import type { Transport } from "../../src/base/http.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { createSelfSignedCertificate } from "../../src/keys/certificate.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { NotaryApi } from "../../src/notary/api.ts";
import { newKey } from "../../src/notary/changes.ts";
import { NotaryWriteApi } from "../../src/notary/write-api.ts";

const GUN = "registry.test/acme/app";

function writes(status: number, body: string, seen: string[] = []): NotaryWriteApi {
  const transport: Transport = async (request) => {
    seen.push(`${request.method} ${new URL(request.url).pathname}`);
    const bytes = utf8Encode(body);
    return {
      status,
      headers: new Headers(),
      body: (async function* () {
        yield bytes;
      })(),
      cancel: async () => {},
    };
  };
  const runtime = { transport, createHasher: nobleHasher, now: () => new Date() };
  return new NotaryWriteApi(new NotaryApi({ server: "https://notary.test", runtime }));
}

function keyAnswer(keytype: string, bytes: Uint8Array, secret: unknown = null): string {
  return JSON.stringify({ keytype, keyval: { public: base64Encode(bytes), private: secret } });
}

test("reads a server's key, whose members come in Go's order, and knows it by its id", async () => {
  for (const algorithm of ["ecdsa-p256", "ed25519"] as const) {
    const { publicKey } = await PrivateKey.generate(algorithm);
    const expected = await newKey(publicKey);
    const seen: string[] = [];
    const api = writes(200, keyAnswer(expected.key.keytype, expected.key.public), seen);
    expect(await api.serverKey(GUN, "timestamp", undefined)).toEqual(expected);
    expect(await api.newServerKey(GUN, "snapshot", undefined)).toEqual(expected);
    expect(seen).toEqual([`GET /v2/${GUN}/_trust/tuf/timestamp.key`, `POST /v2/${GUN}/_trust/tuf/snapshot.key`]);
  }
});

test.each([
  ["a private key", async (key: PrivateKey) => keyAnswer("ecdsa", key.publicKey.spki, "c2VjcmV0")],
  ["an unknown type", async (key: PrivateKey) => keyAnswer("dsa", key.publicKey.spki)],
  ["a key of another type than it says", async (key: PrivateKey) => keyAnswer("rsa", key.publicKey.spki)],
  ["damaged bytes", async (key: PrivateKey) => keyAnswer("ecdsa", key.publicKey.spki.slice(1))],
  ["no key at all", async () => "{}"],
  [
    "a certificate, which only root keys have",
    async (key: PrivateKey) => {
      const [notBefore, notAfter] = [new Date("2030-01-01"), new Date("2031-01-01")];
      const pem = await createSelfSignedCertificate({ commonName: GUN, signer: key, notBefore, notAfter });
      return keyAnswer("ecdsa-x509", utf8Encode(pem));
    },
  ],
])("refuses %s for the server's key", async (_, body) => {
  const api = writes(200, await body(await PrivateKey.generate()));
  await expect(api.serverKey(GUN, "timestamp", undefined)).rejects.toMatchObject({ code: "KEY_INVALID" });
});

test("refuses an answer that is no JSON, or too large", async () => {
  await expect(writes(200, "<html>").serverKey(GUN, "timestamp", undefined)).rejects.toMatchObject({
    code: "JSON_INVALID",
  });
  await expect(writes(200, "x".repeat(300_000)).serverKey(GUN, "timestamp", undefined)).rejects.toMatchObject({
    code: "RESPONSE_TOO_LARGE",
  });
});

test("tells a version that exists from any other refusal of an upload", async () => {
  const body = (code: string) => JSON.stringify({ errors: [{ code, message: "no" }] });
  const upload = (status: number, text: string) => writes(status, text).upload(GUN, [], undefined);
  await expect(upload(400, body("VERSION"))).rejects.toMatchObject({ code: "TRUST_CONFLICT" });
  await expect(upload(400, body("INVALID_UPDATE"))).rejects.toMatchObject({ code: "TRUST_REJECTED" });
  await expect(upload(401, body("UNAUTHORIZED"))).rejects.toMatchObject({ code: "TRUST_DENIED" });
  await expect(upload(413, "<html>too large</html>")).rejects.toMatchObject({ code: "TRUST_REJECTED" });
  await expect(upload(503, "")).rejects.toMatchObject({ code: "TRUST_UNAVAILABLE" });
  await expect(upload(307, "")).rejects.toMatchObject({ code: "REDIRECT_REFUSED" });
  await expect(upload(200, "")).resolves.toBeUndefined();
});

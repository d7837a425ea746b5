import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { TransportError } from "../../src/base/errors.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { httpRepository } from "../../src/tuf/http-repository.ts";
import { fakeTransport, type FakeAnswer, type SentRequest } from "../support/fake-transport.ts";

const RETRY = { attempts: 3, sleep: async () => undefined, random: () => 0 };

function rig(handler: (request: SentRequest) => FakeAnswer, options: { headers?: Record<string, string> } = {}) {
  const fake = fakeTransport(handler);
  const runtime = { transport: fake.transport, createHasher: nobleHasher, now: () => new Date() };
  const metadataUrl = "https://tuf.example/repo/metadata";
  return { ...fake, repository: httpRepository({ metadataUrl, runtime, retry: RETRY, ...options }) };
}

const request = { file: "1.root.json", limit: 100 };

describe("a repository on a web server", () => {
  it("reads metadata below its folder, and targets in the folder beside it", async () => {
    const { repository, log } = rig(() => ({ body: "x" }));
    expect(await repository.metadata(request)).toEqual(utf8Encode("x"));
    await repository.target({ file: "team/ab.app" });
    expect(log()).toEqual([
      "GET https://tuf.example/repo/metadata/1.root.json",
      "GET https://tuf.example/repo/targets/team/ab.app",
    ]);
  });

  for (const status of [403, 404, 410]) {
    it(`takes ${status} for "not there"`, async () => {
      expect(await rig(() => ({ status })).repository.metadata(request)).toBeUndefined();
    });
  }

  for (const [status, code] of [
    [401, "TRUST_DENIED"],
    [500, "TRUST_UNAVAILABLE"],
    [503, "TRUST_UNAVAILABLE"],
    [206, "TRUST_UNAVAILABLE"],
    [204, "TRUST_UNAVAILABLE"],
  ] as const) {
    it(`never takes ${status} for "not there"`, async () => {
      await expect(rig(() => ({ status })).repository.metadata(request)).rejects.toMatchObject({ code });
    });
  }

  it("tries again where the server or the connection fails for a moment", async () => {
    const broken = new TransportError("NETWORK", "reset");
    const answers: FakeAnswer[] = [{ status: 503 }, { body: "x", cut: broken }, { body: "x" }];
    const { repository, requests } = rig(() => answers.shift()!);
    expect(await repository.metadata(request)).toEqual(utf8Encode("x"));
    expect(requests).toHaveLength(3);
  });

  it("stops at the limit, announced or not", async () => {
    const big = { body: "x".repeat(101) };
    await expect(rig(() => big).repository.metadata(request)).rejects.toMatchObject({ code: "RESPONSE_TOO_LARGE" });
    const announced = { ...big, headers: { "content-length": "101" } };
    await expect(rig(() => announced).repository.metadata(request)).rejects.toMatchObject({
      code: "RESPONSE_TOO_LARGE",
    });
  });

  /** A server that sends a piece, waits, and sends the next one. */
  function slow(bytes: number, milliseconds: number) {
    let time = 0;
    let sent = 0;
    let cut = 0;
    const runtime = {
      transport: async () => ({
        status: 200,
        headers: { get: () => null },
        body: (async function* () {
          try {
            for (let left = 4096; left > 0; left -= bytes) {
              time += milliseconds;
              sent += bytes;
              yield new Uint8Array(bytes);
            }
          } finally {
            cut++;
          }
        })(),
        cancel: async () => undefined,
      }),
      createHasher: nobleHasher,
      now: () => new Date(time),
    };
    const repository = httpRepository({ metadataUrl: "https://tuf.example/", runtime, retry: RETRY });
    return { repository, sent: () => sent, ended: () => cut };
  }

  it("gives up a server that sends a byte now and then, which is never idle", async () => {
    const { repository, sent, ended } = slow(1, 10_000);
    const refused = repository.metadata({ file: "timestamp.json", limit: 16_384 });
    await expect(refused).rejects.toMatchObject({
      code: "TIMEOUT",
      details: { host: "tuf.example", seconds: 70 },
      message: "tuf.example sent 7 bytes of /timestamp.json in 70 s",
    });
    expect([sent(), ended()]).toEqual([14, 2]); // tried twice
  });

  it("needs no policy for tries again", async () => {
    const { transport } = fakeTransport(() => ({ body: "x" }));
    const runtime = { transport, createHasher: nobleHasher, now: () => new Date() };
    const repository = httpRepository({ metadataUrl: "http://tuf.example/", runtime });
    expect(await repository.metadata(request)).toEqual(utf8Encode("x"));
  });

  it("waits for a connection that is slow and gets there", async () => {
    const { repository } = slow(1024, 15_000);
    expect(await repository.metadata({ file: "timestamp.json", limit: 16_384 })).toHaveLength(4096);
  });

  it("refuses what is compressed", async () => {
    const { repository } = rig(() => ({ body: "x", headers: { "content-encoding": "gzip" } }));
    await expect(repository.metadata(request)).rejects.toMatchObject({ code: "RESPONSE_INVALID" });
  });

  it("follows a redirect to another host without credentials, to public addresses only", async () => {
    const { repository, requests } = rig(
      ({ url }) =>
        url.host === "tuf.example"
          ? { status: 302, headers: { location: "https://cdn.example/x" }, peerAddress: "93.184.216.34" }
          : { body: "x" },
      { headers: { authorization: "secret" } },
    );
    expect(await repository.metadata(request)).toEqual(utf8Encode("x"));
    expect(requests.map(({ headers, publicOnly }) => [headers["authorization"], publicOnly])).toEqual([
      ["secret", false],
      [undefined, true],
    ]);
  });

  for (const location of [
    "http://tuf.example/x",
    "file:///etc/passwd",
    "https://user:pw@cdn.example/",
    "https://",
    "",
  ]) {
    it(`does not follow a redirect to ${JSON.stringify(location)}`, async () => {
      const { repository } = rig(({ nth }) => (nth === 1 ? { status: 302, headers: { location } } : { status: 302 }));
      await expect(repository.metadata(request)).rejects.toMatchObject({ code: "REDIRECT_REFUSED" });
    });
  }

  it("does not follow redirects without end", async () => {
    const { repository, requests } = rig(() => ({ status: 302, headers: { location: "/again" } }));
    await expect(repository.metadata(request)).rejects.toMatchObject({ code: "REDIRECT_REFUSED" });
    expect(requests.length).toBeLessThan(10);
  });

  for (const metadataUrl of ["", "tuf.example", "ftp://x/", "https://user@x/", "https://x/?a", "https://x/#a"]) {
    it(`cannot be at ${JSON.stringify(metadataUrl)}`, () => {
      const runtime = {
        transport: fakeTransport(() => ({})).transport,
        createHasher: nobleHasher,
        now: () => new Date(),
      };
      expect(() => httpRepository({ metadataUrl, runtime })).toThrow(expect.objectContaining({ code: "USAGE" }));
    });
  }
});

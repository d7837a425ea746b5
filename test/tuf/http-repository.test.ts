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

  for (const metadataUrl of [
    "",
    "tuf.example",
    "ftp://x/",
    "https://user@x/",
    "https://:secret@x/",
    "https://x/?a",
    "https://x/#a",
  ]) {
    it(`cannot be at ${JSON.stringify(metadataUrl)}`, () => {
      const runtime = {
        transport: fakeTransport(() => ({})).transport,
        createHasher: nobleHasher,
        now: () => new Date(),
      };
      const refused = expect.objectContaining({
        code: "USAGE",
        hint: expect.stringContaining("no user name or password"),
      });
      expect(() => httpRepository({ metadataUrl, runtime })).toThrow(refused);
      const targetsUrl = metadataUrl || "no address";
      expect(() => httpRepository({ metadataUrl: "https://x/", targetsUrl, runtime })).toThrow(refused);
    });
  }

  it("is where it says it is, and its targets where they are said to be", async () => {
    const fake = fakeTransport(() => ({ body: "x" }));
    const runtime = { transport: fake.transport, createHasher: nobleHasher, now: () => new Date() };
    const headers = { authorization: "secret" };
    const at = (metadataUrl: string, targetsUrl?: string) => {
      return httpRepository({ metadataUrl, targetsUrl, runtime, headers });
    };
    expect(at("https://tuf.example/a").location).toBe("https://tuf.example/a/");
    expect(at("http://tuf.example").location).toBe("http://tuf.example/");
    await at("https://tuf.example/a/").metadata(request);
    const chunks = await at("https://tuf.example/a/", "http://cdn.example/t").target({ file: "x" });
    expect(chunks).toBeDefined();
    expect(fake.log()).toEqual(["GET https://tuf.example/a/1.root.json", "GET http://cdn.example/t/x"]);
    for (const sent of fake.requests) {
      expect(sent.headers).toEqual({ "accept-encoding": "identity", authorization: "secret" });
      expect(sent.publicOnly).toBe(false);
    }
  });

  it("has no target where it says so", async () => {
    expect(await rig(() => ({ status: 404 })).repository.target({ file: "x" })).toBeUndefined();
    await expect(rig(() => ({ status: 401 })).repository.target({ file: "x" })).rejects.toMatchObject({
      code: "TRUST_DENIED",
    });
  });

  it("says which server refused, with what, and what to do", async () => {
    await expect(rig(() => ({ status: 401 })).repository.metadata(request)).rejects.toMatchObject({
      code: "TRUST_DENIED",
      message: "tuf.example answered 401 for /repo/metadata/1.root.json",
      hint: "Give credentials for this server",
      details: { host: "tuf.example", status: 401 },
    });
    await expect(rig(() => ({ status: 418 })).repository.metadata(request)).rejects.toMatchObject({
      code: "TRUST_UNAVAILABLE",
      hint: "Try again later",
      details: { host: "tuf.example", status: 418 },
    });
    const gzip = { headers: { "content-encoding": "gzip" } };
    await expect(rig(() => gzip).repository.metadata(request)).rejects.toMatchObject({
      message: "tuf.example sent /repo/metadata/1.root.json compressed, unasked",
      hint: expect.stringContaining("turn compression off"),
      details: { host: "tuf.example" },
    });
  });

  it("may say that nothing is compressed, and is as absent compressed as plain", async () => {
    const identity = { body: "x", headers: { "content-encoding": "identity" } };
    expect(await rig(() => identity).repository.metadata(request)).toEqual(utf8Encode("x"));
    const absent = { status: 404, headers: { "content-encoding": "gzip" } };
    expect(await rig(() => absent).repository.metadata(request)).toBeUndefined();
  });

  it("reads as much as the limit, in one request", async () => {
    const { repository, requests } = rig(() => ({ body: "x".repeat(100) }));
    expect(await repository.metadata(request)).toHaveLength(100);
    expect(requests).toHaveLength(1);
  });

  it("tries as often as it was told where the connection breaks, and not where the answer is too long", async () => {
    const waits: [number, unknown][] = [];
    const { signal } = new AbortController();
    const broken = new TransportError("NETWORK", "reset");
    const trying = (answer: FakeAnswer) => {
      const fake = fakeTransport(() => answer);
      const runtime = { transport: fake.transport, createHasher: nobleHasher, now: () => new Date() };
      const sleep = async (milliseconds: number, given: unknown) => void waits.push([milliseconds, given]);
      const retry = { attempts: 3, sleep, random: () => 1 };
      return { ...fake, repository: httpRepository({ metadataUrl: "https://tuf.example/", runtime, retry }) };
    };
    const cut = trying({ body: "x", cut: broken });
    await expect(cut.repository.metadata({ ...request, signal })).rejects.toBe(broken);
    expect(cut.requests).toHaveLength(3);
    expect(waits).toEqual([
      [400, signal],
      [800, signal],
    ]);
    const long = trying({ body: "x".repeat(101) });
    await expect(long.repository.metadata(request)).rejects.toMatchObject({ code: "RESPONSE_TOO_LARGE" });
    expect(long.requests).toHaveLength(1);
  });

  it("lets go of every answer that it does not read", async () => {
    let cancelled = 0;
    const answering = (status: number, headers: Record<string, string> = {}) => {
      const transport = async () => ({
        status,
        headers: { get: (name: string) => headers[name] ?? null },
        body: (async function* (): AsyncGenerator<Uint8Array> {})(),
        cancel: async () => void cancelled++,
      });
      const runtime = { transport, createHasher: nobleHasher, now: () => new Date() };
      return httpRepository({ metadataUrl: "https://tuf.example/", runtime, retry: RETRY }).metadata(request);
    };
    await answering(404);
    await answering(418).catch(() => undefined);
    await answering(200, { "content-encoding": "br" }).catch(() => undefined);
    await answering(302, { location: "ftp://x/" }).catch(() => undefined);
    expect(cancelled).toBe(4);
  });

  it("cuts an answer off that is too long", async () => {
    let cancelled = 0;
    const transport = async () => ({
      status: 200,
      headers: { get: (name: string) => (name === "content-length" ? "101" : null) },
      body: (async function* (): AsyncGenerator<Uint8Array> {})(),
      cancel: async () => void cancelled++,
    });
    const runtime = { transport, createHasher: nobleHasher, now: () => new Date() };
    const repository = httpRepository({ metadataUrl: "https://tuf.example/", runtime, retry: RETRY });
    await expect(repository.metadata(request)).rejects.toMatchObject({ code: "RESPONSE_TOO_LARGE" });
    expect(cancelled).toBe(1);
  });

  it("is patient for a minute, and for a byte per millisecond after that", async () => {
    const late = async (bytes: number, milliseconds: number): Promise<unknown> => {
      let time = 5_000;
      const transport = async () => ({
        status: 200,
        headers: { get: () => null },
        body: (async function* () {
          time += milliseconds;
          yield new Uint8Array(bytes);
        })(),
        cancel: async () => undefined,
      });
      const runtime = { transport, createHasher: nobleHasher, now: () => new Date(time) };
      const repository = httpRepository({ metadataUrl: "https://tuf.example/", runtime, retry: RETRY });
      return repository.metadata({ file: "timestamp.json", limit: 16_384 });
    };
    await expect(late(1000, 61_000)).resolves.toHaveLength(1000);
    await expect(late(1000, 61_001)).rejects.toMatchObject({
      code: "TIMEOUT",
      details: { host: "tuf.example", seconds: 61.001 },
    });
  });
});

describe("redirects of a repository", () => {
  /** Answers with one redirect after the other, then with the file. */
  function chain(hops: readonly FakeAnswer[]) {
    let at = 0;
    return rig(() => hops[at++] ?? { body: "x" }, { headers: { authorization: "secret" } });
  }
  const to = (location: string, peerAddress?: string, status = 302): FakeAnswer => {
    return { status, headers: { location }, ...(peerAddress === undefined ? {} : { peerAddress }) };
  };
  const sentOf = ({ requests }: ReturnType<typeof chain>) => {
    return requests.map(({ url, headers, publicOnly }) => [url.host, headers["authorization"], publicOnly]);
  };

  for (const status of [301, 302, 303, 307, 308]) {
    it(`are followed for ${status}`, async () => {
      const repository = chain([to("/b", undefined, status)]);
      expect(await repository.repository.metadata(request)).toEqual(utf8Encode("x"));
      expect(repository.log()[1]).toBe("GET https://tuf.example/b");
    });
  }

  it("are five at most", async () => {
    const hops = (count: number) => Array.from({ length: count }, (_, index) => to(`/${index}`));
    expect(await chain(hops(5)).repository.metadata(request)).toEqual(utf8Encode("x"));
    const six = chain(hops(6));
    await expect(six.repository.metadata(request)).rejects.toMatchObject({
      code: "REDIRECT_REFUSED",
      message: "a redirect of tuf.example is not followed: it redirects more than 5 times",
      hint: "Use the repository's final address",
      details: { from: "https://tuf.example" },
    });
    expect(six.requests).toHaveLength(6);
  });

  it("on the same host keep credentials, and may stay in one's own network", async () => {
    const one = chain([to("/b", "93.184.216.34")]);
    await one.repository.metadata(request);
    expect(sentOf(one)).toEqual([
      ["tuf.example", "secret", false],
      ["tuf.example", "secret", false],
    ]);
  });

  it("from a server in one's own network may lead on in it", async () => {
    for (const peer of ["10.0.0.1", "127.0.0.1"]) {
      const inside = chain([to("https://other.example/", peer)]);
      await inside.repository.metadata(request);
      expect(sentOf(inside)[1]).toEqual(["other.example", undefined, false]);
    }
  });

  it("from a server whose address nobody knows lead to public addresses only", async () => {
    const unknown = chain([to("https://other.example/")]);
    await unknown.repository.metadata(request);
    expect(sentOf(unknown)[1]).toEqual(["other.example", undefined, true]);
  });

  it("from the internet give no credentials on the way back, and stay on the internet", async () => {
    const back = chain([
      to("https://evil.example/", "93.184.216.34"),
      to("https://tuf.example/x", "10.0.0.1"),
      to("https://inside.example/", "10.0.0.1"),
    ]);
    await back.repository.metadata(request);
    expect(sentOf(back)).toEqual([
      ["tuf.example", "secret", false],
      ["evil.example", undefined, true],
      ["tuf.example", undefined, true],
      ["inside.example", undefined, true],
    ]);
  });

  it("may lead from http to https, not back, and to http from http", async () => {
    const fake = fakeTransport(({ nth, url }) => {
      return nth === 1 && url.pathname === "/1.root.json"
        ? { status: 302, headers: { location: "http://tuf.example/b" } }
        : { body: url.protocol };
    });
    const runtime = { transport: fake.transport, createHasher: nobleHasher, now: () => new Date() };
    const plain = httpRepository({ metadataUrl: "http://tuf.example/", runtime, retry: RETRY });
    expect(await plain.metadata(request)).toEqual(utf8Encode("http:"));
  });

  for (const [location, why] of [
    ["https://", "to nowhere"],
    ["ftp://x/", "to no web address"],
    ["http://tuf.example/", "from https to http"],
    ["https://user@cdn.example/", "with a user name"],
    ["https://:pw@cdn.example/", "with a user name"],
  ] as const) {
    it(`say why they are not followed to ${location}`, async () => {
      const one = chain([to(location)]);
      await expect(one.repository.metadata(request)).rejects.toMatchObject({
        code: "REDIRECT_REFUSED",
        message: expect.stringContaining(why),
        details: { from: "https://tuf.example" },
      });
      expect(one.requests).toHaveLength(1);
    });
  }

  it("without a place are not followed", async () => {
    await expect(chain([{ status: 302 }]).repository.metadata(request)).rejects.toMatchObject({
      code: "REDIRECT_REFUSED",
      message: expect.stringContaining("to nowhere"),
    });
  });
});

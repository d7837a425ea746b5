/** The HTTP side of a trust server: addresses, tokens, what answers mean, and what a server cannot make us say or do. */
import { beforeEach, describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { Credentials } from "../../src/base/credentials.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import type { TransportRequest, TransportResponse } from "../../src/base/http.ts";
import { NotaryApi, parseTrustServer } from "../../src/notary/api.ts";
import { NO_RETRY } from "../support/notary-harness.ts";
import { notFound, respond } from "../support/notary-repository.ts";

const GUN = "localhost:5000/acme/app";
const NOW = new Date("2026-06-01T12:00:00Z");

let requests: TransportRequest[];
let answer: (request: TransportRequest) => TransportResponse | Promise<TransportResponse>;
beforeEach(() => {
  requests = [];
  answer = notFound;
});

function open(options: { credentials?: Credentials; server?: string; attempts?: number } = {}): NotaryApi {
  const transport = async (request: TransportRequest) => {
    requests.push(request);
    return answer(request);
  };
  const { credentials } = options;
  return new NotaryApi({
    server: options.server ?? "https://notary.example:4443",
    runtime: { transport, createHasher: nobleHasher, now: () => NOW },
    retry: { ...NO_RETRY, attempts: options.attempts ?? 1 },
    ...(credentials && { credentials: { get: async () => credentials } }),
  });
}

const get = (api = open()) => api.getDocument(GUN, "root.json", { limit: 1000 });

describe("addresses of trust servers", () => {
  it.each([
    ["https://notary.example:4443", "https://notary.example:4443"],
    ["https://Notary.Example/", "https://notary.example"],
    ["https://notary.example/base//", "https://notary.example/base"],
    ["http://localhost:4443", "http://localhost:4443"],
    ["http://127.0.0.1:1/", "http://127.0.0.1:1"],
  ])("reads %s", (text, server) => {
    expect(parseTrustServer(text)).toBe(server);
  });

  it.each([
    "",
    "notary.example",
    "ftp://x",
    "http://notary.example",
    "https://user:pass@notary.example",
    "https://notary.example/?a",
    "https://notary.example/#a",
    "file:///x",
  ])("refuses %s", (text) => {
    expect(() => parseTrustServer(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
    expect(() => parseTrustServer(text)).not.toThrow(/pass/);
  });
});

describe("requests", () => {
  it("leave the name of the collection as it is in the address", async () => {
    answer = () => respond(200, "{}");
    expect(utf8Decode((await get(open({ server: "https://notary.example/base" })))!)).toBe("{}");
    expect(requests[0]).toMatchObject({
      method: "GET",
      url: "https://notary.example/base/v2/localhost:5000/acme/app/_trust/tuf/root.json",
    });
  });

  it("go to nobody for a name that is none", async () => {
    await expect(open().getDocument("a/../b", "root.json", { limit: 1 })).rejects.toMatchObject({
      code: "GUN_INVALID",
    });
    expect(requests).toEqual([]);
  });

  it("are made again where the server was busy, but not when they write", async () => {
    let busy = 2;
    answer = () => (busy-- > 0 ? respond(503, "") : respond(200, "ok"));
    expect(utf8Decode((await get(open({ attempts: 4 })))!)).toBe("ok");
    expect(requests).toHaveLength(3);
    answer = () => respond(503, "");
    requests.length = 0;
    const write = open({ attempts: 4 }).request({
      method: "POST",
      gun: GUN,
      path: "tuf/",
      action: "push,pull",
      body: utf8Encode("x"),
      limit: 10,
    });
    await expect(write).rejects.toMatchObject({ code: "TRUST_UNAVAILABLE" });
    expect(requests).toHaveLength(1);
  });
});

describe("answers", () => {
  it("of METADATA_NOT_FOUND mean that there is nothing; any other 404 does not", async () => {
    expect(await get()).toBeUndefined();
    for (const body of [
      "",
      "<html>",
      "{}",
      "[]",
      '{"errors":[]}',
      '{"errors":[null]}',
      '{"errors":[{"code":"X"}]}',
      '{"errors":{"code":"METADATA_NOT_FOUND"}}',
    ]) {
      answer = () => respond(404, body);
      await expect(get()).rejects.toMatchObject({ code: "TRUST_UNAVAILABLE", details: { status: 404 } });
    }
  });

  it.each([
    [400, "VERSION", "TRUST_CONFLICT"],
    [400, "INVALID_UPDATE", "TRUST_REJECTED"],
    [400, "MALFORMED_UPLOAD", "TRUST_REJECTED"],
    [405, "", "TRUST_REJECTED"],
    [413, "", "TRUST_REJECTED"],
    [401, "UNAUTHORIZED", "TRUST_DENIED"],
    [403, "DENIED", "TRUST_DENIED"],
    [408, "", "TRUST_UNAVAILABLE"],
    [429, "", "TRUST_UNAVAILABLE"],
    [500, "UNKNOWN", "TRUST_UNAVAILABLE"],
    [500, "METADATA_NOT_FOUND", "TRUST_UNAVAILABLE"],
  ])("of %i %s are %s", async (status, code, expected) => {
    answer = () => respond(status, JSON.stringify({ errors: [{ code, message: "why" }] }));
    await expect(get()).rejects.toMatchObject({ code: expected, details: { status } });
  });

  it("show the text of Notary's detail", async () => {
    const detail = { Name: "ErrBadTargets", Error: { Msg: "valid signatures did not meet threshold for targets" } };
    answer = () =>
      respond(
        400,
        JSON.stringify({
          errors: [{ code: "INVALID_UPDATE", message: "Update sent by the client is invalid.", detail }],
        }),
      );
    await expect(get()).rejects.toThrow(/invalid\. valid signatures did not meet threshold for targets$/);
  });

  it("cannot steer a terminal or flood it, nor make us show our own secrets", async () => {
    const credentials = { kind: "basic", username: "me", password: "hunter2-hunter2" } as const;
    answer = ({ headers }) =>
      headers?.["authorization"] === undefined
        ? respond(401, "", { "www-authenticate": 'Basic realm="x"' })
        : respond(
            400,
            JSON.stringify({
              errors: [
                {
                  code: "X\u001b[2J",
                  message: `\u001b[2J\u202e hunter2-hunter2 ${headers["authorization"]} ${"x".repeat(10_000)}`,
                },
              ],
            }),
          );
    const error = (await get(open({ credentials })).catch((thrown: unknown) => thrown)) as Error & { details: object };
    expect(error.message.length).toBeLessThan(600);
    const shown = `${error.message}${JSON.stringify(error.details)}`;
    // oxlint-disable-next-line no-control-regex -- what must not be there
    expect(shown).not.toMatch(/[\u0000-\u001f\u202e]|hunter2|bWU6aHVudGVy/);
  });

  it("with an error body of any size are read up to a limit", async () => {
    answer = () => respond(400, "x".repeat(1_000_000));
    await expect(get()).rejects.toMatchObject({ code: "TRUST_REJECTED" });
  });
});

describe("tokens", () => {
  const BEARER =
    'Bearer realm="https://auth.notary.example/token",service="notary",scope="repository:localhost:5000/acme/app:pull"';

  function guarded(token = "t0ken"): void {
    answer = (request) => {
      if (new URL(request.url).hostname === "auth.notary.example")
        return respond(200, JSON.stringify({ token, expires_in: 300 }));
      if (request.headers?.["authorization"] === `Bearer ${token}`) return respond(200, "{}");
      return respond(401, "{}", { "www-authenticate": BEARER });
    };
  }

  it("are asked for once for many requests of one collection, and used for later ones", async () => {
    guarded();
    const api = open();
    await Promise.all(
      ["root", "timestamp", "snapshot", "targets"].map((role) => api.getDocument(GUN, `${role}.json`, { limit: 10 })),
    );
    const asked = () => requests.filter(({ url }) => url.startsWith("https://auth.")).length;
    expect(asked()).toBe(1);
    expect(requests).toHaveLength(9);
    await get(api);
    expect(requests).toHaveLength(10);
    expect(
      new URL(requests.find(({ url }) => url.startsWith("https://auth."))!.url).searchParams.getAll("scope"),
    ).toEqual([`repository:${GUN}:pull`]);
  });

  it("are asked for by what is done: reading, publishing, everything", async () => {
    guarded();
    const api = open();
    for (const action of ["pull", "push,pull", "*"] as const) {
      await api.request({ method: "GET", gun: GUN, path: "tuf/timestamp.key", action, limit: 10 });
    }
    const scopes = requests
      .filter(({ url }) => url.startsWith("https://auth."))
      .map(({ url }) => new URL(url).searchParams.get("scope"));
    expect(scopes).toEqual([`repository:${GUN}:pull`, `repository:${GUN}:push,pull`, `repository:${GUN}:*`]);
  });

  it("that do not help end in a refusal, not in a loop", async () => {
    answer = (request) =>
      request.url.startsWith("https://auth.")
        ? respond(200, '{"token":"useless"}')
        : respond(401, "{}", { "www-authenticate": BEARER });
    await expect(get()).rejects.toMatchObject({ code: "TRUST_DENIED" });
    expect(requests).toHaveLength(3);
  });

  it("are fetched from no other party that a server names", async () => {
    const credentials = { kind: "basic", username: "me", password: "secret" } as const;
    answer = () => respond(401, "{}", { "www-authenticate": 'Bearer realm="https://evil.example/token"' });
    await expect(get(open({ credentials }))).rejects.toMatchObject({ code: "REDIRECT_REFUSED" });
    expect(requests).toHaveLength(1);
  });

  it("of a token server that fails are TRUST_UNAVAILABLE, of one that refuses TRUST_DENIED", async () => {
    for (const [status, code] of [
      [500, "TRUST_UNAVAILABLE"],
      [403, "TRUST_DENIED"],
    ] as const) {
      answer = (request) =>
        request.url.startsWith("https://auth.")
          ? respond(status, "")
          : respond(401, "{}", { "www-authenticate": BEARER });
      await expect(get()).rejects.toMatchObject({ code });
    }
  });
});

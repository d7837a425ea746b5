import { describe, expect, it } from "vitest";
import type { Credentials } from "../../src/base/credentials.ts";
import { RegistryError } from "../../src/base/errors.ts";
import { Authenticator } from "../../src/base/token-auth.ts";
import type { TransportResponse } from "../../src/base/http.ts";
import { failureOf } from "../support/error-code.ts";
import { fakeTransport, type FakeAnswer, type SentRequest } from "../support/fake-transport.ts";

const SCOPE = "repository:acme/app:pull";
const BEARER = 'Bearer realm="https://auth.example.com/token",service="registry.example.com"';
const BASIC: Credentials = { kind: "basic", username: "ann", password: "canary-password" };

function unauthorised(challenge: string | undefined, peerAddress?: string): TransportResponse {
  return {
    status: 401,
    headers: { get: (name) => (name === "www-authenticate" ? (challenge ?? null) : null) },
    peerAddress,
    body: (async function* () {})(),
    cancel: () => Promise.resolve(),
  };
}

function setUp(
  handler: (request: SentRequest) => FakeAnswer | Promise<FakeAnswer>,
  credentials?: Credentials,
  server = "https://registry.example.com/",
) {
  const fake = fakeTransport(handler);
  const clock = { now: 1_000_000 };
  let lookups = 0;
  const auth = new Authenticator({
    transport: fake.transport,
    now: () => new Date(clock.now),
    retry: { attempts: 2, random: () => 0, sleep: () => Promise.resolve() },
    server: new URL(server),
    credentials: () => {
      lookups++;
      return Promise.resolve(credentials);
    },
    faults: {
      denied: (message, options) => new RegistryError("REGISTRY_DENIED", message, options),
      unavailable: (message, options) => new RegistryError("REGISTRY_UNAVAILABLE", message, options),
    },
  });
  return { auth, clock, ...fake, lookups: () => lookups };
}

const token = (text: string, more: object = {}): FakeAnswer => ({ body: JSON.stringify({ token: text, ...more }) });

describe("Authenticator", () => {
  it("gets an anonymous token for what it wants to do", async () => {
    const { auth, requests } = setUp(() => token("T1"));
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
    expect(requests[0]!.url.href).toBe(
      "https://auth.example.com/token?service=registry.example.com&scope=repository%3Aacme%2Fapp%3Apull",
    );
    expect(requests[0]!.headers["authorization"]).toBeUndefined();
  });

  it("keeps the realm's own query", async () => {
    const { auth, requests } = setUp(() => token("T1"));
    await auth.answer(unauthorised('Bearer realm="https://auth.example.com/t?a=b"'), SCOPE, undefined);
    expect(requests[0]!.url.search).toBe("?a=b&scope=repository%3Aacme%2Fapp%3Apull");
  });

  it("uses the token until shortly before it ends, and keeps one per scope", async () => {
    let count = 0;
    const { auth, clock } = setUp(() => token(`T${++count}`, { expires_in: 300 }));
    await auth.answer(unauthorised(BEARER), SCOPE, undefined);
    expect(auth.authorization(SCOPE)).toBe("Bearer T1");
    expect(auth.authorization("repository:acme/app:pull,push")).toBeUndefined();
    clock.now += 294_000;
    expect(auth.authorization(SCOPE)).toBe("Bearer T1");
    clock.now += 2_000;
    expect(auth.authorization(SCOPE)).toBeUndefined();
  });

  it("takes a lifetime that is too short to use for a minute, as the specification says", async () => {
    const { auth } = setUp(() => token("T1", { expires_in: 1 }));
    await auth.answer(unauthorised(BEARER), SCOPE, undefined);
    expect(auth.authorization(SCOPE)).toBe("Bearer T1");
  });

  it("makes one exchange for any number of requests that wait for it", async () => {
    const { auth, requests, lookups } = setUp(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return token("T1");
    }, BASIC);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => auth.answer(unauthorised(BEARER), SCOPE, undefined)),
    );
    expect(new Set(answers)).toEqual(new Set(["Bearer T1"]));
    expect(requests).toHaveLength(1);
    expect(lookups()).toBe(1);
  });

  it("gives a request that was refused without token the one that another has got meanwhile", async () => {
    const { auth, requests } = setUp(() => token("T1"));
    await auth.answer(unauthorised(BEARER), SCOPE, undefined);
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
    expect(requests).toHaveLength(1);
  });

  it("gets a new token where the server no longer takes the old one", async () => {
    let count = 0;
    const { auth } = setUp(() => token(`T${++count}`));
    const first = await auth.answer(unauthorised(BEARER), SCOPE, undefined);
    expect(await auth.answer(unauthorised(BEARER), SCOPE, first)).toBe("Bearer T2");
  });

  it("sends user name and password by OAuth2 first", async () => {
    const { auth, requests } = setUp(() => ({ body: '{"access_token":"T1","expires_in":60}' }), BASIC);
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
    const form = new URLSearchParams(Buffer.from(requests[0]!.body).toString());
    expect(requests[0]!.method).toBe("POST");
    expect(Object.fromEntries(form)).toEqual({
      grant_type: "password",
      username: "ann",
      password: "canary-password",
      service: "registry.example.com",
      scope: SCOPE,
      client_id: "wasm-to-oci",
    });
    expect(requests[0]!.url.search).toBe("");
  });

  it.each([400, 401, 404, 405])("falls back to GET with Basic where POST gives %d", async (status) => {
    const { auth, requests } = setUp(({ method }) => (method === "POST" ? { status } : token("T1")), BASIC);
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
    expect(requests[1]!.url.searchParams.get("account")).toBe("ann");
    expect(requests[1]!.headers["authorization"]).toBe(`Basic ${btoa("ann:canary-password")}`);
    expect(requests[1]!.url.href).not.toContain("canary");
  });

  it("exchanges an identity token, and has nothing to fall back to", async () => {
    const credentials: Credentials = { kind: "identity-token", token: "canary-refresh" };
    const good = setUp(() => token("T1"), credentials);
    expect(await good.auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
    expect(Buffer.from(good.requests[0]!.body).toString()).toContain("grant_type=refresh_token");
    const bad = setUp(() => ({ status: 401 }), credentials);
    expect((await failureOf(bad.auth.answer(unauthorised(BEARER), SCOPE, undefined))).code).toBe("REGISTRY_DENIED");
    expect(bad.requests).toHaveLength(1);
  });

  it("sends a finished token as it is, once", async () => {
    const { auth, requests } = setUp(() => token("never"), { kind: "registry-token", token: "ready" });
    const header = await auth.answer(unauthorised(BEARER), SCOPE, undefined);
    expect(header).toBe("Bearer ready");
    expect(await auth.answer(unauthorised(BEARER), SCOPE, header)).toBeUndefined();
    expect(requests).toEqual([]);
  });

  it("answers Basic with Basic for every scope from then on", async () => {
    const { auth, requests } = setUp(() => ({}), { kind: "basic", username: "änn", password: "p:w" });
    const header = await auth.answer(unauthorised('Basic realm="x"'), SCOPE, undefined);
    expect(header).toBe(`Basic ${Buffer.from("änn:p:w").toString("base64")}`);
    expect(auth.authorization("anything")).toBe(header);
    expect(await auth.answer(unauthorised('Basic realm="x"'), SCOPE, header)).toBeUndefined();
    expect(requests).toEqual([]);
  });

  it("prefers tokens where both are offered", async () => {
    const { auth } = setUp(() => token("T1"), BASIC);
    expect(await auth.answer(unauthorised(`Basic realm="x", ${BEARER}`), SCOPE, undefined)).toBe("Bearer T1");
  });

  it.each([undefined, "", "Negotiate", "Digest realm=x", 'Bearer service="x"', 'Basic realm="x"'])(
    "has no answer to the challenge %j without credentials",
    async (challenge) => {
      const { auth, requests } = setUp(() => token("T1"));
      expect(await auth.answer(unauthorised(challenge), SCOPE, undefined)).toBeUndefined();
      expect(requests).toEqual([]);
    },
  );

  it("does not hand an identity token to a server that asks for Basic", async () => {
    const { auth } = setUp(() => ({}), { kind: "identity-token", token: "canary" });
    expect(await auth.answer(unauthorised('Basic realm="x"'), SCOPE, undefined)).toBeUndefined();
  });

  it("asks for the scopes of the challenge too, unless they name the same thing", async () => {
    const { auth, requests } = setUp(() => token("T1"));
    const challenge = `${BEARER},scope="repository:acme/app:pull repository:prefix/acme/app:pull bad\u0001scope"`;
    await auth.answer(unauthorised(challenge), "repository:acme/app:pull,push", undefined);
    expect(requests[0]!.url.searchParams.getAll("scope")).toEqual([
      "repository:acme/app:pull,push",
      "repository:prefix/acme/app:pull",
    ]);
  });

  it.each([
    "http://auth.example.com/token",
    "https://169.254.169.254/token",
    "https://auth.evil.example/token",
    "https://ann@auth.example.com/",
  ])("sends nothing to the realm %s", async (realm) => {
    const { auth, requests } = setUp(() => token("T1"), BASIC);
    const error = await failureOf(auth.answer(unauthorised(`Bearer realm="${realm}"`), SCOPE, undefined));
    expect(error.code).toBe("REDIRECT_REFUSED");
    expect(requests).toEqual([]);
    // and the next honest challenge works
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
  });

  it.each([301, 302, 303, 307, 308])("follows no redirect (%d) of the token server", async (status) => {
    const location = "http://127.0.0.1:1/steal";
    const { auth, requests } = setUp(() => ({ status, headers: { location } }), BASIC);
    expect((await failureOf(auth.answer(unauthorised(BEARER), SCOPE, undefined))).code).toBe("REDIRECT_REFUSED");
    expect(requests.map(({ url }) => url.host)).toEqual(["auth.example.com"]);
  });

  it("lets the token server's name resolve to a local address only where the registry is local too", async () => {
    const publicOnly = async (server: string, peer: string | undefined) => {
      const { auth, requests } = setUp(() => token("T1"), undefined, server);
      await auth.answer(unauthorised(BEARER, peer), SCOPE, undefined);
      return requests[0]!.publicOnly;
    };
    expect(await publicOnly("https://registry.example.com/", "93.184.216.34")).toBe(true);
    expect(await publicOnly("https://registry.example.com/", "10.0.0.1")).toBe(false);
    expect(await publicOnly("https://registry.example.com/", undefined)).toBe(false);
  });

  it.each<[string, FakeAnswer, string]>([
    ["no JSON", { body: "<html>" }, "JSON_INVALID"],
    ["no token", { body: "{}" }, "JSON_INVALID"],
    ["a token that is no text", { body: '{"token":1}' }, "JSON_INVALID"],
    ["a token that breaks out of the header", { body: '{"token":"a\\r\\nx: y"}' }, "JSON_INVALID"],
    ["an empty token", { body: '{"token":""}' }, "JSON_INVALID"],
    ["a token twice", { body: '{"token":"a","token":"b"}' }, "JSON_INVALID"],
    ["a negative lifetime", { body: '{"token":"a","expires_in":-1}' }, "JSON_INVALID"],
    ["more than any token needs", { body: `{"token":"${"a".repeat(300_000)}"}` }, "RESPONSE_TOO_LARGE"],
    ["403", { status: 403 }, "REGISTRY_DENIED"],
    ["418", { status: 418 }, "REGISTRY_DENIED"],
    ["500", { status: 500 }, "REGISTRY_UNAVAILABLE"],
    ["429", { status: 429 }, "REGISTRY_UNAVAILABLE"],
  ])("fails where the token server gives %s, and works the next time", async (_what, answer, code) => {
    let broken = true;
    const { auth } = setUp(() => (broken ? answer : token("T1")), BASIC);
    expect((await failureOf(auth.answer(unauthorised(BEARER), SCOPE, undefined))).code).toBe(code);
    expect(auth.authorization(SCOPE)).toBeUndefined();
    broken = false;
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
  });

  it("tries a token server again that is busy for the moment", async () => {
    const { auth } = setUp(({ nth }) => (nth === 1 ? { status: 503 } : token("T1")));
    expect(await auth.answer(unauthorised(BEARER), SCOPE, undefined)).toBe("Bearer T1");
  });

  it("shows no secret in any failure, whatever the server answers", async () => {
    const secrets = /canary|Y2FuYXJ5|YW5uOmNhbm/;
    for (const answer of [{ status: 403, body: "canary-password" }, { status: 500 }, { body: '{"token":"canary' }]) {
      for (const credentials of [BASIC, { kind: "identity-token", token: "canary-refresh" }] as const) {
        const { auth } = setUp(() => answer, credentials);
        const error = await failureOf(auth.answer(unauthorised(BEARER), SCOPE, undefined));
        expect(JSON.stringify([error.message, error.hint, error.details, String(error.cause)])).not.toMatch(secrets);
      }
    }
  });

  it("takes its secrets out of what a server says", async () => {
    const { auth } = setUp(() => token("canary-token"), BASIC);
    await auth.answer(unauthorised(BEARER), SCOPE, undefined);
    expect(auth.redact("got Bearer canary-token from canary-password!")).toBe("got Bearer [redacted] from [redacted]!");
  });
});

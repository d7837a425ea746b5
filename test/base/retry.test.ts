import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/base/errors.ts";
import { DEFAULT_RETRY, exchangeWithRetry, retryDelay, type RetryPolicy } from "../../src/base/retry.ts";
import { fakeTransport, type FakeAnswer } from "../support/fake-transport.ts";

const NOW = new Date("2026-01-01T00:00:00Z");

/** Runs the answers in order, without real sleep. */
async function run(answers: (FakeAnswer | Error)[], random = 0.5) {
  const slept: number[] = [];
  const policy: RetryPolicy = {
    attempts: 4,
    random: () => random,
    sleep: (milliseconds) => {
      slept.push(milliseconds);
      return Promise.resolve();
    },
  };
  const { transport, requests } = fakeTransport(({ nth }) => {
    const answer = answers[nth - 1] ?? {};
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const outcome = await exchangeWithRetry(transport, { method: "GET", url: "http://h/" }, policy, () => NOW).then(
    (response) => response.status,
    (error: unknown) => error,
  );
  return { outcome, slept, tries: requests.length };
}

const network = (reason: string) => new TransportError("NETWORK", reason, { details: { reason } });

describe("exchangeWithRetry", () => {
  it.each([408, 425, 429, 500, 502, 503, 504])("tries again after %d, waiting longer each time", async (status) => {
    const { outcome, slept } = await run([{ status }, { status }, { status: 200 }]);
    expect(outcome).toBe(200);
    expect(slept).toEqual([200, 400]);
  });

  it("gives the last answer after four tries", async () => {
    const { outcome, tries } = await run(Array.from({ length: 9 }, () => ({ status: 503 })));
    expect([outcome, tries]).toEqual([503, 4]);
  });

  it.each([200, 301, 400, 401, 403, 404, 409, 501])("gives %d at once", async (status) => {
    expect(await run([{ status }])).toEqual({ outcome: status, slept: [], tries: 1 });
  });

  it("waits as long as Retry-After says, in seconds or until a date", async () => {
    const seconds = await run([{ status: 429, headers: { "retry-after": "7" } }, {}]);
    expect(seconds.slept).toEqual([7000]);
    const date = await run([{ status: 503, headers: { "retry-after": "Thu, 01 Jan 2026 00:00:09 GMT" } }, {}]);
    expect(date.slept).toEqual([9000]);
    const past = await run([{ status: 503, headers: { "retry-after": "Thu, 01 Jan 1970 00:00:09 GMT" } }, {}]);
    expect(past.slept).toEqual([200]);
  });

  it("ignores a Retry-After that is none, and gives up where it asks for more than a minute", async () => {
    expect((await run([{ status: 503, headers: { "retry-after": "soon" } }, {}])).slept).toEqual([200]);
    const long = await run([{ status: 429, headers: { "retry-after": "86400" } }, {}]);
    expect(long).toEqual({ outcome: 429, slept: [], tries: 1 });
    expect((await run([{ status: 503, headers: { "retry-after": "99999999999999" } }, {}])).tries).toBeLessThan(3);
  });

  it("tries again after a cut connection", async () => {
    const { outcome, tries } = await run([network("ECONNRESET"), network("EAI_AGAIN"), {}]);
    expect([outcome, tries]).toEqual([200, 3]);
  });

  it.each(["ECONNREFUSED", "ENOTFOUND"])("gives up at once on %s", async (reason) => {
    expect((await run([network(reason), {}])).tries).toBe(1);
  });

  it("tries once more after silence, and not again", async () => {
    const silence = new TransportError("TIMEOUT", "silent");
    const { outcome, tries } = await run([silence, silence, {}]);
    expect([outcome, tries]).toEqual([silence, 2]);
  });

  it.each(["TLS", "REDIRECT_REFUSED", "RESPONSE_INVALID"] as const)("never retries %s", async (code) => {
    expect((await run([new TransportError(code, "no"), {}])).tries).toBe(1);
  });

  it("stops waiting when told to", async () => {
    const abort = new AbortController();
    abort.abort();
    const { transport } = fakeTransport(() => ({ status: 503 }));
    const request = { method: "GET", url: "http://h/", signal: abort.signal };
    await expect(exchangeWithRetry(transport, request, DEFAULT_RETRY, () => NOW)).rejects.toMatchObject({
      code: "INTERRUPTED",
    });
    const later = new AbortController();
    const work = exchangeWithRetry(
      transport,
      { ...request, signal: later.signal },
      { ...DEFAULT_RETRY, random: () => 1 },
      () => NOW,
    );
    later.abort();
    await expect(work).rejects.toMatchObject({ code: "INTERRUPTED" });
  });
});

describe("retryDelay", () => {
  it("spreads clients over the whole span, which has an end", () => {
    const at = (random: number) => retryDelay(50, { ...DEFAULT_RETRY, random: () => random });
    expect([at(0), at(0.999999)]).toEqual([0, 10_000]);
  });
});

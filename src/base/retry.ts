/**
 * Tries an exchange again where a server or the network failed for the moment. Only for requests that may
 * safely arrive twice.
 */
import { errorCode, InterruptedError, TransportError } from "./errors.ts";
import type { Transport, TransportRequest, TransportResponse } from "./http.ts";
import type { Clock } from "./runtime.ts";

export interface RetryPolicy {
  /** How often to try at all. */
  readonly attempts: number;
  /** Waits that many milliseconds; rejects with INTERRUPTED when the signal says so. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
}

/** Three more tries bridge a restarting server or a moving tag; more only delay the news. */
const ATTEMPTS = 4;
/** First wait at most; doubles with each try. */
const BASE_DELAY_MS = 400;
const MAX_DELAY_MS = 10_000;
/** A server that asks for more than a minute is told on; the caller decides. */
const MAX_RETRY_AFTER_MS = 60_000;
/** A request that was met by silence is tried once more only: each try costs the whole idle time. */
const TIMEOUT_ATTEMPTS = 2;

const RETRYABLE_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Nobody there, or no such name: the next second will not change it. */
const PERMANENT_REASONS: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOTFOUND"]);

export const DEFAULT_RETRY: RetryPolicy = { attempts: ATTEMPTS, sleep, random: Math.random };

/**
 * Makes an exchange, and makes it again after a status or failure that may pass. Honours Retry-After.
 *
 * @returns the last response, whatever its status
 */
export async function exchangeWithRetry(
  transport: Transport,
  request: TransportRequest,
  policy: RetryPolicy,
  now: Clock,
): Promise<TransportResponse> {
  for (let attempt = 1; ; attempt++) {
    let delay = retryDelay(attempt, policy);
    try {
      const response = await transport(request);
      if (!RETRYABLE_STATUS.has(response.status) || attempt >= policy.attempts) return response;
      const asked = retryAfter(response.headers.get("retry-after"), now);
      if (asked !== undefined && asked > MAX_RETRY_AFTER_MS) return response;
      delay = Math.max(delay, asked ?? 0);
      await response.cancel();
    } catch (error) {
      if (!isPassing(error, attempt) || attempt >= policy.attempts) throw error;
    }
    await policy.sleep(delay, request.signal);
  }
}

/** How long to wait after the n-th failure: a random part of a span that doubles, so that clients spread out. */
export function retryDelay(attempt: number, policy: RetryPolicy): number {
  return Math.round(policy.random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (attempt - 1)));
}

/** Tells whether a failure of the network may be gone at the next attempt. */
export function isPassing(error: unknown, attempt: number): boolean {
  if (errorCode(error) === "TIMEOUT") return attempt < TIMEOUT_ATTEMPTS;
  if (!(error instanceof TransportError) || error.code !== "NETWORK") return false;
  return !PERMANENT_REASONS.has(String(error.details["reason"]));
}

/** Reads Retry-After, seconds or a date, as milliseconds from now (RFC 9110 §10.2.3). */
function retryAfter(value: string | null, now: Clock): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now().getTime());
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(new InterruptedError());
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(new InterruptedError());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

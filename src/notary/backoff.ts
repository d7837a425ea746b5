/** Waiting between attempts when publishers collide. */
import { InterruptedError } from "../base/errors.ts";

/** Ends after `ms` milliseconds, or with INTERRUPTED as soon as the signal fires. */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>;

/** 64 publishers that start at the same moment all get their turn; more means that something is wrong. */
export const MAX_CONFLICTS = 64;

/** A server that does not answer is asked this often in all. */
export const MAX_UNAVAILABLE = 3;

const FIRST_MS = 50;
const LONGEST_MS = 2_000;

/** Milliseconds to wait after the given failed attempt (1, 2, …): random below a bound that doubles ("full jitter"). */
export function backoffDelay(attempt: number, random: () => number): number {
  return Math.round(random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1)));
}

export const timerPause: Pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new InterruptedError());
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(new InterruptedError());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });

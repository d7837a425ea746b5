/** How publishers that collide make room for each other. */

/** 64 publishers that start at the same moment all get their turn; more means that something is wrong. */
export const MAX_CONFLICTS = 64;

/** A server that gives no answer to an upload is asked this often in all. */
export const MAX_UNANSWERED = 3;

const FIRST_MS = 50;
const LONGEST_MS = 2_000;

/** Milliseconds to wait after the given failed attempt (1, 2, …): random below a bound that doubles ("full jitter"). */
export function backoffDelay(attempt: number, random: () => number): number {
  return Math.round(random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1)));
}

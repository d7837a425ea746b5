/** Durations as Go writes them (`5s`, `1m30s`, `1.5h`), plus days (`7d`). */
import { UsageError } from "../base/errors.ts";

const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Ten years: longer than anything that we keep fresh, and far below where timers and dates overflow. */
const MAX_MILLISECONDS = 3650 * 86_400_000;

const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)/y;

/**
 * Reads a duration.
 *
 * @returns milliseconds, more than 0
 * @throws {UsageError} USAGE
 */
export function parseDuration(text: string): number {
  let total = 0;
  let at = 0;
  while (at < text.length) {
    PART.lastIndex = at;
    const match = PART.exec(text);
    if (match === null) throw notADuration(text);
    total += Number(match[1]) * MILLISECONDS[match[2]!]!;
    at = PART.lastIndex;
  }
  if (!(total > 0)) throw notADuration(text);
  if (total > MAX_MILLISECONDS) throw new UsageError("USAGE", `${JSON.stringify(text)} is longer than ten years`);
  return total;
}

function notADuration(text: string): UsageError {
  return new UsageError("USAGE", `${JSON.stringify(text)} is not a duration`, {
    hint: "Write a number above 0 and a unit, for example 500ms, 5s, 1m30s, 2h or 7d",
  });
}

/** What uploads may cost the server before it knows who sent them: the memory of all, and the parsing of each. */
import { setImmediate } from "node:timers/promises";
import { MAX_JSON_DEPTH } from "../../base/json.ts";
import { ApiError } from "./errors.ts";

/** Uploads that are being received or validated, together: five of the largest, thousands of usual ones. */
const MAX_BYTES_AT_ONCE = 512 * 1024 * 1024;

/**
 * Values of one upload, and of all that are being validated. Validated, a value takes up to a thousand bytes and
 * several microseconds, however short it was: 64 MiB of `[` or `{},` would become gigabytes. 100,000 targets with
 * two hashes and custom data have about a million.
 */
export const MAX_VALUES = 1_500_000;

/** Counts the bytes of all uploads. */
export class UploadMemory {
  private readonly limit: number;
  private used = 0;

  constructor(limit: number = MAX_BYTES_AT_ONCE) {
    this.limit = limit;
  }

  /**
   * Runs the work of one upload. What passes through `count` is counted until the work has ended.
   *
   * @throws {ApiError} UPDATING, from the stream, where all uploads together are too much
   */
  async run<T>(
    work: (count: (body: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    let own = 0;
    const take = (bytes: number) => {
      own += bytes;
      this.used += bytes;
      if (this.used > this.limit) throw new ApiError("UPDATING", "too many uploads at once, try again later");
    };
    async function* count(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) {
        take(chunk.length);
        yield chunk;
      }
    }
    try {
      return await work(count);
    } finally {
      this.used -= own;
    }
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Counts the values of a text that is JSON or not: never too few. Infinite for what is nested too deeply; ends early
 * beyond {@link MAX_VALUES}.
 */
export function countValues(bytes: Uint8Array): number {
  let depth = 0;
  let values = 1;
  let inString = false;
  for (let at = 0; at < bytes.length && values <= MAX_VALUES; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === COMMA) values++;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      values++;
      depth++;
      if (depth > MAX_JSON_DEPTH) return Number.POSITIVE_INFINITY;
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
  }
  return values;
}

/** Lets uploads in for validation, in the order in which they came, as long as all together have so many values. */
export class ValidationBudget {
  private readonly limit: number;
  private readonly waiting: { readonly values: number; readonly enter: () => void }[] = [];
  private used = 0;

  constructor(limit: number = MAX_VALUES) {
    this.limit = limit;
  }

  /** @param values at most the limit */
  async run<T>(values: number, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((enter) => {
      this.waiting.push({ values, enter });
      this.letIn();
    });
    try {
      await setImmediate(); // requests that wait meanwhile have their turn between two validations
      return await work();
    } finally {
      this.used -= values;
      this.letIn();
    }
  }

  private letIn(): void {
    for (;;) {
      const next = this.waiting[0];
      if (next === undefined || this.used + next.values > this.limit) return;
      this.waiting.shift();
      this.used += next.values;
      next.enter();
    }
  }
}

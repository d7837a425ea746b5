/** What uploads may cost the server before it knows who sent them: the memory of all, and the parsing of each. */
import { MAX_JSON_DEPTH } from "../../base/json.ts";
import { ApiError } from "./errors.ts";

/** Uploads that are being received or validated, together: five of the largest, thousands of usual ones. */
const MAX_BYTES_AT_ONCE = 512 * 1024 * 1024;

/**
 * Values of one document. Parsed, a value takes some hundred bytes, however short it was: 64 MiB of `[` or `{},` would
 * become gigabytes. 100,000 targets with two hashes and custom data have about a million.
 */
const MAX_VALUES = 2_000_000;

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

/** Tells JSON that is cheap enough to parse, whether or not it is JSON. */
export function isCheapToParse(bytes: Uint8Array): boolean {
  let depth = 0;
  let values = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === COMMA) values++;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      values++;
      depth++;
      if (depth > MAX_JSON_DEPTH) return false;
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
    if (values > MAX_VALUES) return false;
  }
  return true;
}

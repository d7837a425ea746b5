/**
 * Strict JSON (RFC 8259) for what was received: one pass, one meaning. Duplicate keys, lone surrogates,
 * integers that a double cannot hold, a byte order mark, trailing data and deep nesting are errors, because
 * two readers that disagree about a signed document are a way to attack one of them.
 */
import { utf8Decode } from "./bytes.ts";
import { FormatError } from "./errors.ts";

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;

/** An object without prototype: `__proto__` and `constructor` are ordinary keys. */
export interface JsonObject {
  [key: string]: JsonValue;
}

export interface JsonOptions {
  /** Names the document in messages, e.g. `root.json`. */
  what?: string;
  /** Refuse fractions, exponents and `-0`: signed formats have integers only. */
  integersOnly?: boolean;
}

/** Deeper than any format that we read (metadata needs 6, image indexes 5), far from the stack's end. */
export const MAX_JSON_DEPTH = 64;

/**
 * Parses JSON strictly.
 *
 * @param input UTF-8 bytes, or text
 * @throws {FormatError} JSON_INVALID with the position of the fault
 * @example
 * ```ts
 * parseJson('{"a":1,"a":2}'); // throws: duplicate key "a"
 * ```
 */
export function parseJson(input: Uint8Array | string, options: JsonOptions = {}): JsonValue {
  const what = options.what ?? "JSON";
  const text = typeof input === "string" ? input : utf8Decode(input, what);
  return new Parser(text, what, options.integersOnly ?? false).document();
}

/** Tells objects from the other JSON values. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f\ud800-\udfff]+/y; // oxlint-disable-line no-control-regex -- JSON forbids them raw
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SIMPLE_ESCAPES: ReadonlySet<number> = new Set(Array.from(String.raw`"\/bfnrt`, (letter) => letter.charCodeAt(0)));

class Parser {
  private readonly text: string;
  private readonly what: string;
  private readonly integersOnly: boolean;
  private at = 0;

  constructor(text: string, what: string, integersOnly: boolean) {
    this.text = text;
    this.what = what;
    this.integersOnly = integersOnly;
  }

  document(): JsonValue {
    const value = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail("data after the end of the document");
    return value;
  }

  private value(depth: number): JsonValue {
    if (depth > MAX_JSON_DEPTH) this.fail(`more than ${MAX_JSON_DEPTH} levels of nesting`);
    this.space();
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"':
        return this.string();
      case "t":
        return this.literal("true", true);
      case "f":
        return this.literal("false", false);
      case "n":
        return this.literal("null", null);
      case undefined:
        return this.fail("it ends too early");
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonObject {
    const object = Object.create(null) as JsonObject;
    this.at++;
    this.space();
    if (this.skip("}")) return object;
    do {
      this.space();
      if (this.text[this.at] !== '"') this.fail("expected a key in quotes");
      const start = this.at;
      const key = this.string();
      if (key in object) this.fail(`duplicate key ${JSON.stringify(key)}`, start);
      this.space();
      if (!this.skip(":")) this.fail("expected a colon");
      object[key] = this.value(depth + 1);
      this.space();
    } while (this.skip(","));
    if (!this.skip("}")) this.fail("expected a comma or the end of the object");
    return object;
  }

  private array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.at++;
    this.space();
    if (this.skip("]")) return array;
    do {
      array.push(this.value(depth + 1));
      this.space();
    } while (this.skip(","));
    if (!this.skip("]")) this.fail("expected a comma or the end of the array");
    return array;
  }

  /** Checks a string here, and has the engine put it together where it has escapes: piece by piece takes seconds. */
  private string(): string {
    const start = this.at++;
    let hasEscapes = false;
    for (;;) {
      const unit = this.text.charCodeAt(this.at);
      if (unit === QUOTE) {
        this.at++;
        return hasEscapes
          ? (JSON.parse(this.text.slice(start, this.at)) as string)
          : this.text.slice(start + 1, this.at - 1);
      }
      if (unit === BACKSLASH) {
        hasEscapes = true;
        this.escape();
        continue;
      }
      if (Number.isNaN(unit)) this.fail("a string does not end");
      PLAIN.lastIndex = this.at;
      if (PLAIN.test(this.text)) this.at = PLAIN.lastIndex;
      else this.surrogatePair();
    }
  }

  private escape(): void {
    if (SIMPLE_ESCAPES.has(this.text.charCodeAt(this.at + 1))) {
      this.at += 2;
      return;
    }
    const unit = this.unicodeEscape(this.at);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const low = this.text.startsWith("\\u", this.at + 6) ? this.unicodeEscape(this.at + 6) : 0;
      if (low < 0xdc00 || low > 0xdfff) this.fail("a lone surrogate");
      this.at += 12;
      return;
    }
    if (unit >= 0xdc00 && unit <= 0xdfff) this.fail("a lone surrogate");
    this.at += 6;
  }

  private unicodeEscape(at: number): number {
    if (this.text.charCodeAt(at + 1) !== 0x75) this.fail("an unknown escape", at); // u
    let unit = 0;
    for (let digit = at + 2; digit < at + 6; digit++) {
      const value = hexValue(this.text.charCodeAt(digit));
      if (value === undefined) this.fail("an unknown escape", at);
      unit = unit * 16 + value;
    }
    return unit;
  }

  private surrogatePair(): void {
    const unit = this.text.charCodeAt(this.at);
    if (unit < 0x20) this.fail("a raw control character in a string");
    const low = this.text.charCodeAt(this.at + 1);
    if (unit > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) this.fail("a lone surrogate");
    this.at += 2;
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) return this.fail("expected a value");
    const number = Number(match[0]);
    const integer = match[1] === undefined && match[2] === undefined;
    if (integer && !Number.isSafeInteger(number)) this.fail(`the integer ${match[0]} is outside ±(2^53-1)`);
    if (!Number.isFinite(number)) this.fail(`the number ${match[0]} is too large`);
    if (this.integersOnly && (!integer || Object.is(number, -0))) this.fail(`${match[0]} is not a plain integer`);
    this.at += match[0].length;
    return number;
  }

  private literal<T extends JsonValue>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail("expected a value");
    this.at += word.length;
    return value;
  }

  private space(): void {
    for (;;) {
      const unit = this.text.charCodeAt(this.at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.at++;
    }
  }

  private skip(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private fail(reason: string, at = this.at): never {
    throw new FormatError("JSON_INVALID", `${this.what} is not acceptable JSON: ${reason} (at character ${at})`, {
      details: { position: at },
    });
  }
}

function hexValue(unit: number): number | undefined {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const letter = unit | 0x20; // lower case
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined;
}

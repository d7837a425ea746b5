/**
 * The targets of a large document, left where they are: in the received bytes. One strict scan proves that the part
 * is in canonical form with every type right, and notes where each target is; only targets that are asked for are
 * ever made into objects. What the scan does not prove (escapes, other than ASCII, white space, unknown fields) is
 * read the usual way.
 */
import { concatBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { parseJson, type JsonValue } from "../base/json.ts";
import type { TargetFile } from "./schema.ts";

/** Below this size the usual way takes no time worth saving. */
export const MIN_INDEXED_BYTES = 32 * 1024;
/** Levels inside `custom`; deeper values are left to the usual reader, which has a limit of its own. */
const MAX_DEPTH = 32;
/** Of a target's name, as in the usual reader. */
const MAX_NAME = 4096;
/** Digits of a number that is safe without looking closer. */
const MAX_DIGITS = 15;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

const CUSTOM = utf8Encode('"custom":');
const HASHES = utf8Encode('"hashes":{');
const SHA256 = utf8Encode('"sha256":"');
const SHA512 = utf8Encode('"sha512":"');
const LENGTH = utf8Encode('"length":');
const LITERALS = ["true", "false", "null"].map((word) => utf8Encode(word));

/** A document whose targets were taken out. */
export interface Excerpt {
  /** The document with `{}` in place of its targets. */
  readonly rest: Bytes;
  /** The targets, in canonical form. */
  readonly region: Bytes;
  readonly index: TargetIndex;
}

/**
 * Takes the targets out of a document.
 *
 * @returns undefined where they are not all plain and in canonical form, or the document is no JSON that has any
 */
export function excerptTargets(document: Bytes): Excerpt | undefined {
  const start = new Scanner(document, 0).findTargets();
  if (start === undefined) return undefined;
  const scanner = new Scanner(document, start);
  const offsets = scanner.targets();
  if (offsets === undefined) return undefined;
  const rest = concatBytes([document.subarray(0, start), utf8Encode("{}"), document.subarray(scanner.at)]);
  const region = document.subarray(start, scanner.at);
  return { rest, region, index: new TargetIndex(document, Uint32Array.from(offsets)) };
}

/** A map of targets over the bytes that hold them, sorted by name. Lookups take the logarithm of their number. */
export class TargetIndex implements ReadonlyMap<string, TargetFile> {
  private readonly bytes: Bytes;
  /** Where each name's first character is. */
  private readonly offsets: Uint32Array;

  constructor(bytes: Bytes, offsets: Uint32Array) {
    this.bytes = bytes;
    this.offsets = offsets;
  }

  get size(): number {
    return this.offsets.length;
  }

  has(name: string): boolean {
    return this.locate(name) !== undefined;
  }

  get(name: string): TargetFile | undefined {
    const offset = this.locate(name);
    return offset === undefined ? undefined : this.read(offset).file;
  }

  *entries(): MapIterator<[string, TargetFile]> {
    for (const offset of this.offsets) {
      const { name, file } = this.read(offset);
      yield [name, file];
    }
    return undefined;
  }

  *keys(): MapIterator<string> {
    for (const offset of this.offsets) yield this.nameAt(offset);
    return undefined;
  }

  *values(): MapIterator<TargetFile> {
    for (const offset of this.offsets) yield this.read(offset).file;
    return undefined;
  }

  [Symbol.iterator](): MapIterator<[string, TargetFile]> {
    return this.entries();
  }

  forEach(callback: (file: TargetFile, name: string, map: ReadonlyMap<string, TargetFile>) => void): void {
    for (const [name, file] of this) callback(file, name, this);
  }

  private locate(name: string): number | undefined {
    const wanted = utf8Encode(name);
    let low = 0;
    let high = this.offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const offset = this.offsets[middle]!;
      const order = compareName(this.bytes, offset, wanted);
      if (order === 0) return offset;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  private read(offset: number): { readonly name: string; readonly file: TargetFile } {
    const name = this.nameAt(offset);
    const scanner = new Scanner(this.bytes, offset + name.length + 2); // names are ASCII; a quote and a colon follow
    const start = scanner.at;
    scanner.target();
    const { custom, hashes, length } = parseJson(this.bytes.subarray(start, scanner.at)) as {
      custom?: JsonValue;
      hashes: Record<string, string>;
      length: number;
    };
    const extra = Object.create(null) as Record<string, never>;
    return { name, file: { length, hashes, ...(custom === undefined ? {} : { custom }), extra } };
  }

  private nameAt(offset: number): string {
    return decodeAscii(this.bytes.subarray(offset, this.bytes.indexOf(QUOTE, offset)));
  }
}

const decoder = new TextDecoder();

function decodeAscii(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Compares the name at an offset, which a quote ends, with other bytes. */
function compareName(bytes: Uint8Array, offset: number, other: Uint8Array): number {
  for (let i = 0; ; i++) {
    const left = bytes[offset + i]!;
    if (left === QUOTE) return i === other.length ? 0 : -1;
    if (i === other.length) return 1;
    const difference = left - other[i]!;
    if (difference !== 0) return difference;
  }
}

/** Walks over bytes. Every method says whether what it names is here, in canonical form, and stands behind it then. */
class Scanner {
  at: number;
  private readonly bytes: Bytes;

  constructor(bytes: Bytes, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Finds where the value of `targets` in `signed` starts, in JSON of any form. What it passes over is not checked. */
  findTargets(): number | undefined {
    return this.enterMember("signed") && this.enterMember("targets") && this.bytes[this.at] === OPEN
      ? this.at
      : undefined;
  }

  /** The offsets of all names; undefined where anything is not as it must be. */
  targets(): number[] | undefined {
    const offsets: number[] = [];
    if (!this.skip(OPEN)) return undefined;
    if (this.skip(CLOSE)) return offsets;
    do {
      const start = this.at + 1;
      if (!this.string()) return undefined;
      const length = this.at - 1 - start;
      if (length === 0 || length > MAX_NAME) return undefined;
      const before = offsets.at(-1);
      if (before !== undefined && compareName(this.bytes, before, this.bytes.subarray(start, this.at - 1)) >= 0) {
        return undefined;
      }
      offsets.push(start);
      if (!this.skip(COLON) || !this.target()) return undefined;
    } while (this.skip(COMMA));
    return this.skip(CLOSE) ? offsets : undefined;
  }

  target(): boolean {
    if (!this.skip(OPEN)) return false;
    if (this.word(CUSTOM) && !(this.value(0) && this.skip(COMMA))) return false;
    if (!this.word(HASHES)) return false;
    const short = this.word(SHA256);
    if (short && !this.hex(64)) return false;
    if (!short || this.skip(COMMA)) {
      if (!this.word(SHA512) || !this.hex(128)) return false;
    }
    return this.skip(CLOSE) && this.skip(COMMA) && this.word(LENGTH) && this.natural() && this.skip(CLOSE);
  }

  private value(depth: number): boolean {
    const byte = this.bytes[this.at];
    if (byte === OPEN) return depth < MAX_DEPTH && this.object(depth + 1);
    if (byte === OPEN_ARRAY) return depth < MAX_DEPTH && this.array(depth + 1);
    if (byte === QUOTE) return this.string();
    if (byte === MINUS) {
      this.at++;
      return this.bytes[this.at] !== ZERO && this.natural();
    }
    return this.natural() || LITERALS.some((literal) => this.word(literal));
  }

  private object(depth: number): boolean {
    this.at++;
    if (this.skip(CLOSE)) return true;
    let before: number | undefined;
    do {
      const start = this.at + 1;
      if (!this.string()) return false;
      const name = this.bytes.subarray(start, this.at - 1);
      if (before !== undefined && compareName(this.bytes, before, name) >= 0) return false;
      before = start;
      if (!this.skip(COLON) || !this.value(depth)) return false;
    } while (this.skip(COMMA));
    return this.skip(CLOSE);
  }

  private array(depth: number): boolean {
    this.at++;
    if (this.skip(CLOSE_ARRAY)) return true;
    do if (!this.value(depth)) return false;
    while (this.skip(COMMA));
    return this.skip(CLOSE_ARRAY);
  }

  /** Printable ASCII without escapes. */
  private string(): boolean {
    if (!this.skip(QUOTE)) return false;
    const { bytes } = this;
    for (let at = this.at; ; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.at = at + 1;
        return true;
      }
      if (byte === undefined || byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return false;
    }
  }

  private hex(length: number): boolean {
    const { bytes, at } = this;
    for (let i = at; i < at + length; i++) {
      const byte = bytes[i];
      if (byte === undefined || !((byte >= ZERO && byte <= NINE) || (byte >= 0x61 && byte <= 0x66))) return false;
    }
    this.at += length;
    return this.skip(QUOTE);
  }

  private natural(): boolean {
    const start = this.at;
    let byte = this.bytes[start];
    while (byte !== undefined && byte >= ZERO && byte <= NINE) byte = this.bytes[++this.at];
    const digits = this.at - start;
    return digits === 1 || (digits > 1 && digits <= MAX_DIGITS && this.bytes[start] !== ZERO);
  }

  private word(word: Uint8Array): boolean {
    for (let i = 0; i < word.length; i++) if (this.bytes[this.at + i] !== word[i]) return false;
    this.at += word.length;
    return true;
  }

  private skip(byte: number): boolean {
    if (this.bytes[this.at] !== byte) return false;
    this.at++;
    return true;
  }

  /** Enters the object that is here and stands before the value of a member. */
  private enterMember(name: string): boolean {
    const wanted = utf8Encode(`"${name}"`);
    this.space();
    if (!this.skip(OPEN)) return false;
    for (;;) {
      this.space();
      const found = this.word(wanted);
      if (!found && !this.passString()) return false;
      this.space();
      if (!this.skip(COLON)) return false;
      this.space();
      if (found) return true;
      if (!this.passValue()) return false;
      this.space();
      if (!this.skip(COMMA)) return false;
    }
  }

  /** Passes over a value of any form: to its end, if it is JSON at all. */
  private passValue(): boolean {
    let depth = 0;
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte === undefined) return false;
      if (byte === QUOTE) {
        if (!this.passString()) return false;
      } else if ((byte === COMMA || byte === CLOSE || byte === CLOSE_ARRAY) && depth === 0) {
        return true;
      } else {
        if (byte === OPEN || byte === OPEN_ARRAY) depth++;
        if (byte === CLOSE || byte === CLOSE_ARRAY) depth--;
        this.at++;
      }
    }
  }

  private passString(): boolean {
    if (!this.skip(QUOTE)) return false;
    for (let byte = this.bytes[this.at]; byte !== undefined; byte = this.bytes[this.at]) {
      this.at += byte === BACKSLASH ? 2 : 1;
      if (byte === QUOTE) return true;
    }
    return false;
  }

  private space(): void {
    for (let byte = this.bytes[this.at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;) {
      byte = this.bytes[++this.at];
    }
  }
}

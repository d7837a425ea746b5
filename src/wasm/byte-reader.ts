/**
 * A cursor over bytes of a Wasm binary. Each read is checked against the end, so hostile lengths and counts
 * end in WASM_INVALID with the place of the fault, never in a RangeError or an endless loop.
 */
import { FormatError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";

/** Longest name read, in bytes: what V8 and wasmparser allow. */
export const MAX_NAME_BYTES = 100_000;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Makes the error of a damaged binary. */
export function wasmFault(reason: string, offset: number, hint?: string): FormatError {
  return new FormatError("WASM_INVALID", `not a valid Wasm binary: ${reason} (at byte ${offset})`, {
    hint: hint ?? "The file is damaged or cut off; build it again or fetch it again",
    details: { offset },
  });
}

/** Quotes a name of the binary in a message. */
export function showName(name: string): string {
  return JSON.stringify(escapeUntrusted(name, 128));
}

export class ByteReader {
  private readonly bytes: Uint8Array;
  /** Where `bytes` starts in the whole binary. */
  private readonly base: number;
  private readonly what: string;
  private at = 0;

  /** @param what names the bytes in messages, e.g. `the import section` */
  constructor(bytes: Uint8Array, base: number, what: string) {
    this.bytes = bytes;
    this.base = base;
    this.what = what;
  }

  /** Bytes left. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Where the next byte lies in the whole binary. */
  get offset(): number {
    return this.base + this.at;
  }

  fail(reason: string, offset = this.offset): never {
    throw wasmFault(`${this.what}: ${reason}`, offset);
  }

  /** The next byte, which is read again; undefined at the end. */
  peek(): number | undefined {
    return this.bytes[this.at];
  }

  byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) return this.fail("it ends too early");
    this.at++;
    return byte;
  }

  take(length: number): Uint8Array {
    if (length > this.left) this.fail(`a length of ${length} where ${this.left} bytes are left`);
    const part = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return part;
  }

  /** A part with its own end, for content that carries its length. */
  part(length: number, what: string): ByteReader {
    const base = this.offset;
    return new ByteReader(this.take(length), base, what);
  }

  /** An unsigned LEB128 integer of at most 32 bits. Padding within 5 bytes is allowed, as the specification does. */
  u32(): number {
    const start = this.offset;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return this.fail("an integer of more than 32 bits", start);
  }

  /** An unsigned LEB128 integer of at most 64 bits. */
  u64(): bigint {
    const start = this.offset;
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      if (shift === 63n && byte > 0x01) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return this.fail("an integer of more than 64 bits", start);
  }

  /** Passes over a signed LEB128 integer of at most 33 bits: a type, or its index. Gives its first byte. */
  skipS33(): number {
    const start = this.offset;
    const first = this.byte();
    let last = first;
    for (let i = 1; last >= 0x80; i++) {
      if (i === 5) this.fail("an integer of more than 33 bits", start);
      last = this.byte();
    }
    return first;
  }

  /** The length of a list whose elements take at least `atLeast` bytes each. */
  count(atLeast: number): number {
    const start = this.offset;
    const count = this.u32();
    if (count * atLeast > this.left) this.fail(`${count} elements in ${this.left} bytes`, start);
    return count;
  }

  /** Length and UTF-8 bytes. */
  name(): string {
    const start = this.offset;
    const length = this.u32();
    if (length > MAX_NAME_BYTES) this.fail(`a name of ${length} bytes; ${MAX_NAME_BYTES} are allowed`, start);
    return this.text(length);
  }

  text(length: number): string {
    const start = this.offset;
    try {
      return decoder.decode(this.take(length));
    } catch (error) {
      if (error instanceof FormatError) throw error;
      return this.fail("a name that is not UTF-8", start);
    }
  }

  end(): void {
    if (this.left > 0) this.fail(`${this.left} bytes more than it needs`);
  }
}

/**
 * Reading DER (X.690), strictly: definite and shortest lengths, low tag numbers, shortest integers, nothing left
 * over. Reading is ours because asn1js reads BER: two encodings of one key would be two fingerprints. A reader
 * walks one level and never recurses, so its callers bound the depth.
 */
import type { Bytes } from "../base/bytes.ts";
import { ownBytes } from "../base/bytes.ts";
import type { WasmToOciError } from "../base/errors.ts";

/** Identifier octets. */
export const DER_TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Identifier octet of a constructed context tag: `[0]`, `[1]` … */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

/** Makes the error of the format that is being read from the text of a fault. */
export type DerFault = (message: string) => WasmToOciError;

/** Lengths above 3 octets (16 MiB) belong to nothing that is read here. */
const MAX_LENGTH_OCTETS = 3;
/** The longest object identifier in use has about 20 octets. */
const MAX_OID_OCTETS = 64;

/** One element: its identifier octet, its content, and all of its bytes. */
export interface DerElement {
  readonly tag: number;
  readonly content: Bytes;
  readonly bytes: Bytes;
}

export class DerReader {
  private readonly bytes: Bytes;
  private readonly fault: DerFault;
  private at = 0;

  constructor(bytes: Uint8Array, fault: DerFault) {
    this.bytes = ownBytes(bytes);
    this.fault = fault;
  }

  get done(): boolean {
    return this.at === this.bytes.length;
  }

  /** The identifier octet of the next element; undefined at the end. */
  peek(): number | undefined {
    return this.bytes[this.at];
  }

  fail(message: string): never {
    throw this.fault(message);
  }

  /** Reads the next element, whatever it is. */
  element(what: string): DerElement {
    const start = this.at;
    const tag = this.octet(what);
    if ((tag & 0x1f) === 0x1f) this.fail(`${what} has a tag number above 30`);
    const length = this.length(what);
    if (length > this.bytes.length - this.at) this.fail(`${what} is cut off`);
    const content = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return { tag, content, bytes: this.bytes.subarray(start, this.at) };
  }

  /** Reads the content of the next element, which must have this identifier octet. */
  read(tag: number, what: string): Bytes {
    const got = this.peek();
    if (got !== tag) this.fail(`${what} is missing: expected tag ${hex(tag)}, got ${hex(got)}`);
    return this.element(what).content;
  }

  /** Reads the content of the next element if it has this identifier octet. */
  optional(tag: number, what: string): Bytes | undefined {
    return this.peek() === tag ? this.element(what).content : undefined;
  }

  /** Reads into the next element, a SEQUENCE unless told. */
  enter(what: string, tag: number = DER_TAG.sequence): DerReader {
    return new DerReader(this.read(tag, what), this.fault);
  }

  /** A reader over content that was taken out before. */
  within(content: Uint8Array): DerReader {
    return new DerReader(content, this.fault);
  }

  /** The octets of an INTEGER in two's complement, as short as can be. */
  integer(what: string): Bytes {
    const content = this.read(DER_TAG.integer, what);
    const [first, second] = content;
    if (first === undefined) this.fail(`${what} is an empty integer`);
    if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
      this.fail(`${what} is not the shortest form of its integer`);
    }
    return content;
  }

  /** The magnitude of an INTEGER that must not be negative, without leading zeros. */
  unsigned(what: string): Bytes {
    const content = this.integer(what);
    if (content[0]! >= 0x80) this.fail(`${what} is negative`);
    return content[0] === 0 && content.length > 1 ? content.subarray(1) : content;
  }

  /** An INTEGER from 0 to 2^31-1. */
  smallInteger(what: string): number {
    const magnitude = this.unsigned(what);
    if (magnitude.length > 4 || (magnitude.length === 4 && magnitude[0]! >= 0x80)) this.fail(`${what} is too large`);
    return magnitude.reduce((number, octet) => number * 256 + octet, 0);
  }

  boolean(what: string): boolean {
    const content = this.read(DER_TAG.boolean, what);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) this.fail(`${what} is not a boolean`);
    return content[0] === 0xff;
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(what: string): string {
    return this.oidText(this.read(DER_TAG.oid, what), what);
  }

  /** Whole octets of a BIT STRING, as keys and signatures are. */
  bitString(what: string): Bytes {
    const content = this.read(DER_TAG.bitString, what);
    if (content[0] !== 0) this.fail(`${what} is not a whole number of octets`);
    return content.subarray(1);
  }

  octetString(what: string): Bytes {
    return this.read(DER_TAG.octetString, what);
  }

  null(what: string): void {
    if (this.read(DER_TAG.null, what).length > 0) this.fail(`${what} is not null`);
  }

  /** Demands that nothing is left. */
  end(what: string): void {
    if (!this.done) this.fail(`${this.bytes.length - this.at} bytes are left over after ${what}`);
  }

  private octet(what: string): number {
    const octet = this.bytes[this.at];
    if (octet === undefined) return this.fail(`${what} is cut off`);
    this.at++;
    return octet;
  }

  private length(what: string): number {
    const first = this.octet(what);
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0) this.fail(`${what} has no definite length`);
    if (count > MAX_LENGTH_OCTETS) this.fail(`${what} is too long`);
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.octet(what);
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) this.fail(`${what} has a length that is not the shortest`);
    return length;
  }

  private oidText(content: Bytes, what: string): string {
    if (content.length === 0 || content.length > MAX_OID_OCTETS || content.at(-1)! >= 0x80) {
      this.fail(`${what} is not an object identifier`);
    }
    const arcs: bigint[] = [];
    let arc = 0n;
    let first = true;
    for (const octet of content) {
      if (first && octet === 0x80) this.fail(`${what} is not the shortest form of its object identifier`);
      arc = (arc << 7n) | BigInt(octet & 0x7f);
      first = octet < 0x80;
      if (!first) continue;
      if (arcs.length > 0) arcs.push(arc);
      else arcs.push(...(arc < 80n ? [arc / 40n, arc % 40n] : [2n, arc - 80n]));
      arc = 0n;
    }
    return arcs.join(".");
  }
}

function hex(tag: number | undefined): string {
  return tag === undefined ? "the end" : `0x${tag.toString(16).padStart(2, "0")}`;
}

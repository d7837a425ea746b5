/** Writing DER: the shortest forms, as {@link DerReader} demands them. Every function gives one whole element. */
import { concatBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { contextTag, DER_TAG } from "./der.ts";

/** An element of any identifier octet. */
export function element(tag: number, ...content: readonly Uint8Array[]): Bytes {
  const body = concatBytes(content);
  return concatBytes([Uint8Array.of(tag, ...lengthOctets(body.length)), body]);
}

export function sequence(...elements: readonly Uint8Array[]): Bytes {
  return element(DER_TAG.sequence, ...elements);
}

/** `[number] EXPLICIT`. */
export function explicit(number: number, ...elements: readonly Uint8Array[]): Bytes {
  return element(contextTag(number), ...elements);
}

/** An INTEGER that is not negative: a small number, or the octets of a magnitude. */
export function integer(value: number | Uint8Array): Bytes {
  const octets = typeof value === "number" ? bigEndian(value) : value;
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start++;
  const magnitude = octets.subarray(start);
  return magnitude[0]! >= 0x80
    ? element(DER_TAG.integer, Uint8Array.of(0), magnitude)
    : element(DER_TAG.integer, magnitude);
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function oid(dotted: string): Bytes {
  const [first, second, ...rest] = dotted.split(".").map(Number);
  const octets = [first! * 40 + second!, ...rest].flatMap((arc) => base128(arc));
  return element(DER_TAG.oid, Uint8Array.from(octets));
}

export function octetString(...content: readonly Uint8Array[]): Bytes {
  return element(DER_TAG.octetString, ...content);
}

/** A BIT STRING; `unusedBits` of its last octet do not count. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Bytes {
  return element(DER_TAG.bitString, Uint8Array.of(unusedBits), bytes);
}

/** BOOLEAN TRUE; FALSE is a default wherever it is used here, and DER leaves defaults out. */
export function isTrue(): Bytes {
  return element(DER_TAG.boolean, Uint8Array.of(0xff));
}

export function nothing(): Bytes {
  return element(DER_TAG.null);
}

export function utf8String(text: string): Bytes {
  return element(DER_TAG.utf8String, utf8Encode(text));
}

/** A time as RFC 5280 §4.1.2.5 wants it: UTCTime until 2049, then GeneralizedTime; whole seconds. */
export function time(date: Date): Bytes {
  const text = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return date.getUTCFullYear() < 2050
    ? element(DER_TAG.utcTime, utf8Encode(text.slice(2)))
    : element(DER_TAG.generalizedTime, utf8Encode(text));
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets = bigEndian(length);
  return [0x80 | octets.length, ...octets];
}

function bigEndian(value: number): Bytes {
  const octets: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.from(octets.length === 0 ? [0] : octets);
}

function base128(arc: number): number[] {
  const octets = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift(0x80 | (rest % 128));
  return octets;
}

/** Bytes and their text forms. Decoders are strict: what does not decode is an error, never a guess. */
import { FormatError } from "./errors.ts";

/** Bytes that own a plain ArrayBuffer, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Encodes text as UTF-8. Lone surrogates become U+FFFD: check text that came from outside first. */
export function utf8Encode(text: string): Bytes {
  return encoder.encode(text);
}

/** Decodes UTF-8. @throws {FormatError} JSON_INVALID where the bytes are not UTF-8. */
export function utf8Decode(bytes: Uint8Array, what = "text"): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new FormatError("JSON_INVALID", `${what} is not valid UTF-8`, { cause });
  }
}

export function hexEncode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Decodes lower- or upper-case hexadecimal, or returns undefined where the text is none. */
export function hexDecode(text: string): Bytes | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Encodes standard base64 with padding (RFC 4648 §4). */
export function base64Encode(bytes: Uint8Array): string {
  const CHUNK = 0x8000; // String.fromCharCode takes its bytes as arguments, of which engines allow a limited number
  let binary = "";
  for (let i = 0; i < bytes.length; i += CHUNK) binary += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  return btoa(binary);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Decodes standard base64 with padding and without white space, or returns undefined where the text is none. */
export function base64Decode(text: string): Bytes | undefined {
  if (!BASE64.test(text)) return undefined;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export function concatBytes(parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Gives the same bytes on a plain ArrayBuffer; copies only where they share one with other code. */
export function ownBytes(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : new Uint8Array(bytes);
}

/**
 * Orders text by its UTF-8 bytes, as Go and the OLPC canonical JSON do. JavaScript's own order compares
 * UTF-16 units, which differs above U+FFFF.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left === right) continue;
    const leftSurrogate = left >= 0xd800 && left <= 0xdfff;
    const rightSurrogate = right >= 0xd800 && right <= 0xdfff;
    if (leftSurrogate !== rightSurrogate) return leftSurrogate ? 1 : -1;
    return left - right;
  }
  return a.length - b.length;
}

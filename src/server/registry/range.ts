/** Byte ranges of requests (RFC 9110 §14). */
import { RegistryFault } from "./errors.ts";

/** Bytes `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads the Range of a GET. Undefined means the whole: no range, several of them, another unit or a condition
 * (`If-Range`) that does not hold; the specification lets a server ignore those.
 *
 * @throws {RegistryFault} 416 where the content has no byte of the range
 */
export function readRange(headers: Headers, size: number, etag: string): ByteRange | undefined {
  const text = headers.get("range");
  const condition = headers.get("if-range");
  if (text === null || (condition !== null && condition !== etag)) return undefined;
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "") {
    if (last === "") return undefined;
    if (Number(last) === 0 || size === 0) throw unsatisfiable(size);
    return { start: Math.max(0, size - Number(last)), end: size };
  }
  const start = Number(first);
  if (start >= size || (last !== "" && Number(last) < start)) throw unsatisfiable(size);
  return { start, end: last === "" ? size : Math.min(Number(last) + 1, size) };
}

/**
 * Reads the Content-Range of an upload's chunk, `<first>-<last>` as the distribution specification spells it.
 *
 * @throws {RegistryFault} 416
 */
export function readChunkRange(text: string): { readonly start: number; readonly size: number } {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  const start = Number(match?.[1]);
  const last = Number(match?.[2]);
  if (match !== null && start <= last) return { start, size: last - start + 1 };
  throw new RegistryFault("BLOB_UPLOAD_INVALID", "the Content-Range is not <first byte>-<last byte>", { status: 416 });
}

function unsatisfiable(size: number): RegistryFault {
  return new RegistryFault("SIZE_INVALID", `the blob has ${size} bytes`, {
    status: 416,
    headers: { "content-range": `bytes */${size}` },
  });
}

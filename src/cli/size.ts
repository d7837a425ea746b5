/** Sizes as people write them: bytes, or with K, M, G or T for 1024 of the one before. */
import { UsageError } from "../base/errors.ts";

const UNITS = ["", "K", "M", "G", "T"];

/**
 * Reads a size.
 *
 * @returns bytes
 * @throws {UsageError} USAGE
 */
export function parseSize(text: string): number {
  const match = /^(\d{1,12})([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const bytes = match === null ? NaN : Number(match[1]) * 1024 ** UNITS.indexOf(match[2]!.toUpperCase());
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError("USAGE", `${JSON.stringify(text)} is not a size`, {
    hint: "Write a whole number of bytes, or with a unit: 500M, 2G",
  });
}

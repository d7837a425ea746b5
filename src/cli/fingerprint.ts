/** Fingerprints of keys as people write them. */
import { UsageError } from "../base/errors.ts";

const FINGERPRINT = /^(?:sha256:)?([0-9a-fA-F]{64})$/;

/** Reads one, with or without `sha256:` and colons, as lower-case hex. @throws {UsageError} USAGE */
export function readFingerprint(input: string): string {
  const match = FINGERPRINT.exec(input.replaceAll(":", "").replace(/^sha256/, "sha256:"));
  if (match === null) throw new UsageError("USAGE", `${JSON.stringify(input)} is not a sha256 in hexadecimal`);
  return match[1]!.toLowerCase();
}

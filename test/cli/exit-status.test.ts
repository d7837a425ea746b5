import { describe, expect, it } from "vitest";
import { InternalError, StorageError, TransportError, TrustError, UsageError } from "../../src/base/errors.ts";
import { EXIT_MEANING, EXIT_STATUS, exitStatusOf } from "../../src/cli/exit-status.ts";

describe("exit statuses", () => {
  it("are all different, none but success is 0, and none is one that shells use", () => {
    const statuses = Object.values(EXIT_STATUS);
    expect(new Set(statuses).size).toBe(statuses.length);
    expect(statuses.filter((status) => status === 0)).toHaveLength(1);
    expect(statuses.every((status) => status <= 125 || status === 130)).toBe(true);
  });

  it("each have a meaning", () => {
    expect(Object.keys(EXIT_MEANING)).toEqual(Object.keys(EXIT_STATUS));
  });

  it.each([
    [new UsageError("USAGE", ""), 2],
    [new StorageError("FILE_NOT_FOUND", ""), 3],
    [new TrustError("KEY_PASSPHRASE", ""), 4],
    [new TransportError("TLS", ""), 5],
    [new StorageError("STORAGE_FULL", ""), 6],
    [new TrustError("TRUST_CONFLICT", ""), 8],
    [new TrustError("TARGET_MISMATCH", ""), 10],
    [new TrustError("TRUST_NOT_FOUND", ""), 11],
    [new TrustError("ROOT_UNTRUSTED", ""), 12],
    [new TrustError("METADATA_EXPIRED", ""), 13],
    [new TrustError("METADATA_ROLLED_BACK", ""), 14],
    [new InternalError(""), 1],
    [new TypeError(""), 1],
    ["a text", 1],
    [undefined, 1],
    [null, 1],
  ])("turns %s into %i", (error, status) => {
    expect(exitStatusOf(error)).toBe(status);
  });
});

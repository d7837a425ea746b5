/** The last check before bytes are released, alone: each signed fact is looked at, whatever the others say. */
import { describe, expect, it } from "vitest";
import { checkModule } from "../src/check-module.ts";
import type { Downloaded } from "../src/download.ts";
import type { ExpectedModule } from "../src/trust/binding.ts";
import type { SignedTarget } from "../src/trust/source.ts";

const SHA256 = "a".repeat(64);
const SHA512 = "b".repeat(128);
const GOT: Downloaded = { digest: `sha256:${SHA256}`, size: 10, sha512: SHA512 };
const TARGET: SignedTarget = { name: "v1", length: 10, hashes: {}, custom: undefined, role: "targets" };

const check = (expected: ExpectedModule): void => checkModule(expected, GOT, "r:v1", TARGET);

describe("checkModule", () => {
  it.each<[string, ExpectedModule]>([
    ["sha256", { length: 10, hashes: { sha256: SHA256 } }],
    ["sha512", { length: 10, hashes: { sha512: SHA512 } }],
    ["both", { length: 10, hashes: { sha256: SHA256, sha512: SHA512 } }],
  ])("accepts bytes that are what was signed: %s", (_hashes, expected) => {
    expect(() => check(expected)).not.toThrow();
  });

  it.each<[string, ExpectedModule]>([
    ["another length", { length: 11, hashes: { sha256: SHA256, sha512: SHA512 } }],
    ["another sha256", { length: 10, hashes: { sha256: "c".repeat(64), sha512: SHA512 } }],
    ["another sha512", { length: 10, hashes: { sha256: SHA256, sha512: "c".repeat(128) } }],
    ["another sha512 alone", { length: 10, hashes: { sha512: "c".repeat(128) } }],
    ["no hash at all", { length: 10, hashes: {} }],
  ])("refuses where %s was signed", (_what, expected) => {
    expect(() => check(expected)).toThrow(expect.objectContaining({ code: "TARGET_MISMATCH" }));
  });
});

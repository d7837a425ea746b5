import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { parseDuration } from "../../src/cli/duration.ts";

describe("parseDuration", () => {
  it.each([
    ["5s", 5000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["300ms", 300],
    ["1µs", 0.001],
    ["7d", 604_800_000],
    ["1h1m1s1ms", 3_661_001],
  ])("reads %s", (text, milliseconds) => {
    expect(parseDuration(text)).toBeCloseTo(milliseconds, 9);
  });

  it.each([
    "",
    "5",
    "s",
    "-5s",
    "0s",
    "5 s",
    "5s ",
    "5x",
    "1e3s",
    "5S",
    "..5s",
    "1.2.3s",
    "4000d",
    "9".repeat(400) + "s",
  ])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow(UsageError);
  });

  it("gives a number above zero or a usage error for any text", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,6}(ns|us|ms|s|m|h|d)?[0-9.]{0,6}(s|m)?$/)),
        (text) => {
          try {
            expect(parseDuration(text)).toBeGreaterThan(0);
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
          }
        },
      ),
    );
  });
});

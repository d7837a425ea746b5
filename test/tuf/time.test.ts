import { describe, expect, it } from "vitest";
import { formatTime, parseTime } from "../../src/tuf/time.ts";

describe("times in metadata", () => {
  for (const text of ["2030-01-31T12:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2028-02-29T00:00:00Z"]) {
    it(`may be ${text}, and are written as they were`, () => {
      const time = parseTime(text)!;
      expect(time.toISOString()).toBe(text.replace("Z", ".000Z"));
      expect(formatTime(time)).toBe(text);
    });
  }

  for (const text of [
    "",
    "never",
    "2030-01-31",
    "2030-01-31T12:00:00",
    "2030-01-31T12:00:00z",
    "2030-01-31t12:00:00Z",
    "2030-01-31 12:00:00Z",
    "2030-01-31T12:00:00.000Z",
    "2030-01-31T12:00Z",
    "2030-01-31T12:00:00+00:00",
    "2030-01-31T12:00:00ZZ",
    " 2030-01-31T12:00:00Z",
    "x2030-01-31T12:00:00Z",
    "2030-01-31T12:00:00Z\n",
    "2030-02-31T00:00:00Z",
    "2030-02-29T00:00:00Z",
    "2030-13-01T00:00:00Z",
    "2030-00-01T00:00:00Z",
    "2030-01-00T00:00:00Z",
    "2030-01-31T24:00:00Z",
    "2030-01-31T23:60:00Z",
    "2030-01-31T23:59:60Z",
    "+12030-01-31T12:00:00Z",
    "+012030-01-31T12:00Z",
    "20300-01-31T12:00:00Z",
    "203-01-31T12:00:00Z",
    "2030-1-31T12:00:00Z",
    "2030-01-31T1:00:00Z",
    "2030-01-31T12:0:00Z",
    "2030-01-31T12:00:0Z",
    "2030-01-1T12:00:00Z",
    "2030-a1-31T12:00:00Z",
    "\u0662030-01-31T12:00:00Z",
  ]) {
    it(`are never ${JSON.stringify(text)}`, () => {
      expect(parseTime(text)).toBeUndefined();
    });
  }

  it("are cut to seconds where they are written", () => {
    expect(formatTime(new Date("2030-01-31T12:00:00.999Z"))).toBe("2030-01-31T12:00:00Z");
  });
});

import { expect, test } from "vitest";
import { backoffDelay, MAX_CONFLICTS } from "../../src/notary/backoff.ts";

const almostOne = () => 0.999999;

test("waits a random time below a bound that doubles up to two seconds", () => {
  expect([1, 2, 3, 4, 7, MAX_CONFLICTS].map((attempt) => backoffDelay(attempt, almostOne))).toEqual([
    50, 100, 200, 400, 2000, 2000,
  ]);
  expect(backoffDelay(10, () => 0)).toBe(0);
});

import { expect, test } from "vitest";
import { backoffDelay, MAX_CONFLICTS, timerPause } from "../../src/notary/backoff.ts";

const almostOne = () => 0.999999;

test("waits a random time below a bound that doubles up to two seconds", () => {
  expect([1, 2, 3, 4, 7, MAX_CONFLICTS].map((attempt) => backoffDelay(attempt, almostOne))).toEqual([
    50, 100, 200, 400, 2000, 2000,
  ]);
  expect(backoffDelay(10, () => 0)).toBe(0);
});

test("ends a pause with INTERRUPTED as soon as the signal fires", async () => {
  const controller = new AbortController();
  const pause = timerPause(3_600_000, controller.signal);
  controller.abort();
  await expect(pause).rejects.toMatchObject({ code: "INTERRUPTED" });
  await expect(timerPause(3_600_000, controller.signal)).rejects.toMatchObject({ code: "INTERRUPTED" });
});

test("ends a pause when its time is over", async () => {
  await expect(timerPause(0, new AbortController().signal)).resolves.toBeUndefined();
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { newestVersion } from "../../src/notary/version-search.ts";

test("finds the newest of versions that count up by one, from any known one", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(100_000), fc.nat(100_000), async (newest, seen) => {
      const known = Math.min(newest, seen);
      let asked = 0;
      const exists = async (version: number): Promise<boolean> => {
        asked++;
        return version <= newest;
      };
      expect(await newestVersion(exists, known)).toBe(newest);
      expect(asked).toBeLessThanOrEqual(2 * Math.log2(newest - known + 1) + 3);
    }),
  );
});

test("ends where a server says that it has every version", async () => {
  let asked = 0;
  const newest = await newestVersion(async () => ++asked < 1000);
  expect(asked).toBeLessThan(100);
  expect(newest).toBeGreaterThan(0);
});

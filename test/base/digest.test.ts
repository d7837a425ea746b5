import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { hashBytes } from "../../src/base/digest.ts";

/** Around the size up to which nothing is handed to another thread. */
const SIZES = [0, 1, 63, 64, 65, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 1024 * 1024];

describe.each(["sha256", "sha512"] as const)("hashBytes: %s", (algorithm) => {
  it.each(SIZES)("is the hash of %d bytes, also where they are a part of a larger buffer", async (size) => {
    const bytes = Uint8Array.from({ length: size + 7 }, (_, index) => index * 31).subarray(3, size + 3);
    const expected = createHash(algorithm).update(bytes).digest("hex");
    expect(hexEncode(await hashBytes(algorithm, bytes))).toBe(expected);
  });

  it("is the same where the runtime has WebCrypto alone, as browsers do", async () => {
    vi.stubGlobal("process", undefined);
    vi.resetModules();
    const browser = await import("../../src/base/digest.ts");
    vi.unstubAllGlobals();
    for (const size of SIZES) {
      const bytes = new Uint8Array(size).fill(7);
      expect(await browser.hashBytes(algorithm, bytes)).toEqual(await hashBytes(algorithm, bytes));
    }
  });

  it("does not change with the bytes after it was asked for", async () => {
    for (const size of [64, 1024 * 1024]) {
      const bytes = new Uint8Array(size).fill(7);
      const expected = createHash(algorithm).update(bytes).digest("hex");
      const hash = hashBytes(algorithm, bytes);
      bytes.fill(0);
      expect(hexEncode(await hash)).toBe(expected);
    }
  });
});

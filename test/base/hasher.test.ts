import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hexEncode } from "../../src/base/bytes.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { nodeHasher } from "../../src/node/hasher.ts";

describe.each([
  ["noble", nobleHasher],
  ["node", nodeHasher],
])("the hasher of %s", (_name, createHasher) => {
  it.each(["sha256", "sha512"] as const)("gives the %s of the pieces put together", (algorithm) => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }), (pieces) => {
        const hasher = createHasher(algorithm);
        for (const piece of pieces) {
          const reused = piece.slice();
          hasher.update(reused);
          reused.fill(0); // it must not keep what it was given
        }
        const expected = createHash(algorithm).update(Buffer.concat(pieces)).digest("hex");
        expect(hexEncode(hasher.digest())).toBe(expected);
      }),
    );
  });
});

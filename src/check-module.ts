/** The last check before bytes are released: every hash that was signed, and the length. */
import { TrustError } from "./base/errors.ts";
import type { Downloaded } from "./download.ts";
import type { ExpectedModule } from "./trust/binding.ts";
import type { SignedTarget } from "./trust/source.ts";

/**
 * Compares a module with what was signed.
 *
 * @throws {TrustError} TARGET_MISMATCH with both digests
 */
export function checkModule(expected: ExpectedModule, got: Downloaded, name: string, target: SignedTarget): void {
  const { sha256, sha512 } = expected.hashes;
  const wanted = sha256 === undefined ? `sha512:${sha512 ?? ""}` : `sha256:${sha256}`;
  const good =
    got.size === expected.length &&
    (sha256 !== undefined || sha512 !== undefined) &&
    (sha256 === undefined || got.digest === `sha256:${sha256}`) &&
    (sha512 === undefined || got.sha512 === sha512);
  if (good) return;
  const computed = sha256 === undefined ? `sha512:${got.sha512}` : got.digest;
  throw new TrustError(
    "TARGET_MISMATCH",
    `${name} is not what was signed: expected ${wanted} (${expected.length} bytes), got ${computed} (${got.size} bytes)`,
    {
      role: target.role,
      hint: "The content was replaced or damaged; do not use it",
      details: { expected: wanted, got: computed },
    },
  );
}

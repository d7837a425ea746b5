/**
 * The checks that every TUF dialect makes on metadata: who signed, how new, how long good, which bytes. Pure, and
 * without a format: each takes facts and throws what is wrong with them.
 */
import { equalBytes, hexEncode } from "../base/bytes.ts";
import { hashBytes, type HashAlgorithm } from "../base/digest.ts";
import { FormatError, TrustError } from "../base/errors.ts";
import { verifySignature, type PublicKey } from "../keys/public-key.ts";
import type { SignatureScheme } from "../keys/signature-scheme.ts";

/** A signature by a key that the role lists. */
export interface Candidate<Source> {
  readonly key: PublicKey;
  readonly scheme: SignatureScheme;
  readonly signature: Uint8Array;
  /** What the caller knows the key by; given back where the signature is good. */
  readonly source: Source;
}

/**
 * Checks that enough different keys have signed. Keys are told apart by their SubjectPublicKeyInfo bytes: one key
 * under two ids, or in two certificates, counts once. Signatures that are not good count for nothing.
 *
 * @param candidates signatures whose key ids the role lists, at most one per key id
 * @returns the sources of all good signatures, one per key, in the order of the candidates
 * @throws {TrustError} SIGNATURE_THRESHOLD
 */
export async function checkThreshold<Source>(
  role: string,
  message: Uint8Array,
  candidates: readonly Candidate<Source>[],
  threshold: number,
): Promise<Source[]> {
  const good = await Promise.all(candidates.map((candidate) => isGood(candidate, message)));
  const signers = new Map<string, Source>();
  for (const [index, { key, source }] of candidates.entries()) {
    const identity = hexEncode(key.spki);
    if (good[index] === true && !signers.has(identity)) signers.set(identity, source);
  }
  if (threshold >= 1 && signers.size >= threshold) return [...signers.values()];
  throw new TrustError(
    "SIGNATURE_THRESHOLD",
    `the metadata of ${role} is not signed by enough of its keys: ${threshold} needed, ${signers.size} good`,
    {
      role,
      hint: "The metadata was changed, or signed by somebody who may not; it was not used",
      details: { expected: threshold, got: signers.size, candidates: candidates.length },
    },
  );
}

async function isGood({ key, scheme, signature }: Candidate<unknown>, message: Uint8Array): Promise<boolean> {
  try {
    return await verifySignature(key, scheme, message, signature);
  } catch (error) {
    if (error instanceof FormatError) return false; // numbers that are no key: it can have signed nothing
    throw error;
  }
}

/** Checks that a version is not below the highest one seen. @throws {TrustError} METADATA_ROLLED_BACK */
export function checkNotOlder(role: string, version: number, floor: number): void {
  if (version >= floor) return;
  throw new TrustError(
    "METADATA_ROLLED_BACK",
    `the metadata of ${role} is older than what was seen before: version ${version}, seen ${floor}`,
    {
      role,
      hint: "Somebody serves old trust data, or the server was restored from a backup; nothing was used",
      details: { expected: floor, got: version },
    },
  );
}

/** Checks that a version is exactly the one expected. @throws {TrustError} METADATA_TAMPERED, METADATA_ROLLED_BACK */
export function checkVersion(role: string, version: number, expected: number): void {
  checkNotOlder(role, version, expected);
  if (version === expected) return;
  throw new TrustError("METADATA_TAMPERED", `the metadata of ${role} has version ${version}, expected ${expected}`, {
    role,
    details: { expected, got: version },
  });
}

/** Checks that metadata is still good: strictly before its expiry. @throws {TrustError} METADATA_EXPIRED */
export function checkNotExpired(role: string, expires: Date, now: Date): void {
  if (now < expires) return; // false, too, for a date that is none
  const date = Number.isNaN(expires.getTime()) ? "at no readable date" : expires.toISOString();
  throw new TrustError("METADATA_EXPIRED", `the metadata of ${role} expired: ${date}`, {
    role,
    hint: "Its publisher must sign it again; check this machine's clock too",
    details: { expires: date, now: now.toISOString() },
  });
}

/** What bytes must be, as somebody signed it. */
export interface ExpectedBytes {
  readonly length: number;
  /** Raw hashes by algorithm; algorithms that we do not know are passed over, at least one must be known. */
  readonly hashes: ReadonlyMap<string, Uint8Array>;
}

const KNOWN_HASHES = ["sha256", "sha512"] as const satisfies readonly HashAlgorithm[];

/** Tells whether bytes have the length and every known hash that was signed for them. */
export async function matchesBytes(bytes: Uint8Array, expected: ExpectedBytes): Promise<boolean> {
  return (await firstMismatch(bytes, expected, hashBytes)) === undefined;
}

/**
 * Checks length and every known hash.
 *
 * @param hash where some are known already
 * @throws {TrustError} METADATA_TAMPERED
 */
export async function checkBytes(
  role: string,
  bytes: Uint8Array,
  expected: ExpectedBytes,
  hash: typeof hashBytes = hashBytes,
): Promise<void> {
  const mismatch = await firstMismatch(bytes, expected, hash);
  if (mismatch === undefined) return;
  throw new TrustError(
    "METADATA_TAMPERED",
    `the metadata of ${role} is not what was signed for it: expected ${mismatch.expected}, got ${mismatch.got}`,
    { role, hint: "Somebody mixes metadata of different moments, or changed it; it was not used", details: mismatch },
  );
}

async function firstMismatch(bytes: Uint8Array, { length, hashes }: ExpectedBytes, hash: typeof hashBytes) {
  if (bytes.length !== length) return { expected: `${length} bytes`, got: `${bytes.length} bytes` };
  let known = 0;
  for (const algorithm of KNOWN_HASHES) {
    const expected = hashes.get(algorithm);
    if (expected === undefined) continue;
    known++;
    const got = await hash(algorithm, bytes);
    if (!equalBytes(expected, got)) {
      return { expected: `${algorithm}:${hexEncode(expected)}`, got: `${algorithm}:${hexEncode(got)}` };
    }
  }
  return known > 0 ? undefined : { expected: "a sha256 or sha512 hash", got: "none" };
}

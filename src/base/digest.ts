/** Digests: their text form, incremental hashing, and streams that check themselves while they flow. */
import { hexEncode, ownBytes, type Bytes } from "./bytes.ts";
import { FormatError, RegistryError } from "./errors.ts";

export type HashAlgorithm = "sha256" | "sha512";

/** `sha256:<64 hex>` or `sha512:<128 hex>`, lower case. */
export type Digest = `${HashAlgorithm}:${string}`;

const HEX_LENGTH: Readonly<Record<HashAlgorithm, number>> = { sha256: 64, sha512: 128 };

/**
 * Hashes a stream piece by piece. Implementations: node:crypto in `node/`, @noble/hashes elsewhere
 * (WebCrypto can only hash what is wholly in memory).
 */
export interface Hasher {
  /** Takes the next bytes; must not keep a reference to them. */
  update(chunk: Uint8Array): void;
  /** Ends the hash. Called once; nothing may follow it. */
  digest(): Bytes;
}

export type CreateHasher = (algorithm: HashAlgorithm) => Hasher;

/** Tells whether text is a digest in the one spelling that we use. */
export function isDigest(text: string): text is Digest {
  const match = /^(sha256|sha512):([0-9a-f]+)$/.exec(text);
  return match !== null && match[2]!.length === HEX_LENGTH[match[1] as HashAlgorithm];
}

/** Reads a digest. @throws {FormatError} DIGEST_INVALID */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new FormatError("DIGEST_INVALID", `${JSON.stringify(text)} is not a digest`, {
    hint: "A digest looks like sha256:<64 lower-case hexadecimal digits> (or sha512 with 128)",
  });
}

export function digestAlgorithm(digest: Digest): HashAlgorithm {
  return digest.slice(0, digest.indexOf(":")) as HashAlgorithm;
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

export function formatDigest(algorithm: HashAlgorithm, hash: Uint8Array): Digest {
  return `${algorithm}:${hexEncode(hash)}`;
}

/** What hashes at once in Node, Deno and Bun; browsers have none. */
interface BuiltinCrypto {
  createHash(algorithm: HashAlgorithm): { update(bytes: Uint8Array): { digest(): Uint8Array } };
}

/**
 * Up to this size hashing takes less than a tenth of a millisecond. WebCrypto hands every call to another thread, and the
 * way there and back takes longer, on a busy machine by far: a verification makes dozens of small hashes, one after another.
 */
const HASHED_AT_ONCE = 32 * 1024;

const builtinCrypto = (
  globalThis as { readonly process?: { readonly getBuiltinModule?: (id: string) => unknown } }
).process?.getBuiltinModule?.("node:crypto") as BuiltinCrypto | undefined;

/** Hashes bytes that are in memory. */
export async function hashBytes(algorithm: HashAlgorithm, bytes: Uint8Array): Promise<Bytes> {
  if (builtinCrypto !== undefined && bytes.length <= HASHED_AT_ONCE) {
    return new Uint8Array(builtinCrypto.createHash(algorithm).update(bytes).digest());
  }
  const name = algorithm === "sha256" ? "SHA-256" : "SHA-512";
  return new Uint8Array(await crypto.subtle.digest(name, ownBytes(bytes)));
}

/** The digest of bytes that are in memory. */
export async function digestBytes(bytes: Uint8Array, algorithm: HashAlgorithm = "sha256"): Promise<Digest> {
  return formatDigest(algorithm, await hashBytes(algorithm, bytes));
}

/** What a stream must turn out to be. */
export interface ExpectedContent {
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}

/**
 * Passes a stream on while hashing it, and throws instead of ending where length or digest are wrong. A
 * consumer must treat nothing as good before the iteration has ended without an error.
 *
 * @param what names the content in messages, e.g. `blob sha256:… of ghcr.io/acme/app`
 * @throws {RegistryError} DIGEST_MISMATCH as soon as the stream is too long, or at its end
 */
export async function* verifiedStream(
  source: AsyncIterable<Uint8Array>,
  expected: ExpectedContent,
  createHasher: CreateHasher,
  what: string,
): AsyncGenerator<Uint8Array> {
  const algorithm = digestAlgorithm(expected.digest);
  const hasher = createHasher(algorithm);
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > expected.size) throw mismatch(what, `more than ${expected.size} bytes`, `${expected.size} bytes`);
    hasher.update(chunk);
    yield chunk;
  }
  if (size !== expected.size) throw mismatch(what, `${size} bytes`, `${expected.size} bytes`);
  const got = formatDigest(algorithm, hasher.digest());
  if (got !== expected.digest) throw mismatch(what, got, expected.digest);
}

function mismatch(what: string, got: string, expected: string): RegistryError {
  return new RegistryError("DIGEST_MISMATCH", `${what} is not what it should be: expected ${expected}, got ${got}`, {
    hint: "The content was changed or damaged on the way or in the registry; nothing was kept",
    details: { expected, got },
  });
}

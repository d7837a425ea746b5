/** The bytes of a target: checked while they flow, against the signed length and every signed hash (§5.7). */
import { equalBytes, hexDecode, hexEncode, type Bytes } from "../base/bytes.ts";
import type { CreateHasher, Hasher, HashAlgorithm } from "../base/digest.ts";
import { errorCode, TrustError } from "../base/errors.ts";
import type { FoundTarget } from "./delegations.ts";
import { targetFile } from "./names.ts";
import type { TufRepository } from "./repository.ts";

const KNOWN_HASHES = ["sha256", "sha512"] as const satisfies readonly HashAlgorithm[];

export interface TargetDownload {
  readonly repository: TufRepository;
  readonly createHasher: CreateHasher;
  /** Whether the repository puts the hash before names: where root says `consistent_snapshot`, unless switched off. */
  readonly hashPrefix: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads a target. What comes out is good only once the iteration has ended without an error: write it to a
 * place that nobody reads before then.
 *
 * @throws {TrustError} TARGET_MISMATCH as soon as it is too long, or at its end; TRUST_WITHHELD where it is not there
 */
export async function* downloadTarget(
  found: FoundTarget,
  { repository, createHasher, hashPrefix, signal }: TargetDownload,
): AsyncGenerator<Uint8Array> {
  const check = new TargetCheck(found, createHasher);
  const file = targetFile(found.path, hashPrefix ? found.file.hashes : undefined);
  const source = await repository.target({ file, signal });
  if (source === undefined) {
    throw new TrustError("TRUST_WITHHELD", `the repository does not have the signed target ${quoted(found)}`, {
      role: found.role,
      hint: "It was removed, or is being withheld; tell the publisher",
      details: { target: found.path },
    });
  }
  for await (const chunk of source) {
    check.update(chunk);
    yield chunk;
  }
  check.end();
}

/** Tells whether bytes that are here already are the target's. @throws {TrustError} TARGET_MISMATCH without a usable hash */
export async function isTarget(
  found: FoundTarget,
  content: AsyncIterable<Uint8Array>,
  createHasher: CreateHasher,
): Promise<boolean> {
  const check = new TargetCheck(found, createHasher);
  try {
    for await (const chunk of content) check.update(chunk);
    check.end();
    return true;
  } catch (error) {
    if (errorCode(error) === "TARGET_MISMATCH") return false;
    throw error;
  }
}

class TargetCheck {
  private readonly found: FoundTarget;
  private readonly hashers: { readonly algorithm: HashAlgorithm; readonly hasher: Hasher; readonly hash: Bytes }[] = [];
  private size = 0;

  constructor(found: FoundTarget, createHasher: CreateHasher) {
    this.found = found;
    for (const algorithm of KNOWN_HASHES) {
      const hex = found.file.hashes[algorithm];
      const hash = hex === undefined ? undefined : hexDecode(hex);
      if (hash !== undefined) this.hashers.push({ algorithm, hasher: createHasher(algorithm), hash });
    }
    if (this.hashers.length === 0)
      throw mismatch(found, "a sha256 or sha512 hash", Object.keys(found.file.hashes).join(", "));
  }

  update(chunk: Uint8Array): void {
    this.size += chunk.length;
    const { length } = this.found.file;
    if (this.size > length) throw mismatch(this.found, `${length} bytes`, `more than ${length} bytes`);
    for (const { hasher } of this.hashers) hasher.update(chunk);
  }

  end(): void {
    const { length } = this.found.file;
    if (this.size !== length) throw mismatch(this.found, `${length} bytes`, `${this.size} bytes`);
    for (const { algorithm, hasher, hash } of this.hashers) {
      const got = hasher.digest();
      if (equalBytes(got, hash)) continue;
      throw mismatch(this.found, `${algorithm}:${hexEncode(hash)}`, `${algorithm}:${hexEncode(got)}`);
    }
  }
}

function mismatch(found: FoundTarget, expected: string, got: string): TrustError {
  return new TrustError(
    "TARGET_MISMATCH",
    `the target ${quoted(found)} is not what ${found.role} signed: expected ${expected}, got ${got}`,
    {
      role: found.role,
      hint: "The file was replaced or damaged; nothing of it was kept",
      details: { target: found.path, expected, got },
    },
  );
}

function quoted({ path }: FoundTarget): string {
  return JSON.stringify(path);
}

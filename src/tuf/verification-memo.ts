/**
 * Remembers what was verified, so that a client that lives long, or a search that meets a role again, reads, hashes and
 * verifies nothing twice. Keyed by the received bytes and by the very keys that were demanded: a role verified for
 * one delegator says nothing for another.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { hashBytes, type HashAlgorithm } from "../base/digest.ts";
import type { TufKey } from "./keys.ts";
import type { RoleKeys, Signed, SignedMetadata } from "./schema.ts";

/** Documents that are kept; a search visits 32 roles, a client a few times that. The oldest go first. */
const MAX_DOCUMENTS = 512;

export class VerificationMemo {
  private readonly documents = new Map<string, SignedMetadata>();
  private readonly signers = new WeakMap<SignedMetadata, WeakMap<RoleKeys, readonly TufKey[]>>();

  /** By the very bytes, whoever holds them; those of a document that is remembered stay the same. */
  private readonly hashes = new WeakMap<Uint8Array, Map<HashAlgorithm, Promise<Bytes>>>();

  /** The hash of bytes, which for those of a document read before is worked out once. @param name of the document */
  hash(name: string, algorithm: HashAlgorithm, bytes: Uint8Array): Promise<Bytes> {
    const before = this.documents.get(name)?.bytes;
    const same = before !== undefined && isSame(before, bytes) ? before : bytes;
    const known = this.hashes.get(same) ?? new Map<HashAlgorithm, Promise<Bytes>>();
    const hash = known.get(algorithm) ?? hashBytes(algorithm, same);
    this.hashes.set(same, known.set(algorithm, hash));
    return hash;
  }

  /**
   * The document of these bytes: the one read before, if it is the same. Faults are not remembered.
   *
   * @param name of the document: its type first, so that one name never stands for two types
   */
  decoded<T extends Signed>(name: string, bytes: Bytes, decode: () => SignedMetadata<T>): SignedMetadata<T> {
    const known = this.documents.get(name);
    if (known !== undefined && isSame(known.bytes, bytes)) return known as SignedMetadata<T>;
    const document = decode();
    this.documents.delete(name);
    this.documents.set(name, document);
    if (this.documents.size > MAX_DOCUMENTS) this.documents.delete(this.documents.keys().next().value!);
    return document;
  }

  /** Who signed a document for a role as one delegator's document has it. */
  async verified(
    document: SignedMetadata,
    role: RoleKeys,
    verify: () => Promise<readonly TufKey[]>,
  ): Promise<readonly TufKey[]> {
    const known = this.signers.get(document)?.get(role);
    if (known !== undefined) return known;
    const signedBy = await verify();
    const byRole = this.signers.get(document) ?? new WeakMap<RoleKeys, readonly TufKey[]>();
    this.signers.set(document, byRole.set(role, signedBy));
    return signedBy;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || equalBytes(a, b);
}

/**
 * Remembers what was verified, so that a client that lives long, or a search that meets a role again, reads and
 * verifies nothing twice. Keyed by the received bytes and by the very keys that were demanded: a role verified for
 * one delegator says nothing for another.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import type { TufKey } from "./keys.ts";
import type { RoleKeys, Signed, SignedMetadata } from "./schema.ts";

/** Documents that are kept; a search visits 32 roles, a client a few times that. The oldest go first. */
const MAX_DOCUMENTS = 512;

export class VerificationMemo {
  private readonly documents = new Map<string, SignedMetadata>();
  private readonly signers = new WeakMap<SignedMetadata, WeakMap<RoleKeys, readonly TufKey[]>>();

  /**
   * The document of these bytes: the one read before, if it is the same. Faults are not remembered.
   *
   * @param name of the document: its type first, so that one name never stands for two types
   */
  decoded<T extends Signed>(name: string, bytes: Bytes, decode: () => SignedMetadata<T>): SignedMetadata<T> {
    const known = this.documents.get(name);
    if (known !== undefined && equalBytes(known.bytes, bytes)) return known as SignedMetadata<T>;
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

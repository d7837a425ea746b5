/**
 * A collection's documents while they are edited: what was verified, plus changes, not yet signed. Nothing here
 * does I/O, and the verified documents are never changed: an edit that fails half-way leaves nothing behind.
 */
import { TrustError } from "../base/errors.ts";
import type { Delegation, NotaryRoot, NotarySnapshot, NotaryTargets } from "./metadata.ts";
import { parentRole } from "./roles.ts";

/** A verified document and the bytes that it came in. */
export interface Loaded<Document> {
  readonly document: Document;
  readonly bytes: Uint8Array;
}

/** The verified documents of a collection, as edits start from them. */
export interface CollectionDocuments {
  readonly root: Loaded<NotaryRoot>;
  /** Undefined before the first publish. */
  readonly snapshot: NotarySnapshot | undefined;
  /** `targets` and every delegation whose document could be verified. */
  readonly targets: ReadonlyMap<string, Loaded<NotaryTargets>>;
  /** Delegations that exist but could not be used, and why: their documents must not be started anew. */
  readonly unusable: ReadonlyMap<string, string>;
  /** Versions that roles without a document had before they were deleted: new documents go on from there. */
  readonly versions: ReadonlyMap<string, number>;
}

export class Draft {
  readonly base: CollectionDocuments;
  root: NotaryRoot;
  /** Documents by role; one that does not exist yet has version 0. */
  readonly targets: Map<string, NotaryTargets>;
  /** Roles whose documents must be signed again. The snapshot is signed with any of them. */
  readonly dirty = new Set<string>();
  /** Delegations that were deleted: they leave the snapshot, with all below them. */
  readonly deleted = new Set<string>();

  constructor(base: CollectionDocuments) {
    this.base = base;
    this.root = base.root.document;
    this.targets = new Map(Array.from(base.targets, ([role, { document }]) => [role, document]));
  }

  get isChanged(): boolean {
    return this.dirty.size > 0;
  }

  /** The delegation as its parent describes it; undefined where there is none. */
  delegation(role: string): Delegation | undefined {
    return this.targets.get(parentRole(role))?.delegations.roles.find(({ name }) => name === role);
  }

  /**
   * The document of a role, to be changed; an empty one where the role exists and was never signed.
   *
   * @throws {TrustError} DELEGATION_REFUSED
   */
  document(role: string): NotaryTargets {
    const found = this.targets.get(role);
    if (found !== undefined) return found;
    const reason = this.base.unusable.get(role);
    if (reason !== undefined) {
      throw refused(
        role,
        `its published metadata cannot be used: ${reason}`,
        "Sign it again with `wasm-to-oci trust repair`",
      );
    }
    if (role === "targets" || this.delegation(role) === undefined) {
      throw refused(role, "there is no such role", "List the roles with `wasm-to-oci trust show`");
    }
    return {
      delegations: { keys: new Map(), roles: [] },
      expires: "",
      targets: new Map(),
      version: this.base.versions.get(role) ?? 0,
    };
  }

  /** Puts a changed document in place. */
  update(role: string, document: NotaryTargets): void {
    this.targets.set(role, document);
    this.dirty.add(role);
  }
}

/** The error of a role that cannot take a change. */
export function refused(role: string, reason: string, hint: string): TrustError {
  return new TrustError("DELEGATION_REFUSED", `nothing can be signed as ${role}: ${reason}`, { role, hint });
}

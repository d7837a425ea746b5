/**
 * Explain: who may publish a name, by which keys and through which delegations, and what a verification says right
 * now and why. Everything but the module itself is fetched and checked; a refusal is part of the explanation.
 */
import { mayBeUnsigned, requireAllowedTarget } from "./apply-rules.ts";
import { requireApprovedTarget } from "./approve-contract.ts";
import type { Digest } from "./base/digest.ts";
import { RegistryError, WasmToOciError, type ErrorCode, type ErrorDetails, type ErrorKind } from "./base/errors.ts";
import type { Runtime } from "./base/runtime.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStores } from "./oci/content-store.ts";
import type { Reference } from "./oci/reference.ts";
import { formatTagged, taggedReference, type TaggedReference } from "./oci/tagged-reference.ts";
import { askingOf } from "./release-module.ts";
import type { Administration, CollectionStatus } from "./trust/administration.ts";
import type { Authority } from "./trust/authorities.ts";
import { bindTarget, type FoundArtifact } from "./trust/binding.ts";
import { readOnlyApprovals, type ApprovalUse } from "./trust/contract/approvals.ts";
import type { Contract } from "./trust/contract/contract.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import type { Pin } from "./trust/pin.ts";
import type { Check, Note, Verified } from "./trust/report.ts";
import { chooseTarget, knowledgeNotes, trustChecks, trustNotes } from "./trust/resolve.ts";
import type { KeyReport, RoleReport, SignedTarget, TrustedCollection, TrustSource } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";

export interface ExplainOptions {
  readonly runtime: Runtime;
  readonly registry: ContentStores;
  /** `host/repository:tag`, `…@digest` or both; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  readonly trust: Coverage;
  /** Looks at collections that cannot be verified, expired ones for example. */
  readonly administration?: Pick<Administration, "status"> | undefined;
  /** What was approved, where a policy wants wider contracts approved. Nothing is added to it. */
  readonly approvals?: Pick<ApprovalUse, "get"> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where the answer comes from, and what decided that. */
export interface ExplainedSource {
  readonly kind: TrustSource["kind"];
  readonly location: string;
  readonly reason: Coverage["reason"];
  /** The collection that is expected. */
  readonly collection: string;
  /** The signed name that the reference stands for; undefined for a digest that no name was found for. */
  readonly target: string | undefined;
  /** What the root must match; absent where nothing is pinned. */
  readonly pin: Pin | undefined;
  readonly firstUse: Coverage["firstUse"];
}

/** Why a verification fails, as programs see it. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: ErrorDetails;
}

/** Plain data, which `--format json` prints as it is. */
export interface Explanation {
  readonly reference: string;
  readonly source: ExplainedSource;
  /** The roles that may sign the name, in the order in which they are asked; empty where trust could not be had. */
  readonly authorities: readonly Authority[];
  readonly rootKeys: readonly KeyReport[];
  /** What was verified on the way. */
  readonly roles: readonly RoleReport[];
  /** What is signed; undefined where nothing is, or it could not be found out. */
  readonly signed:
    | {
        readonly role: string;
        readonly length: number;
        readonly hashes: SignedTarget["hashes"];
        readonly manifests: readonly Digest[];
        readonly contract: Contract | undefined;
      }
    | undefined;
  /** What the reference names in the registry. */
  readonly found: { readonly digest: Digest; readonly module: Digest | undefined } | undefined;
  /** Of a pull that would be refused: `undefined`. */
  readonly verified: Exclude<Verified, "none"> | undefined;
  /** Checks that passed. The module's own bytes are checked by a pull only. */
  readonly checks: readonly Check[];
  readonly notes: readonly Note[];
  readonly refusal: Refusal | undefined;
  /** What can be seen of a collection that cannot be verified. */
  readonly status: CollectionStatus | undefined;
}

/** An explanation, and the error that a verification ends in. */
export interface Explained {
  readonly explanation: Explanation;
  readonly error: WasmToOciError | undefined;
}

/**
 * Explains a reference.
 *
 * @throws {InterruptedError} INTERRUPTED; other failures are explained
 * @example
 * ```ts
 * const { explanation } = await explain({ runtime, registry, reference: "ghcr.io/acme/app:v1", trust });
 * const mayPublish = explanation.authorities.flatMap(({ keys }) => keys.map((key) => key.fingerprint));
 * ```
 */
export async function explain(options: ExplainOptions): Promise<Explained> {
  const { trust, signal } = options;
  const reference = taggedReference(options.reference);
  const draft = new Draft(formatTagged(reference), trust, reference);
  try {
    const names = reference.tagged ? [targetName(trust, reference.tag)] : undefined;
    const collection = await trust.source.open(trust.collection, { ...trust, names, signal });
    await explainOpened(options, reference, collection, draft);
    return draft.passed();
  } catch (error) {
    const refusal = draft.refused(error);
    if (draft.opened) return refusal;
    if (await mayBeUnsigned(trust, error)) return draft.refused(error, deliveredUnsigned(trust));
    if (await explainUnopened(options, draft)) return draft.refused(error);
    return { ...refusal, explanation: { ...refusal.explanation, status: await statusOf(options) } };
  }
}

async function explainOpened(
  { registry, runtime, trust, approvals, signal }: ExplainOptions,
  reference: TaggedReference,
  collection: TrustedCollection,
  draft: Draft,
): Promise<void> {
  draft.open(collection, runtime.now());
  if (draft.target !== undefined) draft.authorities = await collection.authorities(draft.target);
  const found = await findArtifact(registry.repository(reference), reference.digest ?? reference.tag, signal);
  draft.found = found;
  if (found === undefined && reference.digest !== undefined) throw notInRegistry(draft.reference);
  const target = chooseTarget(trust, collection, reference, found);
  if (draft.target === undefined) draft.authorities = await collection.authorities(target.name);
  draft.sign(target);
  draft.checks = trustChecks(trust, collection, target);
  const binding = bindTarget(target, found, draft.reference);
  draft.checks.push(...binding.checks);
  draft.notes.push(...binding.notes);
  const resolved = { name: draft.reference, trust, collection, target, binding, found };
  draft.checks.push(...requireAllowedTarget(resolved));
  const asking = approvals && askingOf(resolved, { approvals: { store: readOnlyApprovals(approvals) } });
  if (asking !== undefined) draft.checks.push(...(await requireApprovedTarget(asking, target)));
  draft.verified = binding.verified;
}

/** Where a delegated role is what cannot be relied on, everybody else's part can still be told. */
async function explainUnopened({ trust, runtime, signal }: ExplainOptions, draft: Draft): Promise<boolean> {
  if (draft.target === undefined) return false;
  try {
    const collection = await trust.source.open(trust.collection, { ...trust, names: [], signal });
    draft.authorities = await collection.authorities(draft.target);
    draft.open(collection, runtime.now());
    return true;
  } catch (error) {
    if (error instanceof WasmToOciError && error.kind !== "interrupted") return false;
    throw error;
  }
}

/** A collection that cannot even be looked at leaves nothing to show; why it cannot be verified is known already. */
async function statusOf({ administration, trust, signal }: ExplainOptions): Promise<CollectionStatus | undefined> {
  const { collection, pin, firstUse } = trust;
  try {
    return await administration?.status(collection, { pin, firstUse, signal });
  } catch (error) {
    if (error instanceof WasmToOciError && error.kind !== "interrupted") return undefined;
    throw error;
  }
}

/** What is known so far. */
class Draft {
  readonly reference: string;
  target: string | undefined;
  authorities: readonly Authority[] = [];
  found: FoundArtifact | undefined;
  checks: Check[] = [];
  notes: Note[] = [];
  verified: Explanation["verified"];
  private readonly trust: Coverage;
  private collection: TrustedCollection | undefined;
  private signed: Explanation["signed"];

  constructor(reference: string, trust: Coverage, { tagged, tag }: TaggedReference) {
    this.reference = reference;
    this.trust = trust;
    this.target = tagged ? targetName(trust, tag) : undefined;
  }

  get opened(): boolean {
    return this.collection !== undefined;
  }

  open(collection: TrustedCollection, now: Date): void {
    this.collection = collection;
    this.notes = [...trustNotes(collection, now), ...knowledgeNotes(this.trust, collection)];
  }

  sign(target: SignedTarget): void {
    this.target = target.name;
    const { role, length, hashes } = target;
    const { manifests = [], contract } = readBinding(target.custom, target.name) ?? {};
    this.signed = { role, length, hashes, manifests, contract };
  }

  passed(): Explained {
    return { explanation: this.explanation(undefined), error: undefined };
  }

  refused(error: unknown, ...notes: readonly Note[]): Explained {
    this.notes.push(...notes);
    if (!(error instanceof WasmToOciError) || error.kind === "interrupted") throw error;
    const { code, kind, message, hint, details } = error;
    return { explanation: this.explanation({ code, kind, message, hint, details }), error };
  }

  private explanation(refusal: Refusal | undefined): Explanation {
    const { source, reason, collection, pin, firstUse } = this.trust;
    const { kind, location } = source;
    const { found } = this;
    return {
      reference: this.reference,
      source: { kind, location, reason, collection, target: this.target, pin, firstUse },
      authorities: this.authorities,
      rootKeys: this.collection?.rootKeys ?? [],
      roles: this.collection?.roles ?? [],
      signed: this.signed,
      found: found && { digest: found.digest, module: found.module?.digest },
      verified: refusal === undefined ? this.verified : undefined,
      checks: this.checks,
      notes: this.notes,
      refusal,
      status: undefined,
    };
  }
}

/** That it cannot be verified is the answer; that a pull gives it out all the same must not be hidden. */
function deliveredUnsigned({ rules }: Coverage): Note {
  const message = `a pull does not end here: ${rules!.origin} lets it be delivered unverified where nobody has signed`;
  return { code: "unverified", message };
}

function notInRegistry(name: string): RegistryError {
  return new RegistryError("REGISTRY_NOT_FOUND", `${name} does not exist in the registry`, {
    status: 404,
    hint: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
  });
}

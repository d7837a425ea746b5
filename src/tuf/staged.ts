/**
 * Changes that wait for signatures from several people: documents in one file, which anybody may carry about. Nothing
 * in it is trusted: each signer sees what would change from the published state, verified by their own program.
 */
import { equalBytes, hexEncode, utf8Decode, utf8Encode, type Bytes } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { FormatError, TrustError, UsageError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { checkPending } from "./check-pending.ts";
import { diffDocuments, type Difference } from "./diff.ts";
import { ignoringFaults } from "./document-io.ts";
import { TufDraft } from "./draft.ts";
import { applyChanges } from "./editor.ts";
import { decodeMetadata } from "./metadata.ts";
import {
  bytesOf,
  draftOf,
  isFulfilled,
  pendingOf,
  requirementsOf,
  signPending,
  withSignatures,
  type Pending,
  type PendingSet,
  type Requirement,
} from "./pending.ts";
import type { PublishedCollection } from "./published.ts";
import {
  checkAbsent,
  publishChanges,
  publishPending,
  readBase,
  resetVersions,
  type ComputeChanges,
  type PublishAccess,
  type Published,
  type PublishEnvironment,
} from "./publish.ts";
import type { StagingStore } from "./publisher-store.ts";
import { describeRequirements } from "./requirement-text.ts";
import type { Root, Targets } from "./schema.ts";
import { decodeSignatures, encodeSignatures, newSignatures, type SignatureSet } from "./staged-signatures.ts";

const ONLINE: readonly OnlineRole[] = ["snapshot", "timestamp"];
/** Documents of one change; new hash bins are the most. */
const MAX_DOCUMENTS = 20_000;

/** Roles whose documents follow when a staged change is published. */
type OnlineRole = "snapshot" | "timestamp";

/** A change as it is staged. */
interface Staged {
  readonly pending: PendingSet;
  /** Roles that start again at a low version, after a compromise. */
  readonly reset: ReadonlySet<OnlineRole>;
}

/** A staged change as one signer sees it. */
export interface StagedReview {
  /** Names exactly these documents: a signature is given to what was reviewed, or not at all. */
  readonly digest: string;
  readonly documents: readonly {
    readonly role: string;
    readonly version: number;
    readonly differences: readonly Difference[];
  }[];
  readonly requirements: readonly Requirement[];
  /** Who still has to sign, for people; empty when it can be published. */
  readonly missing: readonly string[];
}

/**
 * Prepares changes, signs them with what is at hand, and leaves them for others to sign.
 *
 * @param draft of a new collection; otherwise the changes are computed from the published one
 * @throws {TrustError} TRUST_CONFLICT where other changes are staged already
 */
export async function stageChanges(
  access: PublishAccess,
  staging: StagingStore,
  changes: ComputeChanges | TufDraft,
  environment: PublishEnvironment,
): Promise<StagedReview> {
  const base = await baseOf(access, environment.signal);
  const draft = changes instanceof TufDraft ? changes : TufDraft.of(base ?? notThere());
  if (typeof changes === "function") await applyChanges(draft, await changes(draft));
  const reset = new Set(ONLINE.filter((role) => draft.reset.has(role)));
  if (reset.size > 0 && access.store.coordinate !== undefined) {
    throw new UsageError("USAGE", `a recovery cannot be staged in ${access.store.location}`, {
      hint: "Publish it where all its keys are at hand",
    });
  }
  const prepared = pendingOf(draft, environment.now, await resetVersions(access.store, draft));
  if (prepared.size === 0) {
    throw new UsageError("USAGE", "there is nothing to stage: everything is so already", {
      hint: "Snapshot and timestamp are signed when something is published",
    });
  }
  checkPending(base, prepared, environment.now());
  const { pending } = await signPending(base, prepared, environment.signing);
  const own = encodeStaged({ pending, reset });
  await staging.update(async (current) => {
    if (current === undefined || equalBytes(current, own)) return own;
    throw new TrustError("TRUST_CONFLICT", `other changes wait for signatures already in ${staging.location}`, {
      hint: "Sign and publish them, or drop them, before the next ones",
    });
  });
  return review(access, base, { pending, reset });
}

/** Shows what is staged, and who still has to sign. @returns undefined where nothing is */
export async function reviewStaged(
  access: PublishAccess,
  staging: StagingStore,
  { now, signal }: Pick<PublishEnvironment, "now" | "signal">,
): Promise<StagedReview | undefined> {
  const bytes = await staging.read();
  if (bytes === undefined) return undefined;
  const staged = decodeStaged(bytes);
  const base = await baseOf(access, signal, staged.pending);
  checkPending(base, staged.pending, now());
  return review(access, base, await withAdded(staging, base, staged));
}

/**
 * Adds the signatures of the keys at hand, also those that show that a new key is held.
 *
 * @param reviewed the digest of the review that the signer has seen
 * @throws {TrustError} TRUST_CONFLICT where something else is staged by now; KEY_MISSING where no key at hand is wanted
 */
export async function signStaged(
  access: PublishAccess,
  staging: StagingStore,
  reviewed: string,
  { signing, now, signal }: PublishEnvironment,
): Promise<StagedReview> {
  let result: StagedReview | undefined;
  const sign = async (current: Bytes | undefined): Promise<{ before: PendingSet; after: Staged }> => {
    const staged = await reviewedStaged(staging, current, reviewed);
    const base = await baseOf(access, signal, staged.pending);
    checkPending(base, staged.pending, now());
    const { pending, reset } = await withAdded(staging, base, staged);
    const signed = await signPending(base, pending, signing);
    if (newSignatures(pending, signed.pending).size === 0) {
      if (signed.failure !== undefined) throw signed.failure;
      const missing = await describeRequirements(await openRequirements(base, pending));
      throw new TrustError("KEY_MISSING", `no key in ${signing.location} is wanted for what is staged`, {
        hint: missing.length === 0 ? "It has all its signatures: publish it" : `Still to sign: ${missing.join("; ")}`,
      });
    }
    const after = { pending: signed.pending, reset };
    result = await review(access, base, after);
    return { before: pending, after };
  };
  const { signatures } = staging;
  if (signatures === undefined) await staging.update(async (current) => encodeStaged((await sign(current)).after));
  else {
    const { before, after } = await sign(await staging.read());
    await signatures.add(reviewed, encodeSignatures(newSignatures(before, after.pending)));
    await reviewedStaged(staging, await staging.read(), reviewed); // it may have been dropped, and another one prepared
  }
  return result!;
}

/** @throws {TrustError} TRUST_CONFLICT where something else is staged than what was reviewed */
async function reviewedStaged(staging: StagingStore, current: Bytes | undefined, reviewed: string): Promise<Staged> {
  const staged = decodeStaged(current ?? nothingStaged(staging));
  if ((await digestOf(staged)) === reviewed) return staged;
  throw new TrustError("TRUST_CONFLICT", "what is staged is not what was reviewed: it was changed meanwhile", {
    hint: "Look at it again before signing; no signature counts for what is staged now",
  });
}

/** A staged change with the signatures that are kept apart from it. */
async function withAdded(
  { signatures }: StagingStore,
  base: PublishedCollection | undefined,
  { pending, reset }: Staged,
): Promise<Staged> {
  const given: SignatureSet[] = [];
  for (const bytes of (await signatures?.read(await digestOf({ pending, reset }))) ?? []) {
    // what somebody else has put there keeps nobody from signing
    const set = await ignoringFaults(async () => decodeSignatures(bytes));
    if (set !== undefined) given.push(set);
  }
  return given.length === 0 ? { pending, reset } : { pending: await withSignatures(base, pending, given), reset };
}

/**
 * Publishes what is staged, and clears it. Where that was done and only the clearing was cut short, it is cleared.
 *
 * @throws {TrustError} SIGNATURE_THRESHOLD where somebody still has to sign
 */
export async function publishStaged(
  access: PublishAccess,
  staging: StagingStore,
  environment: PublishEnvironment,
): Promise<Published> {
  const bytes = (await staging.read()) ?? nothingStaged(staging);
  const written = decodeStaged(bytes);
  const base = await baseOf(access, environment.signal, written.pending);
  const staged = await withAdded(staging, base, written);
  const { pending } = staged;
  const coordinate = access.store.coordinate?.bind(access.store);
  let published: Published;
  if (base !== undefined && isPublished(base, pending)) published = { collection: base, files: [], warnings: [] };
  else {
    checkPending(base, pending, environment.now());
    const missing = await openRequirements(base, pending);
    if (missing.length > 0) {
      const list = await describeRequirements(missing);
      throw new TrustError("SIGNATURE_THRESHOLD", `what is staged lacks signatures: ${list.join("; ")}`, {
        role: missing[0]!.role,
        hint: "Ask them to review and sign the staged document",
        details: { missing: list },
      });
    }
    if (base === undefined) await checkAbsent(access.store, environment.signal);
    await coordinate?.(environment).announce(async () => pending);
    published = await publishPending(access, stagedDraft(base, staged), pending, environment);
    if (coordinate !== undefined && base !== undefined) {
      const { collection, warnings } = await publishChanges(access, () => [], environment); // until nothing is missing
      published = { ...published, collection, warnings: [...published.warnings, ...warnings] };
    }
  }
  await dropStaged(staging, bytes);
  return published;
}

/** Forgets what is staged. @param only where it is still this, if given */
export async function dropStaged(staging: StagingStore, only?: Bytes): Promise<void> {
  let dropped: Bytes | undefined;
  await staging.update(async (current) => {
    const isDropped = only === undefined || current === undefined || equalBytes(current, only);
    dropped = isDropped ? (current ?? only) : undefined;
    return isDropped ? undefined : current;
  });
  if (staging.signatures === undefined || dropped === undefined) return;
  try {
    await staging.signatures.clear(await digestOf(decodeStaged(dropped)));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error; // what was dropped was no staged change, and nobody signed it
  }
}

/** The file: one JSON object, with each document as any TUF program knows it. */
function encodeStaged({ pending, reset }: Staged): Bytes {
  const documents = [...pending.values()].map(
    (document) => `${JSON.stringify(document.role)}:${utf8Decode(bytesOf(document))}`,
  );
  const more = reset.size === 0 ? "" : `,"reset":${JSON.stringify([...reset])}`;
  return utf8Encode(`{"documents":{\n${documents.join(",\n")}\n}${more}}\n`);
}

/** @throws {FormatError} JSON_INVALID, METADATA_INVALID */
function decodeStaged(bytes: Bytes): Staged {
  const what = "the staged change";
  const fault = formatFault("METADATA_INVALID", what);
  const document = new JsonCursor(parseJson(bytes, { what, integersOnly: true }), fault).object(["documents", "reset"]);
  const pending = new Map<string, Pending>();
  for (const [role, entry] of document.field("documents").entries(MAX_DOCUMENTS)) {
    if (role === "snapshot" || role === "timestamp") entry.fail("snapshot and timestamp are never staged");
    const type = role === "root" ? "root" : "targets";
    const text = utf8Encode(JSON.stringify(entry.value));
    const { signed, signatures, message } = decodeMetadata<"root" | "targets">(text, type, role);
    pending.set(role, { role, signed, signatures, message });
  }
  if (pending.size === 0) throw new FormatError("METADATA_INVALID", `${what} is empty`);
  const reset = document.field("reset");
  return { pending, reset: new Set(reset.absent ? [] : reset.array(ONLINE.length).map(readOnlineRole)) };
}

function readOnlineRole(cursor: JsonCursor): OnlineRole {
  const name = cursor.string();
  return ONLINE.find((role) => role === name) ?? cursor.fail("expected snapshot or timestamp");
}

/** The draft that a staged change stands for. */
function stagedDraft(base: PublishedCollection | undefined, { pending, reset }: Staged): TufDraft {
  const draft = draftOf(base, pending);
  for (const role of reset) {
    draft.reset.add(role);
    draft.dirty.add(role);
  }
  return draft;
}

async function review(
  { store }: PublishAccess,
  base: PublishedCollection | undefined,
  staged: Staged,
): Promise<StagedReview> {
  const { pending, reset } = staged;
  const requirements = await requirementsOf(base, pending);
  const documents = await Promise.all(
    Array.from(pending, async ([role, { signed }]) => ({
      role,
      version: signed.version,
      differences: await diffDocuments(publishedDocument(base, role), signed),
    })),
  );
  const versions = await resetVersions(store, stagedDraft(base, staged));
  for (const role of reset) {
    const text = `version starts again, below ${base?.[role].signed.version ?? 0}`;
    documents.push({ role, version: versions.get(role)!, differences: [{ kind: "changed", text }] });
  }
  const missing = await describeRequirements(requirements.filter((requirement) => !isFulfilled(requirement)));
  return { digest: await digestOf(staged), documents, requirements, missing };
}

async function openRequirements(base: PublishedCollection | undefined, pending: PendingSet): Promise<Requirement[]> {
  return (await requirementsOf(base, pending)).filter((requirement) => !isFulfilled(requirement));
}

/** Over what is to be signed, not over signatures: those come one by one. */
async function digestOf({ pending, reset }: Staged): Promise<string> {
  const lines = Array.from(reset, (role) => `${JSON.stringify(role)} reset\n`);
  for (const [role, { message }] of pending) {
    lines.push(`${JSON.stringify(role)} ${hexEncode(await hashBytes("sha256", message))}\n`);
  }
  return hexEncode(await hashBytes("sha256", utf8Encode(lines.toSorted().join(""))));
}

function isPublished(base: PublishedCollection, pending: PendingSet): boolean {
  for (const document of pending.values()) {
    const served = document.role === "root" ? base.root : base.targets.get(document.role);
    if (served === undefined || !equalBytes(served.message, document.message)) return false;
  }
  return true;
}

function publishedDocument(base: PublishedCollection | undefined, role: string): Root | Targets | undefined {
  return role === "root" ? base?.root.signed : base?.targets.get(role)?.signed;
}

/** The published state, with the hash bins that a staged change follows. */
async function baseOf(
  access: PublishAccess,
  signal: AbortSignal | undefined,
  pending: PendingSet = new Map(),
): Promise<PublishedCollection | undefined> {
  if (access.anchor === undefined) return undefined;
  const base = await readBase(access, signal);
  for (const role of pending.keys()) if (role !== "root") await base.loadAny(role);
  return base;
}

function notThere(): never {
  throw new TrustError("TRUST_NOT_FOUND", "there is no collection to change", {
    hint: "Create it first",
  });
}

function nothingStaged({ location }: StagingStore): never {
  throw new UsageError("USAGE", `nothing is staged in ${location}`, { hint: "Prepare a change first" });
}

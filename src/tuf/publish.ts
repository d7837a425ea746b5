/**
 * One publish: read the newest state, apply the changes, sign, try our own client over the result, write, and read
 * back. Another publisher who was faster costs another round, never an update: the changes are computed again.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, errorMessage, TrustError, UsageError } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import type { TufChange } from "./changes.ts";
import { checkPending } from "./check-pending.ts";
import { TufDraft } from "./draft.ts";
import { dryRun } from "./dry-run.ts";
import { applyChanges } from "./editor.ts";
import { metadataFile } from "./names.ts";
import { draftOf, isFulfilled, pendingOf, requirementsOf, signPending, type PendingSet } from "./pending.ts";
import { loadPublished, type PublishedCollection } from "./published.ts";
import { filesOf, type MetadataFile } from "./publish-files.ts";
import type { TufPublisherStore } from "./publisher-store.ts";
import { describeRequirements } from "./requirement-text.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { TufStore } from "./store.ts";

/** Rounds against faster publishers; each is a few milliseconds long. */
const MAX_CONFLICTS = 50;
/** Rounds of a publish with others, each of which brings in what was missing. */
const MAX_ROUNDS = 500;
/** Names that are tried to find one that was never used; a repository has some thousand versions in its life. */
const MAX_USED_VERSIONS = 100_000;

/** A collection as one publisher reaches it. */
export interface PublishAccess {
  readonly store: TufPublisherStore;
  /** A root that the publisher trusts; undefined where the collection is about to be made. */
  readonly anchor: Bytes | undefined;
  /** What was verified here before. */
  readonly floors?: TufStore | undefined;
  /** Looks at every state that is read before anything is built upon it, and throws where it is not the expected one. */
  readonly check?: ((base: PublishedCollection) => Promise<void>) | undefined;
}

export interface PublishEnvironment {
  readonly signing: SigningKeys;
  readonly now: Clock;
  readonly signal?: AbortSignal | undefined;
  /** Looks for all that others have left undone, however long ago; for whoever tends a collection. */
  readonly thorough?: boolean | undefined;
}

/** Computes changes from the newest documents. Called again in each round, so it must be a pure function of them. */
export type ComputeChanges = (draft: TufDraft) => Promise<readonly TufChange[]> | readonly TufChange[];

export interface Published {
  /** What is served now. */
  readonly collection: PublishedCollection;
  /** What was written, in this order; empty where everything was so already. */
  readonly files: readonly MetadataFile[];
  readonly warnings: readonly string[];
}

export interface PublishRules {
  /** Goes on where documents of others have expired, or are due; for repairs, and for who has no other key. */
  readonly lenient?: boolean | undefined;
}

/**
 * Publishes changes to a collection that exists; without any change, snapshot and timestamp where they are due.
 *
 * @throws {TrustError} TRUST_CONFLICT where others kept being faster; KEY_MISSING, DELEGATION_REFUSED, PUBLISH_REFUSED
 *   before anything was written; PUBLISH_UNREADABLE
 */
export async function publishChanges(
  access: PublishAccess,
  compute: ComputeChanges,
  environment: PublishEnvironment,
  rules: PublishRules = {},
): Promise<Published> {
  const turn = access.store.coordinate?.(environment);
  const round = async (): Promise<Published | undefined> => {
    const base = await readBase(access, environment.signal);
    const draft = TufDraft.of(base);
    const asked = await turn?.begin(draft);
    if (asked?.isWaiting === true) return undefined;
    if (asked?.documents !== undefined) {
      return publishPending(access, draftOf(base, asked.documents), asked.documents, environment, rules);
    }
    if (turn === undefined) await applyChanges(draft, await compute(draft));
    else if (asked?.isAsked === false) await turn.apply(draft, async () => compute(draft));
    const pending = pendingOf(draft, environment.now, await resetVersions(access.store, draft));
    let signed: PendingSet | undefined;
    const sign = async (): Promise<PendingSet> => (signed ??= await signAll(base, pending, environment.signing));
    if ((await turn?.announce(sign)) === false) return undefined;
    return publishPending(access, draft, await sign(), environment, rules);
  };
  const written: MetadataFile[] = [];
  const warnings: string[] = [];
  let conflicts = 0;
  for (let attempt = 1; attempt <= MAX_ROUNDS; attempt++) {
    try {
      // the first round may wait for a passphrase, so it holds nobody up
      const published = await (attempt === 1 ? round() : access.store.inTurn(round));
      if (published === undefined) continue;
      written.push(...published.files);
      warnings.push(...published.warnings);
      // where others may have overwritten it, a publish is done when there is nothing left to do
      if (turn === undefined || published.files.length === 0) return { ...published, files: written, warnings };
    } catch (error) {
      if (errorCode(error) !== "TRUST_CONFLICT" && turn?.failed(error) !== true) throw error;
      if (++conflicts >= MAX_CONFLICTS) throw error;
    }
  }
  throw neverQuiet(access);
}

/** Signs pending documents with what is at hand. @throws {TrustError} KEY_MISSING where that is not enough */
async function signAll(
  base: PublishedCollection | undefined,
  pending: PendingSet,
  signing: SigningKeys,
): Promise<PendingSet> {
  const { pending: own, failure } = await signPending(base, pending, signing);
  const missing = (await requirementsOf(base, own)).filter((requirement) => !isFulfilled(requirement));
  if (missing.length === 0) return own;
  if (failure !== undefined) throw failure;
  const list = await describeRequirements(missing);
  throw new TrustError("KEY_MISSING", `signatures are missing: ${list.join("; ")}`, {
    role: missing[0]!.role,
    hint: `Bring the keys to ${signing.location}, or stage the change for their holders to sign`,
    details: { missing: list, location: signing.location },
  });
}

/** Publishes documents that have their signatures. */
export async function publishPending(
  access: PublishAccess,
  draft: TufDraft,
  pending: PendingSet,
  { signing, now, signal }: PublishEnvironment,
  rules: PublishRules = {},
): Promise<Published> {
  const { store } = access;
  const { base } = draft;
  checkPending(base, pending, now());
  const versions = await resetVersions(store, draft);
  const files = await filesOf(draft, pending, { signing, now, versions, lenient: rules.lenient });
  if (base !== undefined && files.length === 0) return { collection: base, files, warnings: [] };
  const anchor = access.anchor ?? files.find(({ role }) => role === "root")!.bytes;
  const repository = base?.repository ?? store.view?.() ?? store;
  const tried = await dryRun({ repository, anchor, draft, files, now: now(), lenient: rules.lenient });
  await store.publish(tried.files, base && { root: base.root.signed.version, timestamp: base.timestamp.bytes });
  // a publisher among others looks again in its next round, and may find somebody else's state
  const isLooped = store.coordinate !== undefined && base !== undefined;
  const collection = isLooped ? base : await readBack({ ...access, anchor }, tried.files, signal);
  return { collection, files: tried.files, warnings: tried.warnings };
}

/** Makes a collection. @throws {TrustError} TRUST_EXISTS, TRUST_CONFLICT where somebody made it at the same moment */
export async function publishNew(
  access: PublishAccess,
  draft: TufDraft,
  environment: PublishEnvironment,
): Promise<Published> {
  await checkAbsent(access.store, environment.signal);
  const pending = await signAll(undefined, pendingOf(draft, environment.now), environment.signing);
  return publishPending({ ...access, anchor: undefined }, draftOf(undefined, pending), pending, environment);
}

/** @throws {TrustError} TRUST_EXISTS */
export async function checkAbsent(store: TufPublisherStore, signal?: AbortSignal): Promise<void> {
  for (const file of [metadataFile("root", 1), metadataFile("timestamp")]) {
    if ((await store.metadata({ file, limit: 512_000, signal })) === undefined) continue;
    throw new TrustError("TRUST_EXISTS", `there is a collection already in ${store.location}`, {
      hint: "Its status says what it is",
    });
  }
}

/** The newest state. @throws {TrustError} TRUST_NOT_FOUND where no anchor says that there is a collection */
export async function readBase(
  { store, anchor, floors, check }: PublishAccess,
  signal: AbortSignal | undefined,
): Promise<PublishedCollection> {
  if (anchor === undefined) {
    throw new TrustError("TRUST_NOT_FOUND", `there is no collection in ${store.location}`, {
      hint: "Create it first",
    });
  }
  const base = await loadPublished(store, { anchor, floors, signal });
  await check?.(base);
  if (base.root.signed.consistentSnapshot) return base;
  throw new UsageError("USAGE", `${store.location} overwrites its files (consistent_snapshot is off)`, {
    hint: "Clients could meet it half-written; publish it with the tool that made it, or turn consistent snapshots on",
  });
}

async function readBack(
  access: PublishAccess,
  files: readonly MetadataFile[],
  signal: AbortSignal | undefined,
): Promise<PublishedCollection> {
  try {
    const collection = await readBase(access, signal);
    // among others, all but root may be of a later publish already
    const lasting = access.store.coordinate === undefined ? files : files.filter(({ role }) => role === "root");
    for (const { file, bytes, role, version } of lasting) {
      const { timestamp } = collection;
      // the one file that others replace: a second look at it could show another state than the one just read
      const served =
        role === "timestamp"
          ? timestamp.bytes
          : await collection.repository.metadata({ file, limit: bytes.length + 1, signal });
      const isKept = served !== undefined && equalBytes(served, bytes);
      const isOvertaken = role === "timestamp" && timestamp.signed.version > version;
      if (!isKept && !isOvertaken)
        throw new TrustError("METADATA_TAMPERED", `${file} is not what was written`, { role });
    }
    return collection;
  } catch (error) {
    if (errorCode(error) === "INTERRUPTED") throw error;
    throw new TrustError(
      "PUBLISH_UNREADABLE",
      `the new trust data was written to ${access.store.location}, and could not be read back: ${errorMessage(error)}`,
      {
        cause: error,
        hint: "Check the place, then the collection's status",
        details: { published: true, roles: files.map(({ role }) => role) },
      },
    );
  }
}

/** The lowest versions that were never used, for roles that start again: nothing published is ever replaced. */
export async function resetVersions(store: TufPublisherStore, draft: TufDraft): Promise<Map<string, number>> {
  const versions = new Map<string, number>();
  for (const role of draft.reset) versions.set(role, role === "timestamp" ? 1 : await firstUnused(store, role));
  return versions;
}

async function firstUnused(store: TufPublisherStore, role: string): Promise<number> {
  for (let version = 1; version <= MAX_USED_VERSIONS; version++) {
    const file = metadataFile(role, version);
    if ((await store.metadata({ file, limit: 128 * 1024 * 1024 })) === undefined) return version;
  }
  throw new UsageError("USAGE", `${role} has used its first ${MAX_USED_VERSIONS} versions`, {
    hint: "Make a new collection",
  });
}

function neverQuiet({ store }: PublishAccess): TrustError {
  return new TrustError("TRUST_CONFLICT", `${store.location} was changed again and again by others`, {
    hint: "What was published may be overwritten: look at the collection's status, and publish again",
  });
}

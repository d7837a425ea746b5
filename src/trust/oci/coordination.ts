/** One publish among others in a registry: see `oci-changes.ts` for why, and docs/adr/0010 for why that is enough. */
import { errorCode, FormatError, TrustError, UsageError } from "../../base/errors.ts";
import type { TufChange } from "../../tuf/changes.ts";
import { checkPending, MAX_LEAP } from "../../tuf/check-pending.ts";
import { binName, delegationNamed, pathHash } from "../../tuf/delegations.ts";
import type { TufDraft } from "../../tuf/draft.ts";
import { applyChanges } from "../../tuf/editor.ts";
import { bytesOf, isFulfilled, requirementsOf, type Pending, type PendingSet } from "../../tuf/pending.ts";
import type { TufKey } from "../../tuf/keys.ts";
import { metadataFile } from "../../tuf/names.ts";
import type { PublishEnvironment } from "../../tuf/publish.ts";
import type { CoordinatedRound, Coordination } from "../../tuf/publisher-store.ts";
import type { TargetFile, Targets } from "../../tuf/schema.ts";
import { canSign, listedKeys, signWith } from "../../tuf/signing-keys.ts";
import { sameTarget } from "../../tuf/target-file.ts";
import { holderOf, spreadWhereLarge } from "./bins.ts";
import type { ChangeLog, FoundChange, RequestedDocument } from "./change-log.ts";
import {
  changeMessage,
  collectionOf,
  entryMark,
  isAuthorised,
  newChangeTag,
  timeOfTag,
  type ChangeRequest,
  type RequestedEdit,
} from "./changes.ts";
import { isSettled, marksOf, withMark } from "./marks.ts";

/** Requests that are further from now are nobody's who publishes at this time: they are left to `refresh`. */
const MAX_DISTANCE_MS = 24 * 60 * 60 * 1000;

/** How long somebody whose request was first is given to publish it and the others. */
const MAX_LEAD_MS = 8_000;
/** Between two looks, for each request that was made before. */
const FOLLOWER_PAUSE_MS = 60;
const MAX_FOLLOWER_PAUSE_MS = 1_500;
/** What publishers may meet while others repair what was overwritten, and how often. */
const PASSING: ReadonlySet<string> = new Set(["METADATA_ROLLED_BACK", "METADATA_TAMPERED", "TRUST_WITHHELD"]);
const MAX_PASSING = 20;

export interface CoordinationOptions extends PublishEnvironment {
  readonly log: ChangeLog;
  readonly pause: (milliseconds: number) => Promise<void>;
}

type OwnChange =
  | { readonly kind: "edits"; readonly id: string; readonly edits: readonly RequestedEdit[]; request?: ChangeRequest }
  | { readonly kind: "documents"; readonly documents: readonly Pending[] };

export class OciCoordination implements Coordination {
  private readonly options: CoordinationOptions;
  private own: OwnChange | undefined;
  /** Others are left out after a publish with their changes was refused. */
  private isAlone = false;
  /** Requests of others in this round's draft. */
  private others = 0;
  private passing = 0;
  /** When requests were met that were made before the own one. */
  private readonly met = new Map<string, number>();
  /** Requests whose documents could not be published as they are. */
  private readonly dismissed = new Set<string>();
  private underWay: string | undefined;
  private collection = "";
  /** Of the roles that the own change is for. */
  private keys: readonly TufKey[] = [];

  constructor(options: CoordinationOptions) {
    this.options = options;
  }

  async begin(draft: TufDraft): Promise<CoordinatedRound> {
    this.others = 0;
    this.underWay = undefined;
    const isAsked = await this.checkOwn(draft);
    const tags = await this.unsettled(draft);
    if (await this.isFollower(draft, tags)) return { documents: undefined, isAsked, isWaiting: true };
    for (const found of await this.found(tags)) {
      const { request } = found;
      if (request.edits.length > 0 && (await this.merge(draft, request))) continue;
      const documents = await this.documentsOf(draft, found);
      if (documents === undefined) continue;
      if (draft.isChanged) break; // they get a round of their own, after this one
      this.underWay = request.id;
      return { documents, isAsked, isWaiting: false };
    }
    // each may have been published before, by somebody whose state was overwritten
    draft.leap = Math.min(2 * this.others, MAX_LEAP - 1);
    const stillAsked = isAsked && this.own !== undefined;
    if (stillAsked || draft.isChanged) await spreadWhereLarge(draft, this.options.signing);
    return { documents: undefined, isAsked: stillAsked, isWaiting: false };
  }

  async apply(draft: TufDraft, compute: () => Promise<readonly TufChange[]>): Promise<void> {
    const changes = await compute();
    const edits = await editsOf(draft, changes);
    if (edits === undefined) {
      await applyChanges(draft, changes);
      return;
    }
    // what others want of the same names is published first, so that the own change is computed from it
    for (const { role, name } of edits) {
      if (!sameTarget(await entryOf(draft, role, name), await publishedEntry(draft, role, name))) return;
    }
    if (edits.length > 0) {
      const floor = marksOf(await draft.document("targets")).since;
      this.own = { kind: "edits", id: newChangeTag(this.options.now(), floor), edits };
      this.keys = rolesOf(edits).flatMap((role) => draft.keyedRoles(role).flatMap(listedKeys));
      await applyEdits(draft, this.own.id, edits);
    }
    await spreadWhereLarge(draft, this.options.signing);
  }

  async announce(sign: () => Promise<PendingSet>): Promise<boolean> {
    const { log, signing, signal } = this.options;
    if (this.own?.kind === "edits") {
      if (this.own.request !== undefined) return true;
      const unsigned = { id: this.own.id, collection: this.collection, edits: this.own.edits };
      const message = changeMessage(unsigned);
      const { signatures, failure } = await signWith(this.keys, message, signing);
      if (signatures.length === 0 && failure !== undefined) throw failure;
      const request = { ...unsigned, message, signatures };
      const roles = new Set(this.own.edits.map(({ role }) => role));
      roles.delete("targets"); // its keys are with everybody who could apply the edits
      await log.write(request, roles.size === 0 ? [] : filesIn(await sign(), roles), signal);
      this.own.request = request;
      // whoever has written one meanwhile is about to publish, too: one publish for all is enough
      return this.isAlone || !(await log.hasNew((id) => id === request.id || isFar(id, this.options), signal));
    }
    if (this.others > 0 || this.own !== undefined) return true;
    const pending = await sign();
    const documents = [...pending.values()];
    if (documents.length === 0) return true;
    this.own = { kind: "documents", documents };
    const unsigned = { id: newChangeTag(this.options.now()), collection: this.collection, edits: [] };
    const request = { ...unsigned, message: changeMessage(unsigned), signatures: [] };
    await log.write(request, filesIn(pending, new Set(pending.keys())), signal);
    return true;
  }

  failed(error: unknown): boolean {
    if (!(error instanceof TrustError || error instanceof FormatError || error instanceof UsageError)) return false;
    if (this.underWay !== undefined) {
      this.dismissed.add(this.underWay);
      return true;
    }
    // the state of somebody who has overwritten others', and is about to bring them back
    if (PASSING.has(error.code)) return ++this.passing <= MAX_PASSING;
    if (this.others === 0 || this.isAlone || errorCode(error) === "PUBLISH_UNREADABLE") return false;
    this.isAlone = true;
    return true;
  }

  /** Notices what became of the own change. @returns whether it is published, or written down and still good */
  private async checkOwn(draft: TufDraft): Promise<boolean> {
    this.collection = collectionOf(draft.root);
    const { own } = this;
    if (own === undefined) return false;
    if (own.kind === "documents") {
      if (own.documents.every((document) => isPublished(draft, document))) return true;
      this.own = undefined;
      return false;
    }
    if (own.request === undefined) {
      this.own = undefined; // the round before ended before it was written down
      return false;
    }
    for (const role of rolesOf(own.edits)) {
      const marks = marksOf(await draft.document(role));
      if (marks.applied.includes(own.id)) continue;
      if (!isSettled(marks, own.id) && (await isCurrent(draft, own.edits))) continue;
      this.own = undefined; // overtaken: computed again, from what is there now
      return false;
    }
    return true;
  }

  /**
   * Lets somebody else publish first, who will publish the own change as well. Nothing depends on it: it keeps many
   * publishers at once from overwriting each other, and from working for nothing.
   */
  private async isFollower(draft: TufDraft, tags: readonly string[]): Promise<boolean> {
    const { log, now, pause, signal } = this.options;
    if (this.own?.kind !== "edits" || this.own.request === undefined || this.isAlone) return false;
    const { id } = this.own;
    const earlier = tags.filter((tag) => tag < id && now().getTime() - timeOfTag(tag) <= MAX_LEAD_MS);
    const [first] = earlier;
    if (first === undefined) return false;
    const since = this.met.get(first) ?? now().getTime();
    this.met.set(first, since);
    if (now().getTime() - since > MAX_LEAD_MS) return false;
    const [leader] = await log.read([first], signal);
    if (leader === undefined || leader.request.edits.length === 0) return false;
    if (!(await isAuthorised(leader.request, draft))) return false;
    await pause(Math.min(MAX_FOLLOWER_PAUSE_MS, FOLLOWER_PAUSE_MS * earlier.length));
    return true;
  }

  /** Requests that are not dealt with, oldest first. */
  private async unsettled(draft: TufDraft): Promise<string[]> {
    const floor = marksOf(await draft.document("targets")).since;
    const dealtWith = new Set<string>();
    for (const [, document] of draft.documents()) {
      const { applied, void: refused } = marksOf(document);
      for (const id of [...applied, ...refused]) dealtWith.add(id);
    }
    const own = this.own?.kind === "edits" ? this.own.id : undefined;
    const tags = await this.options.log.list(this.options.signal);
    return tags.filter((id) => id !== own && id > floor && !dealtWith.has(id) && !isFar(id, this.options));
  }

  private async found(tags: readonly string[]): Promise<FoundChange[]> {
    const found = this.isAlone ? [] : await this.options.log.read(tags, this.options.signal);
    const others = found.filter(({ request }) => !this.dismissed.has(request.id));
    const own = this.own?.kind === "edits" ? this.own.request : undefined;
    if (own === undefined) return others;
    const mine = { request: own, manifest: undefined, documents: [] };
    return [...others, mine].toSorted((a, b) => (a.request.id < b.request.id ? -1 : 1));
  }

  /** Brings a request into the draft. @returns whether it is dealt with; false where its roles cannot be signed here */
  private async merge(draft: TufDraft, request: ChangeRequest): Promise<boolean> {
    if (!(await isAuthorised(request, draft))) return true;
    for (const role of rolesOf(request.edits)) {
      for (const keyed of draft.keyedRoles(role)) if (!(await canSign(keyed, this.options.signing))) return false;
    }
    const isDone = await every(rolesOf(request.edits), async (role) =>
      isSettled(marksOf(await draft.document(role)), request.id),
    );
    if (isDone) return true;
    const isOwn = this.own?.kind === "edits" && this.own.id === request.id;
    if (!isOwn) this.others++;
    const before = [new Map(draft.changed), new Set(draft.dirty)] as const;
    try {
      if (await isCurrent(draft, request.edits)) {
        await applyEdits(draft, request.id, request.edits);
        return true;
      }
    } catch (error) {
      if (!(error instanceof TrustError || error instanceof UsageError)) throw error;
      restore(draft, before);
    }
    for (const role of rolesOf(request.edits)) {
      draft.update(role, withMark(await draft.document(role), request.id, "void"));
    }
    if (isOwn) this.own = undefined;
    return true;
  }

  /** Documents of others that can be published as they are: each the next version of its role, and signed for it. */
  private async documentsOf(draft: TufDraft, { documents }: FoundChange): Promise<PendingSet | undefined> {
    const { base } = draft;
    if (documents.length === 0 || base === undefined) return undefined;
    const pending = new Map<string, Pending>();
    for (const descriptor of documents) {
      const read = await this.options.log.document(descriptor, this.options.signal);
      if (read === undefined || !isNext(draft, read)) return undefined;
      const { signed, message, signatures } = read.document;
      pending.set(read.role, { role: read.role, signed, message, signatures });
    }
    try {
      checkPending(base, pending, this.options.now());
      return (await requirementsOf(base, pending)).every(isFulfilled) ? pending : undefined;
    } catch (error) {
      if (error instanceof TrustError || error instanceof UsageError || error instanceof FormatError) return undefined;
      throw error;
    }
  }
}

function isFar(id: string, { now, thorough = false }: CoordinationOptions): boolean {
  return !thorough && Math.abs(now().getTime() - timeOfTag(id)) > MAX_DISTANCE_MS;
}

/** Changes as edits of names; undefined where there are others among them. */
async function editsOf(draft: TufDraft, changes: readonly TufChange[]): Promise<RequestedEdit[] | undefined> {
  const edits: RequestedEdit[] = [];
  for (const change of changes) {
    if (change.action !== "add" && change.action !== "remove") return undefined;
    const role = homeOf(draft, change.role);
    const { name } = change;
    const entry = await entryOf(draft, role, name);
    const content = change.action === "add" ? change.content : undefined;
    const wanted = content && { ...content, extra: {} };
    if (sameTarget(entry, wanted)) continue;
    edits.push({ role, name, was: await entryMark(entry), content });
  }
  return edits;
}

/** The role that a request for a hash bin is made to: the one that spreads its targets, where the keys are the same. */
function homeOf(draft: TufDraft, role: string): string {
  for (const [delegator, { delegations }] of draft.documents()) {
    const { succinct } = delegations ?? {};
    if (succinct === undefined || delegationNamed(delegations, role) === undefined) continue;
    const [keyed] = draft.keyedRoles(delegator);
    const keyIds = keyed?.roleKeys.keyIds.toSorted().join();
    if (keyIds === succinct.keyIds.toSorted().join() && keyed?.roleKeys.threshold === succinct.threshold) {
      return delegator;
    }
  }
  return role;
}

async function entryOf(draft: TufDraft, role: string, name: string): Promise<TargetFile | undefined> {
  return (await draft.document(await holderOf(draft, role, name))).targets.get(name);
}

/** The entry as it is published, wherever it is now in the draft. */
async function publishedEntry(draft: TufDraft, role: string, name: string): Promise<TargetFile | undefined> {
  const { base } = draft;
  const succinct = base?.targets.get(role)?.signed.delegations?.succinct;
  const holder = succinct === undefined ? role : binName(succinct, await pathHash(name));
  return (await base?.loadAny(holder))?.signed.targets.get(name);
}

async function isCurrent(draft: TufDraft, edits: readonly RequestedEdit[]): Promise<boolean> {
  return every(edits, async ({ role, name, was }) => (await entryMark(await entryOf(draft, role, name))) === was);
}

async function applyEdits(draft: TufDraft, id: string, edits: readonly RequestedEdit[]): Promise<void> {
  const changes: TufChange[] = [];
  for (const { role, name, content } of edits) {
    const holder = await holderOf(draft, role, name);
    changes.push(
      content === undefined ? { action: "remove", role: holder, name } : { action: "add", role: holder, name, content },
    );
  }
  await applyChanges(draft, changes);
  for (const role of rolesOf(edits)) draft.update(role, withMark(await draft.document(role), id, "applied"));
}

function rolesOf(edits: readonly RequestedEdit[]): string[] {
  return [...new Set(edits.map(({ role }) => role))];
}

function publishedVersion({ base }: TufDraft, role: string): number {
  return role === "root" ? (base?.root.signed.version ?? 0) : (base?.versionOf(role) ?? 0);
}

function isNext(draft: TufDraft, { role, document }: RequestedDocument): boolean {
  return document.signed.version === publishedVersion(draft, role) + 1;
}

/** Whether a document is what is published, or others have gone on from there. */
function isPublished(draft: TufDraft, { role, signed, message }: Pending): boolean {
  const version = publishedVersion(draft, role);
  if (version !== signed.version) return version > signed.version;
  const published = role === "root" ? draft.base?.root : draft.base?.targets.get(role);
  return published === undefined || sameMessage(published.message, message);
}

function sameMessage(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function filesIn(
  pending: PendingSet,
  roles: ReadonlySet<string>,
): { file: string; bytes: ReturnType<typeof bytesOf> }[] {
  return [...pending.values()]
    .filter(({ role }) => roles.has(role))
    .map((document) => ({ file: metadataFile(document.role, document.signed.version), bytes: bytesOf(document) }));
}

function restore(draft: TufDraft, [changed, dirty]: readonly [Map<string, Targets>, Set<string>]): void {
  draft.changed.clear();
  for (const [role, document] of changed) draft.changed.set(role, document);
  draft.dirty.clear();
  for (const role of dirty) draft.dirty.add(role);
}

async function every<T>(items: readonly T[], test: (item: T) => Promise<boolean>): Promise<boolean> {
  for (const item of items) if (!(await test(item))) return false;
  return true;
}

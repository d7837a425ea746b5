/**
 * The first publish of a collection in a registry that cannot refuse the second: who wants to found one writes it down
 * first, whole, under a tag of its own. The tag that comes first wins; whoever finds an earlier one gives way, and puts
 * the winner's state back where it was overwritten.
 */
import { equalBytes, type Bytes } from "../../base/bytes.ts";
import { errorCode, FormatError, TrustError } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import { metadataFile } from "../../tuf/names.ts";
import { loadPublished } from "../../tuf/published.ts";
import type { MetadataFile } from "../../tuf/publish-files.ts";
import type { TufRepository } from "../../tuf/repository.ts";
import { ChangeLog, type FoundChange } from "./change-log.ts";
import { changeMessage, collectionOf, newChangeTag, timeOfTag } from "./changes.ts";
import { readTrustTag, type TrustPlaceInRegistry, type TrustState } from "./repository.ts";

/** How long an earlier founder, who has not published yet, is waited for. */
const MAX_WAIT_MS = 10_000;
const PAUSE_MS = 250;
/** How long the first in line, who finds a later founder's state under the tag, waits for that founder to give way. */
const MAX_YIELD_MS = 5_000;
/** Founders of another day have given up, or succeeded. */
const MAX_AGE_MS = 60 * 60 * 1000;
/** Times to put the winner's state back against losers who do not look. */
const MAX_RESTORES = 5;

const FIRST_ROOT = metadataFile("root", 1);

export interface FoundingOptions {
  readonly place: TrustPlaceInRegistry;
  readonly now: Clock;
  readonly pause: (milliseconds: number) => Promise<void>;
  /** Moves the tag to a state, if it still names the one given. @throws {TrustError} TRUST_CONFLICT */
  readonly move: (content: ReadonlyMap<string, Bytes>, former: TrustState | undefined) => Promise<void>;
}

/**
 * Publishes the first state.
 *
 * @throws {TrustError} TRUST_EXISTS where somebody else has founded a collection before, or at the same moment
 */
export async function foundCollection(files: readonly MetadataFile[], options: FoundingOptions): Promise<void> {
  const { place, now } = options;
  const content = new Map(files.map(({ file, bytes }) => [file, bytes]));
  const collection = await foundedName(content);
  if (collection === undefined) throw new FormatError("METADATA_INVALID", "the first state is not whole");
  const log = new ChangeLog(place.store);
  const unsigned = { id: newChangeTag(now()), collection, edits: [] };
  await log.write({ ...unsigned, message: changeMessage(unsigned), signatures: [] }, files);
  const ignored = new Set([unsigned.id]);
  await waitForEarlier(log, unsigned.id, collection, ignored, options);
  if (!(await isMoved(content, options))) {
    // Ours comes first in line, and a later founder was faster. Whether that one has seen our request nobody but it
    // knows; if it has, it puts our state under the tag, and if it has not, it has won.
    if (await givesWay(content, options)) return;
    throw exists(place.location);
  }
  const [winner] = await earlierFounders(new ChangeLog(place.store), unsigned.id, collection, ignored, options);
  await settle(winner === undefined ? content : winner.content, content, options);
  if (winner !== undefined) throw exists(place.location);
}

/** Puts the first state under the tag; false where something is there already. */
async function isMoved(content: ReadonlyMap<string, Bytes>, { place, move }: FoundingOptions): Promise<boolean> {
  if ((await readTrustTag(place)) !== undefined) return false;
  try {
    await move(content, undefined);
    return true;
  } catch (error) {
    if (errorCode(error) === "TRUST_CONFLICT") return false;
    throw error;
  }
}

async function givesWay(own: ReadonlyMap<string, Bytes>, { place, pause }: FoundingOptions): Promise<boolean> {
  for (let waited = 0; ; waited += PAUSE_MS) {
    if (await isStateOf(place, await readTrustTag(place), own)) return true;
    if (waited >= MAX_YIELD_MS) return false;
    await pause(PAUSE_MS);
  }
}

/** Leaves the winner's state under the tag, or what has become of it. */
async function settle(
  winning: ReadonlyMap<string, Bytes>,
  own: ReadonlyMap<string, Bytes>,
  { place, move, pause }: FoundingOptions,
): Promise<void> {
  for (let attempt = 0; attempt < MAX_RESTORES; attempt++) {
    const state = await readTrustTag(place);
    if (await isStateOf(place, state, winning)) return;
    // what is neither the winner's nor ours has been put there by somebody whose reasons we do not know
    if (winning !== own && !(await isStateOf(place, state, own))) return;
    try {
      await move(winning, state);
    } catch (error) {
      if (errorCode(error) !== "TRUST_CONFLICT") throw error;
      await pause(PAUSE_MS);
    }
  }
}

/** Tells whether a state, or what it has become since, was founded with these files: it has their first root. */
async function isStateOf(
  { store }: TrustPlaceInRegistry,
  state: TrustState | undefined,
  files: ReadonlyMap<string, Bytes>,
): Promise<boolean> {
  const root = state?.files.get(FIRST_ROOT);
  const wanted = files.get(FIRST_ROOT);
  if (root === undefined || wanted === undefined || root.size !== wanted.length) return false;
  const blob = await store.blobs.read(root.blob, root.blob.size);
  return equalBytes(blob.subarray(root.offset, root.offset + root.size), wanted);
}

interface Founder {
  readonly id: string;
  readonly content: ReadonlyMap<string, Bytes>;
}

/** Gives earlier founders the time to publish; those who do not are not waited for again. */
async function waitForEarlier(
  log: ChangeLog,
  id: string,
  collection: string,
  ignored: Set<string>,
  options: FoundingOptions,
): Promise<void> {
  const { place, pause } = options;
  for (let waited = 0; ; waited += PAUSE_MS) {
    const earlier = await earlierFounders(log, id, collection, ignored, options);
    if (earlier.length === 0) return;
    if ((await readTrustTag(place)) !== undefined) throw exists(place.location);
    if (waited >= MAX_WAIT_MS) {
      for (const founder of earlier) ignored.add(founder.id);
      return;
    }
    await pause(PAUSE_MS);
  }
}

async function earlierFounders(
  log: ChangeLog,
  id: string,
  collection: string,
  ignored: ReadonlySet<string>,
  { now }: FoundingOptions,
): Promise<Founder[]> {
  const tags = (await log.list()).filter(
    (tag) => tag < id && !ignored.has(tag) && Math.abs(now().getTime() - timeOfTag(tag)) <= MAX_AGE_MS,
  );
  const founders: Founder[] = [];
  for (const found of await log.read(tags)) {
    const content = await foundedBy(log, found, collection);
    if (content !== undefined) founders.push({ id: found.request.id, content });
  }
  return founders;
}

/** The whole first state that a request holds; undefined where it is another kind of request, or is not good. */
async function foundedBy(
  log: ChangeLog,
  found: FoundChange,
  collection: string,
): Promise<ReadonlyMap<string, Bytes> | undefined> {
  if (found.request.collection !== collection || found.request.edits.length > 0) return undefined;
  const content = await log.content(found);
  return content !== undefined && (await foundedName(content)) === collection ? content : undefined;
}

/** The name of the collection that files make up; undefined where they are not one. */
async function foundedName(content: ReadonlyMap<string, Bytes>): Promise<string | undefined> {
  const anchor = content.get(FIRST_ROOT);
  if (anchor === undefined) return undefined;
  const repository: TufRepository = {
    location: "the first state",
    metadata: async ({ file }) => content.get(file),
    target: async () => undefined,
  };
  try {
    const { root } = await loadPublished(repository, { anchor });
    return collectionOf(root.signed);
  } catch (error) {
    if (error instanceof TrustError || error instanceof FormatError) return undefined;
    throw error;
  }
}

function exists(location: string): TrustError {
  return new TrustError("TRUST_EXISTS", `somebody else has made a collection in ${location}, before or just now`, {
    hint: "Yours was not published: look at theirs, and have its owner let you publish there",
    details: { location },
  });
}

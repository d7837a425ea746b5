/**
 * Runs our own client over a state before it is published: as somebody new, as somebody who knows the state before,
 * today and when the next signatures are due. What a client would refuse is never published.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, errorMessage, TrustError } from "../base/errors.ts";
import { TufClient } from "./client.ts";
import type { TufDraft } from "./draft.ts";
import { DAY_MS, periodsOf } from "./periods.ts";
import type { PublishedCollection } from "./published.ts";
import type { MetadataFile } from "./publish-files.ts";
import type { MetadataRequest, TufRepository } from "./repository.ts";
import type { TargetFile } from "./schema.ts";
import { memoryTufStore, type TufStore } from "./store.ts";
import { sameTarget } from "./target-file.ts";
import type { VerifiedRole } from "./trusted-set.ts";

/** Before every expiry: only what does not depend on dates. */
const NO_DATE = new Date(0);

export interface DryRunOptions {
  readonly repository: TufRepository;
  /** Where clients start; the new root of a new collection. */
  readonly anchor: Bytes;
  readonly draft: TufDraft;
  /** As they would be published. */
  readonly files: readonly MetadataFile[];
  readonly now: Date;
  /** Whether documents of others may have expired: while repairing them one after the other. */
  readonly lenient?: boolean | undefined;
}

export interface DryRun {
  /** The files in the order in which no client is ever left without a good state, where there is one. */
  readonly files: readonly MetadataFile[];
  /** What will go wrong, and not by this publish. */
  readonly warnings: readonly string[];
}

/**
 * Tries the state that a publish would lead to.
 *
 * @throws {TrustError} PUBLISH_REFUSED where a client would refuse it, METADATA_EXPIRED where another role's metadata
 *   has expired; nothing was published
 */
export async function dryRun(options: DryRunOptions): Promise<DryRun> {
  const { draft, now } = options;
  const { base } = draft;
  const own = new Set(options.files.map(({ role }) => role));
  const fresh = new Visitor(options, options.anchor, memoryTufStore());
  await refusing(() => fresh.visit(NO_DATE));
  if (base !== undefined) {
    const known = new Visitor(options, base.root.bytes, await storeOf(base));
    await refusing(() => known.visit(NO_DATE));
  }
  const warnings: string[] = [];
  await expiring(
    own,
    () => fresh.visit(now),
    (error) => {
      if (options.lenient !== true) throw error;
      warnings.push(error.message);
    },
  );
  const { signing } = periodsOf("timestamp", draft.root, undefined);
  await expiring(
    own,
    () => fresh.visit(new Date(now.getTime() + signing * DAY_MS)),
    (error) => {
      if (warnings.length === 0) warnings.push(`within ${signing} days ${error.message}`);
    },
  );
  return { files: await ordered(options), warnings };
}

/**
 * Root goes last where clients of the former root accept all the rest too: then each moment between two writes is a
 * good state. Where they cannot, because the former keys are gone, root goes first.
 */
async function ordered({ repository, files, draft }: DryRunOptions): Promise<readonly MetadataFile[]> {
  const root = files.find(({ role }) => role === "root");
  const others = files.filter((file) => file !== root);
  if (root === undefined) return files;
  if (draft.base === undefined) return [...others, root];
  const former = new TufClient({
    anchor: draft.base.root.bytes,
    repository: overlay(repository, others),
    store: await storeOf(draft.base),
    now: () => NO_DATE,
  });
  try {
    await former.refresh();
    return [...others, root];
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    return [root, ...others];
  }
}

/** One client at several moments: what it has verified once, it need not verify again. */
class Visitor {
  private readonly options: DryRunOptions;
  private readonly client: TufClient;
  private moment = NO_DATE;

  constructor(options: DryRunOptions, anchor: Bytes, store: TufStore) {
    this.options = options;
    const repository = overlay(options.repository, options.files);
    this.client = new TufClient({ anchor, repository, store, now: () => this.moment });
  }

  /** Refreshes, reads every document that changed for each of its delegators, and looks up what changed in them. */
  async visit(moment: Date): Promise<void> {
    this.moment = moment;
    const { client } = this;
    const { draft, files } = this.options;
    const { roles } = await client.refresh();
    checkFollowed(files, roles);
    const changed = files.filter(({ role }) => role !== "targets" && draft.changed.has(role));
    await this.follow(changed.map(({ role }) => role));
    for (const { role } of changed) {
      const before = draft.base?.targets.get(role)?.signed.targets;
      for (const [name, file] of draft.changed.get(role)!.targets) {
        if (!sameTarget(before?.get(name), file)) await find(client, name, file, role);
      }
    }
  }

  /** Reads roles for each of their delegators, from the top down: other tools may have made circles. */
  private async follow(roles: readonly string[]): Promise<void> {
    const reached = new Set(["targets"]);
    const ways = new Set(waysTo(this.options.draft, roles));
    for (let left = Infinity; ways.size < left;) {
      left = ways.size;
      for (const way of ways) {
        if (!reached.has(way.delegator)) continue;
        ways.delete(way);
        await this.client.targets(way.role, way.delegator);
        reached.add(way.role);
      }
    }
  }
}

interface Way {
  readonly role: string;
  readonly delegator: string;
}

/** Every delegation on some way to roles, those at the top first. */
function waysTo(draft: TufDraft, roles: readonly string[]): Way[] {
  const ways: Way[] = [];
  const seen = new Set<string>();
  const queue = [...roles];
  for (let role = queue.shift(); role !== undefined; role = queue.shift()) {
    if (seen.has(role)) continue;
    seen.add(role);
    for (const delegator of draft.delegatorsOf(role)) {
      ways.push({ role, delegator });
      queue.push(delegator);
    }
  }
  return ways.toReversed();
}

/** A client that met the same or a higher version before would not even look at the new one. */
function checkFollowed(files: readonly MetadataFile[], roles: readonly VerifiedRole[]): void {
  const timestamp = files.find(({ role }) => role === "timestamp");
  const followed = roles.find(({ role }) => role === "timestamp")!.document;
  if (timestamp === undefined || equalBytes(timestamp.bytes, followed.bytes)) return;
  throw new TrustError("METADATA_ROLLED_BACK", "clients that know the state before would stay with it", {
    role: "timestamp",
    details: { expected: timestamp.version, got: followed.signed.version },
  });
}

async function find(client: TufClient, name: string, file: TargetFile, role: string): Promise<void> {
  const found = await client.find(name);
  if (sameTarget(found?.file, file)) return;
  const what = found === undefined ? "nobody's" : `${found.role}'s`;
  throw new TrustError(
    "DELEGATION_REFUSED",
    `clients that look for ${JSON.stringify(name)} would take ${what} word for it, not ${role}'s`,
    { role, hint: `Sign it there, or delegate to ${role} before the others`, details: { target: name } },
  );
}

async function refusing(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw refusal(error);
  }
}

/** Tells expiries of documents that are not part of a publish from its own faults. */
async function expiring(
  own: ReadonlySet<string>,
  action: () => Promise<void>,
  expired: (error: TrustError) => void,
): Promise<void> {
  try {
    await action();
  } catch (error) {
    const isExpiry = error instanceof TrustError && error.code === "METADATA_EXPIRED";
    if (!isExpiry || error.role === undefined || own.has(error.role)) throw refusal(error);
    expired(error);
  }
}

function refusal(error: unknown): unknown {
  const code = errorCode(error);
  if (code === undefined || code === "DELEGATION_REFUSED") return error;
  const options = {
    hint: "Nothing was published",
    details: { code },
    cause: error,
    ...(error instanceof TrustError && error.role !== undefined ? { role: error.role } : {}),
  };
  return new TrustError("PUBLISH_REFUSED", `clients would refuse the new trust data: ${errorMessage(error)}`, options);
}

/** The repository as it would be. */
function overlay(repository: TufRepository, files: readonly MetadataFile[]): TufRepository {
  const staged = new Map(files.map(({ file, bytes }) => [file, bytes]));
  return {
    location: repository.location,
    metadata: async (request: MetadataRequest) => staged.get(request.file) ?? repository.metadata(request),
    target: (request) => repository.target(request),
  };
}

/** What a client keeps that has seen a state. */
async function storeOf(base: PublishedCollection): Promise<TufStore> {
  const store = memoryTufStore();
  await store.writeRoot(base.root.signed.version, base.root.bytes);
  await store.update("timestamp", () => base.timestamp.bytes);
  await store.update("snapshot", () => base.snapshot.bytes);
  for (const [role, { bytes }] of base.targets) await store.update(role, () => bytes);
  return store;
}

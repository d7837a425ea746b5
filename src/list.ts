/** List: the tags of a repository beside the names that its collection signs. */
import type { Digest } from "./base/digest.ts";
import { FormatError, TransportError, TrustError } from "./base/errors.ts";
import type { Runtime } from "./base/runtime.ts";
import { findArtifact } from "./find-artifact.ts";
import { judgeTag, type TagVerdict } from "./judge-tag.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient, Repository } from "./oci/registry-client.ts";
import { repositoryName, taggedReference } from "./oci/tagged-reference.ts";
import { bindTarget, type Binding } from "./trust/binding.ts";
import type { ApprovalUse } from "./trust/contract/approvals.ts";
import { tagOf, type Coverage } from "./trust/coverage.ts";
import { knowledgeNotes, trustNotes } from "./trust/resolve.ts";
import type { Note } from "./trust/report.ts";
import type { SignedTarget, TrustedCollection } from "./trust/source.ts";
import { isTrustTag } from "./trust/oci/tags.ts";

/** Requests under way at once: enough to hide latency, few enough for rate limits. */
const CONCURRENCY = 8;

/** More tags than anybody reads; a registry that never ends its list stops here. */
const MAX_TAGS = 100_000;

export interface ListOptions {
  readonly runtime: Runtime;
  readonly registry: RegistryClient;
  /** The repository; a tag is ignored. */
  readonly reference: string | Reference;
  /** What to compare with. Undefined: the tags alone, all `unchecked`. */
  readonly trust?: Coverage | undefined;
  /** Ask nobody: the signed names as they are stored (`trust.freshness` says so too), all `unchecked`. */
  readonly offline?: boolean | undefined;
  /** What was approved, where a policy wants wider contracts approved. Nothing is added to it. */
  readonly approvals?: Pick<ApprovalUse, "get"> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * - `signed`: the tag names what was signed
 * - `publishing`: signed, and the tag still names what the signed target replaces, or nothing yet
 * - `mismatch`: the tag names something else than was signed
 * - `unsigned`: the tag has no signed target
 * - `unchecked`: no collection was given to compare with, or the registry was not asked
 */
export type TagState = "signed" | "publishing" | "mismatch" | "unsigned" | "unchecked";

export interface ListedTag {
  readonly tag: string;
  readonly state: TagState;
  /** What the tag names in the registry; undefined where it is not there or was not looked up. */
  readonly digest: Digest | undefined;
  /** What was signed for the module. */
  readonly signedModule: { readonly digest: string; readonly size: number; readonly role: string } | undefined;
  /** Why, where the state is `mismatch` or `publishing`. */
  readonly reason: string | undefined;
  /** What the policy's rules make of what is signed; undefined without rules, and where the tag is not what was signed. */
  readonly policy: TagVerdict | undefined;
}

export interface ListReport {
  readonly repository: string;
  readonly collection: string | undefined;
  readonly tags: readonly ListedTag[];
  readonly notes: readonly Note[];
}

/**
 * Lists tags and signed names together, sorted by name.
 *
 * @throws {TrustError} where trust data is missing or wrong: an unreadable collection is not an unsigned one
 * @example
 * ```ts
 * const { tags } = await list({ runtime, registry, reference: "ghcr.io/acme/app", trust });
 * const bad = tags.filter((tag) => tag.state === "mismatch");
 * ```
 */
export async function list(options: ListOptions): Promise<ListReport> {
  const reference = taggedReference(options.reference);
  const repository = options.registry.repository(reference);
  const name = repositoryName(reference);
  const { trust, signal } = options;
  if (options.offline === true) return listOffline(options, trust, name);
  const [opened, listed] = await Promise.allSettled([
    trust === undefined ? undefined : trust.source.open(trust.collection, { ...trust, signal }),
    readTags(repository, signal),
  ]);
  if (opened.status === "rejected") throw opened.reason;
  if (listed.status === "rejected") throw listed.reason;
  const collection = opened.value;
  if (collection === undefined || trust === undefined) {
    return { repository: name, collection: undefined, tags: listed.value.map((tag) => unchecked(tag)), notes: [] };
  }
  const targets = signedTags(trust, collection);
  const names = [...new Set([...listed.value, ...targets.keys()])].toSorted();
  const inRegistry = new Set(listed.value);
  const known: Known = { trust, collection, repository, name, inRegistry, options };
  const tags = await mapConcurrently(names, (tag) => inspectTag(known, tag, targets.get(tag)));
  return { repository: name, collection: collection.name, tags, notes: notesOf(options, trust, collection) };
}

/** What is signed is known offline; what the tags name is not. */
async function listOffline(options: ListOptions, trust: Coverage | undefined, name: string): Promise<ListReport> {
  if (trust === undefined) {
    throw new TransportError(
      "OFFLINE_MISSING",
      `the tags of ${name} are in the registry only, and nobody may be asked`,
      {
        hint: "Run the command without --offline",
      },
    );
  }
  const { signal, approvals } = options;
  const collection = await trust.source.open(trust.collection, { ...trust, signal });
  const tags = await mapConcurrently([...signedTags(trust, collection)], async ([tag, target]) => ({
    ...unchecked(tag, signedModule(target)),
    policy: await judgeTag({ name: `${name}:${tag}`, trust, collection, target }, name, approvals),
  }));
  tags.sort((a, b) => (a.tag < b.tag ? -1 : 1));
  return { repository: name, collection: collection.name, tags, notes: notesOf(options, trust, collection) };
}

function signedTags(trust: Coverage, collection: TrustedCollection): Map<string, SignedTarget> {
  const targets = new Map<string, SignedTarget>();
  for (const target of collection.list()) {
    const tag = tagOf(trust, target.name);
    if (tag !== undefined) targets.set(tag, target);
  }
  return targets;
}

function notesOf({ runtime }: Pick<ListOptions, "runtime">, trust: Coverage, collection: TrustedCollection): Note[] {
  return [...trustNotes(collection, runtime.now()), ...knowledgeNotes(trust, collection)];
}

async function readTags(repository: Repository, signal: AbortSignal | undefined): Promise<string[]> {
  const tags: string[] = [];
  for await (const tag of repository.tags.list({ signal })) {
    if (isTrustTag(tag)) continue;
    if (tags.length === MAX_TAGS) {
      throw new FormatError("LIMIT_EXCEEDED", `the repository has more than ${MAX_TAGS} tags`, {
        hint: "Ask for single tags instead",
        details: { limit: MAX_TAGS },
      });
    }
    tags.push(tag);
  }
  return tags.toSorted();
}

function unchecked(tag: string, signed?: ListedTag["signedModule"]): ListedTag {
  return { tag, state: "unchecked", digest: undefined, signedModule: signed, reason: undefined, policy: undefined };
}

/** What every tag of one list is compared with. */
interface Known {
  readonly trust: Coverage;
  readonly collection: TrustedCollection;
  readonly repository: Repository;
  /** Registry and repository. */
  readonly name: string;
  readonly inRegistry: ReadonlySet<string>;
  readonly options: Pick<ListOptions, "approvals" | "signal">;
}

async function inspectTag(known: Known, tag: string, target: SignedTarget | undefined): Promise<ListedTag> {
  const { trust, collection, repository, inRegistry, options } = known;
  const { approvals, signal } = options;
  if (target === undefined) {
    const head = await repository.manifests.head(tag, { signal });
    return { ...unchecked(tag), state: "unsigned", digest: head?.digest };
  }
  const found = inRegistry.has(tag) ? await findArtifact(repository, tag, signal) : undefined;
  const base = { tag, digest: found?.digest, signedModule: signedModule(target) };
  const name = `${known.name}:${tag}`;
  let binding: Binding;
  try {
    binding = bindTarget(target, found, name);
  } catch (error) {
    if (!(error instanceof TrustError) && !(error instanceof FormatError)) throw error;
    return { ...base, state: "mismatch", reason: error.message, policy: undefined };
  }
  const pending = binding.notes.find((note) => note.code === "publish-under-way");
  const policy = await judgeTag({ name, trust, collection, target, binding, found }, known.name, approvals);
  return { ...base, state: pending === undefined ? "signed" : "publishing", reason: pending?.message, policy };
}

function signedModule({ hashes, length, role }: SignedTarget): ListedTag["signedModule"] {
  const digest = hashes.sha256 === undefined ? `sha512:${hashes.sha512 ?? ""}` : `sha256:${hashes.sha256}`;
  return { digest, size: length, role };
}

async function mapConcurrently<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = Array.from<R>({ length: items.length });
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker));
  return results;
}

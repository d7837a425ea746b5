/**
 * Decides which collection answers for a repository: a policy before pins and first-use records before flags (DESIGN
 * "Pull"). What comes first is never weakened by what follows: keys that are named in several places must all hold.
 */
import type { Freshness } from "../tuf/client.ts";
import { coverByPolicy, type AppliedPolicy } from "./policy/cover-policy.ts";
import type { Coverage } from "./coverage.ts";
import { combinePins, type Pin } from "./pin.ts";
import { matchPin, type PinEntry, type PinMatch, type PinnedSource } from "./pins.ts";
import { defaultCollection, prefixIn } from "./place.ts";
import type { TrustSource } from "./source.ts";

/** What the caller asked for, beside what is stored. */
export interface CoverRequest {
  /** Registry and repository without tag, e.g. `ghcr.io/acme/app`. */
  readonly repository: string;
  readonly pins: readonly PinEntry[];
  /** The entry of a policy that decides; undefined where none does. */
  readonly policy?: AppliedPolicy | undefined;
  /** The source that flags name (`--server`, `--trust`), which wins over the place a pin names, not over its keys. */
  readonly source?: TrustSource | undefined;
  /** Root keys given for this run, besides those that are pinned. */
  readonly pin?: Pin | undefined;
  /** How current flags want trust data to be. */
  readonly freshness?: Freshness | undefined;
  /** The collection's name, where it is not the one that pins or the repository give. */
  readonly collection?: string | undefined;
  /** Where to look if neither a pin nor a flag says it, but trust data is asked for (`--sign`). */
  readonly fallback?: PinnedSource | undefined;
  /** Whether a first use may be accepted where nothing is stored (not with `--no-tofu`). */
  readonly allowFirstUse: boolean;
  /** Opens the source that a stored pin names. */
  openSource(pinned: PinnedSource): TrustSource;
}

/**
 * @throws {TrustError} POLICY_REFUSED where pins or flags contradict a policy
 * @returns undefined where nothing covers the reference: it can only be delivered unverified
 */
export function coverRepository(request: CoverRequest): Coverage | undefined {
  const { repository, freshness } = request;
  if (request.policy !== undefined) return coverByPolicy(request, request.policy);
  const match = matchPin(request.pins, repository);
  if (match !== undefined) {
    const source = request.source ?? request.openSource(match.entry.source);
    const collection = request.collection ?? match.collection;
    return {
      source,
      collection,
      prefix: prefixOf(source, collection, repository, match),
      reason: match.entry.firstUse ? "first-use-record" : "pin",
      pin: combinePins(match.entry.pin, request.pin),
      firstUse: "refuse",
      freshness,
    };
  }
  const source = request.source ?? (request.fallback && request.openSource(request.fallback));
  if (source === undefined) return undefined;
  const collection = request.collection ?? defaultCollection(source.kind, repository);
  return {
    source,
    collection,
    prefix: prefixIn(source.kind, collection, repository),
    reason: "flags",
    pin: request.pin,
    firstUse: request.allowFirstUse && request.pin === undefined ? "accept" : "refuse",
    freshness,
  };
}

/** Where one collection is pinned for many repositories, its names have what `{rest}` stands for. */
function prefixOf(source: TrustSource, collection: string, repository: string, match: PinMatch): string | undefined {
  const { entry, rest } = match;
  const isShared = rest !== undefined && collection === entry.collection && source.kind !== "notary";
  return isShared ? `${rest}/` : prefixIn(source.kind, collection, repository);
}

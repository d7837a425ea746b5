/** Decides which collection answers for a repository: pins and first-use records before flags (DESIGN "Pull"). */
import type { Coverage } from "./coverage.ts";
import type { Pin } from "./pin.ts";
import { matchPin, type PinEntry, type PinMatch, type PinnedSource } from "./pins.ts";
import { defaultCollection, prefixIn } from "./place.ts";
import type { TrustSource } from "./source.ts";

/** What the caller asked for, beside what is stored. */
export interface CoverRequest {
  /** Registry and repository without tag, e.g. `ghcr.io/acme/app`. */
  readonly repository: string;
  readonly pins: readonly PinEntry[];
  /** The source that flags name (`--server`, `--trust`), which wins over the place a pin names, not over its keys. */
  readonly source?: TrustSource | undefined;
  /** Root keys given for this run. */
  readonly pin?: Pin | undefined;
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
 * @returns undefined where nothing covers the reference: it can only be delivered unverified
 */
export function coverRepository(request: CoverRequest): Coverage | undefined {
  const { repository } = request;
  const match = matchPin(request.pins, repository);
  if (match !== undefined) {
    const source = request.source ?? request.openSource(match.entry.source);
    const collection = request.collection ?? match.collection;
    return {
      source,
      collection,
      prefix: prefixOf(source, collection, repository, match),
      reason: match.entry.firstUse ? "first-use-record" : "pin",
      pin: request.pin ?? match.entry.pin,
      firstUse: "refuse",
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
  };
}

/** Where one collection is pinned for many repositories, its names have what `{rest}` stands for. */
function prefixOf(source: TrustSource, collection: string, repository: string, match: PinMatch): string | undefined {
  const { entry, rest } = match;
  const isShared = rest !== undefined && collection === entry.collection && source.kind !== "notary";
  return isShared ? `${rest}/` : prefixIn(source.kind, collection, repository);
}

/** Decides which collection answers for a repository: pins and first-use records before flags (DESIGN "Pull"). */
import type { Coverage } from "./coverage.ts";
import type { Pin } from "./pin.ts";
import { matchPin, type PinEntry, type PinnedSource } from "./pins.ts";
import type { TrustSource } from "./source.ts";

/** What the caller asked for, beside what is stored. */
export interface CoverRequest {
  /** Registry and repository without tag, e.g. `ghcr.io/acme/app`. */
  readonly repository: string;
  readonly pins: readonly PinEntry[];
  /** The source that flags name (`--server`), which wins over the place a pin names, not over its keys. */
  readonly source?: TrustSource | undefined;
  /** Root keys given for this run. */
  readonly pin?: Pin | undefined;
  /** The collection's name, where it is not the repository's. */
  readonly collection?: string | undefined;
  /** Whether a first use may be accepted where nothing is stored (not with `--no-tofu`). */
  readonly allowFirstUse: boolean;
  /** Opens the source that a stored pin names. */
  openSource(pinned: PinnedSource): TrustSource;
}

/**
 * @returns undefined where nothing covers the reference: it can only be delivered unverified
 */
export function coverRepository(request: CoverRequest): Coverage | undefined {
  const match = matchPin(request.pins, request.repository);
  if (match !== undefined) {
    return {
      source: request.source ?? request.openSource(match.entry.source),
      collection: request.collection ?? match.collection,
      reason: match.entry.firstUse ? "first-use-record" : "pin",
      pin: request.pin ?? match.entry.pin,
      firstUse: "refuse",
    };
  }
  if (request.source === undefined) return undefined;
  return {
    source: request.source,
    collection: request.collection ?? request.repository,
    reason: "flags",
    pin: request.pin,
    firstUse: request.allowFirstUse && request.pin === undefined ? "accept" : "refuse",
  };
}

/**
 * What a policy makes of a reference: it says which collection, where, by which keys and under which rules. Pins and
 * flags can add to that, and say where else to look; they never take anything away (docs/concepts/policy.md).
 */
import { TrustError } from "../../base/errors.ts";
import { isPin } from "../../notary/pinning.ts";
import type { Freshness } from "../../tuf/client.ts";
import type { CoverRequest } from "../cover.ts";
import type { Coverage } from "../coverage.ts";
import { combinePins, type Pin } from "../pin.ts";
import { matchPin, type PinMatch, type PinnedSource } from "../pins.ts";
import { defaultCollection, prefixIn } from "../place.ts";
import { placeOfEntry, type PolicyMatch } from "./match.ts";
import type { PolicyEntry } from "./policy.ts";
import { chainSources } from "../source-chain.ts";
import type { TrustSource } from "../source.ts";

/** Where trust data is looked for if nothing says it. */
const BESIDE_MODULE: PinnedSource = { kind: "oci" };

/** The entry that decides, with its root file read. */
export interface AppliedPolicy extends PolicyMatch {
  readonly roots: Pin | undefined;
}

/** @throws {TrustError} POLICY_REFUSED where pins or flags contradict the policy */
export function coverByPolicy(request: CoverRequest, policy: AppliedPolicy): Coverage {
  const { entry, roots } = policy;
  const pinned = matchPin(request.pins, request.repository);
  const keys = combinePins(roots, pinned?.entry.pin);
  const source = chooseSource(request, entry, pinned, isPin(keys));
  const collection = chooseCollection(request, policy, pinned, source);
  const pin = combinePins(keys, request.pin);
  const mustExist = pinned !== undefined || request.source !== undefined || request.fallback !== undefined;
  const mayTrustFirst = entry.firstUse === "accept" && request.allowFirstUse && !isPin(pin);
  return {
    source,
    collection,
    prefix: prefixOf(source, collection, request.repository, policy),
    reason: "policy",
    pin,
    firstUse: mayTrustFirst ? "accept" : "refuse",
    freshness: strictest(entry, request.freshness),
    // whoever pins a collection, or asks for it by a flag, says that it is there
    rules: mustExist ? { ...entry.rules, missing: "reject" } : entry.rules,
  };
}

/** A flag may name another place only where keys say whose trust data counts there. */
function chooseSource(
  request: CoverRequest,
  entry: PolicyEntry,
  pinned: PinMatch | undefined,
  hasKeys: boolean,
): TrustSource {
  const { source: named, fallback } = request;
  const [place = pinned?.entry.source ?? fallback ?? BESIDE_MODULE, ...others] = entry.sources;
  const first = request.openSource(place);
  const mirrors = others.map((other) => request.openSource(other));
  if (named === undefined) return chainSources(first, ...mirrors);
  const isListed = [first, ...mirrors].some(({ location }) => location === named.location);
  if (isListed || hasKeys || entry.sources.length === 0) return named;
  throw contradicts(entry, `it pins no keys, so trust data is taken from ${first.location} only`, named.location);
}

/** The collection that an entry names, `{rest}` filled in; undefined where it names none. */
export function entryCollection({ entry, rest }: PolicyMatch): string | undefined {
  return entry.collection?.replace("{rest}", () => rest ?? "");
}

function chooseCollection(
  request: CoverRequest,
  match: PolicyMatch,
  pinned: PinMatch | undefined,
  source: TrustSource,
): string {
  const { entry } = match;
  const wanted = entryCollection(match);
  if (wanted === undefined) {
    return request.collection ?? pinned?.collection ?? defaultCollection(source.kind, request.repository);
  }
  if (request.collection !== undefined && request.collection !== wanted) {
    throw contradicts(entry, `the collection is ${wanted}, and a flag names another one`, request.collection);
  }
  if (pinned !== undefined && pinned.collection !== wanted) {
    throw contradicts(
      entry,
      `the collection is ${wanted}, and the pin ${JSON.stringify(pinned.entry.pattern)} names another one`,
      pinned.collection,
    );
  }
  return wanted;
}

/** Where one collection is named for many repositories, its names have what `{rest}` stands for. */
function prefixOf(
  { kind }: TrustSource,
  collection: string,
  repository: string,
  { entry, rest }: PolicyMatch,
): string | undefined {
  const isShared = rest !== undefined && entry.collection === collection && kind !== "notary";
  return isShared ? `${rest}/` : prefixIn(kind, collection, repository);
}

/** The policy's freshness, or a flag's where that one is stricter. */
function strictest(entry: PolicyEntry, asked: Freshness | undefined): Freshness | undefined {
  const { freshness } = entry;
  if (freshness === undefined || asked === undefined) return asked ?? freshness;
  if (oldest(asked) <= oldest(freshness)) return asked;
  throw contradicts(entry, `trust data must be ${described(freshness)}`, described(asked));
}

/** How old trust data may be, in seconds. */
function oldest(freshness: Freshness): number {
  if (freshness.mode === "online") return 0;
  return freshness.mode === "max-age" ? freshness.seconds : Number.POSITIVE_INFINITY;
}

function described(freshness: Freshness): string {
  return freshness.mode === "max-age" ? `at most ${freshness.seconds} seconds old` : freshness.mode;
}

function contradicts(entry: PolicyEntry, reason: string, got: string): TrustError {
  return new TrustError("POLICY_REFUSED", `the policy ${placeOfEntry(entry)} does not allow ${got}: ${reason}`, {
    hint: "Leave out the flag or the pin that contradicts the policy, or have the policy changed",
    details: { policy: entry.origin, got },
  });
}

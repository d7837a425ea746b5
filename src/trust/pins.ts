/**
 * Pins and first-use records: which references must verify, against which collection of which source, and
 * which root keys are expected. Kept in one small file of the user's, apart from any cache.
 */
import { UsageError } from "../base/errors.ts";
import type { Pin } from "./pin.ts";

/** Where a pinned collection is found. */
export type PinnedSource =
  | {
      readonly kind: "notary";
      /** Base URL of the trust server. */
      readonly server: string;
    }
  | {
      readonly kind: "tuf";
      /** URL of the metadata's folder, or the absolute path of a directory. */
      readonly location: string;
    }
  | {
      readonly kind: "oci";
      /** The trust repository, e.g. `ghcr.io/acme/trust`; undefined: each repository has its own trust data. */
      readonly repository?: string | undefined;
    };

export interface PinEntry {
  /** A repository (`ghcr.io/acme/app`), or a prefix ending in `/{rest}` that stands for all below it. */
  readonly pattern: string;
  /** The collection to expect; may repeat `{rest}`. */
  readonly collection: string;
  readonly source: PinnedSource;
  /** What the root must match; empty for a first-use record, whose root is kept in the trust state. */
  readonly pin: Pin;
  /** True where nobody checked the root: it was the first one seen. */
  readonly firstUse: boolean;
  /** When it was written. */
  readonly added: Date;
}

/**
 * Keeps pins.
 *
 * Obligations: `put` replaces the entry of the same pattern; `add` keeps whatever covers it already, and then answers
 * false; both are atomic and durable, and lose no concurrent writer's entry; a file that cannot be read is an error,
 * never "no pins".
 */
export interface PinStore {
  list(): Promise<readonly PinEntry[]>;
  put(entry: PinEntry): Promise<void>;
  add(entry: PinEntry): Promise<boolean>;
  remove(pattern: string): Promise<boolean>;
}

export interface PinMatch {
  readonly entry: PinEntry;
  /** The collection, `{rest}` filled in. */
  readonly collection: string;
  /** What `{rest}` stood for; undefined where the pattern has none. */
  readonly rest: string | undefined;
}

const REST_MARK = "{rest}";
const REST = `/${REST_MARK}`;

/** Checks a pattern and its collection. @throws {UsageError} USAGE */
export function checkPattern(pattern: string, collection: string): void {
  const wildcards = countBraces(pattern);
  const wellFormed = wildcards === 0 || (wildcards === 1 && pattern.endsWith(REST) && pattern.length > REST.length);
  const repeats = countBraces(collection);
  const collectionFits = repeats === 0 || (repeats === 1 && wildcards === 1 && /(?:^|\/)\{rest\}$/.test(collection));
  if (wellFormed && collectionFits && collection !== "") return;
  throw new UsageError("USAGE", `the pin ${JSON.stringify(pattern)} → ${JSON.stringify(collection)} has no meaning`, {
    hint: "Use a whole repository, or a prefix that ends in /{rest} on both sides",
  });
}

function countBraces(text: string): number {
  return text.split(/[{}]/).length >> 1;
}

/**
 * Finds the pin for a repository: the exact one, else the longest prefix. Records of a first use count only where there
 * is no pin: a root that nobody checked must not stand in for keys that somebody named, though its pattern is narrower.
 *
 * @param repository registry and repository without tag, e.g. `ghcr.io/acme/app`
 */
export function matchPin(entries: readonly PinEntry[], repository: string): PinMatch | undefined {
  const pins = entries.filter(({ firstUse }) => !firstUse);
  return closest(pins, repository) ?? closest(entries, repository);
}

function closest(entries: readonly PinEntry[], repository: string): PinMatch | undefined {
  let best: PinMatch | undefined;
  for (const entry of entries) {
    if (entry.pattern === repository) return { entry, collection: entry.collection, rest: undefined };
    if (!entry.pattern.endsWith(REST)) continue;
    const prefix = entry.pattern.slice(0, -REST.length + 1);
    const rest = repository.slice(prefix.length);
    if (!repository.startsWith(prefix) || rest === "") continue;
    if (best !== undefined && best.entry.pattern.length > entry.pattern.length) continue;
    best = { entry, collection: entry.collection.replace(REST_MARK, () => rest), rest };
  }
  return best;
}

/** Adds an entry to others unless one of them covers its pattern. */
export function addUncovered(entries: Map<string, PinEntry>, entry: PinEntry): boolean {
  if (matchPin([...entries.values()], entry.pattern) !== undefined) return false;
  entries.set(entry.pattern, entry);
  return true;
}

/** A store in memory, for tests and embedders. */
export function memoryPinStore(initial: readonly PinEntry[] = []): PinStore {
  const entries = new Map(initial.map((entry) => [entry.pattern, entry]));
  return {
    list: async () => [...entries.values()],
    put: async (entry) => {
      checkPattern(entry.pattern, entry.collection);
      entries.set(entry.pattern, entry);
    },
    add: async (entry) => {
      checkPattern(entry.pattern, entry.collection);
      return addUncovered(entries, entry);
    },
    remove: async (pattern) => entries.delete(pattern),
  };
}

/** Finds the entry of a policy that decides for a repository: the most specific one of all that match. */
import { FormatError } from "../../base/errors.ts";
import type { Policy, PolicyEntry } from "./policy.ts";
import { includes, matchesPattern, overlap, restOf } from "./pattern.ts";

/** Each is compared with every reference and, when a policy is loaded, with every other pattern. */
const MAX_WILD_PATTERNS = 256;

/** Where so many pairs overlap, the others are looked at when a reference meets them. */
const MAX_TIE_CHECKS = 10_000;

export interface PolicyMatch {
  readonly entry: PolicyEntry;
  /** What `{rest}` stood for; undefined where the pattern has none. */
  readonly rest: string | undefined;
  /** The other entries that match, the more specific ones first. */
  readonly passedOver: readonly PolicyEntry[];
}

/**
 * A policy, ready to be asked. Entries without `*` are found by their text, so that ten thousand of them cost no more
 * than one.
 */
export class PolicyIndex {
  readonly policy: Policy;
  private readonly exact = new Map<string, PolicyEntry>();
  private readonly prefixes = new Map<string, PolicyEntry>();
  private readonly wild: PolicyEntry[] = [];

  /** @throws {FormatError} POLICY_INVALID for a pattern that stands twice, POLICY_AMBIGUOUS for two that tie */
  constructor(policy: Policy) {
    this.policy = policy;
    const seen = new Map<string, PolicyEntry>();
    for (const entry of policy.entries) {
      const { text, parts, hasRest, isWild } = entry.pattern;
      const former = seen.get(text);
      if (former !== undefined) throw duplicate(former, entry);
      seen.set(text, entry);
      if (isWild) this.wild.push(entry);
      else (hasRest ? this.prefixes : this.exact).set(parts.join("/"), entry);
    }
    if (this.wild.length > MAX_WILD_PATTERNS) throw tooWild(policy, this.wild.length);
    this.refuseTies();
  }

  /**
   * @param repository registry and repository without tag, e.g. `ghcr.io/acme/app`
   * @returns undefined where no entry matches
   * @throws {FormatError} POLICY_AMBIGUOUS
   */
  match(repository: string): PolicyMatch | undefined {
    const found = this.candidates(repository);
    let best = found[0];
    if (best === undefined) return undefined;
    for (const entry of found) if (includes(best.pattern, entry.pattern)) best = entry;
    const { pattern } = best;
    const rival = found.find((entry) => !includes(entry.pattern, pattern));
    if (rival !== undefined) throw ambiguous(best, rival, repository);
    const others = found.filter((entry) => entry !== best);
    return { entry: best, rest: restOf(pattern, repository), passedOver: others.toSorted(bySpecificity) };
  }

  /** Every entry that matches. */
  private candidates(repository: string): PolicyEntry[] {
    const found = [this.exact.get(repository)];
    for (let end = repository.lastIndexOf("/"); end > 0; end = repository.lastIndexOf("/", end - 1)) {
      found.push(this.prefixes.get(repository.slice(0, end)));
    }
    found.push(this.prefixes.get(""));
    const parts = repository.split("/");
    const wild = this.wild.filter(({ pattern }) => matchesPattern(pattern, parts));
    return [...found.filter((entry) => entry !== undefined), ...wild];
  }

  /**
   * Looks for a repository that two entries match and neither of them, nor a third, decides. Without `*` patterns lie
   * inside each other or apart, so only pairs with one are looked at.
   */
  private refuseTies(): void {
    let checks = 0;
    const others = [...this.prefixes.values(), ...this.wild];
    for (const entry of this.wild) {
      for (const { pattern } of others) {
        const common = overlap(pattern, entry.pattern);
        if (common === undefined) continue;
        if (includes(pattern, entry.pattern) || includes(entry.pattern, pattern)) continue;
        if (++checks > MAX_TIE_CHECKS) return;
        this.match(common);
      }
    }
  }
}

/** More parts, or more of them spelled out, go first: an order in which no entry follows one that includes it. */
function bySpecificity({ pattern: a }: PolicyEntry, { pattern: b }: PolicyEntry): number {
  return (
    b.parts.length - a.parts.length ||
    Number(a.hasRest) - Number(b.hasRest) ||
    literalLength(b.text) - literalLength(a.text) ||
    (a.text < b.text ? -1 : 1)
  );
}

function literalLength(text: string): number {
  return text.replaceAll("*", "").length;
}

/** Where an entry stands, for messages. */
export function placeOfEntry({ pattern, origin }: PolicyEntry): string {
  return `${JSON.stringify(pattern.text)} (${origin})`;
}

function duplicate(former: PolicyEntry, entry: PolicyEntry): FormatError {
  return new FormatError("POLICY_INVALID", `the pattern ${placeOfEntry(entry)} stands at ${former.origin} already`, {
    hint: "Make one entry of the two: which of them decides must not depend on their order",
  });
}

function tooWild({ origin }: Policy, count: number): FormatError {
  return new FormatError(
    "POLICY_INVALID",
    `${origin} has ${count} patterns with \`*\`; ${MAX_WILD_PATTERNS} are allowed`,
    {
      hint: "Use {rest}, which is not limited, where a whole folder is meant",
    },
  );
}

function ambiguous(a: PolicyEntry, b: PolicyEntry, repository: string): FormatError {
  return new FormatError(
    "POLICY_AMBIGUOUS",
    `${repository} is matched by ${placeOfEntry(a)} and by ${placeOfEntry(b)}, and neither is more specific`,
    {
      hint: `Add an entry for what both match, for example ${repository}`,
      details: { reference: repository, patterns: [a.pattern.text, b.pattern.text] },
    },
  );
}

/**
 * Several repositories that must agree on a target (TAP 4): a map file says which of them are asked for which paths,
 * and how many must sign the same. https://github.com/theupdateframework/taps/blob/master/tap4.md
 */
import { TrustError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { matchesPattern, type FoundTarget } from "./delegations.ts";

/** People write map files; none has come near this. */
const MAX_REPOSITORIES = 256;
const MAX_MAPPINGS = 4096;
const MAX_PATHS = 4096;
/** Mirrors of one repository. */
const MAX_URLS = 64;
/** Names become parts of paths in stores: plain, so that none leads elsewhere (CVE-2026-24686). */
const REPOSITORY_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;

export interface MapFile {
  /** Base URLs by repository name. */
  readonly repositories: ReadonlyMap<string, readonly string[]>;
  /** In order of priority. */
  readonly mapping: readonly Mapping[];
}

export interface Mapping {
  /** Patterns as in delegations; `*` alone covers every path. */
  readonly paths: readonly string[];
  readonly repositories: readonly string[];
  /** How many of them must sign the same length and hashes. */
  readonly threshold: number;
  /** Ends the search where the paths match, whatever the repositories say. */
  readonly terminating: boolean;
}

/** Reads a map file. @throws {FormatError} JSON_INVALID, CONFIG_INVALID */
export function parseMapFile(bytes: Uint8Array, what = "the map file"): MapFile {
  const fault = formatFault("CONFIG_INVALID", what);
  const at = new JsonCursor(parseJson(bytes, { what, integersOnly: true }), fault).object(["mapping", "repositories"]);
  const repositories = new Map<string, string[]>();
  for (const [name, urls] of at.field("repositories").entries(MAX_REPOSITORIES)) {
    if (!REPOSITORY_NAME.test(name)) urls.fail("a repository's name has letters, digits, dots, dashes and underscores");
    repositories.set(name, urls.array(MAX_URLS).map(readUrl));
    if (repositories.get(name)!.length === 0) urls.fail("expected at least one address");
  }
  const mapping = at
    .field("mapping")
    .array(MAX_MAPPINGS)
    .map((entry) => readMapping(entry, repositories));
  return { repositories, mapping };
}

/** Finds a target in one repository. */
export type FindInRepository = (repository: string, path: string) => Promise<FoundTarget | undefined>;

/** A target that enough repositories agree on. */
export interface AgreedTarget {
  readonly found: FoundTarget;
  /** Those that signed it, in the order of the map file. */
  readonly repositories: readonly string[];
}

/**
 * Looks a target up in the repositories that the map file names for it.
 *
 * @returns undefined where no mapping that covers the path leads to enough repositories that have it
 * @throws {TrustError} TARGET_MISMATCH where enough repositories sign one thing and enough others another
 * @throws what `find` throws, where that repository could have made the difference
 */
export async function findInMap(map: MapFile, path: string, find: FindInRepository): Promise<AgreedTarget | undefined> {
  for (const mapping of map.mapping) {
    if (!mapping.paths.some((pattern) => pattern === "*" || matchesPattern(pattern, path))) continue;
    const agreed = await askAll(mapping, path, find);
    if (agreed !== undefined || mapping.terminating) return agreed;
  }
  return undefined;
}

async function askAll(mapping: Mapping, path: string, find: FindInRepository): Promise<AgreedTarget | undefined> {
  const answers = await Promise.allSettled(mapping.repositories.map((name) => find(name, path)));
  const groups = new Map<string, { found: FoundTarget; repositories: string[] }>();
  const failures: unknown[] = [];
  for (const [index, answer] of answers.entries()) {
    if (answer.status === "rejected") {
      failures.push(answer.reason);
    } else if (answer.value !== undefined) {
      const key = contentOf(answer.value);
      const group = groups.get(key) ?? { found: answer.value, repositories: [] };
      group.repositories.push(mapping.repositories[index]!);
      groups.set(key, group);
    }
  }
  const enough = [...groups.values()].filter(({ repositories }) => repositories.length >= mapping.threshold);
  if (enough.length > 1) throw disagreement(path, enough);
  if (enough.length === 0 && failures.length > 0) throw failures[0];
  return enough[0];
}

/** What repositories must agree on: length and hashes. */
function contentOf({ file }: FoundTarget): string {
  const hashes = Object.entries(file.hashes);
  hashes.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([file.length, hashes]);
}

function disagreement(path: string, groups: readonly { readonly repositories: readonly string[] }[]): TrustError {
  const sides = groups.map(({ repositories }) => repositories.join(", "));
  return new TrustError(
    "TARGET_MISMATCH",
    `repositories disagree about ${JSON.stringify(path)}: ${sides.join(" / ")}`,
    {
      hint: "One side was tampered with or is behind; raise the threshold in the map file so that one answer wins",
      details: { target: path, got: sides },
    },
  );
}

function readMapping(cursor: JsonCursor, repositories: ReadonlyMap<string, unknown>): Mapping {
  const at = cursor.object(["paths", "repositories", "terminating", "threshold"]);
  const names = at.field("repositories").array(MAX_REPOSITORIES);
  const seen = new Set<string>();
  for (const element of names) {
    const name = element.string();
    if (!repositories.has(name)) element.fail("a repository that the file does not describe");
    if (seen.has(name)) element.fail("a repository that is listed twice");
    seen.add(name);
  }
  const threshold = at.field("threshold").integer(1);
  if (threshold > names.length) at.field("threshold").fail(`more than the ${names.length} repositories listed`);
  const terminating = at.field("terminating");
  return {
    paths: at
      .field("paths")
      .array(MAX_PATHS)
      .map((path) => path.string()),
    repositories: [...seen],
    threshold,
    terminating: terminating.absent ? false : terminating.boolean(),
  };
}

function readUrl(cursor: JsonCursor): string {
  const url = cursor.string();
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    cursor.fail("expected an address of http or https");
  return url;
}

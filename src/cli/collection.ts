/** The collection that a `trust` command works on. */
import { TrustError, UsageError } from "../base/errors.ts";
import { shellWord } from "../base/shell-word.ts";
import { repositoryName, taggedReference } from "../oci/tagged-reference.ts";
import type { Administered, Administration, ReachOptions, Staged } from "../trust/administration.ts";
import type { Coverage } from "../trust/coverage.ts";
import { lacksSignatures } from "../trust/key-choice.ts";
import type { NotarySource } from "../trust/notary/source.ts";
import { defaultCollection, placeFlags, placeOf } from "../trust/place.ts";
import type { TrustSource } from "../trust/source.ts";
import type { TufAdministration } from "../trust/tuf/administration.ts";
import type { Context } from "./command.ts";
import { argument, flag, type OptionValues } from "./options.ts";
import { withSession, type Session, type SessionOptions } from "./session.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  trustReadingOptions,
  trustServerOptions,
} from "./shared-options.ts";
import { sayStaged, stagedDocument } from "./staged-text.ts";

export const repositoryArgument = argument("REPOSITORY", "whose collection: [HOST[:PORT]/]REPOSITORY");

/** What every `trust` command takes. */
export const trustOptions = {
  ...trustServerOptions,
  ...pinOptions,
  ...registryOptions,
  ...directoryOptions,
  ...outputOptions,
};

/** What those take that change nothing. */
export const shownTrustOptions = { ...trustOptions, ...trustReadingOptions };

/** For commands whose change may need the signatures of several people. */
export const stageOption = {
  stage: flag("--stage", "leave the change for others to sign (`trust sign`) instead of publishing it; not for Notary"),
};

interface ReachedBase {
  readonly session: Session;
  /** Registry and repository, as pins name them. */
  readonly repository: string;
  /** The collection's name. */
  readonly collection: string;
  readonly coverage: Coverage;
  /** How the source may be trusted. */
  readonly reach: ReachOptions;
  readonly source: TrustSource;
  readonly administration: Administration;
  /** A `trust` command on this collection, for people who have nothing pinned. */
  readonly placed: (verb: string) => string;
}

/** A collection, and what its kind of source can do with it. */
export type Reached = ReachedBase &
  (
    | { readonly notary: NotarySource; readonly tuf?: never }
    | { readonly tuf: TufAdministration; readonly notary?: never }
  );

/** Runs work on the collection of a repository: the one that is pinned, that flags name, or else beside the modules. */
export async function withCollection<T>(
  context: Context,
  options: SessionOptions & Partial<OptionValues<typeof stageOption>>,
  repository: string,
  work: (reached: Reached) => Promise<T>,
): Promise<T> {
  const reference = taggedReference(repository);
  return withSession(context, { ...options, reference, sign: true }, async (session) => {
    const coverage = await session.requiredCoverage(reference);
    const reached = reachedBy(context, session, repositoryName(reference), coverage);
    if (options.stage === true) requireTuf(reached, "--stage");
    try {
      return await work(reached);
    } catch (error) {
      throw error instanceof TrustError ? advised(error, reached, options.stage) : error;
    }
  });
}

/** A collection that is only looked at. */
export type ShownCollection = Pick<Reached, "collection" | "coverage" | "reach" | "source"> & {
  readonly administration: Pick<Administration, "status">;
};

/** The same for commands that change nothing: a bundle can be looked at, too. */
export async function withShownCollection<T>(
  context: Context,
  options: SessionOptions,
  repository: string,
  work: (shown: ShownCollection) => Promise<T>,
): Promise<T> {
  if (options.trust?.kind !== "bundle") return withCollection(context, options, repository, work);
  const reference = taggedReference(repository);
  return withSession(context, { ...options, reference }, async (session) => {
    const coverage = await session.requiredCoverage(reference);
    const { collection, pin, firstUse, source } = coverage;
    const administration = session.statusIn(coverage, reference)!; // what is open can be looked at
    return work({ collection, coverage, reach: { pin, firstUse, signal: context.signal }, source, administration });
  });
}

function reachedBy(context: Context, session: Session, repository: string, coverage: Coverage): Reached {
  const { collection, pin, firstUse, source } = coverage;
  const place = placeOf(source, repository);
  if (place === undefined) {
    throw new UsageError("USAGE", `${source.location} can be read, and nothing else`, {
      hint: "Name the place where the collection is published with --trust or --server",
    });
  }
  const opened = session.openTrust(place, taggedReference(repository));
  const reach = { pin, firstUse, signal: context.signal };
  const named =
    collection === defaultCollection(place.kind, repository) ? "" : ` --collection ${shellWord(collection)}`;
  const placed = (verb: string): string => `wasm-to-oci trust ${verb} ${repository} ${placeFlags(place)}${named}`;
  const base = { session, repository, collection, coverage, reach, placed, source: opened.source };
  if (opened.kind === "notary") return { ...base, administration: opened.source, notary: opened.source };
  return { ...base, administration: opened.administration, tuf: opened.administration };
}

/** The administration of a TUF collection. @throws {UsageError} USAGE for Notary's, which cannot do this */
export function requireTuf({ tuf, source }: Reached, what: string, instead?: string): TufAdministration {
  if (tuf !== undefined) return tuf;
  throw new UsageError("USAGE", `${what} is not for collections on a Notary server, as ${source.location} is`, {
    hint: instead ?? "Notary v1 has no such thing: it is for trust data in a registry or in a directory",
  });
}

/** The Notary server of a collection. @throws {UsageError} USAGE for other collections, which do this otherwise */
export function requireNotary({ notary, source }: Reached, what: string, hint: string): NotarySource {
  if (notary !== undefined) return notary;
  throw new UsageError("USAGE", `${what} is for Notary servers, and ${source.location} is none`, { hint });
}

/** Refuses options that are only for the other kind of source, rather than to ignore them. @throws {UsageError} USAGE */
export function refuseOptions(
  { source }: Reached,
  kind: "notary" | "tuf",
  given: Readonly<Record<string, unknown>>,
): void {
  for (const [name, chosen] of Object.entries(given)) {
    if (chosen === undefined || chosen === false || (Array.isArray(chosen) && chosen.length === 0)) continue;
    const others = kind === "tuf" ? "a registry or a directory" : "a Notary server";
    throw new UsageError("USAGE", `${name} has no meaning for trust data at ${source.location}`, {
      hint: `It is for trust data in ${others}`,
    });
  }
}

/** The library names no commands; here they are known. */
function advised(error: TrustError, reached: Reached, stage: boolean | undefined): TrustError {
  const hint = error.hint?.includes("wasm-to-oci") === true ? undefined : commandFor(error, reached, stage);
  if (hint === undefined) return error;
  const { message, details, role } = error;
  return new TrustError(error.code, message, { hint, details, cause: error, ...(role === undefined ? {} : { role }) });
}

function commandFor(error: TrustError, reached: Reached, stage: boolean | undefined): string | undefined {
  const { placed, tuf } = reached;
  if (lacksSignatures(error) && stage === false) return `Add --stage; each of them then runs: ${placed("sign")}`;
  if (tuf === undefined) return undefined;
  if (error.code === "TRUST_NOT_FOUND") return `Check the name and the place, or create it with: ${placed("init")}`;
  if (error.code === "METADATA_EXPIRED") return `Its key holders sign it again with: ${placed("repair")}`;
  if (error.code === "TRUST_CONFLICT" && stage === true) {
    return `Look at it with: ${placed("sign")} --review; to give it up: ${placed("sign")} --drop`;
  }
  return undefined;
}

/** Says what a change of a collection led to, or prints the document that does. */
export async function reportChange(
  context: Context,
  reached: Reached,
  changed: Administered | Staged,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const { out } = context;
  const { collection, placed } = reached;
  if ("staged" in changed) {
    if (out.format === "json") {
      return out.json({ collection, published: [], staged: stagedDocument(changed.staged), warnings: [], ...more });
    }
    return sayStaged(context, collection, changed.staged, placed("sign"));
  }
  const { published, warnings } = changed;
  if (out.format === "json") return out.json({ ...administeredDocument(changed), ...more });
  for (const warning of warnings) out.warn(warning);
  if (published.length === 0) out.info(`${collection} was so already; nothing was published`);
  else out.info(`Published ${published.join(", ")} of ${collection}`);
}

function administeredDocument({ collection, published, warnings }: Administered): Record<string, unknown> {
  const { name, roles, rootKeys } = collection;
  return { collection: name, published, roles, rootKeys, warnings };
}

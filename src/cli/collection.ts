/** The collection that a `trust` command works on. */
import { UsageError } from "../base/errors.ts";
import { repositoryName, taggedReference } from "../oci/tagged-reference.ts";
import type { Coverage } from "../trust/coverage.ts";
import type { Administered, ReachOptions } from "../trust/notary-administration.ts";
import type { NotarySource } from "../trust/notary-source.ts";
import { placeOf } from "../trust/place.ts";
import type { Context } from "./command.ts";
import { argument } from "./options.ts";
import { withSession, type Session, type SessionOptions } from "./session.ts";
import { directoryOptions, networkOptions, outputOptions, pinOptions, trustServerOptions } from "./shared-options.ts";

export const repositoryArgument = argument("REPOSITORY", "whose collection: [HOST[:PORT]/]REPOSITORY");

/** What every `trust` command takes. */
export const trustOptions = {
  ...trustServerOptions,
  ...pinOptions,
  ...networkOptions,
  ...directoryOptions,
  ...outputOptions,
};

export interface Reached {
  readonly session: Session;
  /** Registry and repository, as pins name them. */
  readonly repository: string;
  readonly source: NotarySource;
  /** The collection's name. */
  readonly collection: string;
  readonly coverage: Coverage;
  /** How the source may be trusted. */
  readonly reach: ReachOptions;
}

/** Runs work on the collection of a repository. @throws {UsageError} TRUST_SOURCE_MISSING */
export async function withCollection<T>(
  context: Context,
  options: SessionOptions,
  repository: string,
  work: (reached: Reached) => Promise<T>,
): Promise<T> {
  const reference = taggedReference(repository);
  return withSession(context, options, async (session) => {
    const coverage = await session.requiredCoverage(reference);
    const { collection, pin, firstUse } = coverage;
    const place = placeOf(coverage.source, repositoryName(reference));
    const opened = place && session.openTrust(place, reference);
    if (opened?.kind !== "notary") {
      throw new UsageError("USAGE", `${coverage.source.location} is no Notary server`, {
        hint: "Name one with --server",
      });
    }
    const { source } = opened;
    const reach = { pin, firstUse, signal: context.signal };
    return work({ session, repository: repositoryName(reference), source, collection, coverage, reach });
  });
}

/** Says what a change of a collection led to. */
export function sayAdministered({ out }: Context, collection: string, { published, warnings }: Administered): void {
  if (out.format === "json") return;
  for (const warning of warnings) out.warn(warning);
  if (published.length === 0) out.info(`${collection} was so already; nothing was published`);
  else out.info(`Published ${published.join(", ")} of ${collection}`);
}

/** The same for programs. */
export function administeredDocument({ collection, published, warnings }: Administered): Record<string, unknown> {
  const { name, roles, rootKeys } = collection;
  return { collection: name, published, roles, rootKeys, warnings };
}

/**
 * Signatures of the 2019 tool for hosts with a port. It cut references at every colon, so that
 * `localhost:5000/x:v1` was signed as target `5000/x` of the collection `localhost`: whoever may sign for the
 * host there may sign for every repository of it, and tags are lost. Read only when asked for by name.
 */
import { UsageError } from "../base/errors.ts";
import { formatReference, type Reference } from "../oci/reference.ts";
import type { Coverage } from "../trust/coverage.ts";
import type { TrustedCollection, TrustSource } from "../trust/source.ts";
import { flag } from "./options.ts";

export const legacyOption = flag(
  "--legacy-names",
  "look where the 2019 tool put signatures for a host with a port: target PORT/REPOSITORY of collection HOST",
);

/** Points a coverage to the 2019 tool's names. @throws {UsageError} USAGE where the reference has no port */
export function withLegacyNames<C extends Coverage | undefined>(
  coverage: C,
  reference: Reference,
  { legacyNames, gun }: { readonly legacyNames: boolean; readonly gun?: string | undefined },
): C | Coverage {
  if (!legacyNames || coverage === undefined) return coverage;
  const [host, port] = reference.registry.split(/:(?=\d+$)/);
  if (host === undefined || port === undefined) {
    throw new UsageError("USAGE", `--legacy-names: ${formatReference(reference)} names no port`, {
      hint: "The 2019 tool mixed up names with a port only; leave --legacy-names out",
    });
  }
  const target = `${port}/${reference.repository}`;
  return { ...coverage, source: renamed(coverage.source, target), collection: gun ?? host };
}

function renamed(source: TrustSource, target: string): TrustSource {
  return {
    kind: source.kind,
    location: source.location,
    open: async (collection, options) => oneTarget(await source.open(collection, options), target),
    isKnown: (collection) => source.isKnown(collection),
    publish: (collection) =>
      Promise.reject(new UsageError("USAGE", `${collection}: nothing is signed under the names of the 2019 tool`)),
  };
}

/** A collection in which every tag is the one target, as the 2019 tool had it. */
function oneTarget(collection: TrustedCollection, target: string): TrustedCollection {
  return {
    name: collection.name,
    roles: collection.roles,
    rootKeys: collection.rootKeys,
    firstUse: collection.firstUse,
    warnings: collection.warnings,
    find: () => collection.find(target),
    list: () => collection.list().filter(({ name }) => name === target),
  };
}

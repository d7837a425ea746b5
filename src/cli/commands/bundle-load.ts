import { UsageError } from "../../base/errors.ts";
import { copy, type CopyReport } from "../../copy.ts";
import { parseReference, type Reference } from "../../oci/reference.ts";
import type { TaggedReference } from "../../oci/tagged-reference.ts";
import { bundleCoverage, chosenModules, withBundle } from "../bundle-file.ts";
import { defineCommand } from "../command.ts";
import { argument, variadic } from "../options.ts";
import { sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  collectionOptions,
  directoryOptions,
  outputOptions,
  registryOptions,
  rootKeyOptions,
  pinOptions,
} from "../shared-options.ts";

const REST = "{rest}";

export const bundleLoadCommand = defineCommand({
  arguments: {
    file: argument("FILE", "the bundle"),
    destination: argument("DESTINATION", "a repository, or HOST/PREFIX/{rest} for bundles of several"),
    references: variadic("REFERENCE", "which of its modules; all unless given", "some"),
  },
  options: {
    ...rootKeyOptions,
    policy: pinOptions.policy,
    ...registryOptions,
    ...collectionOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Brings a bundle's modules, what is attached to them, and their trust data into a registry, as `copy` does: nothing newer is overwritten, and a load that broke off is completed by running it again.",
    "The policy's rules for the destination hold, and those for the names that the modules have in the bundle.",
    "What a pin or a root key covers is verified first; otherwise it is loaded unverified, and that is said. {rest} stands for a repository's path without its host.",
  ],
  examples: [
    ["wasm-to-oci bundle load acme.tar mirror.example/x/app", "load the modules of one repository"],
    ["wasm-to-oci bundle load acme.tar 'mirror.example/x/{rest}'", "load several repositories"],
  ],
  json: "bundle load",
  async run(context, { file, destination, references }, options) {
    const example = destinationOf(destination, "x");
    await withSession(context, { ...options, reference: example }, async (session) => {
      await withBundle(file, async (bundle) => {
        const { out } = context;
        const modules = chosenModules(bundle, references);
        requirePlaces(destination, modules);
        const reports: CopyReport[] = [];
        for (const reference of modules) {
          const hasTrust = (await bundle.trustOf(reference)) !== undefined;
          const covered = hasTrust ? await bundleCoverage(context, session, bundle, reference, options) : undefined;
          const { trust: data, coverage } = covered ?? {};
          const place = destinationOf(destination, reference.repository);
          reports.push(
            await copy({
              runtime: session.runtime,
              source: bundle.repository(reference),
              destination: session.registry.repository(place),
              destinationRules: await session.destinationRules(place),
              reference,
              trust: coverage,
              carried: data?.kind === "tuf" ? { files: data.files } : undefined,
              openState: coverage && (() => coverage.source),
              onProgress: session.onProgress,
              signal: context.signal,
            }),
          );
        }
        sayNotes(
          context,
          reports.flatMap(({ notes }) => notes),
        );
        if (out.format === "json") return out.json({ bundle: file, modules: reports });
        await out.table(
          ["MODULE", "LOADED INTO", "VERIFIED", "TRUST DATA"],
          reports.map(({ destination: into, tags, trust }, at) => [
            bundle.references.length === 0
              ? ""
              : `${modules[at]!.registry}/${modules[at]!.repository}:${modules[at]!.tag}`,
            `${into}:${tags[0]!.tag}`,
            tags[0]!.verified === "none" ? "unverified" : tags[0]!.verified,
            trust.change,
          ]),
        );
      });
    });
  },
});

function destinationOf(destination: string, repository: string): Reference {
  const reference = parseReference(destination.replace(REST, () => repository));
  if (reference.tag === undefined && reference.digest === undefined) return reference;
  throw new UsageError("USAGE", "a bundle brings its own tags", {
    hint: "Name the repository without a tag or digest",
  });
}

/** Two repositories must not become one. @throws {UsageError} USAGE */
function requirePlaces(destination: string, modules: readonly TaggedReference[]): void {
  const repositories = new Set(modules.map(({ registry, repository }) => `${registry}/${repository}`));
  const places = new Set(modules.map(({ repository }) => destinationOf(destination, repository).repository));
  if (places.size === repositories.size) return;
  throw new UsageError(
    "USAGE",
    `the bundle has ${repositories.size} repositories, and ${destination} is room for ${places.size}`,
    {
      hint: `Name a place with {rest}, e.g. ${destinationOf(destination, "x").registry}/{rest}, or only some modules`,
    },
  );
}

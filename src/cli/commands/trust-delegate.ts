import { UsageError } from "../../base/errors.ts";
import {
  administeredDocument,
  repositoryArgument,
  sayAdministered,
  trustOptions,
  withCollection,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { readTextFile } from "../input-file.ts";
import { argument, flag, integer, list, nonEmpty, value, variadic } from "../options.ts";

export const trustDelegateCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    role: argument("ROLE", "the delegation, e.g. targets/releases"),
    keys: variadic("PEM", "public keys or certificates of those who may sign; none to add paths only", "some"),
  },
  options: {
    paths: list("--path PREFIX", "names that may be signed: those that start with this", nonEmpty),
    allPaths: flag("--all-paths", "every name may be signed"),
    threshold: value("--threshold N", "how many of the keys must sign", integer(1, 100), {
      initialText: "1 for a new role",
    }),
    ...trustOptions,
  },
  about: [
    "Adds keys and names to a delegation, or makes it. Docker and this tool look into targets/releases first. The others can publish only if the server holds the snapshot key: `wasm-to-oci trust rotate REPOSITORY snapshot --server-managed`.",
    "To take keys or names away: `wasm-to-oci trust remove --delegation`.",
  ],
  examples: [
    [
      "wasm-to-oci trust delegate ghcr.io/acme/app targets/releases alice.pub.pem --all-paths",
      "let alice sign every tag",
    ],
  ],
  json: "trust changes",
  async run(context, { repository, role, keys }, options) {
    const { out } = context;
    const { paths, allPaths, threshold } = options;
    if (keys.length === 0 && paths.length === 0 && !allPaths && threshold === undefined) {
      throw new UsageError("USAGE", "there is nothing to change", {
        hint: "Name keys, or names with --path or --all-paths",
      });
    }
    const pems = await Promise.all(keys.map(readTextFile));
    await withCollection(context, options, repository, async ({ source, collection, reach }) => {
      const wanted = allPaths ? [""] : paths;
      const changed = await source.delegate(collection, { ...reach, role, keys: pems, paths: wanted, threshold });
      sayAdministered(context, collection, changed);
      if (out.format === "json") await out.json(administeredDocument(changed));
    });
  },
});

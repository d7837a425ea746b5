import { readTextFile } from "../input-file.ts";
import {
  administeredDocument,
  repositoryArgument,
  sayAdministered,
  trustOptions,
  withCollection,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { choice, nonEmpty, value } from "../options.ts";
import { rememberCollection } from "../reports.ts";
import { creatingOptions } from "../shared-options.ts";

export const trustInitCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: {
    ...creatingOptions,
    rootCert: value(
      "--root-cert FILE",
      "the root key's own certificate (PEM), leaf first; one is made unless given",
      nonEmpty,
    ),
    snapshotKey: choice(
      "--snapshot-key HOLDER",
      "who signs snapshots; server, where others are to publish too",
      ["client", "server"],
      {
        initial: "client",
      },
    ),
    ...trustOptions,
  },
  about: [
    "A first signed push creates the collection by itself; this is for those who want to choose its keys, or to delegate before anything is signed.",
  ],
  examples: [
    ["wasm-to-oci trust init localhost:5000/app --server https://localhost:4443 --snapshot-key server", "create it"],
  ],
  json: "trust changes",
  async run(context, { repository }, options) {
    await withCollection(context, options, repository, async (reached) => {
      const { source, collection, session, coverage, reach } = reached;
      const rootCertificate = options.rootCert === undefined ? undefined : await readTextFile(options.rootCert);
      const { snapshotKey } = options;
      const made = await source.init(collection, { ...reach, rootCertificate, snapshotKey });
      await rememberCollection(context, session, reached.repository, coverage, made.collection, true);
      sayAdministered(context, collection, made);
      if (context.out.format === "json") await context.out.json(administeredDocument(made));
    });
  },
});

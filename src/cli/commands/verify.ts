import { openModuleFile } from "../../node/files.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { verify } from "../../verify.ts";
import { defineCommand } from "../command.ts";
import { argument, flag } from "../options.ts";
import { checkLines, rememberCollection, sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  readingOptions,
  registryOptions,
  storedOptions,
  trustReadingOptions,
} from "../shared-options.ts";

export const verifyCommand = defineCommand({
  arguments: {
    module: argument("MODULE", "the .wasm file"),
    reference: argument("REFERENCE", "what it should be: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]"),
  },
  options: {
    sign: flag("--sign", "by the registry itself, unless a pin, --server or --trust says where"),
    ...trustReadingOptions,
    ...pinOptions,
    ...readingOptions,
    ...storedOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Compares a file with what was signed for a reference. Trust data is fetched, the module is not, and the registry need not have it.",
  ],
  examples: [["wasm-to-oci verify hello.wasm ghcr.io/acme/hello:v1", "is this file the signed hello:v1?"]],
  json: "verification report",
  async run(context, { module, reference: given }, options) {
    const reference = taggedReference(given);
    const { out } = context;
    await withSession(context, { ...options, reference }, async (session) => {
      const trust = await session.requiredCoverage(reference);
      const body = await openModuleFile(module);
      const report = await verify({
        runtime: session.runtime,
        registry: session.registry,
        reference: given,
        module: { name: module, body },
        trust,
        cache: session.cache,
        offline: session.offline,
        onProgress: session.onProgress,
        signal: context.signal,
      });
      sayNotes(context, report.notes);
      if (report.trust !== undefined && !options.legacyNames) {
        const seen = { ...report.trust, name: report.trust.collection };
        await rememberCollection(context, session, repositoryName(reference), trust, seen);
      }
      if (out.format === "json") return out.json(report);
      return out.lines([`Verified: ${module} is ${report.reference}`, ...checkLines(report)]);
    });
  },
});

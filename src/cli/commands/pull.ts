import { UsageError } from "../../base/errors.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { pull } from "../../pull.ts";
import type { VerificationReport } from "../../trust/report.ts";
import { defineCommand, type Context } from "../command.ts";
import { fileOutput } from "../../node/file-output.ts";
import { stdoutOutput } from "../module-output.ts";
import { argument, flag, nonEmpty, value } from "../options.ts";
import { checkLines, rememberCollection, sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  readingOptions,
  registryOptions,
  trustServerOptions,
} from "../shared-options.ts";

export const pullCommand = defineCommand({
  arguments: { reference: argument("REFERENCE", "what: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]") },
  options: {
    out: value("-o, --out, --output FILE", "where to write the module; - is stdout", nonEmpty, {
      initial: "module.wasm",
    }),
    sign: flag("--sign", "verify: by the registry itself, unless a pin, --server or --trust says where"),
    ...trustServerOptions,
    ...pinOptions,
    ...readingOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "A reference that a pin or an earlier pull covers is always verified. With --server or --sign a reference that nothing covers is verified too, trusting the first root seen, which is then remembered. Otherwise the module is delivered unverified, and that is said.",
    "The file appears only after everything has matched.",
  ],
  examples: [
    ["wasm-to-oci pull ghcr.io/acme/hello:v1 --output hello.wasm", "pull, verified if the repository is pinned"],
    ["wasm-to-oci pull localhost:5000/hello:v1 --server https://localhost:4443", "pull and verify"],
    ["wasm-to-oci pull ghcr.io/acme/hello:v1 -o - | wasmtime -", "run without a file; nothing unverified leaves"],
  ],
  json: "verification report",
  async run(context, { reference: given }, options) {
    const reference = taggedReference(given);
    const toStdout = options.out === "-";
    if (toStdout && options.format === "json") {
      throw new UsageError("USAGE", "stdout cannot take both the module and the report", {
        hint: "Name a file with --output, or leave --format json out",
      });
    }
    await withSession(context, { ...options, reference }, async (session) => {
      const trust = await session.coverage(reference);
      const report = await pull({
        runtime: session.runtime,
        registry: session.registry,
        reference: given,
        output: toStdout ? await stdoutOutput(context.out) : await fileOutput(options.out),
        trust,
        onProgress: session.onProgress,
        signal: context.signal,
      });
      sayPulled(context, report);
      if (trust !== undefined && report.trust !== undefined && !options.legacyNames) {
        const seen = { ...report.trust, name: report.trust.collection };
        await rememberCollection(context, session, repositoryName(reference), trust, seen);
      }
      if (context.out.format === "json") await context.out.json({ ...report, output: options.out });
    });
  },
});

/** In the words of the 2019 tool, and then what it did not say: which checks were made. */
function sayPulled(context: Context, report: VerificationReport): void {
  const { out } = context;
  const { reference, module, trust } = report;
  const hex = module.digest.slice(module.digest.indexOf(":") + 1);
  out.info(`Pulled: ${reference}`);
  out.info(`Size: ${module.size}`);
  out.info(`Digest: ${module.digest}`);
  if (trust !== undefined) {
    out.info(`Pulled trust data for ${reference}, with role ${trust.role} - SHA256: ${hex}`);
    out.info(`Computed SHA: ${hex}`);
    out.info(`The SHA sums are equal: ${hex}`);
    for (const line of checkLines(report)) out.info(line);
  }
  sayNotes(context, report.notes);
}

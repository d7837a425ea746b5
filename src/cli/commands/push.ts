import { UsageError } from "../../base/errors.ts";
import { openModuleFile } from "../../node/files.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { push, type PushReport } from "../../push.ts";
import type { Signing } from "../../sign-target.ts";
import { defineCommand, type Context } from "../command.ts";
import { argument, choice, flag, list, oneOf, nonEmpty, value, type OptionSpec } from "../options.ts";
import { OUTPUT_FORMATS, type OutputFormat } from "../output.ts";
import { rememberCollection, sayLifetime, sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  creatingOptions,
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  trustServerOptions,
} from "../shared-options.ts";

const ARTIFACT_FORMATS = ["cncf-wasm-v0", "wasm-to-oci"] as const;
type WritableFormat = (typeof ARTIFACT_FORMATS)[number];

interface Formats {
  readonly output: OutputFormat;
  readonly artifact: WritableFormat | undefined;
}

/** `--format` means the artifact's layout or how results are printed: the two sets of words do not meet. */
const format: OptionSpec<Formats> = {
  flags: ["--format"],
  placeholder: "FORMAT",
  description: "the artifact's layout (the first two), or how results are printed (the others); repeatable",
  initial: { output: "text", artifact: undefined },
  initialText: "cncf-wasm-v0, text",
  parse(input, previous) {
    if (input === "text" || input === "json") return { ...previous, output: input };
    return { ...previous, artifact: oneOf([...ARTIFACT_FORMATS, ...OUTPUT_FORMATS])(input) as WritableFormat };
  },
  choices: [...ARTIFACT_FORMATS, ...OUTPUT_FORMATS],
  env: undefined,
};

/** Docker's limit for annotations is the manifest's; this is only a guard against nonsense. */
const MAX_ANNOTATION_KEY = 256;

export const pushCommand = defineCommand({
  arguments: {
    module: argument("MODULE", "the .wasm file"),
    reference: argument("REFERENCE", "where to: [HOST[:PORT]/]REPOSITORY[:TAG]"),
  },
  options: {
    sign: flag("--sign", "sign what is pushed: in the registry itself, unless a pin, --server or --trust says where"),
    ...trustServerOptions,
    roles: list("-r, --role ROLE", "sign as this delegation instead, e.g. targets/releases", nonEmpty),
    format,
    artifactFormat: choice("--artifact-format FORMAT", "the artifact's layout", ARTIFACT_FORMATS),
    annotations: list("--annotation KEY=VALUE", "manifest annotation", parseAnnotation),
    created: value(
      "--created TIME",
      "creation time to record (ISO 8601); without it the same module always gives the same digest",
      parseTime,
    ),
    ...registryOptions,
    ...creatingOptions,
    ...pinOptions,
    ...directoryOptions,
    log: outputOptions.log,
  },
  about: [
    "Uploads the module, then its manifest by digest, publishes the signature if --sign or --server is given, and moves the tag last. Blobs that the registry has already are not uploaded again; running the command again completes a push that was interrupted.",
    "The digest of the pushed artifact goes to stdout.",
  ],
  examples: [
    ["wasm-to-oci push hello.wasm ghcr.io/acme/hello:v1", "push without signing"],
    ["wasm-to-oci push hello.wasm localhost:5000/hello:v1 --server https://localhost:4443", "push and sign"],
  ],
  json: "push",
  output: ({ format: { output }, log }) => ({ format: output, level: log }),
  async run(context, { module, reference: given }, options) {
    const reference = taggedReference(given);
    const artifact = chosenLayout(options.format.artifact, options.artifactFormat);
    await withSession(context, { ...options, reference }, async (session) => {
      const body = await openModuleFile(module);
      const signing = await session.signing(reference);
      if (signing === undefined) refuseSigningOptions(options);
      const report = await push({
        runtime: session.runtime,
        registry: session.registry,
        reference: given,
        module: { name: module, body },
        format: artifact,
        annotations: options.annotations.length === 0 ? undefined : Object.fromEntries(options.annotations),
        created: options.created,
        sign: signing && { ...signing, roles: options.roles.length === 0 ? undefined : options.roles },
        coverage: signing === undefined ? await session.coverage(reference) : undefined,
        onProgress: session.onProgress,
        signal: context.signal,
      });
      if (signing !== undefined && report.signed !== undefined) {
        const { collection, created } = report.signed;
        await rememberCollection(context, session, repositoryName(reference), signing, collection, created);
      }
      await print(context, report, `${repositoryName(reference)}@${report.artifact.digest}`, signing);
    });
  },
});

/** Whoever says how to sign wants a signature: a push without one would be the opposite of what was meant. */
function refuseSigningOptions({ roles, rootKey }: { roles: readonly string[]; rootKey: string | undefined }): void {
  const given = roles.length > 0 ? "--role" : rootKey === undefined ? undefined : "--root-key";
  if (given === undefined) return;
  throw new UsageError("USAGE", `${given} says how to sign, and nothing asks for a signature`, {
    hint: "Add --sign where the repository is pinned, else --server URL",
  });
}

function chosenLayout(
  layout: WritableFormat | undefined,
  artifactFormat: WritableFormat | undefined,
): WritableFormat | undefined {
  if (layout !== undefined && artifactFormat !== undefined && layout !== artifactFormat) {
    throw new UsageError("USAGE", `--format ${layout} and --artifact-format ${artifactFormat} contradict each other`);
  }
  return layout ?? artifactFormat;
}

async function print(
  context: Context,
  report: PushReport,
  immutable: string,
  signing: Pick<Signing, "source"> | undefined,
): Promise<void> {
  const { out } = context;
  const { reference, module, artifact, info, signed, notes } = report;
  if (signed !== undefined) {
    out.info(`Pushed trust data for ${reference}: ${module.digest.slice(module.digest.indexOf(":") + 1)}`);
  }
  out.info(`Pushed: ${reference}`);
  out.info(`Size: ${module.size}`);
  out.info(`Digest: ${artifact.digest}`);
  if (signed !== undefined && signing !== undefined) {
    sayLifetime(context, repositoryName(taggedReference(reference)), signed, signing.source.kind);
  }
  sayNotes(context, notes);
  if (out.format === "text") return out.lines([immutable]);
  return out.json({
    reference,
    immutableReference: immutable,
    module: { ...module, kind: info.kind },
    artifact,
    signed:
      signed === undefined
        ? null
        : {
            collection: signed.collectionName,
            target: signed.target,
            created: signed.created,
            freshUntil: signed.freshUntil,
            roles: signed.collection.roles,
            rootKeys: signed.collection.rootKeys,
          },
    notes,
  });
}

function parseAnnotation(input: string): [key: string, value: string] {
  const at = input.indexOf("=");
  if (at < 1 || at > MAX_ANNOTATION_KEY) {
    throw new UsageError("USAGE", `${JSON.stringify(input)} is not an annotation`, { hint: "Write KEY=VALUE" });
  }
  return [input.slice(0, at), input.slice(at + 1)];
}

function parseTime(input: string): Date {
  const time = new Date(input);
  if (/^\d{4}-\d\d-\d\d/.test(input) && !Number.isNaN(time.getTime())) return time;
  throw new UsageError("USAGE", `${JSON.stringify(input)} is not a time`, { hint: "Write 2026-01-31T12:00:00Z" });
}

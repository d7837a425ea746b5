import { copy, type CopyReport } from "../../copy.ts";
import { UsageError } from "../../base/errors.ts";
import { openStateSource } from "../../node/state-source.ts";
import { parseReference, type Reference } from "../../oci/reference.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import type { Coverage } from "../../trust/coverage.ts";
import { defineCommand, type Context } from "../command.ts";
import { openCopyDestination, openCopySource, parseCopyPlace, type CopyPlace } from "../copy-place.ts";
import { argument, flag, value } from "../options.ts";
import { sayNotes } from "../reports.ts";
import { withSession, type Session } from "../session.ts";
import { directoryOptions, outputOptions, pinOptions, registryOptions, trustServerOptions } from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

export const copyCommand = defineCommand({
  arguments: {
    source: argument("SOURCE", "from where: REFERENCE, oci:DIRECTORY[:TAG] or oci-archive:FILE[:TAG]"),
    destination: argument("DESTINATION", "to where, in the same forms; the tag is the source's unless given"),
  },
  options: {
    allTags: flag("--all-tags", "copy every tag, and show how the destination differs"),
    dryRun: flag("--dry-run", "show what would be done, and do nothing"),
    trustTo: value("--trust-to REPOSITORY", "put the trust data there instead of beside the module", parseReference),
    sign: flag("--sign", "verify the source before copying, also where no pin covers it"),
    ...trustServerOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Brings the module, what is attached to it (signatures, SBOMs, attestations) and the trust data that is kept in the registry. What the destination has already is not sent again, so a copy that broke off is completed by running it again.",
    "A source that a pin covers is verified first; otherwise the copy is made unverified, and that is said. Trust data is never copied over newer trust data, nor over another collection's.",
    "The policy's rules for the source and for the destination are held against every module before anything is written; with --all-tags, what they refuse is left out and listed.",
    "To verify at the destination, pin the new place to the same name.",
  ],
  examples: [
    ["wasm-to-oci copy ghcr.io/acme/app:v1 mirror.example/x/app", "copy a module with its trust data"],
    ["wasm-to-oci copy --all-tags ghcr.io/acme/app mirror.example/x/app", "mirror a repository"],
    ["wasm-to-oci copy ghcr.io/acme/app:v1 oci-archive:app.tar", "copy into a file"],
  ],
  json: "copy report",
  async run(context, { source, destination }, options) {
    const from = parseCopyPlace(source);
    const to = parseCopyPlace(destination);
    if (
      options.allTags &&
      [from, to].some(({ reference }) => reference.tag !== undefined || reference.digest !== undefined)
    ) {
      throw new UsageError("USAGE", "--all-tags copies whole repositories: name them without a tag or digest");
    }
    if (to.reference.digest !== undefined) {
      throw new UsageError("USAGE", "a destination has no digest: it is the source's", { hint: "Name a tag, or none" });
    }
    await withSession(context, { ...options, reference: from.reference }, async (session) => {
      await withSession(context, { ...options, reference: to.reference }, async (other) => {
        await copyBetween(context, { session, place: from }, { session: other, place: to }, options);
      });
    });
  },
});

interface End {
  readonly session: Session;
  readonly place: CopyPlace;
}

interface CopyChoice {
  readonly allTags: boolean;
  readonly dryRun: boolean;
  readonly trustTo: Reference | undefined;
  readonly dir: string | undefined;
  readonly gun: string | undefined;
  readonly sign: boolean;
  readonly noTofu: boolean;
}

async function copyBetween(context: Context, from: End, to: End, options: CopyChoice): Promise<void> {
  const { dryRun, allTags } = options;
  const { session } = from;
  const source = await openCopySource(from.place, session);
  try {
    const destination = await openCopyDestination(to.place, to.session, { dryRun });
    try {
      const trust = await sourceCoverage(context, from, options);
      const report = await copy({
        runtime: session.runtime,
        source: source.store,
        destination: destination.store,
        reference: taggedReference(from.place.reference),
        allTags,
        dryRun,
        destinationTag: to.place.reference.tag,
        mountFrom: mountFrom(from.place, to.place),
        trust,
        trustSource: trust && from.place.kind === "registry" ? trustRepository(trust, session) : undefined,
        destinationRules:
          to.place.kind === "registry" ? await to.session.destinationRules(to.place.reference) : undefined,
        trustDestination: options.trustTo && to.session.registry.repository(options.trustTo),
        openState: (files) =>
          openStateSource({
            dir: trustDirectory(context, options.dir),
            files,
            location: trust?.source.location ?? source.store.name,
            runtime: session.runtime,
          }),
        onProgress: session.onProgress,
        signal: context.signal,
      });
      await destination.commit();
      await sayCopied(context, report);
    } finally {
      await destination.close();
    }
  } finally {
    await source.close();
  }
}

/** What the source is verified against; of a layout, which has no place that a pin could name, what the flags say. */
async function sourceCoverage(
  context: Context,
  { session, place }: End,
  options: CopyChoice,
): Promise<Coverage | undefined> {
  if (place.kind === "registry") return session.coverage(place.reference);
  const { pin } = session;
  const { gun: collection } = options;
  if (collection === undefined && pin === undefined && !options.sign) return undefined;
  if (collection === undefined) {
    throw new UsageError("USAGE", "a layout does not say which collection to expect", {
      hint: "Add --collection NAME",
    });
  }
  const dir = trustDirectory(context, options.dir);
  const location = `${place.reference.registry}:${place.path}`;
  const source = openStateSource({ dir, files: new Map(), location, runtime: session.runtime });
  const firstUse = pin === undefined && !options.noTofu ? "accept" : "refuse";
  return { source, collection, prefix: "", reason: "flags", pin, firstUse };
}

/** Where the trust data of a source in the registry is; in a layout it is with the modules. */
function trustRepository(
  { source }: Coverage,
  session: Session,
): ReturnType<Session["registry"]["repository"]> | undefined {
  if (source.kind !== "oci") return undefined;
  return session.registry.repository(parseReference(source.location.replace(/^oci:\/\//, "")));
}

function mountFrom(from: CopyPlace, to: CopyPlace): string | undefined {
  const isSame =
    from.kind === "registry" && to.kind === "registry" && from.reference.registry === to.reference.registry;
  return isSame && repositoryName(from.reference) !== repositoryName(to.reference)
    ? from.reference.repository
    : undefined;
}

const TRUST_WORDS: Readonly<Record<CopyReport["trust"]["change"], string>> = {
  copied: "copied",
  same: "there already",
  none: "none",
  elsewhere: "not copied",
};

async function sayCopied(context: Context, report: CopyReport): Promise<void> {
  const { out } = context;
  sayNotes(context, report.notes);
  if (out.format === "json") return out.json(report);
  for (const { reason } of report.refused) out.warn(reason);
  out.info(`${report.dryRun ? "Would copy" : "Copied"}: ${report.source} to ${report.destination}`);
  const collection = report.trust.collection === undefined ? "" : ` (${report.trust.collection})`;
  out.info(
    `Blobs: ${report.blobs} (${report.bytes} bytes), there already: ${report.existed}; attached: ${report.attachments}`,
  );
  out.info(`Trust data: ${TRUST_WORDS[report.trust.change]}${collection}`);
  const rows = report.tags.map(({ tag = "-", digest, verified, former }) => [
    tag,
    former === undefined ? "new" : former === digest ? "same" : "moved",
    verified === "none" ? "unverified" : `${verified} verified`,
    digest,
  ]);
  rows.push(...report.unsigned.map((tag) => [tag, "left out", "unsigned", "-"]));
  rows.push(...report.refused.map(({ tag }) => [tag, "left out", "refused by policy", "-"]));
  rows.push(...report.onlyAtDestination.map((tag) => [tag, "only at the destination", "-", "-"]));
  await out.table(["TAG", "CHANGE", "VERIFIED", "DIGEST"], rows);
}

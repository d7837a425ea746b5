import type { TagVerdict } from "../../judge-tag.ts";
import { list, type TagState } from "../../list.ts";
import { openApprovalFile } from "../../node/approval-file.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { TrustError } from "../../base/errors.ts";
import { defineCommand } from "../command.ts";
import { argument, flag } from "../options.ts";
import { sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import { trustDirectory } from "../trust-directory.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  storedOptions,
  trustReadingOptions,
} from "../shared-options.ts";

/** What a state means, where its word is not enough. */
const STATE_WORDS: Readonly<Record<TagState, string>> = {
  signed: "signed",
  publishing: "signed, tag not moved yet",
  mismatch: "MISMATCH",
  unsigned: "unsigned",
  unchecked: "not checked",
};

const VERDICT_WORDS: Readonly<Record<TagVerdict["verdict"], string>> = {
  allowed: "allowed",
  refused: "REFUSED",
  unapproved: "needs approval",
  undecided: "a pull decides",
};

const SHORT_HEX = 12;

export const listCommand = defineCommand({
  arguments: { repository: argument("REPOSITORY", "the repository: [HOST[:PORT]/]REPOSITORY") },
  options: {
    sign: flag(
      "--sign",
      "compare with signatures: in the registry itself, unless a pin, --server or --trust says where",
    ),
    ...trustReadingOptions,
    ...pinOptions,
    ...storedOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Ends with the status of tampered content if any tag names something else than was signed. Without a pin, --server or --sign, tags are listed and not compared with anything.",
    "Where a policy has rules for the repository, the table also shows what they make of each tag, by what is signed of it; no module is downloaded. A tag that a rule refuses is no failure of this command.",
  ],
  examples: [["wasm-to-oci list ghcr.io/acme/hello", "show the tags"]],
  json: "list",
  async run(context, { repository }, options) {
    const { out } = context;
    const reference = taggedReference(repository);
    await withSession(context, { ...options, reference }, async (session) => {
      const report = await list({
        runtime: session.runtime,
        registry: session.registry,
        reference: repository,
        trust: await session.coverage(reference),
        offline: session.offline,
        approvals: openApprovalFile(trustDirectory(context, options.dir)),
        signal: context.signal,
      });
      sayNotes(context, report.notes);
      if (out.format === "json") await out.json(report);
      else if (report.tags.length === 0) out.info(`${report.repository} has no tags`);
      else {
        const judged = report.tags.some(({ policy }) => policy !== undefined);
        await out.table(
          ["TAG", "STATE", "DIGEST", "SIGNED MODULE", "ROLE", ...(judged ? ["POLICY"] : [])],
          report.tags.map(({ tag, state, digest, signedModule, policy }) => [
            tag,
            STATE_WORDS[state],
            shortDigest(digest),
            shortDigest(signedModule?.digest),
            signedModule?.role ?? "-",
            ...(judged ? [policy === undefined ? "-" : VERDICT_WORDS[policy.verdict]] : []),
          ]),
        );
        for (const { tag, policy } of report.tags) {
          if (policy?.reason !== undefined) out.info(`${tag}: ${policy.reason}`);
        }
      }
      const bad = report.tags.filter(({ state }) => state === "mismatch");
      if (bad.length === 0) return;
      throw new TrustError(
        "TAG_MISMATCH",
        `${bad.length} of ${report.tags.length} tags are not what was signed: ${bad[0]?.reason ?? ""}`,
        {
          hint: "Do not use these tags, and tell the publisher",
          details: { repository: repositoryName(reference), tags: bad.map(({ tag }) => tag) },
        },
      );
    });
  },
});

/** Enough to recognise a digest by, so that a row fits on a terminal; JSON has all of it. */
function shortDigest(digest: string | undefined): string {
  return digest === undefined ? "-" : digest.slice(0, digest.indexOf(":") + 1 + SHORT_HEX);
}

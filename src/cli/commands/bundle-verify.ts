import { digestBytes } from "../../base/digest.ts";
import type { Bundle } from "../../bundle.ts";
import { DISCARD } from "../../discard-output.ts";
import { openApprovalFile } from "../../node/approval-file.ts";
import { pull } from "../../pull.ts";
import { readOnlyApprovals } from "../../trust/contract/approvals.ts";
import type { VerificationReport } from "../../trust/report.ts";
import { bundleCoverage, bundleTrustOptions, chosenModules, requireCoverage, withBundle } from "../bundle-file.ts";
import { defineCommand, type Context } from "../command.ts";
import { argument, variadic } from "../options.ts";
import { checkLines, sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import { trustDirectory } from "../trust-directory.ts";

export const bundleVerifyCommand = defineCommand({
  arguments: {
    file: argument("FILE", "the bundle"),
    references: variadic("REFERENCE", "which of its modules; all unless given", "some"),
  },
  options: {
    ...bundleTrustOptions,
  },
  about: [
    "Needs no network: a pin, or a root key or file, is enough. Every byte of the modules is hashed.",
    "A bundle cannot know what was published after it was saved. The answer says as of when it was judged, and until when the signatures are fresh; a bundle older than what was verified here before is refused.",
  ],
  examples: [
    ["wasm-to-oci bundle verify acme.tar", "verify with the pins of this machine"],
    [
      `wasm-to-oci bundle verify acme.tar --root-fingerprint ${"0a1b2c3d".repeat(8)}`,
      "verify with nothing but a root key",
    ],
  ],
  json: "bundle verify",
  async run(context, { file, references }, options) {
    await withSession(context, options, async (session) => {
      await withBundle(file, async (bundle) => {
        const { out } = context;
        const asOf = options.asOf ?? context.now();
        const store = readOnlyApprovals(openApprovalFile(trustDirectory(context, options.dir)));
        const reports: VerificationReport[] = [];
        await bundle.checkBlobs();
        for (const reference of chosenModules(bundle, references)) {
          const covered = await bundleCoverage(context, session, bundle, reference, { ...options, now: asOf });
          reports.push(
            await pull({
              runtime: { ...session.runtime, now: () => asOf },
              registry: bundle,
              reference,
              output: DISCARD,
              approvals: { store },
              trust: requireCoverage(covered, reference),
              onProgress: session.onProgress,
              signal: context.signal,
            }),
          );
        }
        sayNotes(
          context,
          reports.flatMap(({ notes }) => notes),
        );
        const freshUntil = new Date(Math.min(...reports.map(({ trust }) => trust?.freshUntil.getTime() ?? 0)));
        const policy = await policyDigest(bundle);
        if (out.format === "json") {
          return out.json({ bundle: file, freshness: { asOf, freshUntil, online: false }, policy, modules: reports });
        }
        for (const report of reports) {
          out.info(`Verified: ${report.reference}`);
          for (const line of checkLines(report)) out.info(line);
        }
        sayFreshness(context, asOf, freshUntil);
        if (policy !== null)
          out.info(`A policy travels along (${policy}); it was not applied, since nobody here has asked for it`);
        await out.table(
          ["MODULE", "VERIFIED", "DIGEST"],
          reports.map(({ reference, verified, module }) => [reference, verified, module.digest]),
        );
      });
    });
  },
});

/** Says what an offline answer is worth. */
export function sayFreshness({ out }: Context, asOf: Date, freshUntil: Date): void {
  out.info(
    `As of ${asOf.toISOString()}, fresh until ${freshUntil.toISOString()}: what was signed later is not in a bundle`,
  );
}

async function policyDigest(bundle: Bundle): Promise<string | null> {
  const policy = await bundle.policy();
  return policy === undefined ? null : digestBytes(policy);
}

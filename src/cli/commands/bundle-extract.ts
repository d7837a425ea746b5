import { openApprovalFile } from "../../node/approval-file.ts";
import { fileOutput } from "../../node/file-output.ts";
import { pull } from "../../pull.ts";
import { bundleCoverage, bundleTrustOptions, chosenModules, requireCoverage, withBundle } from "../bundle-file.ts";
import { defineCommand } from "../command.ts";
import { argument, flag, nonEmpty, value } from "../options.ts";
import { checkLines, sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import { trustDirectory } from "../trust-directory.ts";
import { sayFreshness } from "./bundle-verify.ts";

export const bundleExtractCommand = defineCommand({
  arguments: { file: argument("FILE", "the bundle"), reference: argument("REFERENCE", "which of its modules") },
  options: {
    out: value("-o, --out, --output FILE", "where to write the module", nonEmpty, { initial: "module.wasm" }),
    approve: flag("--approve", "agree to what the module asks for, where a policy wants that said of more than before"),
    ...bundleTrustOptions,
  },
  about: [
    "A pull without a network: the module is verified as `bundle verify` does, and the file appears only after everything has matched.",
  ],
  examples: [["wasm-to-oci bundle extract acme.tar ghcr.io/acme/app:v1 -o app.wasm", "take a module out, verified"]],
  json: "verification report",
  async run(context, { file, reference: given }, options) {
    await withSession(context, options, async (session) => {
      await withBundle(file, async (bundle) => {
        const { out } = context;
        const asOf = options.asOf ?? context.now();
        const [reference] = chosenModules(bundle, [given]);
        const covered = await bundleCoverage(context, session, bundle, reference!, { ...options, now: asOf });
        const report = await pull({
          runtime: { ...session.runtime, now: () => asOf },
          registry: bundle,
          reference: reference!,
          trust: requireCoverage(covered, reference!),
          approvals: { store: openApprovalFile(trustDirectory(context, options.dir)), approve: options.approve },
          output: await fileOutput(options.out),
          onProgress: session.onProgress,
          signal: context.signal,
        });
        sayNotes(context, report.notes);
        if (out.format === "json") return out.json({ ...report, output: options.out });
        out.info(`Extracted: ${report.reference}`);
        out.info(`Digest: ${report.module.digest}`);
        for (const line of checkLines(report)) out.info(line);
        sayFreshness(context, asOf, report.trust!.freshUntil);
      });
    });
  },
});

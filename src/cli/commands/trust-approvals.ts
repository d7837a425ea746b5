import { UsageError } from "../../base/errors.ts";
import { openApprovalFile } from "../../node/approval-file.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import type { Approval, ApprovalStore } from "../../trust/contract/approvals.ts";
import { defineCommand, type Context } from "../command.ts";
import { flag, list, nonEmpty, optional, type OptionValues } from "../options.ts";
import { collectionOptions, directoryOptions, outputOptions } from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

const options = {
  revoke: flag("--revoke", "take back what was approved: whoever asks for it waits for --approve again"),
  imports: list("--import NAME", "with --revoke, take back only this import", nonEmpty),
  forget: flag(
    "--forget",
    "drop the entry: the next version that is pulled is then the baseline, whatever it asks for",
  ),
  ...collectionOptions,
  ...directoryOptions,
  ...outputOptions,
};

export const trustApprovalsCommand = defineCommand({
  arguments: { repository: optional("REPOSITORY", "whose: [HOST[:PORT]/]REPOSITORY; all if left out") },
  options,
  about: [
    'What the modules of a repository may ask for, where a policy wants wider contracts approved (`"widening": "approve"`). It is kept in approvals.json in the trust directory.',
  ],
  examples: [
    ["wasm-to-oci trust approvals", "what was approved, of which repositories?"],
    [
      "wasm-to-oci trust approvals ghcr.io/acme/hello --revoke --import wasi:sockets/tcp@0.2.0",
      "no sockets any more, until somebody agrees again",
    ],
  ],
  json: "trust approvals",
  async run(context, { repository: given }, chosen) {
    checkChoice(given, chosen);
    const store = openApprovalFile(trustDirectory(context, chosen.dir));
    const found = await wanted(store, given, chosen);
    refuseUnknown(found, chosen.imports);
    for (const approval of found) await change(context, store, approval, chosen);
    const left = chosen.revoke || chosen.forget ? await wanted(store, given, { gun: chosen.gun }) : found;
    if (context.out.format === "json") return context.out.json({ approvals: left });
    if (left.length === 0)
      return context.out.info("Nothing is approved here, so the first version that is pulled will be");
    return context.out.lines(left.flatMap(describe));
  },
});

type Chosen = Pick<OptionValues<typeof options>, "gun"> &
  Partial<Pick<OptionValues<typeof options>, "revoke" | "forget">>;

/** @throws {UsageError} USAGE */
function checkChoice(given: string | undefined, { revoke, forget, imports }: OptionValues<typeof options>): void {
  const changes = revoke || forget;
  if (changes && given === undefined) {
    throw new UsageError("USAGE", "nothing says whose approvals are meant", { hint: "Name the repository" });
  }
  if (revoke && forget) {
    throw new UsageError("USAGE", "--revoke keeps that there was a version before, --forget drops it: choose one");
  }
  if (imports.length > 0 && !revoke) {
    throw new UsageError("USAGE", "--import says what --revoke takes back, and that one is missing");
  }
}

/** @throws {UsageError} USAGE where something is to be taken back, and nothing of the kind is there */
async function wanted(store: ApprovalStore, given: string | undefined, chosen: Chosen): Promise<readonly Approval[]> {
  const repository = given === undefined ? undefined : repositoryName(taggedReference(given));
  const found = (await store.list()).filter(
    (approval) =>
      (repository === undefined || approval.repository === repository) &&
      (chosen.gun === undefined || approval.collection === chosen.gun),
  );
  if (found.length > 0 || !(chosen.revoke === true || chosen.forget === true)) return found;
  throw new UsageError(
    "USAGE",
    `nothing was approved for ${repository ?? "any repository"}, so nothing can be taken back`,
    {
      hint: "`wasm-to-oci trust approvals` shows what there is",
    },
  );
}

/** A name that is spelled wrong would stay approved. @throws {UsageError} USAGE */
function refuseUnknown(found: readonly Approval[], imports: readonly string[]): void {
  const strange = imports.find((name) => !found.some((approval) => approval.imports.includes(name)));
  if (strange === undefined) return;
  throw new UsageError("USAGE", `${JSON.stringify(strange)} was not approved`, {
    hint: "Write it as `wasm-to-oci trust approvals` shows it, with its version",
  });
}

async function change(
  { out }: Context,
  store: ApprovalStore,
  approval: Approval,
  { revoke, forget, imports }: OptionValues<typeof options>,
): Promise<void> {
  const { repository } = approval;
  if (forget) {
    await store.forget(approval);
    out.info(`Forgot what was approved for ${repository}: the next version that is pulled is the baseline`);
    return;
  }
  if (!revoke) return;
  await store.withdraw(approval, imports.length === 0 ? undefined : imports);
  out.info(
    `Took back what was approved for ${repository}: ${imports.length === 0 ? "everything" : imports.join(", ")}`,
  );
}

function describe({ repository, collection, kinds, imports }: Approval): string[] {
  return [
    `${repository} (${collection}): ${kinds.join(", ") || "nothing"}`,
    ...imports.map((name) => `  may import ${JSON.stringify(name)}`),
  ];
}

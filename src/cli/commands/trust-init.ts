import {
  refuseOptions,
  repositoryArgument,
  reportChange,
  stageOption,
  trustOptions,
  withCollection,
  type Reached,
} from "../collection.ts";
import { defineCommand, type Context } from "../command.ts";
import { readTextFile } from "../input-file.ts";
import { newKeyOptions } from "../key-choice-option.ts";
import { choice, nonEmpty, value, type OptionValues } from "../options.ts";
import { rememberCollection } from "../reports.ts";
import { readRoles, roleOptions } from "../role-options.ts";
import { creatingOptions } from "../shared-options.ts";

const options = {
  ...creatingOptions,
  ...roleOptions,
  ...newKeyOptions,
  ...stageOption,
  rootCert: value(
    "--root-cert FILE",
    "Notary: the root key's own certificate (PEM), leaf first; one is made unless given",
    nonEmpty,
  ),
  snapshotKey: choice(
    "--snapshot-key HOLDER",
    "Notary: who signs snapshots; server, where others are to publish too",
    ["client", "server"],
    { initialText: "client" },
  ),
  ...trustOptions,
};

export const trustInitCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options,
  about: [
    "A first signed push creates the collection by itself; this is for those who want to choose its keys, thresholds and lifetimes, or to delegate before anything is signed. Keys that are not named are made; for root the only root key here is taken, if there is one.",
    "A collection with keys of several people is staged: each of them signs it with `wasm-to-oci trust sign`, and the last one publishes it.",
  ],
  examples: [
    ["wasm-to-oci trust init ghcr.io/acme/app --trust oci:", "create it in the registry, with new keys"],
    [
      "wasm-to-oci trust init ghcr.io/acme/app --trust oci: --key root=new --key root=bob.pem --threshold root=2 --stage",
      "two people must agree on every change of keys",
    ],
    ["wasm-to-oci trust init localhost:5000/app --server https://localhost:4443 --snapshot-key server", "for Notary"],
  ],
  json: "trust changes",
  async run(context, { repository }, given) {
    await withCollection(context, given, repository, (reached) =>
      reached.notary === undefined ? initTuf(context, reached, given) : initNotary(context, reached, given),
    );
  },
});

type Given = OptionValues<typeof options>;

async function initNotary(context: Context, reached: Reached, given: Given): Promise<void> {
  const { keys, thresholds, expiries, snapshotKey, rootCert } = given;
  refuseOptions(reached, "tuf", { "--key": keys, "--threshold": thresholds, "--expiry": expiries });
  const rootCertificate = rootCert === undefined ? undefined : await readTextFile(rootCert);
  const { collection, reach, session, repository, coverage } = reached;
  const made = await reached.notary!.init(collection, { ...reach, rootCertificate, snapshotKey });
  await rememberCollection(context, session, repository, coverage, made.collection, true);
  await reportChange(context, reached, made);
}

async function initTuf(context: Context, reached: Reached, given: Given): Promise<void> {
  refuseOptions(reached, "notary", { "--root-cert": given.rootCert, "--snapshot-key": given.snapshotKey });
  const { collection, reach, session, repository, coverage } = reached;
  const roles = await readRoles(session.keys, given);
  const made = await reached.tuf!.init(collection, { ...reach, roles, stage: given.stage });
  if (!("staged" in made)) {
    await rememberCollection(context, session, repository, coverage, { ...made.collection, firstUse: false }, true);
  }
  await reportChange(context, reached, made);
}

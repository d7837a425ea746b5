import { shellWord } from "../../base/shell-word.ts";
import { UsageError } from "../../base/errors.ts";
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
import { newKeyOptions, readKeyChoices } from "../key-choice-option.ts";
import { argument, flag, integer, list, nonEmpty, value, variadic, type OptionValues } from "../options.ts";

const options = {
  paths: list("--path PREFIX", "names that may be signed: those below this, e.g. team/", nonEmpty),
  allPaths: flag("--all-paths", "every name may be signed"),
  patterns: list("--pattern GLOB", "names that may be signed: those that match, e.g. v1.*; not for Notary", nonEmpty),
  threshold: value("--threshold N", "how many of the keys must sign", integer(1, 100), {
    initialText: "1 for a new role",
  }),
  from: value("--from ROLE", "the role that delegates; not for Notary", nonEmpty, { initialText: "targets" }),
  terminating: flag("--terminating", "nobody after it is asked for names that it may sign; not for Notary"),
  bins: value(
    "--bins BITS",
    "spread all names over 2^BITS hash bins instead, named ROLE-…; not for Notary",
    integer(1, 14),
  ),
  noPublish: flag(
    "--no-publish",
    "do not let the keys sign snapshot and timestamp: somebody else then publishes what they sign; not for Notary",
  ),
  ...newKeyOptions,
  ...stageOption,
  ...trustOptions,
};

export const trustDelegateCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    role: argument("ROLE", "the delegation, e.g. team-a; on a Notary server targets/NAME"),
    keys: variadic(
      "KEY",
      "who may sign: PEM files of public keys or certificates, ids of keys here, or `new`; none to add names only",
      "some",
    ),
  },
  options,
  about: [
    "Adds keys and names to a delegation, or makes it. The keys may also publish on their own, unless told otherwise: they are added to the snapshot and timestamp roles, which takes a signature of the root key.",
    "A key of somebody else must sign, too, to show that it exists: stage the change, and let its owner run `wasm-to-oci trust sign`.",
    "On a Notary server, delegations are named targets/NAME; Docker and this tool look into targets/releases first, and others can publish only if the server holds the snapshot key: `wasm-to-oci trust rotate REPOSITORY snapshot --server-managed`.",
    "To take keys or names away: `wasm-to-oci trust remove --delegation`.",
  ],
  examples: [
    [
      "wasm-to-oci trust delegate ghcr.io/acme/app team-a alice.pem --path team-a/ --stage",
      "alice may publish under team-a/, once she has signed that",
    ],
    [
      "wasm-to-oci trust delegate ghcr.io/acme/app targets/releases alice.pub.pem --all-paths",
      "on a Notary server: let alice sign every tag",
    ],
  ],
  json: "trust changes",
  async run(context, args, given) {
    const { paths, allPaths, patterns, threshold, bins } = given;
    const names = paths.length + patterns.length + (allPaths ? 1 : 0);
    if (args.keys.length === 0 && names === 0 && threshold === undefined && bins === undefined) {
      throw new UsageError("USAGE", "there is nothing to change", {
        hint: "Name keys, or names with --path, --pattern or --all-paths",
      });
    }
    if (bins !== undefined && names > 0) {
      throw new UsageError("USAGE", "hash bins take names by their hash, not by path", {
        hint: "Leave out --path, --pattern and --all-paths",
      });
    }
    await withCollection(context, given, args.repository, (reached) =>
      reached.notary === undefined
        ? delegateTuf(context, reached, args, given)
        : delegateNotary(context, reached, args, given),
    );
  },
});

interface Args {
  readonly role: string;
  readonly keys: readonly string[];
}
type Given = OptionValues<typeof options>;

async function delegateNotary(context: Context, reached: Reached, { role, keys }: Args, given: Given): Promise<void> {
  const { patterns, from, terminating, bins, noPublish, allPaths, paths, threshold } = given;
  refuseOptions(reached, "tuf", {
    "--pattern": patterns,
    "--from": from,
    "--terminating": terminating,
    "--bins": bins,
    "--no-publish": noPublish,
  });
  const { collection, reach } = reached;
  const pems = await Promise.all(keys.map(readTextFile));
  const wanted = { ...reach, role, keys: pems, paths: allPaths ? [""] : paths, threshold };
  await reportChange(context, reached, await reached.notary!.delegate(collection, wanted));
}

async function delegateTuf(context: Context, reached: Reached, { role, keys }: Args, given: Given): Promise<void> {
  const { allPaths, paths, patterns, threshold, terminating, bins, from, noPublish, stage, algorithm } = given;
  const bare = paths.find((path) => !path.endsWith("/"));
  if (bare !== undefined) {
    throw new UsageError("USAGE", `--path ${bare} must end with a slash`, {
      hint: `Write --path ${shellWord(`${bare}/`)} for names below it, or --pattern ${shellWord(`${bare}*`)} for names that begin so`,
    });
  }
  const { collection, reach, session } = reached;
  const changed = await reached.tuf!.delegate(collection, {
    ...reach,
    role,
    keys: await readKeyChoices(session.keys, keys, algorithm),
    paths: [...(allPaths ? [""] : paths), ...patterns],
    threshold,
    terminating: terminating ? true : undefined,
    bits: bins,
    delegator: from,
    mayPublish: !noPublish,
    stage,
  });
  await reportChange(context, reached, changed);
}

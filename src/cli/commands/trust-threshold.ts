import {
  repositoryArgument,
  reportChange,
  requireTuf,
  stageOption,
  trustOptions,
  withCollection,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { KEY_FORMS, newKeyOptions, readKeyChoices } from "../key-choice-option.ts";
import { argument, integer, list, nonEmpty } from "../options.ts";

const MAX_KEYS = 64;
const threshold = integer(1, MAX_KEYS);

export const trustThresholdCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    role: argument("ROLE", "root, targets, snapshot, timestamp or a delegation"),
    number: argument("N", "how many of its keys must sign"),
  },
  options: {
    add: list("--add KEY", `give the role this key, too: ${KEY_FORMS}`, nonEmpty),
    ...newKeyOptions,
    ...stageOption,
    ...trustOptions,
  },
  about: [
    "Also the way to give a role more keys. Keys of others must sign, too, to show that they exist: stage the change then.",
    "Snapshot and timestamp follow every publish: with a threshold above 1, nobody publishes alone.",
  ],
  examples: [
    [
      "wasm-to-oci trust threshold ghcr.io/acme/app root 2 --add bob.pem --stage",
      "two people for every change of keys",
    ],
  ],
  json: "trust changes",
  async run(context, { repository, role, number }, options) {
    const wanted = threshold(number);
    await withCollection(context, options, repository, async (reached) => {
      const tuf = requireTuf(reached, "a threshold");
      const { collection, reach, session } = reached;
      const add = await readKeyChoices(session.keys, options.add, options.algorithm);
      const { stage } = options;
      await reportChange(
        context,
        reached,
        await tuf.threshold(collection, { ...reach, role, threshold: wanted, add, stage }),
      );
    });
  },
});

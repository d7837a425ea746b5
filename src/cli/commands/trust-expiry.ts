import {
  repositoryArgument,
  reportChange,
  requireTuf,
  stageOption,
  trustOptions,
  withCollection,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { argument } from "../options.ts";
import { parsePeriods } from "../role-options.ts";

export const trustExpiryCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    role: argument("ROLE", "root, targets, snapshot, timestamp or a delegation"),
    time: argument("TIME[/TIME]", "how long its signatures last, and how long before their end they are due again"),
  },
  options: { ...stageOption, ...trustOptions },
  about: [
    "The times are kept in the metadata, so that everybody who signs uses the same. Without a second time, a role is due again after two thirds of the first. For snapshot and timestamp it takes the root key.",
  ],
  examples: [["wasm-to-oci trust expiry ghcr.io/acme/app timestamp 7d/2d", "notice a frozen registry within a week"]],
  json: "trust changes",
  async run(context, { repository, role, time }, options) {
    const periods = parsePeriods(time);
    await withCollection(context, options, repository, async (reached) => {
      const tuf = requireTuf(reached, "a lifetime of signatures");
      const { collection, reach } = reached;
      const { stage } = options;
      await reportChange(context, reached, await tuf.periods(collection, { ...reach, role, periods, stage }));
    });
  },
});

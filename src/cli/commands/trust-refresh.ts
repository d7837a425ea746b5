import { repositoryArgument, reportChange, requireTuf, trustOptions, withCollection } from "../collection.ts";
import { defineCommand } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { value } from "../options.ts";

const DAY_MS = 86_400_000;
const INSTEAD = "The server signs timestamps again by itself; for other roles use `wasm-to-oci trust repair --within`";

export const trustRefreshCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: {
    within: value(
      "--within DURATION",
      "sign what expires within this time, e.g. 3d, instead of what its own period says is due",
      parseDuration,
    ),
    ...trustOptions,
  },
  about: [
    "Signs snapshot and timestamp again where they are due, and does nothing where they are not: for cron and CI, which need only the keys of these two roles. A Notary server does this by itself.",
  ],
  examples: [["wasm-to-oci trust refresh ghcr.io/acme/app", "keep a collection fresh, once a day"]],
  json: "trust changes",
  async run(context, { repository }, options) {
    await withCollection(context, options, repository, async (reached) => {
      const tuf = requireTuf(reached, "refreshing", INSTEAD);
      const { collection, reach } = reached;
      const withinDays = options.within === undefined ? undefined : options.within / DAY_MS;
      const refreshed = await tuf.refresh(collection, { ...reach, withinDays });
      const { freshUntil } = refreshed;
      await reportChange(context, reached, refreshed, { freshUntil });
      context.out.info(`${collection} is fresh until ${freshUntil.toISOString()}`);
    });
  },
});

import { TrustError } from "../../base/errors.ts";
import { repositoryArgument, reportChange, trustOptions, withCollection } from "../collection.ts";
import { defineCommand } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { list, nonEmpty, value } from "../options.ts";

const DAY_MS = 86_400_000;

export const trustRepairCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: {
    within: value("--within DURATION", "sign what expires within this time, too, e.g. 30d", parseDuration),
    roles: list("-r, --role ROLE", "sign this targets role again as it is, whether expired or not", nonEmpty),
    ...trustOptions,
  },
  about: [
    "Verifies everything but the dates, and signs again what has expired, as far as the keys here go. Ends with the status of expired trust data where a role needs somebody else's key.",
  ],
  examples: [["wasm-to-oci trust repair ghcr.io/acme/app --within 30d", "keep a collection fresh, from cron"]],
  json: "trust changes",
  async run(context, { repository }, options) {
    await withCollection(context, options, repository, async (reached) => {
      const { administration, collection, reach } = reached;
      if (options.roles.length > 0) {
        const signed = await administration.witness(collection, { ...reach, roles: options.roles });
        return reportChange(context, reached, signed);
      }
      const withinDays = options.within === undefined ? undefined : options.within / DAY_MS;
      const repaired = await administration.repair(collection, { ...reach, withinDays });
      const { remaining } = repaired;
      await reportChange(context, reached, repaired, { remaining });
      if (remaining.length === 0) return;
      const missing = remaining.map(({ role, expires, reason }) => `${role} (${expires.toISOString()}): ${reason}`);
      throw new TrustError("METADATA_EXPIRED", `${collection} needs more signatures: ${missing.join("; ")}`, {
        hint: "Run the same command where the keys are",
        details: { collection, roles: remaining.map(({ role }) => role) },
      });
    });
  },
});

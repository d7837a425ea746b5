import { TrustError, UsageError } from "../../base/errors.ts";
import type { RoleExpiry } from "../../trust/administration.ts";
import {
  repositoryArgument,
  reportChange,
  requireTuf,
  stageOption,
  trustOptions,
  withCollection,
  type Reached,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { list, nonEmpty, value } from "../options.ts";

const DAY_MS = 86_400_000;

export const trustRepairCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: {
    within: value("--within DURATION", "sign what expires within this time, too, e.g. 30d", parseDuration),
    roles: list("-r, --role ROLE", "sign this role again as it is, whether expired or not", nonEmpty),
    ...stageOption,
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
        const { roles, stage } = options;
        const signed = stage
          ? await requireTuf(reached, "--stage").witness(collection, { ...reach, roles, stage })
          : await administration.witness(collection, { ...reach, roles });
        return reportChange(context, reached, signed);
      }
      if (options.stage) {
        throw new UsageError("USAGE", "nothing says which roles to stage", {
          hint: "Name them with --role; `wasm-to-oci trust status` shows what has expired",
        });
      }
      const withinDays = options.within === undefined ? undefined : options.within / DAY_MS;
      const repaired = await administration.repair(collection, { ...reach, withinDays });
      const { remaining } = repaired;
      await reportChange(context, reached, repaired, { remaining });
      if (remaining.length === 0) return;
      const missing = remaining.map(({ role, expires, reason }) => `${role} (${expires.toISOString()}): ${reason}`);
      throw new TrustError("METADATA_EXPIRED", `${collection} needs more signatures: ${missing.join("; ")}`, {
        hint: reached.tuf === undefined ? "Run the same command where the keys are" : stageHint(reached, remaining),
        details: { collection, roles: remaining.map(({ role }) => role) },
      });
    });
  },
});

function stageHint({ placed }: Reached, remaining: readonly RoleExpiry[]): string {
  const roles = remaining.map(({ role }) => `--role ${role}`).join(" ");
  return `Run the same command where the keys are, or, if several people have them: ${placed("repair")} ${roles} --stage`;
}

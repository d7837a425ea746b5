import { TrustError } from "../../base/errors.ts";
import type { CollectionStatus } from "../../trust/notary-administration.ts";
import { repositoryArgument, trustOptions, withCollection } from "../collection.ts";
import { defineCommand, type Context } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { value } from "../options.ts";

const DAY_MS = 86_400_000;

type RoleStatus = CollectionStatus["roles"][number];

export const trustStatusCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: {
    failWithin: value("--fail-within DURATION", "fail where a role expires within this time, e.g. 7d", parseDuration),
    ...trustOptions,
  },
  about: [
    "Works on expired collections too. Ends with the status of expired trust data where a role has expired, or will within --fail-within: for cron and CI. The server signs timestamps again by itself, Notary's only once they have expired: of them --fail-within takes no notice.",
  ],
  examples: [["wasm-to-oci trust status ghcr.io/acme/app --fail-within 7d", "warn a week ahead"]],
  json: "trust status",
  async run(context, { repository }, options) {
    await withCollection(context, options, repository, async ({ source, collection, reach }) => {
      const status = await source.status(collection, reach);
      await print(context, status);
      const limit = context.now().getTime() + (options.failWithin ?? 0);
      const due = status.roles.filter(
        ({ role, expires, expired }) =>
          expired || (role !== "timestamp" && expires !== undefined && expires.getTime() <= limit),
      );
      if (due.length === 0) return;
      throw new TrustError("METADATA_EXPIRED", `${collection}: ${due.map(describeDue).join(", ")}`, {
        hint: `Sign again with: wasm-to-oci trust repair ${repository}${due.every(({ expired }) => expired) ? "" : ` --within ${days(options.failWithin ?? 0)}`}`,
        details: { collection, roles: due.map(({ role }) => role) },
      });
    });
  },
});

/** In whole days, rounded up: what is due here is then due there, too. */
function days(milliseconds: number): string {
  return `${Math.ceil(milliseconds / DAY_MS)}d`;
}

function describeDue({ role, expires, expired }: RoleStatus): string {
  return `${role} ${expired ? "expired" : "expires"}${expires === undefined ? "" : ` ${expires.toISOString()}`}`;
}

async function print({ out }: Context, status: CollectionStatus): Promise<void> {
  if (out.format === "json") return out.json(status);
  for (const warning of status.warnings) out.warn(warning);
  await out.lines([`Collection: ${status.gun}`, `Trust server: ${status.server}`, ""]);
  await out.table(
    ["ROLE", "VERSION", "DAYS LEFT", "EXPIRES", "KEYS HERE", "THRESHOLD", "SIGNED NAMES"],
    status.roles.map(({ role, version, daysLeft, expires, keys, threshold, targets }) => [
      role,
      version === undefined ? "-" : String(version),
      daysLeft === undefined ? "-" : String(daysLeft),
      expires?.toISOString() ?? "-",
      `${keys.filter(({ held }) => held).length} of ${keys.length}`,
      String(threshold),
      targets === undefined ? "-" : String(targets),
    ]),
  );
}

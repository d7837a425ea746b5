import { errorMessage, TrustError, UsageError, WasmToOciError } from "../../base/errors.ts";
import type { CollectionStatus, RoleStatus } from "../../trust/administration.ts";
import { shownTrustOptions, withShownCollection } from "../collection.ts";
import { defineCommand, type Context } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { value, variadic } from "../options.ts";
import { shortTime } from "../reports.ts";
import { missingLines, stagedDocument } from "../staged-text.ts";

const DAY_MS = 86_400_000;
/** References in one run: what a person or a job watches. */
const MAX_REFERENCES = 1000;

export const trustStatusCommand = defineCommand({
  arguments: { repositories: variadic("REPOSITORY", "whose collections: [HOST[:PORT]/]REPOSITORY") },
  options: {
    failWithin: value("--fail-within DURATION", "fail where a role expires within this time, e.g. 7d", parseDuration),
    ...shownTrustOptions,
  },
  about: [
    "Works on expired collections too. Ends with the status of expired trust data where a role has expired, or will within --fail-within: for cron and CI. A Notary server signs timestamps again by itself, Notary's only once they have expired: of them --fail-within takes no notice.",
    "Of several collections all are shown before the first failure ends the run.",
  ],
  examples: [
    ["wasm-to-oci trust status ghcr.io/acme/app --fail-within 7d", "warn a week ahead"],
    ["wasm-to-oci trust status ghcr.io/acme/app ghcr.io/acme/web --format json", "watch several collections"],
  ],
  json: "trust status",
  async run(context, { repositories }, options) {
    if (repositories.length > MAX_REFERENCES) {
      throw new UsageError(
        "USAGE",
        `${repositories.length} collections are more than the ${MAX_REFERENCES} of one run`,
      );
    }
    const shown: Record<string, unknown>[] = [];
    let failure: unknown;
    for (const repository of repositories) {
      try {
        await withShownCollection(
          context,
          options,
          repository,
          async ({ administration, collection, reach, source }) => {
            const status = await administration.status(collection, reach);
            shown.push(statusDocument(status));
            if (context.out.format === "text") await print(context, status, shown.length > 1);
            checkLifetime(context, repository, source.kind, status, options.failWithin);
          },
        );
      } catch (error) {
        if (repositories.length > 1) sayFailure(context, repository, error);
        failure ??= error;
        if (error instanceof WasmToOciError && error.kind === "interrupted") break;
      }
    }
    if (context.out.format === "json" && shown.length > 0) {
      await context.out.json(repositories.length === 1 ? shown[0] : { collections: shown });
    }
    if (failure !== undefined) throw failure;
  },
});

function sayFailure({ out }: Context, repository: string, error: unknown): void {
  if (out.format === "text") out.warn(`${repository}: ${errorMessage(error)}`);
}

/** @throws {TrustError} METADATA_EXPIRED */
function checkLifetime(
  context: Context,
  repository: string,
  kind: CollectionStatus["source"],
  { collection, roles }: CollectionStatus,
  failWithin = 0,
): void {
  const limit = context.now().getTime() + failWithin;
  const isServers = (role: string): boolean => kind === "notary" && role === "timestamp";
  const due = roles.filter(
    ({ role, expires, expired }) =>
      expired || (!isServers(role) && expires !== undefined && expires.getTime() <= limit),
  );
  if (due.length === 0) return;
  const within = due.every(({ expired }) => expired) ? "" : ` --within ${days(failWithin)}`;
  throw new TrustError("METADATA_EXPIRED", `${collection}: ${due.map(describeDue).join(", ")}`, {
    hint:
      kind === "bundle"
        ? "Get a bundle that was saved later, once the collection's key holders have signed it again"
        : `Sign again with: wasm-to-oci trust repair ${repository}${within}`,
    details: { collection, roles: due.map(({ role }) => role) },
  });
}

/** In whole days, rounded up: what is due here is then due there, too. */
function days(milliseconds: number): string {
  return `${Math.ceil(milliseconds / DAY_MS)}d`;
}

function describeDue({ role, expires, expired }: RoleStatus): string {
  return `${role} ${expired ? "expired" : "expires"}${expires === undefined ? "" : ` ${expires.toISOString()}`}`;
}

function statusDocument({ staged, ...status }: CollectionStatus): Record<string, unknown> {
  return staged === undefined ? { ...status } : { ...status, staged: stagedDocument(staged) };
}

async function print({ out }: Context, status: CollectionStatus, isNext: boolean): Promise<void> {
  for (const warning of status.warnings) out.warn(warning);
  await out.lines([...(isNext ? [""] : []), `Collection: ${status.collection}`, `Trust data: ${status.location}`, ""]);
  await out.table(
    ["ROLE", "VERSION", "DAYS LEFT", "EXPIRES", "KEYS HERE", "NEEDED", "NAMES"],
    withBinsTogether(status.roles).map(({ role, version, daysLeft, expires, keys, threshold, targets }) => [
      role,
      version === undefined ? "-" : String(version),
      daysLeft === undefined ? "-" : String(daysLeft),
      expires === undefined ? "-" : shortTime(expires),
      `${keys.filter(({ held }) => held).length} of ${keys.length}`,
      String(threshold),
      targets === undefined ? "-" : String(targets),
    ]),
  );
  if (status.staged === undefined) return;
  const waiting = status.staged.documents.map(({ role }) => role).join(", ");
  await out.lines(["", `Staged: ${waiting}`, ...missingLines(status.staged.missing)]);
}

/** Hash bins are one role to people: the one of them that expires first stands for all. */
function withBinsTogether(roles: readonly RoleStatus[]): RoleStatus[] {
  const shown: RoleStatus[] = [];
  const bins = new Map<string, RoleStatus[]>();
  for (const role of roles) {
    const prefix = role.paths === undefined ? /^(.+)-[0-9a-f]+$/.exec(role.role)?.[1] : undefined;
    if (prefix === undefined) shown.push(role);
    else bins.set(prefix, [...(bins.get(prefix) ?? []), role]);
  }
  for (const [prefix, of] of bins) {
    const [first] = of.toSorted((a, b) => (a.expires?.getTime() ?? 0) - (b.expires?.getTime() ?? 0));
    const targets = of.reduce((sum, bin) => sum + (bin.targets ?? 0), 0);
    shown.push(of.length === 1 ? of[0]! : { ...first!, role: `${prefix}-* (${of.length})`, targets });
  }
  return shown;
}

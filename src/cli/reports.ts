/** What is said after a command about trust, and what is remembered of it. */
import { errorMessage } from "../base/errors.ts";
import type { Coverage } from "../trust/coverage.ts";
import { placeFlags, placeOf } from "../trust/place.ts";
import type { Note, VerificationReport } from "../trust/report.ts";
import type { Pin } from "../trust/pin.ts";
import type { KeyReport, PublishResult, RoleReport, TrustSource } from "../trust/source.ts";
import type { Context } from "./command.ts";
import type { Session } from "./session.ts";

/** Warns of everything that a report notes, or several do, once; with `--format json` the documents have it. */
export function sayNotes({ out }: Context, notes: readonly Note[]): void {
  if (out.format === "json") return;
  const said = new Set<string>();
  for (const { code, message } of notes) {
    if (said.has(message)) continue;
    said.add(message);
    if (ALWAYS_SAID.has(code)) out.warnAlways(message);
    else if (code === "no-contract") out.info(message); // as all were before there were contracts
    else out.warn(message);
  }
}

/** What was not checked is said on every run, however quiet. */
const ALWAYS_SAID: ReadonlySet<string> = new Set(["unverified", "first-use", "frozen"]);

/** The checks of a report as a short list for people. */
export function checkLines(report: VerificationReport): string[] {
  return ["Checks made:", ...report.checks.map(({ check, detail }) => `  - ${check}: ${detail}`)];
}

/** Says until when the key holders need to do nothing. A Notary server signs timestamps again by itself. */
export function sayLifetime(
  { out }: Context,
  repository: string,
  { collection, freshUntil }: Pick<PublishResult, "collection" | "freshUntil">,
  kind: TrustSource["kind"],
): void {
  if (kind !== "notary") {
    out.info(
      `Fresh until ${freshUntil.toISOString()}; keep it so, from cron or CI: wasm-to-oci trust refresh ${repository}`,
    );
    return;
  }
  const roles = collection.roles.filter(({ role }) => role !== "timestamp");
  const until = new Date(Math.min(...roles.map(({ expires }) => expires.getTime())));
  out.info(
    `Signatures last until ${until.toISOString()}; before that run: wasm-to-oci trust repair ${repository} --within 30d`,
  );
}

/** To the minute, in UTC: seconds are of no use to people here, and lines have 80 columns. */
export function shortTime(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace("T", " ")}Z`;
}

/** What is worth remembering of a collection. */
interface SeenCollection {
  readonly name: string;
  readonly rootKeys: readonly KeyReport[];
  readonly roles: readonly Pick<RoleReport, "role" | "threshold">[];
  readonly firstUse: boolean;
}

/**
 * Remembers a collection that flags named, so that from now on every pull of the repository is verified, asked for
 * or not. A record that cannot be written is said, and is no failure: what was delivered is verified.
 *
 * @param created true where this run made the collection: its root keys are then our own
 */
export async function rememberCollection(
  context: Context,
  session: Session,
  repository: string,
  coverage: Coverage,
  seen: SeenCollection,
  created = false,
): Promise<void> {
  const { out } = context;
  const own = pinOf(seen);
  const { fingerprints = [], threshold = 1 } = own;
  if (created) out.info(`Created the collection ${seen.name}; root key fingerprint ${fingerprints.join(", ")}`);
  // where a policy decides, only what it let be trusted on first use is new
  if (coverage.reason !== "flags" && !(coverage.reason === "policy" && seen.firstUse)) return;
  const source = placeOf(coverage.source, repository);
  if (source === undefined) return; // it was there for this run only
  try {
    const added = await session.pins.add({
      pattern: repository,
      collection: seen.name,
      source,
      pin: coverage.pin ?? own,
      firstUse: coverage.pin === undefined && !created,
      added: context.now(),
    });
    if (!added) {
      out.warn(
        `another command has pinned ${repository} meanwhile: this run was not checked by that pin, later ones are`,
      );
    }
  } catch (error) {
    out.warn(`this trust was not remembered, so later pulls are not verified by it: ${errorMessage(error)}`);
  }
  if (seen.firstUse && out.format === "text") {
    const options = fingerprints.map((fingerprint) => `--root-fingerprint ${fingerprint}`);
    const keys = [...options, ...(threshold > 1 ? [`--root-threshold ${threshold}`] : [])].join(" ");
    out.warn(
      `compare the fingerprint with the publisher, then pin it: wasm-to-oci trust pin ${repository} ${placeFlags(source)} ${keys}`,
    );
  }
}

/** The pin that demands what a collection's own root demands: as many of its keys. */
export function pinOf({ rootKeys, roles }: Pick<SeenCollection, "rootKeys" | "roles">): Pin {
  const { threshold = 1 } = roles.find(({ role }) => role === "root") ?? {};
  const fingerprints = rootKeys.map((key) => key.fingerprint);
  return { fingerprints, ...(threshold > 1 ? { threshold } : {}) };
}

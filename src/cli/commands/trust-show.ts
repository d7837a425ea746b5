import type { CollectionStatus, RoleStatus } from "../../trust/administration.ts";
import type { KeyReport, TrustSource } from "../../trust/source.ts";
import { repositoryArgument, shownTrustOptions, withShownCollection } from "../collection.ts";
import { defineCommand } from "../command.ts";
import { patternTexts, prefixTexts } from "../delegation-text.ts";
import { shortTime } from "../reports.ts";

/** Digits of a key's name that tell it from others of one collection. */
const SHORT = 12;

export const trustShowCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: shownTrustOptions,
  examples: [["wasm-to-oci trust show ghcr.io/acme/app", "who may sign, and what is signed"]],
  json: "trust show",
  async run(context, { repository }, options) {
    const { out, signal } = context;
    await withShownCollection(context, options, repository, async ({ source, administration, coverage, reach }) => {
      const collection = await source.open(coverage.collection, { ...coverage, signal });
      const status = await administration.status(coverage.collection, reach);
      const delegations = status.roles.filter((role) => role.paths !== undefined);
      const { name, rootKeys, roles, firstUse, warnings } = collection;
      const targets = collection.list();
      for (const warning of warnings) out.warn(warning);
      if (out.format === "json") {
        const { kind, location } = source;
        return out.json({
          collection: name,
          source: kind,
          location,
          firstUse,
          rootKeys,
          roles,
          delegations,
          targets,
          warnings,
        });
      }
      const keyName = keyNames(source, status);
      await out.lines([
        `Collection: ${name}`,
        `Trust data: ${source.location}`,
        ...rootKeys.map(
          (key) => `Root key: ${source.kind === "notary" ? `${key.keyId}, fingerprint ` : ""}${key.fingerprint}`,
        ),
        "",
      ]);
      await out.table(
        ["ROLE", "VERSION", "EXPIRES", "NEEDED", "SIGNED BY"],
        roles.map(({ role, version, expires, threshold, signedBy }) => [
          role,
          String(version),
          shortTime(expires),
          String(threshold),
          signedBy.map(keyName),
        ]),
      );
      if (delegations.length > 0) {
        await out.lines([""]);
        await out.table(
          ["DELEGATION", "MAY SIGN", "KEYS", "NEEDED"],
          delegations.map((role) => delegationRow(source.kind, role, keyName)),
        );
      }
      if (targets.length === 0) return out.info("Nothing is signed in it");
      await out.lines([
        "",
        "Signed:",
        ...targets.flatMap(({ name: target, hashes, length, role }) => [
          `  ${target}, ${length} bytes, by ${role}`,
          `    ${hashes.sha256 === undefined ? `sha512:${hashes.sha512 ?? ""}` : `sha256:${hashes.sha256}`}`,
        ]),
      ]);
    });
  },
});

type KeyName = (key: Pick<KeyReport, "keyId"> & { readonly fingerprint: string | undefined }) => string;

/** Notary's programs know keys by their ids; elsewhere ids say nothing to people, and owners and fingerprints do. */
function keyNames({ kind }: TrustSource, { roles }: CollectionStatus): KeyName {
  if (kind === "notary") return ({ keyId }) => keyId.slice(0, SHORT);
  const owners = new Map<string, string>();
  for (const { keys } of roles) {
    for (const { fingerprint, owner } of keys) {
      if (fingerprint !== undefined && owner !== undefined) owners.set(fingerprint, owner);
    }
  }
  return ({ keyId, fingerprint }) => {
    const short = (fingerprint ?? keyId).slice(0, SHORT);
    const owner = fingerprint === undefined ? undefined : owners.get(fingerprint);
    return owner === undefined ? short : `${owner} (${short})`;
  };
}

/** Who may sign which names, whether or not they have published anything yet. */
function delegationRow(
  kind: TrustSource["kind"],
  { role, paths = [], keys, threshold }: RoleStatus,
  name: KeyName,
): (string | string[])[] {
  const isNotary = kind === "notary" || (kind === "bundle" && role.startsWith("targets/"));
  const names = isNotary ? prefixTexts(paths) : patternTexts(paths);
  return [role, orWord(names, "nothing"), orWord(keys.map(name), "none"), String(threshold)];
}

function orWord(list: string[], word: string): string[] {
  return list.length === 0 ? [word] : list;
}

import type { KeyStatus, RoleStatus } from "../../trust/administration.ts";
import { repositoryArgument, trustOptions, withCollection } from "../collection.ts";
import { defineCommand } from "../command.ts";
import { patternTexts, prefixTexts } from "../delegation-text.ts";

export const trustShowCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options: trustOptions,
  examples: [["wasm-to-oci trust show ghcr.io/acme/app", "who may sign, and what is signed"]],
  json: "trust show",
  async run(context, { repository }, options) {
    const { out, signal } = context;
    await withCollection(context, options, repository, async ({ source, administration, coverage, reach }) => {
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
      await out.lines([
        `Collection: ${name}`,
        `Trust data: ${source.location}`,
        ...rootKeys.map((key) => `Root key: ${key.keyId} (fingerprint ${key.fingerprint})`),
        "",
      ]);
      await out.table(
        ["ROLE", "VERSION", "EXPIRES", "THRESHOLD", "SIGNED BY"],
        roles.map(({ role, version, expires, threshold, signedBy }) => [
          role,
          String(version),
          expires.toISOString(),
          String(threshold),
          signedBy.map((key) => key.keyId.slice(0, 12)).join(", "),
        ]),
      );
      if (delegations.length > 0) {
        await out.lines([""]);
        await out.table(["DELEGATION", "MAY SIGN", "KEYS", "THRESHOLD"], delegations.map(delegationRow));
      }
      if (targets.length === 0) return out.info("Nothing is signed in it");
      await out.lines([""]);
      await out.table(
        ["NAME", "DIGEST", "SIZE", "ROLE"],
        targets.map(({ name: target, hashes, length, role }) => [
          target,
          hashes.sha256 === undefined ? `sha512:${hashes.sha512 ?? ""}` : `sha256:${hashes.sha256}`,
          String(length),
          role,
        ]),
      );
    });
  },
});

/** Who may sign which names, whether or not they have published anything yet. */
function delegationRow({ role, paths, keys, threshold }: RoleStatus): string[] {
  const names = (paths ?? []).map((path) => (path === "" ? "everything" : `${path}…`));
  return [
    role,
    names.length === 0 ? "nothing" : names.join(", "),
    keys.map((key) => key.keyId.slice(0, 12)).join(", ") || "none",
    String(threshold),
  ];
}

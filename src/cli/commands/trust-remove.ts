import { TrustError, UsageError } from "../../base/errors.ts";
import type { EditTargets } from "../../trust/source.ts";
import {
  repositoryArgument,
  reportChange,
  requireNotary,
  requireTuf,
  stageOption,
  trustOptions,
  withCollection,
  type Reached,
} from "../collection.ts";
import { defineCommand, type Context } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { flag, list, nonEmpty, value, variadic } from "../options.ts";

export const trustRemoveCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    names: variadic("NAME", "signed names (tags) to remove; none: see below", "some"),
  },
  options: {
    roles: list("-r, --role ROLE", "remove the names from this delegation only", nonEmpty),
    delegation: value(
      "--delegation ROLE",
      "delete this delegation, or take from it what --key and --path name",
      nonEmpty,
    ),
    keys: list("-k, --key ID", "take this key away; without --delegation from every delegation", nonEmpty),
    paths: list("--path PREFIX", "take these names away from the delegation", nonEmpty),
    remote: flag("--remote", "Notary: delete the collection on the server, for everybody"),
    yes: yesOption,
    ...stageOption,
    ...trustOptions,
  },
  about: [
    "With names, publishes that they are no longer signed. With --delegation or --key, changes who may sign. With neither, forgets the collection on this machine: its trusted root, the versions seen and its first-use record, so that the next contact is the first again. Private keys always stay.",
  ],
  examples: [
    ["wasm-to-oci trust remove ghcr.io/acme/app v1", "v1 is no longer signed"],
    ["wasm-to-oci trust remove ghcr.io/acme/app --delegation targets/releases -k 5d1e0ab…", "alice may no longer sign"],
  ],
  json: "trust changes",
  async run(context, { repository, names }, options) {
    const { delegation, keys, paths, remote, roles } = options;
    if (options.stage && delegation === undefined && names.length === 0) {
      throw new UsageError("USAGE", "--stage is for names and changes of delegations");
    }
    const kinds = [names.length > 0, delegation !== undefined || keys.length > 0, remote].filter(Boolean);
    if (
      kinds.length > 1 ||
      (paths.length > 0 && delegation === undefined) ||
      (roles.length > 0 && names.length === 0)
    ) {
      throw new UsageError("USAGE", "names, a delegation and the whole collection are removed one at a time");
    }
    await withCollection(context, options, repository, async (reached) => {
      const { source, collection, reach, administration } = reached;
      if (names.length > 0) return removeNames(context, reached, names, { roles, stage: options.stage });
      if (delegation !== undefined) {
        const whole = keys.length === 0 && paths.length === 0;
        if (whole) await insist(context, `Delete the delegation ${delegation} of ${collection}?`, options.yes);
        const wanted = { ...reach, role: delegation, keyIds: keys, paths };
        const changed = options.stage
          ? await requireTuf(reached, "--stage").undelegate(collection, { ...wanted, stage: true })
          : await administration.undelegate(collection, wanted);
        return reportChange(context, reached, changed);
      }
      if (keys.length > 0) {
        const hint = "To take a key out of every role: wasm-to-oci trust revoke";
        const notary = requireNotary(reached, "--key without --delegation", hint);
        return reportChange(context, reached, await notary.purge(collection, { ...reach, keyIds: keys }));
      }
      const question = remote
        ? `Delete ${collection} on ${source.location} for everybody?`
        : `Forget the trusted root of ${collection}, so that the next one is trusted unseen?`;
      await insist(context, question, options.yes);
      return forget(context, reached, remote);
    });
  },
});

async function insist(context: Context, question: string, yes: boolean): Promise<void> {
  if (!(await confirmed(context, question, yes))) throw new UsageError("USAGE", "nothing was changed");
}

async function removeNames(
  context: Context,
  reached: Reached,
  names: readonly string[],
  { roles, stage }: { readonly roles: readonly string[]; readonly stage: boolean },
): Promise<void> {
  const { out, signal } = context;
  const { source, collection, coverage } = reached;
  const edit: EditTargets = (current) => {
    if (current === undefined) throw new TrustError("TRUST_NOT_FOUND", `${collection} does not exist`);
    const missing = names.filter((name) => current.find(name) === undefined);
    if (missing.length === 0) return names.map((name) => ({ action: "remove", name }));
    throw new TrustError(
      "TARGET_NOT_FOUND",
      `${collection} has no signed ${missing.map((name) => JSON.stringify(name)).join(", ")}`,
      {
        hint: "`wasm-to-oci trust show` lists what is signed; nothing was changed",
        details: { collection, targets: missing },
      },
    );
  };
  const options = { ...coverage, roles: roles.length === 0 ? undefined : roles, signal };
  if (stage) {
    const staged = await requireTuf(reached, "--stage").stageTargets(collection, edit, options);
    return reportChange(context, reached, staged);
  }
  const result = await source.publish(collection, edit, options);
  out.info(`Removed ${names.join(", ")} from ${collection}`);
  for (const warning of result.collection.warnings) out.warn(warning);
  if (out.format === "json") {
    const { name, roles: published, rootKeys, warnings } = result.collection;
    await out.json({ collection: name, removed: names, roles: published, rootKeys, warnings });
  }
}

async function forget(context: Context, reached: Reached, remote: boolean): Promise<void> {
  const { out, signal } = context;
  const { source, administration, collection, session, repository } = reached;
  await administration.remove(collection, { remote, signal });
  const entry = (await session.pins.list()).find(({ pattern }) => pattern === repository);
  if (entry?.firstUse === true) await session.pins.remove(repository);
  out.info(remote ? `Deleted ${collection} on ${source.location}` : `Forgot ${collection}`);
  if (entry?.firstUse === false)
    out.warn(`${repository} stays pinned; to remove that: wasm-to-oci trust pin ${repository} --remove`);
  if (out.format === "json") await out.json({ collection, remote, forgotten: true });
}

import { UsageError } from "../../base/errors.ts";
import type { KeyReport } from "../../trust/source.ts";
import {
  refuseOptions,
  repositoryArgument,
  reportChange,
  stageOption,
  trustOptions,
  withCollection,
  type Reached,
} from "../collection.ts";
import { defineCommand, type Context } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { readTextFile } from "../input-file.ts";
import { KEY_FORMS, newKeyOptions, readKeyChoices } from "../key-choice-option.ts";
import { findKey } from "../key-directory.ts";
import { argument, flag, list, nonEmpty, oneOf, value, type OptionValues } from "../options.ts";

const notaryRole = oneOf(["root", "targets", "snapshot", "timestamp"]);

const options = {
  keys: list("-k, --key KEY", `change to this key instead of making one: ${KEY_FORMS} (Notary: an id)`, nonEmpty),
  replace: list(
    "--replace KEY",
    "the key that goes: its owner, or the first digits of its fingerprint; needed where several could; not for Notary",
    nonEmpty,
  ),
  serverManaged: flag(
    "--server-managed",
    "Notary: let the server hold the new key; for snapshot, so that others can publish too",
  ),
  certificate: value("--root-cert FILE", "Notary: the new root key's own certificate (PEM), leaf first", nonEmpty),
  deleteOld: flag("--delete-old", "delete the private keys that were replaced, instead of keeping a backup"),
  yes: yesOption,
  ...newKeyOptions,
  ...stageOption,
  ...trustOptions,
};

export const trustRotateCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    role: argument("ROLE", "root, targets, snapshot, timestamp or, except for Notary, any delegation"),
  },
  options,
  about: [
    "A new root is signed by the old root key as well, so that everybody who trusts the old one follows. Afterwards update pins with `wasm-to-oci trust pin --update`.",
    "Only the key is changed, not who holds it: use `wasm-to-oci trust threshold --add` for more keys, and `wasm-to-oci trust revoke` for a key that was lost or stolen.",
  ],
  examples: [
    ["wasm-to-oci trust rotate ghcr.io/acme/app targets", "replace the targets key"],
    ["wasm-to-oci trust rotate ghcr.io/acme/app snapshot --server-managed", "let a Notary server sign snapshots"],
  ],
  json: "trust changes",
  async run(context, args, given) {
    const { role, repository } = args;
    if (role === "root" && !(await confirmed(context, `Replace the root key of ${repository}?`, given.yes))) {
      throw new UsageError("USAGE", "nothing was changed");
    }
    await withCollection(context, given, repository, (reached) =>
      reached.notary === undefined
        ? rotateTuf(context, reached, role, given)
        : rotateNotary(context, reached, role, given),
    );
  },
});

type Given = OptionValues<typeof options>;

async function rotateNotary(context: Context, reached: Reached, role: string, given: Given): Promise<void> {
  refuseOptions(reached, "tuf", { "--replace": given.replace });
  const chosen = notaryRole(role);
  const { collection, session, reach } = reached;
  const keyIds = await Promise.all(given.keys.map(async (id) => (await findKey(session.keys, id)).id));
  const rotated = await reached.notary!.rotate(collection, {
    ...reach,
    role: chosen,
    manager: given.serverManaged ? "server" : undefined,
    keyIds: keyIds.length === 0 ? undefined : keyIds,
    certificate: given.certificate === undefined ? undefined : await readTextFile(given.certificate),
    deleteOld: given.deleteOld,
  });
  const { newKeyIds, oldKeyIds, backups } = rotated;
  await reportChange(context, reached, rotated, { newKeyIds, oldKeyIds, backups });
  sayKeys(context, role, newKeyIds, backups);
}

async function rotateTuf(context: Context, reached: Reached, role: string, given: Given): Promise<void> {
  const { keys, replace, serverManaged, certificate, deleteOld, algorithm, stage } = given;
  refuseOptions(reached, "notary", { "--server-managed": serverManaged, "--root-cert": certificate });
  const { collection, session, reach } = reached;
  const add = await readKeyChoices(session.keys, keys, algorithm);
  const rotated = await reached.tuf!.rotate(collection, { ...reach, role, add, remove: replace, deleteOld, stage });
  await reportChange(context, reached, rotated, keyDocument(rotated));
  const fingerprints = rotated.newKeys.map(({ fingerprint }) => fingerprint);
  sayKeys(context, role, fingerprints, rotated.backups);
}

/** Keys that came and went, under the names that Notary's rotations have had. */
export function keyDocument(exchange: {
  readonly newKeys: readonly KeyReport[];
  readonly oldKeys: readonly KeyReport[];
  readonly backups: readonly string[];
}): Record<string, unknown> {
  const { newKeys, oldKeys, backups } = exchange;
  const ids = (keys: readonly KeyReport[]): string[] => keys.map(({ keyId }) => keyId);
  return { newKeyIds: ids(newKeys), oldKeyIds: ids(oldKeys), newKeys, oldKeys, backups };
}

function sayKeys({ out }: Context, role: string, keys: readonly string[], backups: readonly string[]): void {
  out.info(`New ${role} key: ${keys.join(", ")}`);
  for (const backup of backups) out.info(`The old key is kept in ${backup}`);
}

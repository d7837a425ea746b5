import { UsageError } from "../../base/errors.ts";
import {
  administeredDocument,
  repositoryArgument,
  sayAdministered,
  trustOptions,
  withCollection,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { readTextFile } from "../input-file.ts";
import { findKey } from "../key-directory.ts";
import { argument, flag, list, nonEmpty, oneOf, value } from "../options.ts";

const role = oneOf(["root", "targets", "snapshot", "timestamp"]);

export const trustRotateCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    role: argument("ROLE", "root, targets, snapshot or timestamp"),
  },
  options: {
    serverManaged: flag(
      "--server-managed",
      "let the server hold the new key; for snapshot, so that others can publish too",
    ),
    keys: list("-k, --key ID", "change to this key, which is here, instead of making one", nonEmpty),
    certificate: value("--root-cert FILE", "the new root key's own certificate (PEM), leaf first", nonEmpty),
    deleteOld: flag("--delete-old", "delete the private keys that were replaced, instead of keeping a backup"),
    yes: yesOption,
    ...trustOptions,
  },
  about: [
    "A new root is signed by the old root key as well, so that everybody who trusts the old one follows. Afterwards update pins with `wasm-to-oci trust pin --update`.",
  ],
  examples: [
    ["wasm-to-oci trust rotate ghcr.io/acme/app targets", "replace the targets key"],
    ["wasm-to-oci trust rotate ghcr.io/acme/app snapshot --server-managed", "let the server sign snapshots"],
  ],
  json: "trust changes",
  async run(context, args, options) {
    const { out } = context;
    const chosen = role(args.role);
    if (chosen === "root" && !(await confirmed(context, `Replace the root key of ${args.repository}?`, options.yes))) {
      throw new UsageError("USAGE", "nothing was changed");
    }
    await withCollection(context, options, args.repository, async ({ source, collection, session, reach }) => {
      const keyIds = await Promise.all(options.keys.map(async (id) => (await findKey(session.keys, id)).id));
      const rotated = await source.rotate(collection, {
        ...reach,
        role: chosen,
        manager: options.serverManaged ? "server" : undefined,
        keyIds: keyIds.length === 0 ? undefined : keyIds,
        certificate: options.certificate === undefined ? undefined : await readTextFile(options.certificate),
        deleteOld: options.deleteOld,
      });
      const { newKeyIds, oldKeyIds, backups } = rotated;
      sayAdministered(context, collection, rotated);
      out.info(`New ${chosen} key: ${newKeyIds.join(", ")}`);
      for (const backup of backups) out.info(`The old key is kept in ${backup}`);
      if (out.format === "json") await out.json({ ...administeredDocument(rotated), newKeyIds, oldKeyIds, backups });
    });
  },
});

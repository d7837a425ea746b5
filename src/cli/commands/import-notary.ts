import { resolve } from "node:path";
import { parseGun } from "../../notary/gun.ts";
import { defineCommand } from "../command.ts";
import { importOne, importOptions, type ImportSource } from "../import-collections.ts";
import { argument } from "../options.ts";
import { parseServer } from "../shared-options.ts";

export const importNotaryCommand = defineCommand({
  arguments: {
    source: argument(
      "URL|DIR",
      "a Notary v1 server, or a trust directory of notary or docker trust or a backup of one",
    ),
    gun: argument("GUN", "the collection's name there, e.g. docker.io/acme/app"),
  },
  options: importOptions,
  about: [
    "Makes a new collection, in the registry itself unless --trust says where, with the same names, and with those delegations whose keys are here. The old root key signs a hand-over to the new root key, which lies in the new root: consumers who pinned the old key follow it with `wasm-to-oci trust pin --update`.",
    "The old collection stays as it is. If anything fails, nothing was written and no key was brought along.",
  ],
  examples: [
    [
      "wasm-to-oci import notary https://notary.example.com:4443 ghcr.io/acme/app",
      "from a live server into the registry",
    ],
    ["wasm-to-oci import notary /backup/trust ghcr.io/acme/app --accept-expired", "from a backup"],
  ],
  json: "import",
  async run(context, { source, gun }, options) {
    const from: ImportSource = /^https?:\/\//i.test(source)
      ? { server: parseServer(source) }
      : { dir: resolve(source) };
    const report = await importOne(context, options, from, parseGun(gun));
    if (context.out.format === "json") await context.out.json({ imports: [report] });
  },
});

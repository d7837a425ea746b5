import { defineCommand } from "../command.ts";
import { readTextFile } from "../input-file.ts";
import { keyDirectory, keyDocument } from "../key-directory.ts";
import { nonEmpty, value, variadic } from "../options.ts";
import { passphrases } from "../passphrases.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

export const keyImportCommand = defineCommand({
  arguments: { files: variadic("FILE", "PEM files with private keys, of this tool, notary, docker trust or OpenSSL") },
  options: {
    role: value("-r, --role ROLE", "role of keys whose file does not name one", nonEmpty),
    gun: value("--gun NAME", "collection of keys whose file does not name one", nonEmpty),
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Keys that are already here stay as they are. Keys that are not encrypted, or in a way that Notary cannot read, are encrypted with a new passphrase. If one key of a file fails, none of that file is stored.",
  ],
  examples: [["wasm-to-oci key import root.pem --role root", "take over a root key"]],
  json: "key import",
  async run(context, { files }, { role, gun, dir }) {
    const { out } = context;
    const store = keyDirectory(context, dir);
    const owner = { ...(role === undefined ? {} : { role }), ...(gun === undefined ? {} : { gun }) };
    const imported = [];
    for (const file of files) {
      for (const key of await store.importPem(await readTextFile(file), owner, passphrases(context))) {
        imported.push({ ...keyDocument(key), added: key.added });
        out.info(
          key.added ? `Imported the ${key.role} key ${key.id}` : `The ${key.role} key ${key.id} was here already`,
        );
      }
    }
    if (out.format === "json") await out.json({ keys: imported });
  },
});

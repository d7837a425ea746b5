import { defineCommand } from "../command.ts";
import { findKey, keyDirectory, keyDocument } from "../key-directory.ts";
import { argument } from "../options.ts";
import { changedPassphrases } from "../passphrases.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

export const keyPasswdCommand = defineCommand({
  arguments: { id: argument("KEY-ID", "the key: its id or the first digits of it") },
  options: { ...directoryOptions, ...outputOptions },
  about: [
    "Asks for the present passphrase and, twice, for the new one. Without a terminal the present one comes from the usual variables and the new one from WASM_TO_OCI_NEW_PASSPHRASE.",
  ],
  examples: [["wasm-to-oci key passwd 4a2f9c1", "choose another passphrase"]],
  json: "key passwd",
  async run(context, { id }, { dir }) {
    const store = keyDirectory(context, dir);
    const key = await findKey(store, id);
    await store.changePassphrase(key.id, changedPassphrases(context));
    context.out.info(`Changed the passphrase of the ${key.role} key ${key.id}`);
    if (context.out.format === "json") await context.out.json({ key: keyDocument(key) });
  },
});

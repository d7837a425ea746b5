import { lstat } from "node:fs/promises";
import { StorageError, TrustError } from "../../base/errors.ts";
import { writeFileAtomic } from "../../node/files.ts";
import { defineCommand } from "../command.ts";
import { findKey, keyDirectory, keyDocument } from "../key-directory.ts";
import { flag, nonEmpty, value, variadic } from "../options.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

export const keyExportCommand = defineCommand({
  arguments: {
    ids: variadic("KEY-ID", "keys to export: their ids or the first digits of them; all keys if none", "some"),
  },
  options: {
    output: value("-o, --output FILE", "write here, readable by you alone, instead of to stdout", nonEmpty),
    yes: flag("-y, --yes", "replace a file that is there already"),
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Keys stay encrypted under their passphrases. `notary key import` and `wasm-to-oci key import` read the file.",
  ],
  examples: [["wasm-to-oci key export -o keys-backup.pem", "back up every key"]],
  json: "key export",
  async run(context, { ids }, { output, yes, dir }) {
    const { out } = context;
    const store = keyDirectory(context, dir);
    const keys = ids.length === 0 ? await store.list() : await Promise.all(ids.map((id) => findKey(store, id)));
    if (keys.length === 0) throw new TrustError("KEY_MISSING", "there are no private keys to export");
    if (output !== undefined && !yes) await refuseExisting(output);
    const pem = await store.exportPem(keys.map((key) => key.id));
    if (output !== undefined) await writeFileAtomic(output, new TextEncoder().encode(pem), { mode: 0o600 });
    for (const key of keys) {
      if (!key.encrypted)
        out.warn(`the ${key.role} key ${key.id} has no passphrase: whoever reads the export can sign`);
    }
    out.info(
      `Exported ${keys.length} ${keys.length === 1 ? "key" : "keys"}${output === undefined ? "" : ` to ${output}`}`,
    );
    if (out.format === "json") {
      return out.json({ keys: keys.map(keyDocument), output: output ?? null, pem: output === undefined ? pem : null });
    }
    if (output === undefined) await out.raw(pem);
  },
});

/** What is there may be the only copy of other keys. */
async function refuseExisting(path: string): Promise<void> {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (!isThere) return;
  throw new StorageError("OUTPUT_REFUSED", `${path} is there already, and may be the only copy of other keys`, {
    hint: "Name another file, or add --yes to replace it",
    details: { path },
  });
}

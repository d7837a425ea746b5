import { InterruptedError } from "../../base/errors.ts";
import { defineCommand } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { findKey, keyDirectory, keyDocument } from "../key-directory.ts";
import { argument } from "../options.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

export const keyRemoveCommand = defineCommand({
  arguments: { id: argument("KEY-ID", "the key: its id or the first digits of it") },
  options: { yes: yesOption, ...directoryOptions, ...outputOptions },
  about: ["The key is gone for good: export it first. A collection whose root key is lost can never be changed again."],
  examples: [["wasm-to-oci key remove 4a2f9c1", "delete a key, after a question"]],
  json: "key remove",
  async run(context, { id }, { yes, dir }) {
    const store = keyDirectory(context, dir);
    const key = await findKey(store, id);
    const what = `the ${key.role} key ${key.id}${key.gun === undefined ? "" : ` of ${key.gun}`}`;
    if (!(await confirmed(context, `Delete ${what} for good?`, yes))) throw new InterruptedError("nothing was deleted");
    await store.remove(key.id);
    context.out.info(`Deleted ${what}`);
    if (context.out.format === "json") await context.out.json({ key: keyDocument(key) });
  },
});

import { defineCommand } from "../command.ts";
import { keyDirectory, keyDocument } from "../key-directory.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

export const keyListCommand = defineCommand({
  arguments: {},
  options: { ...directoryOptions, ...outputOptions },
  examples: [
    ["wasm-to-oci key list", "show the keys in ~/.wasm-to-oci"],
    ["wasm-to-oci key list --dir ~/.docker/trust", "show the keys of Docker Content Trust"],
  ],
  json: "key list",
  async run(context, _, { dir }) {
    const { out } = context;
    const store = keyDirectory(context, dir);
    const keys = await store.list();
    const problems = await store.problems();
    if (out.format === "json") {
      const broken = problems.map(({ location, error }) => ({ location, code: error.code, message: error.message }));
      return out.json({ keys: keys.map(keyDocument), problems: broken });
    }
    for (const { location, error } of problems) out.warn(`${location} is no usable key: ${error.message}`);
    if (keys.length === 0) return out.info("There are no keys here");
    return out.table(
      ["KEY ID", "ROLE", "COLLECTION", "ENCRYPTED"],
      keys.map(({ id, role, gun, encrypted }) => [id, role, gun ?? "-", encrypted ? "yes" : "NO"]),
    );
  },
});

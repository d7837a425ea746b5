import { UsageError } from "../../base/errors.ts";
import { defineCommand } from "../command.ts";
import { completionScript, SHELLS } from "../completion.ts";
import { argument } from "../options.ts";

export const completionCommand = defineCommand({
  arguments: { shell: argument("SHELL", "bash, zsh or fish") },
  options: {},
  examples: [
    ["source <(wasm-to-oci completion bash)", "complete in this bash"],
    ["wasm-to-oci completion fish > ~/.config/fish/completions/wasm-to-oci.fish", "complete in fish, for good"],
  ],
  json: undefined,
  async run({ out }, { shell }) {
    const known = SHELLS.find((name) => name === shell);
    if (known === undefined) {
      throw new UsageError("USAGE", `${JSON.stringify(shell)} is none of the shells ${SHELLS.join(", ")}`);
    }
    await out.raw(await completionScript(known));
  },
});

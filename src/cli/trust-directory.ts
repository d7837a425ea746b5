/** The directory with keys, pins and trusted roots. */
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../base/errors.ts";
import type { Context } from "./command.ts";

/** Where the 2019 tool kept its trust data; still there. */
const DEFAULT_DIRECTORY = ".wasm-to-oci";

/** The directory that `--dir` names, or the one in the home directory. */
export function trustDirectory({ env }: Pick<Context, "env">, dir: string | undefined): string {
  if (dir !== undefined) return dir;
  const home = env["HOME"] ?? env["USERPROFILE"] ?? homedir();
  if (home === "") {
    throw new UsageError("USAGE", "there is no home directory to keep trust data in", { hint: "Name one with --dir" });
  }
  return join(home, DEFAULT_DIRECTORY);
}

import { execFileSync } from "node:child_process";

/** vitest global set-up: the CLI tests spawn what users run, built from this very source. */
export function setup(): void {
  execFileSync(process.execPath, ["scripts/build-cli.mjs"], { stdio: "inherit" });
}

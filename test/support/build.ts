import { execFileSync } from "node:child_process";

/** Global set-up of the tests that run what users run: builds the library and the command line from this very source. */
export function setup(): void {
  execFileSync("npm", ["run", "-s", "build"], { stdio: "inherit" });
}

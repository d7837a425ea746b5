/** Completion scripts in the shells that they are for, where those are installed. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../support/cli.ts";

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "wasm-to-oci-completion-"));
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout } = await runCli(["completion", shell]);
    await writeFile(join(dir, shell), stdout);
  }
});

afterAll(() => rm(dir, { recursive: true, force: true }));

const has = (shell: string): boolean => spawnSync(shell, ["-c", "true"]).status === 0;

/** What bash offers for a command line that ends in an unfinished word. */
function completeInBash(line: string): string[] {
  const words = line.split(" ");
  const script = [
    `source ${join(dir, "bash")}`,
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})`,
    `COMP_CWORD=${words.length - 1}`,
    `COMP_LINE='${line}'`,
    "COMP_POINT=${#COMP_LINE}",
    `$(complete -p wasm-to-oci | sed 's/.*-F \\([^ ]*\\).*/\\1/') wasm-to-oci 2>/dev/null`,
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ].join("\n");
  const { stdout, status } = spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8" });
  expect(status).toBe(0);
  return stdout
    .split("\n")
    .map((word) => word.trim())
    .filter(Boolean);
}

describe("completion", () => {
  it.runIf(has("bash")).each([
    ["wasm-to-oci pu", ["push", "pull"]],
    ["wasm-to-oci trust re", ["refresh", "remove", "repair", "revoke"]],
    ["wasm-to-oci pull --tlsc", ["--tlscacert", "--tlscert"]],
    ["wasm-to-oci key generate --algorithm ed", ["ed25519"]],
  ])("offers in bash for %j what goes on so", (line, expected) => {
    expect(completeInBash(line).toSorted()).toEqual(expected.toSorted());
  });

  it.each(["bash", "zsh", "fish"].filter(has))("is read by %s without complaint", (shell) => {
    const { status, stderr } = spawnSync(shell, ["-n", join(dir, shell)], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});

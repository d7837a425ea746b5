import { spawn } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CLI, finished, runCli, startCli } from "../support/cli.ts";

describe("the command line", () => {
  it("prints help on stdout", async () => {
    const { status, stdout, stderr } = await runCli(["--help"]);
    expect(status).toBe(0);
    expect(stderr).toBe("");
    expect(stdout).toContain("Usage: wasm-to-oci COMMAND [options]");
    expect(stdout).toContain("   10  tampered");
    for (const words of [["-h"], ["help"]]) expect((await runCli(words)).stdout).toBe(stdout);
  });

  it("prints the version of the package", async () => {
    const { version } = (await import("../../package.json", { with: { type: "json" } })).default;
    expect((await runCli(["--version"])).stdout).toBe(`${version}\n`);
    expect((await runCli(["-V"])).stdout).toBe(`${version}\n`);
  });

  it("prints the help of a command in three ways", async () => {
    const { status, stdout } = await runCli(["trust", "pin", "--help"]);
    expect(status).toBe(0);
    expect(stdout).toContain("Usage: wasm-to-oci trust pin [PATTERN] [options]");
    expect((await runCli(["help", "trust", "pin"])).stdout).toBe(stdout);
    expect((await runCli(["trust", "pin", "x", "-h"])).stdout).toBe(stdout);
  });

  it.each([
    { words: [], message: "no command was given", hint: "Run `wasm-to-oci --help`" },
    { words: ["psh"], message: "unknown command 'psh'", hint: "Did you mean push?" },
    {
      words: ["trust"],
      message: "no command was given",
      hint: "Usage: wasm-to-oci trust COMMAND [options]; see wasm-to-oci trust --help",
    },
    { words: ["trust", "statu", "x"], message: "unknown command 'statu'", hint: "Did you mean status?" },
    {
      words: ["push", "a.wasm", "b/c:d", "--serer", "x"],
      message: "unknown option '--serer'",
      hint: "Did you mean --server?",
    },
    { words: ["pull"], message: "no REFERENCE was given, which only --locked and --frozen can do without" },
    { words: ["pull", "a/b", "c/d"], message: "too many arguments for 'pull'. Expected 1 argument but got 2." },
    { words: ["pull", "a/b", "--out"], message: "option '--out <FILE>' argument missing" },
    {
      words: ["pull", "a/b", "--out", "--sign"],
      message: "option --out needs a value, but the option --sign follows it",
    },
    { words: ["pull", "a/b", "-t", "5"], message: 'option -t: "5" is not a duration' },
    {
      words: ["pull", "a/b", "--log", "nope"],
      message: 'option --log: "nope" is none of debug, info, warn, error, fatal',
    },
    {
      words: ["pull", "a/b", "--server", "notary"],
      message: 'option --server: "notary" is not the address of a trust server',
    },
    { words: ["pull", "a/b", "--output", ""], message: "option --output: the value is empty" },
    {
      words: ["pull", "a/b", "--root-fingerprint", "12"],
      message: 'option --root-fingerprint: "12" is not a sha256 in hexadecimal',
    },
    {
      words: ["push", "a.wasm", "b/c", "--format", "cncf-wasm-v0", "--artifact-format", "wasm-to-oci"],
      message: "--format cncf-wasm-v0 and --artifact-format wasm-to-oci contradict each other",
    },
    {
      words: ["serve", "--registry-port", "65536"],
      message: 'option --registry-port: "65536" is not a whole number from 0 to 65535',
    },
    { words: ["completion", "tcsh"], message: '"tcsh" is none of the shells bash, zsh, fish' },
    { words: ["login", "a/b"], message: '"a/b" is not a server' },
    {
      words: ["trust", "pin", "ghcr.io/a:v1", "--server", "https://x"],
      message: '"ghcr.io/a:v1": a pin is for a repository, not for a tag or digest',
    },
  ])("refuses $words with a hint and without a wall of text", async ({ words, message, hint }) => {
    const { status, stdout, stderr } = await runCli(words, { env: { HOME: "/nonexistent" } });
    const lines = stderr.trimEnd().split("\n");
    expect(stdout).toBe("");
    expect(lines.length).toBeLessThanOrEqual(2);
    expect(lines[0]).toMatch(/^error: /);
    expect({ line: lines[0], status }).toEqual({ line: `error: ${message}`, status: 2 });
    if (hint !== undefined) expect(lines[1]).toBe(`hint: ${hint}`);
  });

  it("refuses to mix a module and its report on stdout", async () => {
    const { status, stderr } = await runCli(["pull", "a/b", "-o", "-", "--format", "json"], { env: { HOME: "/" } });
    expect(status).toBe(2);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { message: "stdout cannot take both the module and the report, nor many modules" },
    });
  });

  it("reports mistakes as JSON where JSON was asked for", async () => {
    const { status, stdout, stderr } = await runCli(["pull", "--nope", "--format", "json"]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "USAGE", kind: "usage", exitStatus: 2 } });
  });

  it("takes the options that the 2019 tool took before its command", async () => {
    const words = [
      "--server=https://localhost:1",
      "-t5s",
      "--dir",
      "/nonexistent",
      "--insecure",
      "pull",
      "localhost:1/a",
    ];
    const { status, stderr } = await runCli(words, { env: { HOME: "/nonexistent" } });
    expect(stderr).toContain("warning: --insecure");
    expect(stderr).toContain("https://localhost:1/");
    expect(status).toBe(5);
  });

  it("refuses such an option for a command that has no use for it", async () => {
    const { status, stderr } = await runCli(["--insecure", "key", "list"]);
    expect({ status, line: stderr.split("\n")[0] }).toEqual({ status: 2, line: "error: unknown option '--insecure'" });
  });

  it("takes options from the environment, names the variable where it is wrong, and prefers the command line", async () => {
    const env = { HOME: "/nonexistent", WASM_TO_OCI_TIMEOUT: "soon" };
    const wrong = await runCli(["inspect", "localhost:1/a"], { env });
    expect(wrong.stderr).toContain('variable WASM_TO_OCI_TIMEOUT: "soon" is not a duration');
    expect((await runCli(["inspect", "localhost:1/a", "-t", "5s"], { env })).status).toBe(5);
    expect((await runCli(["inspect", "localhost:1/a"], { env: { ...env, WASM_TO_OCI_TIMEOUT: "" } })).status).toBe(5);
  });

  it("fails where the reader of its output goes away", async () => {
    const child = startCli(["completion", "bash"]);
    child.stdout?.destroy();
    const { status, stderr } = await finished(child);
    expect(status).toBe(6);
    expect(stderr).toMatch(/^error: stdout was closed before everything was written to it\nhint: .+\n$/);
  });

  it.skipIf(process.platform !== "linux")("fails where its output cannot be stored", async () => {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, [CLI, "--help"], { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    const { status, stderr } = await finished(child);
    expect({ status, stderr }).toEqual({
      status: 6,
      stderr: "error: cannot write to stdout: ENOSPC\nhint: Check the disk or program that stdout goes to\n",
    });
  });

  it.each(["bash", "zsh", "fish"])("prints a completion script for %s that knows every command", async (shell) => {
    const { status, stdout } = await runCli(["completion", shell]);
    expect(status).toBe(0);
    for (const word of ["push", "pull", "serve", "trust", "rotate", "passwd", "tlscacert"])
      expect(stdout).toContain(word);
  });
});

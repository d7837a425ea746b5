/** Questions at a terminal. script(1) makes one; where it is missing, these tests are skipped. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CLI, runCli } from "../support/cli.ts";

vi.setConfig({ testTimeout: 120_000 });

/** Of util-linux. */
const SCRIPT = "/usr/bin/script";

/** A command at a terminal that a test types into. */
class Terminal {
  screen = "";
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown[]>;
  private seen = 0;

  constructor(command: string, home: string) {
    this.child = spawn(SCRIPT, ["-qec", command, "/dev/null"], {
      cwd: home,
      env: { PATH: process.env["PATH"] ?? "", HOME: home, TERM: "xterm", SHELL: "/bin/sh" },
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.screen += text));
    this.closed = once(this.child, "close");
  }

  /** Types an answer once the question, or a new one, is on the screen. */
  async answer(question: string, typed: string): Promise<void> {
    const asked = (): number => this.screen.indexOf(question, this.seen);
    await vi.waitUntil(() => asked() >= 0, { timeout: 60_000, interval: 20 });
    this.seen = asked() + question.length;
    this.child.stdin?.write(typed);
  }

  async end(): Promise<number> {
    const [status] = await this.closed;
    return status as number;
  }
}

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "wasm-to-oci-prompt-"));
});

afterEach(async () => rm(home, { recursive: true, force: true }));

describe.skipIf(process.platform !== "linux" || !existsSync(SCRIPT))("a passphrase question", () => {
  it("asks twice for a new one, refuses short and differing ones, and never shows what is typed", async () => {
    const terminal = new Terminal(`'${process.execPath}' '${CLI}' key generate > public.pem`, home);
    await terminal.answer("New passphrase", "short\r");
    await terminal.answer("At least 8 characters", "long-enough-1\r");
    await terminal.answer("The same again", "long-enough-2\r");
    await terminal.answer("The two differ", "long-enough-3\r");
    await terminal.answer("The same again", "long-enough-3\r");
    expect(await terminal.end()).toBe(0);
    expect(terminal.screen).not.toMatch(/long-enough|short/);
    expect(await readFile(join(home, "public.pem"), "utf8")).toMatch(/^-----BEGIN PUBLIC KEY-----\n/);

    const { stdout } = await runCli(["key", "list", "--format", "json"], { env: { HOME: home } });
    const { id } = (JSON.parse(stdout) as { keys: { id: string }[] }).keys[0]!;
    const env = { HOME: home, WASM_TO_OCI_PASSPHRASE: "long-enough-3", WASM_TO_OCI_NEW_PASSPHRASE: "another-one" };
    expect(await runCli(["key", "passwd", id], { env })).toMatchObject({ status: 0 });
  });

  it("asks again after a wrong one, and gives up in time", async () => {
    const made = await runCli(["key", "generate", "--format", "json"], {
      env: { HOME: home, WASM_TO_OCI_PASSPHRASE: "the-right-one" },
    });
    const { id } = JSON.parse(made.stdout) as { id: string };
    const terminal = new Terminal(`'${process.execPath}' '${CLI}' key passwd ${id}`, home);
    await terminal.answer("Passphrase for", "wrong-one\r");
    for (let i = 0; i < 3; i++) await terminal.answer("Wrong. Passphrase for", "wrong-one\r");
    expect(await terminal.end()).toBe(4);
    expect(terminal.screen).not.toContain("wrong-one");
  });

  it("ends with 130 on Ctrl-C, and makes no key", async () => {
    const terminal = new Terminal(`'${process.execPath}' '${CLI}' key generate`, home);
    await terminal.answer("New passphrase", "\u0003");
    expect(await terminal.end()).toBe(130);
    expect((await runCli(["key", "list"], { env: { HOME: home } })).stdout).toBe("");
  });

  it("does nothing without a yes where something cannot be undone", async () => {
    const made = await runCli(["key", "generate", "--format", "json"], {
      env: { HOME: home, WASM_TO_OCI_PASSPHRASE: "the-right-one" },
    });
    const { id } = JSON.parse(made.stdout) as { id: string };
    const terminal = new Terminal(`'${process.execPath}' '${CLI}' key remove ${id}`, home);
    await terminal.answer("for good?", "\r");
    expect(await terminal.end()).toBe(130);
    expect((await runCli(["key", "list"], { env: { HOME: home } })).stdout).toContain(id);
  });
});

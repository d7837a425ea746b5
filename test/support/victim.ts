/** A user of the command line under attack: what a refused run must show, and what it must leave as it was. */
import { createHash } from "node:crypto";
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { expect } from "vitest";
import type { ErrorCode } from "../../src/base/errors.ts";
import { runCli, type CliOptions, type CliResult } from "./cli.ts";

/** Secrets that are in reach of every run and must never come out of it. */
const SECRETS = {
  passphrase: "canary-passphrase-4711",
  password: "canary-password-0815",
  user: "alice",
} as const;

/** Characters that act on a terminal; a line feed ends our own lines. */
// oxlint-disable-next-line no-control-regex -- exactly these must not come out
const ACTIVE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\p{Cf}]/u;

/** What the command line prints about an error with `--format json`. */
export interface ErrorReport {
  readonly code: string;
  readonly kind: string;
  readonly exitStatus: number;
  readonly message: string;
  readonly hint?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** `trust.json`; what is not listed here must never change by a refusal. */
interface TrustStateFile {
  readonly versions: Readonly<Record<string, number>>;
  readonly checkedAt: string;
}

export interface RefusalOptions extends CliOptions {
  /**
   * The refusal comes after the collection was verified: when that was and the highest versions seen may be
   * remembered, and nothing else.
   */
  readonly mayAdvance?: boolean;
}

export class Victim {
  /** Everything of the user's. */
  readonly home: string;
  /** Where commands run and outputs go. */
  readonly work: string;
  /** The trust directory. */
  readonly dir: string;
  private readonly saved: string;
  private savedState: TrustStateFile | undefined;
  private readonly env: Record<string, string>;

  private constructor(home: string) {
    this.home = home;
    this.work = join(home, "work");
    this.dir = join(home, "trust");
    this.saved = join(home, "saved");
    this.env = {
      HOME: home,
      WASM_TO_OCI_DIR: this.dir,
      WASM_TO_OCI_PASSPHRASE: SECRETS.passphrase,
      WASM_TO_OCI_CACHE_SIZE: "0", // what is here and verified already, nobody can attack by what they answer
    };
  }

  /** @param env set for every run, e.g. the authority of a trust server */
  static async create(env: Readonly<Record<string, string>> = {}): Promise<Victim> {
    const victim = new Victim(await mkdtemp(join(tmpdir(), "wasm-to-oci-victim-")));
    Object.assign(victim.env, env);
    await mkdir(victim.work);
    return victim;
  }

  /** Has credentials for these servers, which must not come out either. */
  async logIn(...hosts: readonly string[]): Promise<void> {
    const auth = Buffer.from(`${SECRETS.user}:${SECRETS.password}`).toString("base64");
    await mkdir(join(this.home, ".docker"));
    const auths = Object.fromEntries(hosts.map((host) => [host, { auth }]));
    await writeFile(join(this.home, ".docker", "config.json"), JSON.stringify({ auths }), { mode: 0o600 });
  }

  run(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return runCli(words, { cwd: this.work, ...options, env: { ...this.env, ...options.env } });
  }

  /** Runs what must succeed. */
  async succeed(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const result = await this.run(words, options);
    if (result.status !== 0) expect.unreachable(`${words.join(" ")} ended with ${result.status}: ${result.stderr}`);
    expectHarmless(result);
    return result;
  }

  /**
   * Runs what must be refused, with this code and exit status, saying what to do, and changing nothing: no output,
   * no leftovers, trust state, pins and keys byte for byte as before.
   */
  async refused(
    words: readonly string[],
    code: ErrorCode,
    status: number,
    options: RefusalOptions = {},
  ): Promise<ErrorReport> {
    const before = await this.possessions();
    const result = await this.run([...words, "--format", "json", "--log", "debug"], options);
    const report = errorOf(result);
    const { stdout, stderr } = result;
    if (report.code !== code || result.status !== status || stdout !== "") {
      expect.unreachable(`expected ${code} (${status}), got status ${result.status}: ${stderr}${stdout}`);
    }
    expect(report).toMatchObject({
      exitStatus: status,
      message: expect.stringMatching(/\w{3}/),
      hint: expect.stringMatching(/\w{3}/),
    });
    expectHarmless(result);
    const after = await this.possessions();
    if (options.mayAdvance === true) await this.expectAdvance(before, after);
    else expect(after).toEqual(before);
    return report;
  }

  /** Keeps the trust directory as it is now, for {@link reset}. */
  async save(): Promise<void> {
    await rm(this.saved, { recursive: true, force: true });
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    await cp(this.dir, this.saved, { recursive: true, preserveTimestamps: true });
    this.savedState = await this.trustState().catch(() => undefined);
  }

  /** Goes back to what was saved, and to an empty folder of work. */
  async reset(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
    await cp(this.saved, this.dir, { recursive: true, preserveTimestamps: true });
    for (const name of await readdir(this.work)) await rm(join(this.work, name), { recursive: true, force: true });
  }

  /** Becomes somebody who has never heard of any collection. */
  async forget(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  /** What is remembered of the one collection that is known here. */
  private async trustState(): Promise<TrustStateFile> {
    const state = join(this.dir, "state");
    const [folder = ""] = await readdir(state);
    return JSON.parse(await readFile(join(state, folder, "trust.json"), "utf8")) as TrustStateFile;
  }

  /** A fingerprint of every file that a refusal must not touch, by path. */
  async possessions(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    const places = [this.work, ...["state", "pins.json", "private", "retired"].map((name) => join(this.dir, name))];
    for (const place of places) await fingerprint(place, this.home, found);
    return found;
  }

  private async expectAdvance(before: Record<string, string>, after: Record<string, string>): Promise<void> {
    const state = Object.keys(before).find((path) => path.endsWith("/trust.json")) ?? "";
    expect({ ...after, [state]: "" }).toEqual({ ...before, [state]: "" });
    const { versions, checkedAt, ...rest } = await this.trustState();
    const { versions: former, checkedAt: formerly, ...wanted } = this.savedState!;
    expect(rest).toEqual(wanted);
    expect(checkedAt >= formerly).toBe(true);
    for (const [role, version] of Object.entries(former)) expect(versions[role]).toBeGreaterThanOrEqual(version);
  }

  async remove(): Promise<void> {
    await rm(this.home, { recursive: true, force: true });
  }
}

/** The error that a run with `--format json` ends with. */
export function errorOf({ stderr, status }: CliResult): ErrorReport {
  const line = stderr.trimEnd().split("\n").at(-1) ?? "";
  if (!line.startsWith('{"error"')) expect.unreachable(`no error at the end (status ${status}): ${stderr}`);
  return (JSON.parse(line) as { error: ErrorReport }).error;
}

/** No secrets, nothing that drives a terminal, no stack. */
export function expectHarmless({ stdout, stderr }: CliResult): void {
  const said = stdout + stderr;
  for (const secret of [SECRETS.passphrase, SECRETS.password]) {
    expect(said).not.toContain(secret);
    expect(said).not.toContain(Buffer.from(secret).toString("base64"));
  }
  expect(said).not.toContain(Buffer.from(`${SECRETS.user}:${SECRETS.password}`).toString("base64"));
  expect(stderr).not.toMatch(ACTIVE);
  expect(stdout).not.toMatch(ACTIVE);
  expect(stderr).not.toMatch(/^\s+at .+:\d+/m);
}

async function fingerprint(path: string, root: string, found: Record<string, string>): Promise<void> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return;
  const name = relative(root, path);
  if (stats.isDirectory()) {
    found[name] = "directory";
    for (const entry of await readdir(path)) await fingerprint(join(path, entry), root, found);
  } else if (stats.isFile()) {
    found[name] = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  } else {
    found[name] = stats.isSymbolicLink() ? `link to ${await readlink(path)}` : "special";
  }
}

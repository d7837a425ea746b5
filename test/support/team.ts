/** Several people and one collection: each has a trust directory of their own on one machine with the servers. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { CliResult } from "./cli.ts";
import type { Served } from "./served.ts";

/** Moves the clock of a process of Node: `Date` is what the program asks for the time. */
const CLOCK = `const D = Date, off = Number(process.env.TEST_CLOCK_OFFSET);
globalThis.Date = class extends D {
  constructor(...a) { if (a.length === 0) super(D.now() + off); else super(...a); }
  static now() { return D.now() + off; }
};`;

const DAY_MS = 86_400_000;

export interface RunOptions {
  /** How many days later it is. */
  readonly daysLater?: number;
}

interface Failure {
  readonly error: {
    readonly code: string;
    readonly exitStatus: number;
    readonly message: string;
    readonly hint: string;
    readonly details: Readonly<Record<string, unknown>>;
  };
}

export class Team {
  readonly served: Served;
  private readonly name: string;
  /** Options that name the place of the trust data. */
  readonly place: readonly string[];
  /** A repository of the collection, which names its tags `app/TAG`. */
  readonly repository: string;

  /** @param name of the collection; its repositories are below it */
  constructor(served: Served, name: string, place: readonly string[]) {
    this.served = served;
    this.name = name;
    this.repository = `${served.registry}/${name}/app`;
    this.place = place;
  }

  /** Runs a command as one of the people. */
  run(who: string, words: readonly string[], { daysLater = 0 }: RunOptions = {}): Promise<CliResult> {
    const preload = `--import=data:text/javascript,${encodeURIComponent(CLOCK)}`;
    const env = daysLater === 0 ? {} : { NODE_OPTIONS: preload, TEST_CLOCK_OFFSET: String(daysLater * DAY_MS) };
    return this.served.run([...words, "--dir", `${this.name}-${who}`], env);
  }

  /** Runs a `trust` command on the collection. */
  trust(who: string, verb: string, words: readonly string[] = [], options: RunOptions = {}): Promise<CliResult> {
    return this.run(who, ["trust", verb, this.repository, ...words, ...this.place], options);
  }

  /** The same; gives the document that it prints. */
  async document<T = Record<string, unknown>>(
    who: string,
    verb: string,
    words: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<T> {
    const { status, stdout, stderr } = await this.trust(who, verb, [...words, "--format", "json"], options);
    expect({ verb, status, stderr: status === 0 ? "" : stderr }).toEqual({ verb, status: 0, stderr: "" });
    expect(stderr).not.toContain("another command has pinned"); // they come one after the other
    return JSON.parse(stdout) as T;
  }

  /** A `trust` command that must be refused, with nothing on stdout and nothing changed. */
  async refused(
    who: string,
    verb: string,
    words: readonly string[],
    expected: { readonly code: string; readonly status: number },
    options: RunOptions = {},
  ): Promise<Failure["error"]> {
    const before = await this.state();
    const { status, stdout, stderr } = await this.trust(who, verb, [...words, "--format", "json"], options);
    const { error } = JSON.parse(stderr.trim().split("\n").at(-1)!) as Failure;
    expect({ code: error.code, status, stdout }).toEqual({ ...expected, stdout: "" });
    expect(error.hint).toMatch(/\w{3}/);
    expect(await this.state()).toEqual(before);
    return error;
  }

  /** Makes a key for somebody and gives the file with its public half. */
  async key(who: string): Promise<string> {
    const file = `${who}.pub.pem`;
    expect(await this.run(who, ["key", "generate", "--role", who, "-o", file])).toMatchObject({ status: 0 });
    return file;
  }

  /** Everything that is published and staged, to compare with later. */
  async state(): Promise<Readonly<Record<string, string>>> {
    const [option, place = ""] = this.place;
    if (option === "--trust" && !place.startsWith("oci:")) return directory(place);
    const tags = await Promise.all(["tuf", "tuf-staged"].map(async (tag) => [tag, await this.digest(tag)] as const));
    return Object.fromEntries(tags);
  }

  /** What a tag of the trust repository names; nothing where there is no such tag. */
  async digest(tag: string): Promise<string> {
    const [, place = ""] = this.place;
    const [host, path] = splitOnce(place.slice("oci://".length), "/");
    const headers = { accept: "application/vnd.oci.image.manifest.v1+json" };
    const response = await fetch(`http://${host}/v2/${path}/manifests/${tag}`, { method: "HEAD", headers });
    return response.headers.get("docker-content-digest") ?? "";
  }
}

/** Makes a folder below the servers' home and gives its path. */
export async function folderIn(served: Served, name: string): Promise<string> {
  const path = join(served.home, name);
  await mkdir(path, { recursive: true });
  return path;
}

/** Writes the module that is pushed. */
export async function writeModule(served: Served): Promise<void> {
  await writeFile(join(served.home, "m.wasm"), Buffer.from("0061736d01000000", "hex"));
}

async function directory(path: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const names = await readdir(path, { recursive: true, withFileTypes: true });
  for (const entry of names) {
    if (!entry.isFile() || entry.name.startsWith(".")) continue; // locks
    const file = join(entry.parentPath, entry.name);
    files[file] = await readFile(file, "utf8");
  }
  return files;
}

function splitOnce(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return [text.slice(0, index), text.slice(index + 1)];
}

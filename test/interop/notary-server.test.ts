/** The real `notary` command against our trust server, through the whole life of a collection. */
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createLog } from "../../src/server/log.ts";
import { serve, type RunningServers } from "../../src/server/serve.ts";
import { describeWithPeers, notaryCli, type CommandResult } from "../support/peers.ts";

const GUN = "localhost:5000/acme/app";

describeWithPeers(["notary", "openssl"], "the notary command against our trust server", () => {
  let dir: string;
  let servers: RunningServers;
  let caFile: string;

  const start = (): Promise<RunningServers> =>
    serve({
      dataDir: join(dir, "data"),
      trustDir: join(dir, "own-trust"),
      log: createLog({ level: "silent" }),
      registryPort: 0,
      trustPort: 0,
    });

  /** Runs notary as one person, who has a trust directory. */
  async function notary(person: string, args: readonly string[], input?: string): Promise<CommandResult> {
    const options = { dir: join(dir, person), server: servers.trustUrl, ca: caFile };
    return notaryCli(args, input === undefined ? options : { ...options, input });
  }

  async function succeeds(person: string, ...args: string[]): Promise<string> {
    const result = await notary(person, args);
    expect({ args, output: result.output, status: result.status }).toMatchObject({ status: 0 });
    return result.stdout;
  }

  function file(name: string, content: string): string {
    const path = join(dir, name);
    writeFileSync(path, content);
    return path;
  }

  /** The names that a person sees, each with its role. */
  async function listed(person: string): Promise<string[]> {
    const lines = (await succeeds(person, "list", GUN)).split("\n");
    return lines.flatMap((line) => {
      const match = /^(\S+)\s+[0-9a-f]{64}\s+\d+\s+(\S+)/.exec(line);
      return match === null ? [] : [`${match[1]} ${match[2]}`];
    });
  }

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "notary-server-"));
    servers = await start();
    caFile = file("ca.pem", servers.caPem);
  });

  afterAll(async () => {
    await servers?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it("initialises, adds, publishes, lists, looks up and verifies", async () => {
    await succeeds("alice", "init", GUN);
    await succeeds("alice", "add", GUN, "v1", file("v1", "module one"));
    await succeeds("alice", "publish", GUN);
    for (const person of ["alice", "newcomer"]) {
      expect(await listed(person)).toEqual(["v1 targets"]);
      expect(await succeeds(person, "lookup", GUN, "v1")).toMatch(/^v1 sha256:[0-9a-f]{64} 10\s*$/);
    }
    const good = await notary("newcomer", ["verify", GUN, "v1"], "module one");
    expect(good).toMatchObject({ status: 0, stdout: "module one" });
    const evil = await notary("newcomer", ["verify", GUN, "v1"], "module 1ne");
    expect(evil.status).toBe(1);
    expect(evil.output).toMatch(/sha(?:256|512) checksum for v1 did not match/);
    expect(evil.output).not.toContain("module 1ne");
  });

  it("hands the snapshot key to the server and takes it back", async () => {
    await succeeds("alice", "key", "rotate", GUN, "snapshot", "-r");
    await succeeds("alice", "add", "-p", GUN, "v2", file("v2", "module two"));
    expect(await listed("newcomer")).toEqual(["v1 targets", "v2 targets"]);
    await succeeds("alice", "key", "rotate", GUN, "snapshot");
    await succeeds("alice", "add", "-p", GUN, "v3", file("v3", "module three"));
    expect(await listed("newcomer")).toEqual(["v1 targets", "v2 targets", "v3 targets"]);
    await succeeds("alice", "key", "rotate", GUN, "snapshot", "-r");
  });

  it("rotates the timestamp, targets and root keys; those who come back and newcomers follow", async () => {
    await succeeds("alice", "key", "rotate", GUN, "timestamp", "-r");
    await succeeds("alice", "key", "rotate", GUN, "targets");
    expect(await listed("newcomer")).toHaveLength(3);
    const rotated = await notary("alice", ["key", "rotate", GUN, "root"], "yes\n");
    expect({ output: rotated.output, status: rotated.status }).toMatchObject({ status: 0 });
    const again = await notary("alice", ["key", "rotate", GUN, "root"], "yes\n");
    expect(again.status).toBe(0);
    expect(await listed("newcomer")).toHaveLength(3);
    expect(await listed("latecomer")).toHaveLength(3);
    await succeeds("alice", "add", "-p", GUN, "v4", file("v4", "module four"));
    expect(await listed("newcomer")).toHaveLength(4);
  });

  it("delegates, lets the delegate publish, witnesses, and removes", async () => {
    await succeeds("bob", "key", "generate", "ecdsa", "-r", "bob", "-o", join(dir, "bob"));
    // notary cannot import the key file that it wrote itself: it lacks the path header.
    const exported = readFileSync(join(dir, "bob-key.pem"), "utf8");
    const keyId = await bobKeyId();
    const imported = file("bob-import.pem", exported.replace(/\n\n/, `\npath: ${keyId}\n\n`));
    await succeeds("bob", "key", "import", imported, "-r", "bob");
    await succeeds("alice", "delegation", "add", "-p", GUN, "targets/releases", join(dir, "bob.pem"), "--all-paths");
    await succeeds("bob", "add", "-p", GUN, "r1", file("r1", "release one"), "-r", "targets/releases");
    expect(await listed("newcomer")).toContain("r1 targets/releases");
    await succeeds("alice", "delegation", "add", "-p", GUN, "targets/other", join(dir, "bob.pem"), "--paths", "x/");
    await succeeds("bob", "witness", "-p", GUN, "targets/releases");
    expect(await succeeds("newcomer", "delegation", "list", GUN)).toContain("targets/other");
    await succeeds("alice", "delegation", "remove", "-p", "-y", GUN, "targets/releases");
    expect(await listed("newcomer")).not.toContain("r1 targets/releases");
    const refused = await notary("bob", ["add", "-p", GUN, "r2", join(dir, "r1"), "-r", "targets/releases"]);
    expect(refused.status).toBe(1);
  });

  it("lets a delegation that was removed be made again, going on where it was", async () => {
    await succeeds("alice", "delegation", "add", "-p", GUN, "targets/releases", join(dir, "bob.pem"), "--all-paths");
    await succeeds("bob", "add", "-p", GUN, "r3", file("r3", "release three"), "-r", "targets/releases");
    expect(await listed("newcomer")).toContain("r3 targets/releases");
  });

  /** The key's id, as alice sees it in a delegation that names it. */
  async function bobKeyId(): Promise<string> {
    await succeeds("scratch", "init", "scratch");
    await succeeds("scratch", "delegation", "add", "-p", "scratch", "targets/id", join(dir, "bob.pem"), "--all-paths");
    const list = await succeeds("scratch", "delegation", "list", "scratch");
    return /[0-9a-f]{64}/.exec(list)?.[0] ?? "";
  }

  it("keeps everything over a restart of the server", async () => {
    const before = await listed("newcomer");
    await servers.close();
    servers = await start();
    expect(await listed("newcomer")).toEqual(before);
    await succeeds("alice", "add", "-p", GUN, "v5", file("v5", "module five"));
    expect(await listed("stranger")).toContain("v5 targets");
  });

  it("removes targets and, with --remote, the collection", async () => {
    await succeeds("alice", "remove", "-p", GUN, "v5");
    expect(await listed("newcomer")).not.toContain("v5 targets");
    await succeeds("alice", "delete", "--remote", GUN);
    const gone = await notary("another", ["list", GUN]);
    expect(gone.status).toBe(1);
    expect(gone.output).toContain("does not have trust data");
  });
});

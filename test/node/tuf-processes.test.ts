/** Processes that share a trust directory or a repository, and some that are killed on the way. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ownBytes } from "../../src/base/bytes.ts";
import { openTufDirectory } from "../../src/node/tuf-directory-publisher.ts";
import { directoryRepository } from "../../src/node/tuf-directory.ts";
import { openTufStore } from "../../src/node/tuf-store.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { TufClient } from "../../src/tuf/client.ts";
import { newCollection } from "../../src/tuf/create.ts";
import { tufKeyOf } from "../../src/tuf/keys.ts";
import { publishChanges, publishNew } from "../../src/tuf/publish.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { bundle, finished, start } from "../support/bundled-script.ts";
import { add, environment, NOW, type Person } from "../support/tuf-publishing.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tuf-processes-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const run = (script: string, ...given: readonly string[]) => finished(start([process.execPath, script, ...given]));

/** Kills the process itself before its n-th change of the file system; n is the first argument. */
const KILLED_AT = `
  import fs from "node:fs";
  import fsp from "node:fs/promises";
  import { syncBuiltinESMExports } from "node:module";
  let left = Number(process.argv[2]);
  const counting = (target, names) => {
    for (const name of names) {
      const original = target[name];
      target[name] = function (...given) {
        const reads = name.startsWith("open") && typeof given[1] !== "string" ? (given[1] & 3) === 0 : given[1] === "r";
        if (!reads && left-- === 0) process.kill(process.pid, "SIGKILL");
        return original.apply(this, given);
      };
    }
  };
  const handle = await fsp.open(process.execPath, "r");
  counting(Object.getPrototypeOf(handle), ["write", "writeFile", "sync", "datasync"]);
  await handle.close();
  counting(fsp, ["link", "mkdir", "open", "rename", "rm", "unlink", "writeFile"]);
  counting(fs, ["linkSync", "mkdirSync", "openSync", "renameSync", "unlinkSync", "writeFileSync", "writeSync"]);
  syncBuiltinESMExports();
`;

/** A repository of one person, whose key the children read from a file. */
class Repository {
  readonly path = join(dir, "repository");
  readonly keyFile = join(dir, "key");
  readonly person: Person;

  private constructor(person: Person) {
    this.person = person;
  }

  static async make(): Promise<Repository> {
    const signer = await PrivateKey.generate("ed25519");
    const repository = new Repository({ signer, key: await tufKeyOf(signer.publicKey) });
    await writeFile(repository.keyFile, signer.toPkcs8());
    const role = { keys: [repository.person.key] };
    const draft = newCollection({ roles: { root: role, targets: role, snapshot: role, timestamp: role } });
    await publishNew({ store: openTufDirectory(repository.path), anchor: undefined }, draft, repository.environment);
    return repository;
  }

  get environment() {
    return environment([this.person]);
  }

  async anchor() {
    return ownBytes(await readFile(join(this.path, "metadata", "1.root.json")));
  }

  async publish(...names: readonly string[]): Promise<void> {
    const access = { store: openTufDirectory(this.path), anchor: await this.anchor() };
    await publishChanges(access, () => names.map((name) => add(name)), this.environment);
  }

  /** Root gets a version that clients have to follow, too. */
  async renewRoot(): Promise<void> {
    const access = { store: openTufDirectory(this.path), anchor: await this.anchor() };
    await publishChanges(access, () => [{ action: "renew", role: "root" }], this.environment);
  }

  async client(store: TufStore, path = this.path): Promise<TufClient> {
    return new TufClient({ anchor: await this.anchor(), repository: directoryRepository(path), store, now: () => NOW });
  }
}

const REFRESH = `
  import { readFile } from "node:fs/promises";
  import { join } from "node:path";
  import { directoryRepository } from "../../src/node/tuf-directory.ts";
  import { openTufStore } from "../../src/node/tuf-store.ts";
  import { TufClient } from "../../src/tuf/client.ts";
  import { NOW } from "./tuf-publishing.ts";
  const [repository, stored, rounds] = process.argv.slice(3);
  const anchor = new Uint8Array(await readFile(join(repository, "metadata", "1.root.json")));
  for (let round = 0; round < Number(rounds); round++) {
    const options = { anchor, repository: directoryRepository(repository), store: openTufStore(stored), now: () => NOW };
    const client = new TufClient(options);
    const { roles, warnings } = await client.refresh();
    const versions = roles.map(({ role, document }) => [role, document.signed.version]);
    console.log(JSON.stringify({ versions: Object.fromEntries(versions), warnings }));
  }
`;

const PUBLISH = `
  import { readFile } from "node:fs/promises";
  import { join } from "node:path";
  import { PrivateKey } from "../../src/keys/private-key.ts";
  import { openTufDirectory } from "../../src/node/tuf-directory-publisher.ts";
  import { tufKeyOf } from "../../src/tuf/keys.ts";
  import { publishChanges } from "../../src/tuf/publish.ts";
  import { add, environment } from "./tuf-publishing.ts";
  const [path, keyFile, ...names] = process.argv.slice(3);
  const signer = await PrivateKey.fromPkcs8(await readFile(keyFile));
  const person = { signer, key: await tufKeyOf(signer.publicKey) };
  const anchor = new Uint8Array(await readFile(join(path, "metadata", "1.root.json")));
  for (const name of names) {
    await publishChanges({ store: openTufDirectory(path), anchor }, () => [add(name)], environment([person]));
    console.log(name);
  }
`;

/** Every change of the file system that a child makes, until one gets through; a bound for what has no end. */
const MAX_CHANGES = 150;
/** Children under way at once. */
const PARALLEL = 4;

/** Runs a child for each moment at which it can be killed, and looks at what each has left. */
async function killedEverywhere(attempt: (moment: number) => Promise<boolean>): Promise<number> {
  for (let moment = 0; moment < MAX_CHANGES; moment += PARALLEL) {
    const ended = await Promise.all(Array.from({ length: PARALLEL }, (_, index) => attempt(moment + index)));
    if (ended.includes(true)) return moment + ended.indexOf(true);
  }
  throw new Error(`no child got through in ${MAX_CHANGES} changes`);
}

describe("several processes", () => {
  test("refresh from one trust directory while others publish, and none ever goes back", async () => {
    const repository = await Repository.make();
    const stored = join(dir, "stored");
    const [refresh, publish] = await Promise.all([bundle(REFRESH), bundle(PUBLISH)]);
    const namesOf = (publisher: number) => Array.from({ length: 4 }, (_, index) => `app/${publisher}-${index}`);
    const publishers = [0, 1, 2].map((each) =>
      run(publish, "-", repository.path, repository.keyFile, ...namesOf(each)),
    );
    const readers = Array.from({ length: 4 }, () => run(refresh, "-", repository.path, stored, "12"));
    for (const { status, stderr } of await Promise.all(publishers))
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const { status, stdout, stderr } of await Promise.all(readers)) {
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const reports = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(reports).toHaveLength(12);
      for (const [index, { versions, warnings }] of reports.entries()) {
        expect(warnings).toEqual([]);
        for (const role of ["root", "timestamp", "snapshot", "targets"]) {
          expect(versions[role]).toBeGreaterThanOrEqual(reports[Math.max(index - 1, 0)].versions[role]);
        }
      }
    }
    const client = await repository.client(openTufStore(stored));
    const { roles } = await client.refresh();
    for (const publisher of [0, 1, 2]) {
      for (const name of namesOf(publisher)) expect(await client.find(name)).toBeDefined();
    }
    expect(roles.map(({ document }) => document.signed.version)).toEqual([1, 13, 13, 13]);
    expect((await readdir(stored)).toSorted()).toEqual([
      "last-check",
      "root.json",
      "root_history",
      "snapshot.json",
      "targets.json",
      "timestamp.json",
    ]);
  }, 120_000);
});

describe("a process that is killed", () => {
  test("between any two writes of the store leaves one from which the next run goes on, and no older", async () => {
    const repository = await Repository.make();
    await repository.publish("app/v1");
    const older = join(dir, "older");
    await cp(repository.path, older, { recursive: true });
    const known = join(dir, "known");
    await (await repository.client(openTufStore(known))).refresh();
    await repository.renewRoot();
    await repository.publish("app/v2");
    const refresh = await bundle(KILLED_AT + REFRESH);
    const moments = await killedEverywhere(async (moment) => {
      const stored = join(dir, `stored-${moment}`);
      await cp(known, stored, { recursive: true });
      const { status } = await run(refresh, String(moment), repository.path, stored, "1");
      const rollback = await repository.client(openTufStore(stored), older);
      // what was known before the kill is still a floor, whatever the kill has left
      await rollback.refresh().catch((error: unknown) => expect(error).toMatchObject({ code: "METADATA_ROLLED_BACK" }));
      const client = await repository.client(openTufStore(stored));
      const { roles, warnings } = await client.refresh();
      expect(warnings).toEqual([]);
      expect(roles.map(({ document }) => document.signed.version)).toEqual([2, 3, 3, 3]);
      expect(await client.find("app/v2")).toBeDefined();
      await expect((await repository.client(openTufStore(stored), older)).refresh()).rejects.toMatchObject({
        code: "METADATA_ROLLED_BACK",
      });
      return status === 0;
    });
    expect(moments).toBeGreaterThan(20);
  }, 300_000);

  test("between any two writes of a publish leaves a repository that everybody can read, and publish to", async () => {
    const repository = await Repository.make();
    await repository.publish("app/v1");
    const publish = await bundle(KILLED_AT + PUBLISH);
    const moments = await killedEverywhere(async (moment) => {
      const path = join(dir, `repository-${moment}`);
      await cp(repository.path, path, { recursive: true });
      const { status, stdout } = await run(publish, String(moment), path, repository.keyFile, "app/killed");
      const reader = await repository.client(memoryTufStore(), path);
      await reader.refresh();
      expect(await reader.find("app/v1")).toBeDefined();
      const wasThere = (await reader.find("app/killed")) !== undefined;
      if (stdout !== "") expect(wasThere).toBe(true); // it was acknowledged
      const access = { store: openTufDirectory(path), anchor: await repository.anchor() };
      await publishChanges(access, () => [add("app/next")], repository.environment);
      const next = await repository.client(memoryTufStore(), path);
      expect(await next.find("app/next")).toBeDefined();
      if (wasThere) expect(await next.find("app/killed")).toBeDefined();
      // what the killed process had no time to remove goes when it is a day old
      const kept = (await readdir(path)).filter((file) => !/^\..*\.[0-9a-f]{16}\.tmp$/.test(file));
      expect(kept).toEqual(["metadata"]);
      return status === 0;
    });
    expect(moments).toBeGreaterThan(20);
  }, 300_000);
});

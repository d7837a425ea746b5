/** The trust directory on disk: where notary looks, what a hostile or broken one can do, and what a crash leaves. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { openMetadataDir, openTrustStateDir } from "../../src/node/metadata-dir.ts";
import { NotaryApi } from "../../src/notary/api.ts";
import { NotaryClient } from "../../src/notary/client.ts";
import { NO_RETRY } from "../support/notary-harness.ts";
import { GUN, NotaryRepository, NOW, SERVER } from "../support/notary-repository.ts";

const APP = { server: SERVER, gun: GUN };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "metadata-dir-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const files = (below = dir): string[] =>
  (readdirSync(below, { recursive: true }) as string[])
    .filter((name) => statSync(join(below, name)).isFile())
    .toSorted();

function clientOf(repository: NotaryRepository): NotaryClient {
  const runtime = { transport: repository.transport, createHasher: nobleHasher, now: () => NOW };
  const api = new NotaryApi({ server: SERVER, runtime, retry: NO_RETRY });
  return new NotaryClient({ api, metadata: openMetadataDir(dir), trust: openTrustStateDir(dir), now: () => NOW });
}

function stateFile(): string {
  return join(
    dir,
    files().find((name) => name.endsWith("trust.json"))!,
  );
}

describe("a trust directory", () => {
  it("holds documents where notary looks for them, byte for byte, for their owner only", async () => {
    const repository = await NotaryRepository.create();
    await repository.delegate("targets/releases");
    await repository.publish();
    await clientOf(repository).update(GUN, { firstUse: "accept" });
    const metadata = join(dir, "tuf", "registry.example:5000", "acme", "app", "metadata");
    expect(files(metadata)).toEqual([
      "root.json",
      "snapshot.json",
      "targets.json",
      "targets/releases.json",
      "timestamp.json",
    ]);
    expect(new Uint8Array(readFileSync(join(metadata, "targets/releases.json")))).toEqual(
      repository.document("targets/releases"),
    );
    expect(statSync(join(metadata, "root.json")).mode & 0o777).toBe(0o600);
    expect(statSync(metadata).mode & 0o777).toBe(0o700);
    expect(statSync(stateFile()).mode & 0o777).toBe(0o600);
  });

  it("keeps its trust when the cache is deleted", async () => {
    const repository = await NotaryRepository.create();
    await clientOf(repository).update(GUN, { firstUse: "accept" });
    rmSync(join(dir, "tuf"), { recursive: true });
    await repository.rotateRoot();
    const state = await clientOf(repository).update(GUN, { firstUse: "refuse" });
    expect(state).toMatchObject({ firstUse: false, root: { metadata: { version: 2 } } });
    repository.versions.set("timestamp", 0);
    await repository.publish("timestamp");
    rmSync(join(dir, "tuf"), { recursive: true });
    await expect(clientOf(repository).update(GUN, { firstUse: "refuse" })).rejects.toMatchObject({
      code: "METADATA_ROLLED_BACK",
    });
    expect(existsSync(join(dir, "tuf"))).toBe(false);
  });

  it("never takes damaged trust state for none", async () => {
    const repository = await NotaryRepository.create();
    await clientOf(repository).update(GUN, { firstUse: "accept" });
    const path = stateFile();
    const honest = readFileSync(path);
    for (const damaged of [Buffer.alloc(0), honest.subarray(0, 100), Buffer.alloc(honest.length)]) {
      writeFileSync(path, damaged);
      await expect(clientOf(repository).update(GUN, { firstUse: "accept" })).rejects.toMatchObject({
        code: "STATE_INVALID",
      });
      expect(readFileSync(path)).toEqual(damaged);
    }
    writeFileSync(path, honest);
    await expect(clientOf(repository).update(GUN, { firstUse: "refuse" })).resolves.toBeDefined();
    rmSync(path);
    mkdirSync(path);
    await expect(clientOf(repository).update(GUN, { firstUse: "accept" })).rejects.toMatchObject({ kind: "storage" });
  });

  it("refuses a state file that is another collection's", async () => {
    const repository = await NotaryRepository.create();
    await clientOf(repository).update(GUN, { firstUse: "accept" });
    const other = await NotaryRepository.create("acme/other");
    const trust = openTrustStateDir(dir);
    await clientOf(other).update("acme/other", { firstUse: "accept" });
    const [first, second] = files()
      .filter((name) => name.endsWith("trust.json"))
      .map((name) => join(dir, name));
    writeFileSync(second!, readFileSync(first!));
    const results = await Promise.allSettled([trust.read(APP), trust.read({ server: SERVER, gun: "acme/other" })]);
    expect(results.filter(({ status }) => status === "rejected")).toHaveLength(1);
  });

  it("writes nothing outside itself, whatever the name", async () => {
    const gun = "../../escape";
    const collection = { server: SERVER, gun };
    const inner = join(dir, "a", "b");
    for (const attempt of [
      () => openMetadataDir(inner).write(collection, new Map([["root", utf8Encode("{}")]])),
      () => openMetadataDir(inner).read(collection),
      () => openMetadataDir(inner).remove(collection),
      () => openTrustStateDir(inner).read(collection),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: "GUN_INVALID" });
    }
    for (const role of ["../x", "targets/../../x", "targets/A", "/x", "targets//x"]) {
      const written = openMetadataDir(inner).write(APP, new Map([[role, utf8Encode("{}")]]));
      await expect(written).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    }
    expect(files()).toEqual([]);
  });

  it("passes over what is no document: other names, folders, pipes, links to nowhere, files too large", async () => {
    const store = openMetadataDir(dir);
    await store.write(
      APP,
      new Map([
        ["root", utf8Encode("{}")],
        ["targets/a", utf8Encode("{}")],
      ]),
    );
    const metadata = join(dir, "tuf", GUN, "metadata");
    writeFileSync(join(metadata, "targets", "UPPER.json"), "{}");
    writeFileSync(join(metadata, "targets", "a.json.tmp"), "{}");
    mkdirSync(join(metadata, "snapshot.json"));
    symlinkSync("/nonexistent", join(metadata, "timestamp.json"));
    execFileSync("mkfifo", [join(metadata, "targets.json")]);
    expect([...(await store.read(APP)).keys()]).toEqual(["root", "targets/a"]);
  });

  it("leaves what belongs to others when a cache is removed", async () => {
    const store = openMetadataDir(dir);
    await store.write(
      APP,
      new Map([
        ["root", utf8Encode("{}")],
        ["targets/a", utf8Encode("{}")],
      ]),
    );
    const changelist = join(dir, "tuf", GUN, "changelist");
    mkdirSync(changelist);
    writeFileSync(join(changelist, "1.change"), "{}");
    await store.write({ ...APP, gun: `${GUN}/below` }, new Map([["root", utf8Encode("{}")]]));
    await store.remove(APP);
    expect(files()).toEqual([`tuf/${GUN}/below/metadata/root.json`, `tuf/${GUN}/changelist/1.change`].toSorted());
  });

  it.skipIf(process.getuid?.() === 0)(
    "says what is wrong with a directory that it may not write to, and verifies nothing silently",
    async () => {
      const repository = await NotaryRepository.create();
      chmodSync(dir, 0o500);
      try {
        await expect(clientOf(repository).update(GUN, { firstUse: "accept" })).rejects.toMatchObject({
          code: "STORAGE_DENIED",
        });
      } finally {
        chmodSync(dir, 0o700);
      }
    },
  );

  it("reports a file where a directory should be", async () => {
    writeFileSync(join(dir, "state"), "");
    const repository = await NotaryRepository.create();
    await expect(clientOf(repository).update(GUN, { firstUse: "accept" })).rejects.toMatchObject({
      name: "StorageError",
    });
    expect(files()).toEqual(["state"]);
  });

  it("writes only what changed, and what the cache has lost", async () => {
    const repository = await NotaryRepository.create();
    const metadata = join(dir, "tuf", GUN, "metadata");
    const inodes = () => files(metadata).map((name) => [name, statSync(join(metadata, name)).ino]);
    await clientOf(repository).update(GUN, { firstUse: "accept" });
    const before = inodes();
    await clientOf(repository).update(GUN, { firstUse: "refuse" });
    expect(inodes()).toEqual(before);
    rmSync(join(metadata, "root.json"));
    await clientOf(repository).update(GUN, { firstUse: "refuse" });
    expect(new Uint8Array(readFileSync(join(metadata, "root.json")))).toEqual(repository.document("root"));
  });

  it("leaves no temporary files", async () => {
    const repository = await NotaryRepository.create();
    await clientOf(repository).update(GUN, { firstUse: "accept" });
    await clientOf(repository).update(GUN, { firstUse: "refuse" });
    expect(readdirSync(dirname(stateFile()))).toEqual(["trust.json"]);
    expect(files(join(dir, "state")).filter((name) => !name.endsWith("trust.json"))).toEqual([]);
  });
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes, digestHex } from "../../src/base/digest.ts";
import { ownBytes, utf8Encode } from "../../src/base/bytes.ts";
import { openTufDirectory } from "../../src/node/tuf-directory-publisher.ts";
import { directoryRepository } from "../../src/node/tuf-directory.ts";
import { TufClient } from "../../src/tuf/client.ts";
import type { TufChange } from "../../src/tuf/changes.ts";
import { newCollection } from "../../src/tuf/create.ts";
import { publishChanges, publishNew } from "../../src/tuf/publish.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { codeOf } from "../support/key-fixtures.ts";
import { bundle } from "../support/bundled-script.ts";
import { add, environment, NOW, people, person, type Person } from "../support/tuf-publishing.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tuf-directory-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function created(at = dir) {
  const all = (await people(3)) as [Person, Person, Person];
  const [root, targets, online] = all;
  const roles = {
    root: { keys: [root.key] },
    targets: { keys: [targets.key] },
    snapshot: { keys: [online.key] },
    timestamp: { keys: [online.key] },
  };
  await publishNew({ store: openTufDirectory(at), anchor: undefined }, newCollection({ roles }), environment(all));
  const anchor = ownBytes(await readFile(join(at, "metadata", "1.root.json")));
  const publish = (changes: readonly TufChange[], keys: readonly Person[] = all, store = openTufDirectory(at)) =>
    publishChanges({ store, anchor }, () => changes, environment(keys));
  const client = (store = memoryTufStore()) =>
    new TufClient({ anchor, repository: directoryRepository(at), store, now: () => NOW });
  const find = async (name: string) => {
    const fresh = client();
    await fresh.refresh();
    return fresh.find(name);
  };
  return { all, anchor, publish, client, find };
}

const metadata = () => readdir(join(dir, "metadata"));

describe("a directory", () => {
  test("is a plain repository that everybody may read", async () => {
    const { publish } = await created();
    await publish([add("app/v1")]);
    expect((await metadata()).toSorted()).toEqual([
      "1.root.json",
      "1.snapshot.json",
      "1.targets.json",
      "2.snapshot.json",
      "2.targets.json",
      "timestamp.json",
    ]);
    expect((await readdir(dir)).toSorted()).toEqual(["metadata"]);
    if (process.platform !== "win32") {
      const umask = process.umask();
      expect((await stat(join(dir, "metadata"))).mode & 0o777).toBe(0o755 & ~umask);
      expect((await stat(join(dir, "metadata", "timestamp.json"))).mode & 0o777).toBe(0o644 & ~umask);
    }
  });

  test("takes every one of twenty publishers at once", async () => {
    const { publish, find } = await created();
    await Promise.all(Array.from({ length: 20 }, (_, index) => publish([add(`app/v${index}`)])));
    for (let index = 0; index < 20; index++) expect(await find(`app/v${index}`)).toBeDefined();
  });

  test("never replaces what was published", async () => {
    const { publish, find } = await created();
    await writeFile(join(dir, "metadata", "2.targets.json"), "somebody else's");
    expect(await codeOf(() => publish([add("app/v1")]))).toBe("TRUST_CONFLICT");
    expect(await readFile(join(dir, "metadata", "2.targets.json"), "utf8")).toBe("somebody else's");
    await rm(join(dir, "metadata", "2.targets.json"));
    await publish([add("app/v1")]);
    expect(await find("app/v1")).toBeDefined();
  });

  test("keeps what waits for signatures beside the metadata, not in it", async () => {
    const { staging } = openTufDirectory(dir);
    expect(await staging.read()).toBeUndefined();
    await Promise.all(
      Array.from({ length: 10 }, () =>
        staging.update(async (current) => utf8Encode(`${new TextDecoder().decode(current)}x`)),
      ),
    );
    expect(new TextDecoder().decode(await staging.read())).toBe("x".repeat(10));
    await staging.update(async () => undefined);
    expect(await readdir(dir)).toEqual([]);
  });

  test("says what is wrong where it cannot be written", async () => {
    const { publish, find } = await created();
    await rm(join(dir, "metadata", "timestamp.json"));
    expect(await codeOf(() => publish([add("app/v1")]))).toBe("TRUST_WITHHELD");
    const file = join(dir, "file");
    await writeFile(file, "");
    const store = openTufDirectory(join(file, "inside"));
    expect(await codeOf(() => store.staging.update(async () => utf8Encode("x")))).toMatch(
      /^(?:FILE_NOT_FOUND|STORAGE)/,
    );
    expect(await codeOf(() => find("app/v1"))).toBe("TRUST_WITHHELD");
  });

  test.skipIf(process.getuid?.() === 0 || process.platform === "win32")("refuses a read-only place", async () => {
    const { publish } = await created();
    await chmod(dir, 0o555);
    expect(await codeOf(() => publish([add("app/v1")]))).toBe("STORAGE_DENIED");
    await chmod(dir, 0o755);
    await publish([add("app/v1")]);
  });
});

describe("content of targets", () => {
  const module = utf8Encode("module");
  async function* chunks(bytes: Uint8Array) {
    for (const byte of bytes) yield Uint8Array.of(byte);
  }
  const file = async (bytes: Uint8Array) => ({
    length: bytes.length,
    hashes: { sha256: digestHex(await digestBytes(bytes)) },
    extra: {},
  });

  test("is put where clients look for it", async () => {
    const { publish, client } = await created();
    const store = openTufDirectory(dir);
    const signed = await file(module);
    await store.putTarget("team/app v1.wasm", signed, chunks(module));
    await publish([{ action: "add", role: "targets", name: "team/app v1.wasm", content: signed }]);
    await client().refresh();
    expect(await readdir(join(dir, "targets", "team"))).toEqual([`${signed.hashes.sha256}.app v1.wasm`]);
  });

  test.each(["changed", "longer module", "mod"])(
    "is refused where it changed between hash and push: %s",
    async (text) => {
      const store = openTufDirectory(dir);
      const bad = utf8Encode(text);
      expect(await codeOf(async () => store.putTarget("app", await file(module), chunks(bad)))).toBe("TARGET_MISMATCH");
      expect(await readdir(join(dir, "targets"))).toEqual([]);
      await store.putTarget("app", await file(module), chunks(module));
      expect(await readdir(join(dir, "targets"))).toHaveLength(1);
    },
  );

  test.each(["../x", "a/../../x", "/x", "a//b", "..", "a\\b", "\u0000"])("never leaves its place: %j", async (name) => {
    const store = openTufDirectory(join(dir, "inner"));
    expect(await codeOf(async () => store.putTarget(name, await file(module), chunks(module)))).toBe(
      "TARGET_NAME_INVALID",
    );
    expect(await readdir(dir)).toEqual([]);
  });
});

describe("a publish that is cut short", () => {
  class Cut extends Error {}

  /** Publishes with a crash before the n-th step; tells whether it got that far. */
  async function crashing(step: number, publish: (store: ReturnType<typeof openTufDirectory>) => Promise<unknown>) {
    let count = 0;
    const store = openTufDirectory(dir, {
      onStep: () => {
        if (count++ === step) throw new Cut("cut");
        if (count > step + 1) throw new Cut("cut"); // nothing happens after a crash
      },
    });
    try {
      await publish(store);
      return false;
    } catch {
      return true;
    }
  }

  test("before any step leaves a good state, and the next publish works", async () => {
    const { all, publish, find, client } = await created();
    const returning = memoryTufStore();
    const fresh = await person();
    const rotate = (role: string, from: Person, to: Person): TufChange => ({
      action: "keys",
      role,
      add: [to.key],
      remove: [from.key.id],
    });
    let step = 0;
    for (let crashed = true; crashed; step++) {
      expect(step).toBeLessThan(60);
      const name = `app/v${step}`;
      const [from, to] = step % 2 === 0 ? [all[2], fresh] : [fresh, all[2]];
      const before = (await metadata()).length;
      crashed = await crashing(step, (store) =>
        publish([add(name), rotate("timestamp", from, to), rotate("snapshot", from, to)], [...all, fresh], store),
      );
      await client(returning).refresh(); // as it lies there, completed by nobody
      await find(name);
      // the next publisher completes it, or finds it never begun: this is then the same state or another root
      await publish([add(`after/v${step}`)], [...all, fresh]);
      await client(returning).refresh();
      expect(await find(`after/v${step}`)).toBeDefined();
      expect((await metadata()).length).toBeGreaterThan(before);
      // back to the keys that the next round expects
      const root = (await client().refresh()).roles[0]!.document.signed;
      if (root.type !== "root") throw new Error("no root");
      const listed = root.roles.get("timestamp")!.keyIds[0];
      const wanted = step % 2 === 0 ? fresh : all[2];
      if (listed !== wanted.key.id) {
        const other = wanted === fresh ? all[2] : fresh;
        await publish([rotate("timestamp", other, wanted), rotate("snapshot", other, wanted)], [...all, fresh]);
      }
    }
    expect(step).toBeGreaterThan(8);
    expect((await readdir(dir)).toSorted()).toEqual(["metadata"]);
  });

  test("is not completed from a plan that names files elsewhere", async () => {
    const { publish } = await created();
    await mkdir(join(dir, ".publishing"));
    const plan = { files: [{ name: "../../evil.json", sha256: "0".repeat(64) }] };
    await writeFile(join(dir, ".publishing", "plan"), JSON.stringify(plan));
    const before = await metadata();
    expect(await codeOf(() => publish([add("app/v1")]))).toBe("STATE_INVALID");
    expect(await metadata()).toEqual(before);
    await rm(join(dir, ".publishing"), { recursive: true });
    await publish([add("app/v1")]);
  });

  test("by a kill at any moment leaves nothing unreadable, and loses nothing that was acknowledged", async () => {
    const bundled = await bundle(PUBLISHER);
    const repository = join(dir, "killed");
    let acknowledged = -1;
    let anchor: Uint8Array<ArrayBuffer> | undefined;
    for (let round = 0; round < 25; round++) {
      const child = spawn(process.execPath, [bundled, repository], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined },
      });
      const ended = once(child, "exit");
      let text = "";
      let lines = 0;
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        lines = text.split("\n").length;
        if (lines > 2 + (round % 3)) setTimeout(() => child.kill("SIGKILL"), (round * 7) % 40);
      });
      await ended;
      for (const line of text.split("\n").slice(0, -1)) acknowledged = Math.max(acknowledged, Number(line));
      anchor ??= ownBytes(await readFile(join(repository, "metadata", "1.root.json")));
      const client = new TufClient({
        anchor,
        repository: directoryRepository(repository),
        store: memoryTufStore(),
        now: () => NOW,
      });
      await client.refresh();
      for (let index = 0; index <= acknowledged; index++) expect(await client.find(`app/v${index}`)).toBeDefined();
    }
    expect(acknowledged).toBeGreaterThan(25);
  }, 120_000);
});

/** Publishes one target after the other with the same key each time, until it is killed, and says what was done. */
const PUBLISHER = `
  import { readFile, writeFile } from "node:fs/promises";
  import { join } from "node:path";
  import { PrivateKey } from "../../src/keys/private-key.ts";
  import { openTufDirectory } from "../../src/node/tuf-directory-publisher.ts";
  import { newCollection } from "../../src/tuf/create.ts";
  import { tufKeyOf } from "../../src/tuf/keys.ts";
  import { publishChanges, publishNew } from "../../src/tuf/publish.ts";
  import { add, environment } from "./tuf-publishing.ts";

  const dir = process.argv[2];
  let signer;
  try {
    signer = await PrivateKey.fromPkcs8(await readFile(dir + ".key"));
  } catch {
    signer = await PrivateKey.generate("ed25519");
    await writeFile(dir + ".key", signer.toPkcs8());
  }
  const all = [{ signer, key: await tufKeyOf(signer.publicKey) }];
  const store = openTufDirectory(dir);
  const role = { keys: [all[0].key] };
  const roles = { root: role, targets: role, snapshot: role, timestamp: role };
  try {
    await publishNew({ store, anchor: undefined }, newCollection({ roles }), environment(all));
  } catch (error) {
    if (error.code !== "TRUST_EXISTS") throw error;
  }
  const anchor = new Uint8Array(await readFile(join(dir, "metadata", "1.root.json")));
  const sizeOf = ({ targets }) => targets.get("targets").signed.targets.size;
  for (;;) {
    const changes = (draft) => [add("app/v" + sizeOf(draft.base))];
    const { collection } = await publishChanges({ store, anchor }, changes, environment(all));
    process.stdout.write(sizeOf(collection) - 1 + "\\n");
  }
`;

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { concatBytes } from "../../src/base/bytes.ts";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import type { ContentCache } from "../../src/content-cache.ts";
import { defaultCacheDir, openModuleCache } from "../../src/node/module-cache.ts";
import { bundle, finished, start, withoutRights } from "../support/bundled-script.ts";

const LIMIT = 1024 * 1024;

let dir: string;
let cache: ContentCache;

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), "module-cache-")), "cache");
  cache = openModuleCache({ dir });
});
afterEach(() => rmSync(join(dir, ".."), { recursive: true, force: true }));

interface Content {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
}

async function content(size: number): Promise<Content> {
  const bytes = new Uint8Array(randomBytes(size));
  const digest = await digestBytes(bytes);
  return { bytes, digest, size, path: join(dir, digest.replace(":", "-")) };
}

async function kept(size: number): Promise<Content> {
  const one = await content(size);
  await cache.put(one.digest, one.bytes);
  return one;
}

/** The digest of what there is: comparing arrays takes seconds. */
async function digestOf(bytes: Uint8Array | undefined): Promise<Digest | undefined> {
  return bytes && digestBytes(new Uint8Array(bytes));
}

/** What an iteration gives, or how it ends. */
async function drain(source: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array | undefined> {
  if (source === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk.slice());
  return concatBytes(chunks);
}

describe("the cache", () => {
  it("gives what was kept, streamed and whole, to every process of the user and nobody else", async () => {
    const one = await kept(600_000);
    const other = openModuleCache({ dir });
    expect(await digestOf(await drain(await other.open(one)))).toBe(one.digest);
    expect(await digestOf(await other.read(one.digest, LIMIT))).toBe(one.digest);
    expect(statSync(one.path).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(cache.problem).toBeUndefined();
    expect(other.problem).toBeUndefined();
  });

  it("has nothing before anything was kept, and makes no directory for that", async () => {
    const one = await content(10);
    expect(await cache.open(one)).toBeUndefined();
    expect(await cache.read(one.digest, LIMIT)).toBeUndefined();
    expect(() => statSync(dir)).toThrow("ENOENT");
    expect(cache.problem).toBeUndefined();
  });

  it("shows nothing that was not committed, and leaves nothing of what was given up", async () => {
    const one = await content(10);
    const entry = (await cache.begin(one))!;
    await entry.write(one.bytes);
    expect(await cache.open(one)).toBeUndefined();
    await entry.abort();
    await entry.write(one.bytes);
    await entry.commit();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("gives no content of another length or beyond the limit", async () => {
    const one = await kept(100);
    expect(await cache.read(one.digest, 99)).toBeUndefined();
    expect(await cache.read(one.digest, 100)).toEqual(one.bytes);
    expect(await cache.open({ ...one, size: 99 })).toBeUndefined();
  });

  it.each<[string, (one: Content) => Promise<void> | void]>([
    [
      "a changed byte",
      async ({ path, bytes }) =>
        writeFile(
          path,
          bytes.map((byte, at) => (at === 7 ? byte ^ 1 : byte)),
        ),
    ],
    ["a missing end", async ({ path, bytes }) => writeFile(path, bytes.subarray(0, -1))],
    ["more than there was", async ({ path, bytes }) => writeFile(path, concatBytes([bytes, bytes]))],
    ["no byte left", async ({ path }) => writeFile(path, "")],
  ])("removes a file with %s, never gives it out as good, and keeps it anew", async (_what, damage) => {
    const one = await kept(300_000);
    await damage(one);
    const given = await drain(await cache.open(one)).catch(() => undefined);
    expect(given).toBeUndefined();
    expect(cache.problem).toContain("damaged");
    expect(await cache.open(one)).toBeUndefined();
    await cache.put(one.digest, one.bytes);
    expect(await digestOf(await drain(await cache.open(one)))).toBe(one.digest);

    await damage(one);
    const other = openModuleCache({ dir });
    expect(await other.read(one.digest, LIMIT)).toBeUndefined();
    expect(other.problem).toContain("damaged");
    expect(readdirSync(dir)).toEqual([]);

    await other.put(one.digest, one.bytes);
    await damage(one);
    await other.put(one.digest, one.bytes); // whoever has the content heals it, though nobody has read it
    expect(await digestOf(await other.read(one.digest, LIMIT))).toBe(one.digest);
  });

  it("follows no link and removes no directory in the place of content, and says so", async () => {
    const [linked, folder] = [await content(50), await content(60)];
    mkdirSync(dir);
    const elsewhere = join(dir, "..", "elsewhere");
    await writeFile(elsewhere, linked.bytes);
    symlinkSync(elsewhere, linked.path);
    mkdirSync(folder.path);
    for (const one of [linked, folder]) {
      expect(await cache.open(one)).toBeUndefined();
      expect(await cache.read(one.digest, LIMIT)).toBeUndefined();
    }
    expect(cache.problem).toContain("not a regular file");
    await cache.put(linked.digest, linked.bytes); // replaces the link, not what it leads to
    await cache.put(folder.digest, folder.bytes);
    expect(await cache.read(linked.digest, LIMIT)).toEqual(linked.bytes);
    expect(new Uint8Array(readFileSync(elsewhere))).toEqual(linked.bytes);
    expect(statSync(folder.path).isDirectory()).toBe(true);
  });

  it("makes room by what was used longest ago, and keeps nothing that would take most of it", async () => {
    const small = openModuleCache({ dir, maxBytes: 1000 });
    const entries: Content[] = [];
    for (let at = 0; at < 5; at++) {
      const one = await content(200);
      entries.push(one);
      await small.put(one.digest, one.bytes);
      utimesSync(one.path, new Date(2020, 0, 1 + at), new Date());
    }
    expect(await small.read(entries[0]!.digest, LIMIT)).toBeDefined(); // used now
    const last = await content(200);
    await small.put(last.digest, last.bytes);
    const left = await Promise.all([...entries, last].map(({ digest }) => small.read(digest, LIMIT)));
    expect(left.map((bytes) => bytes !== undefined)).toEqual([true, false, false, true, true, true]);
    const large = await content(251);
    expect(await small.begin(large)).toBeUndefined();
    expect(small.problem).toBeUndefined();
  });

  it("leaves files alone that are not its own", async () => {
    const small = openModuleCache({ dir, maxBytes: 400 });
    mkdirSync(dir);
    const own = join(dir, "notes.txt");
    await writeFile(own, "x".repeat(5000));
    for (let at = 0; at < 6; at++) {
      const one = await content(100);
      await small.put(one.digest, one.bytes);
    }
    expect(readFileSync(own, "utf8")).toHaveLength(5000);
    expect(readdirSync(dir).length).toBeLessThanOrEqual(5);
  });

  it("is where the environment says", () => {
    expect(defaultCacheDir({ WASM_TO_OCI_CACHE: "/c", XDG_CACHE_HOME: "/x", HOME: "/h" })).toBe("/c");
    expect(defaultCacheDir({ WASM_TO_OCI_CACHE: "", XDG_CACHE_HOME: "/x", HOME: "/h" })).toBe("/x/wasm-to-oci");
    expect(defaultCacheDir({ XDG_CACHE_HOME: "", HOME: "/h" })).toBe("/h/.cache/wasm-to-oci");
  });
});

/** Reads and writes with a cache, and prints what went wrong: never a failure, never other bytes. */
const WORKER = `
  import { randomInt } from "node:crypto";
  import { writeFileSync } from "node:fs";
  import { join } from "node:path";
  import { digestBytes } from "../../src/base/digest.ts";
  import { openModuleCache } from "../../src/node/module-cache.ts";
  const [dir, rounds, maxBytes, damage] = process.argv.slice(2);
  const found = { read: 0, damaged: 0, wrong: 0, problem: null };
  const contents = Array.from({ length: 12 }, (_, at) => new Uint8Array(40_000 + at).fill(at));
  const digests = await Promise.all(contents.map((bytes) => digestBytes(bytes)));
  for (let round = 0; round < Number(rounds); round++) {
    const cache = openModuleCache({ dir, maxBytes: Number(maxBytes) });
    const at = randomInt(contents.length);
    const [bytes, digest] = [contents[at], digests[at]];
    if (damage === "yes" && randomInt(4) === 0) {
      try { writeFileSync(join(dir, digest.replace(":", "-")), "damaged", { flag: "r+" }); } catch {}
    }
    try {
      const source = await cache.open({ digest, size: bytes.length });
      const got = [];
      if (source !== undefined) for await (const chunk of source) got.push(chunk.slice());
      if (source !== undefined) {
        found.read++;
        if (!Buffer.concat(got).equals(Buffer.from(bytes))) found.wrong++;
      }
    } catch { found.damaged++; }
    await cache.put(digest, bytes);
    found.problem ??= cache.problem ?? null;
  }
  console.log(JSON.stringify(found));
`;

interface Found {
  readonly read: number;
  readonly damaged: number;
  readonly wrong: number;
  readonly problem: string | null;
}

describe("the cache of many processes", () => {
  async function run(rounds: number, maxBytes: number, damage: boolean): Promise<Found[]> {
    const script = await bundle(WORKER);
    const words = [process.execPath, script, dir, String(rounds), String(maxBytes), damage ? "yes" : "no"];
    const ended = await Promise.all(Array.from({ length: 4 }, () => finished(start(words))));
    return ended.map(({ stdout, stderr, status }) => {
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      return JSON.parse(stdout) as Found;
    });
  }

  it("gives right bytes only, while some make room and others read", async () => {
    const found = await run(60, 300_000, false);
    expect(found.map(({ wrong, damaged, problem }) => ({ wrong, damaged, problem }))).toEqual(
      found.map(() => ({ wrong: 0, damaged: 0, problem: null })),
    );
    expect(found.reduce((sum, { read }) => sum + read, 0)).toBeGreaterThan(0);
    const sizes = readdirSync(dir).map((name) => statSync(join(dir, name)).size);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(300_000 + 4 * 41_000);
    expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("gives right bytes only, while somebody damages files", async () => {
    const found = await run(60, 10_000_000, true);
    expect(found.map(({ wrong }) => wrong)).toEqual([0, 0, 0, 0]);
    expect(found.reduce((sum, { damaged }) => sum + damaged, 0)).toBeGreaterThan(0);
  });
});

const canMount = spawnSync("unshare", ["-r", "-m", "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;

describe("a cache that cannot be written", () => {
  it("on a read-only disk keeps nothing, says why, and gives what it has", async () => {
    const one = await kept(1000);
    chmodSync(join(dir, ".."), 0o755);
    chmodSync(dir, 0o555);
    chmodSync(one.path, 0o444);
    const script = await bundle(`
      import { digestBytes } from "../../src/base/digest.ts";
      import { openModuleCache } from "../../src/node/module-cache.ts";
      const [dir, digest] = process.argv.slice(2);
      const cache = openModuleCache({ dir });
      const bytes = await cache.read(digest, 5000);
      await cache.put(await digestBytes(new Uint8Array(5)), new Uint8Array(5));
      console.log(JSON.stringify({ read: bytes?.length, problem: cache.problem }));
    `);
    chmodSync(join(script, ".."), 0o755);
    const { stdout, status } = await finished(
      start([process.execPath, script, dir, one.digest], { ...withoutRights(), cwd: "/" }),
    );
    chmodSync(dir, 0o700);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ read: 1000, problem: expect.stringContaining("permission denied") as string });
  });

  it.skipIf(!canMount)(
    "on a full disk keeps nothing of what did not fit, says why, and works again with room",
    async () => {
      const script = await bundle(`
      import { execFileSync } from "node:child_process";
      import { mkdirSync, readdirSync } from "node:fs";
      import { digestBytes } from "../../src/base/digest.ts";
      import { openModuleCache } from "../../src/node/module-cache.ts";
      const [dir] = process.argv.slice(2);
      mkdirSync(dir, { recursive: true });
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=128k", "tmpfs", dir]);
      const cache = openModuleCache({ dir });
      const keep = async (size) => {
        const bytes = new Uint8Array(size).fill(7);
        const digest = await digestBytes(bytes);
        await cache.put(digest, bytes);
        return (await cache.read(digest, size))?.length ?? 0;
      };
      const fits = await keep(50_000);
      const tooLarge = await keep(400_000);
      const left = readdirSync(dir).length;
      const again = await keep(20_000);
      console.log(JSON.stringify({ fits, tooLarge, left, again, problem: cache.problem }));
    `);
      const { stdout, stderr, status } = await finished(start(["unshare", "-r", "-m", process.execPath, script, dir]));
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const problem = expect.stringContaining("the disk is full") as string;
      expect(JSON.parse(stdout)).toEqual({ fits: 50_000, tooLarge: 0, left: 1, again: 20_000, problem });
    },
  );

  it("in the place of a file keeps nothing and says why", async () => {
    await writeFile(dir, "a file");
    const one = await content(10);
    await cache.put(one.digest, one.bytes);
    expect(await cache.read(one.digest, LIMIT)).toBeUndefined();
    expect(cache.problem).toContain(dir);
    expect(readFileSync(dir, "utf8")).toBe("a file");
  });
});

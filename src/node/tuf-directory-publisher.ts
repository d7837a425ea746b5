/**
 * Publishes a TUF repository to a directory that any web server can serve: `metadata/` and `targets/`.
 *
 * A publish is written whole into `.publishing/` first, then moved into place file by file. Whatever ends it, the next
 * publisher completes it or, where it was not whole yet, forgets it; readers meanwhile see the state before or a
 * later one, since each file is only named by files that come after it.
 */
import { createHash } from "node:crypto";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { equalBytes, utf8Encode, type Bytes } from "../base/bytes.ts";
import { errorCode, StorageError, TrustError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import type { TargetFile } from "../tuf/schema.ts";
import { metadataFile, targetFile } from "../tuf/names.ts";
import type { MetadataFile } from "../tuf/publish-files.ts";
import type { PublishedBase, StagingStore, TufPublisherStore } from "../tuf/publisher-store.ts";
import { createAtomicOutput, storageError, syncDirectory, withLock, writeFileAtomic } from "./files.ts";
import { readWhole, stagedFile } from "./staged-file.ts";
import { removeStaleTemporaries } from "./stale-files.ts";
import { directoryRepository } from "./tuf-directory.ts";

/** The plan of a publish: 20,000 bins of 200 bytes, and some room. */
const MAX_PLAN_BYTES = 16 * 1024 * 1024;
/** Staged documents: as large as what they become. */
const MAX_STAGED_BYTES = 256 * 1024 * 1024;
/** Files that are written at the same time: disks sync several as fast as one. */
const PARALLEL = 16;

const TIMESTAMP = metadataFile("timestamp");
/** What metadata files are named; a plan that names others is none of ours. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._%~-]{0,250}\.json$/;
const SHA256 = /^[0-9a-f]{64}$/;

export interface TufDirectoryOptions {
  /** Called before each step that changes the directory, with its name; tests cut publishes short with it. */
  readonly onStep?: ((step: string) => void) | undefined;
}

/** A directory that a collection is published to. */
export interface TufDirectory extends TufPublisherStore {
  /** Where changes wait for signatures: `staged.json` beside `metadata/`. */
  readonly staging: StagingStore;
  /**
   * Puts a target's content into `targets/`, checked against what is signed for it while it is copied.
   *
   * @throws {TrustError} TARGET_MISMATCH where it is something else by now; nothing was written then
   */
  putTarget(name: string, file: TargetFile, content: AsyncIterable<Uint8Array>): Promise<void>;
}

interface PlannedFile {
  readonly name: string;
  readonly sha256: string;
}

/**
 * Opens a directory for publishing. Nothing is made before the first publish.
 *
 * @example
 * ```ts
 * const directory = openTufDirectory("/srv/tuf");
 * await publishChanges({ store: directory, anchor }, () => [{ action: "renew", role: "targets" }], environment);
 * ```
 */
export function openTufDirectory(dir: string, options: TufDirectoryOptions = {}): TufDirectory {
  return new Directory(dir, options);
}

class Directory implements TufDirectory {
  readonly location: string;
  readonly staging: StagingStore;
  private readonly dir: string;
  private readonly reader;
  private readonly step: (name: string) => void;

  constructor(dir: string, { onStep = () => undefined }: TufDirectoryOptions) {
    this.location = dir;
    this.dir = dir;
    this.reader = directoryRepository(dir);
    this.step = onStep;
    const path = join(dir, "staged.json");
    this.staging = stagedFile(path, (action) => this.locked(action));
  }

  async metadata(request: Parameters<TufPublisherStore["metadata"]>[0]): Promise<Bytes | undefined> {
    if (await exists(this.journal("plan"))) await this.locked(() => this.complete());
    return this.reader.metadata(request);
  }

  target(request: Parameters<TufPublisherStore["target"]>[0]): ReturnType<TufPublisherStore["target"]> {
    return this.reader.target(request);
  }

  async publish(files: readonly MetadataFile[], base: PublishedBase | undefined): Promise<void> {
    await this.locked(async () => {
      await this.complete();
      await this.checkBase(base);
      const fresh: MetadataFile[] = [];
      for (const file of files) if (await this.isFresh(file)) fresh.push(file);
      await this.prepare(fresh);
      await this.complete();
    });
  }

  async inTurn<T>(action: () => Promise<T>): Promise<T> {
    await making(this.dir);
    return withLock(join(this.dir, ".turn"), action);
  }

  async putTarget(name: string, file: TargetFile, content: AsyncIterable<Uint8Array>): Promise<void> {
    const parts = targetFile(name, file.hashes).split("/").map(decodeURIComponent);
    const path = join(this.dir, "targets", ...parts);
    await making(join(path, ".."));
    const output = await createAtomicOutput(path);
    try {
      const hashers = (["sha256", "sha512"] as const).flatMap((algorithm) => {
        const expected = file.hashes[algorithm];
        return expected === undefined ? [] : [{ algorithm, expected, hash: createHash(algorithm) }];
      });
      let length = 0;
      for await (const chunk of content) {
        length += chunk.length;
        if (length > file.length) throw changed(name, `${file.length} bytes`, "more");
        for (const { hash } of hashers) hash.update(chunk);
        await output.write(chunk);
      }
      if (length !== file.length) throw changed(name, `${file.length} bytes`, `${length} bytes`);
      if (hashers.length === 0) throw changed(name, "a sha256 or sha512", "none");
      for (const { algorithm, expected, hash } of hashers) {
        const got = hash.digest("hex");
        if (got !== expected) throw changed(name, `${algorithm}:${expected}`, `${algorithm}:${got}`);
      }
      this.step(`target ${name}`);
      await output.commit();
    } finally {
      await output.abort();
    }
  }

  /** @throws {TrustError} TRUST_CONFLICT */
  private async checkBase(base: PublishedBase | undefined): Promise<void> {
    const limit = 512_000;
    const timestamp = await this.reader.metadata({ file: TIMESTAMP, limit });
    const root = await this.reader.metadata({ file: metadataFile("root", (base?.root ?? 0) + 1), limit });
    const same =
      base === undefined ? timestamp === undefined : timestamp !== undefined && equalBytes(timestamp, base.timestamp);
    if (same && root === undefined) return;
    throw new TrustError("TRUST_CONFLICT", `somebody else has published to ${this.dir} meanwhile`, {
      hint: "Nothing was published; run the command again",
    });
  }

  /** Whether a file is not there yet. @throws {TrustError} TRUST_CONFLICT where its name is another one's */
  private async isFresh({ file, bytes }: MetadataFile): Promise<boolean> {
    if (!FILE_NAME.test(file)) throw invalidPlan(this.journal("plan"));
    if (file === TIMESTAMP) return true;
    const there = await readWhole(join(this.dir, "metadata", file), MAX_STAGED_BYTES);
    if (there === undefined) return true;
    if (equalBytes(there, bytes)) return false;
    throw new TrustError("TRUST_CONFLICT", `${file} was published before, with other content`, {
      hint: "What was published is never replaced: look who else publishes here",
      details: { file },
    });
  }

  /** Writes everything; from the moment that the plan is there, the publish will take place. */
  private async prepare(files: readonly MetadataFile[]): Promise<void> {
    const folder = this.journal();
    await making(folder);
    await making(join(this.dir, "metadata"));
    try {
      for (let at = 0; at < files.length; at += PARALLEL) {
        const written = await Promise.allSettled(files.slice(at, at + PARALLEL).map((file) => this.writeNew(file)));
        for (const result of written) if (result.status === "rejected") throw result.reason;
      }
      const plan = files.map(({ file, bytes }): PlannedFile => ({ name: file, sha256: sha256(bytes) }));
      this.step("plan");
      await writeFileAtomic(this.journal("plan"), utf8Encode(JSON.stringify({ files: plan })));
    } catch (error) {
      throw storageError(error, "write", folder);
    }
  }

  private async writeNew({ file, bytes }: MetadataFile): Promise<void> {
    this.step(`write ${file}`);
    const handle = await open(this.journal(file), "wx", 0o644);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Brings a publish to its end that has a plan, and clears away one that has none. */
  private async complete(): Promise<void> {
    const plan = await readWhole(this.journal("plan"), MAX_PLAN_BYTES);
    try {
      if (plan !== undefined) {
        const files = parsePlan(plan, this.journal("plan"));
        for (const [index, file] of files.entries()) await this.moveIntoPlace(file, index === 0);
        await syncDirectory(join(this.dir, "metadata"));
        this.step("done");
        await rm(this.journal("plan"));
        await syncDirectory(this.journal());
      }
      this.step("clear");
      await rm(this.journal(), { recursive: true, force: true });
    } catch (error) {
      throw storageError(error, "write", this.dir);
    }
  }

  private async moveIntoPlace({ name, sha256: expected }: PlannedFile, isFirst: boolean): Promise<void> {
    const metadata = join(this.dir, "metadata");
    const to = join(metadata, name);
    // what others name must be there before them, also after a power cut
    if (!isFirst && isPointer(name)) await syncDirectory(metadata);
    const from = await readWhole(this.journal(name), MAX_STAGED_BYTES);
    if (from === undefined) {
      const there = await readWhole(to, MAX_STAGED_BYTES);
      if (there !== undefined && sha256(there) === expected) return; // moved before the last publish ended
      throw invalidPlan(this.journal("plan"));
    }
    if (sha256(from) !== expected) throw invalidPlan(this.journal("plan"));
    this.step(`move ${name}`);
    await rename(this.journal(name), to);
  }

  private journal(file = ""): string {
    return join(this.dir, ".publishing", file);
  }

  private async locked<T>(action: () => Promise<T>): Promise<T> {
    await making(this.dir); // a lock would make it for us alone, and a web server must be able to read it
    removeStaleTemporaries(this.dir);
    return withLock(join(this.dir, ".lock"), action);
  }
}

/** Files that name others: they follow what they name. */
function isPointer(name: string): boolean {
  return name === TIMESTAMP || /^\d+\.(?:root|snapshot)\.json$/.test(name);
}

function parsePlan(bytes: Bytes, path: string): PlannedFile[] {
  const fault = formatFault("CONFIG_INVALID", path);
  try {
    const plan = new JsonCursor(parseJson(bytes), fault).object(["files"]);
    return plan
      .field("files")
      .array(MAX_PLAN_BYTES)
      .map((entry) => {
        const member = entry.object(["name", "sha256"]);
        const file = { name: member.field("name").string(), sha256: member.field("sha256").string() };
        if (!FILE_NAME.test(file.name) || !SHA256.test(file.sha256)) entry.fail("not a file of a publish");
        return file;
      });
  } catch (cause) {
    throw invalidPlan(path, cause);
  }
}

function invalidPlan(path: string, cause?: unknown): StorageError {
  return new StorageError("STATE_INVALID", `a publish that was cut short cannot be completed: ${path} is damaged`, {
    hint: "Look at the files in that folder; remove it to go on from what is published",
    details: { path },
    cause,
  });
}

function changed(name: string, expected: string, got: string): TrustError {
  return new TrustError(
    "TARGET_MISMATCH",
    `the content of ${JSON.stringify(name)} is not what is signed for it: expected ${expected}, got ${got}`,
    {
      hint: "The file changed since it was hashed; nothing was published",
      details: { target: name, expected, got },
    },
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return false;
    throw storageError(error, "read", path);
  }
}

async function making(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw storageError(error, "write", dir);
  }
}

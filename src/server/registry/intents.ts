/**
 * Changes of several files that happen together or not at all: the whole change is written down first, then
 * made, then struck out. One that a crash interrupted is completed when the store is opened again.
 */
import { randomUUID } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { StorageError } from "../../base/errors.ts";
import { formatFault, JsonCursor } from "../../base/json-cursor.ts";
import { parseJson } from "../../base/json.ts";
import { ensureDirectory, putFile, removeFile } from "./durable-files.ts";
import { KeyedLock } from "./keyed-lock.ts";

/** More than one request can ask for: the tags of one manifest. */
const MAX_STEPS = 1_000_000;

/** One step; paths are relative to the store, of names that were made by `file-names.ts`. */
export type Step = { readonly put: string; readonly text: string } | { readonly remove: string };

export class Intents {
  private readonly root: string;
  private readonly dir: string;
  private readonly lock = new KeyedLock();
  private readonly unfinished: { readonly path: string; readonly steps: readonly Step[] }[] = [];

  private constructor(root: string) {
    this.root = root;
    this.dir = join(root, "intents");
  }

  /** Opens the list, and completes what a crash interrupted. */
  static async open(root: string): Promise<Intents> {
    const intents = new Intents(root);
    await ensureDirectory(intents.dir);
    for (const name of await readdir(intents.dir)) {
      const path = join(intents.dir, name);
      // Anything else is the temporary file of an intent that was never fully written down, so never begun.
      if (name.endsWith(".json") && !name.startsWith(".")) await intents.apply(readSteps(await readFile(path), path));
      await rm(path);
    }
    return intents;
  }

  /**
   * Completes what failed in the middle (on a full disk). Every change begins with it: an old change that was
   * completed after newer ones, at the next start say, would undo them.
   */
  settle(): Promise<void> {
    return this.lock.run("unfinished", async () => {
      for (let next = this.unfinished[0]; next !== undefined; next = this.unfinished[0]) {
        await this.apply(next.steps);
        await removeFile(next.path);
        this.unfinished.shift();
      }
    });
  }

  /** Makes a change. */
  async run(steps: readonly Step[]): Promise<void> {
    if (steps.length < 2) {
      await this.apply(steps);
      return;
    }
    const path = join(this.dir, `${randomUUID()}.json`);
    await putFile(path, JSON.stringify(steps));
    try {
      await this.apply(steps);
    } catch (error) {
      this.unfinished.push({ path, steps });
      throw error;
    }
    await removeFile(path);
  }

  private async apply(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if ("put" in step) await putFile(join(this.root, step.put), step.text);
      else await removeFile(join(this.root, step.remove));
    }
  }
}

function readSteps(bytes: Uint8Array, path: string): Step[] {
  try {
    const document = new JsonCursor(parseJson(bytes), formatFault("JSON_INVALID", path));
    return document.array(MAX_STEPS).map((element) => {
      const step = element.object(["put", "text", "remove"]);
      const put = step.field("put");
      return put.absent
        ? { remove: inside(step.field("remove")) }
        : { put: inside(put), text: step.field("text").string() };
    });
  } catch (cause) {
    throw new StorageError("STATE_INVALID", `${path} does not say what was to be changed`, {
      hint: "The file was damaged after it was written; restore the data directory from a backup, or delete the file",
      cause,
    });
  }
}

function inside(cursor: JsonCursor): string {
  const path = cursor.string();
  return /^[a-z]+(?:\/[^/]+)+$/.test(path) && !path.split("/").includes("..")
    ? path
    : cursor.fail("it leads outside the store");
}

/** Many modules in one directory, each under its reference, that appear when all of them were verified. */
import { mkdir, realpath, rmdir } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { StorageError, UsageError } from "../base/errors.ts";
import type { ModuleOutput } from "../download.ts";
import { fileOutput } from "../node/file-output.ts";
import { storageError } from "../node/files.ts";
import { formatTagged, type TaggedReference } from "../oci/tagged-reference.ts";

/** Windows has no colons in names, and hosts have no underscores. */
const PORT_MARK = "_";
/** What stands in the place of a tag for a reference by digest: enough of it to be told apart. */
const SHOWN_DIGEST = 32;

/** Where a reference's module lies below the directory: `ghcr.io/acme/app/v1.wasm`. */
function modulePath({ registry, repository, tag, tagged, digest }: TaggedReference): string {
  const host = registry.replaceAll(":", PORT_MARK).replaceAll(/[[\]]/g, "");
  const name = tagged ? tag : (digest ?? "").replace(":", "-").slice(0, SHOWN_DIGEST);
  return join(host, ...repository.split("/"), `${name}.wasm`);
}

/** Refuses references whose files would be one where names differ by case only. @throws {UsageError} USAGE */
export function requireDistinctPaths(references: readonly TaggedReference[]): void {
  const taken = new Map<string, string>();
  for (const reference of references) {
    const path = modulePath(reference).toLowerCase();
    const other = taken.get(path);
    if (other !== undefined) {
      throw new UsageError("USAGE", `${other} and ${formatTagged(reference)} cannot lie in one directory`, {
        hint: "Their files would have the same name on some systems; pull them one by one",
      });
    }
    taken.set(path, formatTagged(reference));
  }
}

/** Outputs of one run. Nothing is visible before `commit`, and nothing is left after `abort`. */
export class ModuleTree {
  private readonly directory: string;
  private readonly outputs: ModuleOutput[] = [];
  private readonly made: string[] = [];

  constructor(directory: string) {
    this.directory = resolve(directory);
  }

  /** @throws {StorageError} OUTPUT_REFUSED where a link leads out of the directory; STORAGE_DENIED, … */
  async open(reference: TaggedReference): Promise<{ readonly output: ModuleOutput; readonly path: string }> {
    const path = join(this.directory, modulePath(reference));
    await this.makeParent(dirname(path));
    const output = await fileOutput(path);
    this.outputs.push(output);
    const deferred: ModuleOutput = {
      write: (chunk) => output.write(chunk),
      restart: () => output.restart(),
      commit: () => Promise.resolve(), // with all the others
      abort: () => output.abort(),
    };
    return { output: deferred, path };
  }

  async commit(): Promise<void> {
    for (const output of this.outputs) await output.commit();
  }

  /** Removes what was written and the directories that were made for it. */
  async abort(): Promise<void> {
    for (const output of this.outputs) await output.abort();
    for (const path of this.made.toSorted((a, b) => b.length - a.length)) await rmdir(path).catch(() => undefined);
  }

  private async makeParent(parent: string): Promise<void> {
    try {
      const first = await mkdir(parent, { recursive: true });
      if (first !== undefined) {
        for (let path = parent; path.length >= first.length; path = dirname(path)) this.made.push(path);
      }
      const inside = relative(await realpath(this.directory), await realpath(parent));
      if (inside !== ".." && !inside.startsWith(`..${sep}`)) return;
    } catch (error) {
      throw storageError(error, "make", parent);
    }
    throw new StorageError(
      "OUTPUT_REFUSED",
      `cannot write below ${parent}: a link there leads out of ${this.directory}`,
      {
        hint: "Remove the link, or choose another directory",
        details: { path: parent },
      },
    );
  }
}

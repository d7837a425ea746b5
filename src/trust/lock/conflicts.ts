/** A lockfile in which git could not merge two branches: both sides are read, so that locking again repairs it. */
import { utf8Encode } from "../../base/bytes.ts";
import { parseLockfile, type LockedModule } from "./lockfile.ts";

/** Marks of a merge that was not finished. */
const OURS = /^<{7}(?: .*)?$/;
const BASE = /^\|{7}(?: .*)?$/;
const THEIRS = /^={7}$/;
const END = /^>{7}(?: .*)?$/;

/**
 * Reads both sides of a lockfile in which git left conflicts; undefined where it has none. An entry that both have
 * comes twice: what it names is to be found out anew, above the versions of either.
 *
 * @throws {FormatError} LOCK_INVALID where a side is no lockfile
 */
export function parseConflictedLockfile(content: string, name: string): LockedModule[] | undefined {
  const lines = content.split(/\r?\n/);
  if (!lines.some((line) => OURS.test(line))) return undefined;
  const sides: Readonly<Record<"ours" | "theirs", string[]>> = { ours: [], theirs: [] };
  let within: "both" | "ours" | "base" | "theirs" = "both";
  for (const line of lines) {
    if (OURS.test(line)) within = "ours";
    else if (BASE.test(line) && within === "ours") within = "base";
    else if (THEIRS.test(line) && within !== "both") within = "theirs";
    else if (END.test(line) && within === "theirs") within = "both";
    else if (within === "both") for (const side of Object.values(sides)) side.push(line);
    else if (within !== "base") sides[within].push(line);
  }
  return [sides.ours, sides.theirs].flatMap((side) => parseLockfile(utf8Encode(side.join("\n")), name));
}

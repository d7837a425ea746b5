/** Pins and first-use records in `<dir>/pins.json`: one file that a person can read, edit and check in. */
import { isAbsolute, join } from "node:path";
import { utf8Encode } from "../base/bytes.ts";
import { StorageError, UsageError, errorMessage } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { JsonCursor, type ObjectCursor } from "../base/json-cursor.ts";
import type { Pin } from "../trust/pin.ts";
import { addUncovered, checkPattern, type PinEntry, type PinnedSource, type PinStore } from "../trust/pins.ts";
import { formatPlace, parsePlace } from "../trust/place.ts";
import { withLock, writeFileAtomic } from "./files.ts";
import { readRegularFile } from "./regular-file.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

/** One entry for each repository that a person uses, with room; far below what slows a start. */
const MAX_PINS = 10_000;
const MAX_KEYS = 64;
/** So many pins of some kilobytes each. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;
const FILE_MODE = 0o600;

/** Opens the pins of a trust directory; the file need not exist yet. */
export function openPinFile(dir: string): PinStore {
  const path = join(dir, "pins.json");
  const update = async <T>(change: (entries: Map<string, PinEntry>) => T): Promise<T> =>
    withLock(`${path}.lock`, async () => {
      const entries = new Map((await read(path)).map((entry) => [entry.pattern, entry]));
      const result = change(entries);
      removeStaleTemporaries(dir);
      await writeFileAtomic(path, encode([...entries.values()]), { mode: FILE_MODE });
      return result;
    });
  return {
    list: () => read(path),
    put: async (entry) => {
      checkPattern(entry.pattern, entry.collection);
      await update((entries) => entries.set(entry.pattern, entry));
    },
    add: async (entry) => {
      checkPattern(entry.pattern, entry.collection);
      return update((entries) => addUncovered(entries, entry));
    },
    remove: (pattern) => update((entries) => entries.delete(pattern)),
  };
}

async function read(path: string): Promise<PinEntry[]> {
  const bytes = await readRegularFile(path, MAX_FILE_BYTES);
  if (bytes === undefined) return [];
  try {
    return decode(bytes, path);
  } catch (error) {
    throw new StorageError("STATE_INVALID", `the pins in ${path} cannot be used: ${errorMessage(error)}`, {
      cause: error,
      hint: "Mend the file or restore it from a backup; without it references would no longer be verified",
    });
  }
}

const fault = (message: string): StorageError => new StorageError("STATE_INVALID", message);

function decode(bytes: Uint8Array, path: string): PinEntry[] {
  const cursor = new JsonCursor(parseJson(bytes, { what: path, integersOnly: true }), fault);
  const file = cursor.object(FILE_KEYS);
  const version = file.field("version").integer();
  if (version !== 1) file.field("version").fail(`version ${version} is newer than this program`);
  refuseUnknown(cursor, FILE_KEYS);
  const patterns = new Set<string>();
  return file
    .field("pins")
    .array(MAX_PINS)
    .map((element) => {
      const entry = decodeEntry(element);
      if (patterns.has(entry.pattern)) element.fail(`a second pin for ${JSON.stringify(entry.pattern)}`);
      patterns.add(entry.pattern);
      return entry;
    });
}

const FILE_KEYS = ["version", "pins"];
const ENTRY_KEYS = ["pattern", "collection", "server", "trust", "firstUse", "added", "pin"];
const PIN_KEYS = ["fingerprints", "threshold", "certificateIds", "certificateAuthorities"];

function decodeEntry(cursor: JsonCursor): PinEntry {
  const entry = cursor.object(ENTRY_KEYS);
  refuseUnknown(cursor, ENTRY_KEYS);
  const pattern = entry.field("pattern").string();
  const collection = entry.field("collection").string();
  checkPattern(pattern, collection);
  const added = new Date(entry.field("added").string());
  if (Number.isNaN(added.getTime())) entry.field("added").fail("not a date");
  return {
    pattern,
    collection,
    source: decodeSource(entry),
    pin: decodePin(entry.field("pin")),
    firstUse: entry.field("firstUse").boolean(),
    added,
  };
}

function decodeSource(entry: ObjectCursor): PinnedSource {
  const server = entry.field("server");
  const trust = entry.field("trust");
  if (server.absent === trust.absent) trust.fail("either a server or a place of trust data, not both");
  if (!server.absent) return { kind: "notary", server: server.string() };
  try {
    return parsePlace(trust.string(), absolute);
  } catch (error) {
    return trust.fail(errorMessage(error));
  }
}

/** A path that depends on where the program runs would be another place each time. */
function absolute(path: string): string {
  if (isAbsolute(path)) return path;
  throw new UsageError("USAGE", `${JSON.stringify(path)} is no absolute path`);
}

function decodePin(cursor: JsonCursor): Pin {
  const pin = cursor.object(PIN_KEYS);
  refuseUnknown(cursor, PIN_KEYS);
  const texts = (key: string): { [key: string]: string[] } => {
    const field = pin.field(key);
    return field.absent ? {} : { [key]: field.array(MAX_KEYS).map((element) => element.string()) };
  };
  const threshold = pin.field("threshold");
  const authorities = pin.field("certificateAuthorities");
  return {
    ...texts("fingerprints"),
    ...texts("certificateIds"),
    ...(threshold.absent ? {} : { threshold: threshold.integer(1) }),
    ...(authorities.absent ? {} : { certificateAuthorities: authorities.string() }),
  };
}

/** A member that we do not know may be a rule that we would silently not enforce. */
function refuseUnknown(cursor: JsonCursor, known: readonly string[]): void {
  for (const [key] of cursor.entries(known.length + 1)) {
    if (!known.includes(key)) cursor.fail(`unknown member ${JSON.stringify(key)}`);
  }
}

function encode(entries: readonly PinEntry[]): Uint8Array {
  const pins = entries
    .map(({ pattern, collection, source, firstUse, added, pin }) => ({
      pattern,
      collection,
      ...(source.kind === "notary" ? { server: source.server } : { trust: formatPlace(source) }),
      firstUse,
      added: added.toISOString(),
      pin,
    }))
    .toSorted((a, b) => (a.pattern < b.pattern ? -1 : 1));
  return utf8Encode(`${JSON.stringify({ version: 1, pins }, undefined, 2)}\n`);
}

/** Approved capabilities in `<dir>/approvals.json`: a file that a person can read, edit and check in. */
import { join } from "node:path";
import { utf8Encode } from "../base/bytes.ts";
import { FormatError, StorageError, errorMessage } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { JsonCursor } from "../base/json-cursor.ts";
import {
  byScope,
  MAX_APPROVED_IMPORTS,
  scopeKey,
  withApproved,
  withoutApproved,
  type Approval,
  type ApprovalScope,
  type ApprovalStore,
  type Approved,
} from "../trust/contract/approvals.ts";
import type { WasmKind } from "../wasm/info.ts";
import { withLock, writeFileAtomic } from "./files.ts";
import { readRegularFile } from "./regular-file.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

/** One entry for each repository that a person uses, with room. */
const MAX_ENTRIES = 10_000;
const MAX_FILE_BYTES = 32 * 1024 * 1024;
const FILE_MODE = 0o600;
const KINDS: readonly WasmKind[] = ["module", "component", "wit-package"];

const FILE_KEYS = ["version", "approvals"];
const ENTRY_KEYS = ["repository", "collection", "kinds", "imports"];

/** Opens the approvals of a trust directory; the file need not exist yet. */
export function openApprovalFile(dir: string): ApprovalStore {
  const path = join(dir, "approvals.json");
  /** @param next what an entry becomes; undefined drops it */
  const change = async (
    scope: ApprovalScope,
    next: (former: Approval | undefined) => Approved | undefined,
  ): Promise<{ former: Approval | undefined; now: Approved | undefined }> =>
    withLock(`${path}.lock`, async () => {
      const entries = await read(path);
      const former = entries.find((entry) => scopeKey(entry) === scopeKey(scope));
      const now = next(former);
      if (former === now || (former !== undefined && now !== undefined && sameNames(former, now)))
        return { former, now };
      const { repository, collection } = scope;
      const others = entries.filter((entry) => entry !== former);
      if (former === undefined && others.length >= MAX_ENTRIES) {
        throw new FormatError("LIMIT_EXCEEDED", `${path} has approvals of ${others.length} repositories`, {
          hint: "Forget those that are not used any more: wasm-to-oci trust approvals REPOSITORY --forget",
        });
      }
      removeStaleTemporaries(dir);
      const kept = now === undefined ? others : [...others, { repository, collection, ...namesOf(now) }];
      await writeFileAtomic(path, encode(kept), { mode: FILE_MODE });
      return { former, now };
    });
  return {
    get: async (scope) => (await read(path)).find((entry) => scopeKey(entry) === scopeKey(scope)),
    add: async (scope, contract) => void (await change(scope, (former) => withApproved(former, contract))),
    list: async () => (await read(path)).toSorted(byScope),
    withdraw: async (scope, imports) =>
      (await change(scope, (former) => former && withoutApproved(former, imports))).now,
    forget: async (scope) => (await change(scope, () => undefined)).former !== undefined,
  };
}

function namesOf({ kinds, imports }: Approved): Approved {
  return { kinds, imports };
}

function sameNames(a: Approved, b: Approved): boolean {
  return a.kinds.length === b.kinds.length && a.imports.length === b.imports.length; // one of them is part of the other
}

async function read(path: string): Promise<Approval[]> {
  const bytes = await readRegularFile(path, MAX_FILE_BYTES);
  if (bytes === undefined) return [];
  try {
    return decode(bytes, path);
  } catch (error) {
    throw new StorageError("STATE_INVALID", `the approvals in ${path} cannot be used: ${errorMessage(error)}`, {
      cause: error,
      hint: "Mend the file or restore it from a backup; without it nobody would know what was agreed to",
    });
  }
}

const fault = (message: string): StorageError => new StorageError("STATE_INVALID", message);

function decode(bytes: Uint8Array, path: string): Approval[] {
  const cursor = new JsonCursor(parseJson(bytes, { what: path, integersOnly: true }), fault);
  const file = cursor.object(FILE_KEYS);
  const version = file.field("version").integer();
  if (version !== 1) file.field("version").fail(`version ${version} is newer than this program`);
  refuseUnknown(cursor, FILE_KEYS);
  const entries = file.field("approvals").array(MAX_ENTRIES).map(decodeEntry);
  const scopes = new Set(entries.map(scopeKey));
  if (scopes.size < entries.length) file.field("approvals").fail("two entries for the same repository and collection");
  return entries;
}

function decodeEntry(cursor: JsonCursor): Approval {
  const entry = cursor.object(ENTRY_KEYS);
  refuseUnknown(cursor, ENTRY_KEYS);
  const imports = entry.field("imports").array(MAX_APPROVED_IMPORTS);
  return {
    repository: entry.field("repository").string(),
    collection: entry.field("collection").string(),
    kinds: entry.field("kinds").array(KINDS.length).map(decodeKind),
    imports: [...new Set(imports.map((name) => name.string()))].toSorted(),
  };
}

function decodeKind(cursor: JsonCursor): WasmKind {
  return KINDS.find((kind) => kind === cursor.string()) ?? cursor.fail(`none of ${KINDS.join(", ")}`);
}

/** A member that we do not know may be a condition that we would pass over. */
function refuseUnknown(cursor: JsonCursor, known: readonly string[]): void {
  for (const [key] of cursor.entries(known.length + 1)) {
    if (!known.includes(key)) cursor.fail(`unknown member ${JSON.stringify(key)}`);
  }
}

function encode(entries: readonly Approval[]): Uint8Array {
  const approvals = entries.toSorted(byScope);
  return utf8Encode(`${JSON.stringify({ version: 1, approvals }, undefined, 2)}\n`);
}
